//! Tasks that can be started now, and tasks whose lease has expired.

use std::time::Duration;

use futures_util::StreamExt;
use tracker_core::{Backoff, ErrorKind, Takeover};
use tracker_test_macros::database_test;

use super::create_one_second_apart;
use crate::support::{Document, ExtractStatus, World, ids, number, task_ids, text, time};

#[database_test(reads_at_once)]
async fn unfinished_query_includes_expired_leases(world: World) {
    let documents = create_one_second_apart(&world, ids(6)).await;
    // Task 0 is lost, 1 is renewed by a save, 2 is started later, 3 has failed, 4 has succeeded, 5 is pending.
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
    assert_eq!(task_ids(&expired), ["doc-000"]);
    let unfinished = documents.query_for_unfinished().all().await.unwrap();
    assert_eq!(task_ids(&unfinished), ["doc-005", "doc-000", "doc-003"], "by time, so that no task starves");
    assert_eq!(
        task_ids(&documents.query_for_unfinished().limit(2).all().await.unwrap()),
        ["doc-005", "doc-000"]
    );
    assert_eq!(documents.query_for_unfinished().limit_per_status(1).all().await.unwrap().len(), 3);
    let careful = world.builder::<Document>().takeover(Takeover::Never).build().unwrap();
    assert_eq!(task_ids(&careful.query_for_unfinished().all().await.unwrap()), ["doc-005", "doc-003"]);
    assert_eq!(
        careful.query_for_expired().all().await.unwrap().len(),
        1,
        "listed for an operator to look at"
    );
    let taken = documents.start("doc-000").await.unwrap();
    assert!(documents.query_for_expired().all().await.unwrap().is_empty());
    for execution in [saved, started, taken] {
        execution.succeed().await.unwrap();
    }
    assert_eq!(world.stored_under("extract____doc-000").await.unwrap()["status"], number(16));
}

#[database_test(reads_at_once)]
async fn unfinished_pages_return_each_task_once(world: World) {
    let documents = create_one_second_apart(&world, ids(7)).await;
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
    assert_eq!((whole.entries.len(), whole.next), (7, None), "a full page is the last if nothing follows it");
}

#[database_test]
async fn unfinished_query_reports_an_unreadable_item(world: World) {
    let documents = create_one_second_apart(&world, ids(3)).await;
    std::mem::forget(documents.start("doc-001").await.unwrap());
    let mut item = world.stored_under("extract____doc-001").await.unwrap();
    item.insert("retry".to_owned(), text("many"));
    world.put_item(item).await;
    world.expire_lease();
    let page = documents.query_for_unfinished().limit(10).page().await.unwrap();
    assert_eq!((task_ids(&page.entries), page.errors.len()), (vec!["doc-000", "doc-002"], 1));
    assert_eq!(*page.errors[0].kind(), ErrorKind::Decode { attribute: world.name("retry") });
    let tasks: Vec<_> = documents.query_for_unfinished().refresh().stream().collect().await;
    assert_eq!((tasks.len(), tasks.iter().filter(|task| task.is_err()).count()), (3, 1));
}

