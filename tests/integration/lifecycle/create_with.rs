//! Creates in one transaction with writes of a user's own.

use std::time::Duration;

use tracker_core::aws_sdk_dynamodb::error::SdkError;
use tracker_core::aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use tracker_core::{Advice, ErrorKind, EventKind, Failure, TaskHead};
use tracker_test_macros::database_test;

use crate::support::Fault::{
    Conflict, DropRequest, DropResponse, InProgress, RefuseConnection, ThrottleMembers,
};
use crate::support::{Document, World, counter_item, number, text};

const TRANSACTION: &str = "TransactWriteItems";

#[database_test]
async fn task_and_effects_are_created_together(world: World) {
    let documents = world.documents();
    let puts = world.network.count("PutItem");
    let task = documents
        .create_with(Document::new("doc-1"), [world.count("a"), world.put_counter("b", 5)])
        .await
        .unwrap();
    assert!(task.is_pending());
    assert_eq!(world.stored().await["status"], number(10));
    assert_eq!((world.counted("a").await, world.counted("b").await), (1, 5));
    let sent = || (world.network.count(TRANSACTION), world.network.count("PutItem") - puts);
    assert_eq!(sent(), (1, 0));
    documents.create_with(Document::new("doc-2"), []).await.unwrap();
    assert_eq!(sent(), (1, 1), "a create without effects is a put");
    documents.run("doc-1", async |_| Ok::<_, Failure>(())).await.unwrap();
}

#[database_test]
async fn errors_tell_apart_what_was_in_the_way(world: World) {
    let documents = world.create_document().await;
    let before = world.stored().await;
    let create = |id: &str, effects| documents.create_with(Document::new(id), effects);

    // The task exists: also if an effect is refused as well.
    let error = create("doc-1", vec![world.count("a"), world.count_from("b", 4)]).await.unwrap_err();
    assert_eq!((error.kind(), error.advice()), (&ErrorKind::AlreadyExists, Advice::Done));
    assert!(error.task().is_some_and(TaskHead::is_pending), "{error:?}");
    assert_eq!(world.stored().await, before);

    world.put_item(counter_item("b", 5)).await;
    let error = create("doc-2", vec![world.count("a"), world.count_from("b", 4)]).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::EffectRefused { nth: 1, table: world.table.clone() });
    assert_eq!(
        (error.refused_item(), error.advice()),
        (Some(&world.to_table(counter_item("b", 5))), Advice::Fix)
    );

    let sent = world.network.count_all();
    let error = create("doc-2", vec![world.count("extract____doc-2")]).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidEffects);
    let many = (0..100).map(|nth| world.count(&format!("c{nth}"))).collect();
    let error = create("doc-2", many).await.unwrap_err();
    assert!(error.to_string().contains("a transaction has at most 99 effects"), "{error}");
    assert_eq!(world.network.count_all(), sent, "nothing was sent");

    world.network.next(TRANSACTION, [Conflict; 10]);
    let error = create("doc-2", vec![world.count("a")]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.advice()),
        (&ErrorKind::TransactionConflict, Advice::RetryLater { at: None })
    );
    let shown = error.to_string();
    assert!(shown.contains("the update of the item with ") && shown.contains("= \"a\""), "{shown}");
    assert_eq!(world.network.faults_left(), 0);
    assert_eq!((world.stored_under("extract____doc-2").await, world.counted("a").await), (None, 0));

    // DynamoDB has answered that nothing was written, so nothing is unknown.
    world.network.next(TRANSACTION, [ThrottleMembers; 10]);
    let error = create("doc-2", vec![world.count("a")]).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Throttled { .. }), "{error:?}");
    assert_eq!((world.network.faults_left(), world.counted("a").await), (0, 0));

    let nowhere = World { table: "no-such-table".to_owned(), ..world.clone() };
    let error = create("doc-2", vec![nowhere.count("a")]).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidEffects);
    let shown = format!("{error:?}");
    assert!(shown.contains("`no-such-table`: one of its tables does not exist"), "{shown}");
    assert!(!shown.contains("there is no table"), "the table of the task exists: {shown}");
}

