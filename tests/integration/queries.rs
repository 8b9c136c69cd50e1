//! Finding tasks: by status, over shards, in time order, page by page.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt;
use tracker_core::{Cursor, Error, ErrorKind, IndexEntry, Takeover, Tracker};

use crate::support::Fault::{Throttle, Unprocessed};
use crate::support::{Document, ExtractStatus, SummaryStatus, World, number, text};

crate::tests![
    by_one_status_or_many,
    in_time_order_across_shards,
    limits,
    page_by_page,
    statuses_of_another_step,
    unfinished_and_expired,
    refreshed,
    unfinished_page_by_page,
    an_unreadable_item_in_progress,
    a_task_that_the_index_shows_twice,
    a_refresh_takes_a_request_for_100,
    keys_that_are_left_unprocessed,
    rows_that_cannot_be_read,
    queries_that_cannot_be_run,
    a_table_without_the_index,
    counts,
    more_shards_read_than_written,
    a_query_that_is_refused,
];

/// Creates tasks one second apart.
async fn create(world: &World, ids: impl IntoIterator<Item = String>) -> Tracker<Document> {
    let documents = world.documents();
    for id in ids {
        documents.create(Document::new(&id)).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
    }
    documents
}

fn ids(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|nth| format!("doc-{nth:03}"))
}

fn of(entries: &[IndexEntry<Document>]) -> Vec<&str> {
    entries.iter().map(IndexEntry::task_id).collect()
}

async fn by_one_status_or_many(world: World) {
    use ExtractStatus::{Failed, Ignored, Pending, Succeeded};
    let documents = create(&world, ids(4)).await;
    documents.start("doc-000").await.unwrap().fail("no").await.unwrap();
    documents.start("doc-001").await.unwrap().succeed().await.unwrap();
    let entries = documents.query_by_status(Pending).all().await.unwrap();
    assert_eq!(of(&entries), ["doc-002", "doc-003"]);
    let entry = &entries[0];
    let item = world.stored_as(entry.key()).await.unwrap();
    assert_eq!((entry.status(), entry.status_name()), (Some(Pending), "Pending"));
    assert_eq!(item["update_time"].as_s().unwrap()[..19], entry.update_time().to_rfc3339()[..19]);
    assert_eq!(entry.create_time(), Some(entry.update_time()));
    assert_eq!(item["value"], text(&documents.make_value(Pending, entry.shard_id().unwrap()).unwrap()));
    assert_eq!(entry.parse_task_id().unwrap(), "doc-002");

    let both = documents.query_by_status([Succeeded, Failed]).all().await.unwrap();
    assert_eq!(of(&both), ["doc-000", "doc-001"]);
    assert_eq!(of(&documents.query_by_status(vec![Pending, Pending]).all().await.unwrap()).len(), 2);
    assert!(documents.query_by_status(&[Ignored][..]).all().await.unwrap().is_empty());
}

async fn in_time_order_across_shards(world: World) {
    let documents = create(&world, ids(60)).await;
    let all: Vec<_> = ids(60).collect();
    let entries = documents.query_by_status(ExtractStatus::Pending).all().await.unwrap();
    assert_eq!(of(&entries), all);
    let shards: HashSet<_> = entries.iter().map(IndexEntry::shard_id).collect();
    assert_eq!(shards.len(), 5);
    let newest = documents.query_by_status(ExtractStatus::Pending).newest_first().all().await.unwrap();
    assert_eq!(of(&newest), all.iter().rev().collect::<Vec<_>>());
}

async fn limits(world: World) {
    use ExtractStatus::{Failed, Pending};
    let documents = create(&world, ids(40)).await;
    for id in ids(20) {
        documents.start(&id).await.unwrap().fail("no").await.unwrap();
    }
    let query = || documents.query_by_status([Pending, Failed]);
    assert_eq!(of(&query().limit(3).all().await.unwrap()), ["doc-020", "doc-021", "doc-022"]);
    assert_eq!(query().limit(1000).all().await.unwrap().len(), 40);
    let entries = query().limit_per_status(4).all().await.unwrap();
    let failed = entries.iter().filter(|entry| entry.status() == Some(Failed)).count();
    assert_eq!((entries.len(), failed), (8, 4));
    assert_eq!(query().limit_per_status(4).limit(6).all().await.unwrap().len(), 6);
}

