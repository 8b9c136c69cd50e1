//! The background ticker: it begins heartbeats, and completes starts and finishes that their callers do not poll.

use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::thread;
use std::time::Duration;

use futures_util::poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::testing::ManualTicker;
use tracker_core::{Clock, Error, ErrorKind, Event, EventKind, Execution, StatusTracker, Tracker};
use tracker_test_macros::database_test;

use crate::support::Fault::{Delay, DropRequest};
use crate::support::{
    Document, World, advance_through_heartbeat, let_other_tasks_run, local_config, number, time,
};

const TICK: Duration = Duration::from_secs(1);

/// Creates `doc-1`; returns a tracker whose ticker ticks when the test says so.
async fn tracker_with_manual_ticker(world: &World) -> (Tracker<Document>, ManualTicker) {
    world.create_document().await;
    let ticker = ManualTicker::new();
    (world.builder_with_heartbeat().__ticker(&ticker).build().expect("a valid configuration"), ticker)
}

/// Advances the clock by a second, and ticks.
async fn tick_after_a_second(world: &World, ticker: &ManualTicker) {
    world.clock.advance(TICK);
    assert!(ticker.tick(), "nothing was queued for the tick");
    let_other_tasks_run().await;
}

/// Advances the clock to the next sleeper, again and again, until a condition holds.
async fn advance_until<F: Future<Output = bool>>(world: &World, what: &str, mut holds: impl FnMut() -> F) {
    let next = || {
        if let Some(wake) = world.clock.next_wake() {
            world.clock.advance(wake);
        }
        holds()
    };
    world.wait_until(what, next).await;
}

async fn assert_locked(world: &World) {
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
}

#[database_test]
async fn heartbeat_begins_at_the_next_tick(world: World) {
    let (documents, ticker) = tracker_with_manual_ticker(&world).await;
    let task = documents.start("doc-1").await.unwrap();
    let started = world.stored().await;
    let_other_tasks_run().await;
    assert_eq!(world.clock.next_wake(), None, "nobody sleeps");
    tick_after_a_second(&world, &ticker).await;
    for _ in 0..4 {
        advance_through_heartbeat(&world, 101).await;
        assert_locked(&world).await;
    }
    assert_eq!(world.stored().await["lock"], started["lock"]);
    task.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn first_heartbeat_counts_from_the_start_of_the_attempt(world: World) {
    let (documents, ticker) = tracker_with_manual_ticker(&world).await;
    let task = documents.start("doc-1").await.unwrap();
    // The machine was suspended before the first tick.
    world.clock.advance(Duration::from_secs(150));
    assert!(ticker.tick());
    let renewed = || ready(task.remaining() == Duration::from_mins(5));
    world.wait_until("the first heartbeat is answered", renewed).await;
    assert_eq!(world.stored().await["lock_time"], time(world.clock.now().wall));
    world.clock.advance(Duration::from_secs(299));
    assert_locked(&world).await;
    drop(task);
    assert_eq!(world.wait_until_unlocked().await["retry"], number(1));
}

#[database_test]
async fn attempt_that_ends_before_the_tick_has_no_heartbeat(world: World) {
    let (documents, ticker) = tracker_with_manual_ticker(&world).await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let (sent, stored) = (world.network.count_all(), world.stored().await);
    tick_after_a_second(&world, &ticker).await;
    assert_eq!(world.clock.next_wake(), None, "nobody sleeps");
    assert!(!ticker.tick(), "nothing is queued any more");
    assert_eq!((world.network.count_all() - 1, world.stored().await), (sent, stored));
}

#[database_test]
async fn heartbeat_of_a_short_lease_begins_at_once(world: World) {
    world.create_document().await;
    let ticker = ManualTicker::new();
    let short = world.builder_with_heartbeat().lock_expire(Duration::from_secs(29)).__ticker(&ticker);
    let _task = short.build().unwrap().start("doc-1").await.unwrap();
    advance_through_heartbeat(&world, 10).await;
    advance_through_heartbeat(&world, 10).await;
}

#[database_test]
async fn save_before_the_first_tick_does_not_prevent_the_heartbeat(world: World) {
    let (documents, ticker) = tracker_with_manual_ticker(&world).await;
    let mut task = documents.start("doc-1").await.unwrap();
    task.data_mut().pages = 7;
    task.save().await.unwrap();
    tick_after_a_second(&world, &ticker).await;
    for _ in 0..3 {
        advance_through_heartbeat(&world, 101).await;
    }
    task.succeed().await.unwrap();
    assert_eq!(world.stored().await["data"].as_m().unwrap()["pages"], number(7));
}

#[database_test]
async fn unpolled_finish_is_recorded(world: World) {
    let (documents, ticker) = tracker_with_manual_ticker(&world).await;
    let mut task = documents.start("doc-1").await.unwrap();
    task.data_mut().pages = 7;
    world.network.next("UpdateItem", [DropRequest]);
    let mut finish = pin!(task.succeed());
    assert!(poll!(&mut finish).is_pending());
    let_other_tasks_run().await;
    assert_eq!(world.stored().await["status"], number(12), "the finish was not sent again");
    tick_after_a_second(&world, &ticker).await;
    let succeeded = || async { world.stored().await["status"] == number(16) };
    advance_until(&world, "the finish is sent again", succeeded).await;
    assert_eq!(world.stored().await["data"].as_m().unwrap()["pages"], number(7));
    assert!(finish.await.unwrap().is_succeeded());
}

/// Polls a start once, and lets the ticker complete it while nobody polls it.
async fn start_without_polling<'d>(
    world: &World,
    documents: &'d Tracker<Document>,
    ticker: &ManualTicker,
) -> Pin<Box<dyn Future<Output = Result<Execution<Document>, Error>> + Send + 'd>> {
    world.network.next("UpdateItem", [Delay(TICK)]);
    let before = world.stored().await.get("attempt").cloned();
    let mut start = Box::pin(documents.start("doc-1"));
    assert!(poll!(&mut start).is_pending());
    tick_after_a_second(world, ticker).await;
    advance_until(world, "the start is applied", || async {
        world.stored().await.get("attempt") != before.as_ref()
    })
    .await;
    let_other_tasks_run().await;
    start
}

