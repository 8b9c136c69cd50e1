//! A small run of `examples/chaos`: every fault at once, and then a check of every promise.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tracker_test_macros::database_test;

use crate::support::World;

// The command line and the processes of the example are not used here.
#[allow(dead_code)]
#[path = "../../examples/chaos/check.rs"]
mod check;
#[path = "../../examples/chaos/clock.rs"]
mod clock;
#[allow(dead_code)]
#[path = "../../examples/chaos/fleet.rs"]
mod fleet;
#[path = "../../examples/chaos/job.rs"]
mod job;
#[allow(dead_code)]
#[path = "../../examples/chaos/journal.rs"]
mod journal;
#[path = "../../examples/chaos/worker.rs"]
mod worker;

use check::Scope;
use fleet::Chaos;
use job::Plan;

const TASKS: u32 = 100;

#[database_test]
async fn chaos_breaks_no_promise(world: World) {
    check_chaos(world, Plan { workers: 8, seed: 2, effects: false, serves: true }).await;
}

/// Each success counts up a counter of its task, in one transaction.
#[database_test]
async fn chaos_writes_each_effect_once(world: World) {
    check_chaos(world, Plan { workers: 8, seed: 2, effects: true, serves: false }).await;
}

async fn check_chaos(world: World, plan: Plan) {
    world.lag_by_machine_clock();
    let chaos = Chaos::new(&world.client, world.aws.clone(), &world.table, world.layout.clone(), plan)
        .expect("a client with an HTTP client");
    let chaos = Arc::new(chaos);
    chaos.begin_bad_day().expect("conditions that can be");
    let mut workers = worker::start(&chaos);
    let work = async {
        chaos.create(stream::iter(0..TASKS)).await.expect("tasks that can be created");
        while chaos.ended().await.expect("counts") < u64::from(TASKS) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        () = work => {}
        ended = workers.join_next() => panic!("a worker has ended: {ended:?}"),
        () = chaos.kill_connections() => unreachable!("connections die without end"),
        () = tokio::time::sleep(Duration::from_mins(15)) => panic!("the tasks do not end within 15 minutes"),
    }
    let _gate = chaos.close_gate().await;
    chaos.settle().await;
    chaos.end_bad_day().expect("a database in memory");

    let pages = chaos.journal.take();
    let behaviours = pages.behaviours();
    assert_eq!(
        behaviours.len(),
        if plan.effects { 10 } else { 9 },
        "every kind of body has run: {behaviours:?}"
    );
    let faults = chaos.network.injected();
    assert!(
        faults.contains_key("DeadConnection") && faults.len() >= 10,
        "every kind of fault was injected: {faults:?}"
    );
    assert_eq!(faults.contains_key("InProgress"), plan.effects, "{faults:?}");
    if let Some(aws) = &world.aws {
        let counts = aws.counts();
        for what in ["StaleIndex", "StaleRead", "Throttled", "ClockRefused", "CredentialsExpired"] {
            assert!(counts.contains_key(what), "{what} was never met: {counts:?}");
        }
    }
    let checked = check::check(&chaos, &pages, 0..TASKS, Scope::All).await.expect("what is stored");
    for (promise, broken) in checked.report {
        assert!(broken.is_empty(), "broken promise: {promise}: {broken:#?}");
    }
    chaos.delete(0..TASKS).await.expect("tasks that can be deleted");
    assert_eq!(chaos.calm.count_by_status().await.expect("counts").total(), 0);
}
