//! Items that Python's `pynamodb_mate` wrote, and items in the form that it reads.

use std::collections::HashMap;

use serde::Deserialize;
use tracker_core::aws_sdk_dynamodb::types::AttributeValue;
use tracker_core::{Clock, ErrorKind, StatusTracker, Tracker};
use tracker_test_macros::database_test;

use crate::support::{ExtractStatus, Item, SummaryStatus, World, number, text, time};

#[derive(StatusTracker, Debug, Clone, PartialEq, Default)]
#[tracker(use_case_id = "golden", status = ExtractStatus, table = "golden-items", wire = "pynamodb")]
struct Golden {
    #[tracker(task_id)]
    id: String,
    v: Option<u32>,
    pages: Option<u32>,
    uri: Option<String>,
    nested: Option<serde_json::Value>,
    x: Option<f64>,
}

#[derive(StatusTracker, Debug, Clone, PartialEq, Default)]
#[tracker(use_case_id = "golden", status = SummaryStatus, table = "golden-items", wire = "pynamodb", after = Golden)]
struct GoldenSummary {
    #[tracker(task_id)]
    id: String,
    v: Option<u32>,
}

/// The items of the file, by name.
fn golden() -> HashMap<String, Item> {
    #[derive(Deserialize)]
    struct File {
        items: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        name: String,
        item: HashMap<String, HashMap<String, serde_json::Value>>,
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/pynamodb_items.json");
    let file = std::fs::read(path).expect("the golden items");
    let file: File = serde_json::from_slice(&file).expect("JSON");
    let value = |value: &HashMap<String, serde_json::Value>| {
        let (of_type, value) = value.iter().next().expect("a type");
        match (of_type.as_str(), value) {
            ("S", serde_json::Value::String(value)) => AttributeValue::S(value.clone()),
            ("N", serde_json::Value::String(value)) => AttributeValue::N(value.clone()),
            ("NULL", _) => AttributeValue::Null(true),
            other => panic!("{other:?}"),
        }
    };
    let items = file.items.into_iter().map(|entry| {
        let item = entry.item.iter().map(|(name, attribute)| (name.clone(), value(attribute)));
        (entry.name, item.collect())
    });
    items.collect()
}

/// Puts one golden item; returns a tracker for it, and its id.
async fn put_golden_item(world: &World, named: &str) -> (Tracker<Golden>, String) {
    let items = golden();
    let (_, item) = items.iter().find(|(name, _)| name.starts_with(named)).expect(named);
    world.put_item(item.clone()).await;
    let id = item["key"].as_s().unwrap().strip_prefix("golden____").unwrap().to_owned();
    (world.builder().build().unwrap(), id)
}

#[database_test(own_layout)]
async fn golden_items_read_as_their_notes_say(world: World) {
    use ExtractStatus::{Failed, Ignored, InProgress, Pending, Succeeded};

    assert_eq!(golden().len(), 12);
    let check = async |named: &str, status: ExtractStatus, retry: u32, errors: &[&str], data: Golden| {
        let (tracker, id) = put_golden_item(&world, named).await;
        let task = tracker.get(&id).consistent().await.unwrap().unwrap();
        assert_eq!(task.status(), Some(status), "{named}");
        assert_eq!((task.failed_attempts(), task.attempt()), (retry, 0), "{named}");
        assert_eq!(task.errors().iter().map(|entry| &entry.error).collect::<Vec<_>>(), errors, "{named}");
        assert_eq!(*task.data(), Golden { id, ..data }, "{named}");
        task
    };
    let v = |v| Golden { v: Some(v), ..Golden::default() };
    let task = check("pending, no data", Pending, 0, &[], Golden::default()).await;
    assert_eq!(task.shard_id(), Some(3), "Python picks the shard at random");
    assert_eq!(task.head().lock_time().timestamp(), 0);
    let nested = serde_json::json!({"a": [1, 2.5, null, true, "é漢😀"]});
    let data = Golden {
        pages: Some(12),
        uri: Some("s3://b/k".to_owned()),
        nested: Some(nested),
        ..Golden::default()
    };
    check("pending, nested", Pending, 0, &[], data).await;
    let task = check("task id that contains", Pending, 0, &[], Golden::default()).await;
    assert_eq!(task.task_id(), "id____with____sep");
    assert_eq!(task.use_case_id(), "golden");
    let task = check("in progress, locked", InProgress, 0, &[], v(1)).await;
    assert!(task.is_locked() && task.owner().is_none());
    let task = check("failed once; data", Failed, 1, &["ValueError('boom')"], v(1)).await;
    assert!(task.errors()[0].traceback.ends_with("ValueError: boom\n"));
    assert!(task.errors()[0].time().is_some());
    check("failed once after an explicit", Failed, 1, &["ValueError('boom')"], v(2)).await;
    let task = check("failed three times", Ignored, 3, &["KeyError('k')"; 3], v(1)).await;
    assert_eq!(task.errors()[2].nth_retry, 3);
    check("succeeded", Succeeded, 0, &[], v(2)).await;
    check("data and errors set to None", Pending, 0, &[], Golden::default()).await;

    for (named, status, retry, data) in [
        ("second step (codes", SummaryStatus::Failed, 1, 2),
        ("second step succeeded", SummaryStatus::Succeeded, 0, 3),
    ] {
        let (_, id) = put_golden_item(&world, named).await;
        let tracker = world.builder::<GoldenSummary>().build().unwrap();
        let task = tracker.get(&id).consistent().await.unwrap().unwrap();
        assert_eq!((task.status(), task.failed_attempts()), (Some(status), retry));
        assert_eq!(task.errors()[0].error, "RuntimeError('second step')");
        assert_eq!(task.data().v, Some(data));
    }
}

#[database_test(own_layout)]
async fn run_and_takeover_work_on_golden_items(world: World) {
    let (tracker, id) = put_golden_item(&world, "pending, nested").await;
    tracker
        .run(&id, async |task| {
            task.data_mut().v = Some(7);
            Ok(())
        })
        .await
        .unwrap();
    let item = world.stored_under("golden____pending-data").await.unwrap();
    assert_eq!(item["status"], number(16));
    let data: serde_json::Value = serde_json::from_str(item["data"].as_s().unwrap()).unwrap();
    let nested = serde_json::json!({"a": [1, 2.5, null, true, "é漢😀"]});
    assert_eq!(data, serde_json::json!({"pages": 12, "uri": "s3://b/k", "nested": nested, "v": 7}));

    // The lock of a Python worker is honoured, and the task is taken over after the lock has expired.
    let (tracker, id) = put_golden_item(&world, "in progress, locked").await;
    let error = tracker.start(&id).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { owner: None, .. }), "{error}");
    // The golden item was locked twelve minutes after the time of the clock.
    world.clock.advance(std::time::Duration::from_hours(1));
    tracker.start(&id).await.unwrap().fail("no").await.unwrap();
    let item = world.stored_under("golden____running").await.unwrap();
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(2)));
    let errors: serde_json::Value = serde_json::from_str(item["errors"].as_s().unwrap()).unwrap();
    assert_eq!(errors["history"][0]["nth_retry"], 1);
    assert_eq!(errors["history"][1]["error"], "no");

    let (_, id) = put_golden_item(&world, "data and errors set to None").await;
    tracker.start(&id).await.unwrap().fail("no").await.unwrap();
    let item = world.stored_under("golden____null-data").await.unwrap();
    let errors: serde_json::Value = serde_json::from_str(item["errors"].as_s().unwrap()).unwrap();
    assert_eq!(errors["history"][0]["error"], "no");
}