async fn page_by_page(world: World) {
    let documents = create(&world, ids(25)).await;
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
            // Through a web page and back.
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
    // What was done meanwhile is not seen twice, and what is new comes later.
    let first = documents.query_by_status(ExtractStatus::Pending).limit(10).page().await.unwrap();
    documents.start("doc-003").await.unwrap().succeed().await.unwrap();
    documents.create(Document::new("new")).await.unwrap();
    let rest = documents.query_by_status(ExtractStatus::Pending).after(&first.next.unwrap());
    let rest = rest.all().await.unwrap();
    assert_eq!((of(&rest)[0], of(&rest)[15]), ("doc-010", "new"));
}

async fn statuses_of_another_step(world: World) {
    let documents = create(&world, ids(3)).await;
    for id in ids(2) {
        documents.start(&id).await.unwrap().succeed().await.unwrap();
    }
    let summaries = world.summaries();
    let entries = summaries.query_by_status(ExtractStatus::Succeeded).all().await.unwrap();
    assert_eq!(entries.iter().map(IndexEntry::task_id).collect::<Vec<_>>(), ["doc-000", "doc-001"]);
    assert_eq!((entries[0].status(), entries[0].status_name()), (None, "ExtractStatus::Succeeded"));
    assert_eq!(entries[0].status_in(), Some(ExtractStatus::Succeeded));
    let unfinished = summaries.query_for_unfinished().refresh().all().await.unwrap();
    assert_eq!(unfinished.len(), 2, "what the first step has finished waits for the second");
    summaries.start("doc-000").await.unwrap().succeed().await.unwrap();
    assert_eq!(summaries.query_for_unfinished().all().await.unwrap().len(), 1);
    assert_eq!(summaries.query_by_status(SummaryStatus::Succeeded).all().await.unwrap().len(), 1);
    assert_eq!(world.stored_as("extract____doc-000").await.unwrap()["status"], number(26));
}

async fn unfinished_and_expired(world: World) {
    let documents = create(&world, ids(6)).await;
    // 0 is lost, 1 is kept alive by saves, 2 is started later, 3 failed, 4 succeeded, 5 pending.
    std::mem::forget(documents.start("doc-000").await.unwrap());
    let mut saved = documents.start("doc-001").await.unwrap();
    world.clock.advance(Duration::from_secs(200));
    saved.save().await.unwrap();
    let started = documents.start("doc-002").await.unwrap();
    documents.start("doc-003").await.unwrap().fail("no").await.unwrap();
    documents.start("doc-004").await.unwrap().succeed().await.unwrap();
    assert!(documents.query_for_expired().all().await.unwrap().is_empty());
    world.clock.advance(Duration::from_secs(110));

    let expired = documents.query_for_expired().all().await.unwrap();
    assert_eq!(of(&expired), ["doc-000"]);
    let unfinished = documents.query_for_unfinished().all().await.unwrap();
    assert_eq!(of(&unfinished), ["doc-005", "doc-000", "doc-003"], "by time, so that none starves");
    assert_eq!(of(&documents.query_for_unfinished().limit(2).all().await.unwrap()), ["doc-005", "doc-000"]);
    assert_eq!(documents.query_for_unfinished().limit_per_status(1).all().await.unwrap().len(), 3);
    let careful = world.builder::<Document>().takeover(Takeover::Never).build().unwrap();
    assert_eq!(of(&careful.query_for_unfinished().all().await.unwrap()), ["doc-005", "doc-003"]);
    assert_eq!(careful.query_for_expired().all().await.unwrap().len(), 1, "to be looked at");
    let taken = documents.start("doc-000").await.unwrap();
    assert!(documents.query_for_expired().all().await.unwrap().is_empty());
    for execution in [saved, started, taken] {
        execution.succeed().await.unwrap();
    }
    assert_eq!(world.stored_as("extract____doc-000").await.unwrap()["status"], number(16));
}

async fn refreshed(world: World) {
    use ExtractStatus::Pending;
    let documents = create(&world, ids(5)).await;
    let entries = documents.query_by_status(Pending).all().await.unwrap();
    // Meanwhile one is gone, one has moved on, and one cannot be read.
    documents.delete("doc-001").await.unwrap();
    documents.start("doc-002").await.unwrap().succeed().await.unwrap();
    let mut item = world.stored_as("extract____doc-003").await.unwrap();
    item.remove("data");
    world.put(item).await;
    let twice: Vec<_> = entries.iter().chain(&entries[4..]).cloned().collect();
    let error = documents.refresh(&twice).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { attribute: "data.pages".to_owned() });
    let tasks =
        documents.refresh(&[entries[4].clone(), entries[2].clone(), entries[0].clone()]).await.unwrap();
    assert_eq!(tasks.iter().map(|task| task.task_id().as_str()).collect::<Vec<_>>(), ["doc-004", "doc-000"]);
    let query = documents.query_by_status([Pending, ExtractStatus::Succeeded]).refresh().with_moved();
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
    assert_eq!(shown, ["doc-000", "no extract____doc-003", "doc-004"], "the stream goes on");
}

