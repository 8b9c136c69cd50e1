//! Tasks that are not to be started before a time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tracker_core::aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    Projection, ProjectionType, ScalarAttributeType,
};
use tracker_core::{Backoff, Clock, ErrorKind, IndexEntry, StatusTracker, Tracker};

use crate::support::Fault::DropResponse;
use crate::support::{Document, ExtractStatus, World, number, text, time};

crate::tests![
    a_task_is_not_started_before_its_time,
    a_time_that_has_passed_holds_nothing_up,
    a_create_whose_answer_was_lost_keeps_its_time,
    a_release_leaves_the_time_as_it_is,
    those_that_wait_are_left_out_of_what_is_unfinished,
    waiting_ones_do_not_use_the_limit_up,
    a_second_step_lists_what_waits_for_it,
    an_index_that_does_not_project_the_time,
    a_python_save_forgets_that_a_task_waits,
    a_time_that_is_none,
    a_time_that_is_none_and_sorts_before_now,
];

fn hour_from_now(world: &World) -> DateTime<Utc> {
    world.clock.now().wall + TimeDelta::hours(1)
}

fn of(entries: &[IndexEntry<Document>]) -> Vec<&str> {
    entries.iter().map(IndexEntry::task_id).collect()
}

async fn a_task_is_not_started_before_its_time(world: World) {
    let documents = world.documents();
    let due = hour_from_now(&world);
    let task = documents.create_at(Document::new("doc-1"), due).await.unwrap();
    assert_eq!((task.is_pending(), task.head().run_at()), (true, Some(due)));
    let created = world.stored().await;
    assert_eq!((&created["status"], &created["run_at"]), (&number(10), &time(due)));
    world.clock.advance(Duration::from_hours(1) - Duration::from_micros(1));
    for worker in [&documents, &world.rival()] {
        let error = worker.start("doc-1").await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::NotDue { run_at: due });
        assert!(error.is_refusal());
        assert_eq!(error.task().unwrap().run_at(), Some(due));
    }
    assert_eq!(world.stored().await, created);

    world.clock.advance(Duration::from_micros(1));
    let execution = documents.start("doc-1").await.unwrap();
    let started = world.stored().await;
    assert_eq!((&started["status"], &started["lock_time"]), (&number(12), &time(due)));
    execution.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("run_at")), (&number(16), None));
}

async fn a_time_that_has_passed_holds_nothing_up(world: World) {
    let documents = world.documents();
    let past = world.clock.now().wall - TimeDelta::hours(1);
    documents.create_at(Document::new("doc-1"), past).await.unwrap();
    assert_eq!(world.stored().await["run_at"], time(past));
    assert_eq!(of(&documents.query_for_unfinished().all().await.unwrap()), ["doc-1"]);
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("run_at")), (&number(14), None));
}

async fn a_create_whose_answer_was_lost_keeps_its_time(world: World) {
    let documents = world.documents();
    let due = hour_from_now(&world);
    world.network.next("PutItem", [DropResponse]);
    let task = documents.create_at(Document::new("doc-1"), due).await.unwrap();
    assert_eq!((world.network.count("PutItem"), task.head().run_at()), (2, Some(due)));
    assert_eq!(world.stored().await["run_at"], time(due));
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(world.stored().await["run_at"], time(due), "and another creation leaves it alone");
}

async fn a_release_leaves_the_time_as_it_is(world: World) {
    let documents = world.documents();
    let due = hour_from_now(&world);
    documents.create_at(Document::new("doc-1"), due).await.unwrap();
    world.clock.advance(Duration::from_hours(1));
    documents.start("doc-1").await.unwrap().release().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["run_at"]), (&number(10), &time(due)));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

async fn those_that_wait_are_left_out_of_what_is_unfinished(world: World) {
    let backoff = Backoff::Exponential { base: Duration::from_hours(2), max: Duration::from_hours(2) };
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
    documents.create_at(Document::new("doc-1"), hour_from_now(&world)).await.unwrap();
    second();
    documents.create(Document::new("doc-ready")).await.unwrap();

    let unfinished = async || documents.query_for_unfinished().all().await.unwrap();
    assert_eq!(of(&unfinished().await), ["doc-ready"]);
    let waiting = documents.query_by_status([ExtractStatus::Pending, ExtractStatus::Failed]);
    let waiting = waiting.all().await.unwrap();
    assert_eq!(of(&waiting), ["doc-failed", "doc-1", "doc-ready"], "all that there are");

    world.clock.advance(Duration::from_hours(1));
    assert_eq!(of(&unfinished().await), ["doc-lost", "doc-1", "doc-ready"]);
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(of(&unfinished().await), ["doc-lost", "doc-failed", "doc-1", "doc-ready"]);
    let newest = documents.query_for_unfinished().newest_first().limit(2).all().await.unwrap();
    assert_eq!(of(&newest), ["doc-ready", "doc-1"]);
    let refreshed: Vec<_> = documents.query_for_unfinished().refresh().all().await.unwrap();
    assert_eq!(refreshed.len(), 4);
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

async fn waiting_ones_do_not_use_the_limit_up(world: World) {
    let documents = world.documents();
    let due = hour_from_now(&world);
    // More than a page of each shard.
    for nth in 0..110 {
        documents.create_at(Document::new(&format!("doc-{nth:03}")), due).await.unwrap();
    }
    world.clock.advance(Duration::from_secs(1));
    for id in ["doc-1", "doc-2"] {
        documents.create(Document::new(id)).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
    }
    let limited = || documents.query_for_unfinished().limit(1);
    assert_eq!(of(&limited().all().await.unwrap()), ["doc-1"]);
    let page = limited().page().await.unwrap();
    assert_eq!(of(&page.entries), ["doc-1"]);
    let page = limited().after(&page.next.unwrap()).page().await.unwrap();
    assert_eq!(of(&page.entries), ["doc-2"]);
    let per_status = documents.query_for_unfinished().limit_per_status(2).all().await.unwrap();
    assert_eq!(of(&per_status), ["doc-1", "doc-2"]);
    assert_eq!(world.stored().await.get("run_at"), None);
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(of(&limited().all().await.unwrap()), ["doc-000"], "it has waited longest");
}

async fn a_second_step_lists_what_waits_for_it(world: World) {
    let documents = world.document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let summaries = world.summaries();
    let snooze = tracker_core::Failure::snooze(Duration::from_mins(10));
    summaries.start("doc-1").await.unwrap().fail(snooze).await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], item.contains_key("run_at")), (&number(16), true));
    assert!(summaries.query_for_unfinished().all().await.unwrap().is_empty());
    world.due().await;
    assert_eq!(summaries.query_for_unfinished().all().await.unwrap().len(), 1);
}

