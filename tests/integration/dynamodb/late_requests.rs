//! Requests that arrive late, and copies of them.

use std::time::Duration;

use tracker_core::{CancelOutcome, ErrorKind};
use tracker_test_macros::database_test;

use super::End;
use crate::support::{Document, Fault, World, history, number, text};

#[database_test]
async fn late_copy_of_a_start_is_refused(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    let failed = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 0).await.unwrap(), 400);
    assert_eq!(world.stored().await, failed);

    documents.start("doc-1").await.unwrap().release().await.unwrap();
    let released = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 0).await.unwrap(), 400);
    assert_eq!(world.network.deliver_again("UpdateItem", 2).await.unwrap(), 400);
    assert_eq!(world.stored().await, released);
}

#[database_test]
async fn late_copy_of_a_refused_start_is_refused(world: World) {
    let documents = world.create_document().await;
    for release in [false, true] {
        let execution = documents.start("doc-1").await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        let refused = world.network.count("UpdateItem");
        world.rival().start("doc-1").await.unwrap_err();
        if release {
            execution.release().await.unwrap();
        } else {
            execution.fail("once").await.unwrap();
        }
        let free = world.stored().await;
        assert_eq!(free["lock"], text("__not_locked__"));
        assert_eq!(world.network.deliver_again("UpdateItem", refused).await.unwrap(), 400);
        assert_eq!(world.stored().await, free);
    }
}

/// By its time, the copy could be a new start: the starter's clock is ahead by less than `max_clock_skew`.
#[database_test]
async fn late_copy_of_a_refused_start_of_a_faster_clock_ends_with_its_lease(world: World) {
    let documents = world.create_document().await;
    let faster = world.clock.ahead_by(Duration::from_secs(2));
    let faster = world.builder::<Document>().owner("faster").clock(faster).build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    let refused = world.network.count("UpdateItem");
    let error = faster.start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    world.clock.advance(Duration::from_secs(1));
    execution.fail("once").await.unwrap();
    assert_eq!(world.network.deliver_again("UpdateItem", refused).await.unwrap(), 200);
    let held = world.stored().await;
    assert_eq!((&held["attempt"], &held["status"]), (&number(2), &number(12)));

    world.expire_lease();
    // Its clock is faster, so its lease ends later.
    world.clock.advance(Duration::from_secs(2));
    let execution = documents.start("doc-1").await.unwrap();
    assert_eq!((execution.attempt(), execution.failed_attempts()), (3, 2));
    assert_eq!(execution.errors()[1].owner.as_deref(), Some("faster"));
    execution.succeed().await.unwrap();
}

#[database_test]
async fn late_copy_of_a_save_is_refused(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 1;
    execution.save().await.unwrap();
    execution.data_mut().pages = 2;
    execution.save().await.unwrap();
    let saved = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 1).await.unwrap(), 400);
    assert_eq!(world.stored().await, saved);
    execution.fail("once").await.unwrap();
    let failed = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 2).await.unwrap(), 400);
    assert_eq!(world.stored().await, failed);
}

#[database_test]
async fn late_copy_of_a_finish_is_refused(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    let execution = world.rival().start("doc-1").await.unwrap();
    let held = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 1).await.unwrap(), 400);
    assert_eq!(world.stored().await, held);
    execution.succeed().await.unwrap();
    let done = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 1).await.unwrap(), 400);
    assert_eq!(world.stored().await, done);
}

#[database_test]
async fn late_copy_of_a_takeover_is_refused(world: World) {
    let documents = world.create_document().await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    // Three requests were sent: the first start, a start that was refused, and the takeover.
    let execution = world.rival().start("doc-1").await.unwrap();
    assert_eq!(world.network.count("UpdateItem"), 3);
    execution.release().await.unwrap();
    let released = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 2).await.unwrap(), 400);
    assert_eq!(world.stored().await, released);
}

