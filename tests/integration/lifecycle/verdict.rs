//! What a worker is told about its finish, compared with what is stored.

use std::time::Duration;

use tracker_core::{Error, ErrorKind, Event, EventKind, Execution, Failure, Task, Unsuccessful};
use tracker_test_macros::database_test;

use crate::support::{Document, Fault, World, number, text};

/// The ways to end an attempt by hand.
#[derive(Debug, Clone, Copy)]
enum End {
    Succeed,
    Fail,
    Release,
}

const ENDS: [End; 3] = [End::Succeed, End::Fail, End::Release];

async fn finish(task: Execution<Document>, end: End) -> Result<Task<Document>, Error> {
    match end {
        End::Succeed => task.succeed().await,
        End::Fail => task.fail(Failure::retry("broken")).await.map(Unsuccessful::into_task),
        End::Release => task.release().await.map(Unsuccessful::into_task),
    }
}

/// Starts a task, and lets a worker whose clock is 9.8 s ahead take it over before the holder's own deadline.
async fn lose_to_a_fast_clock(world: &World, id: &str) -> (Execution<Document>, Execution<Document>) {
    let documents = world.documents();
    documents.create(Document::new(id)).await.unwrap();
    let held = documents.start(id).await.unwrap();
    world.clock.advance(Duration::from_secs(296));
    assert!(!held.remaining().is_zero(), "the holder believes in its lease");
    let fast = world.clock.ahead_by(Duration::from_millis(9800));
    let rival = world.builder::<Document>().owner("worker-2").clock(fast).build().unwrap();
    let taken_over = rival.start(id).await.unwrap();
    assert_eq!(taken_over.attempt(), held.attempt() + 1);
    (held, taken_over)
}

#[database_test]
async fn finish_is_lost_if_another_worker_has_taken_over_and_finished(world: World) {
    for (nth, end) in ENDS.into_iter().enumerate() {
        let id = format!("doc-{nth}");
        let (held, taken_over) = lose_to_a_fast_clock(&world, &id).await;
        taken_over.succeed().await.unwrap();
        let key = format!("extract____{id}");
        let stored = world.stored_under(&key).await.unwrap();
        let error = finish(held, end).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::LeaseLost, "{end:?}");
        assert_eq!(world.stored_under(&key).await.unwrap(), stored, "{end:?}");
        assert_eq!((&stored["status"], &stored["owner"]), (&number(16), &text("worker-2")));
    }
}

#[database_test]
async fn finish_after_a_takeover_and_more_attempts_is_lost(world: World) {
    for (nth, end) in ENDS.into_iter().enumerate() {
        let id = format!("doc-{nth}");
        let (held, taken_over) = lose_to_a_fast_clock(&world, &id).await;
        taken_over.fail("again").await.unwrap();
        let fast = world.clock.ahead_by(Duration::from_millis(9800));
        let rival = world.builder::<Document>().owner("worker-3").clock(fast).build().unwrap();
        rival.start(&id).await.unwrap().succeed().await.unwrap();
        let error = finish(held, end).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::LeaseLost, "{end:?}");
    }
}

#[database_test]
async fn finish_after_two_takeovers_is_never_told_as_recorded(world: World) {
    for (nth, end) in ENDS.into_iter().enumerate() {
        let id = format!("doc-{nth}");
        let (held, taken_over) = lose_to_a_fast_clock(&world, &id).await;
        let later = world.clock.ahead_by(Duration::from_secs(1000));
        let third = world.builder::<Document>().owner("worker-3").clock(later).build().unwrap();
        let taken_again = third.start(&id).await.unwrap();
        assert_eq!(taken_again.head().lost_attempts(), 2);
        taken_again.succeed().await.unwrap();
        let error = finish(held, end).await.unwrap_err();
        assert_eq!(
            *error.kind(),
            ErrorKind::OutcomeUnknown,
            "nothing stored tells of the first attempt: {end:?}"
        );
        assert_eq!(*taken_over.succeed().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    }
}

#[database_test]
async fn lease_lasts_as_long_as_its_holder_says(world: World) {
    let documents = world.create_document().await;
    let held = documents.start("doc-1").await.unwrap();
    assert_eq!(world.stored().await["lease_ms"], number(300_000));
    let hasty = world
        .builder::<Document>()
        .owner("worker-2")
        .lock_expire(Duration::from_secs(2))
        .max_clock_skew(Duration::from_millis(500))
        .build()
        .unwrap();
    world.clock.advance(Duration::from_secs(299));
    let error = hasty.start("doc-1").await.unwrap_err();
    let ErrorKind::Locked { until, .. } = error.kind() else { panic!("{error}") };
    let ends = held.head().lock_time() + Duration::from_millis(300_500);
    assert_eq!(*until, ends, "by the length of the holder's lease");
    assert_eq!(*hasty.delete("doc-1").await.unwrap_err().kind(), error.kind().clone());
    assert!(hasty.query_for_expired().all().await.unwrap().is_empty());
    assert!(matches!(hasty.cancel("doc-1").await.unwrap(), tracker_core::CancelOutcome::Requested(_)));
    held.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("lease_ms")), (&number(16), None));
}