#[database_test]
async fn unpolled_start_is_released_when_it_is_dropped(world: World) {
    let (documents, ticker) = tracker_with_manual_ticker(&world).await;
    drop(start_without_polling(&world, &documents, &ticker).await);
    let item = world.wait_until_unlocked().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(10), &number(0)));
}

#[database_test]
async fn start_polled_after_its_lease_holds_nothing(world: World) {
    let (documents, ticker) = tracker_with_manual_ticker(&world).await;
    let start = start_without_polling(&world, &documents, &ticker).await;
    world.expire_lease();
    assert_eq!(*start.await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(
        world.wait_until_unlocked().await["status"],
        number(10),
        "released, because nobody had taken the task over"
    );

    let start = start_without_polling(&world, &documents, &ticker).await;
    world.expire_lease();
    let rival = world.rival().start("doc-1").await.unwrap();
    let taken = world.stored().await;
    assert_eq!(*start.await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(world.stored().await, taken, "the rival still holds the task");
    rival.succeed().await.unwrap();
}

/// A client whose connections no other runtime uses.
fn own_client(world: &World) -> Client {
    world.endpoint.as_deref().map(local_config).map_or(world.client.clone(), Client::from_conf)
}

/// Runs a future in a task of another runtime, which has two worker threads.
fn spawn_on_another_runtime<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    spawn_blocking(|| {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { tokio::spawn(work).await.unwrap() })
    })
}

/// Blocks its thread, without awaiting, until the sender is dropped.
fn block_until_dropped(until: std::sync::mpsc::Receiver<()>) {
    until.into_iter().for_each(drop);
}

/// On DynamoDB Local the first heartbeat is late. A task on the blocked thread serves the connection that the start has
/// used, and the SDK abandons that connection only after a timeout.
#[database_test]
async fn body_that_never_awaits_keeps_its_lease(world: World) {
    world.create_document().await;
    let ticker = ManualTicker::new();
    let documents = Document::tracker_builder(&own_client(&world))
        .table(&world.table)
        .clock(world.clock.manual())
        .__ticker(&ticker)
        .build()
        .unwrap();
    let (entered, in_body) = oneshot::channel();
    let (unblock, blocked) = std::sync::mpsc::channel::<()>();
    let run = spawn_on_another_runtime(async move {
        let body = async |_: &mut Execution<Document>| {
            let _ = entered.send(());
            block_until_dropped(blocked);
            Ok(())
        };
        documents.run("doc-1", body).await
    });
    in_body.await.unwrap();
    tick_after_a_second(&world, &ticker).await;
    for _ in 0..4 {
        advance_through_heartbeat(&world, 101).await;
        assert_locked(&world).await;
    }
    drop(unblock);
    run.await.unwrap().unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

/// An observer, and a channel that receives a message for each answered heartbeat.
fn heartbeat_channel() -> (impl Fn(&Event<'_>) + Send + Sync, mpsc::UnboundedReceiver<()>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let observer = move |event: &Event<'_>| {
        if event.kind == EventKind::Heartbeat {
            let _ = sender.send(());
        }
    };
    (observer, receiver)
}

/// Starts a server that echoes what one client sends; returns its address.
fn start_echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        std::io::copy(&mut socket.try_clone().unwrap(), &mut socket)
    });
    at
}

/// Uses the system clock, because a manual clock itself wakes its sleepers from outside the runtime.
#[database_test]
async fn body_that_computes_after_socket_io_keeps_its_lease(world: World) {
    let (observer, mut receiver) = heartbeat_channel();
    let documents = Document::tracker_builder(&own_client(&world))
        .table(&world.table)
        .lock_expire(Duration::from_secs(12))
        .observer(observer)
        .build()
        .unwrap();
    let (entered, in_body) = oneshot::channel();
    let (unblock, blocked) = std::sync::mpsc::channel::<()>();
    let run = spawn_on_another_runtime(async move {
        documents.create(Document::new("doc-1")).await.unwrap();
        let body = async |_: &mut Execution<Document>| {
            let mut socket = TcpStream::connect(start_echo_server()).await?;
            for _ in 0..20 {
                socket.write_all(b"?").await?;
                socket.read_exact(&mut [0]).await?;
            }
            // Only the socket has woken this thread. From now on the timers of the runtime wait behind it.
            let _ = entered.send(());
            block_until_dropped(blocked);
            Ok(())
        };
        documents.run("doc-1", body).await
    });
    in_body.await.unwrap();
    let started = world.stored().await;
    let heartbeat = tokio::time::timeout(Duration::from_mins(1), receiver.recv()).await;
    let renewed = world.stored().await;
    drop(unblock);
    let ended: Result<(), Error> = run.await.unwrap();
    assert!(heartbeat.is_ok(), "no heartbeat within a minute");
    ended.unwrap();
    assert_eq!(renewed["lock"], started["lock"]);
    assert_ne!(renewed["lock_time"], started["lock_time"]);
    assert_eq!(world.stored().await["status"], number(16));
}
