//! Workers that start and end several tasks in one request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Barrier, Notify};
use tracker_core::testing::{Fault, Rates};
use tracker_core::{Clock, Event, EventKind, Execution, Failure};
use tracker_test_macros::database_test;

use super::{counts, create_documents, stored_counts};
use crate::support::ExtractStatus::Succeeded;
use crate::support::{Document, World, ids};

const BATCH: &str = "BatchExecuteStatement";

#[database_test]
async fn worker_needs_fewer_requests_than_tasks(world: World) {
    let documents = create_documents(world.builder(), 64).await;
    world.clock.advance(Duration::from_secs(1));
    let before = world.network.count_all();
    let summary = documents.worker().drain().seed(1).run_local(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 64, "{summary}");
    assert_eq!(stored_counts(&world, 64).await, counts([(Succeeded, 64)]));
    let writes = world.network.count(BATCH) + world.network.count("UpdateItem");
    println!("{writes} writes, {} requests for 64 tasks", world.network.count_all() - before);
    assert!(writes <= 32, "{writes} writes for 64 tasks");
}

/// Bodies of a second end one after another, and each end waits a little for the next ones if there are slots for that many.
#[database_test(whole_batches)]
async fn ends_of_long_bodies_share_requests(world: World) {
    let documents = create_documents(world.builder(), 10).await;
    world.clock.advance(Duration::from_secs(1));
    let clock = &world.clock.manual();
    let body = async |task: &mut Execution<Document>| {
        let nth: u64 = task.task_id().trim_start_matches("doc-").parse()?;
        clock.sleep(Duration::from_millis(1000 + 10 * nth)).await;
        Ok(())
    };
    let begin = clock.now().monotonic;
    let worker = documents.worker().concurrency(32).drain().run_local(body);
    let summary = world.run_while_advancing_clock(worker).await.unwrap();
    assert_eq!(summary.succeeded, 10, "{summary}");
    assert_eq!(stored_counts(&world, 10).await, counts([(Succeeded, 10)]));
    let writes = world.network.count(BATCH) + world.network.count("UpdateItem");
    println!("{writes} writes, {:?} for 10 bodies of a second", clock.now().monotonic.saturating_sub(begin));
    assert!(writes <= 8, "{writes} writes for 10 tasks");
}

/// The end of a body lets the ends of the same moment come first. On several threads, another thread must send that end if the next
/// body on its own thread computes. In this test, the next body computes until the end is recorded.
#[database_test]
async fn end_is_sent_while_another_body_computes_on_its_thread(world: World) {
    for round in 0..5 {
        let (ended, recorded) = std::sync::mpsc::channel();
        let (ended, recorded) = (Mutex::new(ended), Arc::new(Mutex::new(recorded)));
        let observer = move |event: &Event<'_>| {
            if event.kind == EventKind::Succeeded && event.task_id.starts_with("ends") {
                ended.lock().unwrap().send(()).unwrap();
            }
        };
        let documents = world.builder().observer(observer).build().unwrap();
        let pair = ["computes", "ends"].map(|what| format!("{what}-{round}"));
        for id in &pair {
            documents.create(Document::new(id)).await.unwrap();
        }
        world.clock.advance(Duration::from_secs(1));
        let worker = documents.worker().concurrency(2).drain();
        let computes = pair[0].clone();
        // Both bodies run before one of them ends.
        let (both, next) = (Arc::new(Barrier::new(2)), Arc::new(Notify::new()));
        let summary = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.unwrap().block_on(worker.run(async move |task| {
                both.wait().await;
                if *task.task_id() != computes {
                    next.notify_one();
                    return Ok(());
                }
                next.notified().await;
                let is_recorded = recorded.lock().unwrap().recv_timeout(Duration::from_secs(30));
                is_recorded.map_err(|_| Failure::fatal("the other end was not recorded meanwhile"))
            }))
        });
        world.wait_until("the worker has ended", || std::future::ready(summary.is_finished())).await;
        let summary = summary.join().unwrap().unwrap();
        assert_eq!(summary.succeeded, 2, "round {round}: {summary}");
        for id in pair {
            let stored = world.stored_under(&format!("extract____{id}")).await.unwrap();
            assert_eq!(stored["status"].as_n().unwrap(), "16", "{id}");
        }
    }
}

#[database_test]
async fn worker_without_batching_shares_nothing(world: World) {
    let documents = create_documents(world.builder(), 40).await;
    world.clock.advance(Duration::from_secs(1));
    let summary = documents.worker().batching(false).drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 40, "{summary}");
    assert_eq!(stored_counts(&world, 40).await, counts([(Succeeded, 40)]));
    assert_eq!((world.network.count(BATCH), world.network.count("UpdateItem")), (0, 80));
}

