//! Two steps on one item.

use tracker_core::{ErrorKind, NotReadyCause, StatusTracker};
use tracker_test_macros::database_test;

use crate::support::{Document, ExtractStatus, Summary, SummaryStatus, World, number, text};

#[database_test]
async fn second_step_refuses_a_task_until_the_first_has_succeeded(world: World) {
    let documents = world.create_document().await;
    let summaries = world.summaries();
    let refused = |error: tracker_core::Error, name: &str| {
        assert_eq!(
            *error.kind(),
            ErrorKind::NotReady { status: name.to_owned(), cause: NotReadyCause::EarlierStep }
        );
        assert_eq!(error.task().unwrap().role(), None);
    };
    refused(summaries.start("doc-1").await.unwrap_err(), "ExtractStatus::Pending");
    let execution = documents.start("doc-1").await.unwrap();
    let before = world.stored().await;
    refused(summaries.start("doc-1").await.unwrap_err(), "ExtractStatus::InProgress");
    assert_eq!(world.stored().await, before);
    execution.succeed().await.unwrap();

    let head = summaries.head("doc-1").consistent().await.unwrap().unwrap();
    assert!(head.is_pending() && head.is_ready() && !head.is_succeeded());
    assert_eq!(head.status_in::<SummaryStatus>(), None);
    assert_eq!(head.status_in::<ExtractStatus>(), Some(ExtractStatus::Succeeded));
    assert_eq!(head.shard_id(), Some(6), "a shard of the first step");

    summaries.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["status"], number(26));
    assert_eq!(item["value"], text("extract____026____001"));
    assert_eq!(item["started_from"], number(16));
    assert_eq!(item["attempt"], number(2));
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(
        *error.kind(),
        ErrorKind::NotReady { status: "26".to_owned(), cause: NotReadyCause::LaterStep }
    );
}

#[database_test]
async fn each_step_keeps_the_members_of_the_other(world: World) {
    let documents = world.create_document().await;
    documents
        .run("doc-1", async |task| {
            task.data_mut().pages = 3;
            task.data_mut().text_uri = Some("s3://b/k".to_owned());
            task.data_mut().customer = Some("acme".to_owned());
            Ok(())
        })
        .await
        .unwrap();
    world
        .summaries()
        .run("doc-1", async |task| {
            assert_eq!(task.data().pages, 3);
            task.data_mut().text = Some("short".to_owned());
            Ok(())
        })
        .await
        .unwrap();
    let item = world.stored().await;
    let data = item["data"].as_m().unwrap();
    assert_eq!(data["pages"], number(3));
    assert_eq!(data["text_uri"], text("s3://b/k"));
    assert_eq!(data["text"], text("short"));
    assert_eq!(item["customer"], text("acme"));
    let task = documents.get("doc-1").consistent().await.unwrap().unwrap();
    assert_eq!(task.data().text_uri.as_deref(), Some("s3://b/k"));
    assert_eq!(task.status(), None);
    assert_eq!(task.status_name(), "26");
}

#[database_test]
async fn release_returns_the_task_to_the_first_steps_status(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let task = world.summaries().start("doc-1").await.unwrap().release().await.unwrap();
    assert!(task.is_pending());
    assert_eq!(task.status_name(), "ExtractStatus::Succeeded");
    let item = world.stored().await;
    assert_eq!(item["status"], number(16));
    assert_eq!(item["value"], text("extract____016____006"));
}

#[database_test]
async fn failures_of_the_second_step_ignore_the_task_in_its_own_status(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let summaries = world.summaries();
    for _ in 0..3 {
        summaries.start("doc-1").await.unwrap().fail("no").await.unwrap();
    }
    let item = world.stored().await;
    assert_eq!(item["status"], number(28));
    assert_eq!(item["retry"], number(3));
}

#[database_test]
async fn like_copies_the_settings_of_the_first_step(world: World) {
    let documents = world.builder::<Document>().use_case_id("extract#eu").build().unwrap();
    let summaries = Summary::tracker_builder(&world.client).like(&documents).build().unwrap();
    assert_eq!(summaries.config().table, world.table);
    assert_eq!(summaries.config().use_case_id, "extract#eu");
    assert_eq!(summaries.owner(), "worker-1");
    documents.create(Document::new("doc-1")).await.unwrap();
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    summaries.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored_under("extract#eu____doc-1").await.unwrap();
    assert_eq!(item["status"], number(26));
    assert_eq!(item["value"], text("extract#eu____026____001"));
}
