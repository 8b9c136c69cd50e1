"""Python reads what Rust writes as if Python had written it."""

import json
from datetime import timedelta

from python_side import (
    EXPIRE, FAILED, IGNORED, PENDING, TABLE, Job, OtherTable, client, get, raw, set_raw,
)
from pynamodb_mate.patterns.status_tracker.impl import EPOCH, NOT_LOCKED, get_utc_now

ADDED = {"attempt", "last_lock", "lost_lock", "lost_attempts", "lease_ms", "started_from", "owner"}
UNICODE = "caf\u00e9 \u6f22\u5b57 \U0001f600 \u0000\u0001\u001f\u007f\u2028\ufffe \" \\ / \n\r\t"


def check_rust_creates_the_table(rust):
    rust("create_table")
    assert Job.exists()
    rust("verify_table")


def check_rust_verifies_a_table_made_by_python(rust):
    OtherTable.create_table(wait=True)
    assert OtherTable.exists()
    rust("open", open={"table": OtherTable.Meta.table_name})
    try:
        rust("verify_table")
    finally:
        rust("open", open={"table": TABLE})


def check_python_does_not_see_the_description_that_rust_keeps(rust):
    name = OtherTable.Meta.table_name
    key = {"key": {"S": "__tracker______interop"}}
    if not OtherTable.exists():
        OtherTable.create_table(wait=True)
    described = lambda: client().get_item(TableName=name, Key=key, ConsistentRead=True).get("Item")
    rust("open", open={"table": name})
    try:
        rust("verify_table")
        assert described() is None, "a tracker for Python tables keeps no description"
        rust("verify_table", kind="native")
        item = described()
        assert item.keys() == {"key", "description", "revision"}, item
        OtherTable.make_and_save(task_id="beside-a-description", data={})
        counts = (OtherTable.count_tasks_by_use_case_id(), rust("count_use_case"))
        assert counts == (1, 1), counts
        assert [task.task_id for task in OtherTable.query_for_unfinished(limit=10)] == ["beside-a-description"]
        deleted = OtherTable.delete_tasks_by_use_case_id()
        assert deleted == 1, deleted
        assert described() == item
    finally:
        rust("open", open={"table": TABLE})


def assert_same_types(left, right, names):
    for name in names:
        assert left[name].keys() == right[name].keys(), f"{name}: {left[name]} and {right[name]}"


def check_create_writes_what_make_and_save_writes(rust):
    rust("create", "created", data={"text": "x", "pages": 1})
    Job.make_and_save("created-by-python", data={"text": "x", "pages": 1})
    ours, theirs = raw("created"), raw("created-by-python")
    assert set(ours) - ADDED == set(theirs), set(ours) ^ set(theirs)
    assert_same_types(ours, theirs, theirs)
    for name in ["status", "retry", "lock", "lock_time"]:
        assert ours[name] == theirs[name], name
    assert json.loads(ours["errors"]["S"]) == json.loads(theirs["errors"]["S"]) == {"history": []}
    assert ours["value"]["S"].rsplit("____", 1)[0] == theirs["value"]["S"].rsplit("____", 1)[0]


def check_python_reads_a_created_task(rust):
    rust("create", "created-read", data={"text": "x", "pages": 1, "customer": "acme"})
    task = get("created-read")
    assert task.is_pending() and task.status_name == "pending" and task.status == PENDING
    assert (task.use_case_id, task.task_id, task.retry) == ("interop", "created-read", 0)
    assert task.lock == NOT_LOCKED and not task.is_locked() and task.lock_time == EPOCH
    assert 1 <= task.shard_id <= 5
    assert task.data["text"] == "x" and task.data["pages"] == 1
    assert task.errors == {"history": []} and task.customer == "acme"
    assert timedelta(0) <= get_utc_now() - task.create_time < timedelta(minutes=1)
    assert task.update_time == task.create_time


def check_python_reads_a_started_task_as_locked(rust):
    rust("create", "started")
    rust("start", "started")
    task = get("started")
    assert task.is_in_progress() and task.is_locked() and len(task.lock) == 32 and int(task.lock, 16)
    assert task.retry == 0 and timedelta(0) <= get_utc_now() - task.lock_time < timedelta(minutes=1)
    assert task.is_locked(expected_lock="another") and not task.is_locked(expected_lock=task.lock)
    assert not task.is_locked(utc_now=task.lock_time + timedelta(seconds=EXPIRE))
    rust("release", "started")


