//! Leases that are kept by heartbeats, and what happens when they are lost all the same.

use std::error::Error as _;
use std::time::Duration;

use tracker_core::{ErrorKind, Failure};

use crate::support::Fault::DropRequest;
use crate::support::{Document, Running, World, asleep, beat, number, others_run, text};

crate::tests![
    a_body_may_take_longer_than_the_lease,
    it_ends_with_the_execution,
    a_lease_that_another_worker_took_is_lost,
    a_cut_network_is_noticed_at_the_deadline,
    a_network_that_comes_back_in_time,
    a_save_moves_the_deadline_of_the_heartbeat,
    by_hand,
    a_late_heartbeat_does_not_lock_again,
    a_body_that_hangs_is_timed_out,
    it_can_be_switched_off,
    a_suspended_machine_notices_when_it_wakes_up,
    a_timeout_counts_from_when_the_body_begins,
];

async fn a_body_may_take_longer_than_the_lease(world: World) {
    world.document().await;
    let running = Running::start(&world, world.beating().build().unwrap()).await;
    let started = world.stored().await;
    for _ in 0..10 {
        beat(&world, 101).await;
        let error = world.rival().start("doc-1").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    }
    let item = world.stored().await;
    assert_eq!(item["lock"], started["lock"], "the lock stays, or a lost answer would be fatal");
    assert_eq!(item["update_time"], started["update_time"]);
    running.go_on.notify_one();
    running.run.await.unwrap().unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(1)));
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(7));
}

async fn it_ends_with_the_execution(world: World) {
    world.document().await;
    let documents = world.beating().build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    beat(&world, 101).await;
    execution.fail("once").await.unwrap();
    let failed = world.stored().await;
    let sent = world.network.count("UpdateItem");
    for _ in 0..5 {
        world.clock.advance(Duration::from_secs(101));
        others_run().await;
    }
    assert_eq!(world.network.count("UpdateItem"), sent);
    assert_eq!(world.stored().await, failed);
    drop(documents.start("doc-1").await.unwrap());
    let dropped = world.freed().await;
    assert_eq!(dropped["retry"], number(2));
}

async fn a_lease_that_another_worker_took_is_lost(world: World) {
    world.document().await;
    let running = Running::start(&world, world.beating().build().unwrap()).await;
    // As if the lease had expired for a worker whose clock is far ahead.
    world.set("lock", text("somebody else")).await;
    let taken = world.stored().await;
    asleep(&world, 101).await;
    world.clock.advance(Duration::from_secs(101));
    let error = running.run.await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    assert!(error.source().is_none(), "not for want of an answer");
    assert_eq!(world.stored().await, taken, "and nothing was written");
}

async fn a_cut_network_is_noticed_at_the_deadline(world: World) {
    world.document().await;
    let running = Running::start(&world, world.beating().build().unwrap()).await;
    let before = world.stored().await;
    world.network.next("UpdateItem", std::iter::repeat_n(DropRequest, 1000));
    let sent = world.network.count("UpdateItem");
    for _ in 0..299 {
        world.clock.advance(Duration::from_secs(1));
        others_run().await;
        assert!(!running.run.is_finished());
    }
    assert!(world.network.count("UpdateItem") > sent + 3, "it tries again and again");
    world.clock.advance(Duration::from_secs(1));
    let error = running.run.await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    let source = error.source().unwrap();
    assert!(source.to_string().contains("did not answer"), "{source}");
    assert_eq!(world.stored().await, before, "no finish is sent any more");
}

