//! What disturbs a worker: throttling, missing permissions, unreadable tasks, wrong clocks, lost leases.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracker_core::aws_sdk_dynamodb::types::AttributeValue;
use tracker_core::testing::ManualClock;
use tracker_core::{Clock, ErrorKind, Event, EventKind, StatusTracker};
use tracker_test_macros::database_test;

use super::{counts, create_documents, stored_counts};
use crate::support::ExtractStatus::{Pending, Succeeded};
use crate::support::Fault::{Deny, Throttle};
use crate::support::{ExtractStatus, World, time};

/// Returns an observer, and the kinds of the events that it receives.
fn event_recorder() -> (Arc<Mutex<Vec<EventKind>>>, impl Fn(&Event<'_>) + Send + Sync + 'static) {
    let kinds: Arc<Mutex<Vec<EventKind>>> = Arc::default();
    let recorded = Arc::clone(&kinds);
    (kinds, move |event: &Event<'_>| recorded.lock().unwrap().push(event.kind))
}

fn count_of(kinds: &Mutex<Vec<EventKind>>, kind: EventKind) -> usize {
    kinds.lock().unwrap().iter().filter(|recorded| **recorded == kind).count()
}

#[database_test]
async fn throttled_query_slows_the_worker_down_and_is_reported_once(world: World) {
    let (kinds, observer) = event_recorder();
    let documents = create_documents(world.builder().observer(observer), 5).await;
    let before = world.clock.now().wall;
    world.network.next("Query", [Throttle; 3]);
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 5, "{summary}");
    assert_eq!(count_of(&kinds, EventKind::SlowedDown), 1, "{kinds:?}");
    assert!(world.clock.now().wall - before >= chrono::TimeDelta::milliseconds(500), "the worker has waited");
    assert_eq!(stored_counts(&world, 5).await, counts([(Succeeded, 5)]));
}

#[database_test]
async fn throttled_starts_are_reported_once(world: World) {
    let (kinds, observer) = event_recorder();
    let documents = create_documents(world.builder().observer(observer), 5).await;
    // Each start is sent three times.
    world.network.next("UpdateItem", [Throttle; 9]);
    let summary = documents.worker().concurrency(1).drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 5, "{summary}");
    assert_eq!(count_of(&kinds, EventKind::SlowedDown), 1, "{kinds:?}");
    assert_eq!(stored_counts(&world, 5).await, counts([(Succeeded, 5)]));
}

#[database_test]
async fn worker_skips_a_task_that_is_too_large_to_start(world: World) {
    let (kinds, observer) = event_recorder();
    let documents = create_documents(world.builder().observer(observer), 3).await;
    // Fill the item until a start has no room for the attributes that it adds.
    let full = world.stored_under("extract____doc-0").await.unwrap();
    for left in (0..400).step_by(20) {
        let filler = AttributeValue::S("x".repeat(400 * 1024 - left));
        let put =
            world.client.put_item().table_name(&world.table).set_item(Some(world.to_table(full.clone())));
        if put.item("filler", filler).send().await.is_ok() {
            break;
        }
    }
    let error = documents.start("doc-0").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::ItemTooLarge, "{error}");
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, summary.unreadable), (2, 1), "{summary}");
    assert_eq!(count_of(&kinds, EventKind::Unreadable), 1, "{kinds:?}");
    assert_eq!(stored_counts(&world, 3).await, counts([(Pending, 1), (Succeeded, 2)]));
}

#[database_test]
async fn missing_permission_ends_the_worker(world: World) {
    let documents = create_documents(world.builder(), 5).await;
    world.network.next("DescribeTable", [Deny]);
    world.network.next("Query", [Deny; 100]);
    let error = documents.worker().run(async |_| Ok(())).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Service { code: Some(_) }), "{error}");
    assert_eq!(world.network.faults_left(), 92, "eight refusals in a row");
    world.network.calm();
    assert_eq!(stored_counts(&world, 5).await, counts([(Pending, 5)]));
    // A worker that may not describe the table can still work on it.
    world.network.next("DescribeTable", [Deny]);
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 5, "{summary}");
}

#[database_test]
async fn worker_reports_unreadable_tasks_once_and_leaves_them(world: World) {
    let (kinds, observer) = event_recorder();
    let documents = create_documents(world.builder().observer(observer), 4).await;
    let mut odd = world.stored_under("extract____doc-0").await.unwrap();
    let data = [("pages".to_owned(), AttributeValue::S("many".to_owned()))];
    odd.insert("data".to_owned(), AttributeValue::M(data.into()));
    world.put_item(odd.clone()).await;
    let mut unreadable = world.stored_under("extract____doc-1").await.unwrap();
    unreadable.insert("retry".to_owned(), AttributeValue::S("often".to_owned()));
    world.put_item(unreadable.clone()).await;
    for _ in 0..2 {
        documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    }
    assert_eq!(count_of(&kinds, EventKind::Unreadable), 4, "once by each worker: {kinds:?}");
    assert_eq!(stored_counts(&world, 4).await, counts([(Pending, 2), (Succeeded, 2)]));
    for (key, before) in [("extract____doc-0", odd), ("extract____doc-1", unreadable)] {
        let after = world.stored_under(key).await.unwrap();
        for name in ["status", "retry", "data", "errors"] {
            assert_eq!(after.get(name), before.get(name), "{name} of {key}");
        }
    }
}