def check_python_reads_a_saved_task(rust):
    rust("create", "saved", data={"pages": 1})
    rust("start", "saved")
    before = get("saved")
    rust("save", "saved", data={"pages": 2, "text": UNICODE})
    task = get("saved")
    assert task.data["pages"] == 2 and task.data["text"] == UNICODE
    assert task.is_in_progress() and task.lock == before.lock and task.lock_time > before.lock_time
    rust("succeed", "saved")


def check_python_reads_a_succeeded_task(rust):
    rust("create", "succeeded")
    rust("start", "succeeded")
    rust("succeed", "succeeded", data={"pages": 7})
    task = get("succeeded")
    assert task.is_succeeded() and task.status_name == "succeeded" and not task.is_locked()
    assert task.lock == NOT_LOCKED and task.retry == 0 and task.data["pages"] == 7
    assert task.errors == {"history": []} and task.update_time > task.create_time


def check_python_reads_a_failed_task(rust):
    rust("create", "failed", data={"pages": 1})
    rust("start", "failed")
    rust("fail", "failed", error="it broke: " + UNICODE)
    task = get("failed")
    assert task.is_failed() and not task.is_locked() and task.retry == 1
    [entry] = task.errors["history"]
    assert entry["error"] == "it broke: " + UNICODE and entry["nth_retry"] == 1
    assert isinstance(entry["traceback"], str) and entry["traceback"]
    assert entry["update_time"] == task.update_time.isoformat(), entry
    assert entry.keys() == {"nth_retry", "update_time", "error", "traceback", "attempt", "owner", "seconds"}


def check_rust_writes_history_entries_as_python_does(rust):
    rust("create", "entry")
    rust("start", "entry")
    rust("fail", "entry", error="ours")
    try:
        with Job.start("entry"):
            raise ValueError("theirs")
    except ValueError:
        pass
    ours, theirs = get("entry").errors["history"]
    assert ours.keys() - theirs.keys() == {"attempt", "owner", "seconds"} and theirs.keys() <= ours.keys()
    assert all(type(ours[name]) is type(value) for name, value in theirs.items())
    assert len(ours["update_time"]) == len(theirs["update_time"])


def check_python_reads_a_task_ignored_after_max_retry(rust):
    rust("create", "ignored")
    for nth in range(3):
        rust("start", "ignored")
        rust("fail", "ignored", error=f"nth {nth}")
    task = get("ignored")
    assert task.is_ignored() and task.retry == 3 and not task.is_locked()
    assert [entry["nth_retry"] for entry in task.errors["history"]] == [1, 2, 3]


def check_python_reads_a_task_ignored_at_once(rust):
    rust("create", "fatal")
    rust("start", "fatal")
    rust("fail", "fatal", error="no use", fatal=True)
    task = get("fatal")
    assert task.is_ignored() and not task.is_locked() and task.status == IGNORED


def check_python_reads_a_released_task(rust):
    rust("create", "released")
    rust("start", "released")
    rust("release", "released")
    task = get("released")
    assert task.is_pending() and task.retry == 0 and not task.is_locked()
    assert task.errors == {"history": []}


def check_python_reads_a_task_taken_over(rust):
    rust("create", "taken")
    rust("start", "taken")
    rust("forget", "taken")
    set_raw("taken", lock_time={"S": "2026-01-01T00:00:00.000000+0000"})
    rust("start", "taken")
    task = get("taken")
    assert task.is_in_progress() and task.is_locked() and task.retry == 1
    [entry] = task.errors["history"]
    assert "rust" in entry["error"] and entry["nth_retry"] == 1
    rust("succeed", "taken")
    assert get("taken").is_succeeded()


def check_python_reads_a_task_ignored_by_a_takeover(rust):
    rust("create", "ignored-by-takeover")
    for _ in range(3):
        rust("start", "ignored-by-takeover")
        rust("forget", "ignored-by-takeover")
        set_raw("ignored-by-takeover", lock_time={"S": "2026-01-01T00:00:00.000000+0000"})
    rust.refuses("Ignored", "start", "ignored-by-takeover")
    task = get("ignored-by-takeover")
    assert task.is_ignored() and not task.is_locked() and len(task.errors["history"]) == 3


