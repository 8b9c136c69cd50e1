//! Simulates many workers on one table, in simulated time.
//!
//! The workers decide with the code of `tracker-core`: its files are compiled into this crate. The table is simulated: an index
//! that lags, partitions that throttle, and requests that take their time. `benches/README.md` has the results.

// `cargo test NAME` compiles every library for tests, and those of the files of `tracker-core` run there.
#![cfg(not(test))]
// Counts and times are too small to be rounded or cut.
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
// An internal crate.
#![allow(missing_docs)]

mod chance;
mod counts;
mod events;
mod fleet;
mod partitions;
mod requests;
mod search;
mod settings;
mod table;
mod worker_state;

pub use chance::Spread;
pub use counts::{Figures, Histogram, Requests, Second};
pub use fleet::run;
pub use settings::{Arrivals, Cell, Impossible, Settings, Setup};

/// The decisions of the workers: files of `tracker-core`, which need no other part of it.
#[allow(dead_code, unreachable_pub, unused_imports, reason = "the simulation uses only a part of them")]
#[path = "../../../tracker-core/src"]
mod decisions {
    #[path = "worker"]
    pub(crate) mod worker {
        pub(crate) mod claims;
        pub(crate) mod pace;
        pub(crate) mod reading;
        pub(crate) mod rivals;
    }
    #[path = "dynamodb"]
    pub(crate) mod dynamodb {
        pub(crate) mod due;
    }
    #[path = "protocol"]
    pub(crate) mod protocol {
        pub(crate) mod expected;
    }
    pub(crate) mod time;
}
// Where these files look for each other.
use decisions::{dynamodb, protocol, time, worker};

/// How many shards a load needs: files of the example `shard_planner`.
#[allow(dead_code, unreachable_pub, reason = "the simulation uses only a part of them")]
#[path = "../../../examples/shard_planner"]
mod planner {
    pub mod chance;
    pub mod plan;
    pub mod simulation;
}
