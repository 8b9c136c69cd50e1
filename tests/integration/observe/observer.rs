//! The events that an observer receives, and when.

use std::mem::take;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracker_core::EventKind::{
    CancelRequested, Created, Failed, Heartbeat, Ignored, LeaseLost, OutcomeUnknown, Redriven, Refused,
    Released, Snoozed, Started, Succeeded, TakenOver,
};
use tracker_core::{CancelOutcome, ErrorKind, Event, EventKind, Failure, StatusTracker, TrackerBuilder};
use tracker_test_macros::database_test;

use crate::support::Fault::{Delay, DropRequest, DropResponse};
use crate::support::{
    BlockedRun, Document, ExtractStatus, Summary, World, advance_through_heartbeat, entry, number,
    wait_until_heartbeat_sleeps,
};

/// The kind of an event, the status before and after it, and the attempt.
type Seen = (EventKind, Option<String>, Option<String>, Option<u64>);

/// Records every event, in order.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Seen>>>);

impl Recorder {
    fn observe(&self, builder: TrackerBuilder<Document>) -> TrackerBuilder<Document> {
        self.observe_any(builder)
    }

    fn observe_any<T: StatusTracker>(&self, builder: TrackerBuilder<T>) -> TrackerBuilder<T> {
        let seen = Arc::clone(&self.0);
        builder.observer(move |event: &Event<'_>| {
            assert_eq!((event.use_case_id, event.task_id), ("extract", "doc-1"));
            let is_about = (event.from.map(str::to_owned), event.to.map(str::to_owned));
            seen.lock().unwrap().push((event.kind, is_about.0, is_about.1, event.attempt));
            let with_error = matches!(event.kind, Refused | OutcomeUnknown);
            assert!(!with_error || event.error.is_some(), "{event:?}");
            let timed = matches!(event.kind, Succeeded | Failed | Released | Snoozed | Heartbeat);
            assert!(!timed || event.duration.is_some(), "{event:?}");
            assert_eq!(event.owner.is_some(), event.attempt.is_some_and(|attempt| attempt > 0), "{event:?}");
        })
    }

    /// Returns and forgets the events so far.
    fn take(&self) -> Vec<Seen> {
        take(&mut self.0.lock().unwrap())
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn kinds(&self) -> Vec<EventKind> {
        self.take().into_iter().map(|(kind, ..)| kind).collect()
    }
}

fn seen(kind: EventKind, from: &str, to: &str, attempt: u64) -> Seen {
    let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    (kind, named(from), named(to), Some(attempt))
}

#[database_test]
async fn observer_sees_every_change_of_a_successful_task(world: World) {
    let events = Recorder::default();
    let documents = events.observe(world.builder()).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    assert_eq!(events.take(), [seen(Created, "", "Pending", 0)]);
    let execution = documents.start("doc-1").await.unwrap();
    assert_eq!(events.take(), [seen(Started, "Pending", "InProgress", 1)]);
    documents.start("doc-1").await.unwrap_err();
    assert_eq!(events.take(), [seen(Refused, "InProgress", "", 1)]);
    world.clock.advance(Duration::from_secs(1));
    execution.heartbeat().await.unwrap();
    assert_eq!(events.take(), [(Heartbeat, None, None, None)]);
    execution.succeed().await.unwrap();
    assert_eq!(events.take(), [seen(Succeeded, "InProgress", "Succeeded", 1)]);
    documents.start("doc-1").await.unwrap_err();
    assert_eq!(events.take(), [seen(Refused, "Succeeded", "", 1)]);
    documents.create(Document::new("doc-1")).await.unwrap_err();
    documents.get("doc-1").await.unwrap();
    assert_eq!(events.take(), [], "a refused create and a read are no events");
    assert_eq!(world.stored().await["status"], number(16));
    documents.delete("doc-1").await.unwrap();
    documents.start("doc-1").await.unwrap_err();
    assert_eq!(events.take(), [(Refused, None, None, None)]);
}

