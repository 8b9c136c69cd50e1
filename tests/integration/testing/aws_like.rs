//! What the tracker does if the database behaves as AWS does on a bad day.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::testing::{AwsLike, Conditions, Spread};
use tracker_core::{Backoff, Clock, Error, ErrorKind, Operator, StatusTracker, Tracker, TrackerBuilder};
use tracker_test_macros::database_test;

use crate::support::ExtractStatus::{Ignored, Pending, Succeeded};
use crate::support::{Document, World, entry, history, ids, number};

const SECOND: Duration = Duration::from_secs(1);

/// Wraps the database of a world, whichever it is. The builder is that of a tracker without heartbeats.
fn wrapped(world: &World, conditions: Conditions) -> (Client, AwsLike, TrackerBuilder<Document>) {
    let (client, aws) = AwsLike::around(&world.client, conditions).unwrap();
    aws.set_clock(world.clock.manual());
    let builder = Document::tracker_builder(&client)
        .table(&world.table)
        .layout(world.layout.clone())
        .clock(world.clock.clone())
        .owner("worker-1")
        .backoff(Backoff::None)
        .heartbeat(false);
    (client, aws, builder)
}

fn lagging(longest: Duration) -> Conditions {
    let mut conditions = Conditions::none();
    conditions.index_lag = Spread::up_to(longest);
    conditions
}

/// A bad day without latency: by a clock that stands still, no response would come.
fn bad_day(seed: u64) -> Conditions {
    let mut conditions = Conditions::bad_day();
    (conditions.seed, conditions.latency) = (seed, Spread::none());
    (conditions.clock_refused, conditions.credentials_expired, conditions.throttled) = (0.02, 0.02, 0.05);
    conditions
}

/// Repeats a call that a bad day refuses. It must succeed within some tries.
async fn at_last<R, F: Future<Output = Result<R, Error>>>(mut call: impl FnMut() -> F) -> Result<R, Error> {
    for _ in 0..20 {
        match call().await {
            Err(error) if error.is_refusal() => return Err(error),
            Err(_) => {}
            done => return done,
        }
    }
    call().await
}

async fn create(documents: &Tracker<Document>, ids: impl Iterator<Item = String>) {
    for id in ids {
        match at_last(|| documents.create(Document::new(&id))).await {
            Err(error) if *error.kind() == ErrorKind::AlreadyExists => {}
            created => drop(created.unwrap()),
        }
    }
}

/// The status of each task, as it is stored.
async fn statuses(world: &World, ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut statuses = Vec::new();
    for id in ids {
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        statuses.push(item["status"].as_n().unwrap().clone());
    }
    statuses
}

#[database_test(wraps_database)]
async fn create_table_waits_until_a_description_knows_the_new_table(world: World) {
    let mut conditions = Conditions::none();
    conditions.definition_lag = Spread::new(5 * SECOND, 5 * SECOND, 5 * SECOND);
    let (client, aws, builder) = wrapped(&world, conditions);
    let table = format!("{}-new", world.table);
    let documents = builder.table(&table).build().unwrap();
    documents.create_table().await.unwrap();
    assert!(aws.counts()["UnknownTable"] >= 1, "{:?}", aws.counts());
    client.describe_table().table_name(&table).send().await.unwrap();
    documents.delete_table().await.unwrap();
    let missing = documents.verify_table().await.unwrap_err();
    assert_eq!(*missing.kind(), ErrorKind::TableNotFound { table });
}

/// The tasks were created just before, so that the first search sees none of them.
#[database_test(wraps_database)]
async fn drain_finds_tasks_that_the_index_does_not_show_yet(world: World) {
    let longest = Duration::from_millis(900);
    let mut conditions = lagging(longest);
    conditions.index_lag = Spread::new(longest / 2, longest, longest);
    let (_, aws, builder) = wrapped(&world, conditions);
    let documents = builder.build().unwrap();
    create(&documents, ids(10)).await;
    let summary = documents.worker().drain().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, summary.failed), (10, 0), "{summary}");
    assert!(aws.counts().contains_key("StaleIndex"));
    assert_eq!(statuses(&world, ids(10)).await, ["16"; 10]);
}

