//! Closures that block a thread, and the lease that is kept until they return.

use std::sync::mpsc as blocking;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tracker_core::{Clock, ErrorKind, Event, EventKind, Execution, StopReason};
use tracker_test_macros::database_test;

use crate::support::{Document, World, number, text};

const MINUTE: Duration = Duration::from_mins(1);

/// The closure goes on after the timeout, and nobody else can start the task before the closure has returned.
#[database_test]
async fn blocking_closure_keeps_the_lease_until_it_returns(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().timeout(Duration::from_secs(250)).build().unwrap();
    let (go_on, goes_on) = blocking::channel::<()>();
    let (reason, reasons) = blocking::channel();
    let (begin, mut begun) = mpsc::unbounded_channel();
    let run = tokio::spawn({
        let documents = documents.clone();
        async move {
            let body = async |task: &mut Execution<Document>| {
                task.spawn_blocking(move |stop| {
                    assert!(!stop.is_stopped());
                    begin.send(()).unwrap();
                    goes_on.recv().unwrap();
                    reason.send(stop.reason()).unwrap();
                })
                .await;
                Ok(())
            };
            documents.run("doc-1", body).await
        }
    });
    // Its thread may begin late on a busy machine, and the clock must not pass the timeout before.
    begun.recv().await.expect("the closure has begun");
    let (clock, began) = (world.clock.manual(), world.clock.now().monotonic);
    while world.clock.now().monotonic < began + Duration::from_secs(450) {
        clock.drive().await;
    }
    assert!(!run.is_finished(), "the timeout has passed");
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    go_on.send(()).unwrap();
    // The clock stands still: the thread may return late on a busy machine, and the lease must not end before.
    let error = run.await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BodyFailed { ignored: false });
    assert_eq!(reasons.recv().unwrap(), Some(StopReason::TimedOut));
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"], &item["retry"]), (&number(14), &number(1), &number(1)));
}

/// A closure that never returns holds the task no longer than one lease after the timeout.
#[database_test]
async fn blocking_closure_that_never_returns_loses_the_lease(world: World) {
    world.create_document().await;
    let (events, mut kinds) = mpsc::unbounded_channel();
    let observer = move |event: &Event<'_>| {
        let _ = events.send(event.kind);
    };
    let documents =
        world.builder_with_heartbeat().timeout(Duration::from_secs(250)).observer(observer).build().unwrap();
    let (go_on, goes_on) = blocking::channel::<()>();
    let run = tokio::spawn(async move {
        let body = async |task: &mut Execution<Document>| {
            task.spawn_blocking(move |stop| {
                while goes_on.recv().is_ok() {}
                stop.reason()
            })
            .await;
            Ok(())
        };
        documents.run("doc-1", body).await
    });
    let began = world.clock.now().monotonic;
    let error = world.run_while_advancing_clock(run).await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    let took = world.clock.now().monotonic.saturating_sub(began);
    assert!((Duration::from_secs(550)..Duration::from_secs(860)).contains(&took), "{took:?}");
    let mut seen = Vec::new();
    while let Ok(kind) = kinds.try_recv() {
        seen.push(kind);
    }
    assert_eq!(seen.iter().filter(|kind| **kind == EventKind::Unresponsive).count(), 1, "{seen:?}");
    world.clock.advance(Duration::from_secs(6));
    let taken_over = world.rival().start("doc-1").await.unwrap();
    assert_eq!(taken_over.attempt(), 2);
    taken_over.succeed().await.unwrap();
    drop(go_on);
}

/// The body returns and leaves its closure behind. The closure is told so, and the success is recorded once it returns.
#[database_test]
async fn closure_that_outlives_its_body_keeps_the_lease(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().build().unwrap();
    let (reason, mut reasons) = mpsc::unbounded_channel();
    let (go_on, goes_on) = blocking::channel::<()>();
    let run = tokio::spawn(async move {
        let body = async |task: &mut Execution<Document>| {
            let (began, begins) = tokio::sync::oneshot::channel();
            let mut closure = Box::pin(task.spawn_blocking(move |stop| {
                began.send(()).unwrap();
                let begin = Instant::now();
                while !stop.is_stopped() && begin.elapsed() < MINUTE {
                    std::thread::yield_now();
                }
                reason.send(stop.reason()).unwrap();
                goes_on.recv().unwrap();
            }));
            assert!(futures_util::poll!(&mut closure).is_pending());
            begins.await.unwrap();
            Ok(())
        };
        documents.run("doc-1", body).await
    });
    assert_eq!(reasons.recv().await.unwrap(), Some(StopReason::Dropped));
    assert!(!run.is_finished());
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    go_on.send(()).unwrap();
    run.await.unwrap().unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(1)));
}

/// The future of a closure is first polled when the attempt has ended. Another worker may hold the task by then.
#[database_test]
async fn closure_does_not_begin_after_the_end_of_its_attempt(world: World) {
    let documents = world.create_document().await;
    let (ran, runs) = blocking::channel::<()>();
    let mut late = None;
    let body = async |task: &mut Execution<Document>| {
        late = Some(task.spawn_blocking(move |_| ran.send(()).unwrap()));
        Ok(())
    };
    documents.run("doc-1", body).await.unwrap();
    assert_eq!(late.unwrap().now_or_never(), None);
    assert!(runs.recv().is_err(), "the closure was dropped and has not run");
    assert_eq!(world.stored().await["status"], number(16));
}

/// Nobody drops the future of a closure in an execution by hand, so it must not wait for ever.
#[database_test]
async fn closure_of_an_execution_by_hand_is_told_that_the_lease_is_lost(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    world.set_attribute("lock", text("another")).await;
    world.run_while_advancing_clock(execution.lost()).await;
    let closure = execution.spawn_blocking(|stop| stop.reason());
    let reason = tokio::time::timeout(MINUTE, closure).await.expect("a closure that ends");
    assert_eq!(reason, Some(StopReason::LeaseLost));
    assert_eq!(*execution.succeed().await.unwrap_err().kind(), ErrorKind::LeaseLost);
}
