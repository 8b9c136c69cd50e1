//! The background thread: it renews leases while bodies block, and records what a dropped future has begun.

use std::sync::{Arc, Mutex, mpsc as blocking};
use std::thread;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpClient, http_client_fn};
use tokio::runtime::Runtime;
use tokio::sync::{Barrier, mpsc};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::{Error, ErrorKind, Execution, StatusTracker, Tracker, TrackerBuilder};
use tracker_test_macros::database_test;

use super::{current_thread, multi_thread, own_client};
use crate::support::{
    Document, Fault, World, advance_through_heartbeat, heartbeat_channel, number, wait_until_heartbeat_sleeps,
};

/// A builder of a tracker by the machine's clock, whose lease is short.
fn builder(world: &World, client: &Client) -> TrackerBuilder<Document> {
    Document::tracker_builder(client)
        .table(&world.table)
        .layout(world.layout.clone())
        .owner("worker-1")
        .lock_expire(Duration::from_secs(3))
}

/// Creates tasks; returns their ids.
async fn create(world: &World, count: usize) -> Vec<String> {
    let ids: Vec<_> = crate::support::ids(count).collect();
    for id in &ids {
        world.documents().create(Document::new(id)).await.unwrap();
    }
    ids
}

/// Runs a body for each task on another runtime. Each body blocks its thread until each lease was renewed `renewals`
/// times. Asserts that all bodies have succeeded in their first attempt.
async fn assert_leases_are_kept(world: &World, runtime: fn() -> Runtime, bodies: usize, renewals: usize) {
    let ids = create(world, bodies).await;
    let (observer, mut heartbeats) = heartbeat_channel();
    let documents = builder(world, &own_client(world)).observer(observer).build().unwrap();
    let (entered, mut in_body) = mpsc::unbounded_channel();
    let (unblock, blocked) = blocking::channel::<()>();
    let blocked = Arc::new(Mutex::new(blocked));
    let all_started = Arc::new(Barrier::new(bodies));
    let runs: Vec<_> = ids
        .iter()
        .map(|id| {
            let (documents, id, entered, blocked) =
                (documents.clone(), id.clone(), entered.clone(), Arc::clone(&blocked));
            let all_started = Arc::clone(&all_started);
            async move {
                let body = async |_: &mut Execution<Document>| {
                    // A start that is answered late, because all threads are blocked, has lost its lease.
                    all_started.wait().await;
                    entered.send(()).unwrap();
                    // Blocks without awaiting, until the sender is dropped.
                    blocked.lock().unwrap().recv().unwrap_err();
                    Ok(())
                };
                documents.run(&id, body).await
            }
        })
        .collect();
    let thread = thread::spawn(move || {
        let runtime = runtime();
        let handles: Vec<_> = runs.into_iter().map(|run| runtime.spawn(run)).collect();
        runtime.block_on(async {
            let mut ended = Vec::new();
            for handle in handles {
                ended.push(handle.await.unwrap());
            }
            ended
        })
    });
    in_body.recv().await.unwrap();
    let mut counts = std::collections::HashMap::new();
    let renewed = async {
        while counts.values().filter(|count| **count >= renewals).count() < bodies {
            let (id, thread) = heartbeats.recv().await.unwrap();
            assert_eq!(thread.as_deref(), Some("tracker-events"), "observers do not delay heartbeats");
            *counts.entry(id).or_insert(0) += 1;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), renewed).await.expect("heartbeats within a minute");
    drop(unblock);
    let ended = tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
    for (id, ended) in ids.iter().zip(ended) {
        ended.unwrap();
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(1)), "{id}");
    }
}

#[database_test]
async fn body_that_blocks_a_current_thread_runtime_keeps_its_lease(world: World) {
    assert_leases_are_kept(&world, current_thread, 1, 3).await;
}

#[database_test]
async fn bodies_that_block_all_threads_keep_their_leases(world: World) {
    assert_leases_are_kept(&world, || multi_thread(2), 4, 3).await;
}