#[database_test]
async fn observer_sees_failures_and_redrives(world: World) {
    let events = Recorder::default();
    let documents = events.observe(world.builder().max_retry(2)).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    let fails = async |_: &mut _| -> Result<(), Failure> { Err("no".into()) };
    documents.run("doc-1", fails).await.unwrap_err();
    documents.run("doc-1", fails).await.unwrap_err();
    documents.redrive("doc-1").await.unwrap();
    documents.start("doc-1").await.unwrap().fail(Failure::fatal("no")).await.unwrap();
    assert_eq!(
        events.take(),
        [
            seen(Created, "", "Pending", 0),
            seen(Started, "Pending", "InProgress", 1),
            seen(Failed, "InProgress", "Failed", 1),
            seen(Started, "Failed", "InProgress", 2),
            seen(Ignored, "InProgress", "Ignored", 2),
            seen(Redriven, "Ignored", "Pending", 2),
            seen(Started, "Pending", "InProgress", 3),
            seen(Ignored, "InProgress", "Ignored", 3),
        ]
    );
    assert_eq!(world.stored().await["status"], number(18));
}

#[database_test]
async fn observer_sees_takeovers(world: World) {
    let events = Recorder::default();
    world.create_document().await;
    let documents = events.observe(world.builder().max_retry(2)).build().unwrap();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    documents.start("doc-1").await.unwrap_err();
    assert_eq!(
        events.take(),
        [
            seen(Started, "Pending", "InProgress", 1),
            seen(TakenOver, "InProgress", "InProgress", 2),
            seen(Ignored, "InProgress", "Ignored", 2),
            seen(Refused, "Ignored", "", 2),
        ]
    );
    assert_eq!(world.stored().await["status"], number(18));
}

#[database_test]
async fn observer_sees_releases_and_snoozes(world: World) {
    let events = Recorder::default();
    world.create_document().await;
    let documents = events.observe(world.builder().max_snoozes(1)).build().unwrap();
    let snooze = || Failure::snooze(Duration::from_secs(1));
    documents.start("doc-1").await.unwrap().release().await.unwrap();
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    documents.start("doc-1").await.unwrap().release().await.unwrap();
    documents.start("doc-1").await.unwrap().fail(snooze()).await.unwrap();
    documents.start("doc-1").await.unwrap_err();
    world.advance_until_due().await;
    documents.start("doc-1").await.unwrap().fail(snooze()).await.unwrap();
    let events: Vec<_> = events.take().into_iter().filter(|(kind, ..)| *kind != Started).collect();
    assert_eq!(
        events,
        [
            seen(Released, "InProgress", "Pending", 1),
            seen(Failed, "InProgress", "Failed", 2),
            seen(Released, "InProgress", "Failed", 3),
            seen(Snoozed, "InProgress", "Failed", 4),
            seen(Refused, "Failed", "", 4),
            seen(Failed, "InProgress", "Failed", 5),
        ]
    );
    assert_eq!(world.stored().await["retry"], number(2));
}

