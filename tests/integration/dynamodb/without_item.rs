//! Servers that ignore `ReturnValuesOnConditionCheckFailure`, such as dynalite and old versions of DynamoDB Local.

use tracker_core::{CancelOutcome, ErrorKind};
use tracker_test_macros::database_test;

use crate::support::Fault::{DropRequest, DropResponse};
use crate::support::{Document, World, number};

#[database_test]
async fn refusals_and_takeovers_need_no_item_in_the_answer(world: World) {
    world.probe.hide_items_of_failed_conditions();
    let documents = world.create_document().await;
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(error.task().map(|task| task.status_name().to_owned()).as_deref(), Some("Pending"));
    std::mem::forget(documents.start("doc-1").await.unwrap());
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    assert_eq!(*documents.start("doc-2").await.unwrap_err().kind(), ErrorKind::NotFound);
    world.expire_lease();
    let taken = world.rival().start("doc-1").await.unwrap();
    assert_eq!((taken.attempt(), taken.failed_attempts()), (2, 1));
    taken.succeed().await.unwrap();
    assert_eq!(*documents.start("doc-1").await.unwrap_err().kind(), ErrorKind::AlreadySucceeded);
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn lost_answers_are_settled_without_the_item(world: World) {
    world.probe.hide_items_of_failed_conditions();
    let documents = world.documents();
    world.network.next("PutItem", [DropResponse]);
    documents.create(Document::new("doc-1")).await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let mut execution = documents.start("doc-1").await.unwrap();
    assert_eq!(execution.attempt(), 1);
    execution.data_mut().pages = 7;
    world.network.next("UpdateItem", [DropResponse]);
    execution.succeed().await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    documents.create(Document::new("doc-2")).await.unwrap();
    assert!(matches!(documents.cancel("doc-2").await.unwrap(), CancelOutcome::Ignored(_)));
    assert_eq!(
        (&world.stored().await["status"], &world.stored().await["attempt"]),
        (&number(16), &number(1))
    );
}

#[database_test]
async fn error_of_the_deciding_read_is_the_error(world: World) {
    world.probe.hide_items_of_failed_conditions();
    let documents = world.create_document().await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    let before = world.stored().await;
    world.network.next("GetItem", [DropRequest]);
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert_eq!(world.stored().await, before);
}
