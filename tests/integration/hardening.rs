//! What a reader who wanted two holders of one task, a task stuck, or data lost has found.

use std::time::Duration;

use tracker_core::aws_sdk_dynamodb::types::AttributeValue;
use tracker_core::{Clock, ErrorKind, StatusTracker, TrackerStatus};

use crate::support::Fault::{Deny, DropRequest, DropResponse, Throttle};
use crate::support::{Document, ExtractStatus, World, number, text};

crate::tests![
    a_clock_that_is_off_takes_nothing_over,
    a_clock_that_is_off_holds_nothing,
    a_save_answered_after_the_deadline_is_lost,
    a_save_without_an_answer_is_written_again,
    a_save_that_was_dropped_is_written_again,
    data_that_dynamodb_refuses_is_a_failure,
    a_finish_refused_after_a_lost_answer_is_settled,
    a_finish_that_is_refused_says_why,
    a_throttled_finish_is_sent_again,
    throttling_says_why,
    odd_entries_of_the_history_are_kept,
    numbers_that_json_cannot_hold,
    no_size_leaves_a_task_stuck,
    an_execution_dropped_on_another_thread_is_recorded,
    a_release_goes_back_to_the_right_shard,
    a_create_over_an_unreadable_item,
    an_unreadable_item_can_be_deleted,
    a_finish_of_a_deleted_task_is_unknown,
    workers_whose_clocks_differ_within_the_skew,
];

async fn a_clock_that_is_off_takes_nothing_over(world: World) {
    let documents = world.document().await;
    let holder = documents.start("doc-1").await.unwrap();
    let before = world.stored().await;
    // An hour ahead, and not told yet: the lease looks expired.
    world.probe.date(world.clock.now().wall);
    let fast = world.clock.ahead_by(Duration::from_hours(1));
    let fast = world.builder::<Document>().clock(fast.compared_with_service()).build().unwrap();
    let error = fast.start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ClockOff { .. }), "{error}");
    assert_eq!(world.stored().await, before);
    holder.succeed().await.unwrap();
}

async fn a_clock_that_is_off_holds_nothing(world: World) {
    world.document().await;
    // An hour behind: others would see a lease that has long expired.
    world.probe.date(world.clock.now().wall + Duration::from_hours(1));
    let slow = world.builder::<Document>().clock(world.clock.compared_with_service()).build().unwrap();
    let error = slow.start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ClockOff { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!((&item["lock"], &item["status"]), (&text("__not_locked__"), &number(10)));
    assert_eq!(item["retry"], number(0));
}

async fn a_save_answered_after_the_deadline_is_lost(world: World) {
    let documents = world.document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let clock = world.clock.clone();
    world.clock.when_sleeping(async move { clock.advance(Duration::from_secs(301)) });
    assert_eq!(*execution.save().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    execution.release().await.expect("nobody has taken it over");
    assert_eq!(world.stored().await["status"], number(10));
}

async fn a_save_without_an_answer_is_written_again(world: World) {
    let documents = world.document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 7;
    world.network.next("UpdateItem", [DropResponse, DropRequest, DropRequest]);
    assert_eq!(*execution.save().await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored().await["data"].as_m().unwrap()["pages"], number(7));
    execution.data_mut().pages = 0;
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["data"].as_m().unwrap()["pages"], number(0));
}

async fn a_save_that_was_dropped_is_written_again(world: World) {
    let documents = world.document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 7;
    world.network.next("UpdateItem", [DropResponse]);
    let (asleep, wait) = tokio::sync::oneshot::channel();
    world.clock.when_sleeping(async move {
        let _ = asleep.send(());
        std::future::pending::<()>().await;
    });
    tokio::select! {
        _ = execution.save() => panic!("the save sleeps"),
        _ = wait => {}
    }
    execution.data_mut().pages = 0;
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["data"].as_m().unwrap()["pages"], number(0));
}

#[derive(StatusTracker, Clone)]
#[tracker(use_case_id = "extract", status = ExtractStatus)]
struct Measure {
    #[tracker(task_id)]
    id: String,
    value: f64,
    nested: Option<serde_json::Value>,
}

