//! What is seen to from outside of the runtime: heartbeats that begin with the next look, and what its caller leaves alone.

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

use crate::support::Fault::{Delay, DropRequest};
use crate::support::{Document, World, beat, local, number, others_run, time};

crate::tests![
    a_heartbeat_begins_with_the_next_look,
    the_first_heartbeat_counts_from_the_start,
    an_attempt_that_is_over_by_then_has_none,
    one_of_a_short_lease_begins_at_once,
    a_save_before_the_first_look_keeps_no_heartbeat_from_beginning,
    a_finish_that_is_left_alone_is_recorded,
    a_start_that_is_left_alone_is_released_when_it_is_dropped,
    a_start_that_is_asked_for_after_its_lease_holds_nothing,
    a_body_that_never_awaits_keeps_its_lease,
    a_body_that_computes_keeps_its_lease,
];

const LOOK: Duration = Duration::from_secs(1);

/// With `doc-1`, and a tracker that is seen to when the test looks.
async fn documents(world: &World) -> (Tracker<Document>, ManualTicker) {
    world.document().await;
    let ticker = ManualTicker::new();
    (world.beating().__ticker(&ticker).build().expect("a valid configuration"), ticker)
}

/// A look, a second later.
async fn look(world: &World, ticker: &ManualTicker) {
    world.clock.advance(LOOK);
    assert!(ticker.tick(), "nothing has waited");
    others_run().await;
}

/// Sets the clock forward to the next sleeper, again and again, until something holds.
async fn in_time<F: Future<Output = bool>>(world: &World, what: &str, mut holds: impl FnMut() -> F) {
    let next = || {
        if let Some(wake) = world.clock.next_wake() {
            world.clock.advance(wake);
        }
        holds()
    };
    world.until(what, next).await;
}

async fn is_locked(world: &World) {
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
}

async fn a_heartbeat_begins_with_the_next_look(world: World) {
    let (documents, ticker) = documents(&world).await;
    let task = documents.start("doc-1").await.unwrap();
    let started = world.stored().await;
    others_run().await;
    assert_eq!(world.clock.next_wake(), None, "nobody sleeps");
    look(&world, &ticker).await;
    for _ in 0..4 {
        beat(&world, 101).await;
        is_locked(&world).await;
    }
    assert_eq!(world.stored().await["lock"], started["lock"]);
    task.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

async fn the_first_heartbeat_counts_from_the_start(world: World) {
    let (documents, ticker) = documents(&world).await;
    let task = documents.start("doc-1").await.unwrap();
    // A machine that was suspended before the first look.
    world.clock.advance(Duration::from_secs(150));
    assert!(ticker.tick());
    let renewed = || ready(task.remaining() == Duration::from_mins(5));
    world.until("a heartbeat, at once", renewed).await;
    assert_eq!(world.stored().await["lock_time"], time(world.clock.now().wall));
    world.clock.advance(Duration::from_secs(299));
    is_locked(&world).await;
    drop(task);
    assert_eq!(world.freed().await["retry"], number(1));
}

async fn an_attempt_that_is_over_by_then_has_none(world: World) {
    let (documents, ticker) = documents(&world).await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let (sent, stored) = (world.network.count_all(), world.stored().await);
    look(&world, &ticker).await;
    assert_eq!(world.clock.next_wake(), None, "nobody sleeps");
    assert!(!ticker.tick(), "and nothing waits any more");
    assert_eq!((world.network.count_all() - 1, world.stored().await), (sent, stored));
}

async fn one_of_a_short_lease_begins_at_once(world: World) {
    world.document().await;
    let ticker = ManualTicker::new();
    let short = world.beating().lock_expire(Duration::from_secs(29)).__ticker(&ticker);
    let _task = short.build().unwrap().start("doc-1").await.unwrap();
    beat(&world, 10).await;
    beat(&world, 10).await;
}

async fn a_save_before_the_first_look_keeps_no_heartbeat_from_beginning(world: World) {
    let (documents, ticker) = documents(&world).await;
    let mut task = documents.start("doc-1").await.unwrap();
    task.data_mut().pages = 7;
    task.save().await.unwrap();
    look(&world, &ticker).await;
    for _ in 0..3 {
        beat(&world, 101).await;
    }
    task.succeed().await.unwrap();
    assert_eq!(world.stored().await["data"].as_m().unwrap()["pages"], number(7));
}

async fn a_finish_that_is_left_alone_is_recorded(world: World) {
    let (documents, ticker) = documents(&world).await;
    let mut task = documents.start("doc-1").await.unwrap();
    task.data_mut().pages = 7;
    world.network.next("UpdateItem", [DropRequest]);
    let mut finish = pin!(task.succeed());
    assert!(poll!(&mut finish).is_pending());
    others_run().await;
    assert_eq!(world.stored().await["status"], number(12), "nobody has sent it again");
    look(&world, &ticker).await;
    let succeeded = || async { world.stored().await["status"] == number(16) };
    in_time(&world, "it is sent again", succeeded).await;
    assert_eq!(world.stored().await["data"].as_m().unwrap()["pages"], number(7));
    assert!(finish.await.unwrap().is_succeeded());
}

/// A start that was polled once, and that nobody polled while it went on.
async fn left_alone<'d>(
    world: &World,
    documents: &'d Tracker<Document>,
    ticker: &ManualTicker,
) -> Pin<Box<dyn Future<Output = Result<Execution<Document>, Error>> + Send + 'd>> {
    world.network.next("UpdateItem", [Delay(LOOK)]);
    let before = world.stored().await.get("attempt").cloned();
    let mut start = Box::pin(documents.start("doc-1"));
    assert!(poll!(&mut start).is_pending());
    look(world, ticker).await;
    in_time(world, "it goes on by itself", || async {
        world.stored().await.get("attempt") != before.as_ref()
    })
    .await;
    others_run().await;
    start
}