/// Declares no member of `data`.
#[derive(StatusTracker)]
#[tracker(use_case_id = "golden", status = ExtractStatus)]
struct Blind {
    #[tracker(task_id)]
    id: String,
    #[tracker(attribute)]
    note: Option<String>,
}

#[database_test(own_layout)]
async fn data_that_cannot_be_decoded_is_not_destroyed(world: World) {
    let (tracker, id) = put_golden_item(&world, "data with NaN").await;
    let key = format!("golden____{id}");
    let before = world.stored_under(&key).await.unwrap();
    world.clock.advance(std::time::Duration::from_hours(1));

    let head = tracker.head(&id).consistent().await.unwrap().unwrap();
    assert_eq!(head.status_in::<ExtractStatus>(), Some(ExtractStatus::Pending));
    let error = tracker.get(&id).consistent().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { attribute: world.name("data.x") });
    assert_eq!(error.key(), Some(key.as_str()));
    assert!(error.task().unwrap().is_pending());

    // A start releases the task, without a failed attempt.
    let error = tracker.start(&id).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Decode { .. }), "{error}");
    assert!(error.task().unwrap().is_pending());
    let after = world.stored_under(&key).await.unwrap();
    assert_eq!((&after["status"], &after["retry"]), (&number(10), &number(0)));
    assert_eq!(after["lock"], text("__not_locked__"));
    assert_eq!(after["data"], before["data"]);

    // A worker whose struct declares no member of `data` can finish the task, and leaves the data as it is.
    let blind = world.builder::<Blind>().build().unwrap();
    blind
        .run(&id, async |task| {
            task.data_mut().note = Some("seen".to_owned());
            Ok(())
        })
        .await
        .unwrap();
    let after = world.stored_under(&key).await.unwrap();
    assert_eq!((&after["status"], &after["note"]), (&number(16), &text("seen")));
    assert_eq!(after["data"], before["data"]);
}

