//! Runs and starts with a deadline of their own.

use std::time::Duration;

use tracker_core::{Clock, ErrorKind, Failure};
use tracker_test_macros::database_test;

use crate::support::Fault::{Delay, DropRequest};
use crate::support::{World, history, number, text};

const LEFT: Duration = Duration::from_secs(10);

#[database_test]
async fn body_that_needs_longer_is_dropped_and_its_task_released_in_time(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().build().unwrap();
    let began = world.clock.now().monotonic;
    let run = documents.run("doc-1", async |_| -> Result<(), Failure> { std::future::pending().await });
    let error = world.run_while_advancing_clock(run.deadline(LEFT)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::DeadlinePassed);
    assert!(error.task().is_some_and(tracker_core::TaskHead::is_pending), "{error:?}");
    let took = world.clock.now().monotonic.saturating_sub(began);
    assert_eq!(took, Duration::from_secs(8), "two seconds are left for the release");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(10), &number(0)));
    assert_eq!(item["lock"], text("__not_locked__"));
    assert!(history(&item).is_empty());
}

#[database_test]
async fn body_that_is_quick_enough_succeeds(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().build().unwrap();
    let pages = documents.run("doc-1", async |_| Ok(7)).deadline(LEFT).await.unwrap();
    assert_eq!((pages, &world.stored().await["status"]), (7, &number(16)));
}

#[database_test]
async fn run_returns_in_time_although_the_release_is_not_answered(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().build().unwrap();
    let began = world.clock.now().monotonic;
    let network = world.network.clone();
    let run = documents.run("doc-1", async |_| -> Result<(), Failure> {
        network.next("UpdateItem", std::iter::repeat_n(DropRequest, 4));
        std::future::pending().await
    });
    let error = world.run_while_advancing_clock(run.deadline(LEFT)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::DeadlinePassed);
    assert!(error.to_string().contains("before DynamoDB answered"), "{error}");
    assert_eq!(world.clock.now().monotonic.saturating_sub(began), LEFT);
    // The release goes on.
    let item = world.run_while_advancing_clock(world.wait_until_unlocked()).await;
    assert_eq!((&item["status"], &item["retry"]), (&number(10), &number(0)));
}

#[database_test]
async fn start_that_is_not_answered_in_time_is_released(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().build().unwrap();
    let began = world.clock.now().monotonic;
    world.network.next("UpdateItem", [Delay(Duration::from_mins(1))]);
    let error = world.run_while_advancing_clock(documents.start("doc-1").deadline(LEFT)).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (&ErrorKind::DeadlinePassed, Some("extract____doc-1")));
    assert_eq!(world.clock.now().monotonic.saturating_sub(began), Duration::from_secs(8));
    world.deliver_late_requests().await;
    let released = world.run_while_advancing_clock(world.wait_until_unlocked()).await;
    assert_eq!((&released["status"], &released["retry"]), (&number(10), &number(0)));
}

#[database_test]
async fn execution_that_is_dropped_after_its_deadline_is_released(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().build().unwrap();
    let execution = documents.start("doc-1").deadline(LEFT).await.unwrap();
    world.run_while_advancing_clock(execution.deadline_passed()).await;
    drop(execution);
    let item = world.wait_until_unlocked().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(10), &number(0)));
    // Before its deadline, a dropped execution is a failed attempt.
    world.clock.advance(Duration::from_secs(1));
    drop(documents.start("doc-1").deadline(LEFT).await.unwrap());
    let failed = || async { world.stored().await["status"] == number(14) };
    world.wait_until("the attempt is recorded as failed", failed).await;
}

#[database_test]
async fn refusals_come_through_a_deadline(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().build().unwrap();
    let error = documents.start("doc-2").deadline(LEFT).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound);
    let error = documents.run("doc-1", async |_| -> Result<(), Failure> { Err(Failure::fatal("no")) });
    let error = error.deadline(LEFT).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: true });
    assert_eq!(world.stored().await["status"], number(18));
}

#[database_test]
async fn call_without_any_time_left_sends_nothing(world: World) {
    world.create_document().await;
    let documents = world.documents();
    let (before, sent) = (world.stored().await, world.network.count_all());
    let run = documents.run("doc-1", async |_| Ok(())).deadline(Duration::ZERO).await;
    assert_eq!(*run.unwrap_err().kind(), ErrorKind::DeadlinePassed);
    let start = documents.start("doc-1").deadline(Duration::ZERO).await;
    assert_eq!(*start.unwrap_err().kind(), ErrorKind::DeadlinePassed);
    assert_eq!(world.network.count_all(), sent);
    assert_eq!(world.stored().await, before);
}
