//! Bodies that put their task off, uncounted.

use std::time::Duration;

use tracker_core::{Backoff, Error, ErrorKind, Failure, FailureExt, StatusTracker, Tracker};

use crate::support::Fault::DropResponse;
use crate::support::{Document, Summary, World, entry, history, number, text, time, wait_of};

crate::tests![
    a_new_task_is_put_off,
    a_failed_task_is_put_off,
    a_second_step_is_put_off,
    an_execution_is_put_off_by_hand,
    an_error_may_put_off,
    too_many_in_a_row_are_failures,
    too_many_in_a_row_end_a_task,
    any_other_end_begins_to_count_anew,
    a_lost_answer_counts_one,
    the_largest_item_fails_instead,
];

const WAIT: Duration = Duration::from_mins(10);

async fn put_off<T: StatusTracker<TaskId = String>>(tracker: &Tracker<T>) -> Error {
    let body = async |_: &mut _| -> Result<(), Failure> { Err(Failure::snooze(WAIT)) };
    tracker.run("doc-1", body).await.unwrap_err()
}

async fn a_new_task_is_put_off(world: World) {
    let documents = world.document().await;
    let before = world.stored().await;
    world.clock.advance(Duration::from_secs(1));
    let error = documents
        .run("doc-1", async |task| -> Result<(), Failure> {
            task.data_mut().pages = 7;
            Err(Failure::snooze(WAIT))
        })
        .await
        .unwrap_err();
    let ErrorKind::Snoozed { until } = *error.kind() else { panic!("{error}") };
    assert!(!error.is_refusal());
    let item = world.stored().await;
    for same in ["status", "value", "retry", "errors", "data", "lock"] {
        assert_eq!(item[same], before[same], "{same}");
    }
    assert_eq!((&item["run_at"], &item["snoozes"]), (&time(until), &number(1)));
    assert_eq!((wait_of(&item), &item["attempt"]), (Some(WAIT), &number(1)));
    let task = error.task().unwrap();
    assert_eq!((task.is_pending(), task.snoozes(), task.run_at()), (true, 1, Some(until)));

    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotDue { run_at: until });
    assert!(documents.query_for_unfinished().all().await.unwrap().is_empty());
    world.due().await;
    put_off(&documents).await;
    let item = world.stored().await;
    assert_eq!((&item["snoozes"], &item["attempt"], wait_of(&item)), (&number(2), &number(2), Some(WAIT)));
    world.due().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("run_at"), item.get("snoozes")), (&number(16), None, None));
}

async fn a_failed_task_is_put_off(world: World) {
    let documents = world.document().await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    let error = put_off(&documents).await;
    assert!(matches!(error.kind(), ErrorKind::Snoozed { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["value"]), (&number(14), &text("extract____014____001")));
    assert_eq!((&item["retry"], history(&item).len()), (&number(1), 1));
    assert_eq!((&item["snoozes"], wait_of(&item)), (&number(1), Some(WAIT)));
    assert_eq!(item["lock"], text("__not_locked__"));
    assert!(error.task().unwrap().is_failed());
}

async fn a_second_step_is_put_off(world: World) {
    let documents = world.document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let before = world.stored().await;
    let summaries = world.summaries();
    let error = put_off(&summaries).await;
    assert!(matches!(error.kind(), ErrorKind::Snoozed { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["value"]), (&number(16), &before["value"]));
    assert_eq!((&item["retry"], history(&item).len()), (&number(0), 0));
    assert_eq!((&item["snoozes"], wait_of(&item)), (&number(1), Some(WAIT)));
    let error = summaries.start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotDue { .. }), "{error}");
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadySucceeded, "which it still has");
}

async fn an_execution_is_put_off_by_hand(world: World) {
    let documents = world.document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 5;
    execution.save().await.unwrap();
    execution.data_mut().pages = 6;
    let task = execution.fail(Failure::snooze(WAIT)).await.unwrap();
    assert_eq!((task.is_pending(), task.data().pages, task.head().snoozes()), (true, 5, 1));
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["data"].as_m().unwrap()["pages"]), (&number(10), &number(5)));
    assert_eq!(item["run_at"], time(task.head().run_at().unwrap()));
}