#[database_test(reads_at_once)]
async fn unfinished_query_leaves_out_tasks_that_are_not_due(world: World) {
    // A wait of at least half of it, by chance, so more than one hour.
    let backoff = Backoff::Exponential { base: Duration::from_hours(3), max: Duration::from_hours(3) };
    let documents = world.builder::<Document>().backoff(backoff).build().unwrap();
    let second = || world.clock.advance(Duration::from_secs(1));
    std::mem::forget({
        documents.create(Document::new("doc-lost")).await.unwrap();
        documents.start("doc-lost").await.unwrap()
    });
    second();
    documents.create(Document::new("doc-failed")).await.unwrap();
    documents.start("doc-failed").await.unwrap().fail("no").await.unwrap();
    second();
    documents.create_at(Document::new("doc-1"), world.in_one_hour()).await.unwrap();
    second();
    documents.create(Document::new("doc-ready")).await.unwrap();

    let unfinished = async || documents.query_for_unfinished().all().await.unwrap();
    assert_eq!(task_ids(&unfinished().await), ["doc-ready"]);
    let waiting = documents.query_by_status([ExtractStatus::Pending, ExtractStatus::Failed]);
    let waiting = waiting.all().await.unwrap();
    assert_eq!(
        task_ids(&waiting),
        ["doc-failed", "doc-1", "doc-ready"],
        "a query by status returns waiting tasks as well"
    );

    world.clock.advance(Duration::from_hours(1));
    assert_eq!(task_ids(&unfinished().await), ["doc-lost", "doc-1", "doc-ready"]);
    world.clock.advance(Duration::from_hours(2));
    assert_eq!(task_ids(&unfinished().await), ["doc-lost", "doc-failed", "doc-1", "doc-ready"]);
    let newest = documents.query_for_unfinished().newest_first().limit(2).all().await.unwrap();
    assert_eq!(task_ids(&newest), ["doc-ready", "doc-1"]);
    let refreshed: Vec<_> = documents.query_for_unfinished().refresh().all().await.unwrap();
    assert_eq!(refreshed.len(), 4);
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn tasks_that_are_not_due_do_not_count_towards_the_limit(world: World) {
    let documents = world.documents();
    let due = world.in_one_hour();
    // More tasks than one page of each shard holds.
    for nth in 0..110 {
        documents.create_at(Document::new(&format!("doc-{nth:03}")), due).await.unwrap();
    }
    world.clock.advance(Duration::from_secs(1));
    for id in ["doc-1", "doc-2"] {
        documents.create(Document::new(id)).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
    }
    let limited = || documents.query_for_unfinished().limit(1);
    assert_eq!(task_ids(&limited().all().await.unwrap()), ["doc-1"]);
    let page = limited().page().await.unwrap();
    assert_eq!(task_ids(&page.entries), ["doc-1"]);
    let page = limited().after(&page.next.unwrap()).page().await.unwrap();
    assert_eq!(task_ids(&page.entries), ["doc-2"]);
    let per_status = documents.query_for_unfinished().limit_per_status(2).all().await.unwrap();
    assert_eq!(task_ids(&per_status), ["doc-1", "doc-2"]);
    assert_eq!(world.stored().await.get("run_at"), None);
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(task_ids(&limited().all().await.unwrap()), ["doc-000"], "doc-000 has waited longest");
}

#[database_test]
async fn second_step_lists_a_snoozed_task_once_it_is_due(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let summaries = world.summaries();
    let snooze = tracker_core::Failure::snooze(Duration::from_mins(10));
    summaries.start("doc-1").await.unwrap().fail(snooze).await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], item.contains_key("run_at")), (&number(16), true));
    assert!(summaries.query_for_unfinished().all().await.unwrap().is_empty());
    world.advance_until_due().await;
    assert_eq!(summaries.query_for_unfinished().all().await.unwrap().len(), 1);
}

#[database_test(own_layout, reads_at_once)]
async fn start_refuses_a_task_that_an_index_without_run_at_lists(world: World) {
    let documents = world.create_python_table(|builder| builder).await;
    documents.verify_table().await.unwrap();
    documents.create_table().await.expect("the table can be used as it is");
    let due = world.in_one_hour();
    documents.create_at(Document::new("doc-1"), due).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    documents.create(Document::new("doc-2")).await.unwrap();
    // The index does not tell that `doc-1` waits, but a start refuses it.
    let unfinished = documents.query_for_unfinished().all().await.unwrap();
    assert_eq!(task_ids(&unfinished), ["doc-1", "doc-2"]);
    let there = World { table: documents.config().table.clone().into_owned(), ..world.clone() };
    let before = there.stored().await;
    assert_eq!(before["run_at"], time(due));
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotDue { run_at: due });
    assert_eq!(there.stored().await, before);
    world.clock.advance(Duration::from_hours(1));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(there.stored().await["status"], number(16));
}
