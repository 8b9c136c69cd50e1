//! Asking an attempt that is under way to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tracker_core::{CancelOutcome, Error, ErrorKind, Execution, Failure, Takeover, Tracker};

use crate::support::Fault::{DropRequest, DropResponse};
use crate::support::{Document, Running, World, asleep, beat, entry, history, number, others_run, text};

crate::tests![
    a_run_ends_cancelled,
    the_futures_of_a_body_are_dropped,
    whoever_started_it_by_hand_is_told,
    a_heartbeat_by_hand_sees_it,
    without_a_heartbeat_nobody_sees_it,
    a_body_that_ends_in_the_same_moment,
    a_request_after_the_end_hits_nothing,
    a_late_copy_hits_no_later_attempt,
    a_request_of_before_is_gone_with_the_next_start,
    the_task_of_a_lost_holder_is_not_run_again,
    a_lost_answer_asks_once,
    a_lost_answer_of_the_heartbeat,
    a_lost_answer_of_the_end,
    a_saved_lease_does_not_hide_it,
    a_lease_that_may_not_be_taken_over_is_only_asked,
];

async fn requested(documents: &Tracker<Document>) {
    let cancelled = documents.cancel("doc-1").await.unwrap();
    let CancelOutcome::Requested(task) = cancelled else { panic!("{cancelled:?}") };
    assert!(task.is_cancel_requested() && task.is_in_progress());
    assert_eq!(task.owner(), Some("worker-1"));
}

/// Lets the heartbeat come that sees the request.
async fn next_beat(world: &World) {
    asleep(world, 101).await;
    world.clock.advance(Duration::from_secs(101));
}

async fn is_cancelled(world: &World) {
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["value"]), (&number(18), &text("extract____018____001")));
    assert_eq!((&item["lock"], item.get("cancel")), (&text("__not_locked__"), None));
    assert_eq!((&item["retry"], &item["attempt"]), (&number(0), &number(1)));
    assert_eq!((history(&item).len(), entry(&item, 0, "error")), (1, "cancelled on request"));
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(0), "what was not saved is dropped");
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);
}

async fn a_run_ends_cancelled(world: World) {
    world.document().await;
    let running = Running::start(&world, world.beating().build().unwrap()).await;
    let before = world.stored().await;
    requested(&world.documents()).await;
    let mut asked = world.stored().await;
    assert_eq!(asked["cancel"], before["lock"]);
    asked.remove("cancel");
    assert_eq!(asked, before, "nothing else");
    others_run().await;
    assert!(!running.run.is_finished());
    next_beat(&world).await;
    let error = running.run.await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
    assert!(error.task().unwrap().is_ignored() && !error.is_refusal());
    is_cancelled(&world).await;
    world.documents().redrive("doc-1").await.unwrap();
    world.documents().start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

/// Tells that it was dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

async fn the_futures_of_a_body_are_dropped(world: World) {
    world.document().await;
    let documents = world.beating().build().unwrap();
    let was_dropped = Arc::new(AtomicBool::new(false));
    let cancelling = world.documents();
    let run = documents.run("doc-1", async |task: &mut Execution<Document>| -> Result<(), Failure> {
        let _guard = Dropped(Arc::clone(&was_dropped));
        task.data_mut().pages = 7;
        requested(&cancelling).await;
        std::future::pending().await
    });
    let error = Box::pin(world.driven(run)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
    assert!(was_dropped.load(Ordering::SeqCst));
    is_cancelled(&world).await;
}

async fn whoever_started_it_by_hand_is_told(world: World) {
    world.document().await;
    let documents = world.beating().build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    requested(&world.documents()).await;
    let told = execution.cancelled();
    let before = world.stored().await["lock_time"].clone();
    next_beat(&world).await;
    told.await;
    // The heartbeat that was refused for it is sent again, and keeps the lease.
    world.until("a heartbeat all the same", || async { world.stored().await["lock_time"] != before }).await;
    // It has all the time that it needs to end in order.
    for _ in 0..5 {
        beat(&world, 101).await;
        let item = world.stored().await;
        assert_eq!((&item["status"], &item["cancel"]), (&number(12), &item["lock"]));
    }
    assert!(matches!(world.rival().start("doc-1").await.unwrap_err().kind(), ErrorKind::Locked { .. }));
    execution.cancelled().await;
    let task = execution.fail(Failure::fatal("as was asked")).await.unwrap();
    assert!(task.is_ignored());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["lock"]), (&number(18), &text("__not_locked__")));
    assert_eq!((history(&item).len(), entry(&item, 0, "error")), (1, "as was asked"));
}