async fn an_error_may_put_off(world: World) {
    let documents = world.document().await;
    let body = async |_: &mut _| "x".parse::<u32>().or_snooze(WAIT);
    let error = documents.run("doc-1", body).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Snoozed { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!((&item["status"], history(&item).len(), wait_of(&item)), (&number(10), 0, Some(WAIT)));
}

async fn too_many_in_a_row_are_failures(world: World) {
    world.document().await;
    let backoff = Backoff::Exponential { base: Duration::from_secs(1), max: Duration::from_secs(1) };
    let builder = world.builder::<Document>().max_snoozes(2).backoff(backoff);
    let documents = builder.build().unwrap();
    for nth in [1, 2] {
        put_off(&documents).await;
        assert_eq!(world.stored().await["snoozes"], number(nth));
        world.due().await;
    }
    let error = put_off(&documents).await;
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: false });
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
    assert_eq!((item.get("snoozes"), wait_of(&item)), (None, Some(WAIT)));
    assert_eq!(entry(&item, 0, "error"), "put off for 600s, after 2 times in a row");
    world.due().await;
    // They begin anew, and go back to where that left the task.
    let error = put_off(&documents).await;
    assert!(matches!(error.kind(), ErrorKind::Snoozed { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"], &item["snoozes"]), (&number(14), &number(1), &number(1)));
}

async fn too_many_in_a_row_end_a_task(world: World) {
    world.document().await;
    let documents = world.builder::<Document>().max_snoozes(1).max_retry(1).build().unwrap();
    put_off(&documents).await;
    world.due().await;
    let error = put_off(&documents).await;
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: true });
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(18), &number(1)));
    assert_eq!((item.get("run_at"), item.get("snoozes")), (None, None));
    assert!(entry(&item, 0, "error").contains("after 1 times in a row"));
}

async fn any_other_end_begins_to_count_anew(world: World) {
    world.document().await;
    let documents = world.builder::<Document>().max_snoozes(1).build().unwrap();
    let summaries = world.builder::<Summary>().max_snoozes(1).build().unwrap();
    put_off(&documents).await;
    world.due().await;
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    assert_eq!(world.stored().await.get("snoozes"), None);
    put_off(&documents).await;
    assert_eq!(world.stored().await["snoozes"], number(1));
    world.due().await;
    // A release is none of either.
    documents.start("doc-1").await.unwrap().release().await.unwrap();
    assert_eq!(world.stored().await["snoozes"], number(1));
    // A holder that is lost has not put the task off.
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    let execution = documents.start("doc-1").await.unwrap();
    assert_eq!(execution.head().snoozes(), 0);
    assert_eq!(world.stored().await.get("snoozes"), None);
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await.get("snoozes"), None);
    let error = put_off(&summaries).await;
    assert!(matches!(error.kind(), ErrorKind::Snoozed { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["snoozes"]), (&number(16), &number(1)));
}

async fn a_lost_answer_counts_one(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let task = execution.fail(Failure::snooze(WAIT)).await.unwrap();
    assert_eq!((world.network.count("UpdateItem"), task.head().snoozes()), (3, 1));
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["snoozes"], wait_of(&item)), (&number(10), &number(1), Some(WAIT)));
    assert_eq!(item["run_at"], time(task.head().run_at().unwrap()));
}

async fn the_largest_item_fails_instead(world: World) {
    let documents = world.document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    // Up to the last byte.
    let largest = async |size: usize, execution: &mut tracker_core::Execution<Document>| {
        execution.data_mut().text_uri = Some("x".repeat(size));
        execution.save().await.is_ok()
    };
    let mut size = 409_400;
    while !largest(size, &mut execution).await {
        size -= 1;
    }
    let task = execution.fail(Failure::snooze(WAIT)).await.unwrap();
    // There is no room to count it, and what is not counted has no end: so it is a failed attempt.
    assert!(task.is_failed());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["lock"]), (&number(14), &text("__not_locked__")));
    assert_eq!((&item["retry"], item.get("snoozes")), (&number(1), None));
}