#[database_test]
async fn late_takeover_of_an_attempt_that_was_asked_to_cancel_is_refused(world: World) {
    let documents = world.create_document().await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    let held = world.stored().await;
    // By the clock of the rival the lease has expired, and by that of whoever cancels it has not.
    let faster = world.clock.ahead_by(Duration::from_secs(4));
    let rival = world.builder::<Document>().owner("rival").clock(faster).build().unwrap();
    world.clock.advance(Duration::from_secs(303));
    let takeover = world.network.count("UpdateItem") + 1;
    std::mem::forget(rival.start("doc-1").await.unwrap());
    // As if the takeover were late.
    world.put_item(held.clone()).await;
    let asked = documents.cancel("doc-1").await.unwrap();
    assert!(matches!(asked, CancelOutcome::Requested(_)), "{asked:?}");
    let asked = world.stored().await;
    assert_eq!((&asked["cancel"], &asked["lock"]), (&held["lock"], &held["lock"]));
    assert_eq!(world.network.deliver_again("UpdateItem", takeover).await.unwrap(), 400);
    assert_eq!(world.stored().await, asked);
    // A takeover that has seen the request ends the task.
    rival.start("doc-1").await.unwrap_err();
    let ended = world.stored().await;
    assert_eq!((&ended["status"], &ended["lock"]), (&number(18), &text("__not_locked__")));
}

#[database_test]
async fn late_copy_of_a_start_that_was_not_due_is_refused_after_a_run_now(world: World) {
    let documents = world.documents();
    documents.create_at(Document::new("doc-1"), world.in_one_hour()).await.unwrap();
    let refused = world.network.count("UpdateItem");
    let error = documents.start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotDue { .. }), "{error}");
    world.clock.advance(Duration::from_secs(1));
    documents.run_now("doc-1").await.unwrap();
    let due = world.stored().await;
    assert_eq!((&due["status"], due.get("run_at")), (&number(10), None));
    assert_eq!(world.network.deliver_again("UpdateItem", refused).await.unwrap(), 400);
    assert_eq!(world.stored().await, due);
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
}

#[database_test]
async fn late_copy_of_a_delete_deletes_nothing_that_was_written_since(world: World) {
    let documents = world.create_document().await;
    // Held: nothing is sent that could delete the task later.
    let held = documents.start("doc-1").await.unwrap();
    let error = world.rival().delete("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    assert_eq!(world.network.count("DeleteItem"), 0);
    held.release().await.unwrap();

    world.network.next("DeleteItem", [Fault::DropRequest; 3]);
    let error = Box::pin(world.run_while_advancing_clock(documents.delete("doc-1"))).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.network.faults_left(), 0);
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    let failed = world.stored().await;
    assert_eq!(world.network.deliver_again("DeleteItem", 0).await.unwrap(), 400);
    assert_eq!(world.stored().await, failed);

    let sent = world.network.count("DeleteItem");
    documents.delete("doc-1").await.unwrap().expect("a task");
    world.clock.advance(Duration::from_secs(1));
    documents.create(Document::new("doc-1")).await.unwrap();
    let created = world.stored().await;
    assert_eq!(world.network.deliver_again("DeleteItem", sent).await.unwrap(), 400);
    assert_eq!(world.stored().await, created);
    let sent = world.network.count("DeleteItem");
    assert_eq!(documents.delete_tasks_by_use_case_id().await.unwrap().done, 1);
    world.clock.advance(Duration::from_secs(1));
    documents.create(Document::new("doc-1")).await.unwrap();
    let created = world.stored().await;
    assert_eq!(world.network.deliver_again("DeleteItem", sent).await.unwrap(), 400);
    assert_eq!(world.stored().await, created);
}

/// A delay that is longer than every lease of these tests.
const LATE: Duration = Duration::from_hours(24);

/// Asserts that so many copies are late, delivers them, and asserts that they change nothing.
async fn assert_late_copies_change_nothing(world: &World, copies: usize, id: &str) {
    assert_eq!(world.network.late(), copies);
    let key = format!("extract____{id}");
    let item = world.stored_under(&key).await;
    world.deliver_late_requests().await;
    assert_eq!(world.stored_under(&key).await, item);
}

#[database_test]
async fn late_copies_of_a_create_change_nothing(world: World) {
    let documents = world.documents();
    world.network.next("PutItem", [Fault::DuplicateLate(LATE); 4]);
    documents.create(Document::new("pending")).await.unwrap();
    assert_late_copies_change_nothing(&world, 1, "pending").await;

    documents.create(Document::new("held")).await.unwrap();
    std::mem::forget(documents.start("held").await.unwrap());
    assert_late_copies_change_nothing(&world, 1, "held").await;

    documents.create(Document::new("failed")).await.unwrap();
    documents.start("failed").await.unwrap().fail("no").await.unwrap();
    assert_late_copies_change_nothing(&world, 1, "failed").await;

    documents.create(Document::new("succeeded")).await.unwrap();
    documents.start("succeeded").await.unwrap().succeed().await.unwrap();
    assert_late_copies_change_nothing(&world, 1, "succeeded").await;
}

