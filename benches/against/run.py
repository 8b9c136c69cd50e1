"""Runs the sides in turns: `run.py PROGRAM [OPTION]...`. `benches/against-pynamodb-mate` starts this script together with
DynamoDB Local, and documents the options."""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

import shares
from pynamodb_mate.patterns.status_tracker.api import BaseTask, StatusAndUpdateTimeIndex, TrackerConfig

TABLE = "against"
PENDING, IN_PROGRESS, FAILED, SUCCEEDED, IGNORED = 10, 12, 14, 16, 18
SHARDS = [5, 5, 5, 10, 5]
AT_ONCE = 16
ONE, MANY, QUERY, REFRESH = "lifecycle, 1 at a time", f"lifecycle, {AT_ONCE} at a time", "query", "refresh"
# Lifecycles of one side in a row.
SLICE = 50
# Turns of each side while perf records.
TURNS = 40


class Index(StatusAndUpdateTimeIndex):
    pass


class Base(BaseTask):
    class Meta:
        table_name = TABLE
        region = os.environ["AWS_REGION"]
        host = os.environ["TRACKER_DYNAMODB_ENDPOINT"]
        billing_mode = "PAY_PER_REQUEST"

    status_and_update_time_index = Index()


class Document(Base):
    config = TrackerConfig.make("against", PENDING, IN_PROGRESS, FAILED, SUCCEEDED, IGNORED, *SHARDS, max_retry=3)


class Waiting(Base):
    config = TrackerConfig.make("waiting", PENDING, IN_PROGRESS, FAILED, SUCCEEDED, IGNORED, *SHARDS, max_retry=3)


class Python:
    name = "pynamodb_mate"

    def measured(self, work):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return time.perf_counter() - wall, time.process_time() - cpu

    def lifecycles(self, prefix, count, concurrency):
        def work():
            for nth in range(count):
                with Document.start(f"{prefix}-{nth}") as execution:
                    data = execution.task.data
                    execution.set_data({**data, "pages": data["pages"] + 1})

        assert concurrency == 1
        return self.measured(work)

    def query(self, count):
        def work():
            assert len(Waiting.query_by_status(PENDING, limit=count).all()) == count

        return self.measured(work)

    def refresh(self, count):
        def work():
            tasks = Waiting.query_by_status(PENDING, limit=count, auto_refresh=True).all()
            assert sum(task.data["pages"] == 12 for task in tasks) == count

        return self.measured(work)


