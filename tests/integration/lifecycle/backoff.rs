//! Waits after failed attempts: the backoff, and the wait that a failure asks for.

use std::time::Duration;

use chrono::TimeDelta;
use tracker_core::{Backoff, Clock, ErrorKind, Failure, FailureExt, Tracker};
use tracker_test_macros::database_test;

use crate::support::Fault::DropResponse;
use crate::support::{Document, World, entry, history, number, stored_wait};

const BACKOFF: Backoff = Backoff::Exponential { base: Duration::from_secs(10), max: Duration::from_secs(25) };

/// Creates `doc-1`; returns a tracker whose failures wait for [`BACKOFF`].
async fn tracker_with_backoff(world: &World) -> Tracker<Document> {
    world.create_document().await;
    world.builder().backoff(BACKOFF).max_retry(10).build().unwrap()
}

/// Starts and fails `doc-1`; returns the stored item.
async fn fail_once(world: &World, documents: &Tracker<Document>, failure: Failure) -> crate::support::Item {
    documents.start("doc-1").await.unwrap().fail(failure).await.unwrap();
    world.stored().await
}

#[database_test]
async fn each_failure_doubles_the_wait(world: World) {
    let documents = tracker_with_backoff(&world).await;
    for (nth, whole) in [(1, 10), (2, 20), (3, 25), (4, 25)] {
        let whole = Duration::from_secs(whole);
        let task = documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
        let item = world.stored().await;
        assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(nth)));
        let wait = stored_wait(&item).unwrap();
        assert!(whole / 2 <= wait && wait <= whole, "{nth}: {wait:?}");
        let run_at = task.head().run_at().unwrap();
        assert_eq!(item["run_at"], crate::support::time(run_at));

        let just_before = run_at - TimeDelta::microseconds(1) - world.clock.now().wall;
        world.clock.advance(just_before.to_std().unwrap());
        let error = documents.start("doc-1").await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::NotDue { run_at });
        assert_eq!(world.stored().await, item);
        world.clock.advance(Duration::from_micros(1));
    }
}

#[database_test]
async fn success_removes_the_wait(world: World) {
    let documents = tracker_with_backoff(&world).await;
    fail_once(&world, &documents, "no".into()).await;
    world.advance_until_due().await;
    let task = documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(task.head().run_at(), None);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(16), &number(0)));
    assert_eq!(item.get("run_at"), None);
}

#[database_test]
async fn dropped_and_timed_out_attempts_wait_too(world: World) {
    let documents = tracker_with_backoff(&world).await;
    drop(documents.start("doc-1").await.unwrap());
    let item = world.wait_until_unlocked().await;
    assert!(stored_wait(&item).unwrap() >= Duration::from_secs(5), "{item:?}");
    world.advance_until_due().await;

    let builder = world.builder::<Document>().backoff(BACKOFF).max_retry(10);
    let with_timeout = builder.timeout(Duration::from_secs(1)).build().unwrap();
    let hangs = async |_: &mut _| -> Result<(), Failure> { std::future::pending().await };
    let error = with_timeout.run("doc-1", hangs).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: false });
    let item = world.stored().await;
    assert_eq!(item["retry"], number(2));
    assert!(stored_wait(&item).unwrap() >= Duration::from_secs(10), "{item:?}");
}

#[database_test]
async fn takeover_sets_no_wait(world: World) {
    let documents = tracker_with_backoff(&world).await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    let execution = documents.start("doc-1").await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"], item.get("run_at")), (&number(12), &number(1), None));
    execution.release().await.unwrap();
}

#[database_test]
async fn retry_after_replaces_the_backoff(world: World) {
    let with_backoff = tracker_with_backoff(&world).await;
    let without_backoff = world.documents();
    let wait = Duration::from_mins(7);
    for (documents, nth) in [(&with_backoff, 1), (&without_backoff, 2)] {
        let item = fail_once(&world, documents, Failure::retry_after("busy", wait)).await;
        assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(nth)));
        assert_eq!(stored_wait(&item), Some(wait));
        assert_eq!(entry(&item, history(&item).len() - 1, "error"), "busy");
        world.advance_until_due().await;
    }
    let error = with_backoff
        .run("doc-1", async |_| "x".parse::<u32>().or_retry_after(Duration::from_secs(90)))
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: false });
    assert!(error.body_error::<std::num::ParseIntError>().is_some());
    assert_eq!(stored_wait(&world.stored().await), Some(Duration::from_secs(90)));
}

#[database_test]
async fn zero_wait_stores_no_run_at(world: World) {
    let documents = tracker_with_backoff(&world).await;
    let item = fail_once(&world, &documents, Failure::retry_after("at once", Duration::ZERO)).await;
    assert_eq!((&item["status"], item.get("run_at")), (&number(14), None));
    let item = fail_once(&world, &world.documents(), "no".into()).await;
    assert_eq!((&item["status"], item.get("run_at")), (&number(14), None));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
}

#[database_test]
async fn last_failure_sets_no_wait(world: World) {
    world.create_document().await;
    let documents = world.builder().backoff(BACKOFF).max_retry(2).build().unwrap();
    fail_once(&world, &documents, "no".into()).await;
    world.advance_until_due().await;
    let item = fail_once(&world, &documents, Failure::retry_after("no", Duration::from_mins(1))).await;
    assert_eq!((&item["status"], &item["retry"], item.get("run_at")), (&number(18), &number(2), None));
}

