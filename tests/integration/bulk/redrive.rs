//! Makes all tasks of a status pending again.

use tracker_test_macros::database_test;

use crate::support::{Document, ExtractStatus, World, ids, text};

#[database_test(reads_at_once)]
async fn redrive_all_makes_ignored_tasks_pending(world: World) {
    let documents = world.builder::<Document>().max_retry(1).build().unwrap();
    world.documents();
    for id in ids(30) {
        documents.create(Document::new(&id)).await.unwrap();
        documents.start(&id).await.unwrap().fail("no").await.unwrap();
    }
    assert_eq!(documents.count_by_status().await.unwrap().get(ExtractStatus::Ignored), 30);
    let mut last = 0;
    let redriven = documents.redrive_all(ExtractStatus::Ignored).on_progress(|progress| last = progress.done);
    let redriven = redriven.await.unwrap();
    assert_eq!((redriven.done, redriven.skipped, last), (30, 0, 30));
    let counts = documents.count_by_status().await.unwrap();
    assert_eq!((counts.get(ExtractStatus::Pending), counts.total()), (30, 30));
}

#[database_test(reads_at_once)]
async fn bulk_operations_go_on_after_an_unreadable_task(world: World) {
    let documents = world.builder::<Document>().max_retry(1).build().unwrap();
    for id in ids(5) {
        documents.create(Document::new(&id)).await.unwrap();
        documents.start(&id).await.unwrap().fail("no").await.unwrap();
    }
    let mut odd = world.stored_under("extract____doc-000").await.unwrap();
    odd.insert("lock_time".to_owned(), text("odd"));
    world.put_item(odd.clone()).await;
    let mut errors = Vec::new();
    let redriven = documents.redrive_all(ExtractStatus::Ignored).on_error(|error| errors.push(error));
    let redriven = redriven.await.unwrap();
    assert_eq!((redriven.done, redriven.skipped, redriven.failed), (4, 0, 1));
    assert_eq!(errors[0].key(), Some("extract____doc-000"));
    odd.remove("lock");
    odd.remove("lock_time");
    world.put_item(odd).await;
    let deleted = documents.delete_tasks_by_use_case_id().await.unwrap();
    assert_eq!((deleted.done, deleted.failed), (5, 0), "nobody holds a task without a lock");
    assert_eq!(world.stored_under("extract____doc-000").await, None);
}
