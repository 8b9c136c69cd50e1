//! Makes ended tasks pending again, one by one.

use std::time::Duration;

use tracker_core::{ErrorKind, NotReadyCause};
use tracker_test_macros::database_test;

use crate::support::Fault::DropResponse;
use crate::support::{Document, World, number, text};

#[database_test]
async fn redrive_makes_an_ignored_task_pending(world: World) {
    let documents = world.create_document().await;
    let refused = async |kind: ErrorKind| {
        let before = world.stored().await;
        let error = documents.redrive("doc-1").await.unwrap_err();
        assert_eq!(*error.kind(), kind);
        assert!(error.task().is_some());
        assert_eq!(world.stored().await, before);
    };
    refused(ErrorKind::NotReady { status: "Pending".to_owned(), cause: NotReadyCause::Pending }).await;
    let execution = documents.start("doc-1").await.unwrap();
    let error = documents.redrive("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    execution.fail("first").await.unwrap();
    for nth in ["second", "third"] {
        documents.start("doc-1").await.unwrap().fail(nth).await.unwrap();
    }
    world.clock.advance(Duration::from_mins(1));
    let head = documents.redrive("doc-1").await.unwrap();
    assert!(head.is_pending());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"], &item["attempt"]), (&number(10), &number(0), &number(3)));
    assert_eq!(item["value"], text("extract____010____001"));
    assert_eq!(item["lock"], text("__not_locked__"));
    assert_eq!(item["update_time"], item["lock_time"]);
    assert_eq!(item["errors"].as_m().unwrap()["history"].as_l().unwrap().len(), 3, "the history is kept");
    world.clock.advance(Duration::from_secs(1));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    refused(ErrorKind::AlreadySucceeded).await;
    let error = documents.redrive("doc-2").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound);
}

#[database_test]
async fn redrive_happens_once_when_its_answer_was_lost(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.network.next("UpdateItem", [DropResponse]);
    documents.redrive("doc-1").await.expect("the redrive recognises its own write");
    assert_eq!(world.stored().await["status"], number(10));

    // A late copy of the redrive must not undo the failure that came after it.
    let redrive = world.network.count("UpdateItem") - 1;
    world.clock.advance(Duration::from_secs(1));
    documents.start("doc-1").await.unwrap().fail("again").await.unwrap();
    let failed = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", redrive).await.unwrap(), 400);
    assert_eq!(world.stored().await, failed);

    // A Python `save` has dropped `attempt`.
    world.remove_attributes(&["attempt", "last_lock", "started_from", "owner"]).await;
    documents.redrive("doc-1").await.unwrap();
    assert_eq!(world.stored().await["status"], number(10));
}

#[database_test]
async fn racing_redrives_leave_the_task_pending(world: World) {
    let documents = world.builder::<Document>().max_retry(1).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    let redrives: Vec<_> = (0..8)
        .map(|_| {
            let rival = world.rival();
            tokio::spawn(async move { rival.redrive("doc-1").await })
        })
        .collect();
    let mut redriven = 0;
    for redrive in redrives {
        match redrive.await.unwrap() {
            Ok(_) => redriven += 1,
            Err(error) => assert!(error.is_refusal(), "{error}"),
        }
    }
    assert!(redriven >= 1);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"], &item["attempt"]), (&number(10), &number(0), &number(1)));
}
