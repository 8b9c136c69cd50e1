"""Rust reads what Python writes, and destroys none of it."""

import json

from python_side import (
    FAILED, IGNORED, IN_PROGRESS, PENDING, SUCCEEDED, Job, get, raw, set_raw,
)


def fail_in_python(id, error):
    try:
        with Job.start(id):
            raise error
    except type(error):
        pass


def work_in_rust(rust, id, kind="job", data=None):
    """Starts the task twice: the first attempt fails, the second succeeds."""
    rust("start", id, kind=kind)
    rust("fail", id, kind=kind, error="in rust")
    rust("start", id, kind=kind)
    rust("succeed", id, kind=kind, **({"data": data} if data else {}))


def check_rust_reads_a_task_of_make_and_save(rust):
    Job.make_and_save("py-new", data={"text": "x", "pages": 3}, customer="acme")
    task = rust("get", "py-new")
    head, data = task["head"], task["data"]
    assert (head["status"], head["retry"], head["attempt"]) == (PENDING, 0, 0), head
    assert not head["locked"] and head["owner"] is None and head["errors"] == []
    assert head["shard"] == get("py-new").shard_id
    assert (data["text"], data["pages"], data["customer"]) == ("x", 3, "acme"), data


def check_rust_reads_every_status_of_python(rust):
    Job.make_and_save("py-statuses")
    with Job.start("py-statuses"):
        head = rust("head", "py-statuses")
        assert head["status"] == IN_PROGRESS and head["locked"] and head["owner"] is None
    assert rust("head", "py-statuses")["status"] == SUCCEEDED
    Job.make_and_save("py-fails")
    for nth, status in [(1, FAILED), (2, FAILED), (3, IGNORED)]:
        fail_in_python("py-fails", KeyError(f"nth {nth}"))
        head = rust("head", "py-fails")
        assert (head["status"], head["retry"], head["locked"]) == (status, nth, False)
    assert [entry["error"] for entry in head["errors"]] == [f"KeyError('nth {nth}')" for nth in (1, 2, 3)]
    assert all(entry["time"] and "Traceback" in entry["traceback"] for entry in head["errors"])


def check_rust_reads_set_data_and_update(rust):
    Job.make_and_save("py-update")
    with Job.start("py-update") as execution:
        execution.set_data({"pages": 5, "text": "\u00e9\u6f22\U0001f600\u0000"})
        execution.update()
        assert rust("get", "py-update")["data"]["pages"] == 5
    assert rust("get", "py-update")["data"]["text"] == "\u00e9\u6f22\U0001f600\u0000"


def check_rust_reads_big_integers(rust):
    for nth, big in enumerate([2**53 + 1, 2**64, 2**128 - 1]):
        Job.make_and_save(f"py-big-{nth}", data={"big": big})
        assert rust("get", f"py-big-{nth}")["data"]["big"] == big


def check_rust_refuses_and_keeps_an_integer_too_large_for_its_field(rust):
    Job.make_and_save("py-huge", data={"big": 2**200, "pages": 1})
    before = raw("py-huge")
    assert rust("head", "py-huge")["status"] == PENDING
    refused = rust.refuses("Decode", "get", "py-huge")
    assert refused.attribute == "data.big" and refused.head["status"] == PENDING, refused
    rust.refuses("Decode", "start", "py-huge")
    after = raw("py-huge")
    assert after["data"] == before["data"] and after["status"] == before["status"] and after["retry"] == before["retry"]
    work_in_rust(rust, "py-huge", kind="blind")
    assert get("py-huge").data == {"big": 2**200, "pages": 1}


def check_rust_keeps_members_that_it_does_not_declare(rust):
    unknown = {
        "int": 2**300, "negative": -(2**99), "float": 1e-320, "zero": -0.0, "long": 0.1 + 0.2, "null": None, "true": True,
        "surrogate": "\ud800", "pair": "\U0001f600", "odd": "\udfff\ud800 end", "nul": "\u0000", "\u00e9": {"": []},
        "deep": [[[[{"a": [2**70, {"b": "\udc80"}]}]]]], "text_number": "1e5", "space": " \t ",
    }
    Job.make_and_save("py-unknown", data={**unknown, "pages": 1})
    rust("start", "py-unknown")
    rust("save", "py-unknown", data={"pages": 2})
    assert repr(get("py-unknown").data) == repr({**get("py-unknown").data, **unknown})
    rust("fail", "py-unknown", error="no")
    rust("start", "py-unknown")
    rust("succeed", "py-unknown", data={"pages": 3, "text": "x"})
    found = get("py-unknown").data
    assert found["pages"] == 3 and found["text"] == "x"
    for name, value in unknown.items():
        assert repr(found[name]) == repr(value), f"{name}: {found[name]!r}"
    assert list(found) == sorted(found), f"not sorted by name: {list(found)}"


