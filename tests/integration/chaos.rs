//! A small run of `examples/chaos`: every fault at once, and then a check of every promise.

use std::sync::Arc;
use std::time::Duration;

use tracker_core::testing::Conditions;
use tracker_test_macros::database_test;

use crate::support::World;

#[path = "../../examples/chaos/check.rs"]
mod check;
#[path = "../../examples/chaos/clock.rs"]
mod clock;
// The command line of the example is not used here.
#[allow(dead_code)]
#[path = "../../examples/chaos/fleet.rs"]
mod fleet;
#[path = "../../examples/chaos/journal.rs"]
mod journal;

use fleet::{Chaos, Plan};

#[database_test]
async fn chaos_breaks_no_promise(world: World) {
    check_chaos(world, Plan { tasks: 100, workers: 8, seed: 1, effects: false }).await;
}

/// Each success counts up a counter of its task, in one transaction.
#[database_test]
async fn chaos_writes_each_effect_once(world: World) {
    check_chaos(world, Plan { tasks: 100, workers: 8, seed: 2, effects: true }).await;
}

async fn check_chaos(world: World, plan: Plan) {
    if let Some(aws) = &world.aws {
        aws.set_conditions(Conditions::bad_day());
    }
    world.lag_by_machine_clock();
    let chaos = Chaos::new(&world.client, &world.table, world.layout.clone(), plan)
        .expect("a client with an HTTP client");
    let chaos = Arc::new(chaos);
    let ended = tokio::time::timeout(Duration::from_mins(15), Arc::clone(&chaos).run()).await;
    ended.expect("workers that end within 15 minutes").expect("workers that end without an error");
    let behaviours = chaos.journal.behaviours();
    assert_eq!(
        behaviours.len(),
        if plan.effects { 10 } else { 9 },
        "every kind of body has run: {behaviours:?}"
    );
    let faults = chaos.network.injected();
    assert!(
        faults.contains_key("DeadConnection") && faults.len() >= 9,
        "every kind of fault was injected: {faults:?}"
    );
    assert_eq!(faults.contains_key("Conflict"), plan.effects, "{faults:?}");
    if let Some(aws) = &world.aws {
        aws.set_conditions(Conditions::none());
        aws.catch_up().expect("a database in memory");
    }
    for (promise, broken) in check::check(&chaos).await.expect("what is stored") {
        assert!(broken.is_empty(), "broken promise: {promise}: {broken:#?}");
    }
}
