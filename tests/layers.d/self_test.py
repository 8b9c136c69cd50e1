"""Shows that the check can fail: small trees, each with what must be reported of it, and nothing else."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from check import Core, Rules, support

SRC = "tracker-core/src/"
SUPPORT = "tests/integration/support/"


class Tree(NamedTuple):
    name: str
    files: dict[str, str]
    expected: list[str]


# No line of this file imports from `worker`.
TRAPS = r"""//! See [`Worker`](crate::worker::Worker).
use crate::error::{self, Error as Failed, kind::{Kind, *}};

/// As in [`crate::worker`]: /* no comment begins here
pub(in crate::worker) struct Item<'a>(pub(crate) &'a str, pub Failed);
/* a comment /* inside another */ use crate::worker::Worker; */
#[serde(deserialize_with = "crate::worker::read")]
fn texts<'a>(item: Item<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
    let _ = ('"', "crate::worker::a", "\" crate::worker::b", '\'', b'\\', 'x: loop { break 'x });
    let _ = ['\u{22}','"', "crate::worker::c", r"\", r#"" crate::worker::d"#, cr##""# crate::worker::e "##];
    crate::exported!(item.crate_worker, r#crate);
    self::error::Error::new("// crate::worker::f", 1..2)
}

macro_rules! exported {
    ($name:path) => { use $name; use $crate::error::Error; };
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    mod more {
        use crate::fuzzing::sample;
    }
}
"""

TREES = [
    Tree(
        "a correct tree",
        {
            "lib.rs": "mod error;\npub mod fuzzing;\nmod item;\nmod time;\nmod query;\nmod testing;\nmod embedded;\n"
            "mod inner { pub fn f() {} }\nfn g() { self::inner::f() }\n"
            '#[doc(hidden)]\n#[path = "private.rs"]\npub mod __private;\n'
            "mod worker;\npub use self::worker::Worker;\npub use self::fuzzing::sample;\n",
            "private.rs": "pub use crate::error::Error;\npub use crate::fuzzing::sample;\n",
            # It re-exports its children, which all import it: no circle.
            "worker/mod.rs": "mod a;\nmod b;\nmod c;\nmod d;\n#[cfg(test)]\nmod simulation;\n"
            "pub use self::a::A;\npub(crate) use self::b::B;\npub(crate) use self::b::*;\npub use c::C as See;\n"
            "pub struct Worker;\nfn f(x: fn() -> u8) { x.A(); }\n",
            "worker/a.rs": "use super::Worker;\nuse super::b::B;\nuse crate::error::kind::Kind;\n",
            "worker/b.rs": "use crate::worker::Worker;\nuse super::c::C;\n",
            "worker/c.rs": "use super::super::worker::d::D;\nfn f() { crate::time::now() }\n",
            "worker/d.rs": "use super::Worker;\n#[cfg(test)]\nmod tests { use super::super::a::A; }\n",
            "worker/simulation.rs": "use super::a::A;\nuse crate::fuzzing::sample;\n",
            "error/mod.rs": "pub mod kind;\npub use self::kind::Kind;\npub struct Error;\n",
            "error/kind.rs": "use crate::time::Time;\n",
            "query.rs": "mod merge;\n",
            "query/merge.rs": "use super::Query;\n",
            "testing.rs": "use crate::embedded::Client;\n",
            "embedded.rs": "#[cfg(test)]\nmod tests { use crate::testing::Fault; }\n",
            "item.rs": TRAPS.replace("crate::error", "crate::time").replace("self::error", "self::time"),
            "time.rs": "// a line\n" * 400,
            "fuzzing/mod.rs": "pub mod sample;\n",
            "fuzzing/sample.rs": "use crate::worker::Worker;\n" + "// a line\n" * 400,
            ".hidden": "",
            **{f"{number}.txt": "" for number in range(11)},
        },
        [],
    ),
    Tree(
        "upward imports",
        {
            "lib.rs": "mod error;\nmod lifecycle;\nmod time;\nmod worker;\nmod testing;\npub use self::error::Error;\n"
            '#[path = "private.rs"]\nmod __private;\n',
            "private.rs": "",
            "lifecycle/mod.rs": "mod run;\n",
            "lifecycle/run.rs": "use std::fmt;\nuse crate::{\n    error::Error,\n"
            "    worker::{self, slot::Slot as S},\n};\n",
            "error.rs": "use super::worker;\n\nfn f() -> crate::worker::slot::Slot { crate::time::now() }\n"
            "fn g<'a>(_: &'a str) -> impl Sized + use<'a> { crate::worker::g() }\n"
            "fn h() { crate::Error::new() }\n",
            "time.rs": "use crate::Error;\nmod tests {\n    use super::super::testing::*;\n}\n"
            "#[cfg(test)]\nmod more {\n    use crate::testing::clock;\n    use crate::error::Error;\n}\n",
            "worker/mod.rs": "pub mod slot;\nuse crate::__private::A;\n",
            "worker/slot.rs": "",
            "testing.rs": "use crate::worker::slot;\nuse crate::Error;\n"
            "#[cfg(test)]\nmod tests { use crate::time::Clock; }\n",
        },
        [
            "error.rs:1: `use super::worker` runs upwards: error imports from worker",
            "error.rs:3: `crate::worker::slot::Slot` runs upwards: error imports from worker",
            "error.rs:4: `crate::worker::g` runs upwards: error imports from worker",
            "error.rs:5: `crate::Error::new` runs upwards: error imports from lib.rs",
            "lifecycle/run.rs:4: `use crate::worker::slot::Slot` runs upwards: lifecycle imports from worker",
            "lifecycle/run.rs:4: `use crate::worker` runs upwards: lifecycle imports from worker",
            "testing.rs:2: `use crate::Error` runs upwards: testing imports from lib.rs",
            "time.rs:1: `use crate::Error` runs upwards: time.rs imports from lib.rs",
            "time.rs:3: `use super::super::testing::*` runs upwards: time.rs imports from testing, "
            "which stands beside the layers",
            "time.rs:8: `use crate::error::Error` runs upwards: time.rs imports from error",
            "worker/mod.rs:2: `use crate::__private::A` runs upwards: worker imports from private.rs",
        ],
    ),
    Tree(
        "circles across folders",
        {
            "lib.rs": "mod dynamodb;\nmod query;\nmod tracker;\nmod testing;\nmod embedded;\n",
            "query/mod.rs": "mod merge;\n",
            "query/merge.rs": "use crate::tracker::Tracker;\n",
            "tracker.rs": "use crate::dynamodb::get;\n",
            "dynamodb.rs": "use std::fmt;\nuse crate::query::merge::Merge;\n",
            "testing.rs": "use crate::embedded::Client;\n",
            "embedded.rs": "\nuse crate::testing::Fault;\n",
        },
        [
            "dynamodb.rs:2: `use crate::query::merge::Merge` runs upwards: dynamodb imports from query; "
            "this closes a circle: dynamodb -> query -> tracker -> dynamodb",
            "testing.rs:1: `use crate::embedded::Client` closes a circle of 2 folders: embedded.rs, testing",
        ],
    ),
    Tree(
        "modules that the table lacks",
        {
            "lib.rs": "mod time;\nmod utils;\npub use self::utils::Helper;\n",
            "time.rs": "use crate::{utils::Helper, missing::Thing};\n",
            "utils.rs": "use crate::time::Clock;\n",
            "item.rs": "",
        },
        [
            "item.rs:1: no `mod` declares this file",
            "lib.rs:2: `mod utils` is not in the list of layers",
            "lib.rs:3: `use self::utils::Helper` imports from utils, which is not in the list of layers",
            "time.rs:1: `use crate::missing::Thing` imports from missing, which is not in the list of layers",
            "time.rs:1: `use crate::utils::Helper` imports from utils, which is not in the list of layers",
        ],
    ),
    Tree(
        "a circle of four files",
        {
            "lib.rs": "mod bulk;\nmod item;\nmod worker;\n",
            "worker/mod.rs": "mod a;\nmod b;\nmod c;\nmod d;\npub(crate) use self::b::B;\n",
            # Through a re-export; without the import in c.rs no circle is left.
            "worker/a.rs": "use super::B;\n",
            "worker/b.rs": "use super::c::C;\n",
            "worker/c.rs": "fn f() { crate::worker::d::D::new() }\n",
            "worker/d.rs": "use std::fmt;\n\nuse super::a::A;\nuse super::c::C;\n",
            # Three are allowed.
            "item/mod.rs": "mod a;\nmod b;\nmod c;\n",
            "item/a.rs": "use super::b::B;\n",
            "item/b.rs": "use super::c::C;\n",
            "item/c.rs": "use super::a::A;\n",
            # The code of this `mod.rs` uses what it re-exports, and a child by its name alone.
            "bulk/mod.rs": "mod a;\nmod b;\nmod c;\npub use self::a::A;\npub struct Bulk(A);\n"
            "fn f() { b::f(); self::c::f() }\n",
            "bulk/a.rs": "use super::Bulk;\n",
            "bulk/b.rs": "use super::Bulk;\n",
            "bulk/c.rs": "use super::Bulk;\n",
        },
        [
            "bulk/mod.rs:6: `self::c::f` closes a circle of 4 files: bulk/a.rs, bulk/b.rs, bulk/c.rs, bulk/mod.rs",
            "worker/c.rs:1: `crate::worker::d::D::new` closes a circle of 4 files: "
            "worker/a.rs, worker/b.rs, worker/c.rs, worker/d.rs",
        ],
    ),
    Tree(
        "too large",
        {
            "lib.rs": "mod time;\nmod fuzzing;\n",
            "time.rs": "// a line\n" * 401,
            "fuzzing/mod.rs": "// a line\n" * 401,
            **{f"{number}.txt": "" for number in range(21)},
        },
        [
            "lib.rs:1: tracker-core/src has 24 entries; at most 23 are allowed",
            "time.rs:401: the file has 401 lines; at most 400 are allowed",
        ],
    ),
    Tree(
        "test support that imports a test",
        {
            "lib.rs": "",
            "/tests/integration/main.rs": "mod support;\nmod chaos;\nuse support::World;\n",
            "/tests/integration/chaos.rs": "use crate::support::World;\n",
            f"/{SUPPORT}mod.rs": "mod world;\npub use world::World;\n",
            f"/{SUPPORT}world.rs": "use super::World;\nuse crate::{chaos::Storm, support::World as W};\n",
        },
        [f"/{SUPPORT}world.rs:2: `use crate::chaos::Storm` leaves the test support: support imports from chaos"],
    ),
]


def place(path: str) -> str:
    """A path of a tree, which begins in tracker-core/src, or with `/` at the root of the repository."""
    return path[1:] if path.startswith("/") else SRC + path


def self_test(rules: Rules) -> int:
    """Checks every tree, and returns how many there are."""
    for tree in TREES:
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory).resolve()
            for path, text in tree.files.items():
                file = root / place(path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            found = [str(violation) for violation in Core(root, rules).violations() + support(root)]
        expected = [place(line) for line in tree.expected]
        if found != expected:
            lines = [f"layers: the self-test failed: {tree.name}", "expected:", *expected, "found:", *found]
            raise SystemExit("\n".join(lines))
    return len(TREES)
