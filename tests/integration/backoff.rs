//! Failures that let a task wait, or end it: what of it is stored.

use std::time::Duration;

use chrono::TimeDelta;
use tracker_core::{Backoff, Clock, ErrorKind, Failure, FailureExt, Tracker};

use crate::support::Fault::DropResponse;
use crate::support::{Document, World, entry, history, number, wait_of};

crate::tests![
    each_failure_doubles_the_wait,
    a_success_removes_the_wait,
    whatever_fails_an_attempt_lets_it_wait,
    a_takeover_does_not_wait,
    a_body_may_ask_for_another_wait,
    no_wait_leaves_no_time,
    the_last_failure_does_not_wait,
    a_fatal_failure_does_not_wait,
    a_lost_answer_does_not_change_the_wait,
    a_redrive_ends_the_wait,
    a_domain_has_verdicts,
    bodies_fail_with_anyhow,
];

const BACKOFF: Backoff = Backoff::Exponential { base: Duration::from_secs(10), max: Duration::from_secs(25) };

/// `doc-1`, whose failures let it wait.
async fn patient(world: &World) -> Tracker<Document> {
    world.document().await;
    world.builder().backoff(BACKOFF).max_retry(10).build().unwrap()
}

/// What is stored after a failure of `doc-1`.
async fn failed(world: &World, documents: &Tracker<Document>, failure: Failure) -> crate::support::Item {
    documents.start("doc-1").await.unwrap().fail(failure).await.unwrap();
    world.stored().await
}

async fn each_failure_doubles_the_wait(world: World) {
    let documents = patient(&world).await;
    for (nth, whole) in [(1, 10), (2, 20), (3, 25), (4, 25)] {
        let whole = Duration::from_secs(whole);
        let task = documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
        let item = world.stored().await;
        assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(nth)));
        let wait = wait_of(&item).unwrap();
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

async fn a_success_removes_the_wait(world: World) {
    let documents = patient(&world).await;
    failed(&world, &documents, "no".into()).await;
    world.due().await;
    let task = documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(task.head().run_at(), None);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(16), &number(0)));
    assert_eq!(item.get("run_at"), None);
}

async fn whatever_fails_an_attempt_lets_it_wait(world: World) {
    let documents = patient(&world).await;
    drop(documents.start("doc-1").await.unwrap());
    let item = world.freed().await;
    assert!(wait_of(&item).unwrap() >= Duration::from_secs(5), "{item:?}");
    world.due().await;

    let builder = world.builder::<Document>().backoff(BACKOFF).max_retry(10);
    let hasty = builder.timeout(Duration::from_secs(1)).build().unwrap();
    let hangs = async |_: &mut _| -> Result<(), Failure> { std::future::pending().await };
    let error = hasty.run("doc-1", hangs).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: false });
    let item = world.stored().await;
    assert_eq!(item["retry"], number(2));
    assert!(wait_of(&item).unwrap() >= Duration::from_secs(10), "{item:?}");
}

async fn a_takeover_does_not_wait(world: World) {
    let documents = patient(&world).await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    let execution = documents.start("doc-1").await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"], item.get("run_at")), (&number(12), &number(1), None));
    execution.release().await.unwrap();
}

async fn a_body_may_ask_for_another_wait(world: World) {
    let patient = patient(&world).await;
    let eager = world.documents();
    let wait = Duration::from_mins(7);
    for (documents, nth) in [(&patient, 1), (&eager, 2)] {
        let item = failed(&world, documents, Failure::retry_after("busy", wait)).await;
        assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(nth)));
        assert_eq!(wait_of(&item), Some(wait));
        assert_eq!(entry(&item, history(&item).len() - 1, "error"), "busy");
        world.due().await;
    }
    let error = patient
        .run("doc-1", async |_| "x".parse::<u32>().or_retry_after(Duration::from_secs(90)))
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: false });
    assert!(error.body_error::<std::num::ParseIntError>().is_some());
    assert_eq!(wait_of(&world.stored().await), Some(Duration::from_secs(90)));
}