#[database_test]
async fn unreadable_tasks_hide_no_other_tasks(world: World) {
    const UNREADABLE: u32 = 30;
    let documents = create_documents(world.builder(), UNREADABLE + 2).await;
    for nth in 0..UNREADABLE {
        let mut odd = world.stored_under(&format!("extract____doc-{nth}")).await.unwrap();
        odd.insert(
            "data".to_owned(),
            AttributeValue::M([("pages".to_owned(), AttributeValue::Bool(true))].into()),
        );
        world.put_item(odd).await;
    }
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, summary.unreadable), (2, UNREADABLE.into()), "{summary}");
    assert_eq!(stored_counts(&world, UNREADABLE + 2).await, counts([(Pending, UNREADABLE), (Succeeded, 2)]));
}

#[database_test]
async fn worker_leaves_a_task_freed_by_a_clock_far_ahead(world: World) {
    let documents = create_documents(world.builder(), 3).await;
    // A worker whose clock is 3 s ahead has unlocked doc-0, and a worker whose clock is years ahead has unlocked doc-1.
    let now = world.clock.now().wall;
    let (soon, never) = (now + chrono::TimeDelta::seconds(3), now + chrono::TimeDelta::days(1000));
    for (key, until) in [("extract____doc-0", soon), ("extract____doc-1", never)] {
        let mut item = world.stored_under(key).await.unwrap();
        item.insert("lock_time".to_owned(), time(until));
        world.put_item(item).await;
    }
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 2, "{summary}");
    assert!(summary.refused < 10, "the worker does not try it over and over: {summary}");
    assert_eq!(stored_counts(&world, 3).await, counts([(Pending, 1), (Succeeded, 2)]));
}

#[database_test]
async fn observer_that_panics_loses_no_task(world: World) {
    let documents = create_documents(
        world.builder().observer(|_: &Event<'_>| crate::support::panic_quietly("an observer")),
        4,
    )
    .await;
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, summary.attempts()), (4, 4), "{summary}");
    assert_eq!(stored_counts(&world, 4).await, counts([(Succeeded, 4)]));
}

#[database_test]
async fn worker_leaves_a_task_that_is_not_due(world: World) {
    let documents = create_documents(world.builder(), 2).await;
    let due = world.clock.now().wall + chrono::TimeDelta::hours(1);
    let mut item = world.stored_under("extract____doc-0").await.unwrap();
    item.insert("run_at".to_owned(), time(due));
    world.put_item(item).await;
    let error = documents.start("doc-0").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotDue { .. }), "{error}");
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, summary.refused), (1, 0), "{summary}");
    assert_eq!(stored_counts(&world, 2).await, counts([(Pending, 1), (Succeeded, 1)]));
}

#[database_test]
async fn worker_takes_over_a_task_that_it_lost_while_computing(world: World) {
    let lost = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&lost);
    let observer = move |event: &Event<'_>| {
        if event.kind == EventKind::LeaseLost {
            seen.store(true, Ordering::Relaxed);
        }
    };
    let documents = create_documents(world.builder_with_heartbeat().observer(observer), 1).await;
    let clock = world.clock.manual();
    let worker = documents.worker().drain().run(async move |task| {
        task.data_mut().pages += 9;
        if task.attempt() == 2 {
            return Ok(());
        }
        // The body computes for longer than its lease.
        clock.advance(Duration::from_secs(400));
        while !lost.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        Ok(())
    });
    let summary = world.run_while_advancing_clock(worker).await.unwrap();
    assert_eq!(
        (summary.lost, summary.succeeded),
        (1, 1),
        "the worker finds the task and takes it over: {summary}"
    );
    assert_eq!(stored_counts(&world, 1).await, counts([(Succeeded, 1)]));
    let task = documents.get("doc-0").consistent().await.unwrap().unwrap();
    assert_eq!((task.data().pages, task.attempt()), (9, 2), "the first attempt has written nothing");
}

/// The clocks that advance when a task of this table is read next.
static CLOCKS: Mutex<BTreeMap<String, ManualClock>> = Mutex::new(BTreeMap::new());

/// The name of a table. Reading it takes longer than a lease if there is a clock for the table.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
struct SlowToRead(String);

impl<'de> serde::Deserialize<'de> for SlowToRead {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = String::deserialize(deserializer)?;
        if let Some(clock) = CLOCKS.lock().unwrap().remove(&table) {
            clock.advance(Duration::from_secs(400));
        }
        Ok(Self(table))
    }
}

#[derive(StatusTracker, Debug, Clone, PartialEq)]
#[tracker(use_case_id = "extract", status = ExtractStatus, table = "documents")]
struct Slow {
    #[tracker(task_id)]
    id: String,
    table: SlowToRead,
}

#[database_test]
async fn body_does_not_begin_after_its_lease_has_expired(world: World) {
    let documents = world.builder::<Slow>().build().unwrap();
    documents.create(Slow { id: "doc-0".into(), table: SlowToRead(world.table.clone()) }).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    CLOCKS.lock().unwrap().insert(world.table.clone(), world.clock.manual());
    let begun = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&begun);
    let worker = documents.worker().drain().run(async move |task| {
        seen.lock().unwrap().push((task.attempt(), task.remaining().is_zero()));
        Ok(())
    });
    let summary = worker.await.unwrap();
    assert_eq!(*begun.lock().unwrap(), [(2, false)], "the first attempt is released before its body");
    assert_eq!((summary.succeeded, summary.released), (1, 1), "{summary}");
    let item = world.stored_under("extract____doc-0").await.unwrap();
    let number = |name: &str| item[name].as_n().unwrap().as_str();
    assert_eq!((number("status"), number("attempt"), number("retry")), ("16", "2", "0"));
}
