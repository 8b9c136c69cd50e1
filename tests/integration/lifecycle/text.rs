//! Error texts: which half of a message is where, and what cannot be put into them.

use std::error::Error as StdError;
use std::fmt;

use anyhow::Context as _;
use tracker_core::aws_sdk_dynamodb::types::AttributeValue;
use tracker_core::{ErrorKind, Failure, NotReadyCause};
use tracker_test_macros::database_test;

use crate::support::Fault::{CutBody, Deny};
use crate::support::{Document, World, entry, number, text};

#[database_test]
async fn message_has_what_the_decoder_and_the_service_say(world: World) {
    let documents = world.create_document().await;
    let mut item = world.stored().await;
    item.insert("data".to_owned(), AttributeValue::M([].into()));
    world.put_item(item).await;
    let error = documents.start("doc-1").await.unwrap_err();
    let shown = error.to_string();
    assert!(
        shown.starts_with(&format!(
            "task `extract____doc-1`: `{}` cannot be read: ",
            world.name("data.pages")
        )),
        "{shown}"
    );
    assert!(shown.contains("#[tracker(default)]") && shown.contains("correct the stored item"), "{shown}");
    assert!(error.source().is_some());
    world.network.next("GetItem", [Deny]);
    let error = documents.get("doc-1").await.unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains("AccessDeniedException: ") && shown.contains("injected by a test"), "{shown}");
}

#[database_test]
async fn locked_says_whether_this_very_tracker_holds_the_task(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let own = documents.clone().start("doc-1").await.unwrap_err();
    assert!(matches!(own.kind(), ErrorKind::Locked { by_this_tracker: true, .. }), "{own}");
    assert!(own.to_string().contains("this very tracker started it"), "{own}");
    // Another tracker with the same owner name is another holder.
    let others = world.documents().start("doc-1").await.unwrap_err();
    assert!(matches!(others.kind(), ErrorKind::Locked { by_this_tracker: false, .. }), "{others}");
    let redriven = documents.redrive("doc-1").await.unwrap_err();
    assert!(matches!(redriven.kind(), ErrorKind::Locked { by_this_tracker: true, .. }), "{redriven}");
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn redrive_of_a_waiting_task_has_a_text_of_its_own(world: World) {
    let documents = world.documents();
    documents.create_at(Document::new("doc-1"), world.in_one_hour()).await.unwrap();
    let before = world.stored().await;
    let error = documents.redrive("doc-1").await.unwrap_err();
    let expected = ErrorKind::NotReady { status: "Pending".to_owned(), cause: NotReadyCause::NotDue };
    assert_eq!(*error.kind(), expected);
    assert!(error.to_string().contains("waits for its time"), "{error}");
    assert_eq!(world.stored().await, before);
}

#[derive(Debug, thiserror::Error, PartialEq)]
#[error("out of paper")]
struct OutOfPaper;

#[database_test]
async fn error_of_the_body_is_found_behind_the_context_of_anyhow(world: World) {
    let documents = world.create_document().await;
    let print = || -> anyhow::Result<()> { Err(OutOfPaper).context("page 3").context("print") };
    let run = documents.run("doc-1", async |_| -> Result<(), Failure> { Ok(print()?) });
    let error = run.await.unwrap_err();
    assert_eq!(error.body_error::<OutOfPaper>(), Some(&OutOfPaper));
    assert!(error.body_error::<std::io::Error>().is_none());
    assert!(entry(&world.stored().await, 0, "traceback").contains("out of paper"));
}

#[database_test]
async fn keys_and_owners_cannot_forge_lines(world: World) {
    let documents = world.builder::<Document>().owner("me\nERROR \u{202e}forged").build().unwrap();
    let id = "doc\n2026-11-28 ERROR forged\u{2028}";
    let error = documents.start(id).await.unwrap_err();
    assert_eq!(error.key(), Some("extract____doc\n2026-11-28 ERROR forged\u{2028}"));
    assert!(error.to_string().contains(r"doc\n2026-11-28 ERROR forged\u{2028}"), "{error}");
    documents.create(Document::new(id)).await.unwrap();
    let execution = documents.start(id).await.unwrap();
    let error = world.rival().start(id).await.unwrap_err();
    let (shown, debugged) = (error.to_string(), format!("{error:?}"));
    for text in [&shown, &debugged] {
        assert!(!text.contains(['\n', '\u{202e}', '\u{2028}']), "{text}");
    }
    assert!(shown.contains(r"held by me\nERROR \u{202e}forged"), "{shown}");
    execution.succeed().await.unwrap();
}

#[database_test]
async fn debug_of_an_error_has_no_data_of_a_cut_answer(world: World) {
    let documents = world.documents();
    documents.create(Document { customer: Some("hush".to_owned()), ..Document::new("doc-1") }).await.unwrap();
    world.network.next("GetItem", [CutBody]);
    let error = documents.get("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    assert_eq!(world.stored().await["customer"], text("hush"));
}

/// An error whose text cannot be written.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::support::panic_quietly("no text")
    }
}

impl StdError for Unspeakable {}

#[database_test]
async fn error_whose_display_panics_costs_its_text_alone(world: World) {
    let documents = world.create_document().await;
    let run = documents.run("doc-1", async |_| -> Result<(), Failure> { Err(Unspeakable.into()) });
    let error = run.await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: false });
    assert!(!format!("{error} {error:?}").is_empty());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
    assert!(entry(&item, 0, "error").contains("`Display` panicked"));
}