async fn a_heartbeat_by_hand_sees_it(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    requested(&documents).await;
    world.clock.advance(Duration::from_secs(1));
    execution.heartbeat().await.unwrap();
    assert_eq!(execution.remaining(), Duration::from_mins(5), "and keeps the lease");
    execution.cancelled().await;
    let item = world.stored().await;
    assert_eq!(
        (&item["status"], &item["lock_time"]),
        (&number(12), &text("2026-11-24T02:17:27.355395+0000"))
    );
    execution.heartbeat().await.unwrap();
    execution.succeed().await.expect("it may as well be done");
    assert_eq!(world.stored().await["status"], number(16));
}

async fn without_a_heartbeat_nobody_sees_it(world: World) {
    let documents = world.document().await;
    let run = documents.run("doc-1", async |task| {
        requested(&documents).await;
        world.clock.advance(Duration::from_secs(200));
        task.save().await?;
        world.clock.advance(Duration::from_secs(200));
        Ok(())
    });
    Box::pin(run).await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

async fn a_body_that_ends_in_the_same_moment(world: World) {
    world.document().await;
    let documents = world.beating().build().unwrap();
    let cancelling = world.documents();
    let run = documents.run("doc-1", async |task: &mut Execution<Document>| -> Result<(), Failure> {
        task.data_mut().pages = 7;
        requested(&cancelling).await;
        task.cancelled().await;
        Ok(())
    });
    Box::pin(world.driven(run)).await.expect("what is done is done");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["data"].as_m().unwrap()["pages"]), (&number(16), &number(7)));
    assert!(history(&item).is_empty());
}

async fn a_request_after_the_end_hits_nothing(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    // Asked while it was at work, which it no longer is when that arrives.
    world.network.next("UpdateItem", [DropRequest]);
    world.clock.when_sleeping(async move {
        execution.succeed().await.unwrap();
    });
    let error = documents.cancel("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadySucceeded);
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("cancel")), (&number(16), None));

    documents.create(Document::new("doc-2")).await.unwrap();
    let execution = documents.start("doc-2").await.unwrap();
    world.network.next("UpdateItem", [DropRequest]);
    world.clock.when_sleeping(async move {
        execution.fail("no").await.unwrap();
    });
    let cancelled = documents.cancel("doc-2").await.unwrap();
    assert!(matches!(cancelled, CancelOutcome::Ignored(_)), "{cancelled:?}");
    let item = world.stored_as("extract____doc-2").await.unwrap();
    assert_eq!((&item["status"], item.get("cancel"), history(&item).len()), (&number(18), None, 2));
}

async fn a_late_copy_hits_no_later_attempt(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let request = world.network.count("UpdateItem");
    requested(&documents).await;
    execution.fail("once").await.unwrap();
    let free = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", request).await.unwrap(), 400);
    assert_eq!(world.stored().await, free);

    world.clock.advance(Duration::from_secs(1));
    let documents = world.beating().build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    let held = world.stored().await;
    assert_eq!(held.get("cancel"), None);
    assert_eq!(world.network.deliver_again("UpdateItem", request).await.unwrap(), 400);
    assert_eq!(world.stored().await, held);
    beat(&world, 101).await;
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

async fn a_request_of_before_is_gone_with_the_next_start(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    requested(&documents).await;
    execution.release().await.unwrap();
    let head = documents.head("doc-1").consistent().await.unwrap().unwrap();
    assert!(head.is_pending() && !head.is_cancel_requested());
    assert_eq!(world.stored().await["status"], number(10));
    world.clock.advance(Duration::from_secs(1));
    let running = Running::start(&world, world.beating().build().unwrap()).await;
    assert_eq!(world.stored().await.get("cancel"), None);
    beat(&world, 101).await;
    running.go_on.notify_one();
    running.run.await.unwrap().unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

async fn the_task_of_a_lost_holder_is_not_run_again(world: World) {
    let documents = world.document().await;
    let lost = documents.start("doc-1").await.unwrap();
    requested(&documents).await;
    world.expire_lease();
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);
    assert!(error.task().unwrap().is_ignored());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["lock"]), (&number(18), &text("__not_locked__")));
    assert_eq!((&item["retry"], &item["attempt"]), (&number(1), &number(1)));
    let error = entry(&item, 0, "error");
    assert!(error.contains("worker-1 did not finish the attempt, and cancelled on request"), "{error}");
    assert_eq!(*lost.succeed().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(world.stored().await, item);
}

