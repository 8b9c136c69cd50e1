//! What goes on without its caller, with a clock that counts as a machine's: nothing is spawned for it before the next look,
//! which is a second off at most.

use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use futures_util::poll;
use tracker_core::{Clock, ErrorKind, Tracker};

use crate::support::Fault::DropRequest;
use crate::support::{Document, World, beat, number, others_run, text};

crate::tests![
    a_heartbeat_begins_with_the_next_look,
    a_lease_that_is_over_by_then_has_none,
    a_save_before_the_first_look_keeps_no_heartbeat_from_beginning,
    a_finish_that_is_left_alone_is_recorded,
    a_start_that_is_left_alone_is_released_when_it_is_dropped,
    a_start_that_is_dropped_is_released,
];

const LOOK: Duration = Duration::from_secs(1);

/// With heartbeats, on a clock that counts as this machine's, and is right.
async fn documents(world: &World) -> Tracker<Document> {
    world.document().await;
    world.probe.date(world.clock.now().wall);
    world
        .beating()
        .clock(world.clock.waiting().compared_with_service())
        .build()
        .expect("a valid configuration")
}

async fn advance(world: &World, by: Duration) {
    world.clock.advance(by);
    world.probe.date(world.clock.now().wall);
    others_run().await;
}

/// Sets the clock forward to the next sleeper, again and again, until something holds.
async fn in_time<F: Future<Output = bool>>(world: &World, what: &str, mut holds: impl FnMut() -> F) {
    let next = || {
        if let Some(wake) = world.clock.next_wake() {
            world.clock.advance(wake);
            world.probe.date(world.clock.now().wall);
        }
        holds()
    };
    world.until(what, next).await;
}

async fn a_heartbeat_begins_with_the_next_look(world: World) {
    let documents = documents(&world).await;
    let task = documents.start("doc-1").await.unwrap();
    let started = world.stored().await;
    advance(&world, LOOK).await;
    for _ in 0..4 {
        beat(&world, 101).await;
        let error = world.rival().start("doc-1").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    }
    assert_eq!(world.stored().await["lock"], started["lock"]);
    task.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

async fn a_lease_that_is_over_by_then_has_none(world: World) {
    let documents = documents(&world).await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let sent = world.network.count_all();
    in_time(&world, "nobody looks any more", || ready(world.clock.next_wake().is_none())).await;
    assert_eq!(world.network.count_all(), sent);
    assert_eq!(world.stored().await["lock"], text("__not_locked__"));
    world.documents().create(Document::new("doc-2")).await.unwrap();
    let _held = documents.start("doc-2").await.unwrap();
    assert!(world.clock.next_wake().is_some_and(|wake| wake <= LOOK), "somebody looks again");
}

async fn a_save_before_the_first_look_keeps_no_heartbeat_from_beginning(world: World) {
    let documents = documents(&world).await;
    let mut task = documents.start("doc-1").await.unwrap();
    task.data_mut().pages = 7;
    task.save().await.unwrap();
    advance(&world, LOOK).await;
    beat(&world, 101).await;
    beat(&world, 101).await;
    beat(&world, 101).await;
    task.succeed().await.unwrap();
    assert_eq!(world.stored().await["data"].as_m().unwrap()["pages"], number(7));
}

async fn a_finish_that_is_left_alone_is_recorded(world: World) {
    let documents = documents(&world).await;
    let mut task = documents.start("doc-1").await.unwrap();
    task.data_mut().pages = 7;
    world.network.next("UpdateItem", [DropRequest]);
    let mut finish = pin!(task.succeed());
    assert!(poll!(&mut finish).is_pending());
    others_run().await;
    assert_eq!(world.stored().await["status"], number(12), "nobody has sent it again");
    advance(&world, LOOK).await;
    let succeeded = || async { world.stored().await["status"] == number(16) };
    in_time(&world, "it is sent again", succeeded).await;
    assert_eq!(world.stored().await["data"].as_m().unwrap()["pages"], number(7));
    assert!(finish.await.unwrap().is_succeeded());
}

async fn a_start_that_is_left_alone_is_released_when_it_is_dropped(world: World) {
    let documents = documents(&world).await;
    world.network.next("UpdateItem", [DropRequest]);
    let mut start = Box::pin(documents.start("doc-1"));
    assert!(poll!(&mut start).is_pending());
    others_run().await;
    advance(&world, LOOK).await;
    let started = || async { world.stored().await["status"] == number(12) };
    in_time(&world, "it is sent again", started).await;
    drop(start);
    assert_eq!(world.freed().await["status"], number(10));
}

async fn a_start_that_is_dropped_is_released(world: World) {
    let documents = documents(&world).await;
    world.network.next("UpdateItem", [DropRequest]);
    let mut start = Box::pin(documents.start("doc-1"));
    assert!(poll!(&mut start).is_pending());
    drop(start);
    let attempted = || async { world.stored().await.contains_key("attempt") };
    in_time(&world, "it goes on", attempted).await;
    assert_eq!(world.freed().await["status"], number(10));
}