#[database_test]
async fn create_with_effects_happens_once_when_its_answer_was_lost(world: World) {
    let documents = world.documents();
    world.network.next(TRANSACTION, [DropResponse, InProgress]);
    documents.create_with(Document::new("doc-1"), [world.count("a")]).await.unwrap();
    assert_eq!((world.network.count(TRANSACTION), world.counted("a").await), (3, 1));

    // A worker has started the task since, so the token alone tells that the create was applied.
    world.network.next(TRANSACTION, [DropResponse]);
    let rival = world.rival();
    world.clock.during_next_sleep(async move {
        rival.start("doc-2").await.unwrap().succeed().await.unwrap();
    });
    documents.create_with(Document::new("doc-2"), [world.count("a")]).await.unwrap();
    assert_eq!(world.counted("a").await, 2);

    world.network.next(TRANSACTION, [DropRequest; 3]);
    let error = documents.create_with(Document::new("doc-3"), [world.count("a")]).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!((world.stored_under("extract____doc-3").await, world.counted("a").await), (None, 2));
}

/// An effect is refused after a send without an answer. A copy of that send may still be applied, so the create does not claim that
/// nothing is written.
#[database_test]
async fn refusal_after_a_lost_request_is_unknown(world: World) {
    let documents = world.documents();
    world.put_item(counter_item("b", 5)).await;
    world.network.next(TRANSACTION, [DropRequest]);
    let error = documents.create_with(Document::new("doc-1"), [world.count_from("b", 4)]).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("effect 0"), "{why}");
    world.network.next(TRANSACTION, [Conflict]);
    let error = documents.create_with(Document::new("doc-1"), [world.count_from("b", 4)]).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::EffectRefused { nth: 0, .. }),
        "a conflict leaves no doubt: {error:?}"
    );
}

/// What was never sent is not unknown.
#[database_test]
async fn create_with_effects_that_is_not_sent_is_told_so(world: World) {
    world.network.next(TRANSACTION, [RefuseConnection; 3]);
    let error = world.documents().create_with(Document::new("doc-1"), [world.count("a")]).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotSent, "{error:?}");
    assert_eq!((world.stored_under("extract____doc-1").await, world.counted("a").await), (None, 0));
}

#[database_test]
async fn create_with_effects_replaces_a_task_that_is_past(world: World) {
    let documents = world.builder::<Document>().retain(Duration::from_hours(1)).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    documents.run("doc-1", async |_| Ok::<_, Failure>(())).await.unwrap();
    world.clock.advance(Duration::from_hours(2));
    documents.create_with(Document::new("doc-1"), [world.count("a")]).await.unwrap();
    assert_eq!((world.stored().await["status"].clone(), world.counted("a").await), (number(10), 1));
}

/// The create as an action of a user's own transaction.
#[database_test]
async fn create_request_is_an_action_of_any_transaction(world: World) {
    let documents = world.documents();
    let send = async || {
        let create = documents.create_request(&Document::new("doc-1")).unwrap();
        let actions = [world.count("a"), create];
        world.client.transact_write_items().set_transact_items(Some(actions.into())).send().await
    };
    send().await.unwrap();
    assert_eq!((world.stored().await["status"].clone(), world.counted("a").await), (number(10), 1));
    let Err(SdkError::ServiceError(refused)) = send().await else { panic!("the task exists") };
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = refused.err() else {
        panic!("{refused:?}")
    };
    let found = cancelled.cancellation_reasons()[1].item().expect("the item that exists").clone();
    assert!(documents.read_item(found).unwrap().is_pending());
    assert_eq!(world.counted("a").await, 1);
    documents.run("doc-1", async |_| Ok::<_, Failure>(())).await.unwrap();
    let error = documents.create_request(&Document::new("")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidTaskId { .. }), "{error:?}");
}

/// The success of one task creates another one.
#[database_test]
async fn success_creates_the_next_task(world: World) {
    let documents = world.create_document().await;
    documents
        .run("doc-1", async |task| -> Result<_, Failure> {
            task.on_success(documents.create_request(&Document::new("doc-2"))?)?;
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(world.stored_under("extract____doc-2").await.unwrap()["status"], number(10));
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn create_with_effects_is_reported(world: World) {
    let (send, seen) = std::sync::mpsc::channel();
    let observed = world.builder::<Document>().observer(move |event: &tracker_core::Event<'_>| {
        send.send((event.kind, event.task_id.to_owned())).expect("a receiver");
    });
    let documents = observed.build().unwrap();
    documents.create_with(Document::new("doc-1"), [world.count("a")]).await.unwrap();
    assert_eq!(seen.try_recv().unwrap(), (EventKind::Created, "doc-1".to_owned()));
    let item = documents.to_item(&Document::new("doc-1")).unwrap();
    assert_eq!(world.own_names(item)["key"], text("extract____doc-1"));
}
