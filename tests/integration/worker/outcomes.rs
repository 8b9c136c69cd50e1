//! What a worker records for its tasks.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use tracker_core::{CancelOutcome, Execution, Failure, FailureExt};
use tracker_test_macros::database_test;

use super::{counts, create_documents, stored_counts};
use crate::support::ExtractStatus::{Failed, Ignored, Pending, Succeeded};
use crate::support::{Document, World, number, text};

#[database_test]
async fn drain_does_every_task(world: World) {
    let documents = create_documents(world.builder(), 60).await;
    let done = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&done);
    let worker = documents.worker().concurrency(8).drain();
    let summary = worker
        .run(async move |task| {
            task.data_mut().pages = 7;
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!((summary.succeeded, summary.attempts(), summary.running), (60, 60, 0), "{summary}");
    assert_eq!(done.load(Ordering::Relaxed), 60);
    assert_eq!(stored_counts(&world, 60).await, counts([(Succeeded, 60)]));
    assert_eq!(world.stored_under("extract____doc-59").await.unwrap()["attempt"], number(1));
    let nothing = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!((nothing.attempts(), nothing.refused), (0, 0), "{nothing}");
}

#[derive(Debug, thiserror::Error)]
#[error("no such text")]
struct NoText;

async fn one_of_each(task: &mut Execution<Document>) -> Result<(), Failure> {
    let first = task.attempt() == 1;
    match task.task_id().as_str() {
        "doc-0" if first => Err(NoText)?,
        "doc-1" => Err(NoText).or_fatal()?,
        "doc-2" => Err(NoText).or_retry_after(Duration::from_hours(1))?,
        "doc-3" => return Err(Failure::snooze(Duration::from_hours(1))),
        "doc-4" => crate::support::panic_quietly("a body that panics"),
        _ => task.data_mut().pages = 1,
    }
    Ok(())
}

#[database_test]
async fn worker_records_every_outcome(world: World) {
    let documents = create_documents(world.builder(), 6).await;
    let summary = documents.worker().drain().run(one_of_each).await.unwrap();
    // doc-0 fails once, doc-2 once, and doc-4 twice; the third failure of doc-4 ignores it.
    let of_kinds = (summary.succeeded, summary.failed, summary.ignored, summary.snoozed);
    assert_eq!(of_kinds, (2, 1 + 1 + 2, 1 + 1, 1), "{summary}");
    let stored = stored_counts(&world, 6).await;
    assert_eq!(stored, counts([(Pending, 1), (Failed, 1), (Succeeded, 2), (Ignored, 2)]));
    let of = async |nth: u32| world.stored_under(&format!("extract____doc-{nth}")).await.unwrap();
    assert_eq!(of(0).await["attempt"], number(2));
    assert_eq!(of(1).await["retry"], number(1), "ignored at once");
    assert_eq!(of(4).await["retry"], number(3));
    let snoozed = of(3).await;
    assert_eq!((&snoozed["retry"], &snoozed["snoozes"]), (&number(0), &number(1)));
    let one_hour_on = snoozed["update_time"].as_s().unwrap().replace("T02:", "T03:");
    assert_eq!(snoozed["run_at"], text(&one_hour_on));

    world.clock.advance(Duration::from_hours(2));
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 2, "the snoozed task and the task with a wait: {summary}");
    let after = of(3).await;
    assert!(!after.contains_key("run_at") && !after.contains_key("snoozes"), "{after:?}");
}

#[database_test]
async fn worker_takes_over_tasks_of_lost_workers(world: World) {
    let documents = create_documents(world.builder(), 10).await;
    for nth in 0..4 {
        std::mem::forget(world.rival().start(&format!("doc-{nth}")).await.unwrap());
    }
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 6, "the rival holds the others: {summary}");
    world.expire_lease();
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 4, "{summary}");
    assert_eq!(stored_counts(&world, 10).await, counts([(Succeeded, 10)]));
    assert_eq!(world.stored_under("extract____doc-3").await.unwrap()["attempt"], number(2));
}

#[database_test]
async fn second_step_works_on_tasks_that_the_first_has_finished(world: World) {
    let documents = create_documents(world.builder(), 5).await;
    documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    let summary = world
        .summaries()
        .worker()
        .drain()
        .run(async |task| {
            task.data_mut().text = Some("short".to_owned());
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(summary.succeeded, 5, "{summary}");
    assert_eq!(world.stored_under("extract____doc-4").await.unwrap()["status"], number(26));
}

#[database_test]
async fn run_local_accepts_a_body_that_borrows_and_is_not_send(world: World) {
    let documents = create_documents(world.builder(), 5).await;
    let names = ["five".to_owned()];
    // Neither `Send` nor `'static`.
    let count = Rc::new(Cell::new(0));
    let body = async |task: &mut Execution<Document>| {
        tokio::task::yield_now().await;
        count.set(count.get() + 1);
        task.data_mut().text_uri = names.first().cloned();
        Ok(())
    };
    let summary = documents.worker().concurrency(3).drain().run_local(body).await.unwrap();
    assert_eq!((summary.succeeded, count.get()), (5, 5), "{summary}");
    assert_eq!(stored_counts(&world, 5).await, counts([(Succeeded, 5)]));
    let data = world.stored_under("extract____doc-4").await.unwrap()["data"].as_m().unwrap().clone();
    assert_eq!(data["text_uri"], text("five"));
}

#[database_test]
async fn cancel_ends_a_body_of_the_worker(world: World) {
    let documents = create_documents(world.builder_with_heartbeat(), 1).await;
    let outside = documents.clone();
    let asked = Arc::new(AtomicU32::new(0));
    let requests = Arc::clone(&asked);
    let worker = documents.worker().drain().run(async move |task| {
        let cancel = outside.cancel(task.task_id()).await?;
        requests.fetch_add(u32::from(matches!(cancel, CancelOutcome::Requested(_))), Ordering::Relaxed);
        std::future::pending().await
    });
    let summary = world.run_while_advancing_clock(worker).await.unwrap();
    assert_eq!((summary.ignored, summary.attempts()), (1, 1), "{summary}");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(stored_counts(&world, 1).await, counts([(Ignored, 1)]));
}

#[database_test]
async fn progress_streams_the_summary(world: World) {
    let documents = create_documents(world.builder(), 20).await;
    let worker = documents.worker().concurrency(2).drain();
    let progress = worker.progress();
    let watched = tokio::spawn(progress.collect::<Vec<_>>());
    let summary = worker.run(async |_| Ok(())).await.unwrap();
    let summaries = watched.await.unwrap();
    assert_eq!(summaries.last().map(|last| last.succeeded), Some(20), "{summary}");
    assert!(summaries.iter().any(|so_far| so_far.running > 0), "{summaries:?}");
    assert!(summaries.windows(2).all(|two| two[0].succeeded <= two[1].succeeded), "{summaries:?}");
}
