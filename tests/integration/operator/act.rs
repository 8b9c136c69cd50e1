//! What an operator changes: redrive, run now, cancel, release and delete, for one task and for many.

use std::time::Duration;

use tracker_core::{
    Action, ActionOutcome, ActionResult, CancellationToken, Clock, ErrorKind, Failure, NotReadyCause,
    Operator, Selection, Takeover, TaskFilter,
};
use tracker_test_macros::database_test;

use super::{builder, create_ignored, operator};
use crate::support::{Document, Item, World, entry, history, ids, number, text, time};

/// Changes one task, and returns what became of it, or why it stays as it is.
async fn act(operator: &Operator, action: Action, id: &str) -> Result<&'static str, ErrorKind> {
    let mut outcome = None;
    let on_result = |result: &ActionResult, _| {
        outcome = Some(match &result.outcome {
            ActionOutcome::Done => Ok("done"),
            ActionOutcome::Requested => Ok("requested"),
            ActionOutcome::Skipped(error) | ActionOutcome::Failed(error) => Err(error.kind().clone()),
            other => panic!("{other:?}"),
        });
    };
    operator.act(action, id).on_result(on_result).await.unwrap();
    outcome.expect("one result")
}

fn cause(acted: &Result<&'static str, ErrorKind>) -> Option<NotReadyCause> {
    match acted {
        Err(ErrorKind::NotReady { cause, .. }) => Some(*cause),
        _ => None,
    }
}

#[database_test]
async fn redrive_by_hand_is_in_the_history_with_who_and_why(world: World) {
    create_ignored(&world, ["doc-1".to_owned()]).await;
    let operator = operator(&world).await;
    assert_eq!(act(&operator, Action::Redrive, "doc-1").await, Ok("done"));
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(10), &number(0)));
    let of_attempt = ["error", "attempt", "owner"].map(|member| entry(&item, 0, member));
    assert_eq!(of_attempt, ["doc-1 timed out after 30 s", "1", "worker-1"]);
    let by_hand = ["error", "by", "reason"].map(|member| entry(&item, 1, member));
    assert_eq!(by_hand, ["redriven by hand", "alice", "as agreed"]);
    assert_eq!(cause(&act(&operator, Action::Redrive, "doc-1").await), Some(NotReadyCause::Pending));
    assert_eq!(history(&world.stored().await).len(), 2);
    assert_eq!(act(&operator, Action::Redrive, "nobody").await, Err(ErrorKind::NotFound));
}

#[database_test]
async fn run_now_makes_a_task_due_and_keeps_its_place(world: World) {
    let documents = world.documents();
    documents.create_at(Document::new("doc-1"), world.in_one_hour()).await.unwrap();
    let before = world.stored().await;
    world.clock.advance(Duration::from_secs(9));
    let operator = operator(&world).await;
    assert_eq!(act(&operator, Action::RunNow, "doc-1").await, Ok("done"));
    let mut after = world.stored().await;
    assert_eq!(entry(&after, 0, "error"), "made due by hand");
    after.insert("errors".to_owned(), before["errors"].clone());
    let mut expected = before.clone();
    expected.remove("run_at");
    // So that a late copy of a refused start does not fit.
    expected.insert("lock_time".to_owned(), time(world.clock.now().wall));
    assert_eq!(after, expected, "nothing else has changed");
    assert_eq!(cause(&act(&operator, Action::RunNow, "doc-1").await), Some(NotReadyCause::AlreadyDue));

    let execution = documents.start("doc-1").await.unwrap();
    let held = act(&operator, Action::RunNow, "doc-1").await;
    assert!(matches!(held, Err(ErrorKind::Locked { .. })), "{held:?}");
    execution.fail(Failure::retry_after("again", Duration::from_hours(2))).await.unwrap();
    assert!(documents.run_now("doc-1").await.unwrap().run_at().is_none());
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(act(&operator, Action::RunNow, "doc-1").await, Err(ErrorKind::AlreadySucceeded));
}

async fn stored_under(world: &World, ids: &[String]) -> Vec<Item> {
    let mut items = Vec::new();
    for id in ids {
        items.push(world.stored_under(&format!("extract____{id}")).await.expect("a task"));
    }
    items
}