def check_python_reads_and_finishes_a_redriven_task(rust):
    rust("create", "redriven")
    rust("start", "redriven")
    rust("fail", "redriven", error="no", fatal=True)
    rust("redrive", "redriven")
    task = get("redriven")
    assert task.is_pending() and task.retry == 0 and len(task.errors["history"]) == 1
    with Job.start("redriven"):
        pass
    assert get("redriven").is_succeeded()


def check_python_reads_unicode(rust):
    text = UNICODE + "".join(chr(code) for code in range(1, 0x600, 7)) + "\U0010ffff"
    nested = {"\u00e9\u6f22": ["\U0001f600", None, "__not_locked__"], "": [""]}
    rust("create", "unicode-\u00e9\u6f22\U0001f600", data={"text": text, "nested": nested})
    task = get("unicode-\u00e9\u6f22\U0001f600")
    assert task.data["text"] == text and task.data["nested"] == nested


def check_python_reads_big_integers(rust):
    for nth, big in enumerate([0, 2**53 + 1, 2**64 - 1, 2**64, 2**127 + 1, 2**128 - 1]):
        rust("create", f"big-{nth}", data={"big": big})
        found = get(f"big-{nth}").data["big"]
        assert found == big and isinstance(found, int), found


def check_python_reads_floats(rust):
    floats = [0.0, -0.0, 0.1, 1e16, 1e300, 5e-324, 1.7976931348623157e308, -2.5, 3.0, 1 / 3, 123456789.123456789]
    for nth, number in enumerate(floats):
        rust("create", f"float-{nth}", data={"number": number})
        found = get(f"float-{nth}").data["number"]
        assert repr(found) == repr(number), f"{found!r} instead of {number!r}"


def check_python_reads_and_extends_a_bounded_history(rust):
    rust("open", open={"table": TABLE, "history_limit": 3})
    try:
        rust("create", "bounded")
        for nth in range(6):
            rust("start", "bounded")
            rust("fail", "bounded", error=f"nth {nth}")
            if nth % 3 == 2:
                rust("redrive", "bounded")
        task = get("bounded")
        assert [entry["error"] for entry in task.errors["history"]] == ["nth 0", "nth 4", "nth 5"]
        assert task.errors["omitted"] == 3
        try:
            with Job.start("bounded"):
                raise ValueError("theirs")
        except ValueError:
            pass
        assert get("bounded").errors["omitted"] == 3
        head = rust("head", "bounded")
        assert len(head["errors"]) == 4 and head["omitted"] == 3
    finally:
        rust("open", open={"table": TABLE})


def check_python_reads_long_errors_that_rust_has_cut(rust):
    rust("create", "long")
    rust("start", "long")
    rust("fail", "long", error="\U0001f600" * 100_000)
    [entry] = get("long").errors["history"]
    assert len(entry["error"].encode()) <= 2048 and "[..]" in entry["error"]


def check_python_keeps_the_attributes_that_rust_adds(rust):
    rust("create", "added")
    rust("start", "added")
    rust("fail", "added", error="no")
    with Job.start("added"):
        pass
    item = raw("added")
    # An ended attempt leaves no `lease_ms` and no `lost_attempts`.
    assert ADDED - {"lease_ms", "lost_attempts"} <= set(item) and item["attempt"] == {"N": "1"} and item["owner"] == {"S": "rust"}


def check_rust_turns_the_data_of_a_native_worker_into_text(rust):
    fields = {"text": UNICODE, "number": 0.1, "pages": 2**53 + 1, "tags": ["a", "\u00e9"]}
    rust("create", "native", kind="native", data=fields)
    assert "M" in raw("native")["data"] and "M" in raw("native")["errors"]
    rust("start", "native")
    rust("save", "native", data={"pages": 3})
    assert "S" in raw("native")["data"], raw("native")["data"]
    rust("fail", "native", error="no")
    task = get("native")
    assert task.data == {**fields, "pages": 3}, task.data
    assert task.errors["history"][0]["error"] == "no" and task.is_failed()


def check_native_worker_keeps_text(rust):
    rust("create", "native-on-text", data={"pages": 1, "big": 2**100})
    rust("start", "native-on-text", kind="native")
    rust("save", "native-on-text", kind="native", data={"pages": 2})
    rust("fail", "native-on-text", kind="native", error="no")
    task = get("native-on-text")
    assert task.data["pages"] == 2 and task.data["big"] == 2**100 and task.is_failed()
    assert task.errors["history"][0]["error"] == "no" and task.status == FAILED
