//! What becomes of a task, as it is stored.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tracker_core::{ErrorKind, Failure, FailureExt};

use crate::support::{Document, ExtractStatus, Item, World, entry, history, number, text};

crate::tests![
    a_new_task,
    success,
    failure_drops_the_data,
    failure_after_save_keeps_the_data,
    three_failures_are_ignored,
    a_fatal_failure_is_ignored_at_once,
    success_resets_retry_and_keeps_the_history,
    the_history_is_bounded,
    a_panic_is_recorded_and_goes_on,
    a_dropped_execution_is_recorded,
    a_dropped_run_is_recorded,
    release_goes_back_to_where_it_was_started_from,
    save_renews_the_lease,
    an_update_that_fails_is_undone,
    what_is_not_changed_is_not_written,
    bodies_fail_with_any_error,
    finishing_by_hand_gives_the_task_as_stored,
];

fn data<'i>(
    item: &'i Item,
    member: &str,
) -> Option<&'i tracker_core::aws_sdk_dynamodb::types::AttributeValue> {
    item["data"].as_m().expect("a map").get(member)
}

async fn a_new_task(world: World) {
    let documents = world.documents();
    let task = documents
        .create(Document { customer: Some("acme".to_owned()), pages: 3, ..Document::new("doc-1") })
        .await
        .unwrap();
    assert_eq!(task.status(), Some(ExtractStatus::Pending));

    let item = world.stored().await;
    let mut names: Vec<_> = item.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "create_time",
            "customer",
            "data",
            "errors",
            "key",
            "lock",
            "lock_time",
            "retry",
            "status",
            "update_time",
            "value"
        ]
    );
    assert_eq!(item["key"], text("extract____doc-1"));
    // The shard of the documented test vector.
    assert_eq!(item["value"], text("extract____010____001"));
    assert_eq!(item["status"], number(10));
    assert_eq!(item["retry"], number(0));
    assert_eq!(item["create_time"], text("2026-11-24T02:17:26.355394+0000"));
    assert_eq!(item["update_time"], text("2026-11-24T02:17:26.355394+0000"));
    assert_eq!(item["lock"], text("__not_locked__"));
    assert_eq!(item["lock_time"], text("1970-01-01T00:00:00.000000+0000"));
    assert_eq!(item["customer"], text("acme"));
    assert_eq!(data(&item, "pages"), Some(&number(3)));
    assert!(
        data(&item, "text_uri").is_some_and(tracker_core::aws_sdk_dynamodb::types::AttributeValue::is_null)
    );
    assert!(history(&item).is_empty());
}

async fn success(world: World) {
    let documents = world.document().await;
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
    assert_eq!(data(&item, "pages"), Some(&number(7)));
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

async fn failure_drops_the_data(world: World) {
    let documents = world.document().await;
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

async fn failure_after_save_keeps_the_data(world: World) {
    let documents = world.document().await;
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
    assert_eq!(data(&item, "pages"), Some(&number(7)));
}

async fn three_failures_are_ignored(world: World) {
    let documents = world.document().await;
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

async fn a_fatal_failure_is_ignored_at_once(world: World) {
    let documents = world.document().await;
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

async fn success_resets_retry_and_keeps_the_history(world: World) {
    let documents = world.document().await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["status"], number(16));
    assert_eq!(item["retry"], number(0));
    assert_eq!(item["attempt"], number(2));
    assert_eq!(entry(&item, 0, "error"), "once");
}

async fn the_history_is_bounded(world: World) {
    world.document().await;
    let documents = world.builder::<Document>().max_retry(100).history_limit(3).build().unwrap();
    for nth in 1..=6 {
        let execution = documents.start("doc-1").await.unwrap();
        execution.fail(format!("failure {nth} {}", "x".repeat(100_000))).await.unwrap();
    }
    let item = world.stored().await;
    let kept = [0, 1, 2].map(|nth| entry(&item, nth, "nth_retry"));
    assert_eq!(kept, ["1", "5", "6"]);
    assert_eq!(item["errors"].as_m().unwrap()["omitted"], number(3));
    assert!(entry(&item, 2, "error").len() <= 2048);
    let task = documents.get("doc-1").consistent().await.unwrap().unwrap();
    assert_eq!(task.errors().len(), 3);
    assert_eq!(task.head().errors_omitted(), 3);
}

async fn a_panic_is_recorded_and_goes_on(world: World) {
    let documents = world.document().await;
    let run = documents.run("doc-1", async |_| -> Result<(), Failure> { panic!("out of paper") });
    let panic = AssertUnwindSafe(run).catch_unwind().await.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"out of paper"));
    let item = world.stored().await;
    assert_eq!(item["status"], number(14));
    assert_eq!(item["retry"], number(1));
    assert_eq!(entry(&item, 0, "error"), "the body panicked: out of paper");
}

async fn a_dropped_execution_is_recorded(world: World) {
    let documents = world.document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 7;
    drop(execution);
    let item = world.freed().await;
    assert_eq!(item["status"], number(14));
    assert_eq!(item["retry"], number(1));
    assert_eq!(data(&item, "pages"), Some(&number(0)));
    assert!(entry(&item, 0, "error").contains("dropped before it was finished"));
}

async fn a_dropped_run_is_recorded(world: World) {
    let documents = world.document().await;
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
    let item = world.freed().await;
    assert_eq!(item["status"], number(14));
    assert_eq!(history(&item).len(), 1);
}

async fn release_goes_back_to_where_it_was_started_from(world: World) {
    let documents = world.document().await;
    world.clock.advance(Duration::from_secs(1));
    let task = documents.start("doc-1").await.unwrap().release().await.unwrap();
    assert!(task.is_pending());
    let item = world.stored().await;
    assert_eq!(item["status"], number(10));
    assert_eq!(item["value"], text("extract____010____001"));
    assert_eq!(item["retry"], number(0));
    assert_eq!(item["attempt"], number(1));
    assert_eq!(item["lock"], text("__not_locked__"));
    assert_eq!(item["lock_time"], text("2026-11-24T02:17:27.355395+0000"), "moved on");
    assert!(history(&item).is_empty());

    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    documents.start("doc-1").await.unwrap().release().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["status"], number(14));
    assert_eq!(item["retry"], number(1));
    assert_eq!(history(&item).len(), 1);

    // A Python `save` dropped what a release goes by: the task is tried again all the same.
    let execution = documents.start("doc-1").await.unwrap();
    let update = world.client.update_item().table_name(&world.table).key("key", text("extract____doc-1"));
    update.update_expression("REMOVE started_from").send().await.unwrap();
    execution.release().await.unwrap();
    assert_eq!(world.stored().await["status"], number(14));
}