async fn a_lost_answer_asks_once(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let sent = world.network.count("UpdateItem");
    world.network.next("UpdateItem", [DropResponse]);
    requested(&documents).await;
    assert_eq!(world.network.count("UpdateItem"), sent + 2);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["cancel"]), (&number(12), &item["lock"]));
    // Asked again, it has been asked already.
    requested(&documents).await;
    assert_eq!(world.network.count("UpdateItem"), sent + 2);
    execution.release().await.unwrap();

    let execution = documents.start("doc-1").await.unwrap();
    let before = world.stored().await;
    world.network.next("UpdateItem", [DropRequest; 3]);
    let error = documents.cancel("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored().await, before);
    execution.release().await.unwrap();
}

/// Starts a run that is asked to end, on a network that fails as told once it was asked.
async fn ends(world: &World, faults: &[crate::support::Fault]) -> Result<(), Error> {
    let documents = world.beating().build().unwrap();
    let (entered, in_body) = oneshot::channel();
    let body = async move |_: &mut Execution<Document>| -> Result<(), Failure> {
        let _ = entered.send(());
        std::future::pending().await
    };
    let run = tokio::spawn(async move { documents.run("doc-1", body).await });
    in_body.await.unwrap();
    requested(&world.documents()).await;
    world.network.next("UpdateItem", faults.iter().copied());
    Box::pin(world.driven(run)).await.unwrap()
}

async fn a_lost_answer_of_the_heartbeat(world: World) {
    world.document().await;
    // The one that asks, and, when the next has seen it, the one that keeps the lease.
    let faults = [DropResponse, crate::support::Fault::None, DropResponse];
    let error = ends(&world, &faults).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
    assert_eq!(world.network.faults_left(), 0);
    is_cancelled(&world).await;
}

async fn a_lost_answer_of_the_end(world: World) {
    world.document().await;
    let none = crate::support::Fault::None;
    let error = ends(&world, &[none, DropResponse, DropResponse]).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
    assert_eq!(world.network.faults_left(), 0);
    is_cancelled(&world).await;
}

async fn a_saved_lease_does_not_hide_it(world: World) {
    world.document().await;
    let documents = world.beating().build().unwrap();
    let mut execution = documents.start("doc-1").await.unwrap();
    requested(&world.documents()).await;
    execution.data_mut().pages = 7;
    execution.save().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["cancel"], &item["status"]), (&item["lock"], &number(12)));
    let told = execution.cancelled();
    next_beat(&world).await;
    told.await;
    execution.fail(Failure::fatal("as was asked")).await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["data"].as_m().unwrap()["pages"]), (&number(18), &number(7)));
}

async fn a_lease_that_may_not_be_taken_over_is_only_asked(world: World) {
    world.document().await;
    let documents = world.builder::<Document>().takeover(Takeover::Never).build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    world.expire_lease();
    for _ in 0..2 {
        let cancelled = documents.cancel("doc-1").await.unwrap();
        assert!(matches!(cancelled, CancelOutcome::Requested(_)), "{cancelled:?}");
        let item = world.stored().await;
        assert_eq!((&item["status"], &item["cancel"]), (&number(12), &item["lock"]));
        assert!(history(&item).is_empty());
    }
    execution.succeed().await.expect("it came first");
    assert_eq!(world.stored().await["status"], number(16));
}
