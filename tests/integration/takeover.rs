//! Leases that expire, and who gets the task then.

use std::time::Duration;

use tracker_core::{ErrorKind, Takeover};

use crate::support::{Document, World, number, text};

crate::tests![
    an_expired_lease_is_taken_over_until_ignored,
    a_lease_is_taken_over_after_the_skew_and_not_before,
    of_many_takeovers_one_wins,
    takeover_can_be_switched_off,
    release_after_a_takeover,
    release_of_a_task_that_python_took_further,
    the_lost_holder_changes_nothing,
    a_start_that_was_answered_after_its_deadline,
];

async fn an_expired_lease_is_taken_over_until_ignored(world: World) {
    let documents = world.document().await;
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
    assert_eq!(item["attempt"], number(3), "nobody was given the task");
    assert_eq!(item["lock"], text("__not_locked__"));
    assert_eq!(item["errors"].as_m().unwrap()["history"].as_l().unwrap().len(), 3);

    // None of those who lost it can write any more.
    // The item tells the last of them why; of an attempt that others followed, only that it left no trace.
    for (lost, kind) in [
        (crashed, ErrorKind::OutcomeUnknown),
        (second, ErrorKind::OutcomeUnknown),
        (third, ErrorKind::LeaseLost),
    ] {
        let error = lost.succeed().await.unwrap_err();
        assert_eq!(*error.kind(), kind);
        assert!(error.task().unwrap().is_ignored(), "as it was found");
    }
    assert_eq!(world.stored().await, item);
}

async fn a_lease_is_taken_over_after_the_skew_and_not_before(world: World) {
    let documents = world.document().await;
    let _crashed = documents.start("doc-1").await.unwrap();
    // 300 s of lease and 5 s of skew: the last moment at which it is still held.
    world.clock.advance(Duration::from_secs(305));
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    world.clock.advance(Duration::from_micros(1));
    let taken = world.rival().start("doc-1").await.unwrap();
    assert_eq!(taken.attempt(), 2);
    assert_eq!(world.stored().await["attempt"], number(2));
}

async fn of_many_takeovers_one_wins(world: World) {
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
        let item = world.stored_as(&format!("extract____{id}")).await.unwrap();
        assert_eq!(item["attempt"], number(2));
        assert_eq!(item["retry"], number(1));
        won.pop().unwrap().succeed().await.unwrap();
    }
}

async fn takeover_can_be_switched_off(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.expire_lease();
    let before = world.stored().await;
    let careful = world.builder::<Document>().takeover(Takeover::Never).build().unwrap();
    let error = careful.start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    assert_eq!(world.stored().await, before);
    let error = careful.delete("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    assert_eq!(world.stored().await, before, "its holder may be one that renews no lease");
    // Late, but nobody has taken the task: what was done is recorded.
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

async fn release_after_a_takeover(world: World) {
    let documents = world.document().await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    let task = world.rival().start("doc-1").await.unwrap().release().await.unwrap();
    assert!(task.is_pending());
    let item = world.stored().await;
    assert_eq!(item["status"], number(10));
    assert_eq!(item["retry"], number(1), "the lost attempt stays counted");
    assert_eq!(item["attempt"], number(2));
}

async fn release_of_a_task_that_python_took_further(world: World) {
    world.document().await.start("doc-1").await.unwrap().succeed().await.unwrap();
    // Its start knows nothing of `started_from`, nor of `attempt`.
    assert_eq!(world.stored().await["started_from"], number(10));
    world.set("status", number(22)).await;
    world.set("lock", text("00000000000000000000000000000009")).await;
    world.expire_lease();
    world.summaries().start("doc-1").await.unwrap().release().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["status"], number(24), "the second step's failed, and not the first one's pending");
    assert_eq!(item["lock"], text("__not_locked__"));
}

async fn the_lost_holder_changes_nothing(world: World) {
    let documents = world.document().await;
    let lost = || async {
        let execution = documents.start("doc-1").await.unwrap();
        world.expire_lease();
        let holder = world.rival().start("doc-1").await.unwrap();
        (execution, holder)
    };
    let (mut execution, holder) = lost().await;
    let before = world.stored().await;
    execution.data_mut().pages = 99;
    assert_eq!(*execution.save().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    assert_eq!(error.task().unwrap().owner(), Some("worker-2"));
    assert_eq!(world.stored().await, before, "the new holder is untouched");
    holder.release().await.unwrap();

    let (execution, holder) = lost().await;
    let before = world.stored().await;
    assert_eq!(*execution.fail("late").await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(world.stored().await, before);
    holder.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

async fn a_start_that_was_answered_after_its_deadline(world: World) {
    let documents = world.document().await;
    // The answer is lost, and by the time the start is sent again the lease is over.
    let network = world.network.clone();
    network.next("UpdateItem", [crate::support::Fault::DropResponse]);
    let slow = world.builder::<Document>().lock_expire(Duration::from_secs(3)).build().unwrap();
    world.clock.sleep_longer_by(Duration::from_secs(10));
    let error = slow.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    let item = world.stored().await;
    assert_eq!(item["lock"], text("__not_locked__"), "released");
    assert_eq!(item["status"], number(10));
    assert_eq!(item["retry"], number(0));
    drop(documents);
}
