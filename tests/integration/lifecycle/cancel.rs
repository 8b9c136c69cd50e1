//! Cancels tasks that nobody works on.

use std::time::Duration;

use chrono::TimeDelta;
use tracker_core::{CancelOutcome, Clock, ErrorKind, Failure, NotReadyCause, TaskHead, Tracker};
use tracker_test_macros::database_test;

use crate::support::Fault::{DropRequest, DropResponse};
use crate::support::{Document, Item, World, entry, history, number, text};

/// Cancels `doc-1`, and returns the ignored task.
async fn cancel_idle_task(documents: &Tracker<Document>) -> TaskHead {
    match documents.cancel("doc-1").await.unwrap() {
        CancelOutcome::Ignored(task) => task,
        other => panic!("{other:?}"),
    }
}

/// Asserts that the task was cancelled since it was stored as `before`, and returns its item.
async fn assert_cancelled(world: &World, before: &Item) -> Item {
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["value"]), (&number(18), &text("extract____018____001")));
    assert_eq!(item["lock"], text("__not_locked__"));
    for same in ["retry", "data", "create_time"] {
        assert_eq!(item[same], before[same], "{same}");
    }
    assert_eq!(item.get("attempt"), before.get("attempt"));
    for gone in ["run_at", "snoozes", "cancel"] {
        assert_eq!(item.get(gone), None, "{gone}");
    }
    let last = history(before).len();
    assert_eq!(history(&item).len(), last + 1);
    assert_eq!(entry(&item, last, "error"), "cancelled on request");
    item
}

async fn assert_start_refuses_ignored(world: &World) {
    let before = world.stored().await;
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);
    assert_eq!(world.stored().await, before);
}

#[database_test]
async fn cancel_ignores_a_pending_task(world: World) {
    let documents = world.create_document().await;
    let before = world.stored().await;
    world.clock.advance(Duration::from_secs(1));
    let task = cancel_idle_task(&documents).await;
    assert!(task.is_ignored() && !task.is_locked());
    let item = assert_cancelled(&world, &before).await;
    assert_eq!(item["update_time"], text("2026-11-24T02:17:27.355394+0000"));
    assert_eq!(entry(&item, 0, "traceback"), "by worker-1");
    assert_eq!(entry(&item, 0, "nth_retry"), "0");
    assert_eq!(
        format!("{task:?}"),
        format!("{:?}", documents.head("doc-1").consistent().await.unwrap().unwrap())
    );
    assert_start_refuses_ignored(&world).await;
}

#[database_test]
async fn cancel_ignores_a_failed_task(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    let before = world.stored().await;
    cancel_idle_task(&documents).await;
    let item = assert_cancelled(&world, &before).await;
    assert_eq!((&item["retry"], &item["attempt"]), (&number(1), &number(1)));
    assert_eq!(entry(&item, 0, "error"), "once");
    assert_start_refuses_ignored(&world).await;
}

#[database_test]
async fn cancel_ignores_a_task_that_is_not_due(world: World) {
    let documents = world.documents();
    let due = world.clock.now().wall + TimeDelta::hours(1);
    documents.create_at(Document::new("doc-1"), due).await.unwrap();
    let before = world.stored().await;
    let task = cancel_idle_task(&documents).await;
    assert_eq!((task.run_at(), task.snoozes()), (None, 0));
    assert_cancelled(&world, &before).await;
    documents.redrive("doc-1").await.unwrap();

    let snooze = Failure::snooze(Duration::from_hours(1));
    documents.start("doc-1").await.unwrap().fail(snooze).await.unwrap();
    let before = world.stored().await;
    assert_eq!(before["snoozes"], number(1));
    cancel_idle_task(&documents).await;
    assert_cancelled(&world, &before).await;
    world.clock.advance(Duration::from_hours(2));
    assert_start_refuses_ignored(&world).await;
    assert!(documents.query_for_unfinished().all().await.unwrap().is_empty());
}

#[database_test]
async fn second_step_cancels_a_task_that_is_ready_for_it(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let before = world.stored().await;
    let error = documents.cancel("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadySucceeded);
    assert_eq!(world.stored().await, before);
    let cancelled = world.summaries().cancel("doc-1").await.unwrap();
    assert!(matches!(cancelled, CancelOutcome::Ignored(_)), "{cancelled:?}");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["value"]), (&number(28), &text("extract____028____001")));
    assert_eq!(entry(&item, 0, "error"), "cancelled on request");
}

