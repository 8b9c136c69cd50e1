"""An operator works on tasks of Python, and Python on tasks that an operator has changed. The table keeps no description."""

from checks_of_work import fail_in_python, started_in_python
from python_side import FAILED, IGNORED, IN_PROGRESS, PENDING, SUCCEEDED, Job, get, raw, set_raw

LONG_AGO = {"S": "2026-01-01T00:00:00.000000+0000"}


def check_operator_shows_a_task_of_python(rust):
    Job.make_and_save("op-show", data={"pages": 3})
    fail_in_python("op-show")
    task = rust("operator_get", "op-show")
    assert (task["status_code"], task["role"], task["data"]) == (FAILED, "failed", {"pages": 3}), task
    assert task["history"][0]["error"] == "ValueError('in python')" and "by" not in task["history"][0], task
    errors = rust("operator_errors")
    assert any(group["error"] == "ValueError('in python')" for group in errors["groups"]), errors


def check_python_works_on_what_an_operator_has_redriven(rust):
    Job.make_and_save("op-redrive")
    for _ in range(3):
        fail_in_python("op-redrive")
    assert get("op-redrive").status == IGNORED
    redriven = rust("operator_redrive_all")
    assert redriven["done"] >= 1 and redriven["failed"] == 0, redriven
    task = get("op-redrive")
    assert (task.status, task.retry) == (PENDING, 0)
    # Without a description in the table, an operator writes to the first shard, which every program reads.
    assert raw("op-redrive")["value"]["S"].endswith("____001")
    entry = task.errors["history"][-1]
    assert (entry["error"], entry["by"], entry["reason"]) == ("redriven by hand", "alice", "by hand"), entry
    with started_in_python("op-redrive"):
        pass
    after = get("op-redrive")
    assert after.status == SUCCEEDED and len(after.errors["history"]) == 4, after.errors


def check_python_keeps_what_the_history_says_of_attempts(rust):
    Job.make_and_save("op-history")
    rust("start", "op-history")
    rust("fail", "op-history", error="in rust")
    fail_in_python("op-history")
    first, second = get("op-history").errors["history"]
    assert (first["attempt"], first["owner"]) == (1, "rust") and first["seconds"] >= 0, first
    assert second["error"] == "ValueError('in python')", second


def check_operator_cancels_and_releases_tasks_of_python(rust):
    Job.make_and_save("op-cancel")
    rust("operator_cancel", "op-cancel")
    assert get("op-cancel").status == IGNORED
    Job.make_and_save("op-release")
    set_raw("op-release", status={"N": str(IN_PROGRESS)}, lock={"S": "a-python-worker"}, lock_time=LONG_AGO)
    released = rust("operator_release", "op-release")
    assert released["done"] == 1, released
    task = get("op-release")
    assert (task.status, task.lock, task.retry) == (FAILED, "__not_locked__", 1), raw("op-release")
    with started_in_python("op-release"):
        pass
    assert get("op-release").status == SUCCEEDED


def check_python_does_not_know_a_pause(rust):
    Job.make_and_save("op-pause")
    Job.make_and_save("op-pause-rust")
    rust("operator_pause")
    with started_in_python("op-pause"):
        pass
    assert get("op-pause").status == SUCCEEDED
    paused = rust("operator_drain")
    assert paused["paused_until"] and paused["succeeded"] == 0, paused
    assert get("op-pause-rust").status == PENDING
    assert rust("operator_resume") is True
    assert rust("operator_drain")["succeeded"] >= 1
    assert get("op-pause-rust").status == SUCCEEDED
