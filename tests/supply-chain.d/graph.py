"""What cargo-deny sees of the dependencies.

cargo-deny 0.20.2 loses an optional dependency, and all that is below, if its library has another name than the package
and is built as `cdylib` and `rlib`. `dynoxide-rs`, with its SQLite, is one. (The fix of
https://github.com/EmbarkStudios/cargo-deny/issues/843 looks for the kind `lib` alone.)

usage: graph.py metadata          prints cargo's metadata, in which every such library has the kind `lib` as well
       graph.py complete FILE     checks that cargo-deny sees, with the metadata of FILE, what cargo compiles
"""

import json
import subprocess
import sys


def output(*command: str) -> str:
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout


def metadata() -> dict:
    found = json.loads(output("cargo", "metadata", "--format-version", "1", "--locked", "--all-features"))
    for package in found["packages"]:
        for target in package["targets"]:
            if "rlib" in target["kind"] and "lib" not in target["kind"]:
                target["kind"].append("lib")
    return found


def missing(path: str) -> list[str]:
    """The crates that cargo compiles on this machine, and cargo-deny does not see."""
    shape = ("--edges", "normal,build", "--prefix", "none", "--no-dedupe")
    tree = output("cargo", "tree", "--locked", "--workspace", "--all-features", *shape)
    compiled = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    shape = ("--format", "json", "--layout", "crate")
    listed = json.loads(output("cargo", "deny", "--metadata-path", path, "--workspace", "list", *shape))
    seen = {(name, f"v{version}") for name, version, *_ in map(str.split, listed)}
    return [" ".join(crate) for crate in sorted(compiled - seen)]


def main(command: str, *arguments: str) -> int:
    if command == "metadata":
        json.dump(metadata(), sys.stdout)
        return 0
    lost = missing(*arguments)
    print(*(f"supply-chain: cargo-deny does not see {crate}" for crate in lost), sep="\n", end="\n" if lost else "")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
