//! What the tests share: the databases, a world for each test with its own table, clock and network, and the tracked
//! types of an imaginary pipeline.

mod backend;
mod blocked_run;
mod clock;
mod effects;
mod gateway;
mod guard;
mod heartbeats;
mod layout;
mod other_tables;
mod probe;
mod proxy;
mod stream;
mod types;
mod world;

use std::pin::Pin;

pub use backend::{Backend, local_config};
pub use blocked_run::{BlockedRun, advance_through_heartbeat, wait_until_heartbeat_sleeps};
pub use clock::TestClock;
pub use effects::counter_item;
pub use gateway::Gateway;
pub use guard::Guard;
pub use heartbeats::heartbeat_channel;
pub use layout::{foreign_names, layout, neighbour};
pub use probe::{Probe, Spent, Units};
pub use proxy::Proxy;
pub use tracker_core::testing::Fault;
pub use types::{Document, ExtractStatus, Summary, SummaryStatus};
pub use world::{Item, World, data_member, entry, history, ids, number, stored_wait, task_ids, text, time};

/// Panics on purpose, without the message that a real panic prints.
pub fn panic_quietly(message: &'static str) -> ! {
    std::panic::resume_unwind(Box::new(message))
}

/// What a test cannot bear of a database that behaves like AWS.
#[derive(Debug, Clone, Copy)]
pub struct OnAwsLike {
    /// Whether the test reads right after a write, with a clock that stands still.
    pub reads_at_once: bool,
    /// Whether the test counts the requests of batches, or sends a batch without any retry.
    pub whole_batches: bool,
    /// Whether the test itself lets a database behave like AWS.
    pub wraps_database: bool,
}

/// What a test runs.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// On each database, in a world of its own.
    OnEach(fn(World) -> Pin<Box<dyn Future<Output = ()>>>),
    /// Once, because the test needs no database.
    Once(fn() -> Pin<Box<dyn Future<Output = ()>>>),
}

/// A test. `#[database_test]` registers it.
#[derive(Debug)]
pub struct Test {
    /// The path of the function.
    pub name: &'static str,
    /// Whether the database must have an address, because the test starts processes or cuts connections.
    pub needs_endpoint: bool,
    /// Whether the test takes minutes by the machine's clock.
    pub takes_real_time: bool,
    /// What the test cannot bear of a database that behaves like AWS.
    pub on_aws_like: OnAwsLike,
    /// Whether the test is about a table with the tracker's own layout.
    pub needs_own_layout: bool,
    pub run: Run,
}

inventory::collect!(Test);

impl Test {
    /// Returns every test, by name.
    pub fn all() -> Vec<&'static Self> {
        let mut tests: Vec<_> = inventory::iter::<Self>().collect();
        tests.sort_by_key(|test| test.name);
        tests
    }

    /// Returns the name without the name of the binary.
    pub fn short_name(&self) -> &'static str {
        self.name.split_once("::").map_or(self.name, |(_, name)| name)
    }
}
