//! What the tests share: the databases, a world for each test with its own table, clock and network, and the tracked
//! types of an imaginary pipeline.

mod backend;
mod blocked_run;
mod clock;
mod probe;
mod types;
mod world;

use std::pin::Pin;

pub use backend::{Backend, local_config};
pub use blocked_run::{
    BlockedRun, advance_through_heartbeat, let_other_tasks_run, wait_until_heartbeat_sleeps,
};
pub use clock::TestClock;
pub use probe::{Probe, Spent, Units};
pub use tracker_core::testing::Fault;
pub use types::{Document, ExtractStatus, Summary, SummaryStatus};
pub use world::{Item, World, data_member, entry, history, ids, number, stored_wait, task_ids, text, time};

/// A test, which is run once in each database, in a world of its own.
#[derive(Clone)]
pub struct Test {
    pub name: String,
    pub run: fn(World) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Lists the tests of a module, by the names of their functions. A test that is not listed is an unused function.
#[macro_export]
macro_rules! tests {
    ($($test:ident),* $(,)?) => {
        pub fn tests() -> Vec<$crate::support::Test> {
            let module = module_path!().split_once("::").map_or("", |(_, module)| module);
            vec![$($crate::support::Test {
                name: format!("{module}::{}", stringify!($test)),
                run: |world| Box::pin($test(world)),
            }),*]
        }
    };
}

/// Lists the modules of a folder whose tests are run.
#[macro_export]
macro_rules! test_modules {
    ($($module:ident),* $(,)?) => {
        pub fn tests() -> Vec<$crate::support::Test> {
            [$($module::tests()),*].concat()
        }
    };
}
