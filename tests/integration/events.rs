//! What an observer is told of tasks, and when.

use std::mem::take;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracker_core::EventKind::{
    CancelRequested, Created, Failed, Heartbeat, Ignored, LeaseLost, OutcomeUnknown, Redriven, Refused,
    Released, Snoozed, Started, Succeeded, TakenOver,
};
use tracker_core::{CancelOutcome, ErrorKind, Event, EventKind, Failure, StatusTracker, TrackerBuilder};

use crate::support::Fault::{DropRequest, DropResponse};
use crate::support::{Document, Running, Summary, World, asleep, beat, number};

crate::tests![
    a_task_that_succeeds,
    a_task_that_fails_for_good,
    a_holder_that_is_lost,
    what_is_given_back_or_put_off,
    a_task_that_is_cancelled,
    a_run_that_is_cancelled,
    a_lost_lease_is_told_once,
    a_lost_lease_that_a_finish_finds,
    lost_answers_tell_of_one,
    what_cannot_be_told,
    a_second_step_names_the_first,
];

/// A kind, the status before and since, and the attempt.
type Seen = (EventKind, Option<String>, Option<String>, Option<u64>);

/// Everything that was told, in order.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Seen>>>);

impl Told {
    fn observe(&self, builder: TrackerBuilder<Document>) -> TrackerBuilder<Document> {
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

    /// What was told since.
    fn take(&self) -> Vec<Seen> {
        take(&mut self.0.lock().unwrap())
    }

    fn kinds(&self) -> Vec<EventKind> {
        self.take().into_iter().map(|(kind, ..)| kind).collect()
    }
}

fn seen(kind: EventKind, from: &str, to: &str, attempt: u64) -> Seen {
    let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    (kind, named(from), named(to), Some(attempt))
}

async fn a_task_that_succeeds(world: World) {
    let told = Told::default();
    let documents = told.observe(world.builder()).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    assert_eq!(told.take(), [seen(Created, "", "Pending", 0)]);
    let execution = documents.start("doc-1").await.unwrap();
    assert_eq!(told.take(), [seen(Started, "Pending", "InProgress", 1)]);
    documents.start("doc-1").await.unwrap_err();
    assert_eq!(told.take(), [seen(Refused, "InProgress", "", 1)]);
    world.clock.advance(Duration::from_secs(1));
    execution.heartbeat().await.unwrap();
    assert_eq!(told.take(), [(Heartbeat, None, None, None)]);
    execution.succeed().await.unwrap();
    assert_eq!(told.take(), [seen(Succeeded, "InProgress", "Succeeded", 1)]);
    documents.start("doc-1").await.unwrap_err();
    assert_eq!(told.take(), [seen(Refused, "Succeeded", "", 1)]);
    documents.create(Document::new("doc-1")).await.unwrap_err();
    documents.get("doc-1").await.unwrap();
    assert_eq!(told.take(), [], "nothing has happened");
    assert_eq!(world.stored().await["status"], number(16));
    documents.delete("doc-1").await.unwrap();
    documents.start("doc-1").await.unwrap_err();
    assert_eq!(told.take(), [(Refused, None, None, None)]);
}

async fn a_task_that_fails_for_good(world: World) {
    let told = Told::default();
    let documents = told.observe(world.builder().max_retry(2)).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    let fails = async |_: &mut _| -> Result<(), Failure> { Err("no".into()) };
    documents.run("doc-1", fails).await.unwrap_err();
    documents.run("doc-1", fails).await.unwrap_err();
    documents.redrive("doc-1").await.unwrap();
    documents.start("doc-1").await.unwrap().fail(Failure::fatal("no")).await.unwrap();
    assert_eq!(
        told.take(),
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

async fn a_holder_that_is_lost(world: World) {
    let told = Told::default();
    world.document().await;
    let documents = told.observe(world.builder().max_retry(2)).build().unwrap();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    documents.start("doc-1").await.unwrap_err();
    assert_eq!(
        told.take(),
        [
            seen(Started, "Pending", "InProgress", 1),
            seen(TakenOver, "InProgress", "InProgress", 2),
            seen(Ignored, "InProgress", "Ignored", 2),
            seen(Refused, "Ignored", "", 2),
        ]
    );
    assert_eq!(world.stored().await["status"], number(18));
}

async fn what_is_given_back_or_put_off(world: World) {
    let told = Told::default();
    world.document().await;
    let documents = told.observe(world.builder().max_snoozes(1)).build().unwrap();
    let snooze = || Failure::snooze(Duration::from_secs(1));
    documents.start("doc-1").await.unwrap().release().await.unwrap();
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    documents.start("doc-1").await.unwrap().release().await.unwrap();
    documents.start("doc-1").await.unwrap().fail(snooze()).await.unwrap();
    documents.start("doc-1").await.unwrap_err();
    world.due().await;
    documents.start("doc-1").await.unwrap().fail(snooze()).await.unwrap();
    let told: Vec<_> = told.take().into_iter().filter(|(kind, ..)| *kind != Started).collect();
    assert_eq!(
        told,
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

async fn a_task_that_is_cancelled(world: World) {
    let told = Told::default();
    let documents = told.observe(world.builder()).build().unwrap();
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
        told.take(),
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

async fn a_run_that_is_cancelled(world: World) {
    let told = Told::default();
    world.document().await;
    let running = Running::start(&world, told.observe(world.beating()).build().unwrap()).await;
    world.documents().cancel("doc-1").await.unwrap();
    asleep(&world, 101).await;
    world.clock.advance(Duration::from_secs(101));
    assert_eq!(*running.run.await.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    let ended: Vec<_> = told.take().into_iter().filter(|(kind, ..)| *kind != Heartbeat).collect();
    assert_eq!(ended, [seen(Started, "Pending", "InProgress", 1), seen(Ignored, "InProgress", "Ignored", 1)]);
    assert_eq!(world.stored().await["status"], number(18));
}

async fn a_lost_lease_is_told_once(world: World) {
    let told = Told::default();
    world.document().await;
    let running = Running::start(&world, told.observe(world.beating()).build().unwrap()).await;
    beat(&world, 101).await;
    world.set("lock", crate::support::text("somebody else")).await;
    let taken = world.stored().await;
    asleep(&world, 101).await;
    world.clock.advance(Duration::from_secs(101));
    assert_eq!(*running.run.await.unwrap().unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(told.kinds(), [Started, Heartbeat, LeaseLost]);
    assert_eq!(world.stored().await, taken);
}

async fn a_lost_lease_that_a_finish_finds(world: World) {
    let told = Told::default();
    world.document().await;
    let documents = told.observe(world.builder()).build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    world.expire_lease();
    std::mem::forget(world.rival().start("doc-1").await.unwrap());
    let taken = world.stored().await;
    assert_eq!(*execution.succeed().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(told.kinds(), [Started, LeaseLost]);
    assert_eq!(world.stored().await, taken);
}

async fn lost_answers_tell_of_one(world: World) {
    let told = Told::default();
    let documents = told.observe(world.builder()).build().unwrap();
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
    assert_eq!(told.kinds(), [Created, Started, Failed, Ignored, Redriven]);
    assert_eq!(world.network.faults_left(), 0);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"]), (&number(10), &number(1)));
}

async fn what_cannot_be_told(world: World) {
    let told = Told::default();
    world.document().await;
    let documents = told.observe(world.builder()).build().unwrap();
    world.network.next("UpdateItem", [DropRequest; 3]);
    documents.start("doc-1").await.unwrap_err();
    assert_eq!(told.kinds(), [], "neither started nor refused");
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropRequest; 6]);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(told.kinds(), [Started, OutcomeUnknown]);
    assert_eq!(world.stored().await["status"], number(12));
}

async fn a_second_step_names_the_first(world: World) {
    let told = Told::default();
    let documents = told.observe(world.builder()).build().unwrap();
    let summaries = Summary::tracker_builder(&world.client).like(&documents).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    told.take();
    // `like` has taken the observer over.
    summaries.start("doc-1").await.unwrap().release().await.unwrap();
    summaries.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(
        told.take(),
        [
            seen(Started, "ExtractStatus::Succeeded", "InProgress", 2),
            seen(Released, "InProgress", "ExtractStatus::Succeeded", 2),
            seen(Started, "ExtractStatus::Succeeded", "InProgress", 3),
            seen(Succeeded, "InProgress", "Succeeded", 3),
        ]
    );
    assert_eq!(world.stored().await["status"], number(26));
}