#[database_test]
async fn late_copies_of_a_start_change_nothing(world: World) {
    let documents = world.documents();
    for id in ["held", "failed", "released", "taken over", "redriven"] {
        documents.create(Document::new(id)).await.unwrap();
    }
    let start_with_late_copy = async |id| {
        world.network.next("UpdateItem", [Fault::DuplicateLate(LATE)]);
        documents.start(id).await.unwrap()
    };
    std::mem::forget(start_with_late_copy("held").await);
    assert_late_copies_change_nothing(&world, 1, "held").await;

    start_with_late_copy("failed").await.fail("no").await.unwrap();
    assert_late_copies_change_nothing(&world, 1, "failed").await;

    start_with_late_copy("released").await.release().await.unwrap();
    assert_late_copies_change_nothing(&world, 1, "released").await;

    std::mem::forget(start_with_late_copy("taken over").await);
    world.expire_lease();
    world.rival().start("taken over").await.unwrap().release().await.unwrap();
    assert_late_copies_change_nothing(&world, 1, "taken over").await;

    start_with_late_copy("redriven").await.fail(tracker_core::Failure::fatal("no")).await.unwrap();
    documents.redrive("redriven").await.unwrap();
    assert_late_copies_change_nothing(&world, 1, "redriven").await;
}

#[database_test]
async fn late_copies_of_a_finish_change_nothing(world: World) {
    let documents = world.documents();
    for (nth, end) in [End::Succeed, End::Fail, End::Release].into_iter().enumerate() {
        let id = format!("doc-{nth}");
        documents.create(Document::new(&id)).await.unwrap();
        let execution = documents.start(&id).await.unwrap();
        world.network.next("UpdateItem", [Fault::DuplicateLate(LATE)]);
        match end {
            End::Succeed => execution.succeed().await.unwrap(),
            End::Fail => execution.fail("no").await.unwrap().into_task(),
            End::Release => execution.release().await.unwrap().into_task(),
        };
        if end != End::Succeed {
            // The copy arrives while the item has another worker's lock, whose lease ends before.
            std::mem::forget(world.rival().start(&id).await.unwrap());
        }
        assert_late_copies_change_nothing(&world, 1, &id).await;
    }
}

#[database_test]
async fn start_that_arrives_after_its_lease_is_released(world: World) {
    let documents = world.create_document().await;
    world.network.next("UpdateItem", [Fault::Delay(Duration::from_secs(400))]);
    let error = world.run_while_advancing_clock(documents.start("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    let item = world.stored().await;
    assert_eq!(
        (&item["status"], &item["retry"]),
        (&number(10), &number(0)),
        "released, without a failed attempt"
    );
    assert_eq!((&item["attempt"], &item["lock"]), (&number(1), &text("__not_locked__")));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(world.stored().await["attempt"], number(2));
}

/// The start has begun an attempt without knowing it. Its next request begins another one, which must not be taken for the first.
#[database_test]
async fn start_that_is_granted_twice_is_two_attempts(world: World) {
    world.create_document().await;
    let clock = world.clock.manual();
    let documents = world.builder::<Document>().clock(clock.clone()).build().unwrap();
    world.network.next("UpdateItem", [Fault::DropResponse]);
    let twice = tokio::spawn(async move { documents.start("doc-1").await });
    let waits = || std::future::ready(clock.next_wake().is_some());
    world.wait_until("the start waits before it is sent again", waits).await;
    let first = world.stored().await["lock"].clone();
    assert_ne!(first, text("__not_locked__"));
    // The time of day moves on, and nobody wakes up.
    clock.step_forward(Duration::from_secs(306));
    let holder = world.rival().start("doc-1").await.unwrap();
    assert_eq!((holder.attempt(), world.stored().await["lost_lock"].clone()), (2, first.clone()));
    clock.step_forward(Duration::from_secs(306));
    clock.advance(Duration::from_millis(50));
    let twice = twice.await.unwrap().unwrap();
    assert_eq!(twice.attempt(), 3);
    assert_ne!(world.stored().await["lock"], first, "each grant has a lock of its own");
    world.expire_lease();
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);

    let ignored = world.stored().await;
    assert_eq!((&ignored["status"], &ignored["attempt"]), (&number(18), &number(3)));
    assert_eq!(*holder.succeed().await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(*twice.succeed().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(world.stored().await, ignored);
}

/// Sends a request that arrives after 400 s, and advances the clock by 100 s.
async fn send_with_delay<R: Send + 'static>(
    world: &World,
    request: impl Future<Output = R> + Send + 'static,
) -> tokio::task::JoinHandle<R> {
    world.network.next("UpdateItem", [Fault::Delay(Duration::from_secs(400))]);
    let request = tokio::spawn(request);
    world.wait_until("the request is on its way", || std::future::ready(world.network.late() == 1)).await;
    world.clock.advance(Duration::from_secs(100));
    request
}

#[database_test]
async fn late_start_does_not_disturb_another_holder(world: World) {
    let documents = world.create_document().await;
    let start = |id| {
        let documents = documents.clone();
        async move { documents.start(id).await }
    };
    let late = send_with_delay(&world, start("doc-1")).await;
    let holder = world.rival().start("doc-1").await.unwrap();
    world.clock.advance(Duration::from_secs(299));
    holder.heartbeat().await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let error = late.await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    holder.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(1)));

    // A rival starts and fails the task meanwhile. The late start is sent again, for a whole lease from now.
    documents.create(Document::new("doc-2")).await.unwrap();
    let late = send_with_delay(&world, start("doc-2")).await;
    world.rival().start("doc-2").await.unwrap().fail("no").await.unwrap();
    world.clock.advance(Duration::from_mins(5));
    let execution = late.await.unwrap().unwrap();
    assert_eq!((execution.attempt(), execution.remaining()), (2, Duration::from_mins(5)));
    execution.release().await.unwrap();
    let item = world.stored_under("extract____doc-2").await.unwrap();
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
}

