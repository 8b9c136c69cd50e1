//! Items that others hand over, such as the images of a stream, and the transitions between them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::event::dynamodb::Event as LambdaEvent;
use tracker_core::aws_sdk_dynamodb::types::AttributeValue;
use tracker_core::{Advice, ErrorKind, Event, Failure, StatusTracker, Task, TaskHead, Transition};
use tracker_test_macros::database_test;

use crate::support::{Document, ExtractStatus, Item, Summary, World, counter_item, number, text};

/// The names of what happened to `doc-1`, by the images of the stream.
async fn transitions<T: StatusTracker>(world: &World) -> Vec<&'static str> {
    let head = |image: Option<_>| image.map(|image| TaskHead::from_item::<T>(image).unwrap());
    let images = world.stream_images().await;
    let between = images.into_iter().map(|(old, new)| {
        let (old, new) = (head(old), head(new));
        Transition::between(old.as_ref(), new.as_ref()).map_or("none", Transition::name)
    });
    between.collect()
}

/// What the stream tells is what the observer is told, for every transition that both know.
#[database_test(own_layout)]
async fn stream_tells_what_the_observer_is_told(world: World) {
    world.enable_stream().await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let (send, step) = (Arc::clone(&told), Duration::from_secs(1));
    let documents = world
        .builder::<Document>()
        .max_retry(2)
        .observer(move |event: &Event<'_>| send.lock().unwrap().push(event.kind.name()))
        .build()
        .unwrap();
    let clock = world.clock.clone();
    let start = async || {
        clock.advance(step);
        documents.start("doc-1").await.unwrap()
    };
    documents.create_at(Document::new("doc-1"), world.in_one_hour()).await.unwrap();
    documents.run_now("doc-1").await.unwrap();
    start().await.release().await.unwrap();
    start().await.fail(Failure::snooze(Duration::ZERO)).await.unwrap();
    let mut saved = start().await;
    clock.advance(step);
    saved.save().await.unwrap();
    saved.fail("once").await.unwrap();
    let expired = start().await;
    std::mem::forget(expired);
    world.expire_lease();
    // The lease was that of the last attempt.
    documents.start("doc-1").await.unwrap_err();
    documents.redrive("doc-1").await.unwrap();
    std::mem::forget(start().await);
    world.expire_lease();
    let running = documents.start("doc-1").await.unwrap();
    documents.cancel("doc-1").await.unwrap();
    drop(running);
    world.wait_until_unlocked().await;
    documents.redrive("doc-1").await.unwrap();
    documents.cancel("doc-1").await.unwrap();
    documents.redrive("doc-1").await.unwrap();
    std::mem::forget(start().await);
    world.expire_lease();
    documents.release_expired("doc-1").await.unwrap();
    clock.advance(step);
    start().await.succeed().await.unwrap();
    documents.delete("doc-1").await.unwrap();
    // The operations without an event, and the save; a refused start has no transition.
    let of_stream = transitions::<Document>(&world).await;
    let without_event = ["made_due", "heartbeat", "deleted"];
    let both: Vec<_> = of_stream.iter().filter(|name| !without_event.contains(name)).copied().collect();
    let mut told = told.lock().unwrap().clone();
    told.retain(|name| *name != "refused");
    assert_eq!(both, told);
    for name in
        ["created", "started", "released", "snoozed", "failed", "taken_over", "redriven", "cancel_requested"]
            .into_iter()
            .chain(["ignored", "succeeded"])
            .chain(without_event)
    {
        assert!(of_stream.contains(&name), "{name} in {of_stream:?}");
    }
}

/// Each step tells its own transitions.
#[database_test(own_layout)]
async fn transitions_are_those_of_a_step(world: World) {
    world.enable_stream().await;
    let documents = world.create_document().await;
    documents.run("doc-1", async |_| Ok::<_, Failure>(())).await.unwrap();
    let summaries = world.summaries();
    let start = async || {
        world.clock.advance(Duration::from_secs(1));
        summaries.start("doc-1").await.unwrap()
    };
    start().await.release().await.unwrap();
    start().await.fail(Failure::snooze(Duration::from_hours(1))).await.unwrap();
    summaries.run_now("doc-1").await.unwrap();
    let mut saved = start().await;
    world.clock.advance(Duration::from_secs(1));
    saved.save().await.unwrap();
    summaries.cancel("doc-1").await.unwrap();
    saved.succeed().await.unwrap();
    let of_document = transitions::<Document>(&world).await;
    assert_eq!(of_document[..3], ["created", "started", "succeeded"]);
    assert!(of_document[3..].iter().all(|name| *name == "none"), "{of_document:?}");
    let of_summary = transitions::<Summary>(&world).await;
    assert_eq!(of_summary[..3], ["created", "none", "none"]);
    assert_eq!(
        of_summary[3..],
        [
            "started",
            "released",
            "started",
            "snoozed",
            "made_due",
            "started",
            "heartbeat",
            "cancel_requested",
            "succeeded"
        ]
    );
}

#[database_test(own_layout)]
async fn item_is_read_as_it_is_stored(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 3;
    execution.succeed().await.unwrap();
    let item = world.stored().await;
    let task = Task::<Document>::from_item(item.clone()).unwrap();
    assert_eq!((task.data().pages, task.status()), (3, Some(ExtractStatus::Succeeded)));
    assert_eq!(Document::from_item(item.clone()).unwrap(), *task.data());
    assert_eq!(TaskHead::from_item::<Document>(item).unwrap().attempt(), 1);

    // What another program has put by `to_item` is a task as any other.
    let new = Document { pages: 7, customer: Some("c".to_owned()), ..Document::new("doc-2") };
    let item = documents.to_item(&new).unwrap();
    assert_eq!(Document::from_item(item.clone()).unwrap(), new);
    world.put_item(item).await;
    let pages = documents.run("doc-2", async |task| Ok::<_, Failure>(task.data().pages)).await.unwrap();
    assert_eq!(pages, 7);
}

#[database_test(own_layout)]
async fn item_that_is_no_task_is_told_from_one_that_cannot_be_read(world: World) {
    world.create_document().await;
    let item = world.stored().await;
    let changed = |name: &str, value: AttributeValue| {
        let mut item = item.clone();
        item.insert(name.to_owned(), value);
        item
    };
    let not_a_task = |item: Item, why: &str| {
        let error = Task::<Document>::from_item(item).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotATask { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{why} in {error}");
        assert_eq!(error.advice(), Advice::Done);
    };
    not_a_task(Item::new(), "its `key` is not the primary key of a task");
    not_a_task(changed("key", number(1)), "its `key` is not the primary key of a task");
    not_a_task(changed("key", text("summarise____doc-1")), "does not begin with \"extract____\"");
    not_a_task(counter_item("a", 1), "does not begin with");
    let description =
        world.stored_under("__tracker______extract").await.expect("the description of the use case");
    not_a_task(description, "does not begin with");

    for (name, value) in [("status", text("10")), ("lock_time", text("yesterday")), ("attempt", text("1"))] {
        let error = TaskHead::from_item::<Document>(changed(name, value)).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Decode { attribute: world.name(name) });
        assert_eq!((error.key(), error.advice()), (Some("extract____doc-1"), Advice::Fix));
    }
    let mut without_pages = item.clone();
    without_pages.insert("data".to_owned(), AttributeValue::M([].into()));
    let error = Task::<Document>::from_item(without_pages).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { attribute: world.name("data.pages") });
    assert!(error.task().is_some_and(TaskHead::is_pending), "the metadata can be read");
}

