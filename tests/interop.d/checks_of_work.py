"""Both languages work on the same tasks: locks, steps, queries, and a `save` of Python at any time."""

import contextlib
from datetime import timedelta

from python_side import (
    EXPIRE, FAILED, IGNORED, IN_PROGRESS, MAIL_FAILED, MAIL_SUCCEEDED, PENDING, SUCCEEDED, TABLE, Job, Mail, get, raw,
    set_raw,
)
from pynamodb.exceptions import UpdateError
from pynamodb_mate.patterns.status_tracker.api import (
    TaskAlreadySucceedError, TaskIgnoredError, TaskIsNotInitializedError, TaskIsNotReadyToStartError, TaskLockedError,
)
from pynamodb_mate.patterns.status_tracker.impl import get_utc_now

LONG_AGO = {"S": "2026-01-01T00:00:00.000000+0000"}


def refused_in_python(id, kind, of=Job):
    started = False
    try:
        with of.start(id, detailed_error=True):
            started = True
    except Exception as error:
        assert type(error) is kind, f"refused as {error!r} instead of {kind.__name__}"
    assert not started, f"{id} was started in Python"


@contextlib.contextmanager
def started_in_python(id, of=Job):
    """An attempt of Python, which raises the first error of its body. If Rust has taken the task meanwhile, Python
    cannot record that error, and would raise the refusal of its own finish instead."""
    wrong = None
    try:
        with of.start(id) as execution:
            try:
                yield execution
            except Exception as error:
                wrong = error
                raise
    except Exception as error:
        raise wrong or error


def fail_in_python(id, of=Job):
    try:
        with of.start(id):
            raise ValueError("in python")
    except ValueError:
        pass


def check_python_honours_the_lock_of_rust(rust):
    rust("create", "lock-rust")
    rust("start", "lock-rust")
    before = raw("lock-rust")
    refused_in_python("lock-rust", TaskLockedError)
    assert raw("lock-rust") == before
    rust("succeed", "lock-rust")
    refused_in_python("lock-rust", TaskAlreadySucceedError)


def check_rust_honours_the_lock_of_python(rust):
    Job.make_and_save("lock-python")
    with started_in_python("lock-python"):
        before = raw("lock-python")
        refused = rust.refuses("Locked", "start", "lock-python")
        assert refused.head["locked"] and raw("lock-python") == before
    rust.refuses("AlreadySucceeded", "start", "lock-python")


def check_both_refuse_missing_ignored_and_unready_tasks(rust):
    refused_in_python("nobody", TaskIsNotInitializedError)
    rust.refuses("NotFound", "start", "nobody")
    rust("create", "both-ignored")
    rust("start", "both-ignored")
    rust("fail", "both-ignored", error="no", fatal=True)
    refused_in_python("both-ignored", TaskIgnoredError)
    rust.refuses("Ignored", "start", "both-ignored")
    Job.make_and_save("not-ready")
    refused_in_python("not-ready", TaskIsNotReadyToStartError, of=Mail)
    rust.refuses("NotReady", "start", "not-ready", kind="mail")


def check_both_count_failures_together(rust):
    Job.make_and_save("retries")
    fail_in_python("retries")
    rust("start", "retries")
    rust("fail", "retries", error="in rust")
    fail_in_python("retries")
    task = get("retries")
    assert task.is_ignored() and task.retry == 3
    assert [entry["nth_retry"] for entry in task.errors["history"]] == [1, 2, 3]
    assert rust("head", "retries")["status"] == IGNORED


def expire_in_the_middle(rust, id, then):
    """Lets the lease of a Python worker expire while it works; `then` is what Rust does meanwhile."""
    Job.make_and_save(id)
    before = None
    try:
        with started_in_python(id):
            # Within the skew, the lease has not expired.
            almost = get_utc_now() - timedelta(seconds=EXPIRE + 2)
            set_raw(id, lock_time={"S": almost.strftime("%Y-%m-%dT%H:%M:%S.%f+0000")})
            rust.refuses("Locked", "start", id)
            set_raw(id, lock_time=LONG_AGO, update_time=LONG_AGO)
            then()
            before = raw(id)
    except UpdateError as error:
        assert before and error.cause_response_code == "ConditionalCheckFailedException", repr(error)
        assert raw(id) == before, "a late finish was written"
        return
    raise AssertionError("a late finish was recorded")


