//! Gauges of the tasks of a step.

use std::time::Duration;

use chrono::TimeDelta;
use tracker_core::{Clock, ErrorKind, Failure, StatusTracker, Takeover, Tracker, TrackerBuilder};
use tracker_test_macros::database_test;

use super::recorder;
use crate::support::{Document, Fault, Summary, World, number};

/// Returns a use case that no other test has.
fn use_case(world: &World) -> String {
    format!("gauges-{}-{}", world.table, if world.endpoint.is_some() { "local" } else { "embedded" })
}

fn tracker(
    world: &World,
    change: impl FnOnce(TrackerBuilder<Document>) -> TrackerBuilder<Document>,
) -> Tracker<Document> {
    change(world.builder().use_case_id(use_case(world))).build().unwrap()
}

/// What a gauge was set to at last.
#[track_caller]
fn gauge(world: &World, name: &str, status: Option<&str>) -> f64 {
    let value = recorder::gauge(&use_case(world), name, status);
    value.unwrap_or_else(|| panic!("{name} of {status:?} has no value"))
}

async fn wait_after_read(world: &World, documents: &Tracker<Document>) -> f64 {
    documents.gauges(Duration::from_mins(1)).read().await.unwrap();
    gauge(world, "tracker_wait_seconds", None)
}

fn assert_equal(left: f64, right: f64) {
    assert!((left - right).abs() < 0.01, "{left} is not {right}");
}

#[database_test(whole_batches)]
async fn gauges_show_what_is_in_the_table(world: World) {
    let documents = tracker(&world, |builder| builder);
    let advance = |seconds| world.clock.advance(Duration::from_secs(seconds));
    let status_gauge = |name: &str, status| gauge(&world, name, Some(status));
    assert_equal(wait_after_read(&world, &documents).await, 0.0);
    assert_equal(status_gauge("tracker_tasks", "Pending"), 0.0);
    assert_equal(status_gauge("tracker_oldest_task_age_seconds", "Pending"), 0.0);

    let due = world.clock.now().wall + TimeDelta::seconds(1000);
    documents.create_at(Document::new("later"), due).await.unwrap();
    advance(10);
    documents.create(Document::new("now")).await.unwrap();
    advance(100);
    assert_equal(wait_after_read(&world, &documents).await, 100.0);
    assert_equal(status_gauge("tracker_tasks", "Pending"), 2.0);
    assert_equal(status_gauge("tracker_tasks_capped", "Pending"), 0.0);
    assert_equal(status_gauge("tracker_oldest_task_age_seconds", "Pending"), 110.0);
    assert_equal(gauge(&world, "tracker_up", None), 1.0);

    // A task that failed waits once its time has come.
    documents
        .start("now")
        .await
        .unwrap()
        .fail(Failure::retry_after("no", Duration::from_secs(40)))
        .await
        .unwrap();
    advance(30);
    assert_equal(wait_after_read(&world, &documents).await, 0.0);
    assert_equal(status_gauge("tracker_tasks", "Failed"), 1.0);
    advance(25);
    assert_equal(wait_after_read(&world, &documents).await, 15.0);

    // A task in progress waits once its lease of 300 s and the skew of 5 s have passed.
    std::mem::forget(documents.start("now").await.unwrap());
    advance(300);
    assert_equal(wait_after_read(&world, &documents).await, 0.0);
    assert_equal(status_gauge("tracker_tasks", "InProgress"), 1.0);
    assert_equal(status_gauge("tracker_oldest_task_age_seconds", "InProgress"), 300.0);
    advance(45);
    assert_equal(wait_after_read(&world, &documents).await, 40.0);

    // `later` has been due for 200 s.
    advance(1200 - 10 - 100 - 55 - 345);
    assert_equal(wait_after_read(&world, &documents).await, 730.0);
    let careful = tracker(&world, |builder| builder.takeover(Takeover::Never));
    assert_equal(wait_after_read(&world, &careful).await, 200.0);
    let item = world.stored_under(&format!("{}____now", use_case(&world))).await.unwrap();
    assert_eq!(item["status"], number(12));
}

#[database_test(reads_at_once)]
async fn gauges_find_the_longest_wait_behind_tasks_that_are_not_due(world: World) {
    let documents = tracker(&world, |builder| builder);
    let start = world.clock.now().wall;
    let advance = |seconds| world.clock.advance(Duration::from_secs(seconds));
    let many = (0..30).map(|nth| Document::new(&format!("later-{nth}")));
    for document in many {
        documents.create_at(document, start + TimeDelta::days(1)).await.unwrap();
    }
    // Created before `soon`, and due after it.
    documents.create_at(Document::new("last"), start + TimeDelta::seconds(300)).await.unwrap();
    advance(60);
    documents.create(Document::new("soon")).await.unwrap();
    advance(340);
    assert_equal(wait_after_read(&world, &documents).await, 340.0);
    let soon = documents.start("soon").await.unwrap();
    assert_equal(wait_after_read(&world, &documents).await, 100.0);
    soon.succeed().await.unwrap();
    let item = world.stored_under(&format!("{}____soon", use_case(&world))).await.unwrap();
    assert_eq!(item["status"], number(16));
}

