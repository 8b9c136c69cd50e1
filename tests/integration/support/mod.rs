//! What the tests stand on: the backends, a world of its own for each test, with the clock and the network of
//! `tracker_core::testing`, and the tracked types of an imaginary pipeline.

mod backend;
mod clock;
mod probe;
mod running;
mod types;
mod world;

use std::pin::Pin;

pub use backend::{Backend, local};
pub use clock::TestClock;
pub use probe::{Probe, Spent, Units};
pub use running::{Running, asleep, beat, others_run};
pub use tracker_core::testing::Fault;
pub use types::{Document, ExtractStatus, Summary, SummaryStatus};
pub use world::{Item, World, entry, history, number, text, time, wait_of};

/// A test, to be run in a world of its own.
#[derive(Clone)]
pub struct Test {
    pub name: String,
    pub run: fn(World) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// The tests of a module, by the names of their functions. One that is left out is an unused function.
#[macro_export]
macro_rules! tests {
    ($($test:ident),* $(,)?) => {
        pub fn tests() -> Vec<$crate::support::Test> {
            let module = module_path!().rsplit("::").next().unwrap_or_default();
            vec![$($crate::support::Test {
                name: format!("{module}::{}", stringify!($test)),
                run: |world| Box::pin($test(world)),
            }),*]
        }
    };
}
