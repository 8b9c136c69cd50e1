"""Runs the checks: `run.py DRIVER [PART-OF-A-NAME]`. tests/interop starts it beside DynamoDB Local."""

import contextlib
import io
import os
import sys
import time
import traceback

import checks_of_operator
import checks_of_python
import checks_of_rust
import checks_of_work
import race
from driver import Rust


def chosen(part):
    """The checks whose names contain a part, with spaces as they are printed, or with underscores as in the code."""
    checks = []
    for module in [checks_of_rust, checks_of_python, checks_of_work, race, checks_of_operator]:
        checks += [(name, check) for name, check in vars(module).items() if name.startswith("check_")]
    wanted = [name for name, _ in checks if part.replace(" ", "_") in name[len("check_") :]]
    if not wanted:
        print(f"interop: no check has {part!r} in its name", file=sys.stderr)
        sys.exit(2)
    # The check that creates the table always runs.
    wanted.append("check_rust_creates_the_table")
    return [(name, check) for name, check in checks if name in wanted]


def main(program, part=""):
    checks = chosen(part)
    rust = Rust(program, os.environ["TRACKER_DYNAMODB_ENDPOINT"])
    begin = time.monotonic()
    passed, failed = 0, 0
    for name, check in checks:
        printed = io.StringIO()
        name = name[len("check_") :].replace("_", " ")
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                check(rust)
            passed += 1
            print(f"ok {name}", flush=True)
        except Exception as error:
            failed += 1
            why = str(error) or type(error).__name__
            print(f"FAILED {name}: {why}", flush=True)
            print(printed.getvalue() + traceback.format_exc(limit=-2, chain=False), file=sys.stderr, flush=True)
    rust.end()
    print(f"interop: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