async fn unfinished_page_by_page(world: World) {
    let documents = create(&world, ids(7)).await;
    std::mem::forget(documents.start("doc-003").await.unwrap());
    for wait in [0, 306] {
        world.clock.advance(Duration::from_secs(wait));
        let mut seen = Vec::new();
        let mut page = documents.query_for_unfinished().limit(2).page().await.unwrap();
        loop {
            seen.extend(page.entries.iter().map(|entry| entry.task_id().to_owned()));
            let Some(next) = page.next else { break };
            let error =
                documents.query_by_status(ExtractStatus::Pending).after(&next).all().await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::InvalidCursor { .. }), "{error}");
            page = documents.query_for_unfinished().limit(2).after(&next).page().await.unwrap();
        }
        let mut expected: Vec<_> = ids(7).filter(|id| id != "doc-003").collect();
        if wait > 0 {
            expected.push("doc-003".to_owned());
        }
        assert_eq!(seen, expected);
    }
    let whole = documents.query_for_unfinished().limit(7).page().await.unwrap();
    assert_eq!((whole.entries.len(), whole.next), (7, None), "a full last page is the last");
}

async fn an_unreadable_item_in_progress(world: World) {
    let documents = create(&world, ids(3)).await;
    std::mem::forget(documents.start("doc-001").await.unwrap());
    let mut item = world.stored_as("extract____doc-001").await.unwrap();
    item.insert("retry".to_owned(), text("many"));
    world.put(item).await;
    world.expire_lease();
    let page = documents.query_for_unfinished().limit(10).page().await.unwrap();
    assert_eq!((of(&page.entries), page.errors.len()), (vec!["doc-000", "doc-002"], 1));
    assert_eq!(*page.errors[0].kind(), ErrorKind::Decode { attribute: "retry".to_owned() });
    let tasks: Vec<_> = documents.query_for_unfinished().refresh().stream().collect().await;
    assert_eq!((tasks.len(), tasks.iter().filter(|task| task.is_err()).count()), (3, 1));
}

async fn a_task_that_the_index_shows_twice(world: World) {
    use ExtractStatus::{Failed, Pending};
    let documents = create(&world, ids(2)).await;
    let stale = documents.query_by_status(Pending).all().await.unwrap();
    documents.start("doc-000").await.unwrap().fail("no").await.unwrap();
    let fresh = documents.query_by_status(Failed).all().await.unwrap();
    let both: Vec<_> = stale.into_iter().chain(fresh).collect();
    assert_eq!(of(&both), ["doc-000", "doc-001", "doc-000"]);
    let tasks = documents.refresh(&both).await.unwrap();
    assert_eq!(tasks.iter().map(|task| task.task_id().as_str()).collect::<Vec<_>>(), ["doc-001", "doc-000"]);
}

async fn a_refresh_takes_a_request_for_100(world: World) {
    let documents = world.documents();
    let new = ids(1000).map(|id| Document { pages: 3, ..Document::new(&id) });
    assert_eq!(documents.overwrite_many(new).await.unwrap().written, 1000);
    assert_eq!(world.network.count("BatchWriteItem"), 40);
    let before = world.network.count("BatchGetItem");
    let tasks = documents.query_by_status(ExtractStatus::Pending).refresh().all().await.unwrap();
    assert_eq!(tasks.len(), 1000);
    assert!(tasks.iter().all(|task| task.data().pages == 3));
    assert_eq!(world.network.count("BatchGetItem") - before, 10);
    assert_eq!(world.network.count("GetItem"), 0);
}

