//! Transactional finishes: answers that are lost, copies that arrive late, and requests that get in the way.

use std::time::Duration;

use futures_util::poll;
use tracker_core::{ErrorKind, EventKind, Execution, Failure, TaskHead};
use tracker_test_macros::database_test;

use crate::support::Fault::{
    Conflict, CutBody, Deny, DropRequest, DropResponse, DuplicateLate, InProgress, Throttle, ThrottleMembers,
};
use crate::support::{Document, World, counter_item, data_member, entry, number, text};

const TRANSACTION: &str = "TransactWriteItems";

/// Starts `doc-1`, with an effect on the counter `a`.
async fn started(world: &World) -> Execution<Document> {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 3;
    execution.on_success(world.count("a")).unwrap();
    execution
}

/// Starts `doc-1` with an effect that is refused when the task succeeds. The failure that follows is lost once. Meanwhile the
/// effect would hold, the refused transaction arrives again, and then `afterwards` runs.
async fn refused_success_that_arrives_again<F>(
    world: &World,
    afterwards: impl FnOnce(World) -> F + Send + 'static,
) -> Execution<Document>
where
    F: Future<Output = ()> + Send + 'static,
{
    world.put_item(counter_item("b", 5)).await;
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.on_success(world.count_from("b", 4)).unwrap();
    world.network.next("UpdateItem", [DropRequest]);
    let copied = world.clone();
    world.clock.during_next_sleep(async move {
        copied.put_item(counter_item("b", 4)).await;
        copied.network.deliver_again(TRANSACTION, 0).await.unwrap();
        afterwards(copied).await;
    });
    execution
}

async fn assert_succeeded_once(world: &World) {
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["lock"]), (&number(16), &text("__not_locked__")));
    assert_eq!((data_member(&item, "pages"), world.counted("a").await), (Some(&number(3)), 1));
}

#[database_test]
async fn effects_are_written_once_whatever_happens_to_the_answers(world: World) {
    let faults = [DropResponse, InProgress, CutBody, Throttle, Conflict, DropRequest];
    let execution = started(&world).await;
    world.network.next(TRANSACTION, faults);
    execution.succeed().await.unwrap();
    assert_eq!((world.network.faults_left(), world.network.count(TRANSACTION)), (0, 7));
    assert_succeeded_once(&world).await;
}

/// Six sends without an answer: a read finds what became of them.
#[database_test]
async fn finish_without_any_answer_is_settled_by_a_read(world: World) {
    let execution = started(&world).await;
    world.network.next(TRANSACTION, [DropResponse; 6]);
    execution.succeed().await.unwrap();
    assert_succeeded_once(&world).await;
    let mut execution = {
        let documents = world.documents();
        documents.create(Document::new("doc-2")).await.unwrap();
        documents.start("doc-2").await.unwrap()
    };
    execution.on_success(world.count("a")).unwrap();
    world.network.next(TRANSACTION, [DropRequest; 6]);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.counted("a").await, 1);
    assert_eq!(world.stored_under("extract____doc-2").await.unwrap()["status"], number(12));
}

/// A copy of the transaction arrives after its end: within ten minutes DynamoDB knows its token, and later the condition refuses it.
#[database_test]
async fn late_copy_of_a_success_writes_no_effect_again(world: World) {
    let execution = started(&world).await;
    world.network.next(TRANSACTION, [DuplicateLate(Duration::from_mins(11))]);
    execution.succeed().await.unwrap();
    assert_succeeded_once(&world).await;
    assert_eq!(world.network.deliver_again(TRANSACTION, 0).await.unwrap(), 200);
    assert_succeeded_once(&world).await;
    world.deliver_late_requests().await;
    assert_succeeded_once(&world).await;
}

/// Throttled effects are waited for. If that does not help, the attempt ends, and does not wait for its lease to expire.
#[database_test]
async fn throttled_effects_end_the_attempt(world: World) {
    let execution = started(&world).await;
    world.network.next(TRANSACTION, [ThrottleMembers; 10]);
    let error = execution.succeed().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Throttled { .. }), "{error:?}");
    let item = world.stored().await;
    assert_eq!((&item["status"], world.counted("a").await), (&number(14), 0));

    // The same if no transaction gets through at all, and some sends have no answer.
    world.clock.advance(Duration::from_secs(1));
    let mut execution = world.documents().start("doc-1").await.unwrap();
    execution.on_success(world.count("a")).unwrap();
    world.network.next(TRANSACTION, [DropRequest, Throttle, Throttle, Throttle, Throttle, Throttle]);
    execution.succeed().await.unwrap_err();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"], world.counted("a").await), (&number(14), &number(2), 0));
}

/// The lease has no time for long waits, so the attempt ends before it is lost.
#[database_test]
async fn conflicts_do_not_cost_the_lease(world: World) {
    world.create_document().await;
    let documents = world.builder::<Document>().lock_expire(Duration::from_secs(3)).build().unwrap();
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.on_success(world.count("a")).unwrap();
    world.network.next(TRANSACTION, [Conflict; 10]);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::TransactionConflict);
    assert!(world.network.faults_left() > 0, "it gave up earlier");
    world.network.calm();
    assert_eq!((world.stored().await["status"].clone(), world.counted("a").await), (number(14), 0));
}