#[database_test]
async fn late_finish_does_not_disturb_another_holder(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let late = send_with_delay(&world, execution.succeed()).await;
    world.clock.advance(Duration::from_secs(210));
    let holder = world.rival().start("doc-1").await.expect("a lease that has expired");
    let held = world.stored().await;
    world.clock.advance(Duration::from_secs(90));
    assert_eq!(*late.await.unwrap().unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(world.stored().await, held);
    holder.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(2)));
    assert_eq!(history(&item).len(), 1);
}

/// Releases an execution. The first send is applied and its response is lost; the second one arrives after 400 s.
async fn release_with_a_late_copy(
    world: &World,
    execution: tracker_core::Execution<Document>,
) -> tokio::task::JoinHandle<Result<(), tracker_core::Error>> {
    world.network.next("UpdateItem", [Fault::DropResponse, Fault::Delay(Duration::from_secs(400))]);
    let release = tokio::spawn(async move { execution.release().await.map(drop) });
    world.wait_until("the copy is on its way", || std::future::ready(world.network.late() == 1)).await;
    release
}

/// Python counts no attempt, so its worker looks like one that took the first attempt over.
#[database_test]
async fn recorded_finish_is_not_told_as_lost_beside_a_worker_of_python(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let release = release_with_a_late_copy(&world, execution).await;
    assert_eq!(world.stored().await["status"], number(10), "the release is recorded");
    world.rival().start("doc-1").await.unwrap().fail("once").await.unwrap();
    world.set_attribute("status", number(12)).await;
    world.set_attribute("lock", text("a lock of Python's")).await;
    let held = world.stored().await;
    world.clock.advance(Duration::from_secs(400));
    assert_eq!(*release.await.unwrap().unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored().await, held);
}

/// The save puts the task back as it was before the start, so the next attempt has the same number.
#[database_test]
async fn recorded_finish_is_not_told_as_lost_after_a_save_of_python(world: World) {
    let documents = world.create_document().await;
    let read = world.stored().await;
    let execution = documents.start("doc-1").await.unwrap();
    let release = release_with_a_late_copy(&world, execution).await;
    assert_eq!(world.stored().await["attempt"], number(1), "the release is recorded");
    world.put_item(read).await;
    world.remove_attributes(&["attempt", "lost_lock"]).await;
    let _held = world.rival().start("doc-1").await.unwrap();
    let held = world.stored().await;
    assert_eq!((&held["attempt"], held.get("lost_lock")), (&number(1), None));
    world.clock.advance(Duration::from_secs(400));
    assert_eq!(*release.await.unwrap().unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored().await, held);
}