def check_rust_takes_over_an_expired_lease_of_python(rust):
    def then():
        assert "expired" in rust("unfinished")
        head = rust("start", "expired")["head"]
        assert head["retry"] == 1 and "unknown worker" in head["errors"][0]["error"], head

    expire_in_the_middle(rust, "expired", then)
    rust("succeed", "expired", data={"pages": 1})
    assert get("expired").is_succeeded() and len(get("expired").errors["history"]) == 1


def check_python_cannot_finish_a_task_that_rust_has_finished(rust):
    def then():
        rust("start", "late")
        rust("succeed", "late", data={"pages": 1})

    expire_in_the_middle(rust, "late", then)
    assert get("late").is_succeeded() and get("late").data["pages"] == 1


def check_takeover_never_leaves_an_expired_lease_of_python_alone(rust):
    rust("open", open={"table": TABLE, "no_takeover": True})
    try:
        Job.make_and_save("never")
        with started_in_python("never"):
            set_raw("never", lock_time=LONG_AGO)
            rust.refuses("Locked", "start", "never")
            assert get("never").is_in_progress()
        assert get("never").is_succeeded()
    finally:
        rust("open", open={"table": TABLE})


def check_python_refuses_an_expired_lease_and_rust_takes_it_over(rust):
    rust("create", "mended")
    rust("start", "mended")
    rust("forget", "mended")
    set_raw("mended", lock_time=LONG_AGO)
    before = raw("mended")
    # For Python the task is locked, however old the lock is.
    refused_in_python("mended", TaskLockedError)
    assert raw("mended") == before
    rust("start", "mended")
    rust("fail", "mended", error="no")
    with Job.start("mended"):
        pass
    assert get("mended").is_succeeded()


def check_both_start_a_ready_task_with_an_expired_lock(rust):
    for id in ["left-python", "left-rust"]:
        Job.make_and_save(id, lock="0" * 32)
        set_raw(id, lock_time=LONG_AGO)
    with Job.start("left-python"):
        pass
    rust("start", "left-rust")
    rust("succeed", "left-rust")
    assert get("left-python").is_succeeded() and get("left-rust").is_succeeded()


def check_rust_runs_step_two_after_step_one_in_python(rust):
    Job.make_and_save("py-rs", data={"pages": 1, "own": [2**70]})
    fail_in_python("py-rs")
    with Job.start("py-rs") as execution:
        execution.set_data({"pages": 2, "own": [2**70]})
    rust("start", "py-rs", kind="mail")
    rust("fail", "py-rs", kind="mail", error="in rust")
    assert get("py-rs", Mail).status == MAIL_FAILED and get("py-rs", Mail).is_failed()
    assert "py-rs" in rust("unfinished", kind="mail")
    rust("start", "py-rs", kind="mail")
    rust("succeed", "py-rs", kind="mail", data={"sent_to": "b"})
    task = get("py-rs", Mail)
    assert task.status == MAIL_SUCCEEDED and task.is_succeeded()
    assert task.data == {"pages": 2, "own": [2**70], "sent_to": "b"}, task.data
    assert len(task.errors["history"]) == 2


def check_python_runs_step_two_after_step_one_in_rust(rust):
    rust("create", "rs-py", data={"pages": 1, "customer": "acme"})
    rust("start", "rs-py")
    rust("fail", "rs-py", error="in rust")
    rust("start", "rs-py")
    rust("succeed", "rs-py", data={"pages": 2})
    fail_in_python("rs-py", Mail)
    with Mail.start("rs-py") as execution:
        execution.set_data({**execution.task.data, "sent_to": "p"})
    task = rust("get", "rs-py", kind="mail")
    assert task["head"]["status"] == MAIL_SUCCEEDED and task["data"]["sent_to"] == "p"
    assert len(task["head"]["errors"]) == 2
    assert raw("rs-py")["customer"] == {"S": "acme"}


