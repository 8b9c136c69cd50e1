//! Rows of the index, read again as whole tasks.

use std::collections::HashSet;

use futures_util::StreamExt;
use tracker_core::{Error, ErrorKind};
use tracker_test_macros::database_test;

use super::create_one_second_apart;
use crate::support::Fault::{Throttle, Unprocessed};
use crate::support::{Document, ExtractStatus, World, ids, task_ids};

#[database_test(reads_at_once)]
async fn refresh_leaves_out_tasks_that_have_moved(world: World) {
    use ExtractStatus::Pending;
    let documents = create_one_second_apart(&world, ids(5)).await;
    let entries = documents.query_by_status(Pending).all().await.unwrap();
    // Meanwhile doc-001 is deleted, doc-002 has succeeded, and doc-003 cannot be decoded.
    documents.delete("doc-001").await.unwrap();
    documents.start("doc-002").await.unwrap().succeed().await.unwrap();
    let mut item = world.stored_under("extract____doc-003").await.unwrap();
    item.remove("data");
    world.put_item(item).await;
    let twice: Vec<_> = entries.iter().chain(&entries[4..]).cloned().collect();
    let error = documents.refresh(&twice).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { attribute: world.name("data.pages") });
    let tasks =
        documents.refresh(&[entries[4].clone(), entries[2].clone(), entries[0].clone()]).await.unwrap();
    assert_eq!(tasks.iter().map(|task| task.task_id().as_str()).collect::<Vec<_>>(), ["doc-004", "doc-000"]);
    let query = documents.query_by_status([Pending, ExtractStatus::Succeeded]).refresh().with_moved_tasks();
    let both: Vec<_> = query.stream().collect().await;
    assert_eq!(both.iter().filter(|task| task.is_ok()).count(), 3);
    let duplicates = [entries[0].clone(), entries[0].clone(), entries[1].clone()];
    assert_eq!(documents.refresh(&duplicates).await.unwrap().len(), 1);

    let outcomes: Vec<_> = documents.query_by_status(Pending).refresh().stream().collect().await;
    let shown = |outcome: &Result<tracker_core::Task<Document>, Error>| match outcome {
        Ok(task) => task.task_id().clone(),
        Err(error) => format!("no {}", error.key().unwrap_or_default()),
    };
    let shown: Vec<_> = outcomes.iter().map(shown).collect();
    assert_eq!(shown, ["doc-000", "no extract____doc-003", "doc-004"], "the stream goes on after the error");
}

#[database_test(reads_at_once)]
async fn refresh_returns_a_task_once_when_the_index_shows_it_twice(world: World) {
    use ExtractStatus::{Failed, Pending};
    let documents = create_one_second_apart(&world, ids(2)).await;
    let stale = documents.query_by_status(Pending).all().await.unwrap();
    documents.start("doc-000").await.unwrap().fail("no").await.unwrap();
    let fresh = documents.query_by_status(Failed).all().await.unwrap();
    let both: Vec<_> = stale.into_iter().chain(fresh).collect();
    assert_eq!(task_ids(&both), ["doc-000", "doc-001", "doc-000"]);
    let tasks = documents.refresh(&both).await.unwrap();
    assert_eq!(tasks.iter().map(|task| task.task_id().as_str()).collect::<Vec<_>>(), ["doc-001", "doc-000"]);
}

#[database_test(whole_batches, reads_at_once)]
async fn refresh_reads_100_tasks_in_a_request(world: World) {
    let documents = world.documents();
    let new = ids(1000).map(|id| Document { pages: 3, ..Document::new(&id) });
    assert_eq!(documents.overwrite_many(new).await.unwrap().written, 1000);
    assert_eq!(world.network.count("BatchWriteItem"), 40);
    let (before, reads) = (world.network.count("BatchGetItem"), world.network.count("GetItem"));
    let tasks = documents.query_by_status(ExtractStatus::Pending).refresh().all().await.unwrap();
    assert_eq!(tasks.len(), 1000);
    assert!(tasks.iter().all(|task| task.data().pages == 3));
    assert_eq!(world.network.count("BatchGetItem") - before, 10);
    assert_eq!(world.network.count("GetItem"), reads);
}

#[database_test(whole_batches, reads_at_once)]
async fn unprocessed_keys_are_requested_again(world: World) {
    let documents = world.documents();
    world.network.next("BatchWriteItem", [Unprocessed; 3]);
    let overwritten = documents.overwrite_many(ids(60).map(|id| Document::new(&id))).await.unwrap();
    assert_eq!((overwritten.written, world.network.faults_left()), (60, 0));
    assert_eq!(documents.count_by_status().await.unwrap().get(ExtractStatus::Pending), 60);
    world.network.next("BatchGetItem", [Unprocessed; 4]);
    let tasks = documents.query_by_status(ExtractStatus::Pending).refresh().all().await.unwrap();
    assert_eq!((tasks.len(), world.network.faults_left()), (60, 0));
    let order: HashSet<_> = tasks.iter().map(|task| task.task_id().clone()).collect();
    assert_eq!(order.len(), 60);

    world.network.next("BatchGetItem", [Throttle]);
    let outcomes: Vec<_> =
        documents.query_by_status(ExtractStatus::Pending).refresh().stream().collect().await;
    assert_eq!(outcomes.len(), 1, "the stream ends with the error");
    assert!(matches!(outcomes[0].as_ref().unwrap_err().kind(), ErrorKind::Throttled { .. }));
}