async fn save_renews_the_lease(world: World) {
    let documents = world.document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    assert_eq!(execution.remaining(), Duration::from_mins(5));
    let index_before = world.stored().await;
    world.clock.advance(Duration::from_secs(200));
    execution.save().await.unwrap();
    assert_eq!(execution.remaining(), Duration::from_mins(5));
    let item = world.stored().await;
    assert_eq!(item["lock_time"], text("2026-11-24T02:20:46.355394+0000"));
    assert_eq!(item["update_time"], index_before["update_time"], "the index is not written");
    world.clock.advance(Duration::from_secs(200));
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

async fn an_update_that_fails_is_undone(world: World) {
    let documents = world.document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution
        .update(|document| -> Result<(), std::convert::Infallible> {
            document.pages = 3;
            Ok(())
        })
        .unwrap();
    let undone = execution.update(|document| -> Result<(), &str> {
        document.pages = 99;
        Err("no")
    });
    assert_eq!(undone, Err("no"));
    assert_eq!(execution.data().pages, 3);
    execution.succeed().await.unwrap();
    assert_eq!(data(&world.stored().await, "pages"), Some(&number(3)));
}

async fn what_is_not_changed_is_not_written(world: World) {
    let documents = world.document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    // Somebody edits the data by hand meanwhile: only what the body changes is overwritten.
    let update = world.client.update_item().table_name(&world.table).key("key", text("extract____doc-1"));
    update
        .update_expression("SET #data.pages = :pages, #data.note = :note")
        .expression_attribute_names("#data", "data")
        .expression_attribute_values(":pages", number(50))
        .expression_attribute_values(":note", text("by hand"))
        .send()
        .await
        .unwrap();
    execution.data_mut().text_uri = Some("s3://b/k".to_owned());
    execution.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!(data(&item, "pages"), Some(&number(50)));
    assert_eq!(data(&item, "note"), Some(&text("by hand")));
    assert_eq!(data(&item, "text_uri"), Some(&text("s3://b/k")));
}

async fn bodies_fail_with_any_error(world: World) {
    #[derive(Debug, thiserror::Error)]
    #[error("the scanner is out")]
    struct Scanner(#[source] std::num::ParseIntError);

    let documents = world.document().await;
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

async fn finishing_by_hand_gives_the_task_as_stored(world: World) {
    let documents = world.document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    assert_eq!(execution.attempt(), 1);
    execution.data_mut().pages = 5;
    execution.save().await.unwrap();
    execution.data_mut().pages = 6;
    let task = execution.fail("no").await.unwrap();
    assert_eq!(task.data().pages, 5);
    assert_eq!(task.errors()[0].error, "no");
    let stored = documents.get("doc-1").consistent().await.unwrap().unwrap();
    assert_eq!(stored.data(), task.data());
    assert_eq!(format!("{:?}", stored.head()), format!("{:?}", task.head()));

    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 9;
    let task = execution.succeed().await.unwrap();
    let stored = documents.get("doc-1").consistent().await.unwrap().unwrap();
    assert_eq!(stored.data(), task.data());
    assert_eq!(format!("{:?}", stored.head()), format!("{:?}", task.head()));
}