def check_rust_keeps_undeclared_members_inside_a_field_until_the_field_changes(rust):
    beside = {"own": {"b": [2**300, "\ud800"]}}
    Job.make_and_save("py-inside", data={"pages": 1, "meta": {"a": 1, "b": 2**300, "c": "\ud800"}, **beside})
    before = get("py-inside").data["meta"]
    found = rust("start", "py-inside")["data"]
    assert found["meta"] == {"a": 1}, found
    # Setting a field to its own value is no change.
    rust("save", "py-inside", data={"pages": 2, "meta": {"a": 1}})
    data = get("py-inside").data
    assert data["pages"] == 2 and data["meta"] == before == {"a": 1, "b": 2**300, "c": "\ud800"}, data
    rust("succeed", "py-inside", data={"meta": {"a": 7}})
    data = get("py-inside").data
    assert data["meta"] == {"a": 7} and data["pages"] == 2 and data["own"] == beside["own"], data


def check_rust_refuses_a_bare_nan_in_an_undeclared_member_inside_a_field(rust):
    Job.make_and_save("py-nan-inside", data={"pages": 1, "meta": {"a": 1, "b": float("nan")}})
    before = raw("py-nan-inside")["data"]
    refused = rust.refuses("Decode", "start", "py-nan-inside")
    assert refused.attribute == "data.meta" and raw("py-nan-inside")["data"] == before, refused


def check_rust_keeps_a_bare_nan_in_members_that_it_does_not_declare(rust):
    data = {"pages": 1, "x": float("nan"), "deep": {"a": [float("inf"), -float("inf")], "nan": "NaN, -Infinity \" NaN"}}
    Job.make_and_save("py-nan", data=data)
    assert "NaN" in raw("py-nan")["data"]["S"]
    assert rust("head", "py-nan")["status"] == PENDING
    assert rust("get", "py-nan")["data"]["pages"] == 1
    work_in_rust(rust, "py-nan", data={"pages": 2})
    found = get("py-nan")
    assert found.is_succeeded() and repr(found.data) == repr({**found.data, **data, "pages": 2}), found.data


def check_rust_refuses_and_keeps_a_bare_nan_in_a_field(rust):
    Job.make_and_save("py-nan-field", data={"pages": 1, "number": float("nan")})
    before = raw("py-nan-field")["data"]
    refused = rust.refuses("Decode", "get", "py-nan-field")
    assert refused.attribute == "data.number" and "NaN" in str(refused), refused
    rust.refuses("Decode", "start", "py-nan-field")
    assert get("py-nan-field").is_pending() and get("py-nan-field").retry == 0
    work_in_rust(rust, "py-nan-field", kind="blind", data={"note": "seen"})
    assert raw("py-nan-field")["data"] == before and get("py-nan-field").is_succeeded()


def check_rust_refuses_and_keeps_a_lone_surrogate_in_a_field(rust):
    Job.make_and_save("py-surrogate", data={"text": "a\udc80b", "pages": 1})
    before = raw("py-surrogate")["data"]
    refused = rust.refuses("Decode", "get", "py-surrogate")
    assert refused.attribute == "data.text", refused.attribute
    rust.refuses("Decode", "start", "py-surrogate")
    work_in_rust(rust, "py-surrogate", kind="blind")
    assert raw("py-surrogate")["data"] == before and get("py-surrogate").is_succeeded()


def check_rust_keeps_a_lone_surrogate_in_a_name(rust):
    Job.make_and_save("py-name", data={"\udc80": 1, "pages": 1})
    before = raw("py-name")["data"]
    assert rust("head", "py-name")["status"] == PENDING
    work_in_rust(rust, "py-name", kind="blind")
    assert raw("py-name")["data"] == before and get("py-name").data["\udc80"] == 1


