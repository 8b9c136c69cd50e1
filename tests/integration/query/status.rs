//! Tasks by status: over all shards, in time order, page by page, and counted.

use std::collections::HashSet;

use tracker_core::{Cursor, IndexEntry};
use tracker_test_macros::database_test;

use super::create_one_second_apart;
use crate::support::{Document, ExtractStatus, SummaryStatus, World, ids, number, task_ids, text};

#[database_test(reads_at_once)]
async fn query_returns_the_tasks_of_one_status_or_several(world: World) {
    use ExtractStatus::{Failed, Ignored, Pending, Succeeded};
    let documents = create_one_second_apart(&world, ids(4)).await;
    documents.start("doc-000").await.unwrap().fail("no").await.unwrap();
    documents.start("doc-001").await.unwrap().succeed().await.unwrap();
    let entries = documents.query_by_status(Pending).all().await.unwrap();
    assert_eq!(task_ids(&entries), ["doc-002", "doc-003"]);
    let entry = &entries[0];
    let item = world.stored_under(entry.key()).await.unwrap();
    assert_eq!((entry.status(), entry.status_name()), (Some(Pending), "Pending"));
    assert_eq!(item["update_time"].as_s().unwrap()[..19], entry.update_time().to_rfc3339()[..19]);
    assert_eq!(entry.create_time(), Some(entry.update_time()));
    assert_eq!(item["value"], text(&documents.make_value(Pending, entry.shard_id().unwrap()).unwrap()));
    assert_eq!(entry.task_id(), "doc-002");

    let both = documents.query_by_status([Succeeded, Failed]).all().await.unwrap();
    assert_eq!(task_ids(&both), ["doc-000", "doc-001"]);
    assert_eq!(task_ids(&documents.query_by_status(vec![Pending, Pending]).all().await.unwrap()).len(), 2);
    assert!(documents.query_by_status(&[Ignored][..]).all().await.unwrap().is_empty());
}

#[database_test]
async fn query_merges_shards_in_time_order(world: World) {
    let documents = create_one_second_apart(&world, ids(60)).await;
    let all: Vec<_> = ids(60).collect();
    let entries = documents.query_by_status(ExtractStatus::Pending).all().await.unwrap();
    assert_eq!(task_ids(&entries), all);
    let shards: HashSet<_> = entries.iter().map(IndexEntry::shard_id).collect();
    assert_eq!(shards.len(), 5);
    let newest = documents.query_by_status(ExtractStatus::Pending).newest_first().all().await.unwrap();
    assert_eq!(task_ids(&newest), all.iter().rev().collect::<Vec<_>>());
}

#[database_test(reads_at_once)]
async fn query_respects_its_limits(world: World) {
    use ExtractStatus::{Failed, Pending};
    let documents = create_one_second_apart(&world, ids(40)).await;
    for id in ids(20) {
        documents.start(&id).await.unwrap().fail("no").await.unwrap();
    }
    let query = || documents.query_by_status([Pending, Failed]);
    assert_eq!(task_ids(&query().limit(3).all().await.unwrap()), ["doc-020", "doc-021", "doc-022"]);
    assert_eq!(query().limit(1000).all().await.unwrap().len(), 40);
    let entries = query().limit_per_status(4).all().await.unwrap();
    let failed = entries.iter().filter(|entry| entry.status() == Some(Failed)).count();
    assert_eq!((entries.len(), failed), (8, 4));
    assert_eq!(query().limit_per_status(4).limit(6).all().await.unwrap().len(), 6);
}

#[database_test(reads_at_once)]
async fn pages_return_each_task_once(world: World) {
    let documents = create_one_second_apart(&world, ids(25)).await;
    for newest_first in [false, true] {
        let query = || {
            let query = documents.query_by_status(ExtractStatus::Pending).limit(10);
            if newest_first { query.newest_first() } else { query }
        };
        let mut seen = Vec::new();
        let mut page = query().page().await.unwrap();
        let mut sizes = vec![page.entries.len()];
        loop {
            seen.extend(page.entries.iter().map(|entry| entry.task_id().to_owned()));
            let Some(next) = page.next else { break };
            // Write the cursor as JSON and read it back, as a web page does.
            let json = serde_json::to_string(&next).unwrap();
            let next: Cursor = serde_json::from_str(&json).unwrap();
            assert_eq!(Cursor::from_text(next.to_string()), next);
            page = query().after(&next).page().await.unwrap();
            sizes.push(page.entries.len());
        }
        let mut all: Vec<_> = ids(25).collect();
        if newest_first {
            all.reverse();
        }
        assert_eq!((seen, sizes), (all, vec![10, 10, 5]));
    }
    // A task that ends meanwhile is not returned twice, and a new task comes later.
    let first = documents.query_by_status(ExtractStatus::Pending).limit(10).page().await.unwrap();
    documents.start("doc-003").await.unwrap().succeed().await.unwrap();
    documents.create(Document::new("new")).await.unwrap();
    let rest = documents.query_by_status(ExtractStatus::Pending).after(&first.next.unwrap());
    let rest = rest.all().await.unwrap();
    assert_eq!((task_ids(&rest)[0], task_ids(&rest)[15]), ("doc-010", "new"));
}