/// A table as `pynamodb_mate` makes it.
async fn python_table(world: &World) -> Tracker<Document> {
    let name = format!("{}-python", world.table);
    let attribute = |name: &str| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let part = |name: &str, part: KeyType| {
        KeySchemaElement::builder().attribute_name(name).key_type(part).build().unwrap()
    };
    let projection = Projection::builder()
        .projection_type(ProjectionType::Include)
        .non_key_attributes("create_time")
        .build();
    let index = GlobalSecondaryIndex::builder()
        .index_name("status_and_update_time-index")
        .key_schema(part("value", KeyType::Hash))
        .key_schema(part("update_time", KeyType::Range))
        .projection(projection)
        .build()
        .unwrap();
    let create = world.client.create_table().table_name(&name).key_schema(part("key", KeyType::Hash));
    let create = ["key", "value", "update_time"].into_iter().map(attribute).fold(
        create,
        tracker_core::aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder::attribute_definitions,
    );
    let create = create.global_secondary_indexes(index).billing_mode(BillingMode::PayPerRequest);
    create.send().await.unwrap();
    world.builder().table(&name).build().unwrap()
}

async fn an_index_that_does_not_project_the_time(world: World) {
    let documents = python_table(&world).await;
    documents.verify_table().await.unwrap();
    documents.create_table().await.expect("it can be used as it is");
    let due = hour_from_now(&world);
    documents.create_at(Document::new("doc-1"), due).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    documents.create(Document::new("doc-2")).await.unwrap();
    // The index does not tell that it waits, and the start does.
    let unfinished = documents.query_for_unfinished().all().await.unwrap();
    assert_eq!(of(&unfinished), ["doc-1", "doc-2"]);
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

#[derive(StatusTracker, Debug, Clone, Default)]
#[tracker(use_case_id = "extract", status = ExtractStatus, wire = "pynamodb")]
struct OnTheWire {
    #[tracker(task_id)]
    id: String,
    pages: u32,
}

async fn a_python_save_forgets_that_a_task_waits(world: World) {
    let unknown_to_python =
        ["attempt", "last_lock", "started_from", "owner", "run_at", "snoozes", "cancel", "expires_at"];
    let tracker = world.builder::<OnTheWire>().build().unwrap();
    let new = OnTheWire { id: "doc-1".to_owned(), pages: 3 };
    tracker.create_at(new, hour_from_now(&world)).await.unwrap();
    assert!(world.stored().await["data"].is_s());
    let refused = async || {
        let error = tracker.start("doc-1").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotDue { .. }), "{error}");
    };
    refused().await;
    world.remove(&unknown_to_python).await;
    let execution = tracker.start("doc-1").await.unwrap();
    let snooze = tracker_core::Failure::snooze(Duration::from_mins(10));
    execution.fail(snooze).await.unwrap();
    assert_eq!(world.stored().await["snoozes"], number(1));
    refused().await;
    world.remove(&unknown_to_python).await;
    tracker.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(1)));
    assert_eq!((item.get("run_at"), item.get("snoozes")), (None, None));
}

async fn a_time_that_is_none(world: World) {
    let documents = world.document().await;
    let run_at = || ErrorKind::Decode { attribute: "run_at".to_owned() };
    for odd in [text("soon"), number(5), AttributeValue::Bool(true), AttributeValue::Null(true)] {
        world.set("run_at", odd.clone()).await;
        let before = world.stored().await;
        for error in [
            documents.start("doc-1").await.unwrap_err(),
            documents.get("doc-1").consistent().await.unwrap_err(),
            documents.cancel("doc-1").await.unwrap_err(),
        ] {
            assert_eq!(*error.kind(), run_at(), "{odd:?}");
            assert_eq!(error.key(), Some("extract____doc-1"), "{odd:?}");
        }
        assert_eq!(world.stored().await, before, "{odd:?}");
    }
    world.remove(&["run_at"]).await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
}

async fn a_time_that_is_none_and_sorts_before_now(world: World) {
    let documents = world.document().await;
    world.set("run_at", text("1")).await;
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { attribute: "run_at".to_owned() });
    // The condition cannot tell; what was started is given back.
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["lock"]), (&number(10), &text("__not_locked__")));
    assert_eq!((&item["run_at"], &item["retry"]), (&text("1"), &number(0)));
}