def check_python_finishes_step_two_after_rust_has_failed_it(rust):
    rust("create", "mixed-steps")
    with Job.start("mixed-steps"):
        pass
    rust("start", "mixed-steps", kind="mail")
    refused_in_python("mixed-steps", TaskLockedError, of=Mail)
    rust("fail", "mixed-steps", kind="mail", error="in rust")
    with started_in_python("mixed-steps", of=Mail):
        rust.refuses("Locked", "start", "mixed-steps", kind="mail")
    assert get("mixed-steps", Mail).is_succeeded()


def make_in_python(id, status):
    Job.make_and_save(id)
    for _ in range({FAILED: 1, IGNORED: 3}.get(status, 0)):
        fail_in_python(id)
    if status == SUCCEEDED:
        with Job.start(id):
            pass


def make_in_rust(rust, id, status):
    rust("create", id)
    if status != PENDING:
        rust("start", id)
    if status == SUCCEEDED:
        rust("succeed", id)
    elif status in (FAILED, IGNORED):
        rust("fail", id, error="no", fatal=status == IGNORED)


@contextlib.contextmanager
def tasks_of_each_status(rust, prefix):
    """Makes three tasks of each status on each side; holds the tasks in progress. Yields their ids by status."""
    made = {}
    with contextlib.ExitStack() as held:
        for status in [PENDING, IN_PROGRESS, FAILED, SUCCEEDED, IGNORED]:
            made[status] = set()
            for nth in range(3):
                ours, theirs = f"{prefix}-rust-{status}-{nth}", f"{prefix}-python-{status}-{nth}"
                make_in_rust(rust, ours, status)
                make_in_python(theirs, status)
                if status == IN_PROGRESS:
                    held.callback(rust, "release", ours)
                    held.enter_context(Job.start(theirs))
                made[status] |= {ours, theirs}
        yield made


def check_both_query_the_same_tasks(rust):
    with tasks_of_each_status(rust, "queried") as made:
        for status, ids in made.items():
            theirs = sorted(task.task_id for task in Job.query_by_status(status, limit=10_000))
            ours = sorted(rust("query", codes=[status]))
            assert theirs == ours and ids <= set(ours), (status, theirs, ours)
        theirs = [task.task_id for task in Job.query_by_status([PENDING, FAILED], limit=10_000, auto_refresh=True)]
        assert sorted(theirs) == sorted(rust("query", codes=[PENDING, FAILED]))
        unfinished = {task.task_id for task in Job.query_for_unfinished(limit=10_000)}
        assert made[PENDING] | made[FAILED] <= unfinished <= set(rust("unfinished"))


def check_both_query_the_same_tasks_of_a_second_step(rust):
    for id in ["mailed-by-python", "mailed-by-rust"]:
        make_in_python(id, SUCCEEDED)
    with Mail.start("mailed-by-python"):
        pass
    rust("start", "mailed-by-rust", kind="mail")
    rust("succeed", "mailed-by-rust", kind="mail")
    theirs = sorted(task.task_id for task in Mail.query_by_status(MAIL_SUCCEEDED, limit=10_000))
    assert theirs == sorted(rust("query", kind="mail", codes=[MAIL_SUCCEEDED]))
    assert {"mailed-by-python", "mailed-by-rust"} <= set(theirs), theirs


def check_both_count_the_same_tasks(rust):
    with tasks_of_each_status(rust, "counted") as made:
        count = rust("count_use_case")
        assert Job.count_tasks_by_use_case_id() == count >= sum(len(ids) for ids in made.values()), count
        counts = {int(code): count for code, count in rust("count").items()}
        for status, ids in made.items():
            theirs = len(list(Job.query_by_status(status, limit=10_000)))
            assert theirs == counts[status] >= len(ids), (status, theirs, counts)


def save_in_python(id):
    """Reads the task and puts it back, which drops the attributes that the class does not declare."""
    get(id).save()
    assert not {"attempt", "last_lock", "lost_lock", "lease_ms", "started_from", "owner"} & set(raw(id)), "the save has dropped no attribute"


def check_python_save_during_an_attempt_of_rust_breaks_nothing(rust):
    for end, status in [("succeed", SUCCEEDED), ("fail", FAILED), ("release", FAILED)]:
        id = f"saved-over-{end}"
        rust("create", id, data={"pages": 1, "customer": "acme"})
        rust("start", id)
        save_in_python(id)
        refused_in_python(id, TaskLockedError)
        rust("save", id, data={"pages": 2})
        save_in_python(id)
        rust(end, id)
        task = get(id)
        # `save` has dropped `started_from`; the Rust worker remembers the status that it has started the task from.
        assert task.status in ([PENDING] if end == "release" else [status]), task.status
        assert not task.is_locked() and task.data["pages"] == 2 and task.customer == "acme"
        if end != "succeed":
            # `save` has dropped `attempt`, which begins at 1 again.
            assert rust("start", id)["head"]["attempt"] == 1
            rust("release", id)