class Rust:
    def __init__(self, name, program, side, before=()):
        self.name = name
        self.process = subprocess.Popen(
            [*before, program, side, "--table", TABLE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.name} exited unexpectedly; its error is above")
        return answer.split()

    def measured(self, *words):
        wall, cpu = map(float, self.tell(*words))
        return wall, cpu

    def lifecycles(self, prefix, count, concurrency):
        return self.measured("lifecycles", prefix, count, concurrency)

    def query(self, count):
        return self.measured("query", count)

    def refresh(self, count):
        return self.measured("refresh", count)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Found:
    """The measurements: for each measure a list of rounds, each with (wall, CPU) by side."""

    def __init__(self):
        self.rounds = {}

    def add(self, measure, of_sides):
        self.rounds.setdefault(measure, []).append(of_sides)

    def median(self, measure, side, what):
        return statistics.median(of_sides[side][what] for of_sides in self.rounds[measure])

    def ratio(self, measure, over, under, what):
        ratios = sorted(of[over][what] / of[under][what] for of in self.rounds[measure])
        quarter = len(ratios) // 4
        return statistics.median(ratios), ratios[quarter], ratios[-1 - quarter]


WALL, CPU = 0, 1


def lifecycles(sides, raw, nth, at_once, count):
    """Measures in slices, so that other work on the machine affects all sides equally."""
    used = {side.name: (0, 0) for side in sides}
    slices = [min(SLICE, count - begin) for begin in range(0, count, SLICE)]
    for turn, some in enumerate(slices):
        for side in in_turn(sides, nth + turn):
            prefix = f"{side.name}-{nth}-{at_once}-{turn}"
            raw.tell("create", "against", prefix, some)
            used[side.name] = tuple(map(sum, zip(used[side.name], side.lifecycles(prefix, some, at_once))))
    return used


def in_turn(sides, nth):
    first = nth % len(sides)
    return sides[first:] + sides[:first]


def rounds(arguments, python, tracker, raw):
    found = Found()
    tracker.tell("table")
    tracker.tell("create", "waiting", "task", arguments.waiting)
    # The first round only warms up.
    for nth in range(arguments.rounds + 1):
        print(f"\rround {nth} of {arguments.rounds}", end="", file=sys.stderr, flush=True)
        of_sides = {
            ONE: lifecycles([python, tracker, raw], raw, nth, 1, arguments.tasks),
            MANY: lifecycles([tracker, raw], raw, nth, AT_ONCE, arguments.tasks),
        }
        # A third of the rounds is enough: these take the longest, and their ratios are large.
        if nth % 3 == 0:
            sides = in_turn([python, tracker, raw], nth // 3)
            of_sides[QUERY] = {side.name: side.query(arguments.waiting) for side in sides}
            of_sides[REFRESH] = {side.name: side.refresh(arguments.waiting) for side in sides}
        if nth > 0:
            for measure, of in of_sides.items():
                found.add(measure, of)
    print(file=sys.stderr)
    return found


def report(arguments, found):
    for measure, of_rounds in found.rounds.items():
        each = arguments.tasks if measure in (ONE, MANY) else 1
        for side in of_rounds[0]:
            wall, cpu = (found.median(measure, side, what) / each * 1000 for what in (WALL, CPU))
            rate = f"   {1000 / wall:6.0f}/s" if measure in (ONE, MANY) else ""
            print(f"{measure:<25} {side:<14} wall {wall:8.2f} ms   CPU {cpu:8.2f} ms{rate}")
    print("\nratios within a round: median (and the middle half of the rounds)")
    for title, measure, over, under, what, digits in [
        ("tracker/raw wall: {}", ONE, "tracker", "raw", WALL, 2),
        ("tracker/raw CPU: {}", ONE, "tracker", "raw", CPU, 2),
        (f"tracker/raw wall, {AT_ONCE} at a time: {{}}", MANY, "tracker", "raw", WALL, 2),
        (f"tracker/raw CPU, {AT_ONCE} at a time: {{}}", MANY, "tracker", "raw", CPU, 2),
        ("pynamodb_mate/raw wall: {}", ONE, "pynamodb_mate", "raw", WALL, 1),
        ("pynamodb_mate/raw CPU: {}", ONE, "pynamodb_mate", "raw", CPU, 1),
        ("pynamodb_mate/tracker wall: {}", ONE, "pynamodb_mate", "tracker", WALL, 1),
        ("pynamodb_mate/tracker CPU: {}", ONE, "pynamodb_mate", "tracker", CPU, 1),
        ("query: {} times as fast", QUERY, "pynamodb_mate", "tracker", WALL, 1),
        ("refresh: {} times as fast", REFRESH, "pynamodb_mate", "tracker", WALL, 1),
        ("refresh by hand: {} times as fast", REFRESH, "pynamodb_mate", "raw", WALL, 1),
        ("refresh, pynamodb_mate/tracker CPU: {}", REFRESH, "pynamodb_mate", "tracker", CPU, 1),
    ]:
        middle, low, high = (f"{ratio:.{digits}f}" for ratio in found.ratio(measure, over, under, what))
        print(title.format(middle), f"({low} to {high})")


def profile(arguments, raw):
    """Records both sides in turns with perf. Writes the number of lifecycles and their CPU beside each recording."""
    directory = pathlib.Path(arguments.perf)
    directory.mkdir(parents=True, exist_ok=True)
    raw.tell("table")
    # perf copies the stacks and unwinds them later, because the release build has no frame pointers.
    record = ["perf", "record", "--quiet", "-F", "999", "--call-graph", "dwarf,16384", "-o"]
    sides = {
        side: Rust(side, arguments.program, side, [*record, directory / f"{side}.perf"])
        for side in ["tracker", "by-hand"]
    }
    used = dict.fromkeys(sides, 0)
    for nth in range(TURNS):
        for side, recorded in sides.items():
            raw.tell("create", "against", f"{side}-{nth}", arguments.tasks)
            used[side] += recorded.lifecycles(f"{side}-{nth}", arguments.tasks, 1)[CPU]
    for side, recorded in sides.items():
        recorded.end()
        (directory / f"{side}.txt").write_text(f"{TURNS * arguments.tasks} {used[side]}\n")


def main():
    at_least_one = lambda text: max(1, int(text))
    parser = argparse.ArgumentParser(prog="against-pynamodb-mate")
    parser.add_argument("program")
    parser.add_argument("--rounds", type=at_least_one, default=25)
    parser.add_argument("--tasks", type=at_least_one, default=200)
    parser.add_argument("--waiting", type=at_least_one, default=1000)
    parser.add_argument("--perf")
    arguments = parser.parse_args()
    raw = Rust("raw", arguments.program, "by-hand")
    if arguments.perf:
        profile(arguments, raw)
        return shares.main(pathlib.Path(arguments.perf))
    # Only every third round queries, so fewer rounds would have no query after the warm-up.
    arguments.rounds = max(arguments.rounds, 3)
    report(arguments, rounds(arguments, Python(), Rust("tracker", arguments.program, "tracker"), raw))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