#[database_test(wraps_database)]
async fn workers_do_every_task_once_on_a_bad_day(world: World) {
    let mut met = std::collections::BTreeMap::<_, usize>::new();
    for seed in 0..3 {
        let (_, aws, builder) = wrapped(&world, bad_day(seed));
        let documents = builder.build().unwrap();
        let names = || ids(60).map(move |id| format!("{id}-{seed}"));
        create(&documents, names()).await;
        let bodies = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&bodies);
        let worker = documents.worker().concurrency(8).seed(seed).drain().until_all_ended();
        let summary = worker
            .run(async move |task| {
                count.fetch_add(1, Ordering::Relaxed);
                task.data_mut().pages = 7;
                Ok(())
            })
            .await
            .unwrap();
        // A success whose end is not known is settled by the next attempt.
        assert_eq!(statuses(&world, names()).await, ["16"; 60], "{summary}, {:?}", aws.counts());
        for id in names() {
            let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
            assert_eq!(item["data"].as_m().unwrap()["pages"], number(7));
            let attempts: usize = item["attempt"].as_n().unwrap().parse().unwrap();
            assert_eq!(
                attempts,
                history(&item).len() + 1,
                "each attempt but the last is in the history: {id}"
            );
        }
        assert!(bodies.load(Ordering::Relaxed) >= 60);
        for (what, count) in aws.counts() {
            *met.entry(what).or_default() += count;
        }
    }
    for what in ["StaleIndex", "Throttled", "ThrottledMember", "ClockRefused", "CredentialsExpired"] {
        assert!(met.contains_key(what), "{what} was never met: {met:?}");
    }
}

/// Rows of tasks that have moved on are skipped, and each task is redriven once.
#[database_test(wraps_database)]
async fn bulk_redrives_move_each_task_once_although_the_index_lags(world: World) {
    let (_, aws, builder) = wrapped(&world, lagging(2 * SECOND));
    let documents = builder.max_retry(1).build().unwrap();
    create(&documents, ids(40)).await;
    for id in ids(40) {
        documents.start(&id).await.unwrap().fail("no").await.unwrap();
    }
    let mut redriven = 0;
    for _ in 0..6 {
        let progress = documents.redrive_all(Ignored).await.unwrap();
        assert_eq!(progress.failed, 0);
        redriven += progress.done;
        world.clock.advance(SECOND / 2);
    }
    assert_eq!(redriven, 40, "{:?}", aws.counts());
    assert_eq!(statuses(&world, ids(40)).await, ["10"; 40]);
    world.clock.advance(2 * SECOND);
    let counts = documents.count_by_status().await.unwrap();
    assert_eq!((counts.get(Pending), counts.total()), (40, 40));
}

#[database_test(wraps_database)]
async fn pause_holds_workers_although_reads_are_stale(world: World) {
    let mut conditions = lagging(SECOND);
    conditions.stale_reads = 1.0;
    conditions.replica_lag = Spread::up_to(SECOND);
    let (client, _, builder) = wrapped(&world, conditions);
    let documents = builder.build().unwrap();
    documents.verify_table().await.unwrap();
    create(&documents, ids(5)).await;
    let operator = Operator::builder(&client).table(&world.table).layout(world.layout.clone());
    let operator =
        operator.use_case_id("extract").clock(world.clock.clone()).actor("alice").reason("as agreed");
    let operator = operator.open().await.unwrap();
    let until = world.clock.now().wall + TimeDelta::minutes(10);
    operator.pause("document", until).await.unwrap();
    world.clock.advance(2 * SECOND);
    let summary = documents.worker().drain().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.attempts(), summary.paused_until.is_some()), (0, true), "{summary}");
    assert_eq!(statuses(&world, ids(5)).await, ["10"; 5]);
    world.clock.advance(Duration::from_mins(11));
    let summary = documents.worker().drain().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 5, "{summary}");
    assert_eq!(statuses(&world, ids(5)).await, ["16"; 5]);
}

/// A batch is sent again until each of its members is written.
#[database_test(wraps_database)]
async fn batches_write_each_task_although_members_come_back(world: World) {
    let mut conditions = Conditions::none();
    conditions.unprocessed = 0.3;
    let (_, aws, builder) = wrapped(&world, conditions);
    let documents = builder.build().unwrap();
    documents.overwrite_many(ids(60).map(|id| Document::new(&id))).await.unwrap();
    assert!(aws.counts()["Unprocessed"] >= 10, "{:?}", aws.counts());
    world.clock.advance(SECOND);
    let all: Vec<_> = ids(60).collect();
    let started = documents.start_many(&all).await.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    let ended = documents.succeed_many(started).await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert!(aws.counts()["ThrottledMember"] >= 10, "{:?}", aws.counts());
    let tasks = documents.query_by_status([Succeeded]).all().await.unwrap();
    assert_eq!(tasks.len(), 60);
    for id in ids(60) {
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(1)), "{id}");
    }
}

/// A lease that expires on a bad day is taken over, and its history says so.
#[database_test(wraps_database)]
async fn lost_attempts_are_recorded_on_a_bad_day(world: World) {
    let (_, _, builder) = wrapped(&world, bad_day(5));
    let documents = builder.build().unwrap();
    create(&documents, ids(5)).await;
    for id in ids(5) {
        std::mem::forget(at_last(|| documents.start(&id)).await.unwrap());
    }
    world.expire_lease();
    let worker = documents.worker().drain().until_all_ended();
    worker.run_local(async |_| Ok(())).await.unwrap();
    assert_eq!(statuses(&world, ids(5)).await, ["16"; 5]);
    for id in ids(5) {
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert!(entry(&item, 0, "error").contains("lease expired"), "{item:?}");
    }
}