#[database_test]
async fn execution_dropped_on_a_thread_without_a_runtime_is_recorded_as_failed(world: World) {
    let ids = create(&world, 1).await;
    let documents = builder(&world, &own_client(&world)).build().unwrap();
    let id = ids[0].clone();
    thread::spawn(move || {
        let runtime = current_thread();
        let execution = runtime.block_on(documents.start(&id)).unwrap();
        drop(runtime);
        drop(execution);
    })
    .join()
    .unwrap();
    let item = world.wait_until_unlocked_under(&format!("extract____{}", ids[0])).await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
}

/// Polls a future on a runtime until it has sent a request, and drops both.
fn drop_with_runtime<F: Future>(world: &World, future: impl FnOnce() -> F) {
    let (network, runtime) = (world.network.clone(), current_thread());
    let sent = network.count_all();
    runtime.block_on(async {
        let mut future = std::pin::pin!(future());
        while network.count_all() == sent {
            assert!(futures_util::poll!(&mut future).is_pending());
            tokio::task::yield_now().await;
        }
    });
}

#[database_test]
async fn start_dropped_with_its_runtime_is_released(world: World) {
    let ids = create(&world, 1).await;
    // The start is applied, and its response comes late.
    let documents = builder(&world, &world.client).clock(tracker_core::SystemClock).build().unwrap();
    let documents_of_thread = documents.clone();
    documents.head(&ids[0]).await.unwrap();
    world.network.next("UpdateItem", [Fault::Delay(Duration::from_secs(1))]);
    let (of_thread, id) = (world.clone(), ids[0].clone());
    thread::spawn(move || {
        drop_with_runtime(&of_thread, || async move { documents_of_thread.start(&id).await });
    })
    .join()
    .unwrap();
    let item = world.wait_until_unlocked_under(&format!("extract____{}", ids[0])).await;
    assert_eq!((&item["status"], &item["retry"]), (&number(10), &number(0)));
}

#[database_test]
async fn finish_dropped_with_its_runtime_is_recorded(world: World) {
    let ids = create(&world, 1).await;
    let documents = builder(&world, &world.client).clock(tracker_core::SystemClock).build().unwrap();
    let mut execution = documents.start(&ids[0]).await.unwrap();
    execution.data_mut().pages = 7;
    world.network.next("UpdateItem", [Fault::DropRequest]);
    let of_thread = world.clone();
    thread::spawn(move || {
        drop_with_runtime(&of_thread, || async move { execution.succeed().await });
    })
    .join()
    .unwrap();
    let item = world.wait_until_unlocked_under(&format!("extract____{}", ids[0])).await;
    assert_eq!(item["status"], number(16));
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(7));
}

/// Connects as the client of a world does. Returns the client, and the connect timeouts of its requests: the SDK has a
/// pool of connections for each.
fn client_with_recorded_pools(world: &World) -> (Client, Arc<Mutex<Vec<Option<Duration>>>>) {
    let timeouts = Arc::<Mutex<Vec<_>>>::default();
    let (seen, inner) = (Arc::clone(&timeouts), world.network.clone());
    let http = http_client_fn(move |settings, components| {
        seen.lock().unwrap().push(settings.connect_timeout());
        inner.http_connector(settings, components)
    });
    (Client::from_conf(world.client.config().to_builder().http_client(http).build()), timeouts)
}

