//! How a run of a body is recorded in the item.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tracker_core::{ErrorKind, Failure, FailureExt};
use tracker_test_macros::database_test;

use crate::support::{ExtractStatus, World, data_member, entry, history, number, text};

#[database_test]
async fn run_records_a_success(world: World) {
    let documents = world.create_document().await;
    world.clock.advance(Duration::from_secs(10));
    let pages = documents
        .run("doc-1", async |task| {
            let item = world.stored().await;
            assert_eq!(item["status"], number(12));
            assert_eq!(item["value"], text("extract____012____001"));
            assert_eq!(item["started_from"], number(10));
            assert_eq!(item["attempt"], number(1));
            assert_eq!(item["owner"], text("worker-1"));
            assert_eq!(item["lock_time"], text("2026-11-24T02:17:36.355394+0000"));
            assert_eq!(item["update_time"], item["lock_time"]);
            let lock = item["lock"].as_s().unwrap();
            assert!(lock.len() == 32 && lock.bytes().all(|byte| byte.is_ascii_hexdigit()), "{lock}");
            assert!(task.is_in_progress() && task.is_locked());
            world.clock.advance(Duration::from_secs(20));
            task.data_mut().pages = 7;
            task.data_mut().customer = Some("acme".to_owned());
            Ok(task.data().pages)
        })
        .await
        .unwrap();
    assert_eq!(pages, 7);

    let item = world.stored().await;
    assert_eq!(item["status"], number(16));
    assert_eq!(item["value"], text("extract____016____006"));
    assert_eq!(item["lock"], text("__not_locked__"));
    assert_eq!(item["lock_time"], text("2026-11-24T02:17:56.355394+0000"));
    assert_eq!(item["update_time"], item["lock_time"]);
    assert_eq!(item["create_time"], text("2026-11-24T02:17:26.355394+0000"));
    assert_eq!(item["retry"], number(0));
    assert_eq!(item["attempt"], number(1));
    assert_eq!(data_member(&item, "pages"), Some(&number(7)));
    assert_eq!(item["customer"], text("acme"));
    assert_eq!(item["last_lock"].as_s().unwrap().len(), 32);

    let task = documents.get("doc-1").consistent().await.unwrap().unwrap();
    assert!(task.is_succeeded() && !task.is_locked());
    assert_eq!(task.status(), Some(ExtractStatus::Succeeded));
    assert_eq!(task.status_name(), "Succeeded");
    assert_eq!(task.shard_id(), Some(6));
    assert_eq!(task.use_case_id(), "extract");
    assert_eq!(task.task_id(), "doc-1");
    assert_eq!(task.data().pages, 7);
    assert_eq!(world.network.count("UpdateItem"), 2, "two requests per task");
}

#[database_test]
async fn failed_run_drops_unsaved_data(world: World) {
    let documents = world.create_document().await;
    let before = world.stored().await;
    let error = documents
        .run("doc-1", async |task| -> Result<(), Failure> {
            task.data_mut().pages = 7;
            task.data_mut().customer = Some("acme".to_owned());
            Err("no such file".into())
        })
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: false });
    assert!(error.task().unwrap().is_failed());

    let item = world.stored().await;
    assert_eq!(item["status"], number(14));
    assert_eq!(item["value"], text("extract____014____001"));
    assert_eq!(item["retry"], number(1));
    assert_eq!(item["lock"], text("__not_locked__"));
    assert_eq!(item["data"], before["data"]);
    assert!(!item.contains_key("customer"));
    assert_eq!(history(&item).len(), 1);
    assert_eq!(entry(&item, 0, "error"), "no such file");
    assert_eq!(entry(&item, 0, "nth_retry"), "1");
    assert_eq!(entry(&item, 0, "update_time"), "2026-11-24T02:17:26.355395+00:00");
}