async fn keys_that_are_left_unprocessed(world: World) {
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

async fn rows_that_cannot_be_read(world: World) {
    let documents = create(&world, ids(2)).await;
    let mut odd = world.stored_as("extract____doc-000").await.unwrap();
    odd.insert("key".to_owned(), text("no separator"));
    world.put(odd.clone()).await;
    odd.insert("key".to_owned(), text("extract____odd"));
    odd.insert("update_time".to_owned(), text("yesterday"));
    world.put(odd).await;
    let query = || documents.query_by_status(ExtractStatus::Pending);
    let outcomes: Vec<_> = query().stream().collect().await;
    let errors: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!((outcomes.len(), errors.len()), (4, 2));
    for error in errors {
        assert!(matches!(error.kind(), ErrorKind::Decode { .. }), "{error}");
        assert!(error.key().is_some());
    }
    let page = query().limit(4).page().await.unwrap();
    assert_eq!((of(&page.entries), page.errors.len()), (vec!["doc-000", "doc-001"], 2));
    assert!(query().all().await.is_err());
}

async fn queries_that_cannot_be_run(world: World) {
    let documents = create(&world, ids(3)).await;
    let query = || documents.query_by_status(ExtractStatus::Pending);
    let invalid = |error: Error, says: &str| {
        assert!(error.to_string().contains(says), "{error}");
        matches!(error.kind(), ErrorKind::InvalidQuery { .. } | ErrorKind::InvalidCursor { .. })
    };
    let sent = world.network.count_all();
    assert!(invalid(query().limit(0).all().await.unwrap_err(), "`limit` is 0"));
    assert!(invalid(query().limit_per_status(0).all().await.unwrap_err(), "`limit_per_status` is 0"));
    let none: [ExtractStatus; 0] = [];
    assert!(invalid(documents.query_by_status(none).all().await.unwrap_err(), "no status"));
    let garbage = Cursor::from_text("garbage");
    assert!(invalid(query().after(&garbage).all().await.unwrap_err(), "not a text that a page"));
    assert_eq!(world.network.count_all(), sent, "nothing was sent");
    let cursor = query().limit(1).page().await.unwrap().next.unwrap();
    let other = documents.query_by_status(ExtractStatus::Failed).after(&cursor);
    assert!(invalid(other.all().await.unwrap_err(), "other statuses"));
    let capped = query().limit_per_status(1).after(&cursor);
    assert!(invalid(capped.all().await.unwrap_err(), "over several pages"));
    assert!(invalid(query().newest_first().after(&cursor).all().await.unwrap_err(), "another order"));
    let error = documents.redrive_all(ExtractStatus::Pending).await.unwrap_err();
    assert!(invalid(error, "neither ignored nor failed"));
}

async fn a_table_without_the_index(world: World) {
    let documents = world.builder::<Document>().index("another-index").build().unwrap();
    for error in [
        documents.query_by_status(ExtractStatus::Pending).all().await.unwrap_err(),
        documents.query_for_unfinished().refresh().all().await.unwrap_err(),
        documents.count_by_status().await.unwrap_err(),
    ] {
        assert!(matches!(error.kind(), ErrorKind::TableMismatch { .. }), "{error:?}");
    }
}

async fn counts(world: World) {
    use ExtractStatus::{Failed, Ignored, InProgress, Pending, Succeeded};
    let documents = create(&world, ids(12)).await;
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

async fn more_shards_read_than_written(world: World) {
    let documents = create(&world, ids(3)).await;
    // Written when the status had eight shards.
    let mut item = world.stored_as("extract____doc-000").await.unwrap();
    item.insert("value".to_owned(), text("extract____010____008"));
    world.put(item).await;
    let query = documents.query_by_status(ExtractStatus::Pending);
    assert_eq!(query.all().await.unwrap().len(), 2);
    let wide = world.builder::<Document>().read_shards(8).build().unwrap();
    assert_eq!(wide.query_by_status(ExtractStatus::Pending).all().await.unwrap().len(), 3);
    assert_eq!(wide.count_by_status().await.unwrap().get(ExtractStatus::Pending), 3);
    assert!(wide.index_partitions(ExtractStatus::Pending).contains(&"extract____010____008".to_owned()));
    wide.start("doc-000").await.unwrap().release().await.unwrap();
    let item = world.stored_as("extract____doc-000").await.unwrap();
    let shard = documents.shard_id(ExtractStatus::Pending, "doc-000").unwrap();
    assert_eq!(item["value"], text(&documents.make_value(ExtractStatus::Pending, shard).unwrap()));
    assert_eq!(documents.query_by_status(ExtractStatus::Pending).all().await.unwrap().len(), 3);
    let error = world.builder::<Document>().read_shards(0).build().unwrap_err();
    assert!(error.to_string().contains("`read_shards` is 0"), "{error}");
}

async fn a_query_that_is_refused(world: World) {
    let documents = create(&world, ids(3)).await;
    world.network.next("Query", [Throttle]);
    let outcomes: Vec<_> = documents.query_by_status(ExtractStatus::Pending).stream().collect().await;
    assert!(matches!(outcomes[0].as_ref().unwrap_err().kind(), ErrorKind::Throttled { .. }));
    assert_eq!(outcomes.len(), 1, "nothing that follows would be known to be in order");
    assert_eq!(documents.query_by_status(ExtractStatus::Pending).all().await.unwrap().len(), 3);
}