#[database_test]
async fn worker_without_the_permission_goes_on_with_single_requests(world: World) {
    let documents = create_documents(world.builder(), 40).await;
    world.clock.advance(Duration::from_secs(1));
    world.network.rates_of(BATCH, Rates::none().with(Fault::Deny, 1.0));
    let summary = documents
        .worker()
        .drain()
        .run(async |task| if task.task_id() == "doc-7" { Err(Failure::retry("no")) } else { Ok(()) })
        .await
        .unwrap();
    assert_eq!((summary.succeeded, summary.ignored), (39, 1), "{summary}");
    assert_eq!(world.stored_under("extract____doc-0").await.unwrap()["status"].as_n().unwrap(), "16");
    assert!((1..=3).contains(&world.network.count(BATCH)), "{}", world.network.count(BATCH));
}

#[database_test]
async fn storm_on_shared_requests_leaves_each_task_done_once(world: World) {
    let documents = create_documents(world.builder(), 100).await;
    world.clock.advance(Duration::from_secs(1));
    world.network.seed(7, Rates::none());
    world.network.rates_of(BATCH, Rates::stormy());
    let summary = documents.worker().drain().until_all_ended().run(async |_| Ok(())).await.unwrap();
    world.network.calm();
    world.deliver_late_requests().await;
    let injected: usize = world.network.injected().values().sum();
    assert!(injected > 0, "{summary}");
    assert_eq!(stored_counts(&world, 100).await, counts([(Succeeded, 100)]));
}

#[database_test(whole_batches)]
async fn heartbeats_of_one_second_share_requests(world: World) {
    let documents = world.builder_with_heartbeat().lock_expire(Duration::from_secs(30));
    let documents = documents.build().unwrap();
    let written = documents.overwrite_many(ids(100).map(|id| Document::new(&id)));
    world.run_while_advancing_clock(written).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let all: Vec<_> = ids(100).collect();
    // A slow database may need a second send, which waits.
    let started = world.run_while_advancing_clock(documents.start_many(&all)).await;
    let started: Vec<_> = started.into_iter().collect::<Result<_, _>>().unwrap();
    let before = (world.network.count(BATCH), world.network.count("UpdateItem"));
    let sent = || (world.network.count(BATCH) - before.0, world.network.count("UpdateItem") - before.1);
    let clock = world.clock.manual();
    world.run_while_advancing_clock(clock.sleep(Duration::from_secs(11))).await;
    assert!(started.iter().all(|task| task.remaining() > Duration::from_secs(20)));
    println!("{:?} requests for 100 heartbeats", sent());
    assert!(sent().0 + sent().1 <= 10, "{:?} requests for 100 heartbeats", sent());
    let ended = world.run_while_advancing_clock(documents.succeed_many(started)).await;
    assert!(ended.iter().all(Result::is_ok));
}

/// Data whose reader panics.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
struct Bomb(bool);

impl<'de> serde::Deserialize<'de> for Bomb {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let explodes = bool::deserialize(deserializer)?;
        if explodes {
            crate::support::panic_quietly("a reader that panics");
        }
        Ok(Self(explodes))
    }
}

#[derive(tracker_core::StatusTracker, Debug, Clone, PartialEq)]
#[tracker(use_case_id = "extract", status = crate::support::ExtractStatus, table = "documents")]
struct Armed {
    #[tracker(task_id)]
    id: String,
    bomb: Bomb,
}

#[database_test]
async fn task_whose_reader_panics_harms_no_other(world: World) {
    let documents = world.builder::<Armed>().build().unwrap();
    for nth in 0..10 {
        let id = format!("doc-{nth}");
        documents.create(Armed { id, bomb: Bomb(false) }).await.unwrap();
    }
    let mut item = world.stored_under("extract____doc-3").await.unwrap();
    let data = [("bomb".to_owned(), tracker_core::aws_sdk_dynamodb::types::AttributeValue::Bool(true))];
    item.insert("data".to_owned(), tracker_core::aws_sdk_dynamodb::types::AttributeValue::M(data.into()));
    world.put_item(item).await;
    world.clock.advance(Duration::from_secs(1));
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, summary.failed, summary.unreadable), (9, 0, 1), "{summary}");
    let unreadable = world.wait_until_unlocked_under("extract____doc-3").await;
    assert_eq!(
        (unreadable["status"].as_n().unwrap().as_str(), unreadable["retry"].as_n().unwrap().as_str()),
        ("10", "0")
    );
}
