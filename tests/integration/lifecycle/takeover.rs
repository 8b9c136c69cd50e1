//! Expired leases, and the workers that take the tasks over.

use std::time::Duration;

use tracker_core::{ErrorKind, Takeover};
use tracker_test_macros::database_test;

use crate::support::{Document, World, number, text};

#[database_test]
async fn start_takes_over_expired_leases_until_the_task_is_ignored(world: World) {
    let documents = world.create_document().await;
    let crashed = documents.start("doc-1").await.unwrap();
    let first_lock = world.stored().await["lock"].clone();

    world.expire_lease();
    let second = world.rival().start("doc-1").await.unwrap();
    assert_eq!((second.attempt(), second.failed_attempts()), (2, 1));
    let item = world.stored().await;
    assert_eq!(item["status"], number(12));
    assert_eq!(item["retry"], number(1));
    assert_eq!(item["attempt"], number(2));
    assert_eq!(item["owner"], text("worker-2"));
    assert_eq!(item["started_from"], number(10));
    assert_ne!(item["lock"], first_lock);
    assert_eq!(item["lock_time"], item["update_time"]);
    assert!(second.errors()[0].error.contains("worker-1 did not finish"), "{:?}", second.errors());

    world.expire_lease();
    let third = documents.start("doc-1").await.unwrap();
    assert_eq!((third.attempt(), third.failed_attempts()), (3, 2));

    world.expire_lease();
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);
    assert!(error.task().unwrap().is_ignored());
    let item = world.stored().await;
    assert_eq!(item["status"], number(18));
    assert_eq!(item["value"], text("extract____018____001"));
    assert_eq!(item["retry"], number(3));
    assert_eq!(item["attempt"], number(3), "no attempt has begun");
    assert_eq!(item["lock"], text("__not_locked__"));
    assert_eq!(item["errors"].as_m().unwrap()["history"].as_l().unwrap().len(), 3);

    // No lost holder can write any more. The item still tells the last of them that its lease was lost. For attempts
    // that others have followed, the item holds no trace, and the outcome is unknown.
    for (lost, kind) in [
        (crashed, ErrorKind::OutcomeUnknown),
        (second, ErrorKind::OutcomeUnknown),
        (third, ErrorKind::LeaseLost),
    ] {
        let error = lost.succeed().await.unwrap_err();
        assert_eq!(*error.kind(), kind);
        assert!(error.task().unwrap().is_ignored(), "the error carries the task as it was found");
    }
    assert_eq!(world.stored().await, item);
}

#[database_test]
async fn start_takes_over_after_the_skew_and_not_before(world: World) {
    let documents = world.create_document().await;
    let _crashed = documents.start("doc-1").await.unwrap();
    // After 300 s of lease and 5 s of skew, the task is still held for this last microsecond.
    world.clock.advance(Duration::from_secs(305));
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    world.clock.advance(Duration::from_micros(1));
    let taken = world.rival().start("doc-1").await.unwrap();
    assert_eq!(taken.attempt(), 2);
    assert_eq!(world.stored().await["attempt"], number(2));
}

#[database_test]
async fn one_of_16_racing_takeovers_wins(world: World) {
    let documents = world.documents();
    for round in 0..10 {
        let id = format!("doc-{round}");
        documents.create(Document::new(&id)).await.unwrap();
        std::mem::forget(documents.start(&id).await.unwrap());
        world.expire_lease();
        let starts: Vec<_> = (0..16)
            .map(|_| {
                let (rival, id) = (world.rival(), id.clone());
                tokio::spawn(async move { rival.start(&id).await })
            })
            .collect();
        let mut won = Vec::new();
        for start in starts {
            match start.await.unwrap() {
                Ok(execution) => won.push(execution),
                Err(error) => assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}"),
            }
        }
        assert_eq!(won.len(), 1, "round {round}");
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert_eq!(item["attempt"], number(2));
        assert_eq!(item["retry"], number(1));
        won.pop().unwrap().succeed().await.unwrap();
    }
}

#[database_test]
async fn takeover_never_leaves_an_expired_lease_alone(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.expire_lease();
    let before = world.stored().await;
    let careful = world.builder::<Document>().takeover(Takeover::Never).build().unwrap();
    let error = careful.start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    assert_eq!(world.stored().await, before);
    let error = careful.delete("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    assert_eq!(world.stored().await, before, "the holder may be a worker that renews no lease");
    // The finish is late, but recorded, because nobody has taken the task over.
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn release_after_a_takeover_keeps_the_lost_attempt_counted(world: World) {
    let documents = world.create_document().await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    let task = world.rival().start("doc-1").await.unwrap().release().await.unwrap();
    assert!(task.is_pending());
    let item = world.stored().await;
    assert_eq!(item["status"], number(10));
    assert_eq!(item["retry"], number(1), "the lost attempt stays counted");
    assert_eq!(item["attempt"], number(2));
}

#[database_test]
async fn release_after_a_start_by_python_marks_the_task_failed(world: World) {
    world.create_document().await.start("doc-1").await.unwrap().succeed().await.unwrap();
    // A start by Python leaves `started_from` and `attempt` as they are.
    assert_eq!(world.stored().await["started_from"], number(10));
    world.set_attribute("status", number(22)).await;
    world.set_attribute("lock", text("00000000000000000000000000000009")).await;
    world.expire_lease();
    world.summaries().start("doc-1").await.unwrap().release().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["status"], number(24), "`Failed` of the second step, not `Pending` of the first");
    assert_eq!(item["lock"], text("__not_locked__"));
}

#[database_test]
async fn lost_holder_changes_nothing(world: World) {
    let documents = world.create_document().await;
    let lose_lease = || async {
        let execution = documents.start("doc-1").await.unwrap();
        world.expire_lease();
        let holder = world.rival().start("doc-1").await.unwrap();
        (execution, holder)
    };
    let (mut execution, holder) = lose_lease().await;
    let before = world.stored().await;
    execution.data_mut().pages = 99;
    assert_eq!(*execution.save().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    assert_eq!(error.task().unwrap().owner(), Some("worker-2"));
    assert_eq!(world.stored().await, before, "the new holder's item is unchanged");
    holder.release().await.unwrap();

    let (execution, holder) = lose_lease().await;
    let before = world.stored().await;
    assert_eq!(*execution.fail("late").await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(world.stored().await, before);
    holder.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn start_answered_after_its_deadline_is_released(world: World) {
    let documents = world.create_document().await;
    // The answer is lost, and the lease is over before the start is sent again.
    let network = world.network.clone();
    network.next("UpdateItem", [crate::support::Fault::DropResponse]);
    let slow = world.builder::<Document>().lock_expire(Duration::from_secs(3)).build().unwrap();
    world.clock.extend_sleeps_by(Duration::from_secs(10));
    let error = slow.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    let item = world.stored().await;
    assert_eq!(item["lock"], text("__not_locked__"), "released");
    assert_eq!(item["status"], number(10));
    assert_eq!(item["retry"], number(0));
    drop(documents);
}

#[database_test]
async fn workers_exclude_each_other_when_clocks_differ_within_the_skew(world: World) {
    let documents = world.create_document().await;
    let fast = world.clock.ahead_by(Duration::from_secs(5));
    let fast = world.builder::<Document>().clock(fast).owner("fast").build().unwrap();
    // Whichever of the two holds the task, the other takes it over only after the holder's own deadline.
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
        // Advance past the time that the fast clock has written.
        world.clock.advance(Duration::from_secs(6));
    }
    assert_eq!(world.stored().await["retry"], number(2));
}