async fn a_network_that_comes_back_in_time(world: World) {
    world.document().await;
    let running = Running::start(&world, world.beating().build().unwrap()).await;
    world.network.next("UpdateItem", [DropRequest, DropRequest]);
    // Two that are lost, a third of the lease and then a little later, and one that comes through.
    for (seconds, left) in [(101, 1), (15, 0)] {
        asleep(&world, seconds).await;
        world.clock.advance(Duration::from_secs(seconds));
        world.until("a lost heartbeat", || std::future::ready(world.network.faults_left() == left)).await;
    }
    beat(&world, 15).await;
    asleep(&world, 101).await;
    world.clock.advance(Duration::from_secs(95));
    running.go_on.notify_one();
    running.run.await.unwrap().unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

async fn a_save_moves_the_deadline_of_the_heartbeat(world: World) {
    world.document().await;
    let documents = world.beating().build().unwrap();
    let mut execution = documents.start("doc-1").await.unwrap();
    asleep(&world, 101).await;
    world.clock.advance(Duration::from_secs(80));
    execution.save().await.unwrap();
    assert_eq!(execution.remaining(), Duration::from_mins(5));
    beat(&world, 30).await;
    let acknowledged = || std::future::ready(execution.remaining() == Duration::from_mins(5));
    world.until("the answer", acknowledged).await;
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

async fn by_hand(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.clock.advance(Duration::from_secs(200));
    execution.heartbeat().await.unwrap();
    assert_eq!(execution.remaining(), Duration::from_mins(5));
    world.network.next("UpdateItem", [DropRequest]);
    let error = execution.heartbeat().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert_eq!(execution.remaining(), Duration::from_mins(5), "only what is acknowledged counts");
    execution.heartbeat().await.unwrap();
    world.clock.advance(Duration::from_secs(301));
    let sent = world.network.count_all();
    assert_eq!(*execution.heartbeat().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(world.network.count_all(), sent);
    execution.release().await.unwrap();

    // With a heartbeat, what is lost stays lost.
    world.clock.advance(Duration::from_secs(1));
    let beating = world.beating().build().unwrap();
    let execution = beating.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", std::iter::repeat_n(DropRequest, 1000));
    let lost = execution.lost();
    asleep(&world, 101).await;
    world.clock.advance(Duration::from_secs(301));
    lost.await;
    let sent = world.network.count_all();
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    assert_eq!(world.network.count_all(), sent, "nothing is sent");
    assert_eq!(world.stored().await["status"], number(12));
}

async fn a_late_heartbeat_does_not_lock_again(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    execution.heartbeat().await.unwrap();
    execution.release().await.unwrap();
    let released = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 1).await.unwrap(), 400);
    assert_eq!(world.stored().await, released);
    let execution = world.rival().start("doc-1").await.unwrap();
    let held = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 1).await.unwrap(), 400);
    assert_eq!(world.stored().await, held);
    execution.release().await.unwrap();
}

async fn a_body_that_hangs_is_timed_out(world: World) {
    world.document().await;
    let documents = world.beating().timeout(Duration::from_secs(250)).build().unwrap();
    let running = Running::start(&world, documents).await;
    beat(&world, 101).await;
    beat(&world, 101).await;
    world.clock.advance(Duration::from_secs(50));
    let error = running.run.await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: false });
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(0), "not saved");
    assert!(error.task().unwrap().errors()[0].error.contains("within 250s"));
    let error = world.builder::<Document>().timeout(Duration::ZERO).build().unwrap_err();
    assert!(error.to_string().contains("`timeout` is 0"), "{error}");
}

async fn it_can_be_switched_off(world: World) {
    world.document().await;
    let documents = world.beating().heartbeat(false).build().unwrap();
    let running = Running::start(&world, documents).await;
    let sent = world.network.count("UpdateItem");
    world.clock.advance(Duration::from_secs(301));
    others_run().await;
    assert_eq!(world.network.count("UpdateItem"), sent);
    running.go_on.notify_one();
    running.run.await.unwrap().expect("late, but nobody has taken it over");
    assert_eq!(world.stored().await["status"], number(16));
}

async fn a_suspended_machine_notices_when_it_wakes_up(world: World) {
    world.document().await;
    let running = Running::start(&world, world.beating().build().unwrap()).await;
    asleep(&world, 100).await;
    // Its monotonic clock, by which it sleeps, has missed an hour.
    world.clock.step_forward(Duration::from_hours(1));
    let before = world.stored().await;
    world.clock.advance(Duration::from_secs(1));
    let error = running.run.await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    assert_eq!(world.stored().await, before);
}

async fn a_timeout_counts_from_when_the_body_begins(world: World) {
    world.document().await;
    let documents = world.beating().timeout(Duration::from_mins(1)).build().unwrap();
    let clock = world.clock.clone();
    let computing = documents.run("doc-1", async |_| -> Result<(), Failure> {
        clock.advance(Duration::from_secs(61));
        std::future::pending().await
    });
    let error = computing.await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BodyFailed { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
}
