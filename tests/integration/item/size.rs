//! Items near the limit of 400 KB.

use std::error::Error as _;
use std::time::Duration;

use tracker_core::{CancelOutcome, Error, ErrorKind, Execution, Failure};
use tracker_test_macros::database_test;

use crate::support::{Document, World, entry, history, number, text};

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

/// The number of bytes that are left for the data, as the error of a save says.
fn bytes_left(error: &Error) -> usize {
    assert_eq!(*error.kind(), ErrorKind::ItemTooLarge);
    let source = error.source().unwrap().to_string();
    source.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{source}"))
}

/// Creates and starts a task, and saves data up to some bytes below what a save may use.
async fn fill(world: &World, id: &str, below: usize) -> Execution<Document> {
    let documents = world.documents();
    documents.create(Document { text_uri: Some(String::new()), ..Document::new(id) }).await.unwrap();
    let mut task = documents.start(id).await.unwrap();
    task.data_mut().text_uri = Some("x".repeat(410_000));
    let left = bytes_left(&task.save().await.unwrap_err());
    task.data_mut().text_uri = Some("x".repeat(left - below));
    task.save().await.unwrap();
    if below == 0 {
        task.data_mut().text_uri = Some("x".repeat(left + 1));
        assert_eq!(bytes_left(&task.save().await.unwrap_err()), 0);
        task.data_mut().text_uri = Some("x".repeat(left));
    }
    task
}

/// The sizes of the test: the last bytes that a save may use. A test of the protocol tries every size.
fn sizes() -> impl Iterator<Item = usize> {
    (0..200).step_by(37).chain([1, 199])
}

#[database_test]
async fn full_task_can_end_in_every_way_and_be_started_again(world: World) {
    for below in sizes() {
        let (documents, id) = (world.documents(), format!("doc-{below}"));
        let stored = || async { world.stored_under(&format!("extract____{id}")).await.unwrap() };
        let task = fill(&world, &id, below).await;
        task.fail("y".repeat(5000)).await.unwrap();
        let item = stored().await;
        assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)), "{below}");
        assert_eq!(entry(&item, 0, "error").len(), 256, "a short entry of the history: {below}");

        let task = documents.start(&id).await.unwrap();
        task.fail(Failure::snooze(Duration::from_mins(1))).await.unwrap();
        world.clock.advance(Duration::from_secs(61));
        documents.start(&id).await.unwrap().release().await.unwrap();

        world.clock.advance(Duration::from_secs(1));
        let task = documents.start(&id).await.unwrap();
        assert!(matches!(documents.cancel(&id).await.unwrap(), CancelOutcome::Requested(_)));
        drop(task);
        let dropped = world.wait_until_unlocked_under(&format!("extract____{id}")).await;
        assert_eq!(dropped["retry"], number(2), "{below}");

        world.clock.advance(Duration::from_secs(1));
        assert!(matches!(documents.cancel(&id).await.unwrap(), CancelOutcome::Ignored(_)));
        documents.redrive(&id).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        let task = documents.start(&id).await.unwrap();
        task.succeed().await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        world.summaries().start(&id).await.unwrap().succeed().await.unwrap();
        let item = stored().await;
        assert_eq!((&item["status"], &item["lock"]), (&number(26), &text("__not_locked__")), "{below}");
        assert!(!history(&item).is_empty(), "{below}");
    }
}

#[database_test]
async fn full_task_is_taken_over_until_it_is_ignored(world: World) {
    for below in sizes() {
        let (documents, id) = (world.documents(), format!("doc-{below}"));
        std::mem::forget(fill(&world, &id, below).await);
        for _ in 0..2 {
            world.expire_lease();
            std::mem::forget(documents.start(&id).await.unwrap());
        }
        world.expire_lease();
        assert_eq!(*documents.start(&id).await.unwrap_err().kind(), ErrorKind::Ignored, "{below}");
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert_eq!((&item["status"], &item["retry"]), (&number(18), &number(3)), "{below}");
        assert!(entry(&item, history(&item).len() - 1, "error").contains("lease expired"), "{below}");
    }
}

/// A success that would use the reserve is recorded as a failure, and the task can be retried.
#[database_test]
async fn success_that_would_fill_the_item_fails_the_attempt(world: World) {
    let mut task = fill(&world, "doc-1", 0).await;
    task.data_mut().text_uri.as_mut().unwrap().push('x');
    let error = task.succeed().await.unwrap_err();
    assert_eq!((error.kind(), bytes_left(&error)), (&ErrorKind::ItemTooLarge, 0));
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
    let mut task = world.documents().start("doc-1").await.unwrap();
    // Smaller data is always stored.
    task.data_mut().text_uri = None;
    task.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

/// Items that an earlier version or another program has filled have no reserve.
#[database_test]
async fn item_that_another_program_has_filled_is_never_stuck(world: World) {
    let documents = world.documents();
    let (mut ended, mut too_large) = (0, 0);
    for size in (408_600..409_230).step_by(50) {
        let id = format!("doc-{size}");
        documents.create(Document::new(&id)).await.unwrap();
        let execution = documents.start(&id).await.unwrap();
        let data = world
            .client
            .update_item()
            .table_name(&world.table)
            .set_key(Some(world.key(&format!("extract____{id}"))));
        let data = data.update_expression("SET #data.#filled = :filled");
        let data = data
            .expression_attribute_names("#data", world.name("data"))
            .expression_attribute_names("#filled", "filled");
        let filled = data.expression_attribute_values(":filled", text(&"x".repeat(size))).send().await;
        filled.unwrap_or_else(|error| panic!("{size}: {error:?}"));
        execution.fail("y".repeat(500)).await.unwrap_or_else(|error| panic!("{size}: {error:?}"));
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert_eq!((&item["status"], &item["lock"]), (&number(14), &text("__not_locked__")), "{size}");
        // In the last bytes below the limit a start has no room for the lock: it fails, and holds nothing.
        match documents.start(&id).await {
            Ok(execution) => {
                std::mem::forget(execution);
                world.expire_lease();
                documents.start(&id).await.unwrap().succeed().await.unwrap();
                ended += 1;
            }
            Err(error) => {
                assert_eq!(*error.kind(), ErrorKind::ItemTooLarge, "{size}");
                too_large += 1;
            }
        }
        world.clock.advance(Duration::from_secs(1));
    }
    assert!(ended > 5 && too_large > 0, "{ended} {too_large}");
}