#[database_test]
async fn only_the_heartbeat_in_the_background_has_connections_of_its_own(world: World) {
    world.create_document().await;
    let (client, timeouts) = client_with_recorded_pools(&world);
    let documents = Document::tracker_builder(&client).like(&world.documents()).heartbeat(true);
    let documents = documents.clock(world.clock.manual()).build().unwrap();
    let mut execution = documents.start("doc-1").await.unwrap();
    wait_until_heartbeat_sleeps(&world, 101).await;
    execution.heartbeat().await.unwrap();
    execution.save().await.unwrap();
    let of_caller = timeouts.lock().unwrap().split_off(0);
    assert_eq!(of_caller, [of_caller[0]; 3], "the start, the heartbeat by hand and the save");
    advance_through_heartbeat(&world, 101).await;
    let in_background = timeouts.lock().unwrap().split_off(0);
    assert_eq!(in_background.len(), 1);
    assert_ne!(in_background[0], of_caller[0]);
    execution.succeed().await.unwrap();
    assert_eq!(*timeouts.lock().unwrap(), [of_caller[0]]);
    assert_eq!(world.stored().await["status"], number(16));
}

/// A start that no response came to is released, so that the task is not held for a whole lease.
#[database_test]
async fn start_without_a_response_is_released(world: World) {
    let documents = world.create_document().await;
    documents.head("doc-1").await.unwrap();
    world.network.next("UpdateItem", [Fault::DropResponse, Fault::DropRequest, Fault::DropRequest]);
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    let item = world.wait_until_unlocked().await;
    assert_eq!((&item["status"], &item["retry"], &item["attempt"]), (&number(10), &number(0), &number(1)));
}

/// Another worker has started the task meanwhile, and its attempt is not released.
#[database_test]
async fn start_without_a_response_releases_no_other_attempt(world: World) {
    let documents = world.create_document().await;
    world.network.next("UpdateItem", [Fault::DropRequest, Fault::DropRequest, Fault::DropRequest]);
    let held = Arc::new(tokio::sync::Mutex::new(None));
    let (rival, hold) = (world.rival(), Arc::clone(&held));
    let others = world.clone();
    world.clock.during_next_sleep(async move {
        let left: Vec<_> = (0..others.network.faults_left()).map(|_| Fault::DropRequest).collect();
        others.network.calm();
        *hold.lock().await = Some(rival.start("doc-1").await.unwrap());
        others.network.next("UpdateItem", left);
    });
    documents.start("doc-1").await.unwrap_err();
    let reads = world.network.count("GetItem");
    world
        .wait_until("the task was read", || std::future::ready(world.network.count("GetItem") > reads))
        .await;
    let held = held.lock().await.take().unwrap();
    held.succeed().await.unwrap();
    assert_eq!(world.stored().await["attempt"], number(1));
}

/// A task that was started by hand is bounded by the timeout in the same way.
#[database_test]
async fn execution_by_hand_that_is_never_ended_is_taken_over(world: World) {
    world.create_document().await;
    let documents = world.builder_with_heartbeat().timeout(Duration::from_secs(250)).build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    world.run_while_advancing_clock(execution.timed_out()).await;
    world.run_while_advancing_clock(execution.lost()).await;
    world.clock.advance(Duration::from_secs(6));
    let taken_over = world.rival().start("doc-1").await.unwrap();
    assert_eq!(taken_over.attempt(), 2);
    assert_eq!(*execution.succeed().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    taken_over.succeed().await.unwrap();
}

/// A body that ignores a request to cancel is bounded as well, without any timeout.
#[database_test]
async fn execution_that_ignores_a_cancel_is_taken_over(world: World) {
    world.create_document().await;
    let documents: Tracker<Document> = world.builder_with_heartbeat().build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    world.rival().cancel("doc-1").await.unwrap();
    world.run_while_advancing_clock(execution.cancelled()).await;
    let lost: Result<(), Error> = {
        world.run_while_advancing_clock(execution.lost()).await;
        Err(execution.fail("too late").await.unwrap_err())
    };
    assert_eq!(*lost.unwrap_err().kind(), ErrorKind::LeaseLost);
    world.clock.advance(Duration::from_secs(6));
    assert_eq!(*world.rival().start("doc-1").await.unwrap_err().kind(), ErrorKind::Ignored);
    assert_eq!(world.stored().await["status"], number(18));
}
