"""Computes which crate uses how much CPU: `shares.py DIRECTORY`. DIRECTORY holds the recordings that
`benches/against-pynamodb-mate --perf DIRECTORY` makes of both sides. Prints microseconds per lifecycle, and a table for
benches/README.md."""

import pathlib
import re
import subprocess
import sys
from collections import Counter

# The part to which a function belongs, by its crate. A function of any other crate (libc, std, uuid, chrono, serde_json, ..)
# counts for the part that called it.
PARTS = {
    "tracker-core": r"tracker_core|tracker_derive",
    "the bench": r"against",
    "SDK: aws-sdk, aws-runtime, smithy": r"aws_\w+|ring|sha2|hmac|digest|crypto_common",
    "SDK: its HTTP client (hyper, http)": r"hyper\w*|http|http_body\w*|httparse|tower\w*|bytes|want|h2",
    "tokio, with mio": r"tokio\w*|mio|parking_lot\w*|futures_\w+",
}
CRATES = [(part, re.compile(rf"(?<![\w:])(?:{crates})(?=::)")) for part, crates in PARTS.items()]
KERNEL = [
    ("kernel: sending and receiving", r"tcp_|sock_|__x64_sys_(writev?|readv?|sendto|recvfrom|sendmsg|recvmsg)\b"),
    ("kernel: waiting and waking (epoll, futex, timers)", r"epoll|futex|eventfd|schedule|timerfd|nanosleep|sched_yield"),
    ("kernel: other (memory, interrupts)", r""),
]
ORDER = [*PARTS, *(part for part, _ in KERNEL), "unknown"]


def samples(recorded):
    """Yields each stack, innermost function first, as pairs of a function and whether it belongs to the kernel."""
    command = ["perf", "script", "-i", str(recorded), "--no-inline", "-F", "comm,event,ip,sym,dso"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8") as script:
        stack = []
        for line in script.stdout:
            if line.startswith(("\t", " ")):
                _, rest = line.split(maxsplit=1)
                function, _, file = rest.rstrip().rpartition(" (")
                stack.append((function, file.startswith("[")))
            elif stack:
                yield stack
                stack = []
        if stack:
            yield stack


def crate_of(function):
    found = [(match.start(), part) for part, crates in CRATES if (match := crates.search(function))]
    return min(found)[1] if found else None


def part_of(stack):
    """Returns the part of a stack, and the function that counts for it."""
    if stack[0][1] and stack[0][0] != "[unknown]":
        kernel = " ".join(function for function, is_kernel in stack if is_kernel)
        part = next(part for part, names in KERNEL if re.search(names, kernel))
        call = next((function for function, is_kernel in stack if not is_kernel), "")
        return part, call
    for function, _ in stack:
        if part := crate_of(function):
            return part, function
    return "unknown", stack[0][0]


def sum_up(directory, side):
    lifecycles, cpu = (directory / f"{side}.txt").read_text().split()
    parts, functions = Counter(), Counter()
    for stack in samples(directory / f"{side}.perf"):
        part, function = part_of(stack)
        parts[part] += 1
        functions[part, function] += 1
    each = float(cpu) * 1e6 / int(lifecycles) / parts.total()
    return parts, functions, each


def main(directory):
    sides = {side: sum_up(directory, side) for side in ["tracker", "by-hand"]}
    ours, _, each = sides["tracker"]
    theirs, _, their_each = sides["by-hand"]
    print("| | tracker | share | by hand |\n|---|--:|--:|--:|")
    for part in ORDER:
        if ours[part] or theirs[part]:
            share = 100 * ours[part] / ours.total()
            print(f"| {part} | {ours[part] * each:.0f} us | {share:.0f} % | {theirs[part] * their_each:.0f} us |")
    print(f"| all | {ours.total() * each:.0f} us | 100 % | {theirs.total() * their_each:.0f} us |")
    for side, (parts, functions, each) in sides.items():
        for part in ORDER:
            print(f"\n{side}, {part}, us per lifecycle:")
            of_part = Counter({function: count for (of, function), count in functions.items() if of == part})
            for function, count in of_part.most_common(10):
                print(f"  {count * each:6.1f}  {function}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
