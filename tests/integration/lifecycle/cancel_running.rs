//! Cancels tasks whose attempt is running: the holder is asked to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tracker_core::{CancelOutcome, Error, ErrorKind, Execution, Failure, Takeover, Tracker};
use tracker_test_macros::database_test;

use crate::support::Fault::{DropRequest, DropResponse};
use crate::support::{
    BlockedRun, Document, World, advance_through_heartbeat, entry, history, number, text,
    wait_until_heartbeat_sleeps,
};

/// Cancels `doc-1`, which is running.
async fn request_cancel(documents: &Tracker<Document>) {
    let cancelled = documents.cancel("doc-1").await.unwrap();
    let CancelOutcome::Requested(task) = cancelled else { panic!("{cancelled:?}") };
    assert!(task.is_cancel_requested() && task.is_in_progress());
    assert_eq!(task.owner(), Some("worker-1"));
}

/// Advances the clock to the next heartbeat, which finds the request.
async fn let_heartbeat_find_request(world: &World) {
    wait_until_heartbeat_sleeps(world, 101).await;
    world.clock.advance(Duration::from_secs(101));
}

async fn assert_cancelled(world: &World) {
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["value"]), (&number(18), &text("extract____018____001")));
    assert_eq!((&item["lock"], item.get("cancel")), (&text("__not_locked__"), None));
    assert_eq!((&item["retry"], &item["attempt"]), (&number(0), &number(1)));
    assert_eq!((history(&item).len(), entry(&item, 0, "error")), (1, "cancelled on request"));
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(0), "unsaved data is dropped");
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);
}

