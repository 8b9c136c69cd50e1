//! Snoozed tasks: they wait, and no failed attempt is counted.

use std::time::Duration;

use tracker_core::{Backoff, Error, ErrorKind, Failure, FailureExt, StatusTracker, Tracker};
use tracker_test_macros::database_test;

use crate::support::Fault::DropResponse;
use crate::support::{Document, Summary, World, entry, history, number, stored_wait, text, time};

const WAIT: Duration = Duration::from_mins(10);

async fn run_that_snoozes<T: StatusTracker<TaskId = String>>(tracker: &Tracker<T>) -> Error {
    let body = async |_: &mut _| -> Result<(), Failure> { Err(Failure::snooze(WAIT)) };
    tracker.run("doc-1", body).await.unwrap_err()
}

#[database_test(reads_at_once)]
async fn snooze_returns_a_new_task_to_pending(world: World) {
    let documents = world.create_document().await;
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
    assert_eq!((stored_wait(&item), &item["attempt"]), (Some(WAIT), &number(1)));
    let task = error.task().unwrap();
    assert_eq!((task.is_pending(), task.snoozes(), task.run_at()), (true, 1, Some(until)));

    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotDue { run_at: until });
    assert!(documents.query_for_unfinished().all().await.unwrap().is_empty());
    world.advance_until_due().await;
    run_that_snoozes(&documents).await;
    let item = world.stored().await;
    assert_eq!(
        (&item["snoozes"], &item["attempt"], stored_wait(&item)),
        (&number(2), &number(2), Some(WAIT))
    );
    world.advance_until_due().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("run_at"), item.get("snoozes")), (&number(16), None, None));
}

#[database_test]
async fn snooze_returns_a_failed_task_to_failed(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    let error = run_that_snoozes(&documents).await;
    assert!(matches!(error.kind(), ErrorKind::Snoozed { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["value"]), (&number(14), &text("extract____014____001")));
    assert_eq!((&item["retry"], history(&item).len()), (&number(1), 1));
    assert_eq!((&item["snoozes"], stored_wait(&item)), (&number(1), Some(WAIT)));
    assert_eq!(item["lock"], text("__not_locked__"));
    assert!(error.task().unwrap().is_failed());
}

#[database_test]
async fn snooze_returns_a_second_step_to_the_first_steps_status(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let before = world.stored().await;
    let summaries = world.summaries();
    let error = run_that_snoozes(&summaries).await;
    assert!(matches!(error.kind(), ErrorKind::Snoozed { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["value"]), (&number(16), &before["value"]));
    assert_eq!((&item["retry"], history(&item).len()), (&number(0), 0));
    assert_eq!((&item["snoozes"], stored_wait(&item)), (&number(1), Some(WAIT)));
    let error = summaries.start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotDue { .. }), "{error}");
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadySucceeded, "the task is still succeeded for the first step");
}

#[database_test]
async fn execution_can_be_snoozed(world: World) {
    let documents = world.create_document().await;
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

#[database_test]
async fn or_snooze_turns_an_error_into_a_snooze(world: World) {
    let documents = world.create_document().await;
    let body = async |_: &mut _| "x".parse::<u32>().or_snooze(WAIT);
    let error = documents.run("doc-1", body).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Snoozed { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!((&item["status"], history(&item).len(), stored_wait(&item)), (&number(10), 0, Some(WAIT)));
}

#[database_test]
async fn snooze_counts_as_a_failure_after_max_snoozes(world: World) {
    world.create_document().await;
    let backoff = Backoff::Exponential { base: Duration::from_secs(1), max: Duration::from_secs(1) };
    let builder = world.builder::<Document>().max_snoozes(2).backoff(backoff);
    let documents = builder.build().unwrap();
    for nth in [1, 2] {
        run_that_snoozes(&documents).await;
        assert_eq!(world.stored().await["snoozes"], number(nth));
        world.advance_until_due().await;
    }
    let error = run_that_snoozes(&documents).await;
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: false });
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
    assert_eq!((item.get("snoozes"), stored_wait(&item)), (None, Some(WAIT)));
    assert_eq!(
        entry(&item, 0, "error"),
        "snoozed for 600s, which counts as a failed attempt (snoozes in a row: 2)"
    );
    world.advance_until_due().await;
    // The count begins again, and a snooze now returns the task to `Failed`.
    let error = run_that_snoozes(&documents).await;
    assert!(matches!(error.kind(), ErrorKind::Snoozed { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"], &item["snoozes"]), (&number(14), &number(1), &number(1)));
}

#[database_test]
async fn snooze_after_max_snoozes_and_max_retry_ignores_the_task(world: World) {
    world.create_document().await;
    let documents = world.builder::<Document>().max_snoozes(1).max_retry(1).build().unwrap();
    run_that_snoozes(&documents).await;
    world.advance_until_due().await;
    let error = run_that_snoozes(&documents).await;
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: true });
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(18), &number(1)));
    assert_eq!((item.get("run_at"), item.get("snoozes")), (None, None));
    assert!(entry(&item, 0, "error").contains("(snoozes in a row: 1)"));
}

#[database_test]
async fn any_end_but_a_release_resets_the_snooze_count(world: World) {
    world.create_document().await;
    let documents = world.builder::<Document>().max_snoozes(1).build().unwrap();
    let summaries = world.builder::<Summary>().max_snoozes(1).build().unwrap();
    run_that_snoozes(&documents).await;
    world.advance_until_due().await;
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    assert_eq!(world.stored().await.get("snoozes"), None);
    run_that_snoozes(&documents).await;
    assert_eq!(world.stored().await["snoozes"], number(1));
    world.advance_until_due().await;
    // A release keeps the count.
    documents.start("doc-1").await.unwrap().release().await.unwrap();
    assert_eq!(world.stored().await["snoozes"], number(1));
    // A takeover resets the count, because the lost holder has not snoozed the task.
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    let execution = documents.start("doc-1").await.unwrap();
    assert_eq!(execution.head().snoozes(), 0);
    assert_eq!(world.stored().await.get("snoozes"), None);
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await.get("snoozes"), None);
    let error = run_that_snoozes(&summaries).await;
    assert!(matches!(error.kind(), ErrorKind::Snoozed { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["snoozes"]), (&number(16), &number(1)));
}

#[database_test]
async fn snooze_is_counted_once_when_its_answer_was_lost(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let task = execution.fail(Failure::snooze(WAIT)).await.unwrap();
    assert_eq!((world.network.count("UpdateItem"), task.head().snoozes()), (3, 1));
    let item = world.stored().await;
    assert_eq!(
        (&item["status"], &item["snoozes"], stored_wait(&item)),
        (&number(10), &number(1), Some(WAIT))
    );
    assert_eq!(item["run_at"], time(task.head().run_at().unwrap()));
}

#[database_test]
async fn snooze_fails_the_attempt_when_the_item_is_full(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    // Another program fills the item up to its last byte.
    let fits = async |size: usize| {
        let update =
            world.client.update_item().table_name(&world.table).set_key(Some(world.key("extract____doc-1")));
        let update = update.update_expression("SET filled = :filled");
        update.expression_attribute_values(":filled", text(&"x".repeat(size))).send().await.is_ok()
    };
    let mut size = 409_400;
    while !fits(size).await {
        size -= 1;
    }
    let task = execution.fail(Failure::snooze(WAIT)).await.unwrap();
    // The item has no room for the count, and uncounted snoozes could go on for ever: the attempt fails.
    assert!(task.is_failed());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["lock"]), (&number(14), &text("__not_locked__")));
    assert_eq!((&item["retry"], item.get("snoozes")), (&number(1), None));
}
