//! Responses that say nothing about a request: those of a proxy, and internal errors of DynamoDB.

use std::error::Error as _;

use tracker_core::{Error, ErrorKind};
use tracker_test_macros::database_test;

use crate::support::Fault::{ForeignResponse, InternalError};
use crate::support::{Document, World, number};

/// The texts of an error and of its sources.
fn texts(error: &Error) -> String {
    let mut texts = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        texts = format!("{texts}: {error}");
        source = error.source();
    }
    texts
}

#[database_test]
async fn create_and_finish_are_sent_again_after_a_foreign_response(world: World) {
    let documents = world.documents();
    world.network.next("PutItem", [ForeignResponse]);
    documents.create(Document::new("doc-1")).await.unwrap();
    assert_eq!(world.stored().await["status"], number(10));
    world.network.next("UpdateItem", [ForeignResponse]);
    let execution = documents.start("doc-1").await.unwrap();
    assert_eq!(world.stored().await["attempt"], number(1));
    world.network.next("UpdateItem", [ForeignResponse]);
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn nothing_is_told_as_done_if_only_foreign_responses_come(world: World) {
    let documents = world.documents();
    world.network.next("PutItem", std::iter::repeat_n(ForeignResponse, 3));
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert!(texts(&error).contains("not from DynamoDB"), "{}", texts(&error));
    assert_eq!(world.stored_under("extract____doc-1").await, None);

    documents.create(Document::new("doc-1")).await.unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    let held = world.stored().await;
    world.network.next("UpdateItem", std::iter::repeat_n(ForeignResponse, 6));
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored().await, held, "the finish was never applied");
    world.network.next("GetItem", [ForeignResponse]);
    let error = documents.head("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
}

#[database_test]
async fn text_of_an_internal_error_has_its_code(world: World) {
    let documents = world.create_document().await;
    world.network.next("GetItem", [InternalError]);
    let error = documents.head("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        error.to_string(),
        "task `extract____doc-1`: DynamoDB gave no usable answer: it answered with InternalServerError; retry later, and if this lasts, \
         check the network, and the region and the endpoint of the client"
    );
}