#[database_test(reads_at_once)]
async fn second_step_queries_statuses_of_the_first(world: World) {
    let documents = create_one_second_apart(&world, ids(3)).await;
    for id in ids(2) {
        documents.start(&id).await.unwrap().succeed().await.unwrap();
    }
    let summaries = world.summaries();
    let entries = summaries.query_by_status(ExtractStatus::Succeeded).all().await.unwrap();
    assert_eq!(entries.iter().map(IndexEntry::task_id).collect::<Vec<_>>(), ["doc-000", "doc-001"]);
    assert_eq!((entries[0].status(), entries[0].status_name()), (None, "ExtractStatus::Succeeded"));
    assert_eq!(entries[0].status_in(), Some(ExtractStatus::Succeeded));
    let unfinished = summaries.query_for_unfinished().refresh().all().await.unwrap();
    assert_eq!(unfinished.len(), 2, "tasks that the first step has finished wait for the second");
    summaries.start("doc-000").await.unwrap().succeed().await.unwrap();
    assert_eq!(summaries.query_for_unfinished().all().await.unwrap().len(), 1);
    assert_eq!(summaries.query_by_status(SummaryStatus::Succeeded).all().await.unwrap().len(), 1);
    assert_eq!(world.stored_under("extract____doc-000").await.unwrap()["status"], number(26));
}

#[database_test(reads_at_once)]
async fn count_by_status_counts_every_status(world: World) {
    use ExtractStatus::{Failed, Ignored, InProgress, Pending, Succeeded};
    let documents = create_one_second_apart(&world, ids(12)).await;
    for id in ids(3) {
        documents.start(&id).await.unwrap().succeed().await.unwrap();
    }
    documents.start("doc-003").await.unwrap().fail("no").await.unwrap();
    let running = documents.start("doc-004").await.unwrap();
    let counts = documents.count_by_status().await.unwrap();
    let expected = [(Pending, 7), (InProgress, 1), (Failed, 1), (Succeeded, 3), (Ignored, 0)];
    assert_eq!(counts.iter().collect::<Vec<_>>(), expected);
    assert_eq!((counts.get(Succeeded), counts.total()), (3, 12));
    assert!(format!("{counts:?}").contains("\"Succeeded\": 3"), "{counts:?}");
    assert_eq!(documents.count_tasks_by_use_case_id().await.unwrap(), 12);
    running.release().await.unwrap();
}

#[database_test(reads_at_once)]
async fn read_shards_finds_tasks_of_shards_no_longer_written(world: World) {
    let documents = create_one_second_apart(&world, ids(3)).await;
    // Written when the status had eight shards.
    let mut item = world.stored_under("extract____doc-000").await.unwrap();
    item.insert("value".to_owned(), text("extract____010____008"));
    world.put_item(item).await;
    let query = documents.query_by_status(ExtractStatus::Pending);
    assert_eq!(query.all().await.unwrap().len(), 2);
    let wide = world.builder::<Document>().read_shards(8).build().unwrap();
    assert_eq!(wide.query_by_status(ExtractStatus::Pending).all().await.unwrap().len(), 3);
    assert_eq!(wide.count_by_status().await.unwrap().get(ExtractStatus::Pending), 3);
    assert!(wide.index_partitions(ExtractStatus::Pending).contains(&"extract____010____008".to_owned()));
    wide.start("doc-000").await.unwrap().release().await.unwrap();
    let item = world.stored_under("extract____doc-000").await.unwrap();
    let shard = documents.shard_id(ExtractStatus::Pending, "doc-000").unwrap();
    assert_eq!(item["value"], text(&documents.make_value(ExtractStatus::Pending, shard).unwrap()));
    assert_eq!(documents.query_by_status(ExtractStatus::Pending).all().await.unwrap().len(), 3);
    let error = world.builder::<Document>().read_shards(0).build().unwrap_err();
    assert!(error.to_string().contains("`read_shards` cannot be 0"), "{error}");
}
