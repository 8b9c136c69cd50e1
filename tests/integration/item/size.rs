//! Items near the limit of 400 KB.

use std::time::Duration;

use tracker_core::ErrorKind;
use tracker_test_macros::database_test;

use crate::support::{Document, World, number, text};

#[database_test]
async fn run_fails_when_its_data_is_too_large(world: World) {
    let documents = world.create_document().await;
    let error = documents
        .run("doc-1", async |task| {
            task.data_mut().text_uri = Some("x".repeat(410_000));
            Ok(())
        })
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::ItemTooLarge);
    assert!(error.task().unwrap().is_failed());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
    let task = documents.get("doc-1").consistent().await.unwrap().unwrap();
    assert!(task.errors()[0].error.contains("400 KB"), "{:?}", task.errors());
}

#[database_test]
async fn history_is_cut_when_the_item_is_full(world: World) {
    let documents = world.documents();
    // With the smaller data a short entry still fits; with the larger data not even that.
    for (id, data, entries) in [("a", 408_200, 1), ("b", 409_000, 0)] {
        documents.create(Document::new(id)).await.unwrap();
        let mut execution = documents.start(id).await.unwrap();
        execution.data_mut().text_uri = Some("x".repeat(data));
        execution.save().await.unwrap();
        execution.fail("y".repeat(5000)).await.unwrap();
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
        assert_eq!(item["lock"], text("__not_locked__"));
        let task = documents.get(id).consistent().await.unwrap().unwrap();
        assert_eq!(task.errors().len(), entries, "{id}");
        assert_eq!(task.head().errors_omitted(), 1 - entries as u64);
        assert_eq!(task.data().text_uri.as_ref().unwrap().len(), data);

        // A takeover cuts the history in the same way.
        std::mem::forget(documents.start(id).await.unwrap());
        world.expire_lease();
        documents.start(id).await.unwrap().succeed().await.unwrap();
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert_eq!(item["status"], number(16));
    }
}

#[database_test]
async fn tasks_near_the_size_limit_are_never_stuck(world: World) {
    let documents = world.documents();
    let (mut ended, mut too_large) = (0, 0);
    // Sizes around the largest possible item, in smaller steps close to the limit.
    for size in (408_200..409_160).step_by(120).chain((409_160..409_320).step_by(7)) {
        let id = format!("doc-{size}");
        documents.create(Document::new(&id)).await.unwrap();
        let mut execution = documents.start(&id).await.unwrap();
        execution.data_mut().text_uri = Some("x".repeat(size));
        if let Err(error) = execution.save().await {
            assert_eq!(*error.kind(), ErrorKind::ItemTooLarge, "{size}");
            too_large += 1;
        }
        execution.fail("y".repeat(500)).await.unwrap_or_else(|error| panic!("{size}: {error:?}"));
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)), "{size}");
        assert_eq!(item["lock"], text("__not_locked__"), "{size}");

        // The next holders crash, and the task is taken over until it is ignored.
        for retry in [1, 2] {
            match documents.start(&id).await {
                Ok(execution) => std::mem::forget(execution),
                // In the last bytes below the limit a start has no room for the lock: it fails, and holds nothing.
                Err(error) => {
                    assert_eq!((error.kind(), retry), (&ErrorKind::ItemTooLarge, 1), "{size}");
                    assert!(size > 409_200, "{size}");
                    break;
                }
            }
            world.expire_lease();
        }
        match documents.start(&id).await.unwrap_err().kind() {
            ErrorKind::Ignored => ended += 1,
            ErrorKind::ItemTooLarge => assert!(size > 409_200, "{size}"),
            other => panic!("{size}: {other:?}"),
        }
        world.clock.advance(Duration::from_secs(1));
    }
    assert!(ended > 15 && too_large > 2, "{ended} {too_large}");
}