#[database_test]
async fn fatal_failure_sets_no_wait(world: World) {
    let documents = tracker_with_backoff(&world).await;
    fail_once(&world, &documents, "no".into()).await;
    world.advance_until_due().await;
    let item = fail_once(&world, &documents, Failure::fatal("never")).await;
    assert_eq!((&item["status"], &item["retry"]), (&number(18), &number(2)));
    assert_eq!((item.get("run_at"), entry(&item, 1, "error")), (None, "never"));
}

#[database_test]
async fn resent_failure_keeps_its_first_wait(world: World) {
    let documents = tracker_with_backoff(&world).await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let task = execution.fail("no").await.unwrap();
    assert_eq!(world.network.count("UpdateItem"), 3);
    let item = world.stored().await;
    assert_eq!(item["run_at"], crate::support::time(task.head().run_at().unwrap()));
    // A late copy of the finish is refused.
    assert_eq!(world.network.deliver_again("UpdateItem", 1).await.unwrap(), 400);
    assert_eq!(world.stored().await, item);
}

#[database_test]
async fn redrive_ends_the_wait(world: World) {
    let documents = tracker_with_backoff(&world).await;
    fail_once(&world, &documents, "no".into()).await;
    world.advance_until_due().await;
    let item = fail_once(&world, &documents, Failure::snooze(Duration::from_hours(1))).await;
    assert_eq!((&item["status"], &item["retry"], &item["snoozes"]), (&number(14), &number(1), &number(1)));
    assert_eq!(stored_wait(&item), Some(Duration::from_hours(1)));
    let head = documents.redrive("doc-1").await.unwrap();
    assert_eq!((head.run_at(), head.snoozes(), head.failed_attempts()), (None, 0, 0));
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(10), &number(0)));
    assert_eq!((item.get("run_at"), item.get("snoozes")), (None, None));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[derive(Debug, thiserror::Error)]
enum Upload {
    #[error("the bucket is busy")]
    Busy(#[source] std::io::Error),
    #[error("the page is not there yet")]
    NotThereYet,
    #[error("the bucket is closed")]
    Denied,
}

/// Decides what each error of a domain means for the task.
fn verdict(error: Upload) -> Failure {
    match error {
        Upload::Busy(_) => Failure::retry_after(error, Duration::from_mins(1)),
        Upload::NotThereYet => Failure::snooze(Duration::from_mins(10)),
        Upload::Denied => Failure::fatal(error),
    }
}

#[database_test]
async fn map_err_turns_domain_errors_into_failures(world: World) {
    let documents = tracker_with_backoff(&world).await;
    let upload = async |error: Upload| {
        let mut uploads = Some(error);
        let error = documents
            .run("doc-1", async |_| -> Result<(), Failure> {
                uploads.take().map_or(Ok(()), Err).map_err(verdict)?;
                Ok(())
            })
            .await
            .unwrap_err();
        (error, world.stored().await)
    };
    let full = || std::io::Error::other("slow down");
    let (error, item) = upload(Upload::Busy(full())).await;
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: false });
    assert!(matches!(error.into_body_error::<Upload>(), Ok(Upload::Busy(_))));
    assert_eq!((&item["status"], stored_wait(&item)), (&number(14), Some(Duration::from_mins(1))));
    assert_eq!(entry(&item, 0, "traceback"), "the bucket is busy\ncaused by: slow down");

    world.advance_until_due().await;
    let (error, item) = upload(Upload::NotThereYet).await;
    assert!(matches!(error.kind(), ErrorKind::Snoozed { .. }), "{error}");
    assert_eq!((&item["status"], stored_wait(&item)), (&number(14), Some(Duration::from_mins(10))));
    assert_eq!((&item["retry"], history(&item).len()), (&number(1), 1));

    world.advance_until_due().await;
    let (error, item) = upload(Upload::Denied).await;
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: true });
    assert!(matches!(error.body_error(), Some(Upload::Denied)));
    assert_eq!((&item["status"], item.get("run_at")), (&number(18), None));
    assert_eq!((&item["retry"], item.get("snoozes")), (&number(2), None));
}

#[database_test]
async fn body_may_fail_with_anyhow(world: World) {
    use anyhow::Context as _;

    fn pages(text: &str) -> anyhow::Result<u32> {
        text.parse().with_context(|| format!("\"{text}\" is no number of pages"))
    }

    let documents = tracker_with_backoff(&world).await;
    let error = documents
        .run("doc-1", async |task| -> Result<(), Failure> {
            task.data_mut().pages = pages("twelve")?;
            Ok(())
        })
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: false });
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
    assert_eq!(entry(&item, 0, "error"), "\"twelve\" is no number of pages");
    let traceback = entry(&item, 0, "traceback");
    assert!(traceback.ends_with("caused by: invalid digit found in string"), "{traceback}");
    assert!(stored_wait(&item).is_some());

    world.advance_until_due().await;
    let fatal = async |_: &mut _| -> Result<u32, Failure> { pages("13.5").or_fatal() };
    let error = documents.run("doc-1", fatal).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: true });
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("run_at")), (&number(18), None));
    assert_eq!(entry(&item, 1, "error"), "\"13.5\" is no number of pages");
}
