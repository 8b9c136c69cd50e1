//! Executions that the caller saves, finishes, releases or drops.

use std::time::Duration;

use tracker_core::{ErrorKind, StatusTracker, TrackerStatus};
use tracker_test_macros::database_test;

use crate::support::Fault::{DropRequest, DropResponse};
use crate::support::{Document, ExtractStatus, World, data_member, entry, history, number, text};

#[database_test]
async fn save_renews_the_lease(world: World) {
    let documents = world.create_document().await;
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

#[database_test]
async fn save_fails_when_its_answer_arrives_after_the_deadline(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let clock = world.clock.clone();
    world.clock.during_next_sleep(async move { clock.advance(Duration::from_secs(301)) });
    assert_eq!(*execution.save().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    execution.release().await.expect("nobody has taken the task over");
    assert_eq!(world.stored().await["status"], number(10));
}

#[database_test]
async fn finish_writes_the_data_of_an_unanswered_save_again(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 7;
    world.network.next("UpdateItem", [DropResponse, DropRequest, DropRequest]);
    assert_eq!(*execution.save().await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored().await["data"].as_m().unwrap()["pages"], number(7));
    execution.data_mut().pages = 0;
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["data"].as_m().unwrap()["pages"], number(0));
}

#[database_test]
async fn finish_writes_the_data_of_a_dropped_save_again(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 7;
    world.network.next("UpdateItem", [DropResponse]);
    let (asleep, wait) = tokio::sync::oneshot::channel();
    world.clock.during_next_sleep(async move {
        let _ = asleep.send(());
        std::future::pending::<()>().await;
    });
    tokio::select! {
        _ = execution.save() => panic!("the save sleeps"),
        _ = wait => {}
    }
    execution.data_mut().pages = 0;
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["data"].as_m().unwrap()["pages"], number(0));
}

#[database_test]
async fn failed_update_leaves_the_data_unchanged(world: World) {
    let documents = world.create_document().await;
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
    assert_eq!(data_member(&world.stored().await, "pages"), Some(&number(3)));
}

#[database_test]
async fn finish_writes_only_changed_fields(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    // Somebody edits the data meanwhile. The finish overwrites only the fields that have changed.
    let update =
        world.client.update_item().table_name(&world.table).set_key(Some(world.key("extract____doc-1")));
    update
        .update_expression("SET #data.pages = :pages, #data.note = :note")
        .expression_attribute_names("#data", world.name("data"))
        .expression_attribute_values(":pages", number(50))
        .expression_attribute_values(":note", text("by hand"))
        .send()
        .await
        .unwrap();
    execution.data_mut().text_uri = Some("s3://b/k".to_owned());
    execution.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!(data_member(&item, "pages"), Some(&number(50)));
    assert_eq!(data_member(&item, "note"), Some(&text("by hand")));
    assert_eq!(data_member(&item, "text_uri"), Some(&text("s3://b/k")));
}

#[database_test]
async fn finish_returns_the_task_as_stored(world: World) {
    let documents = world.create_document().await;
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

#[derive(StatusTracker, Clone)]
#[tracker(use_case_id = "extract", status = ExtractStatus)]
struct Measure {
    #[tracker(task_id)]
    id: String,
    value: f64,
    nested: Option<serde_json::Value>,
}

#[database_test]
async fn finish_fails_the_attempt_when_its_data_is_refused(world: World) {
    let measures = world.builder::<Measure>().build().unwrap();
    let new = Measure { id: "doc-1".to_owned(), value: 1.0, nested: None };
    measures.create(new).await.unwrap();
    let mut execution = measures.start("doc-1").await.unwrap();
    execution.data_mut().value = 1e200;
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Encode { attribute: world.name("data.value") });
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));

    let mut execution = measures.start("doc-1").await.unwrap();
    let deep = (0..40).fold(serde_json::Value::Null, |value, _| serde_json::json!([value]));
    execution.data_mut().nested = Some(deep);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Service { code: Some("ValidationException".to_owned()) });
    assert!(error.task().unwrap().is_failed());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(2)));
    assert_eq!(item["lock"], text("__not_locked__"));
}

#[database_test]
async fn finish_of_a_deleted_task_is_unknown(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let delete =
        world.client.delete_item().table_name(&world.table).set_key(Some(world.key("extract____doc-1")));
    delete.send().await.unwrap();
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(
        world.stored_under("extract____doc-1").await,
        None,
        "the finish does not create the item again"
    );
}

