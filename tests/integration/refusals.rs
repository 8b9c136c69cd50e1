//! Why a start does not happen, each refusal with the task as it was found.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tracker_core::{Clock, ErrorKind};

use crate::support::{Document, ExtractStatus, World, number, text};

crate::tests![
    there_is_no_such_task,
    another_worker_holds_it,
    it_has_succeeded,
    it_was_given_up,
    it_is_in_another_steps_status,
    a_foreign_lock_on_a_ready_task,
    a_clock_that_is_far_behind,
    a_clock_that_is_a_little_behind_is_waited_for,
    a_clock_that_is_known_to_be_off,
    a_clock_that_is_off_is_found_out_before_anything_is_written,
    of_32_starts_one_wins,
];

async fn there_is_no_such_task(world: World) {
    let error = world.documents().start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound);
    assert!(error.is_refusal() && error.task().is_none());
    assert_eq!(error.key(), Some("extract____doc-1"));
    assert_eq!(world.stored_as("extract____doc-1").await, None);
    assert_eq!(world.network.count("UpdateItem"), 1);
}

async fn another_worker_holds_it(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let before = world.stored().await;
    world.clock.advance(Duration::from_secs(100));
    let sent = world.network.count_all();
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert_eq!(world.network.count_all(), sent + 1, "no second read");
    let until = "2026-11-24T02:22:31.355394Z".parse().unwrap();
    assert_eq!(
        *error.kind(),
        ErrorKind::Locked { owner: Some("worker-1".to_owned()), until },
        "the end of the lease, and the skew"
    );
    let found = error.task().unwrap();
    assert_eq!(found.status_in::<ExtractStatus>(), Some(ExtractStatus::InProgress));
    assert_eq!(found.owner(), Some("worker-1"));
    assert_eq!(world.stored().await, before);
    execution.succeed().await.unwrap();
}

async fn it_has_succeeded(world: World) {
    let documents = world.document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let before = world.stored().await;
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadySucceeded);
    assert!(error.task().unwrap().is_succeeded());
    assert_eq!(world.stored().await, before);
}

async fn it_was_given_up(world: World) {
    world.document().await;
    let documents = world.builder::<Document>().max_retry(1).build().unwrap();
    documents.start("doc-1").await.unwrap().fail("poison").await.unwrap();
    let before = world.stored().await;
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);
    assert_eq!(error.task().unwrap().errors()[0].error, "poison");
    assert_eq!(world.stored().await, before);
}

async fn it_is_in_another_steps_status(world: World) {
    let documents = world.document().await;
    world.set("status", number(99)).await;
    let before = world.stored().await;
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotReady { status: "99".to_owned() });
    let found = error.task().unwrap();
    assert_eq!(found.status_in::<ExtractStatus>(), None);
    assert_eq!((found.status_code(), found.status_name()), (99, "99"));
    assert_eq!(world.stored().await, before);
}

async fn a_foreign_lock_on_a_ready_task(world: World) {
    let documents = world.document().await;
    let mut item = world.stored().await;
    item.insert("lock".to_owned(), text("somebody"));
    item.insert("lock_time".to_owned(), text("2026-11-24T02:17:26.355393+0000"));
    world.put(item).await;
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotReady { status: "Pending".to_owned() });
    assert_eq!(world.stored().await["lock"], text("somebody"));
    world.expire_lease();
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["retry"], number(0), "nobody had started it");
    assert_eq!(item["status"], number(16));
}

async fn a_clock_that_is_far_behind(world: World) {
    let documents = world.document().await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    world.clock.step_back(Duration::from_secs(1));
    let before = world.stored().await;
    let error = documents.start("doc-1").await.unwrap_err();
    // A second, the microsecond by which the finish was later than the start, and one to get past it.
    let by = Duration::from_micros(1_000_002);
    assert_eq!(*error.kind(), ErrorKind::ClockBehind { by });
    assert!(error.task().unwrap().is_failed());
    assert_eq!(world.stored().await, before);
    assert_eq!(world.network.count("UpdateItem"), 3);
}