#[database_test(own_layout)]
async fn bare_nan_blocks_only_its_own_member(world: World) {
    let (_, id) = put_golden_item(&world, "data with NaN").await;
    let summary = world.builder::<GoldenSummary>().build().unwrap();
    let mut item = world.stored_under(&format!("golden____{id}")).await.unwrap();
    item.insert("status".to_owned(), number(16));
    world.put_item(item).await;
    let mut task = summary.start(&id).await.unwrap();
    task.data_mut().v = Some(2);
    task.succeed().await.unwrap();
    let item = world.stored_under(&format!("golden____{id}")).await.unwrap();
    assert_eq!(item["data"], text(r#"{"big":1180591620717411303424,"v":2,"x":NaN}"#));
}

#[database_test(own_layout)]
async fn finish_is_unknown_when_python_put_an_old_item_back(world: World) {
    let (tracker, id) = put_golden_item(&world, "pending, no data").await;
    let key = format!("golden____{id}");
    let old = world.stored_under(&key).await.unwrap();
    world.clock.advance(std::time::Duration::from_hours(1));
    let task = tracker.start(&id).await.unwrap();
    // A Python `save` puts back the item that Python has read before.
    world.put_item(old.clone()).await;
    let error = task.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    assert_eq!(world.stored_under(&key).await.unwrap(), old);
}

#[database_test(own_layout)]
async fn finish_is_unknown_when_others_have_changed_an_old_item_put_back(world: World) {
    let (tracker, id) = put_golden_item(&world, "pending, no data").await;
    let key = format!("golden____{id}");
    tracker.start(&id).await.unwrap().release().await.unwrap();
    let mut old = world.stored_under(&key).await.unwrap();
    for name in ["attempt", "last_lock", "started_from", "owner"] {
        old.remove(name);
    }
    // Another Rust worker holds the task, as its first attempt.
    let task = tracker.start(&id).await.unwrap();
    world.put_item(old.clone()).await;
    let other = tracker.start(&id).await.unwrap();
    let held = world.stored_under(&key).await.unwrap();
    let error = task.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    assert_eq!(world.stored_under(&key).await.unwrap(), held);
    other.release().await.unwrap();
    // Python has started and finished the task, and counts no attempts.
    let task = tracker.start(&id).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(1));
    let mut finished = old.clone();
    finished.insert("status".to_owned(), number(14));
    finished.insert("update_time".to_owned(), time(world.clock.now().wall));
    world.put_item(finished.clone()).await;
    let error = task.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    assert_eq!(world.stored_under(&key).await.unwrap(), finished);
}

/// Like [`Golden`], but without `wire = "pynamodb"`.
#[derive(StatusTracker, Default)]
#[tracker(use_case_id = "golden", status = ExtractStatus)]
struct Native {
    #[tracker(task_id)]
    id: String,
    v: Option<u32>,
    uri: Option<String>,
}

#[database_test(own_layout)]
async fn python_tracker_turns_a_native_item_into_text(world: World) {
    let native = world.builder::<Native>().build().unwrap();
    let uri = Some("é".to_owned());
    native.create(Native { id: "a".to_owned(), v: Some(1), uri }).await.unwrap();
    let tracker: Tracker<Golden> = world.builder().build().unwrap();
    let mut task = tracker.start("a").await.unwrap();
    task.data_mut().v = Some(2);
    task.save().await.unwrap();
    task.fail("no").await.unwrap();
    let item = world.stored_under("golden____a").await.unwrap();
    assert_eq!(item["data"], text(r#"{"uri":"é","v":2}"#));
    assert!(item["errors"].as_s().unwrap().contains(r#""error":"no""#));
    // A worker without `wire = "pynamodb"` keeps the text.
    let mut task = native.start("a").await.unwrap();
    task.data_mut().v = Some(3);
    task.succeed().await.unwrap();
    assert_eq!(world.stored_under("golden____a").await.unwrap()["data"], text(r#"{"uri":"é","v":3}"#));
}

#[database_test(own_layout)]
async fn create_writes_the_types_that_python_writes(world: World) {
    let tracker: Tracker<Golden> = world.builder().build().unwrap();
    tracker.create(Golden { id: "new".to_owned(), v: Some(1), ..Golden::default() }).await.unwrap();
    let item = world.stored_under("golden____new").await.unwrap();
    let python = &golden()["pending, no data given"];
    for (name, attribute) in python {
        assert_eq!(
            std::mem::discriminant(attribute),
            std::mem::discriminant(&item[name]),
            "the type of `{name}`"
        );
    }
    assert_eq!(item["errors"], text(r#"{"history":[]}"#));
    let data: serde_json::Value = serde_json::from_str(item["data"].as_s().unwrap()).unwrap();
    assert_eq!(data["v"], 1);
    let shard = tracker.shard_id(ExtractStatus::Pending, "new").unwrap();
    assert_eq!(item["value"], text(&tracker.make_value(ExtractStatus::Pending, shard).unwrap()));
}

#[database_test(own_layout)]
async fn python_tracker_refuses_nan_and_keeps_large_numbers(world: World) {
    #[derive(StatusTracker)]
    #[tracker(use_case_id = "extract", status = ExtractStatus, wire = "pynamodb")]
    struct OnTheWire {
        #[tracker(task_id)]
        id: String,
        value: Option<f64>,
        large: u128,
    }
    let tracker = world.builder::<OnTheWire>().build().unwrap();
    let new = |value| OnTheWire { id: "doc-1".to_owned(), value, large: u128::MAX };
    for value in [f64::NAN, f64::INFINITY] {
        let error = tracker.create(new(Some(value))).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Encode { attribute: world.name("data.value") });
    }
    tracker.create(new(Some(1e200))).await.unwrap();
    let task = tracker.get("doc-1").consistent().await.unwrap().unwrap();
    assert_eq!((task.data().value, task.data().large), (Some(1e200), u128::MAX));
}
