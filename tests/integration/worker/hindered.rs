//! What gets into a worker's way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracker_core::aws_sdk_dynamodb::types::AttributeValue;
use tracker_core::{Clock, ErrorKind, Event, EventKind};

use super::{documents, so_many, stored};
use crate::support::ExtractStatus::{Pending, Succeeded};
use crate::support::Fault::{Deny, Throttle};
use crate::support::{World, time};

crate::tests![
    throttling_slows_down_and_is_told_once,
    starts_that_are_throttled_are_told_once,
    a_missing_permission_ends_it,
    a_task_that_dynamodb_refuses_to_start_ends_nothing,
    what_cannot_be_read_is_told_once_and_left,
    many_that_cannot_be_read_hide_nothing,
    a_task_that_is_not_due_is_left,
    a_task_of_the_future_is_left,
    an_observer_that_panics_loses_nothing,
    a_lease_that_is_lost_while_a_body_computes,
];

/// Collects what is told.
fn told() -> (Arc<Mutex<Vec<EventKind>>>, impl Fn(&Event<'_>) + Send + Sync + 'static) {
    let kinds: Arc<Mutex<Vec<EventKind>>> = Arc::default();
    let told = Arc::clone(&kinds);
    (kinds, move |event: &Event<'_>| told.lock().unwrap().push(event.kind))
}

fn how_often(kinds: &Mutex<Vec<EventKind>>, kind: EventKind) -> usize {
    kinds.lock().unwrap().iter().filter(|told| **told == kind).count()
}

async fn throttling_slows_down_and_is_told_once(world: World) {
    let (kinds, observer) = told();
    let documents = documents(world.builder().observer(observer), 5).await;
    let before = world.clock.now().wall;
    world.network.next("Query", [Throttle; 3]);
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 5, "{summary}");
    assert_eq!(how_often(&kinds, EventKind::SlowedDown), 1, "{kinds:?}");
    assert!(world.clock.now().wall - before >= chrono::TimeDelta::milliseconds(500), "it has waited");
    assert_eq!(stored(&world, 5).await, so_many([(Succeeded, 5)]));
}

async fn starts_that_are_throttled_are_told_once(world: World) {
    let (kinds, observer) = told();
    let documents = documents(world.builder().observer(observer), 5).await;
    // Each start is sent three times.
    world.network.next("UpdateItem", [Throttle; 9]);
    let summary = documents.worker().concurrency(1).drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 5, "{summary}");
    assert_eq!(how_often(&kinds, EventKind::SlowedDown), 1, "{kinds:?}");
    assert_eq!(stored(&world, 5).await, so_many([(Succeeded, 5)]));
}

async fn a_task_that_dynamodb_refuses_to_start_ends_nothing(world: World) {
    let (kinds, observer) = told();
    let documents = documents(world.builder().observer(observer), 3).await;
    // As large as an item can be: the start has no room for what it adds.
    let full = world.stored_as("extract____doc-0").await.unwrap();
    for left in (0..400).step_by(20) {
        let filler = AttributeValue::S("x".repeat(400 * 1024 - left));
        let put = world.client.put_item().table_name(&world.table).set_item(Some(full.clone()));
        if put.item("filler", filler).send().await.is_ok() {
            break;
        }
    }
    let error = documents.start("doc-0").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::ItemTooLarge, "{error}");
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, summary.unreadable), (2, 1), "{summary}");
    assert_eq!(how_often(&kinds, EventKind::Unreadable), 1, "{kinds:?}");
    assert_eq!(stored(&world, 3).await, so_many([(Pending, 1), (Succeeded, 2)]));
}

async fn a_missing_permission_ends_it(world: World) {
    let documents = documents(world.builder(), 5).await;
    world.network.next("DescribeTable", [Deny]);
    world.network.next("Query", [Deny]);
    let error = documents.worker().run(async |_| Ok(())).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Service { code: Some(_) }), "{error}");
    assert_eq!(stored(&world, 5).await, so_many([(Pending, 5)]));
    // Who may not describe the table works on it all the same.
    world.network.next("DescribeTable", [Deny]);
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 5, "{summary}");
}