#[database_test]
async fn run_ends_as_cancelled_at_its_next_heartbeat(world: World) {
    world.create_document().await;
    let running = BlockedRun::start(&world, world.builder_with_heartbeat().build().unwrap()).await;
    let before = world.stored().await;
    request_cancel(&world.documents()).await;
    let mut asked = world.stored().await;
    assert_eq!(asked["cancel"], before["lock"]);
    asked.remove("cancel");
    assert_eq!(asked, before, "the request changes nothing else");
    wait_until_heartbeat_sleeps(&world, 101).await;
    assert_eq!(world.stored().await["status"], number(12));
    assert!(!running.run.is_finished());
    let_heartbeat_find_request(&world).await;
    let error = running.run.await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
    assert!(error.task().unwrap().is_ignored() && !error.is_refusal());
    assert_cancelled(&world).await;
    world.documents().redrive("doc-1").await.unwrap();
    world.documents().start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

/// Sets its flag when it is dropped.
struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[database_test]
async fn cancelled_run_drops_its_body(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().build().unwrap();
    let was_dropped = Arc::new(AtomicBool::new(false));
    let operator = world.documents();
    let run = documents.run("doc-1", async |task: &mut Execution<Document>| -> Result<(), Failure> {
        let _guard = SetOnDrop(Arc::clone(&was_dropped));
        task.data_mut().pages = 7;
        request_cancel(&operator).await;
        std::future::pending().await
    });
    let error = Box::pin(world.run_while_advancing_clock(run)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
    assert!(was_dropped.load(Ordering::SeqCst));
    assert_cancelled(&world).await;
}

#[database_test]
async fn execution_is_notified_and_keeps_its_lease(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    request_cancel(&world.documents()).await;
    let cancelled = execution.cancelled();
    let before = world.stored().await["lock_time"].clone();
    let_heartbeat_find_request(&world).await;
    cancelled.await;
    // The request makes the condition of the heartbeat fail. The heartbeat is sent again and renews the lease.
    world
        .wait_until("the heartbeat renews the lease", || async {
            world.stored().await["lock_time"] != before
        })
        .await;
    // The holder has as long as a lease lasts to end.
    for _ in 0..2 {
        advance_through_heartbeat(&world, 101).await;
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

#[database_test]
async fn manual_heartbeat_finds_the_request(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    request_cancel(&documents).await;
    world.clock.advance(Duration::from_secs(1));
    execution.heartbeat().await.unwrap();
    assert_eq!(execution.remaining(), Duration::from_mins(5), "the heartbeat renews the lease");
    execution.cancelled().await;
    let item = world.stored().await;
    assert_eq!(
        (&item["status"], &item["lock_time"]),
        (&number(12), &text("2026-11-24T02:17:27.355395+0000"))
    );
    execution.heartbeat().await.unwrap();
    execution.succeed().await.expect("a holder that was asked to end may succeed");
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn run_without_heartbeat_does_not_see_the_request(world: World) {
    let documents = world.create_document().await;
    let run = documents.run("doc-1", async |task| {
        request_cancel(&documents).await;
        world.clock.advance(Duration::from_secs(200));
        task.save().await?;
        world.clock.advance(Duration::from_secs(200));
        Ok(())
    });
    Box::pin(run).await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn body_that_ends_upon_the_request_succeeds(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().build().unwrap();
    let operator = world.documents();
    let run = documents.run("doc-1", async |task: &mut Execution<Document>| -> Result<(), Failure> {
        task.data_mut().pages = 7;
        request_cancel(&operator).await;
        task.cancelled().await;
        Ok(())
    });
    Box::pin(world.run_while_advancing_clock(run)).await.expect("a body that ends may succeed");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["data"].as_m().unwrap()["pages"]), (&number(16), &number(7)));
    assert!(history(&item).is_empty());
}

#[database_test]
async fn request_does_not_mark_an_attempt_that_has_ended(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    // The first request is dropped. The attempt ends before the request is sent again.
    world.network.next("UpdateItem", [DropRequest]);
    world.clock.during_next_sleep(async move {
        execution.succeed().await.unwrap();
    });
    let error = documents.cancel("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadySucceeded);
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("cancel")), (&number(16), None));

    documents.create(Document::new("doc-2")).await.unwrap();
    let execution = documents.start("doc-2").await.unwrap();
    world.network.next("UpdateItem", [DropRequest]);
    world.clock.during_next_sleep(async move {
        execution.fail("no").await.unwrap();
    });
    let cancelled = documents.cancel("doc-2").await.unwrap();
    assert!(matches!(cancelled, CancelOutcome::Ignored(_)), "{cancelled:?}");
    let item = world.stored_under("extract____doc-2").await.unwrap();
    assert_eq!((&item["status"], item.get("cancel"), history(&item).len()), (&number(18), None, 2));
}

#[database_test]
async fn late_copy_of_a_request_does_not_cancel_a_later_attempt(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let request = world.network.count("UpdateItem");
    request_cancel(&documents).await;
    execution.fail("once").await.unwrap();
    let free = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", request).await.unwrap(), 400);
    assert_eq!(world.stored().await, free);

    world.clock.advance(Duration::from_secs(1));
    let documents = world.builder_with_heartbeat().build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    let held = world.stored().await;
    assert_eq!(held.get("cancel"), None);
    assert_eq!(world.network.deliver_again("UpdateItem", request).await.unwrap(), 400);
    assert_eq!(world.stored().await, held);
    advance_through_heartbeat(&world, 101).await;
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn next_start_forgets_an_earlier_request(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    request_cancel(&documents).await;
    execution.release().await.unwrap();
    let head = documents.head("doc-1").consistent().await.unwrap().unwrap();
    assert!(head.is_pending() && !head.is_cancel_requested());
    assert_eq!(world.stored().await["status"], number(10));
    world.clock.advance(Duration::from_secs(1));
    let running = BlockedRun::start(&world, world.builder_with_heartbeat().build().unwrap()).await;
    assert_eq!(world.stored().await.get("cancel"), None);
    advance_through_heartbeat(&world, 101).await;
    running.unblock.notify_one();
    running.run.await.unwrap().unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn takeover_ignores_a_task_whose_cancel_was_requested(world: World) {
    let documents = world.create_document().await;
    let lost = documents.start("doc-1").await.unwrap();
    request_cancel(&documents).await;
    world.expire_lease();
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);
    assert!(error.task().unwrap().is_ignored());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["lock"]), (&number(18), &text("__not_locked__")));
    assert_eq!((&item["retry"], &item["attempt"]), (&number(1), &number(1)));
    let error = entry(&item, 0, "error");
    assert!(
        error.contains("worker-1 did not finish the attempt, and the task was cancelled on request"),
        "{error}"
    );
    assert_eq!(*lost.succeed().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(world.stored().await, item);
}

#[database_test]
async fn cancel_requests_once_when_its_answer_was_lost(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let sent = world.network.count("UpdateItem");
    world.network.next("UpdateItem", [DropResponse]);
    request_cancel(&documents).await;
    assert_eq!(world.network.count("UpdateItem"), sent + 2);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["cancel"]), (&number(12), &item["lock"]));
    // A second cancel finds the request, and sends none.
    request_cancel(&documents).await;
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

/// Starts a run and cancels it. Then injects faults into the next requests, and returns how the run ends.
async fn cancel_run_with_faults(world: &World, faults: &[crate::support::Fault]) -> Result<(), Error> {
    let documents = world.builder_with_heartbeat().build().unwrap();
    let (entered, in_body) = oneshot::channel();
    let body = async move |_: &mut Execution<Document>| -> Result<(), Failure> {
        let _ = entered.send(());
        std::future::pending().await
    };
    let run = tokio::spawn(async move { documents.run("doc-1", body).await });
    in_body.await.unwrap();
    request_cancel(&world.documents()).await;
    world.network.next("UpdateItem", faults.iter().copied());
    Box::pin(world.run_while_advancing_clock(run)).await.unwrap()
}

#[database_test]
async fn run_ends_as_cancelled_when_answers_to_heartbeats_were_lost(world: World) {
    world.create_document().await;
    // Lost: the answer to the first heartbeat, and, after the second has found the request, to the one that renews.
    let faults = [DropResponse, crate::support::Fault::None, DropResponse];
    let error = cancel_run_with_faults(&world, &faults).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
    assert_eq!(world.network.faults_left(), 0);
    assert_cancelled(&world).await;
}

#[database_test]
async fn run_ends_as_cancelled_when_answers_to_its_finish_were_lost(world: World) {
    world.create_document().await;
    let none = crate::support::Fault::None;
    let error = cancel_run_with_faults(&world, &[none, DropResponse, DropResponse]).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
    assert_eq!(world.network.faults_left(), 0);
    assert_cancelled(&world).await;
}

#[database_test]
async fn save_does_not_hide_the_request(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().build().unwrap();
    let mut execution = documents.start("doc-1").await.unwrap();
    request_cancel(&world.documents()).await;
    execution.data_mut().pages = 7;
    execution.save().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["cancel"], &item["status"]), (&item["lock"], &number(12)));
    let cancelled = execution.cancelled();
    let_heartbeat_find_request(&world).await;
    cancelled.await;
    execution.fail(Failure::fatal("as was asked")).await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["data"].as_m().unwrap()["pages"]), (&number(18), &number(7)));
}

#[database_test]
async fn cancel_only_requests_when_takeover_is_never(world: World) {
    world.create_document().await;
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
    execution.succeed().await.expect("the request does not prevent the finish");
    assert_eq!(world.stored().await["status"], number(16));
}