#[database_test]
async fn short_lease_is_taken_over_by_a_worker_with_a_longer_one(world: World) {
    world.create_document().await;
    let hasty = world.builder::<Document>().lock_expire(Duration::from_secs(2)).build().unwrap();
    let held = hasty.start("doc-1").await.unwrap();
    world.clock.advance(Duration::from_millis(7_001));
    let taken_over = world.rival().start("doc-1").await.unwrap();
    assert_eq!((taken_over.attempt(), taken_over.head().lost_attempts()), (2, 1));
    let item = world.stored().await;
    assert_eq!((&item["lease_ms"], &item["lost_attempts"]), (&number(300_000), &number(1)));
    assert_eq!(*held.succeed().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    taken_over.fail("once").await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["retry"], item.get("lost_attempts")), (&number(2), None));
}

#[database_test]
async fn expired_short_lease_is_deleted_by_a_worker_with_a_longer_one(world: World) {
    world.create_document().await;
    let hasty = world.builder::<Document>().lock_expire(Duration::from_secs(2)).build().unwrap();
    let held = hasty.start("doc-1").await.unwrap();
    world.clock.advance(Duration::from_secs(6));
    let error = world.documents().delete("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    world.clock.advance(Duration::from_secs(2));
    assert!(world.documents().delete("doc-1").await.unwrap().is_some());
    assert_eq!(world.stored_under("extract____doc-1").await, None);
    assert_eq!(*held.succeed().await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
}

/// A worker of this crate holds the task, and another program sets its status back to pending.
#[database_test]
async fn status_that_another_program_has_set_back_does_not_shorten_the_lease(world: World) {
    let documents = world.create_document().await;
    let held = documents.start("doc-1").await.unwrap();
    world.set_attribute("status", number(10)).await;
    let hasty = world.builder::<Document>().lock_expire(Duration::from_secs(2)).build().unwrap();
    world.clock.advance(Duration::from_secs(100));
    let error = hasty.start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    world.expire_lease();
    let taken_over = hasty.start("doc-1").await.unwrap();
    assert_eq!(taken_over.attempt(), 2);
    assert_eq!(*held.succeed().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    taken_over.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

/// A success has no room, and the failure that replaces it is recorded, but unanswered when the future is dropped. Another worker
/// starts the task. Then the background sends the success again: it must not be told as recorded.
#[database_test]
async fn success_without_room_is_not_reported_later(world: World) {
    world.create_document().await;
    let (send, seen) = std::sync::mpsc::channel();
    let documents = world
        .builder::<Document>()
        .clock(world.clock.manual())
        .observer(move |event: &Event<'_>| send.send(event.kind).unwrap_or_default())
        .build()
        .unwrap();
    world.clock.advance(Duration::from_secs(1));
    let mut execution = documents.start("doc-1").await.unwrap();
    // Another program fills the item: it has room for a failure, and not for the data.
    world.set_attribute("filler", text(&"x".repeat(400_000))).await;
    execution.data_mut().text_uri = Some("y".repeat(20_000));
    // The success is sent twice, then the failure.
    world.network.next("UpdateItem", [Fault::None, Fault::None, Fault::DropResponse]);
    let before = world.network.count("UpdateItem");
    let mut finish = Box::pin(execution.succeed());
    // The clock stands still, so the finish waits before it sends the failure again.
    let is_sent = async || world.network.count("UpdateItem") >= before + 3 && world.network.in_flight() == 0;
    world.run_until("the failure is sent", &mut finish, is_sent).await;
    assert_eq!(world.stored().await["status"], number(14));
    world.network.next("UpdateItem", [Fault::Delay(Duration::from_hours(1))]);
    drop(finish);
    let is_on_its_way = || std::future::ready(world.network.late() == 1);
    world.wait_until("the success is on its way again", is_on_its_way).await;
    world.clock.advance(Duration::from_secs(1));
    let successor = world.rival().start("doc-1").await.unwrap();
    assert_eq!((successor.attempt(), successor.failed_attempts()), (2, 1));
    world.deliver_late_requests().await;
    let mut events = Vec::new();
    world
        .wait_until("the background has told the outcome", || {
            events.extend(seen.try_iter());
            let told = |kind: &EventKind| matches!(kind, EventKind::Succeeded | EventKind::OutcomeUnknown);
            std::future::ready(events.iter().any(told))
        })
        .await;
    assert!(!events.contains(&EventKind::Succeeded), "{events:?}");
    let stored = world.stored().await;
    assert_eq!((&stored["status"], &stored["attempt"]), (&number(12), &number(2)));
}

/// The response to a failure is lost, and the next start is written a microsecond after the failure.
#[database_test]
async fn failure_is_told_although_the_next_start_follows_at_once(world: World) {
    world.create_document().await;
    let documents = world.builder::<Document>().clock(world.clock.manual()).build().unwrap();
    world.clock.advance(Duration::from_secs(1));
    let execution = documents.start("doc-1").await.unwrap();
    let before = world.network.count("UpdateItem");
    world.network.next("UpdateItem", [Fault::DropResponse]);
    let mut finish = Box::pin(execution.fail("broken"));
    let is_sent = async || world.network.count("UpdateItem") > before && world.network.in_flight() == 0;
    world.run_until("the failure is sent", &mut finish, is_sent).await;
    // This clock waits only until it has passed the failure.
    let next = world.rival().start("doc-1").await.unwrap();
    assert_eq!((next.attempt(), next.failed_attempts()), (2, 1));
    let failed = world.run_while_advancing_clock(finish).await.unwrap().into_task();
    assert!(failed.is_failed(), "{failed:?}");
    assert_eq!(world.stored().await["status"], number(12));
}