/// The sample of docs/item-format.md is a task, and so is what its Step Functions state puts.
#[database_test]
async fn items_of_the_page_are_tasks(world: World) {
    let page = include_str!("../../../docs/item-format.md");
    let blocks: Vec<_> = page.split("```json").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let item = |json: &str| -> Item {
        let image: serde_dynamo::Item = serde_json::from_str(json).unwrap();
        image.into()
    };
    let sample = Task::<Document>::from_item(item(blocks[0])).unwrap();
    assert_eq!((sample.status(), sample.data().pages), (Some(ExtractStatus::Failed), 12));
    assert_eq!((sample.errors()[0].error.as_str(), sample.shard_id()), ("the file is not UTF-8", Some(1)));

    let state: serde_json::Value = serde_json::from_str(blocks[1]).unwrap();
    let now = "2026-11-24T02:17:25.355394+0000";
    let put = state["Parameters"]["Item"].to_string();
    let put = put.replace("\"S.$\":\"$.now\"", &format!("\"S\":\"{now}\""));
    let put = put.replace("\"S.$\":\"States.Format('extract____{}', $.id)\"", "\"S\":\"extract____doc-1\"");
    // The input has a number, and the format a text.
    let put = put.replace("\"N.$\":\"States.Format('{}', $.pages)\"", "\"N\":\"12\"");
    world.put_item(item(&put)).await;
    let pages = world.documents().run("doc-1", async |task| Ok::<_, Failure>(task.data().pages)).await;
    assert_eq!(pages.unwrap(), 12);
    assert_eq!(world.stored().await["status"], number(16));
}

/// A record as a Lambda function receives it.
#[database_test(own_layout)]
async fn record_of_a_lambda_function_is_read(world: World) {
    world.create_document().await;
    let image = |attempt: u32, status: u32, lock: &str| {
        serde_json::json!({
            "key": {"S": "extract____doc-1"}, "value": {"S": "extract____012____001"},
            "status": {"N": status.to_string()}, "retry": {"N": "0"}, "attempt": {"N": attempt.to_string()},
            "lock": {"S": lock}, "lock_time": {"S": "2026-11-24T02:17:26.355394+0000"},
            "create_time": {"S": "2026-11-24T02:17:25.355394+0000"},
            "update_time": {"S": "2026-11-24T02:17:26.355394+0000"},
            "data": {"M": {"pages": {"N": "3"}, "text_uri": {"NULL": true}}},
            "errors": {"M": {"history": {"L": []}}},
        })
    };
    let event = serde_json::json!({"Records": [{
        "eventID": "1", "eventName": "MODIFY", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1", "eventSourceARN": "arn:aws:dynamodb:eu-west-1:1:table/documents/stream/1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_700_000_000.0, "SequenceNumber": "1", "SizeBytes": 300,
            "StreamViewType": "NEW_AND_OLD_IMAGES", "Keys": {"key": {"S": "extract____doc-1"}},
            "OldImage": image(0, 10, "__not_locked__"),
            "NewImage": image(1, 12, "0123456789abcdef0123456789abcdef"),
        },
    }]});
    let mut event: LambdaEvent = serde_json::from_value(event).unwrap();
    let change = event.records.remove(0).change;
    let old = TaskHead::from_item::<Document>(change.old_image).unwrap();
    // Without the feature `lambda`, the image converts into a plain map.
    let plain: Item = change.new_image.clone().into();
    assert_eq!(Document::from_item(plain).unwrap().pages, 3);
    let new = Task::<Document>::from_item(change.new_image).unwrap();
    assert_eq!((new.data().pages, new.status()), (3, Some(ExtractStatus::InProgress)));
    assert_eq!(Transition::between(Some(&old), Some(new.head())), Some(Transition::Started));
}