#[database_test]
async fn observer_sees_cancels(world: World) {
    let events = Recorder::default();
    let documents = events.observe(world.builder()).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    documents.cancel("doc-1").await.unwrap();
    documents.cancel("doc-1").await.unwrap_err();
    documents.redrive("doc-1").await.unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    documents.cancel("doc-1").await.unwrap();
    world.expire_lease();
    let cancelled = documents.cancel("doc-1").await.unwrap();
    assert!(matches!(cancelled, CancelOutcome::Ignored(_)));
    assert_eq!(*execution.succeed().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(
        events.take(),
        [
            seen(Created, "", "Pending", 0),
            seen(Ignored, "Pending", "Ignored", 0),
            seen(Redriven, "Ignored", "Pending", 0),
            seen(Started, "Pending", "InProgress", 1),
            seen(CancelRequested, "InProgress", "InProgress", 1),
            seen(Ignored, "InProgress", "Ignored", 1),
            seen(LeaseLost, "InProgress", "InProgress", 1),
        ]
    );
    assert_eq!(world.stored().await["status"], number(18));
}

#[database_test]
async fn observer_sees_a_cancelled_run_as_ignored(world: World) {
    let events = Recorder::default();
    world.create_document().await;
    let running =
        BlockedRun::start(&world, events.observe(world.builder_with_heartbeat()).build().unwrap()).await;
    world.documents().cancel("doc-1").await.unwrap();
    wait_until_heartbeat_sleeps(&world, 101).await;
    world.clock.advance(Duration::from_secs(101));
    assert_eq!(*running.run.await.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    let ended: Vec<_> = events.take().into_iter().filter(|(kind, ..)| *kind != Heartbeat).collect();
    assert_eq!(ended, [seen(Started, "Pending", "InProgress", 1), seen(Ignored, "InProgress", "Ignored", 1)]);
    assert_eq!(world.stored().await["status"], number(18));
}

#[database_test]
async fn observer_sees_a_lost_lease_once(world: World) {
    let events = Recorder::default();
    world.create_document().await;
    let running =
        BlockedRun::start(&world, events.observe(world.builder_with_heartbeat()).build().unwrap()).await;
    advance_through_heartbeat(&world, 101).await;
    world.set_attribute("lock", crate::support::text("somebody else")).await;
    let taken = world.stored().await;
    wait_until_heartbeat_sleeps(&world, 101).await;
    world.clock.advance(Duration::from_secs(101));
    assert_eq!(*running.run.await.unwrap().unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(events.kinds(), [Started, Heartbeat, LeaseLost]);
    assert_eq!(world.stored().await, taken);
}

#[database_test]
async fn observer_sees_a_lost_lease_that_a_finish_finds(world: World) {
    let events = Recorder::default();
    world.create_document().await;
    let documents = events.observe(world.builder()).build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    world.expire_lease();
    std::mem::forget(world.rival().start("doc-1").await.unwrap());
    let taken = world.stored().await;
    assert_eq!(*execution.succeed().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(events.kinds(), [Started, LeaseLost]);
    assert_eq!(world.stored().await, taken);
}

#[database_test]
async fn observer_sees_each_change_once_when_answers_were_lost(world: World) {
    let events = Recorder::default();
    let documents = events.observe(world.builder()).build().unwrap();
    world.network.next("PutItem", [DropResponse]);
    documents.create(Document::new("doc-1")).await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    execution.fail("no").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    documents.cancel("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    documents.redrive("doc-1").await.unwrap();
    assert_eq!(events.kinds(), [Created, Started, Failed, Ignored, Redriven]);
    assert_eq!(world.network.faults_left(), 0);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"]), (&number(10), &number(1)));
}

#[database_test]
async fn observer_sees_an_unknown_finish_but_no_unavailable_start(world: World) {
    let events = Recorder::default();
    world.create_document().await;
    let documents = events.observe(world.builder()).build().unwrap();
    world.network.next("UpdateItem", [DropRequest; 3]);
    documents.start("doc-1").await.unwrap_err();
    assert_eq!(events.kinds(), [], "the start got no answer: neither started nor refused");
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropRequest; 6]);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(events.kinds(), [Started, OutcomeUnknown]);
    assert_eq!(world.stored().await["status"], number(12));
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "extract", status = ExtractStatus)]
struct Deep {
    #[tracker(task_id)]
    id: String,
    #[tracker(default)]
    nested: serde_json::Value,
}

/// Nobody receives the error of a dropped success, so the event is what tells of the failure.
#[database_test]
async fn observer_sees_a_dropped_success_that_cannot_be_stored_as_failed(world: World) {
    let events = Recorder::default();
    let documents = events.observe_any(world.builder::<Deep>()).build().unwrap();
    world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    // DynamoDB refuses more than 32 levels.
    execution.data_mut().nested =
        (0..40).fold(serde_json::Value::Null, |value, _| serde_json::json!([value]));
    world.network.next("UpdateItem", [Delay(Duration::from_secs(1))]);
    {
        let mut success = std::pin::pin!(execution.succeed());
        assert!(futures_util::poll!(&mut success).is_pending());
    }
    let item = world.wait_until_unlocked().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
    assert!(entry(&item, 0, "error").contains("ValidationException"));
    world.wait_until("the failure is reported", || std::future::ready(events.count() == 2)).await;
    let pending_to_failed =
        [seen(Started, "Pending", "InProgress", 1), seen(Failed, "InProgress", "Failed", 1)];
    assert_eq!(events.take(), pending_to_failed);
}

#[database_test]
async fn observer_sees_the_first_steps_status_by_its_full_name(world: World) {
    let events = Recorder::default();
    let documents = events.observe(world.builder()).build().unwrap();
    let summaries = Summary::tracker_builder(&world.client).like(&documents).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    events.take();
    // `like` has copied the observer.
    summaries.start("doc-1").await.unwrap().release().await.unwrap();
    summaries.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(
        events.take(),
        [
            seen(Started, "ExtractStatus::Succeeded", "InProgress", 2),
            seen(Released, "InProgress", "ExtractStatus::Succeeded", 2),
            seen(Started, "ExtractStatus::Succeeded", "InProgress", 3),
            seen(Succeeded, "InProgress", "Succeeded", 3),
        ]
    );
    assert_eq!(world.stored().await["status"], number(26));
}
