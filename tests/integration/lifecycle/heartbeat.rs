//! Leases that heartbeats renew, and leases that are lost nevertheless.

use std::error::Error as _;
use std::time::Duration;

use tracker_core::{Clock, ErrorKind, Failure};
use tracker_test_macros::database_test;

use crate::support::Fault::DropRequest;
use crate::support::{
    BlockedRun, Document, World, advance_through_heartbeat, number, text, wait_until_heartbeat_sleeps,
};

#[database_test]
async fn heartbeat_keeps_the_lease_of_a_long_body(world: World) {
    world.create_document().await;
    let running = BlockedRun::start(&world, world.builder_with_heartbeat().build().unwrap()).await;
    let started = world.stored().await;
    for _ in 0..10 {
        advance_through_heartbeat(&world, 101).await;
        let error = world.rival().start("doc-1").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    }
    let item = world.stored().await;
    assert_eq!(item["lock"], started["lock"], "a new lock would make a lost answer fatal");
    assert_eq!(item["update_time"], started["update_time"]);
    running.unblock.notify_one();
    running.run.await.unwrap().unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(1)));
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(7));
}

#[database_test]
async fn heartbeat_stops_with_the_execution(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    advance_through_heartbeat(&world, 101).await;
    execution.fail("once").await.unwrap();
    let failed = world.stored().await;
    let sent = world.network.count("UpdateItem");
    let nobody_sleeps = || std::future::ready(world.clock.next_wake().is_none());
    world.wait_until("the heartbeat has ended", nobody_sleeps).await;
    world.clock.advance(Duration::from_secs(505));
    assert_eq!(world.network.count("UpdateItem"), sent);
    assert_eq!(world.stored().await, failed);
    drop(documents.start("doc-1").await.unwrap());
    let dropped = world.wait_until_unlocked().await;
    assert_eq!(dropped["retry"], number(2));
}

#[database_test]
async fn run_fails_when_another_worker_holds_the_lock(world: World) {
    world.create_document().await;
    let running = BlockedRun::start(&world, world.builder_with_heartbeat().build().unwrap()).await;
    // A worker whose clock is far ahead takes the task over.
    world.set_attribute("lock", text("somebody else")).await;
    let taken = world.stored().await;
    wait_until_heartbeat_sleeps(&world, 101).await;
    world.clock.advance(Duration::from_secs(101));
    let error = running.run.await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    assert!(error.source().is_none(), "no missing answer is the cause");
    assert_eq!(world.stored().await, taken, "nothing was written");
}

#[database_test]
async fn run_fails_at_the_deadline_when_the_network_is_cut(world: World) {
    world.create_document().await;
    let running = BlockedRun::start(&world, world.builder_with_heartbeat().build().unwrap()).await;
    let before = world.stored().await;
    world.network.next("UpdateItem", std::iter::repeat_n(DropRequest, 1000));
    let sent = world.network.count("UpdateItem");
    let began = world.clock.now().monotonic;
    let error = world.run_while_advancing_clock(running.run).await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    let took = world.clock.now().monotonic.saturating_sub(began);
    assert_eq!(took, Duration::from_mins(5), "the run ends with its lease");
    assert!(world.network.count("UpdateItem") > sent + 3, "the heartbeat is sent again and again");
    let source = error.source().unwrap();
    assert!(source.to_string().contains("the connection failed"), "{source}");
    assert_eq!(world.stored().await, before, "no finish is sent");
}