async fn a_clock_that_is_a_little_behind_is_waited_for(world: World) {
    let documents = world.document().await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    world.clock.step_back(Duration::from_millis(200));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["status"], number(16));
    assert_eq!(item["attempt"], number(2));
}

async fn a_clock_that_is_known_to_be_off(world: World) {
    world.document().await;
    let documents = world.builder::<Document>().clock(world.clock.compared_with_service()).build().unwrap();
    let service = || world.clock.now().wall;
    for off in [TimeDelta::seconds(-20), TimeDelta::seconds(20)] {
        let told = |error: tracker_core::Error| {
            let ErrorKind::ClockOff { offset } = error.kind() else { panic!("{error}") };
            assert!((*offset - off).abs() <= TimeDelta::seconds(2), "{offset} is not {off}");
        };
        world.probe.date(service() - off);
        told(documents.start("doc-1").await.unwrap_err());
        let before = world.stored().await;
        assert_eq!((&before["lock"], &before["status"]), (&text("__not_locked__"), &number(10)));
        let sent = world.network.count_all();
        told(documents.start("doc-1").await.unwrap_err());
        assert_eq!(world.network.count_all(), sent + 1, "a read, to see whether the clock was set");
        assert_eq!(world.stored().await, before);
        // Within the skew, all is well again.
        world.probe.date(service() - TimeDelta::seconds(3));
        documents.start("doc-1").await.unwrap().release().await.unwrap();
        assert_eq!(world.stored().await["status"], number(10));
    }
}

async fn a_clock_that_is_off_is_found_out_before_anything_is_written(world: World) {
    let running = world.document().await.start("doc-1").await.unwrap();
    running.fail("once").await.unwrap();
    let years = world.clock.ahead_by(Duration::from_hours(24 * 365 * 73)).compared_with_service();
    let off = || world.builder::<Document>().clock(years.clone()).build().unwrap();
    world.probe.date(world.clock.now().wall);
    let before = world.stored().await;
    let is_off =
        |error: tracker_core::Error| assert!(matches!(error.kind(), ErrorKind::ClockOff { .. }), "{error}");
    is_off(off().start("doc-1").await.unwrap_err());
    assert_eq!(world.stored().await, before, "it could not be started for 73 years");

    let _held = world.documents().start("doc-1").await.unwrap();
    let held = world.stored().await;
    is_off(off().delete("doc-1").await.unwrap_err());
    assert_eq!(world.stored().await, held);
    // A clock that is right costs a read, once.
    let right = world.builder::<Document>().clock(world.clock.compared_with_service()).build().unwrap();
    assert!(matches!(right.start("doc-1").await.unwrap_err().kind(), ErrorKind::Locked { .. }));
    let reads = world.network.count("GetItem");
    assert!(matches!(right.start("doc-1").await.unwrap_err().kind(), ErrorKind::Locked { .. }));
    assert_eq!(world.network.count("GetItem"), reads);
}

async fn of_32_starts_one_wins(world: World) {
    let documents = Arc::new(world.documents());
    for round in 0..20 {
        let id = format!("doc-{round}");
        documents.create(Document::new(&id)).await.unwrap();
        let starts: Vec<_> = (0..32)
            .map(|nth| {
                let rival = world.builder::<Document>().owner(format!("worker-{nth}")).build().unwrap();
                let id = id.clone();
                tokio::spawn(async move { rival.start(&id).await })
            })
            .collect();
        let mut won = Vec::new();
        for start in starts {
            match start.await.unwrap() {
                Ok(execution) => won.push(execution),
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
                    assert!(error.task().unwrap().is_locked());
                }
            }
        }
        assert_eq!(won.len(), 1, "round {round}");
        let item = world.stored_as(&format!("extract____{id}")).await.unwrap();
        assert_eq!(item["attempt"], number(1));
        let winner = won.pop().unwrap();
        assert_eq!(item["owner"], text(winner.owner().unwrap()));
        winner.succeed().await.unwrap();
    }
}