async fn data_that_dynamodb_refuses_is_a_failure(world: World) {
    let measures = world.builder::<Measure>().build().unwrap();
    let new = Measure { id: "doc-1".to_owned(), value: 1.0, nested: None };
    measures.create(new).await.unwrap();
    let mut execution = measures.start("doc-1").await.unwrap();
    execution.data_mut().value = 1e200;
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Encode { attribute: "data.value".to_owned() });
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));

    let mut execution = measures.start("doc-1").await.unwrap();
    let deep = (0..40).fold(serde_json::Value::Null, |value, _| serde_json::json!([value]));
    execution.data_mut().nested = Some(deep);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Service { code: Some("ValidationException".to_owned()) });
    assert!(error.task().unwrap().is_failed());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(2)));
    assert_eq!(item["lock"], text("__not_locked__"));
}

async fn a_finish_refused_after_a_lost_answer_is_settled(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse, Deny]);
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));

    documents.create(Document::new("doc-2")).await.unwrap();
    let execution = documents.start("doc-2").await.unwrap();
    world.network.next("UpdateItem", [DropResponse, Deny]);
    world.network.next("GetItem", [Deny]);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
}

async fn a_finish_that_is_refused_says_why(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [Deny]);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Service { code: Some("AccessDeniedException".to_owned()) });
    assert_eq!(world.stored().await["status"], number(12));
}

async fn a_throttled_finish_is_sent_again(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [Throttle; 5]);
    execution.succeed().await.unwrap();
    assert_eq!(world.network.faults_left(), 0);
    assert_eq!(world.stored().await["status"], number(16));
}

async fn throttling_says_why(world: World) {
    let documents = world.document().await;
    world.network.next("UpdateItem", [Throttle; 3]);
    let error = documents.start("doc-1").await.unwrap_err();
    let reasons = vec!["IndexWriteKeyRangeThroughputExceeded".to_owned()];
    assert_eq!(*error.kind(), ErrorKind::Throttled { reasons });
    assert!(error.to_string().contains("too few shards"), "{error}");
    world.network.next("GetItem", [Throttle]);
    let error = documents.get("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Throttled { .. }), "{error}");
}

async fn odd_entries_of_the_history_are_kept(world: World) {
    let documents = world.document().await;
    documents.start("doc-1").await.unwrap().fail("precious").await.unwrap();
    let mut item = world.stored().await;
    let Some(AttributeValue::M(errors)) = item.get_mut("errors") else { panic!("a map") };
    let Some(AttributeValue::L(history)) = errors.get_mut("history") else { panic!("a list") };
    let Some(AttributeValue::M(entry)) = history.get_mut(0) else { panic!("a map") };
    entry.insert("traceback".to_owned(), AttributeValue::Null(true));
    entry.insert("nth_retry".to_owned(), text("first"));
    history.push(text("not an entry"));
    world.put(item).await;
    documents.start("doc-1").await.unwrap().fail("second").await.unwrap();
    let task = documents.get("doc-1").consistent().await.unwrap().unwrap();
    let errors: Vec<_> = task.errors().iter().map(|entry| entry.error.as_str()).collect();
    assert_eq!((errors[0], errors[2]), ("precious", "second"), "{errors:?}");
    assert!(task.errors()[1].traceback.contains("not an entry"), "{:?}", task.errors()[1]);
}

async fn numbers_that_json_cannot_hold(world: World) {
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
        assert_eq!(*error.kind(), ErrorKind::Encode { attribute: "data.value".to_owned() });
    }
    tracker.create(new(Some(1e200))).await.unwrap();
    let task = tracker.get("doc-1").consistent().await.unwrap().unwrap();
    assert_eq!((task.data().value, task.data().large), (Some(1e200), u128::MAX));
}

