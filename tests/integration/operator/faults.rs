//! Operators under faults: lost answers, late copies, and an index that lags behind.

use std::time::Duration;

use tracker_core::TaskFilter;
use tracker_test_macros::database_test;

use super::{create_ignored, operator};
use crate::support::Fault::{DropRequest, DropResponse, DuplicateLate, Throttle};
use crate::support::{Document, World, entry, history, ids, number};

/// How often the history says that something was done by hand.
fn by_hand(item: &crate::support::Item, what: &str) -> usize {
    (0..history(item).len()).filter(|nth| entry(item, *nth, "error") == what).count()
}

#[database_test(reads_at_once)]
async fn bulk_redrive_whose_answers_are_lost_redrives_each_task_once(world: World) {
    create_ignored(&world, ids(30)).await;
    let operator = operator(&world).await;
    let faults =
        [DropResponse, Throttle, DropRequest, DuplicateLate(Duration::from_secs(1))].into_iter().cycle();
    world.network.next("UpdateItem", faults.take(40));
    let redriven = operator.redrive(TaskFilter::new().status("ignored")).await.unwrap();
    assert_eq!((redriven.done, redriven.skipped, redriven.failed), (30, 0, 0));
    world.network.calm();
    world.deliver_late_requests().await;
    for id in ids(30) {
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert_eq!((&item["status"], by_hand(&item, "redriven by hand")), (&number(10), 1), "{id}");
    }
}

#[database_test]
async fn run_now_whose_answer_is_lost_is_done(world: World) {
    let documents = world.documents();
    documents.create_at(Document::new("doc-1"), world.in_one_hour()).await.unwrap();
    let operator = operator(&world).await;
    world.network.next("UpdateItem", [DropResponse]);
    assert_eq!(operator.run_now("doc-1").await.unwrap().done, 1);
    let item = world.stored().await;
    assert_eq!((item.get("run_at"), by_hand(&item, "made due by hand")), (None, 1));

    // A late copy does not make a task due that waits again.
    let copy = world.network.count("UpdateItem") - 1;
    let retry = tracker_core::Failure::retry_after("later", Duration::from_hours(5));
    documents.start("doc-1").await.unwrap().fail(retry).await.unwrap();
    let waits = world.stored().await;
    assert!(waits.contains_key("run_at"));
    assert_eq!(world.network.deliver_again("UpdateItem", copy).await.unwrap(), 400);
    assert_eq!(world.stored().await, waits);
}

#[database_test]
async fn release_whose_answer_is_lost_is_done_once(world: World) {
    let documents = world.create_document().await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    let operator = operator(&world).await;
    world.network.next("UpdateItem", [DropResponse]);
    assert_eq!(operator.release_expired("doc-1").await.unwrap().done, 1);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"], history(&item).len()), (&number(14), &number(1), 1));
    let copy = world.network.count("UpdateItem") - 1;
    let _next = documents.start("doc-1").await.unwrap();
    let held = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", copy).await.unwrap(), 400);
    assert_eq!(world.stored().await, held, "a late copy frees no later attempt");
}

#[database_test]
async fn takeover_that_is_faster_than_a_release_wins(world: World) {
    let documents = world.create_document().await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    let operator = operator(&world).await;
    world.network.next("UpdateItem", [DropRequest]);
    let taken_over = world.rival().start("doc-1").await.unwrap();
    let released = operator.release_expired("doc-1").await.unwrap();
    assert_eq!((released.done, released.skipped), (0, 1));
    taken_over.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test(reads_at_once)]
async fn rows_that_have_moved_on_are_skipped(world: World) {
    create_ignored(&world, ids(10)).await;
    let operator = operator(&world).await;
    let mut skipped = Vec::new();
    let on_result = |result: &tracker_core::ActionResult, _: tracker_core::ActionSummary| {
        if let tracker_core::ActionOutcome::Skipped(error) = &result.outcome {
            skipped.push(error.to_string());
        }
    };
    // Once the rows of the index are read, somebody redrives the tasks, and they fail again.
    let all = operator.redrive(TaskFilter::new().status("ignored")).per_second(1.0).on_result(on_result);
    world.clock.during_next_sleep(meanwhile_of(&world, 3));
    let redriven = all.await.unwrap();
    assert_eq!((redriven.done, redriven.skipped, redriven.failed), (3, 7, 0), "{skipped:?}");
    assert!(skipped.iter().all(|why| why.contains("has changed since it was found")), "{skipped:?}");
    for (nth, id) in ids(10).enumerate() {
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert_eq!(item["status"], number(if nth < 3 { 10 } else { 14 }), "{id}");
    }
}

/// Redrives all but the first tasks, and lets them fail again.
fn meanwhile_of(world: &World, first: usize) -> impl Future<Output = ()> + Send + 'static {
    let documents = world.documents();
    async move {
        for id in ids(10).skip(first) {
            documents.redrive(&id).await.unwrap();
            documents.start(&id).await.unwrap().fail("again").await.unwrap();
        }
    }
}