async fn what_cannot_be_read_is_told_once_and_left(world: World) {
    let (kinds, observer) = told();
    let documents = documents(world.builder().observer(observer), 4).await;
    let mut odd = world.stored_as("extract____doc-0").await.unwrap();
    let data = [("pages".to_owned(), AttributeValue::S("many".to_owned()))];
    odd.insert("data".to_owned(), AttributeValue::M(data.into()));
    world.put(odd.clone()).await;
    let mut unreadable = world.stored_as("extract____doc-1").await.unwrap();
    unreadable.insert("retry".to_owned(), AttributeValue::S("often".to_owned()));
    world.put(unreadable.clone()).await;
    for _ in 0..2 {
        documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    }
    assert_eq!(how_often(&kinds, EventKind::Unreadable), 4, "once by each worker: {kinds:?}");
    assert_eq!(stored(&world, 4).await, so_many([(Pending, 2), (Succeeded, 2)]));
    for (key, before) in [("extract____doc-0", odd), ("extract____doc-1", unreadable)] {
        let after = world.stored_as(key).await.unwrap();
        for name in ["status", "retry", "data", "errors"] {
            assert_eq!(after.get(name), before.get(name), "{name} of {key}");
        }
    }
}

async fn many_that_cannot_be_read_hide_nothing(world: World) {
    const ODD: u32 = 30;
    let documents = documents(world.builder(), ODD + 2).await;
    for nth in 0..ODD {
        let mut odd = world.stored_as(&format!("extract____doc-{nth}")).await.unwrap();
        odd.insert(
            "data".to_owned(),
            AttributeValue::M([("pages".to_owned(), AttributeValue::Bool(true))].into()),
        );
        world.put(odd).await;
    }
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, summary.unreadable), (2, ODD.into()), "{summary}");
    assert_eq!(stored(&world, ODD + 2).await, so_many([(Pending, ODD), (Succeeded, 2)]));
}

async fn a_task_of_the_future_is_left(world: World) {
    let documents = documents(world.builder(), 3).await;
    // Another worker whose clock is ahead has freed one, and a clock that is wrong by years another.
    let now = world.clock.now().wall;
    let (soon, never) = (now + chrono::TimeDelta::seconds(3), now + chrono::TimeDelta::days(1000));
    for (key, until) in [("extract____doc-0", soon), ("extract____doc-1", never)] {
        let mut item = world.stored_as(key).await.unwrap();
        item.insert("lock_time".to_owned(), time(until));
        world.put(item).await;
    }
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 2, "{summary}");
    assert!(summary.refused < 10, "it is not asked for over and over: {summary}");
    assert_eq!(stored(&world, 3).await, so_many([(Pending, 1), (Succeeded, 2)]));
}

async fn an_observer_that_panics_loses_nothing(world: World) {
    let documents = documents(world.builder().observer(|_: &Event<'_>| panic!("an observer")), 4).await;
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, summary.attempts()), (4, 4), "{summary}");
    assert_eq!(stored(&world, 4).await, so_many([(Succeeded, 4)]));
}

async fn a_task_that_is_not_due_is_left(world: World) {
    let documents = documents(world.builder(), 2).await;
    let due = world.clock.now().wall + chrono::TimeDelta::hours(1);
    let mut item = world.stored_as("extract____doc-0").await.unwrap();
    item.insert("run_at".to_owned(), time(due));
    world.put(item).await;
    let error = documents.start("doc-0").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotDue { .. }), "{error}");
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, summary.refused), (1, 0), "{summary}");
    assert_eq!(stored(&world, 2).await, so_many([(Pending, 1), (Succeeded, 1)]));
}

async fn a_lease_that_is_lost_while_a_body_computes(world: World) {
    let lost = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&lost);
    let observer = move |event: &Event<'_>| {
        if event.kind == EventKind::LeaseLost {
            seen.store(true, Ordering::Relaxed);
        }
    };
    let documents = documents(world.beating().observer(observer), 1).await;
    let clock = world.clock.waiting();
    let worker = documents.worker().drain().run(async move |task| {
        task.data_mut().pages += 9;
        if task.attempt() == 2 {
            return Ok(());
        }
        // A body that never yields, for longer than its lease lasts.
        // From another thread, as this one will not get to what it wakes.
        let clock = clock.clone();
        std::thread::spawn(move || clock.advance(Duration::from_secs(400))).join().unwrap();
        while !lost.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        Ok(())
    });
    let summary = world.driven(worker).await.unwrap();
    assert_eq!((summary.lost, summary.succeeded), (1, 1), "it is found and taken over: {summary}");
    assert_eq!(stored(&world, 1).await, so_many([(Succeeded, 1)]));
    let task = documents.get("doc-0").consistent().await.unwrap().unwrap();
    assert_eq!((task.data().pages, task.attempt()), (9, 2), "nothing was written by the first");
}