async fn no_size_leaves_a_task_stuck(world: World) {
    let documents = world.documents();
    let (mut ended, mut too_large) = (0, 0);
    // Around the largest item there can be, in small steps where it is tight.
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
        let item = world.stored_as(&format!("extract____{id}")).await.unwrap();
        assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)), "{size}");
        assert_eq!(item["lock"], text("__not_locked__"), "{size}");

        // The next holders crash, and are taken over until the task is given up.
        for retry in [1, 2] {
            match documents.start(&id).await {
                Ok(execution) => std::mem::forget(execution),
                // In the last bytes below the limit a start has no room for the lock: it says so, and holds nothing.
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

async fn an_execution_dropped_on_another_thread_is_recorded(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let dropped = std::thread::spawn(move || drop(execution)).join();
    assert!(dropped.is_ok());
    assert_eq!(world.freed().await["status"], number(14));
}

#[derive(TrackerStatus, Clone, Copy)]
enum OtherStatus {
    #[status(pending)]
    Pending = 50,
    #[status(in_progress)]
    InProgress = 52,
    #[status(failed)]
    Failed = 54,
    /// The code of another enum, in which no task of this pipeline ever is.
    #[status(succeeded, shards = 50)]
    Succeeded = 16,
    #[status(ignored)]
    Ignored = 58,
}

#[derive(TrackerStatus, Clone, Copy)]
enum ThirdStatus {
    #[status(pending)]
    Pending = 60,
    #[status(in_progress)]
    InProgress = 62,
    #[status(failed)]
    Failed = 64,
    #[status(succeeded)]
    Succeeded = 66,
    #[status(ignored)]
    Ignored = 68,
}

#[derive(StatusTracker)]
#[tracker(
    use_case_id = "extract",
    status = ThirdStatus,
    table = "documents",
    after = Document,
    more_pending_status = [OtherStatus::Pending]
)]
struct Third {
    #[tracker(task_id)]
    id: String,
}

async fn a_release_goes_back_to_the_right_shard(world: World) {
    let documents = world.document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let before = world.stored().await;
    let third = world.builder::<Third>().build().unwrap();
    third.start("doc-1").await.unwrap().release().await.unwrap();
    let after = world.stored().await;
    assert_eq!((&after["value"], &after["status"]), (&before["value"], &number(16)));
}

async fn a_create_over_an_unreadable_item(world: World) {
    let documents = world.document().await;
    world.set("retry", text("x")).await;
    let before = world.stored().await;
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(world.stored().await, before);
}

async fn an_unreadable_item_can_be_deleted(world: World) {
    let documents = world.document().await;
    world.set("retry", text("x")).await;
    documents.delete("doc-1").await.unwrap();
    assert_eq!(world.stored_as("extract____doc-1").await, None);
}

async fn a_finish_of_a_deleted_task_is_unknown(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let delete = world.client.delete_item().table_name(&world.table).key("key", text("extract____doc-1"));
    delete.send().await.unwrap();
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored_as("extract____doc-1").await, None, "an update creates nothing");
}

async fn workers_whose_clocks_differ_within_the_skew(world: World) {
    let documents = world.document().await;
    let fast = world.clock.ahead_by(Duration::from_secs(5));
    let fast = world.builder::<Document>().clock(fast).owner("fast").build().unwrap();
    // Whichever of the two holds it, the other takes it over only after the holder's own deadline.
    for (holder, other) in [(&documents, &fast), (&fast, &documents)] {
        let mut execution = holder.start("doc-1").await.unwrap();
        world.clock.advance(Duration::from_millis(299_999));
        assert!(!execution.remaining().is_zero());
        let error = other.start("doc-1").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
        world.clock.advance(Duration::from_secs(11));
        assert!(execution.remaining().is_zero());
        assert_eq!(*execution.save().await.unwrap_err().kind(), ErrorKind::LeaseLost);
        let taken = other.start("doc-1").await.unwrap();
        let lost = execution.succeed().await.unwrap_err();
        assert_eq!(*lost.kind(), ErrorKind::LeaseLost);
        taken.release().await.unwrap();
        // Past the time that the fast clock has written.
        world.clock.advance(Duration::from_secs(6));
    }
    assert_eq!(world.stored().await["retry"], number(2));
}