/// The failure that replaces a refused success is recorded, its answer is lost, and the future is dropped. Another worker starts the
/// task. Then the background sends the success again: it must not be told as recorded.
#[database_test]
async fn success_that_was_refused_is_not_reported_later(world: World) {
    world.put_item(counter_item("b", 5)).await;
    world.create_document().await;
    let (send, seen) = std::sync::mpsc::channel();
    let documents = world
        .builder::<Document>()
        .clock(world.clock.manual())
        .observer(move |event: &tracker_core::Event<'_>| send.send(event.kind).unwrap_or_default())
        .build()
        .unwrap();
    world.clock.advance(Duration::from_secs(1));
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.on_success(world.count_from("b", 4)).unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let mut finish = Box::pin(execution.succeed());
    // The clock stands still, so the finish waits before it sends the failure again.
    let is_recorded = async || world.stored().await["status"] == number(14);
    world.run_until("the failure is recorded", &mut finish, is_recorded).await;
    world.network.next(TRANSACTION, [crate::support::Fault::Delay(Duration::from_hours(1))]);
    drop(finish);
    // The background may run now, and its transaction is late.
    world
        .wait_until("the success is on its way again", || std::future::ready(world.network.late() == 1))
        .await;
    world.clock.advance(Duration::from_secs(1));
    let successor = world.rival().start("doc-1").await.unwrap();
    world.deliver_late_requests().await;
    let mut events = Vec::new();
    world
        .wait_until("the background knows that it does not know", || {
            events.extend(seen.try_iter());
            std::future::ready(events.contains(&EventKind::OutcomeUnknown))
        })
        .await;
    assert!(!events.contains(&EventKind::Succeeded), "{events:?}");
    assert_eq!(world.counted("b").await, 5);
    drop(successor);
}

/// The lease is lost while the transaction is on its way: it arrives after the takeover.
#[database_test]
async fn late_transaction_writes_nothing_after_a_takeover(world: World) {
    let execution = started(&world).await;
    world.network.next(TRANSACTION, [crate::support::Fault::Delay(Duration::from_hours(1))]);
    let mut finish = Box::pin(execution.succeed());
    assert!(poll!(&mut finish).is_pending());
    // The worker hangs. If the future were dropped, the background would send the finish again.
    std::mem::forget(finish);
    world.expire_lease();
    let mut successor = world.rival().start("doc-1").await.expect("the lease has expired");
    successor.on_success(world.count("a")).unwrap();
    world.deliver_late_requests().await;
    assert_eq!((world.counted("a").await, world.stored().await["attempt"].clone()), (0, number(2)));
    successor.succeed().await.unwrap();
    assert_eq!(world.counted("a").await, 1);
}

#[database_test]
async fn conflicts_are_waited_for(world: World) {
    let execution = started(&world).await;
    world.network.next(TRANSACTION, [Conflict; 9]);
    execution.succeed().await.unwrap();
    assert_eq!(world.network.count(TRANSACTION), 10);
    assert_succeeded_once(&world).await;
}

#[database_test]
async fn conflicts_without_end_fail_the_attempt(world: World) {
    let execution = started(&world).await;
    world.network.next(TRANSACTION, [Conflict; 10]);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::TransactionConflict);
    assert!(error.task().is_some_and(TaskHead::is_failed), "{error:?}");
    let item = world.stored().await;
    assert_eq!((&item["status"], world.counted("a").await), (&number(14), 0));
    assert!(
        entry(&item, 0, "error").contains("= \"a\"") && entry(&item, 0, "error").contains("was in the way"),
        "{item:?}"
    );
}

/// The permission may be missing for the table of an effect alone, so the attempt is recorded as failed.
#[database_test]
async fn missing_permission_fails_the_attempt(world: World) {
    let execution = started(&world).await;
    world.network.next(TRANSACTION, [Deny; 6]);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Service { code: Some("AccessDeniedException".to_owned()) });
    assert_eq!((world.stored().await["status"].clone(), world.counted("a").await), (number(14), 0));
}

/// The effect is refused, and a copy of the transaction that was sent before is applied after all, because the counter is as the
/// effect wants it by then: before the failure is recorded. What is told is what is stored.
#[database_test]
async fn copy_of_a_success_that_is_applied_before_its_failure_counts(world: World) {
    let execution = refused_success_that_arrives_again(&world, |_| std::future::ready(())).await;
    let task = execution.succeed().await.expect("the success is recorded");
    assert!(task.is_succeeded());
    assert_eq!((world.stored().await["status"].clone(), world.counted("b").await), (number(16), 5));
    assert_eq!(world.network.faults_left(), 0);
}

/// The same, and the next step has the task already: the image no longer tells which of the two was recorded.
#[database_test]
async fn copy_of_a_success_is_unknown_once_the_task_has_gone_on(world: World) {
    let next_step = |world: World| async move {
        world.clock.advance(Duration::from_secs(1));
        std::mem::forget(world.summaries().start("doc-1").await.unwrap());
    };
    let execution = refused_success_that_arrives_again(&world, next_step).await;
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
    assert_eq!((world.stored().await["status"].clone(), world.counted("b").await), (number(22), 5));
}

/// The future of the finish is dropped while the transaction is on its way. The background sends the same transaction.
#[database_test]
async fn dropped_finish_with_effects_goes_on(world: World) {
    let execution = started(&world).await;
    world.network.next(TRANSACTION, [crate::support::Fault::Delay(Duration::from_hours(1))]);
    let mut finish = Box::pin(execution.succeed());
    assert!(poll!(&mut finish).is_pending());
    drop(finish);
    world.wait_until_unlocked().await;
    assert_succeeded_once(&world).await;
    world.deliver_late_requests().await;
    assert_succeeded_once(&world).await;
}

/// A run, whose body returns before its effects are refused, has the refusal as its error.
#[database_test]
async fn run_returns_the_refusal_of_an_effect(world: World) {
    let documents = world.create_document().await;
    let error = documents
        .run("doc-1", async |task| -> Result<_, Failure> {
            task.on_success(world.check_counter("a"))?;
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::EffectRefused { nth: 0, .. }), "{error:?}");
    assert_eq!(error.refused_item(), None, "the effect did not ask for it");
}
