//! Reads and deletes single tasks.

use tracker_core::ErrorKind;
use tracker_test_macros::database_test;

use crate::support::{Document, World, text};

#[database_test]
async fn get_head_and_delete_return_none_for_a_missing_task(world: World) {
    let documents = world.documents();
    assert!(documents.get("doc-1").await.unwrap().is_none());
    assert!(documents.head("doc-1").consistent().await.unwrap().is_none());
    assert!(documents.delete("doc-1").await.unwrap().is_none());
}

#[database_test]
async fn delete_refuses_a_live_lease_and_deletes_any_other_task(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let before = world.stored().await;
    let error = documents.delete("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    assert_eq!(world.stored().await, before);
    execution.succeed().await.unwrap();
    let deleted = documents.delete("doc-1").await.unwrap().unwrap();
    assert!(deleted.is_succeeded());
    assert_eq!(world.stored_under("extract____doc-1").await, None);

    documents.create(Document::new("doc-2")).await.unwrap();
    std::mem::forget(documents.start("doc-2").await.unwrap());
    world.expire_lease();
    assert!(documents.delete("doc-2").await.unwrap().unwrap().is_in_progress());
    assert_eq!(world.stored_under("extract____doc-2").await, None);
}

#[database_test]
async fn delete_removes_an_unreadable_item(world: World) {
    let documents = world.create_document().await;
    world.set_attribute("retry", text("x")).await;
    documents.delete("doc-1").await.unwrap();
    assert_eq!(world.stored_under("extract____doc-1").await, None);
}
