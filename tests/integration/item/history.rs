//! The history of failed attempts.

use tracker_core::aws_sdk_dynamodb::types::AttributeValue;
use tracker_test_macros::database_test;

use crate::support::{Document, World, entry, number, text};

#[database_test]
async fn history_keeps_its_first_and_last_entries(world: World) {
    world.create_document().await;
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

#[database_test]
async fn history_keeps_entries_that_it_cannot_read(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().fail("precious").await.unwrap();
    let mut item = world.stored().await;
    let Some(AttributeValue::M(errors)) = item.get_mut("errors") else { panic!("a map") };
    let Some(AttributeValue::L(history)) = errors.get_mut("history") else { panic!("a list") };
    let Some(AttributeValue::M(entry)) = history.get_mut(0) else { panic!("a map") };
    entry.insert("traceback".to_owned(), AttributeValue::Null(true));
    entry.insert("nth_retry".to_owned(), text("first"));
    history.push(text("not an entry"));
    world.put_item(item).await;
    documents.start("doc-1").await.unwrap().fail("second").await.unwrap();
    let task = documents.get("doc-1").consistent().await.unwrap().unwrap();
    let errors: Vec<_> = task.errors().iter().map(|entry| entry.error.as_str()).collect();
    assert_eq!((errors[0], errors[2]), ("precious", "second"), "{errors:?}");
    assert!(task.errors()[1].traceback.contains("not an entry"), "{:?}", task.errors()[1]);
}