async fn no_wait_leaves_no_time(world: World) {
    let documents = patient(&world).await;
    let item = failed(&world, &documents, Failure::retry_after("at once", Duration::ZERO)).await;
    assert_eq!((&item["status"], item.get("run_at")), (&number(14), None));
    let item = failed(&world, &world.documents(), "no".into()).await;
    assert_eq!((&item["status"], item.get("run_at")), (&number(14), None));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
}

async fn the_last_failure_does_not_wait(world: World) {
    world.document().await;
    let documents = world.builder().backoff(BACKOFF).max_retry(2).build().unwrap();
    failed(&world, &documents, "no".into()).await;
    world.due().await;
    let item = failed(&world, &documents, Failure::retry_after("no", Duration::from_mins(1))).await;
    assert_eq!((&item["status"], &item["retry"], item.get("run_at")), (&number(18), &number(2), None));
}

async fn a_fatal_failure_does_not_wait(world: World) {
    let documents = patient(&world).await;
    failed(&world, &documents, "no".into()).await;
    world.due().await;
    let item = failed(&world, &documents, Failure::fatal("never")).await;
    assert_eq!((&item["status"], &item["retry"]), (&number(18), &number(2)));
    assert_eq!((item.get("run_at"), entry(&item, 1, "error")), (None, "never"));
}

async fn a_lost_answer_does_not_change_the_wait(world: World) {
    let documents = patient(&world).await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let task = execution.fail("no").await.unwrap();
    assert_eq!(world.network.count("UpdateItem"), 3);
    let item = world.stored().await;
    assert_eq!(item["run_at"], crate::support::time(task.head().run_at().unwrap()));
    // A late copy says the same, and fits nothing.
    assert_eq!(world.network.deliver_again("UpdateItem", 1).await.unwrap(), 400);
    assert_eq!(world.stored().await, item);
}

async fn a_redrive_ends_the_wait(world: World) {
    let documents = patient(&world).await;
    failed(&world, &documents, "no".into()).await;
    world.due().await;
    let item = failed(&world, &documents, Failure::snooze(Duration::from_hours(1))).await;
    assert_eq!((&item["status"], &item["retry"], &item["snoozes"]), (&number(14), &number(1), &number(1)));
    assert_eq!(wait_of(&item), Some(Duration::from_hours(1)));
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

/// What each error of a domain means to its task.
fn verdict(error: Upload) -> Failure {
    match error {
        Upload::Busy(_) => Failure::retry_after(error, Duration::from_mins(1)),
        Upload::NotThereYet => Failure::snooze(Duration::from_mins(10)),
        Upload::Denied => Failure::fatal(error),
    }
}

async fn a_domain_has_verdicts(world: World) {
    let documents = patient(&world).await;
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
    assert_eq!((&item["status"], wait_of(&item)), (&number(14), Some(Duration::from_mins(1))));
    assert_eq!(entry(&item, 0, "traceback"), "the bucket is busy\ncaused by: slow down");

    world.due().await;
    let (error, item) = upload(Upload::NotThereYet).await;
    assert!(matches!(error.kind(), ErrorKind::Snoozed { .. }), "{error}");
    assert_eq!((&item["status"], wait_of(&item)), (&number(14), Some(Duration::from_mins(10))));
    assert_eq!((&item["retry"], history(&item).len()), (&number(1), 1));

    world.due().await;
    let (error, item) = upload(Upload::Denied).await;
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: true });
    assert!(matches!(error.body_error(), Some(Upload::Denied)));
    assert_eq!((&item["status"], item.get("run_at")), (&number(18), None));
    assert_eq!((&item["retry"], item.get("snoozes")), (&number(2), None));
}

async fn bodies_fail_with_anyhow(world: World) {
    use anyhow::Context as _;

    fn pages(text: &str) -> anyhow::Result<u32> {
        text.parse().with_context(|| format!("\"{text}\" is no number of pages"))
    }

    let documents = patient(&world).await;
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
    assert!(wait_of(&item).is_some());

    world.due().await;
    let fatal = async |_: &mut _| -> Result<u32, Failure> { pages("13.5").or_fatal() };
    let error = documents.run("doc-1", fatal).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: true });
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("run_at")), (&number(18), None));
    assert_eq!(entry(&item, 1, "error"), "\"13.5\" is no number of pages");
}
