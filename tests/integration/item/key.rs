//! Keys, shards and index partitions.

use tracker_core::StatusTracker;
use tracker_test_macros::database_test;

use crate::support::{Document, ExtractStatus, World, text};

#[database_test]
async fn key_functions_agree_with_the_stored_item(world: World) {
    assert_eq!(Document::make_key("doc-1").unwrap(), "extract____doc-1");
    assert_eq!(Document::shard_id(ExtractStatus::Succeeded, "doc-1").unwrap(), 6);
    assert_eq!(Document::make_value(ExtractStatus::Succeeded, 6).unwrap(), "extract____016____006");
    assert_eq!(
        Document::index_partitions(ExtractStatus::Pending),
        [1, 2, 3, 4, 5].map(|shard| format!("extract____010____00{shard}"))
    );
    for shard in [0, 6] {
        let error = Document::make_value(ExtractStatus::Pending, shard).unwrap_err();
        assert!(error.to_string().contains("; use 1 to 5"), "{error}");
    }
    let elsewhere = world.builder::<Document>().use_case_id("eu").build().unwrap();
    assert_eq!(elsewhere.make_key("doc-1").unwrap(), "eu____doc-1");
    assert_eq!(elsewhere.make_value(ExtractStatus::Pending, 2).unwrap(), "eu____010____002");
    let task = elsewhere.create(Document::new("doc-1")).await.unwrap();
    let item = world.stored_under("eu____doc-1").await.unwrap();
    let shard = elsewhere.shard_id(ExtractStatus::Pending, "doc-1").unwrap();
    assert_eq!(task.shard_id(), Some(shard));
    assert_eq!(item["value"], text(&elsewhere.index_partitions(ExtractStatus::Pending)[shard as usize - 1]));
}