#[database_test]
async fn redrive_makes_a_cancelled_task_pending(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    cancel_idle_task(&documents).await;
    documents.redrive("doc-1").await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(10), &number(0)));
    assert_eq!(history(&item).len(), 2);
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn cancel_refuses_missing_ended_and_foreign_tasks(world: World) {
    let (documents, summaries) = (world.documents(), world.summaries());
    let error = documents.cancel("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound);
    assert_eq!(error.key(), Some("extract____doc-1"));
    assert_eq!(world.stored_under("extract____doc-1").await, None);

    documents.create(Document::new("doc-1")).await.unwrap();
    let not_ready =
        |status: &str| ErrorKind::NotReady { status: status.to_owned(), cause: NotReadyCause::EarlierStep };
    let assert_refused = async |error: tracker_core::Error, kind: ErrorKind, before: &Item| {
        assert_eq!(*error.kind(), kind);
        assert!(error.is_refusal() && error.task().is_some());
        assert_eq!(world.stored().await, *before);
    };
    let before = world.stored().await;
    assert_refused(
        summaries.cancel("doc-1").await.unwrap_err(),
        not_ready("ExtractStatus::Pending"),
        &before,
    )
    .await;
    let execution = documents.start("doc-1").await.unwrap();
    let before = world.stored().await;
    let error = summaries.cancel("doc-1").await.unwrap_err();
    assert_refused(error, not_ready("ExtractStatus::InProgress"), &before).await;
    execution.succeed().await.unwrap();
    let before = world.stored().await;
    assert_refused(documents.cancel("doc-1").await.unwrap_err(), ErrorKind::AlreadySucceeded, &before).await;
    summaries.start("doc-1").await.unwrap().fail(Failure::fatal("no")).await.unwrap();
    let before = world.stored().await;
    assert_refused(summaries.cancel("doc-1").await.unwrap_err(), ErrorKind::Ignored, &before).await;
    assert_refused(
        documents.cancel("doc-1").await.unwrap_err(),
        ErrorKind::NotReady { status: "28".to_owned(), cause: NotReadyCause::LaterStep },
        &before,
    )
    .await;
}

#[database_test]
async fn cancel_happens_once_when_its_answer_was_lost(world: World) {
    let documents = world.create_document().await;
    let before = world.stored().await;
    world.network.next("UpdateItem", [DropResponse]);
    let task = cancel_idle_task(&documents).await;
    assert_eq!((world.network.count("UpdateItem"), task.errors().len()), (2, 1));
    assert_cancelled(&world, &before).await;

    // The same holds for a lease that has expired.
    documents.redrive("doc-1").await.unwrap();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    world.network.next("UpdateItem", [DropResponse]);
    let task = cancel_idle_task(&documents).await;
    assert_eq!((task.is_ignored(), task.errors().len()), (true, 2));
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"], history(&item).len()), (&number(18), &number(1), 2));
    assert_eq!(world.network.faults_left(), 0);
}

#[database_test]
async fn cancel_that_never_arrives_changes_nothing(world: World) {
    let documents = world.create_document().await;
    let before = world.stored().await;
    world.network.next("UpdateItem", [DropRequest; 3]);
    let error = documents.cancel("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored().await, before);
    cancel_idle_task(&documents).await;
    assert_cancelled(&world, &before).await;
    // The lost request arrives after the task was redriven.
    let lost = 0;
    documents.redrive("doc-1").await.unwrap();
    let before = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", lost).await.unwrap(), 400);
    assert_eq!(world.stored().await, before);
}

#[database_test]
async fn cancel_decides_again_when_the_task_has_changed_meanwhile(world: World) {
    let documents = world.create_document().await;
    // The cancel reads the task as pending; a rival starts the task before the cancel is written.
    world.network.next("UpdateItem", [DropRequest]);
    let rival = world.rival();
    world.clock.during_next_sleep(async move {
        std::mem::forget(rival.start("doc-1").await.unwrap());
    });
    let cancelled = documents.cancel("doc-1").await.unwrap();
    assert!(matches!(cancelled, CancelOutcome::Requested(_)), "{cancelled:?}");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["cancel"]), (&number(12), &item["lock"]));

    documents.create(Document::new("doc-2")).await.unwrap();
    world.network.next("UpdateItem", [DropRequest]);
    let rival = world.rival();
    world.clock.during_next_sleep(async move {
        rival.start("doc-2").await.unwrap().succeed().await.unwrap();
    });
    let error = documents.cancel("doc-2").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadySucceeded);
    let item = world.stored_under("extract____doc-2").await.unwrap();
    assert_eq!((&item["status"], item.get("cancel")), (&number(16), None));

    documents.create(Document::new("doc-3")).await.unwrap();
    world.network.next("UpdateItem", [DropRequest]);
    let rival = world.rival();
    world.clock.during_next_sleep(async move {
        rival.delete("doc-3").await.unwrap();
    });
    let error = documents.cancel("doc-3").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound);
    assert_eq!(
        world.stored_under("extract____doc-3").await,
        None,
        "the cancel does not create the task again"
    );
}

