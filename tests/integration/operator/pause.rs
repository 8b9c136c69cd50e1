//! Pauses: workers claim nothing, a start by hand goes on, and a pause ends by itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use tracker_core::{CancellationToken, Clock, ErrorKind, Event, EventKind};
use tracker_test_macros::database_test;

use super::operator;
use crate::support::Fault::Deny;
use crate::support::{Document, World, ids, number, text};

const PAUSES: &str = "__tracker__pause____extract";

#[database_test]
async fn worker_claims_nothing_while_its_step_is_paused(world: World) {
    let documents = world.create_document().await;
    let operator = operator(&world).await;
    let until = world.clock.now().wall + TimeDelta::minutes(10);
    let pause = operator.pause("document", until).await.unwrap();
    assert_eq!(
        (&*pause.step, pause.by.as_deref(), pause.reason.as_deref()),
        ("Document", Some("alice"), Some("as agreed"))
    );
    assert!(world.stored_under(PAUSES).await.unwrap()["pauses"].as_s().unwrap().contains("as agreed"));
    assert_eq!(operator.pauses().await.unwrap(), std::slice::from_ref(&pause));

    let summary = documents.worker().drain().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.attempts(), summary.paused_until), (0, Some(pause.until)), "{summary}");
    assert!(summary.to_string().contains("paused until 2026-11-24T02:27:26Z"), "{summary}");
    assert_eq!(world.stored().await["status"], number(10));

    // A start by hand is not stopped.
    documents.start("doc-1").await.unwrap().release().await.unwrap();

    world.clock.advance(Duration::from_mins(11));
    assert!(operator.pauses().await.unwrap().is_empty(), "it has ended by itself");
    let summary = documents.worker().drain().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, summary.paused_until), (1, None), "{summary}");
}

#[database_test]
async fn running_worker_sees_a_pause_and_its_end(world: World) {
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&kinds);
    let observer = move |event: &Event<'_>| {
        if matches!(event.kind, EventKind::Paused | EventKind::Resumed | EventKind::Succeeded) {
            seen.lock().unwrap().push(event.kind);
        }
    };
    let documents = world.builder_with_heartbeat().observer(observer).build().unwrap();
    for id in ids(3) {
        documents.create(Document::new(&id)).await.unwrap();
    }
    let operator = operator(&world).await;
    operator.pause("Document", world.clock.now().wall + TimeDelta::hours(10)).await.unwrap();
    let stop = CancellationToken::new();
    let kinds_of = |kind| kinds.lock().unwrap().iter().filter(|other| **other == kind).count();
    let operate = async {
        world
            .wait_until("the worker sees the pause", || std::future::ready(kinds_of(EventKind::Paused) == 1))
            .await;
        assert!(operator.resume("Document").await.unwrap());
        assert!(!operator.resume("Document").await.unwrap());
        world
            .wait_until("all tasks succeed", || std::future::ready(kinds_of(EventKind::Succeeded) == 3))
            .await;
        stop.cancel();
    };
    let worker = documents.worker().concurrency(1).shutdown(stop.clone()).run_local(async |_| Ok(()));
    let both = async { tokio::join!(worker, operate).0.unwrap() };
    let summary = Box::pin(world.run_while_advancing_clock(both)).await;
    assert_eq!((summary.succeeded, summary.paused_until), (3, None), "{summary}");
    let kinds = kinds.lock().unwrap().clone();
    assert_eq!(kinds[..2], [EventKind::Paused, EventKind::Resumed], "{kinds:?}");
}

/// A worker sees a pause with its next look: what it has found already, it may still claim.
#[database_test]
async fn pause_that_a_worker_sees_late_ends_its_claims(world: World) {
    let documents = world.builder_with_heartbeat().build().unwrap();
    for id in ids(60) {
        documents.create(Document::new(&id)).await.unwrap();
    }
    let operator = Arc::new(operator(&world).await);
    let until = world.clock.now().wall + TimeDelta::hours(10);
    let paused = Arc::new(tokio::sync::OnceCell::new());
    let body = async |_: &mut tracker_core::Execution<Document>| {
        paused.get_or_init(async || operator.pause("Document", until).await.unwrap()).await;
        Ok(())
    };
    let worker = documents.worker().concurrency(1).drain().run_local(body);
    let summary = Box::pin(world.run_while_advancing_clock(worker)).await.unwrap();
    assert!((1..60).contains(&summary.succeeded), "{summary}");
    assert!(summary.paused_until.is_some(), "{summary}");
    let left = documents.count_by_status().await.unwrap();
    assert_eq!(left.get(crate::support::ExtractStatus::Pending), 60 - summary.succeeded);
}

#[database_test]
async fn other_steps_go_on(world: World) {
    world.summaries().verify_table().await.unwrap();
    let documents = world.create_document().await;
    let operator = operator(&world).await;
    operator.pause("Summary", world.in_one_hour()).await.unwrap();
    assert_eq!(documents.worker().drain().run_local(async |_| Ok(())).await.unwrap().succeeded, 1);
    assert_eq!(world.summaries().worker().drain().run_local(async |_| Ok(())).await.unwrap().attempts(), 0);
    let error = operator.pause("Nope", world.in_one_hour()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidQuery { .. }), "{error}");
}

#[database_test]
async fn worker_that_cannot_read_pauses_claims_tasks(world: World) {
    let documents = world.create_document().await;
    world.network.next("GetItem", [crate::support::Fault::None, Deny]);
    let summary = documents.worker().drain().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, world.network.faults_left()), (1, 0), "{summary}");
    let odd = [("key".to_owned(), text(PAUSES)), ("pauses".to_owned(), number(1))].into();
    world.put_item(odd).await;
    documents.create(Document::new("doc-2")).await.unwrap();
    let summary = documents.worker().drain().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 1, "{summary}");
    let error = operator(&world).await.pauses().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Decode { .. }), "{error}");
}