#[database_test]
async fn failed_run_keeps_saved_data(world: World) {
    let documents = world.create_document().await;
    documents
        .run("doc-1", async |task| -> Result<(), Failure> {
            task.data_mut().pages = 7;
            task.save().await?;
            task.data_mut().pages = 8;
            Err("later".into())
        })
        .await
        .unwrap_err();
    let item = world.stored().await;
    assert_eq!(item["status"], number(14));
    assert_eq!(data_member(&item, "pages"), Some(&number(7)));
}

#[database_test]
async fn third_failure_ignores_the_task(world: World) {
    let documents = world.create_document().await;
    for nth in 1..=3_u32 {
        let error = documents
            .run("doc-1", async |_| -> Result<(), Failure> { Err(format!("failure {nth}").into()) })
            .await
            .unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: nth == 3 });
        let item = world.stored().await;
        assert_eq!(item["retry"], number(nth.into()));
        assert_eq!(item["attempt"], number(nth.into()));
        assert_eq!(item["status"], number(if nth == 3 { 18 } else { 14 }));
    }
    let item = world.stored().await;
    assert_eq!(item["value"], text("extract____018____001"));
    assert_eq!([0, 1, 2].map(|nth| entry(&item, nth, "error")), ["failure 1", "failure 2", "failure 3"]);
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);
    assert_eq!(world.stored().await, item);
}

#[database_test]
async fn fatal_failure_ignores_the_task_at_once(world: World) {
    let documents = world.create_document().await;
    let error = documents
        .run("doc-1", async |_| -> Result<u32, Failure> { "twelve".parse::<u32>().or_fatal() })
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: true });
    let item = world.stored().await;
    assert_eq!(item["status"], number(18));
    assert_eq!(item["retry"], number(1));
    assert_eq!(entry(&item, 0, "error"), "invalid digit found in string");
}

#[database_test]
async fn success_resets_retry_and_keeps_the_history(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["status"], number(16));
    assert_eq!(item["retry"], number(0));
    assert_eq!(item["attempt"], number(2));
    assert_eq!(entry(&item, 0, "error"), "once");
}

#[database_test]
async fn run_records_a_panic_and_resumes_it(world: World) {
    let documents = world.create_document().await;
    let run = documents
        .run("doc-1", async |_| -> Result<(), Failure> { crate::support::panic_quietly("out of paper") });
    let panic = AssertUnwindSafe(run).catch_unwind().await.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"out of paper"));
    let item = world.stored().await;
    assert_eq!(item["status"], number(14));
    assert_eq!(item["retry"], number(1));
    assert_eq!(entry(&item, 0, "error"), "the body panicked: out of paper");
}

#[database_test]
async fn dropped_run_is_recorded_as_failed(world: World) {
    let documents = world.create_document().await;
    let (entered, wait) = tokio::sync::oneshot::channel();
    let running = documents.clone();
    let run = tokio::spawn(async move {
        let body = async |_: &mut _| -> Result<(), Failure> {
            let _ = entered.send(());
            std::future::pending().await
        };
        running.run("doc-1", body).await
    });
    wait.await.unwrap();
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    let item = world.wait_until_unlocked().await;
    assert_eq!(item["status"], number(14));
    assert_eq!(history(&item).len(), 1);
}

#[database_test]
async fn body_may_fail_with_any_error(world: World) {
    #[derive(Debug, thiserror::Error)]
    #[error("the scanner is out")]
    struct Scanner(#[source] std::num::ParseIntError);

    let documents = world.create_document().await;
    let error = documents
        .run("doc-1", async |_| -> Result<(), Failure> {
            "x".parse::<u32>().map_err(Scanner)?;
            std::fs::read("/does/not/exist")?;
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(error.body_error::<Scanner>().is_some());
    assert!(error.into_body_error::<Scanner>().unwrap().to_string().contains("scanner"));
    let item = world.stored().await;
    assert_eq!(entry(&item, 0, "error"), "the scanner is out");
    assert_eq!(entry(&item, 0, "traceback"), "the scanner is out\ncaused by: invalid digit found in string");
}