#[database_test]
async fn racing_cancels_happen_once(world: World) {
    let documents = world.create_document().await;
    let rival = world.rival();
    let before = world.stored().await;
    let (one, other) = tokio::join!(documents.cancel("doc-1"), rival.cancel("doc-1"));
    for cancelled in [&one, &other] {
        match cancelled {
            Ok(CancelOutcome::Ignored(task)) => assert!(task.is_ignored()),
            Err(error) => assert_eq!(*error.kind(), ErrorKind::Ignored),
            other => panic!("{other:?}"),
        }
    }
    assert!(one.is_ok() || other.is_ok());
    assert_cancelled(&world, &before).await;

    documents.redrive("doc-1").await.unwrap();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    let (one, other) = tokio::join!(documents.cancel("doc-1"), rival.cancel("doc-1"));
    for cancelled in [one.unwrap(), other.unwrap()] {
        assert!(
            matches!(&cancelled, CancelOutcome::Requested(task) if task.is_cancel_requested()),
            "{cancelled:?}"
        );
    }
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["cancel"]), (&number(12), &item["lock"]));

    world.expire_lease();
    let (one, other) = tokio::join!(documents.cancel("doc-1"), rival.cancel("doc-1"));
    assert!(one.is_ok() || other.is_ok(), "{one:?} {other:?}");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"], history(&item).len()), (&number(18), &number(1), 2));
}

#[database_test]
async fn cancel_ignores_a_task_with_an_expired_lease(world: World) {
    let documents = world.create_document().await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    // Within the lease and the skew, the cancel only asks the holder.
    world.clock.advance(Duration::from_secs(305));
    let cancelled = world.rival().cancel("doc-1").await.unwrap();
    assert!(matches!(cancelled, CancelOutcome::Requested(_)), "{cancelled:?}");
    assert_eq!(world.stored().await["status"], number(12));
    world.clock.advance(Duration::from_micros(1));
    let task = cancel_idle_task(&world.rival()).await;
    assert!(task.is_ignored() && !task.is_locked());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"], &item["attempt"]), (&number(18), &number(1), &number(1)));
    assert_eq!(item["lock"], text("__not_locked__"));
    let error = entry(&item, 0, "error");
    assert!(
        error.contains("worker-1 did not finish the attempt, and the task was cancelled on request"),
        "{error}"
    );
    assert_start_refuses_ignored(&world).await;
}

#[database_test]
async fn lost_holder_cannot_finish_a_cancelled_task(world: World) {
    let documents = world.create_document().await;
    let mut lost = documents.start("doc-1").await.unwrap();
    lost.data_mut().pages = 7;
    world.expire_lease();
    cancel_idle_task(&world.rival()).await;
    let before = world.stored().await;
    let error = lost.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    assert_eq!(world.stored().await, before);
    assert_eq!(before["status"], number(18));
}

#[database_test]
async fn cancel_ignores_items_of_any_size(world: World) {
    let documents = world.documents();
    for (nth, size) in (408_200..409_160).step_by(240).chain((409_160..409_320).step_by(20)).enumerate() {
        let id = format!("doc-{size}");
        documents.create(Document::new(&id)).await.unwrap();
        let mut execution = documents.start(&id).await.unwrap();
        execution.data_mut().text_uri = Some("x".repeat(size));
        let is_too_large = execution.save().await.is_err();
        let stored = async || world.stored_under(&format!("extract____{id}")).await.unwrap();
        if nth % 2 == 0 {
            execution.release().await.unwrap();
        } else {
            std::mem::forget(execution);
            world.expire_lease();
        }
        let cancelled = documents.cancel(&id).await.unwrap_or_else(|error| panic!("{size}: {error:?}"));
        assert!(matches!(cancelled, CancelOutcome::Ignored(_)), "{size}: {cancelled:?}");
        let item = stored().await;
        assert_eq!((&item["status"], &item["lock"]), (&number(18), &text("__not_locked__")), "{size}");
        assert_eq!(item["data"].as_m().unwrap()["text_uri"].is_null(), is_too_large, "{size}");

        // A running attempt is asked. If the item has no room for the request, the cancel changes nothing.
        documents.redrive(&id).await.unwrap();
        let Ok(execution) = documents.start(&id).await else {
            assert!(size >= 409_160, "{size}");
            continue;
        };
        let before = stored().await;
        match documents.cancel(&id).await {
            Ok(CancelOutcome::Requested(_)) => assert_eq!(stored().await["cancel"], before["lock"], "{size}"),
            Err(error) => {
                assert_eq!(*error.kind(), ErrorKind::ItemTooLarge, "{size}");
                assert!(size >= 409_160, "{size}");
                assert_eq!(stored().await, before, "{size}");
            }
            Ok(other) => panic!("{size}: {other:?}"),
        }
        execution.fail(Failure::fatal("no")).await.unwrap_or_else(|error| panic!("{size}: {error:?}"));
        assert_eq!(stored().await["status"], number(18), "{size}");
    }
}