def check_rust_keeps_data_that_is_no_json_object(rust):
    for nth, text in enumerate(["hello", "", "[1, 2]", "7", "{", '{"a": 1} trailing', "null"]):
        id = f"py-text-{nth}"
        Job.make_and_save(id)
        set_raw(id, data={"S": text} )
        assert rust("head", id)["status"] == PENDING
        refused = rust.refuses("Decode", "get", id)
        assert refused.attribute.startswith("data"), refused.attribute
        work_in_rust(rust, id, kind="blind", data={"note": "seen"})
        assert raw(id)["data"] == {"S": text} and raw(id)["status"] == {"N": str(SUCCEEDED)}


def check_rust_reads_data_set_to_none_as_empty(rust):
    for id, value in [("py-null", {"NULL": True}), ("py-absent", None)]:
        Job.make_and_save(id)
        set_raw(id, data=value, errors=value)
        task = rust("get", id)
        assert task["data"]["pages"] is None and task["head"]["errors"] == []
        work_in_rust(rust, id, data={"pages": 1})
        task = get(id)
        assert task.data["pages"] == 1 and task.errors["history"][0]["error"] == "in rust", task.errors
    Job.make_and_save("py-none")
    with Job.start("py-none") as execution:
        execution.set_data(None)
    assert rust("get", "py-none")["head"]["status"] == SUCCEEDED


def check_rust_keeps_errors_without_history(rust):
    Job.make_and_save("py-errors", errors={"note": [2**80, "\ud800", float("nan")], "\u00e9": 1})
    assert rust("head", "py-errors")["errors"] == []
    work_in_rust(rust, "py-errors")
    errors = get("py-errors").errors
    assert repr(errors["note"]) == repr([2**80, "\ud800", float("nan")]) and errors["\u00e9"] == 1, errors
    assert [entry["error"] for entry in errors["history"]] == ["in rust"]


def check_rust_reads_and_keeps_a_history_with_lone_surrogates(rust):
    Job.make_and_save("py-history")
    fail_in_python("py-history", ValueError("plain"))
    fail_in_python("py-history", OSError("no file named b\udc80c"))
    before = get("py-history").errors["history"]
    assert "\udc80" in before[1]["traceback"]
    head = rust("head", "py-history")
    assert len(head["errors"]) == 2 and head["errors"][0]["error"] == "ValueError('plain')", head["errors"]
    assert "no file named b" in head["errors"][1]["traceback"] and head["errors"][1]["nth_retry"] == 2
    rust("start", "py-history")
    rust("fail", "py-history", error="in rust")
    after = get("py-history").errors["history"]
    assert after[:2] == before and after[2]["error"] == "in rust", after


def check_rust_keeps_history_entries_of_any_shape(rust):
    entry = {"nth_retry": 1, "update_time": "?", "error": None, "traceback": "t", "big": 2**90, "f": 1e-320, "nan": float("nan")}
    Job.make_and_save("py-more", errors={"history": [entry, "just text", 7, None], "n": 2**90})
    before = get("py-more").errors
    assert len(rust("head", "py-more")["errors"]) == 4
    work_in_rust(rust, "py-more")
    after = get("py-more").errors
    assert repr(after["history"][:4]) == repr(before["history"]), after
    assert after["n"] == 2**90 and after["history"][4]["error"] == "in rust"


def check_rust_keeps_errors_that_are_no_json_as_an_entry(rust):
    Job.make_and_save("py-errors-text")
    set_raw("py-errors-text", errors={"S": "Traceback: {not json"})
    assert rust("head", "py-errors-text")["status"] == PENDING
    rust("start", "py-errors-text")
    rust("succeed", "py-errors-text")
    assert raw("py-errors-text")["errors"] == {"S": "Traceback: {not json"}
    set_raw("py-errors-text", status={"N": str(PENDING)})
    rust("start", "py-errors-text")
    rust("fail", "py-errors-text", error="in rust")
    history = get("py-errors-text").errors["history"]
    assert history[0]["traceback"] == "Traceback: {not json" and history[1]["error"] == "in rust"


def check_rust_reads_json_with_other_spacing_and_escapes(rust):
    Job.make_and_save("py-spacing")
    text = json.dumps({"pages": 4, "text": "\u00e9/"}, indent=2).replace("/", "\\/")
    set_raw("py-spacing", data={"S": "\n" + text + "\t "})
    data = rust("get", "py-spacing")["data"]
    assert data["pages"] == 4 and data["text"] == "\u00e9/"