/// The embedded database does not refuse a filter by an attribute that the index lacks, so it does not show the lack.
#[database_test(endpoint, own_layout, reads_at_once, whole_batches)]
async fn gauges_know_what_is_due_though_the_index_does_not(world: World) {
    let documents = world.create_python_table(|builder| builder.use_case_id(use_case(&world))).await;
    let start = world.clock.now().wall;
    for nth in 0..120 {
        documents
            .create_at(Document::new(&format!("later-{nth}")), start + TimeDelta::days(1))
            .await
            .unwrap();
    }
    world.clock.advance(Duration::from_mins(1));
    documents.create(Document::new("now")).await.unwrap();
    documents.create_at(Document::new("soon"), start + TimeDelta::seconds(100)).await.unwrap();
    world.clock.advance(Duration::from_secs(90));
    assert_equal(wait_after_read(&world, &documents).await, 90.0);
    documents.start("now").await.unwrap().succeed().await.unwrap();
    assert_equal(wait_after_read(&world, &documents).await, 50.0);
    documents.start("soon").await.unwrap().succeed().await.unwrap();
    assert_equal(wait_after_read(&world, &documents).await, 0.0);
    assert_equal(gauge(&world, "tracker_tasks", Some("Pending")), 120.0);
}

#[database_test]
async fn gauges_of_a_second_step_wait_for_it_from_the_end_of_the_first(world: World) {
    let documents = tracker(&world, |builder| builder);
    let summaries = Summary::tracker_builder(&world.client).like(&documents).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    world.clock.advance(Duration::from_secs(50));
    summaries.gauges(Duration::from_mins(1)).read().await.unwrap();
    assert_equal(gauge(&world, "tracker_wait_seconds", None), 0.0);
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    world.clock.advance(Duration::from_secs(20));
    summaries.gauges(Duration::from_mins(1)).read().await.unwrap();
    assert_equal(gauge(&world, "tracker_wait_seconds", None), 20.0);
    let item = world.stored_under(&format!("{}____doc-1", use_case(&world))).await.unwrap();
    assert_eq!(item["status"], number(16));
}

#[database_test(reads_at_once)]
async fn gauges_count_up_to_a_cap(world: World) {
    let documents = tracker(&world, |builder| builder);
    for nth in 0..5 {
        documents.create(Document::new(&format!("doc-{nth}"))).await.unwrap();
    }
    for (cap, tasks, capped) in [(2, 2.0, 1.0), (5, 5.0, 0.0), (0, 1.0, 1.0)] {
        documents.gauges(Duration::ZERO).cap(cap).read().await.unwrap();
        assert_equal(gauge(&world, "tracker_tasks", Some("Pending")), tasks);
        assert_equal(gauge(&world, "tracker_tasks_capped", Some("Pending")), capped);
    }
    // Rows of due tasks are not read without end: these are due later than they were written, so none may be the last to look at.
    world.clock.advance(Duration::from_secs(10));
    let due = world.clock.now().wall + TimeDelta::seconds(10);
    for nth in 0..200 {
        documents.create_at(Document::new(&format!("due-{nth}")), due).await.unwrap();
    }
    for id in 0..5 {
        documents.start(&format!("doc-{id}")).await.unwrap().succeed().await.unwrap();
    }
    world.clock.advance(Duration::from_secs(40));
    world.probe.measure();
    documents.gauges(Duration::ZERO).cap(5).read().await.unwrap();
    let capped = world.probe.spent().len();
    assert_equal(gauge(&world, "tracker_wait_seconds", None), 30.0);
    documents.gauges(Duration::ZERO).read().await.unwrap();
    let all = world.probe.spent().len();
    assert!(capped < all, "{capped} requests, and {all} without the cap");
}

#[database_test]
async fn gauges_say_that_they_cannot_be_read(world: World) {
    let documents = tracker(&world, |builder| builder);
    documents.create(Document::new("doc-1")).await.unwrap();
    world.clock.advance(Duration::from_secs(10));
    let gauges = documents.gauges(Duration::from_mins(1));
    gauges.read().await.unwrap();
    world.network.next("Query", [Fault::Deny]);
    let error = gauges.read().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Service { .. }), "{error}");
    assert_equal(gauge(&world, "tracker_up", None), 0.0);
    assert_equal(gauge(&world, "tracker_wait_seconds", None), 10.0);
    gauges.read().await.unwrap();
    assert_equal(gauge(&world, "tracker_up", None), 1.0);
}

#[database_test]
async fn gauges_are_read_again_and_again(world: World) {
    let clock = world.clock.manual();
    let documents = tracker(&world, |builder| builder.clock(clock.clone()));
    world.network.next("Query", [Fault::Deny]);
    let reading = tokio::spawn(documents.gauges(Duration::from_mins(1)).run());
    let is = |name: &'static str, status: Option<&'static str>, value: f64| {
        let world = &world;
        move || {
            let of = recorder::gauge(&use_case(world), name, status);
            std::future::ready(of.is_some_and(|of| (of - value).abs() < 0.01))
        }
    };
    world.wait_until("the first read has failed", is("tracker_up", None, 0.0)).await;
    documents.create(Document::new("doc-1")).await.unwrap();
    world.wait_until("it waits for the next read", || std::future::ready(clock.next_wake().is_some())).await;
    clock.advance(Duration::from_mins(1));
    world.wait_until("the second read has counted", is("tracker_tasks", Some("Pending"), 1.0)).await;
    world.wait_until("the second read has succeeded", is("tracker_up", None, 1.0)).await;
    assert!(!reading.is_finished());
    reading.abort();
}
