//! Operations that lose every race against other writers.

use std::future::{pending, ready};
use std::sync::Mutex;
use std::time::Duration;

use chrono::TimeDelta;
use tracker_core::{Backoff, ErrorKind, Tracker};
use tracker_test_macros::database_test;

use crate::support::{Document, ExtractStatus, Fault, World, number, text, time};

/// How many writes an operation sends before it gives way, as docs/protocol.md says.
const ROUNDS: usize = 6;

/// Runs an operation whose writes all arrive after another program has set an attribute of `doc-1` to another time.
async fn lose_every_race<R>(world: &World, attribute: &str, operation: impl Future<Output = R>) -> R {
    let delay = Duration::from_secs(1);
    world.network.next("UpdateItem", [Fault::Delay(delay); ROUNDS]);
    let sent_before = world.network.count("UpdateItem");
    let others = async {
        for round in 1..=ROUNDS {
            // The next write may follow before anybody sees that the last one has arrived, so the writes are counted.
            let is_on_its_way =
                || world.network.count("UpdateItem") == sent_before + round && world.network.late() == 1;
            world.wait_until("a write is on its way", || ready(is_on_its_way())).await;
            let stored = world.stored().await[attribute].as_s().unwrap().clone();
            let later = tracker_time(&stored) + TimeDelta::microseconds(i64::try_from(round).unwrap());
            world.set_attribute(attribute, time(later)).await;
            world.clock.advance(delay);
        }
    };
    let others = async {
        others.await;
        world.run_while_advancing_clock(pending::<()>()).await;
    };
    let result = tokio::select! {
        result = operation => result,
        () = others => unreachable!("the clock advances for ever"),
    };
    assert_eq!(world.network.faults_left(), 0, "the operation sent {ROUNDS} writes");
    result
}

fn tracker_time(stored: &str) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::parse_from_str(stored, "%Y-%m-%dT%H:%M:%S%.6f%z").unwrap().to_utc()
}

async fn create_ignored_document(world: &World) -> Tracker<Document> {
    let documents = world.builder::<Document>().max_retry(1).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    documents.start("doc-1").await.unwrap().fail("broken").await.unwrap();
    documents
}

#[database_test]
async fn redrive_that_loses_every_race_is_contended(world: World) {
    let documents = create_ignored_document(&world).await;
    let sent = world.network.count("UpdateItem");
    let error =
        lose_every_race(&world, "update_time", Box::pin(documents.redrive("doc-1"))).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Contended);
    assert!(!error.is_refusal(), "the task could be redriven");
    assert!(error.task().unwrap().is_ignored());
    assert_eq!(error.key(), Some("extract____doc-1"));
    assert_eq!(world.network.count("UpdateItem"), sent + ROUNDS);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(18), &number(1)), "nothing was written");
    documents.redrive("doc-1").await.unwrap();
    assert_eq!(world.stored().await["status"], number(10));
}

#[database_test(reads_at_once)]
async fn redrive_all_reports_a_contended_task_as_failed(world: World) {
    let documents = create_ignored_document(&world).await;
    let errors = Mutex::new(Vec::new());
    let redrive = documents.redrive_all(ExtractStatus::Ignored);
    let redrive = redrive.on_error(|error| errors.lock().unwrap().push(error.kind().clone()));
    let progress = lose_every_race(&world, "update_time", redrive.into_future()).await.unwrap();
    assert_eq!((progress.done, progress.skipped, progress.failed), (0, 0, 1));
    assert_eq!(*errors.lock().unwrap(), [ErrorKind::Contended]);
    assert_eq!(world.stored().await["status"], number(18), "the task is still ignored");
}

#[database_test]
async fn cancel_that_loses_every_race_is_contended(world: World) {
    let documents = world.create_document().await;
    let error =
        lose_every_race(&world, "update_time", Box::pin(documents.cancel("doc-1"))).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Contended);
    assert!(error.task().unwrap().is_pending() && !error.is_refusal());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["lock"]), (&number(10), &text("__not_locked__")));
    documents.cancel("doc-1").await.unwrap();
    assert_eq!(world.stored().await["status"], number(18));
}

#[database_test]
async fn start_that_loses_every_race_is_contended(world: World) {
    let documents = world.create_document().await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    let before = world.stored().await;
    let error = lose_every_race(&world, "lock_time", documents.start("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Contended);
    assert!(error.task().unwrap().is_in_progress() && !error.is_refusal());
    let item = world.stored().await;
    for name in ["status", "lock", "attempt", "retry"] {
        assert_eq!(item[name], before[name], "{name}");
    }
    let taken_over = documents.start("doc-1").await.unwrap();
    assert_eq!((taken_over.attempt(), taken_over.failed_attempts()), (2, 1));
    taken_over.succeed().await.unwrap();
}

#[database_test]
async fn worker_retries_a_contended_start(world: World) {
    let builder = world.builder_with_heartbeat().heartbeat(false).backoff(Backoff::None);
    let documents = builder.build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    let worker = documents.worker().drain().run(async |_task| Ok(()));
    let summary = lose_every_race(&world, "lock_time", worker).await.unwrap();
    assert_eq!((summary.refused, summary.succeeded, summary.lost), (1, 1, 0), "{summary}");
    assert_eq!(world.stored().await["status"], number(16));
}