#[database_test(reads_at_once)]
async fn dry_run_decides_as_the_change_does_and_writes_nothing(world: World) {
    let documents = world.create_document().await;
    create_ignored(&world, ["doc-2".to_owned()]).await;
    documents.create_at(Document::new("doc-3"), world.in_one_hour()).await.unwrap();
    let operator = operator(&world).await;
    let execution = documents.start("doc-1").await.unwrap();
    let everything = TaskFilter::new();
    let ids: Vec<_> = ["doc-1", "doc-2", "doc-3"].map(str::to_owned).into();
    // doc-1 is held, doc-2 ignored, and doc-3 waits.
    for (action, done) in [
        (Action::Redrive, &["doc-2"][..]),
        (Action::RunNow, &["doc-3"]),
        (Action::Cancel, &["doc-1", "doc-3"]),
        (Action::Release, &[]),
        (Action::Delete, &["doc-2", "doc-3"]),
    ] {
        let before = stored_under(&world, &ids).await;
        for tasks in [Selection::from(everything.clone()), ids.clone().into()] {
            let mut would = Vec::new();
            let on_result = |result: &ActionResult, _| {
                if let ActionOutcome::WouldBeDone | ActionOutcome::WouldBeRequested = result.outcome {
                    would.push(result.task_id.clone());
                }
            };
            let summary = operator.act(action, tasks).dry_run(true).on_result(on_result).await.unwrap();
            would.sort();
            assert_eq!(would, done, "{action:?}");
            assert_eq!((summary.requested, summary.failed), (u64::from(action == Action::Cancel), 0));
        }
        assert_eq!(stored_under(&world, &ids).await, before, "{action:?} wrote");
    }
    world.clock.advance(Duration::from_mins(20));
    assert_eq!(operator.release_expired(everything.clone()).dry_run(true).await.unwrap().done, 1);
    let summary = operator.cancel(everything).await.unwrap();
    assert_eq!((summary.done, summary.requested), (2, 0));
    drop(execution);
}

#[database_test]
async fn release_of_a_cancelled_attempt_keeps_who_cancelled_and_why(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let operator = operator(&world).await;
    operator.cancel("doc-1").reason("wrong file").await.unwrap();
    world.expire_lease();
    operator.release_expired("doc-1").reason("the worker is gone").await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["status"], number(18));
    assert_eq!(["by", "reason"].map(|member| entry(&item, 0, member)), ["alice", "wrong file"]);
    // Nobody renewed the lease, so nobody knows how long the attempt worked.
    assert!(!history(&item)[0].as_m().unwrap().contains_key("seconds"));
    drop(execution);
}

#[database_test]
async fn task_that_is_named_twice_is_changed_once(world: World) {
    create_ignored(&world, ["doc-1".to_owned()]).await;
    let operator = operator(&world).await;
    let twice = vec!["doc-1".to_owned(), "doc-1".to_owned()];
    assert_eq!(operator.delete(twice.clone()).dry_run(true).await.unwrap().done, 1);
    let summary = operator.delete(twice).await.unwrap();
    assert_eq!((summary.done, summary.skipped), (1, 0));
}

#[database_test]
async fn task_that_cannot_be_read_is_deleted_also_in_a_dry_run(world: World) {
    world.create_document().await;
    world.set_attribute("update_time", text("yesterday")).await;
    let operator = operator(&world).await;
    assert_eq!(operator.delete("doc-1").dry_run(true).await.unwrap().done, 1);
    assert!(world.stored_under("extract____doc-1").await.is_some());
    assert_eq!(operator.delete("doc-1").await.unwrap().done, 1);
    assert!(world.stored_under("extract____doc-1").await.is_none());
}

