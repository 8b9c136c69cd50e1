//! Tasks that cannot be started before a time, their `run_at`.

use std::time::Duration;

use chrono::TimeDelta;
use tracker_core::aws_sdk_dynamodb::types::AttributeValue;
use tracker_core::{Clock, ErrorKind, StatusTracker};
use tracker_test_macros::database_test;

use crate::support::Fault::DropResponse;
use crate::support::{Document, ExtractStatus, World, number, task_ids, text, time};

#[database_test]
async fn start_refuses_a_task_before_its_run_at(world: World) {
    let documents = world.documents();
    let due = world.in_one_hour();
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

#[database_test(reads_at_once)]
async fn run_at_in_the_past_delays_nothing(world: World) {
    let documents = world.documents();
    let past = world.clock.now().wall - TimeDelta::hours(1);
    documents.create_at(Document::new("doc-1"), past).await.unwrap();
    assert_eq!(world.stored().await["run_at"], time(past));
    assert_eq!(task_ids(&documents.query_for_unfinished().all().await.unwrap()), ["doc-1"]);
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("run_at")), (&number(14), None));
}

#[database_test]
async fn create_at_keeps_run_at_when_its_answer_was_lost(world: World) {
    let documents = world.documents();
    let due = world.in_one_hour();
    let before = world.network.count("PutItem");
    world.network.next("PutItem", [DropResponse]);
    let task = documents.create_at(Document::new("doc-1"), due).await.unwrap();
    assert_eq!((world.network.count("PutItem") - before, task.head().run_at()), (2, Some(due)));
    assert_eq!(world.stored().await["run_at"], time(due));
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(world.stored().await["run_at"], time(due), "another create does not change it");
}

#[database_test]
async fn release_keeps_run_at(world: World) {
    let documents = world.documents();
    let due = world.in_one_hour();
    documents.create_at(Document::new("doc-1"), due).await.unwrap();
    world.clock.advance(Duration::from_hours(1));
    documents.start("doc-1").await.unwrap().release().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["run_at"]), (&number(10), &time(due)));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[derive(StatusTracker, Debug, Clone, Default)]
#[tracker(use_case_id = "extract", status = ExtractStatus, wire = "pynamodb")]
struct OnTheWire {
    #[tracker(task_id)]
    id: String,
    pages: u32,
}

#[database_test(own_layout)]
async fn python_save_drops_run_at_and_the_task_can_be_started(world: World) {
    let unknown_to_python =
        ["attempt", "last_lock", "started_from", "owner", "run_at", "snoozes", "cancel", "expires_at"];
    let tracker = world.builder::<OnTheWire>().build().unwrap();
    let new = OnTheWire { id: "doc-1".to_owned(), pages: 3 };
    tracker.create_at(new, world.in_one_hour()).await.unwrap();
    assert!(world.stored().await["data"].is_s());
    let refused = async || {
        let error = tracker.start("doc-1").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotDue { .. }), "{error}");
    };
    refused().await;
    world.remove_attributes(&unknown_to_python).await;
    let execution = tracker.start("doc-1").await.unwrap();
    let snooze = tracker_core::Failure::snooze(Duration::from_mins(10));
    execution.fail(snooze).await.unwrap();
    assert_eq!(world.stored().await["snoozes"], number(1));
    refused().await;
    world.remove_attributes(&unknown_to_python).await;
    tracker.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(1)));
    assert_eq!((item.get("run_at"), item.get("snoozes")), (None, None));
}

#[database_test]
async fn operations_refuse_an_unreadable_run_at(world: World) {
    let documents = world.create_document().await;
    let run_at = || ErrorKind::Decode { attribute: world.name("run_at") };
    for odd in [text("soon"), number(5), AttributeValue::Bool(true), AttributeValue::Null(true)] {
        world.set_attribute("run_at", odd.clone()).await;
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
    world.remove_attributes(&["run_at"]).await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
}

#[database_test]
async fn start_releases_a_task_whose_unreadable_run_at_sorts_before_now(world: World) {
    let documents = world.create_document().await;
    world.set_attribute("run_at", text("1")).await;
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { attribute: world.name("run_at") });
    // The condition compares texts and lets the start pass. The start then releases the task.
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["lock"]), (&number(10), &text("__not_locked__")));
    assert_eq!((&item["run_at"], &item["retry"]), (&text("1"), &number(0)));
}