#[database_test]
async fn release_returns_the_task_to_its_previous_status(world: World) {
    let documents = world.create_document().await;
    world.clock.advance(Duration::from_secs(1));
    let task = documents.start("doc-1").await.unwrap().release().await.unwrap();
    assert!(task.is_pending());
    let item = world.stored().await;
    assert_eq!(item["status"], number(10));
    assert_eq!(item["value"], text("extract____010____001"));
    assert_eq!(item["retry"], number(0));
    assert_eq!(item["attempt"], number(1));
    assert_eq!(item["lock"], text("__not_locked__"));
    assert_eq!(item["lock_time"], text("2026-11-24T02:17:27.355395+0000"), "`lock_time` has moved on");
    assert!(history(&item).is_empty());

    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    documents.start("doc-1").await.unwrap().release().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["status"], number(14));
    assert_eq!(item["retry"], number(1));
    assert_eq!(history(&item).len(), 1);

    // A Python `save` has dropped `started_from`. The release marks the task as failed, so that it can be started.
    let execution = documents.start("doc-1").await.unwrap();
    let update =
        world.client.update_item().table_name(&world.table).set_key(Some(world.key("extract____doc-1")));
    update.update_expression("REMOVE started_from").send().await.unwrap();
    execution.release().await.unwrap();
    assert_eq!(world.stored().await["status"], number(14));
}

/// Another program turns the map of the data into a text while a body runs, so that no member of it can be written.
#[database_test]
async fn data_that_is_no_map_any_more_fails_the_attempt_and_the_next_one_reads_it(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 7;
    world.set_attribute("data", text(r#"{"uri":"text","pages":1}"#)).await;
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Service { code: Some("ValidationException".to_owned()) });
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["lock"]), (&number(14), &text("__not_locked__")));
    assert_eq!(item["data"], text(r#"{"uri":"text","pages":1}"#), "nothing of the other program's is lost");
    assert!(entry(&item, 0, "error").contains("document path"), "{item:?}");

    let mut execution = documents.start("doc-1").await.unwrap();
    assert_eq!(execution.data().pages, 1);
    execution.data_mut().pages = 8;
    execution.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["status"], number(16));
    let stored: serde_json::Value = serde_json::from_str(item["data"].as_s().unwrap()).unwrap();
    assert_eq!((&stored["uri"], &stored["pages"]), (&"text".into(), &8.into()));
}

#[derive(TrackerStatus, Clone, Copy)]
enum OtherStatus {
    #[status(pending)]
    Pending = 50,
    #[status(in_progress)]
    InProgress = 52,
    #[status(failed)]
    Failed = 54,
    /// The code of `ExtractStatus::Succeeded` with another number of shards. No task has this status.
    #[status(succeeded, shards = 50)]
    Succeeded = 16,
    #[status(ignored)]
    Ignored = 58,
}

#[derive(TrackerStatus, Clone, Copy)]
enum ThirdStatus {
    #[status(pending)]
    Pending = 60,
    #[status(in_progress)]
    InProgress = 62,
    #[status(failed)]
    Failed = 64,
    #[status(succeeded)]
    Succeeded = 66,
    #[status(ignored)]
    Ignored = 68,
}

#[derive(StatusTracker)]
#[tracker(
    use_case_id = "extract",
    status = ThirdStatus,
    table = "documents",
    after = Document,
    more_pending_status = [OtherStatus::Pending]
)]
struct Third {
    #[tracker(task_id)]
    id: String,
}

#[database_test]
async fn release_returns_the_task_to_its_previous_shard(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let before = world.stored().await;
    let third = world.builder::<Third>().build().unwrap();
    third.start("doc-1").await.unwrap().release().await.unwrap();
    let after = world.stored().await;
    assert_eq!((&after["value"], &after["status"]), (&before["value"], &number(16)));
}

#[database_test]
async fn dropped_execution_is_recorded_as_failed(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 7;
    drop(execution);
    let item = world.wait_until_unlocked().await;
    assert_eq!(item["status"], number(14));
    assert_eq!(item["retry"], number(1));
    assert_eq!(data_member(&item, "pages"), Some(&number(0)));
    assert!(entry(&item, 0, "error").contains("dropped before it was finished"));
}

#[database_test]
async fn execution_dropped_outside_the_runtime_is_recorded_as_failed(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let dropped = std::thread::spawn(move || drop(execution)).join();
    assert!(dropped.is_ok());
    assert_eq!(world.wait_until_unlocked().await["status"], number(14));
}
