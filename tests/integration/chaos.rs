//! A small run of `examples/chaos`: everything that goes wrong at once, and what it leaves.

use std::sync::Arc;

use crate::support::World;

#[path = "../../examples/chaos/check.rs"]
mod check;
// Its command line is not run here.
#[allow(dead_code)]
#[path = "../../examples/chaos/fleet.rs"]
mod fleet;
#[path = "../../examples/chaos/journal.rs"]
mod journal;

use fleet::{Chaos, Plan};

crate::tests![no_promise_is_broken];

async fn no_promise_is_broken(world: World) {
    let plan = Plan { tasks: 150, workers: 8, seed: 1 };
    let chaos = Chaos::new(&world.client, &world.table, plan).expect("a client with an HTTP client");
    let chaos = Arc::new(chaos);
    Arc::clone(&chaos).run().await.expect("workers that only the storm stops");
    let behaviours = chaos.journal.behaviours();
    assert_eq!(behaviours.len(), 8, "every body was seen: {behaviours:?}");
    let faults = chaos.network.injected();
    assert!(faults.len() >= 8, "every fault was seen: {faults:?}");
    for (promise, broken) in check::check(&chaos).await.expect("what is stored") {
        assert!(broken.is_empty(), "not so that {promise}: {broken:#?}");
    }
}