#[database_test]
async fn heartbeat_keeps_the_lease_when_the_network_returns_in_time(world: World) {
    world.create_document().await;
    let running = BlockedRun::start(&world, world.builder_with_heartbeat().build().unwrap()).await;
    world.network.next("UpdateItem", [DropRequest, DropRequest]);
    // The first heartbeat, after a third of the lease, and its repetition are lost. The third one arrives.
    for (seconds, left) in [(101, 1), (15, 0)] {
        wait_until_heartbeat_sleeps(&world, seconds).await;
        world.clock.advance(Duration::from_secs(seconds));
        world
            .wait_until("a heartbeat is lost", || std::future::ready(world.network.faults_left() == left))
            .await;
    }
    advance_through_heartbeat(&world, 15).await;
    wait_until_heartbeat_sleeps(&world, 101).await;
    world.clock.advance(Duration::from_secs(95));
    running.unblock.notify_one();
    running.run.await.unwrap().unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn save_extends_the_lease_between_heartbeats(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().build().unwrap();
    let mut execution = documents.start("doc-1").await.unwrap();
    wait_until_heartbeat_sleeps(&world, 101).await;
    world.clock.advance(Duration::from_secs(80));
    execution.save().await.unwrap();
    assert_eq!(execution.remaining(), Duration::from_mins(5));
    advance_through_heartbeat(&world, 30).await;
    let acknowledged = || std::future::ready(execution.remaining() == Duration::from_mins(5));
    world.wait_until("the answer has arrived", acknowledged).await;
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn manual_heartbeat_extends_the_lease_only_when_answered(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.clock.advance(Duration::from_secs(200));
    execution.heartbeat().await.unwrap();
    assert_eq!(execution.remaining(), Duration::from_mins(5));
    world.network.next("UpdateItem", [DropRequest]);
    let error = execution.heartbeat().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        execution.remaining(),
        Duration::from_mins(5),
        "a heartbeat without an answer extends no lease"
    );
    execution.heartbeat().await.unwrap();
    world.clock.advance(Duration::from_secs(301));
    let sent = world.network.count_all();
    assert_eq!(*execution.heartbeat().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(world.network.count_all(), sent);
    execution.release().await.unwrap();

    // Once a background heartbeat has found the lease lost, not even a finish is sent.
    world.clock.advance(Duration::from_secs(1));
    let beating = world.builder_with_heartbeat().build().unwrap();
    let execution = beating.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", std::iter::repeat_n(DropRequest, 1000));
    let lost = execution.lost();
    wait_until_heartbeat_sleeps(&world, 101).await;
    world.clock.advance(Duration::from_secs(301));
    lost.await;
    let sent = world.network.count_all();
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    assert_eq!(world.network.count_all(), sent, "no finish is sent");
    assert_eq!(world.stored().await["status"], number(12));
}

#[database_test]
async fn late_heartbeat_does_not_lock_the_task_again(world: World) {
    let documents = world.create_document().await;
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

#[database_test]
async fn timeout_fails_a_body_that_hangs(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().timeout(Duration::from_secs(250)).build().unwrap();
    let running = BlockedRun::start(&world, documents).await;
    advance_through_heartbeat(&world, 101).await;
    advance_through_heartbeat(&world, 101).await;
    world.clock.advance(Duration::from_secs(50));
    let error = running.run.await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: false });
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(0), "the data was not saved");
    assert!(error.task().unwrap().errors()[0].error.contains("within 250s"));
    let error = world.builder::<Document>().timeout(Duration::ZERO).build().unwrap_err();
    assert!(error.to_string().contains("`timeout` cannot be 0"), "{error}");
}

#[database_test]
async fn heartbeat_can_be_switched_off(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().heartbeat(false).build().unwrap();
    let running = BlockedRun::start(&world, documents).await;
    let sent = world.network.count("UpdateItem");
    let clock = world.clock.manual();
    world.run_while_advancing_clock(clock.sleep(Duration::from_secs(301))).await;
    assert_eq!(world.network.count("UpdateItem"), sent);
    running.unblock.notify_one();
    running.run.await.unwrap().expect("the finish is late, but nobody has taken the task over");
    assert_eq!(world.network.count("UpdateItem"), sent + 1, "the finish is the only request");
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn run_fails_when_the_machine_wakes_up_after_the_lease(world: World) {
    world.create_document().await;
    let running = BlockedRun::start(&world, world.builder_with_heartbeat().build().unwrap()).await;
    wait_until_heartbeat_sleeps(&world, 100).await;
    // The machine was suspended for an hour, which its monotonic clock has missed.
    world.clock.step_forward(Duration::from_hours(1));
    let before = world.stored().await;
    world.clock.advance(Duration::from_secs(1));
    let error = running.run.await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    assert_eq!(world.stored().await, before);
}

#[database_test]
async fn timeout_counts_from_the_start_of_the_body(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().timeout(Duration::from_mins(1)).build().unwrap();
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