#[database_test]
async fn cancel_names_who_and_asks_a_running_attempt(world: World) {
    let documents = world.create_document().await;
    let operator = operator(&world).await;
    assert_eq!(act(&operator, Action::Cancel, "doc-1").await, Ok("done"));
    let item = world.stored().await;
    assert_eq!(["error", "by"].map(|member| entry(&item, 0, member)), ["cancelled on request", "alice"]);
    documents.redrive("doc-1").await.unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    assert_eq!(act(&operator, Action::Cancel, "doc-1").await, Ok("requested"));
    assert_eq!(world.stored().await["cancel"], world.stored().await["lock"]);
    execution.release().await.unwrap();

    // The attempt records who has asked.
    let running = documents.run("doc-1", async |_| {
        assert_eq!(act(&operator, Action::Cancel, "doc-1").await, Ok("requested"));
        Ok::<_, Failure>(())
    });
    running.await.unwrap();
    documents.create(Document::new("doc-2")).await.unwrap();
    let heartbeats = world.builder_with_heartbeat().build().unwrap();
    let cancelled = heartbeats.run("doc-2", async |_| {
        assert_eq!(act(&operator, Action::Cancel, "doc-2").await, Ok("requested"));
        std::future::pending::<Result<(), Failure>>().await
    });
    let error = Box::pin(world.run_while_advancing_clock(cancelled)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
    let item = world.stored_under("extract____doc-2").await.unwrap();
    let last = ["error", "by", "reason", "attempt"].map(|member| entry(&item, 0, member));
    assert_eq!(last, ["cancelled on request", "alice", "as agreed", "1"]);
    assert_eq!((item.get("cancel"), item.get("cancel_note")), (None, None));
}

#[database_test]
async fn release_frees_a_task_whose_worker_is_lost(world: World) {
    let documents = world.create_document().await;
    let operator = operator(&world).await;
    assert_eq!(cause(&act(&operator, Action::Release, "doc-1").await), Some(NotReadyCause::NotHeld));
    let lost = documents.start("doc-1").await.unwrap();
    let held = world.stored().await;
    let alive = act(&operator, Action::Release, "doc-1").await;
    assert!(matches!(alive, Err(ErrorKind::Locked { .. })), "{alive:?}");
    assert_eq!(world.stored().await, held);

    world.expire_lease();
    assert_eq!(act(&operator, Action::Release, "doc-1").await, Ok("done"));
    let item = world.stored().await;
    assert_eq!(
        (&item["status"], &item["lock"], &item["attempt"]),
        (&number(14), &text("__not_locked__"), &number(1))
    );
    assert_eq!((&item["retry"], &item["lost_attempts"]), (&number(1), &number(1)));
    let last = ["attempt", "owner", "by", "reason"].map(|member| entry(&item, 0, member));
    assert_eq!(last, ["1", "worker-1", "alice", "as agreed"]);
    assert!(entry(&item, 0, "error").contains("the task was released by hand"), "{item:?}");
    let error = lost.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    assert_eq!(world.stored().await, item);
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
}

#[database_test]
async fn release_of_the_last_attempt_ignores_the_task(world: World) {
    let documents = world.builder::<Document>().max_retry(1).takeover(Takeover::Never).build().unwrap();
    documents.verify_table().await.unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    let error = documents.start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    let operator = builder(&world).open().await.unwrap();
    let error = operator.release_expired(TaskFilter::new()).await.unwrap_err();
    assert!(error.to_string().contains("name its id"), "{error}");
    let task = documents.release_expired("doc-1").await.unwrap();
    assert!(task.is_ignored() && !task.is_locked());
    assert_eq!(world.stored().await["status"], number(18));
}

#[database_test(reads_at_once)]
async fn delete_spares_a_held_task(world: World) {
    let documents = world.create_document().await;
    let operator = operator(&world).await;
    let execution = documents.start("doc-1").await.unwrap();
    let held = act(&operator, Action::Delete, "doc-1").await;
    assert!(matches!(held, Err(ErrorKind::Locked { .. })), "{held:?}");
    let all = operator.delete(TaskFilter::new().status("in_progress")).await.unwrap();
    assert_eq!((all.done, all.skipped), (0, 1));
    assert!(world.stored_under("extract____doc-1").await.is_some());
    execution.succeed().await.unwrap();
    let all = operator.delete(TaskFilter::new().id_prefix("doc-")).await.unwrap();
    assert_eq!((all.done, all.skipped), (1, 0));
    assert_eq!(world.stored_under("extract____doc-1").await, None);
}

#[database_test(reads_at_once)]
async fn filter_means_tasks_by_error_and_limit(world: World) {
    create_ignored(&world, ids(10)).await;
    let operator = operator(&world).await;
    let timeouts = || TaskFilter::new().error("timed out");
    let dry = operator.redrive(timeouts()).dry_run(true).await.unwrap();
    assert_eq!((dry.done, dry.skipped), (10, 0));
    let none = operator.redrive(timeouts().id_prefix("x")).await.unwrap();
    assert_eq!((none.done, none.skipped, none.failed, none.stopped), (0, 0, 0, false));
    assert_eq!(operator.redrive(timeouts()).limit(4).await.unwrap().done, 4);
    let again = operator.redrive(timeouts()).per_second(1000.0).await.unwrap();
    assert_eq!((again.done, again.skipped), (6, 0), "what is pending already is not found");
    let counts = operator.counts(&TaskFilter::new().status("pending"), None).await.unwrap();
    assert_eq!(counts[0].tasks, 10);
}

#[database_test]
async fn filters_that_cannot_be_meant_are_refused(world: World) {
    let operator = operator(&world).await;
    for (acted, why) in [
        (operator.redrive(TaskFilter::new().status("succeeded")).await, "`Succeeded`, succeeded"),
        (operator.redrive(TaskFilter::new().status("nope")).await, "no status `nope`"),
        (operator.redrive("doc-1").per_second(0.0).await, "above 0"),
        (operator.redrive("doc-1").per_second(f64::NAN).await, "above 0"),
    ] {
        let error = acted.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidQuery { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[database_test(reads_at_once)]
async fn stopped_operation_ends_after_what_was_begun(world: World) {
    create_ignored(&world, ids(100)).await;
    let operator = operator(&world).await;
    let stop = CancellationToken::new();
    let token = stop.clone();
    let on_result = |_: &ActionResult, _| token.cancel();
    let stopped = operator
        .redrive(TaskFilter::new().status("ignored"))
        .stop(stop.clone())
        .on_result(on_result)
        .await
        .unwrap();
    assert!(stopped.stopped && (1..=40).contains(&stopped.done), "{stopped:?}");
    let pending = operator.counts(&TaskFilter::new().status("pending"), None).await.unwrap();
    assert_eq!(pending[0].tasks, stopped.done, "what was begun has ended");
    let rest = operator.redrive(TaskFilter::new().status("ignored")).await.unwrap();
    assert_eq!((rest.done + stopped.done, rest.stopped), (100, false));
}

#[database_test]
async fn tasks_that_fail_again_meanwhile_are_redriven_once(world: World) {
    create_ignored(&world, ids(40)).await;
    world.clock.advance(Duration::from_secs(1));
    let operator = operator(&world).await;
    let documents = world.builder::<Document>().max_retry(1).build().unwrap();
    let redrive = operator.redrive(TaskFilter::new().status("ignored")).per_second(50.0);
    let worker = documents.worker().concurrency(4).drain().run_local(async |_| Err(Failure::fatal("again")));
    let (redriven, _) = tokio::join!(async { redrive.await.unwrap() }, worker);
    assert_eq!(redriven.done, 40, "{redriven:?}");
    for id in ids(40) {
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        let by_hand =
            (0..history(&item).len()).filter(|nth| entry(&item, *nth, "error") == "redriven by hand");
        assert_eq!(by_hand.count(), 1, "{id}");
    }
}

#[database_test]
async fn task_that_waits_for_the_second_step_is_cancelled_there(world: World) {
    let summaries = world.summaries();
    summaries.verify_table().await.unwrap();
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    summaries.start("doc-1").await.unwrap().fail(Failure::snooze(Duration::from_hours(1))).await.unwrap();
    let operator = operator(&world).await;
    assert_eq!(act(&operator, Action::RunNow, "doc-1").await, Ok("done"));
    assert_eq!(world.stored().await.get("run_at"), None);
    assert_eq!(act(&operator, Action::Cancel, "doc-1").await, Ok("done"));
    assert_eq!(world.stored().await["status"], number(28));
}

#[database_test]
async fn second_step_is_found_by_the_status_of_the_task(world: World) {
    let summaries = world.summaries();
    summaries.verify_table().await.unwrap();
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    summaries.start("doc-1").await.unwrap().fail(Failure::fatal("no words")).await.unwrap();
    assert_eq!(world.stored().await["status"], number(28));
    let operator = builder(&world).open().await.unwrap();
    assert_eq!(operator.get("doc-1").await.unwrap().unwrap().step.as_deref(), Some("Summary"));
    let first = operator.redrive(TaskFilter::new().step("Document").error("words")).await.unwrap();
    assert_eq!((first.done, first.skipped), (0, 0));
    assert_eq!(act(&operator, Action::Redrive, "doc-1").await, Ok("done"));
    assert_eq!(world.stored().await["status"], number(20));
}

#[database_test]
async fn history_of_an_almost_full_item_is_kept_instead_of_a_note(world: World) {
    let documents = world.builder::<Document>().max_retry(1).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    let mut item = world.stored().await;
    let size = 400 * 1024 - 1500;
    item.insert("pad".to_owned(), text(&"x".repeat(size)));
    world.put_item(item).await;
    let operator = builder(&world).actor("a".repeat(300)).reason("r".repeat(2000)).open().await.unwrap();
    assert_eq!(act(&operator, Action::Redrive, "doc-1").await, Ok("done"));
    let item = world.stored().await;
    assert_eq!((&item["status"], history(&item).len()), (&number(10), 1));
}
