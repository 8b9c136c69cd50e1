//! Starts that are refused: each refusal carries the task as it was found.

use std::sync::Arc;
use std::time::Duration;

use tracker_core::{ErrorKind, NotReadyCause};
use tracker_test_macros::database_test;

use crate::support::{Document, ExtractStatus, World, number, text};

#[database_test]
async fn start_refuses_a_missing_task(world: World) {
    let error = world.documents().start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound);
    assert!(error.is_refusal() && error.task().is_none());
    assert_eq!(error.key(), Some("extract____doc-1"));
    assert_eq!(world.stored_under("extract____doc-1").await, None);
    assert_eq!(world.network.count("UpdateItem"), 1);
}

#[database_test]
async fn start_refuses_a_locked_task(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let before = world.stored().await;
    world.clock.advance(Duration::from_secs(100));
    let sent = world.network.count_all();
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert_eq!(world.network.count_all(), sent + 1, "the refusal needs no read");
    let until = "2026-11-24T02:22:31.355394Z".parse().unwrap();
    assert_eq!(
        *error.kind(),
        ErrorKind::Locked { by_this_tracker: false, owner: Some("worker-1".to_owned()), until },
        "until the lease and the skew are over"
    );
    let found = error.task().unwrap();
    assert_eq!(found.status_in::<ExtractStatus>(), Some(ExtractStatus::InProgress));
    assert_eq!(found.owner(), Some("worker-1"));
    assert_eq!(world.stored().await, before);
    execution.succeed().await.unwrap();
}

#[database_test]
async fn start_refuses_a_succeeded_task(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let before = world.stored().await;
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadySucceeded);
    assert!(error.task().unwrap().is_succeeded());
    assert_eq!(world.stored().await, before);
}

#[database_test]
async fn start_refuses_an_ignored_task(world: World) {
    world.create_document().await;
    let documents = world.builder::<Document>().max_retry(1).build().unwrap();
    documents.start("doc-1").await.unwrap().fail("poison").await.unwrap();
    let before = world.stored().await;
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);
    assert_eq!(error.task().unwrap().errors()[0].error, "poison");
    assert_eq!(world.stored().await, before);
}

#[database_test]
async fn start_refuses_a_task_in_another_steps_status(world: World) {
    let documents = world.create_document().await;
    world.set_attribute("status", number(99)).await;
    let before = world.stored().await;
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(
        *error.kind(),
        ErrorKind::NotReady { status: "99".to_owned(), cause: NotReadyCause::UnknownCode }
    );
    let found = error.task().unwrap();
    assert_eq!(found.status_in::<ExtractStatus>(), None);
    assert_eq!((found.status_code(), found.status_name()), (99, "99"));
    assert_eq!(world.stored().await, before);
}

#[database_test]
async fn start_refuses_a_pending_task_with_a_foreign_lock(world: World) {
    let documents = world.create_document().await;
    let mut item = world.stored().await;
    item.insert("lock".to_owned(), text("somebody"));
    item.insert("lock_time".to_owned(), text("2026-11-24T02:17:26.355393+0000"));
    world.put_item(item).await;
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(
        *error.kind(),
        ErrorKind::NotReady { status: "Pending".to_owned(), cause: NotReadyCause::ChangedElsewhere }
    );
    assert_eq!(world.stored().await["lock"], text("somebody"));
    world.expire_lease();
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["retry"], number(0), "nobody had started the task");
    assert_eq!(item["status"], number(16));
}

#[database_test]
async fn start_refuses_when_its_clock_is_far_behind_the_item(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    world.clock.step_back(Duration::from_secs(1));
    let before = world.stored().await;
    let error = documents.start("doc-1").await.unwrap_err();
    // One second, the microsecond between start and finish, and one more to be later than the finish.
    let by = Duration::from_micros(1_000_002);
    assert_eq!(*error.kind(), ErrorKind::ClockBehind { by });
    assert!(error.task().unwrap().is_failed());
    assert_eq!(world.stored().await, before);
    assert_eq!(world.network.count("UpdateItem"), 3);
}

#[database_test]
async fn start_waits_when_its_clock_is_a_little_behind_the_item(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    world.clock.step_back(Duration::from_millis(200));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["status"], number(16));
    assert_eq!(item["attempt"], number(2));
}

#[database_test]
async fn one_of_32_racing_starts_wins(world: World) {
    let documents = Arc::new(world.documents());
    for round in 0..20 {
        let id = format!("doc-{round}");
        documents.create(Document::new(&id)).await.unwrap();
        let starts: Vec<_> = (0..32)
            .map(|nth| {
                let rival = world.builder::<Document>().owner(format!("worker-{nth}")).build().unwrap();
                let id = id.clone();
                tokio::spawn(async move { rival.start(&id).await })
            })
            .collect();
        let mut won = Vec::new();
        for start in starts {
            match start.await.unwrap() {
                Ok(execution) => won.push(execution),
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
                    assert!(error.task().unwrap().is_locked());
                }
            }
        }
        assert_eq!(won.len(), 1, "round {round}");
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert_eq!(item["attempt"], number(1));
        let winner = won.pop().unwrap();
        assert_eq!(item["owner"], text(winner.owner().unwrap()));
        winner.succeed().await.unwrap();
    }
}
