"""Workers of both languages drain one table."""

import json
import subprocess
import sys
import time
from collections import Counter, defaultdict

from python_side import FAILED, IGNORED, IN_PROGRESS, PENDING, SUCCEEDED, TABLE, Job, get

RACE_TABLE = TABLE + "-race"
TASKS, WORKERS = 500, 8
# The time limit of the race in seconds, on a slow machine.
TIMEOUT = 300


def kind_of(nth):
    """Some tasks always fail, some fail once, most never."""
    return "bad" if nth % 20 == 0 else "shaky" if nth % 7 == 0 else "good"


def work(name, nth):
    """A worker in a process of its own, because each process has its own salt for the hash that picks the shards."""
    Job.Meta.table_name = RACE_TABLE
    print("ready", flush=True)
    sys.stdin.readline()
    journal = []
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        rows = list(Job.query_for_unfinished(limit=10))
        if not rows:
            done = [len(list(Job.query_by_status(status, limit=TASKS))) for status in (SUCCEEDED, IGNORED)]
            if sum(done) == TASKS:
                break
            time.sleep(0.05)
        for turn in range(min(len(rows), 10)):
            attempt(name, rows[(turn + nth * 5) % len(rows)].task_id, journal)
    else:
        sys.exit("the race has not ended in time")
    print(json.dumps(journal))


def attempt(name, id, journal):
    line = {"worker": name, "id": id, "outcome": "refused"}
    try:
        with Job.start(id) as execution:
            line["begin"] = time.time()
            line["outcome"] = "unsure"
            time.sleep(0.005)
            data = execution.task.data
            execution.set_data({**data, "pages": (data.get("pages") or 0) + 1, "text": name})
            kind = id.split("-")[0]
            line["end"] = time.time()
            if kind == "bad" or kind == "shaky" and execution.task.retry == 0:
                raise ValueError(f"{name} could not")
        line["outcome"] = "succeeded"
    except ValueError:
        line["outcome"] = "failed"
    except Exception as error:
        line["said"] = repr(error)
    if line["outcome"] != "refused":
        journal.append(line)


def check_racing_workers_of_both_languages_do_each_task_once(rust):
    rust("open", open={"table": RACE_TABLE})
    try:
        rust("create_table")
        Job.Meta.table_name, Job._connection = RACE_TABLE, None
        race(rust)
    finally:
        rust("open", open={"table": TABLE})
        Job.Meta.table_name, Job._connection = TABLE, None


def race(rust):
    ids = [f"{kind_of(nth)}-{nth}" for nth in range(TASKS)]
    for nth, id in enumerate(ids):
        if nth % 2:
            Job.make_and_save(id, data={"pages": 0, "own": nth})
        else:
            rust("create", id, data={"pages": 0})
    command = [sys.executable, __file__]
    workers = [
        subprocess.Popen(
            command + [f"python-{nth}", str(nth)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        for nth in range(WORKERS)
    ]
    try:
        # All begin together, or one side could be done before the other has loaded its modules.
        for worker in workers:
            assert worker.stdout.readline() == "ready\n", "a Python worker does not begin"
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        rust.send("race", workers=WORKERS, tasks=TASKS)
        journal = rust.receive()
        for worker in workers:
            printed, _ = worker.communicate(timeout=TIMEOUT)
            assert worker.returncode == 0, f"a Python worker has ended with {worker.returncode}"
            journal += json.loads(printed)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait()
    print(Counter((line["worker"].split("-")[0], line["outcome"]) for line in journal))

    assert not [line for line in journal if line["outcome"] == "unsure"], "an attempt without a known end"
    attempts = defaultdict(list)
    for line in sorted(journal, key=lambda line: line["begin"]):
        attempts[line["id"]].append(line)
    for id in ids:
        lines = attempts[id]
        for earlier, later in zip(lines, lines[1:]):
            assert earlier["end"] <= later["begin"], f"held twice: {earlier} and {later}"
        outcomes = Counter(line["outcome"] for line in lines)
        task = get(id)
        head = rust("head", id)
        kind = id.split("-")[0]
        failures = {"bad": 3, "shaky": 1, "good": 0}[kind]
        assert outcomes["failed"] == failures == len(task.errors["history"]) == len(head["errors"]), (id, outcomes)
        assert outcomes["succeeded"] == (kind != "bad"), f"{id}: {outcomes}"
        assert task.status == head["status"] == (IGNORED if kind == "bad" else SUCCEEDED), (id, task.status)
        assert not task.is_locked() and task.retry == head["retry"] == (3 if kind == "bad" else 0)
        # The changes of failed attempts are dropped, and a success is recorded once.
        assert task.data["pages"] == (kind != "bad"), f"{id}: {task.data}"
        assert task.data.get("own") == (int(id.split("-")[1]) if int(id.split("-")[1]) % 2 else None)
        if kind != "bad":
            assert task.data["text"] == lines[-1]["worker"]
    sides = Counter(line["worker"].split("-")[0] for line in journal)
    assert min(sides["rust"], sides["python"]) > 0, f"only one side has worked: {sides}"

    ignored = sum(kind_of(nth) == "bad" for nth in range(TASKS))
    expected = {PENDING: 0, IN_PROGRESS: 0, FAILED: 0, SUCCEEDED: TASKS - ignored, IGNORED: ignored}
    assert {int(code): count for code, count in rust("count").items()} == expected
    for status, count in expected.items():
        theirs = sorted(task.task_id for task in Job.query_by_status(status, limit=TASKS))
        assert len(theirs) == count and theirs == sorted(rust("query", codes=[status])), status
    assert Job.count_tasks_by_use_case_id() == rust("count_use_case") == TASKS


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]))