async fn a_start_that_is_left_alone_is_released_when_it_is_dropped(world: World) {
    let (documents, ticker) = documents(&world).await;
    drop(left_alone(&world, &documents, &ticker).await);
    let item = world.freed().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(10), &number(0)));
}

async fn a_start_that_is_asked_for_after_its_lease_holds_nothing(world: World) {
    let (documents, ticker) = documents(&world).await;
    let start = left_alone(&world, &documents, &ticker).await;
    world.expire_lease();
    assert_eq!(*start.await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(world.freed().await["status"], number(10), "nobody had taken it");

    let start = left_alone(&world, &documents, &ticker).await;
    world.expire_lease();
    let rival = world.rival().start("doc-1").await.unwrap();
    let taken = world.stored().await;
    assert_eq!(*start.await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(world.stored().await, taken, "the rival's");
    rival.succeed().await.unwrap();
}

/// A client whose connections no other runtime has.
fn client(world: &World) -> Client {
    world.endpoint.as_deref().map(local).map_or(world.client.clone(), Client::from_conf)
}

/// Runs a future in a task of another runtime, which has two worker threads.
fn elsewhere<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    spawn_blocking(|| {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { tokio::spawn(work).await.unwrap() })
    })
}

/// Awaits nothing until somebody drops the other end.
fn computes(until: std::sync::mpsc::Receiver<()>) {
    until.into_iter().for_each(drop);
}

/// Over a socket, the first heartbeat is late by what the SDK takes to give up a connection: the one that the start has used
/// is served by a task that waits for the thread which computes.
async fn a_body_that_never_awaits_keeps_its_lease(world: World) {
    world.document().await;
    let ticker = ManualTicker::new();
    let documents = Document::tracker_builder(&client(&world))
        .table(&world.table)
        .clock(world.clock.waiting())
        .__ticker(&ticker)
        .build()
        .unwrap();
    let (entered, in_body) = oneshot::channel();
    let (go_on, waits) = std::sync::mpsc::channel::<()>();
    let run = elsewhere(async move {
        let body = async |_: &mut Execution<Document>| {
            let _ = entered.send(());
            computes(waits);
            Ok(())
        };
        documents.run("doc-1", body).await
    });
    in_body.await.unwrap();
    look(&world, &ticker).await;
    for _ in 0..4 {
        beat(&world, 101).await;
        is_locked(&world).await;
    }
    drop(go_on);
    run.await.unwrap().unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

/// Tells of each heartbeat that was answered.
fn heartbeats() -> (impl Fn(&Event<'_>) + Send + Sync, mpsc::UnboundedReceiver<()>) {
    let (beats, heard) = mpsc::unbounded_channel();
    let told = move |event: &Event<'_>| {
        if event.kind == EventKind::Heartbeat {
            let _ = beats.send(());
        }
    };
    (told, heard)
}

/// Echoes what it is sent by one client.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        std::io::copy(&mut socket.try_clone().unwrap(), &mut socket)
    });
    at
}

/// By the machine's clock: one that is set by hand itself wakes its sleepers from outside of the runtime.
async fn a_body_that_computes_keeps_its_lease(world: World) {
    let (beats, mut heard) = heartbeats();
    let documents = Document::tracker_builder(&client(&world))
        .table(&world.table)
        .lock_expire(Duration::from_secs(12))
        .observer(beats)
        .build()
        .unwrap();
    let (entered, in_body) = oneshot::channel();
    let (go_on, waits) = std::sync::mpsc::channel::<()>();
    let run = elsewhere(async move {
        documents.create(Document::new("doc-1")).await.unwrap();
        let body = async |_: &mut Execution<Document>| {
            let mut socket = TcpStream::connect(echo()).await?;
            for _ in 0..20 {
                socket.write_all(b"?").await?;
                socket.read_exact(&mut [0]).await?;
            }
            // Woken by the socket alone, which the timers wait behind from now on.
            let _ = entered.send(());
            computes(waits);
            Ok(())
        };
        documents.run("doc-1", body).await
    });
    in_body.await.unwrap();
    let started = world.stored().await;
    let heartbeat = tokio::time::timeout(Duration::from_mins(1), heard.recv()).await;
    let renewed = world.stored().await;
    drop(go_on);
    let ended: Result<(), Error> = run.await.unwrap();
    assert!(heartbeat.is_ok(), "none within a minute");
    ended.unwrap();
    assert_eq!(renewed["lock"], started["lock"]);
    assert_ne!(renewed["lock_time"], started["lock_time"]);
    assert_eq!(world.stored().await["status"], number(16));
}