def check_python_save_between_attempts_breaks_nothing(rust):
    rust("create", "saved-between")
    for nth in range(2):
        rust("start", "saved-between")
        rust("fail", "saved-between", error=f"nth {nth}")
        save_in_python("saved-between")
        assert rust("head", "saved-between")["retry"] == nth + 1
    rust("start", "saved-between")
    rust("fail", "saved-between", error="last")
    save_in_python("saved-between")
    rust("redrive", "saved-between")
    save_in_python("saved-between")
    rust("start", "saved-between")
    rust("succeed", "saved-between")
    assert get("saved-between").is_succeeded() and len(get("saved-between").errors["history"]) == 3


def check_python_save_of_a_lost_workers_task_breaks_nothing(rust):
    rust("create", "saved-lost")
    rust("start", "saved-lost")
    rust("forget", "saved-lost")
    save_in_python("saved-lost")
    set_raw("saved-lost", lock_time=LONG_AGO)
    head = rust("start", "saved-lost")["head"]
    assert head["retry"] == 1 and "unknown worker" in head["errors"][0]["error"]
    rust("release", "saved-lost")
    # `save` has dropped `started_from`, and the worker that knew it is lost.
    assert get("saved-lost").is_failed()


def check_python_save_of_an_old_task_makes_the_finish_of_rust_unknown(rust):
    rust("create", "stale", data={"pages": 1})
    stale = get("stale")
    rust("start", "stale")
    stale.save()
    # The save has removed the lock: the finish fails, and leaves the task to others.
    rust.refuses("OutcomeUnknown", "succeed", "stale", data={"pages": 2})
    assert get("stale").is_pending() and get("stale").data["pages"] == 1
    with Job.start("stale"):
        pass
    assert get("stale").is_succeeded()


def check_rust_takes_over_a_finished_task_that_a_python_save_has_brought_back(rust):
    rust("create", "back", data={"pages": 1})
    rust("start", "back")
    stale = get("back")
    rust("succeed", "back", data={"pages": 2})
    stale.save()
    task = get("back")
    assert task.is_in_progress() and task.lock == stale.lock and task.data["pages"] == 1, task.data
    rust.refuses("Locked", "start", "back")
    set_raw("back", lock_time=LONG_AGO)
    rust("open", open={"table": TABLE, "no_takeover": True})
    try:
        rust.refuses("Locked", "start", "back")
    finally:
        rust("open", open={"table": TABLE})
    assert rust("start", "back")["head"]["retry"] == 1
    rust("succeed", "back", data={"pages": 3})
    assert get("back").is_succeeded() and get("back").data["pages"] == 3


def check_rust_starts_a_task_that_make_and_save_has_overwritten(rust):
    rust("create", "overwritten", data={"pages": 1})
    rust("start", "overwritten")
    rust("succeed", "overwritten")
    Job.make_and_save("overwritten", data={"pages": 9})
    assert rust("get", "overwritten")["data"]["pages"] == 9
    rust("start", "overwritten")
    rust("succeed", "overwritten")
    rust.refuses("AlreadyExists", "create", "overwritten")


def check_rust_refuses_to_create_a_task_that_python_has_made(rust):
    Job.make_and_save("exists", data={"pages": 1})
    before = raw("exists")
    rust.refuses("AlreadyExists", "create", "exists", data={"pages": 2})
    assert raw("exists") == before


def check_python_works_on_after_a_release_by_rust(rust):
    rust("create", "after-release", data={"pages": 1})
    rust("start", "after-release")
    rust("save", "after-release", data={"pages": 2})
    rust("release", "after-release")
    with Job.start("after-release") as execution:
        assert execution.task.data["pages"] == 2
    task = rust("get", "after-release")
    assert task["head"]["status"] == SUCCEEDED and task["head"]["attempt"] == 1
