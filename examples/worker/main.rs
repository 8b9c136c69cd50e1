//! Workers on one table: each finds tasks, starts them, runs a body on each, and records the outcome.
//!
//! It teaches how to run and stop a worker, map your own errors to retry, snooze or fatal, wait with a backoff after a
//! failed attempt, let DynamoDB delete finished tasks, show progress, and receive events in an observer.
//!
//! ```text
//! cargo run --example worker                                          # 500 tasks in memory
//! cargo run --example worker -- --db tasks.db --seed-tasks 1000 --drain
//! cargo run --example worker -- --batching off                        # one request for each start and each end
//! cargo run --example worker -- --endpoint-url http://127.0.0.1:8000 --seed-tasks 5000
//! cargo run --example worker -- --endpoint-url http://127.0.0.1:8000  # in another terminal: shares the tasks
//! cargo run --example worker --features aws -- --aws --seed-tasks 5000
//! tests/dynamodb-local sh -c 'cargo run --example worker -- --endpoint-url $TRACKER_DYNAMODB_ENDPOINT --seed-tasks 1000 --workers 16 --drain'
//! ```
//!
//! Any number of processes can share a table on DynamoDB Local or on AWS. An embedded file is for one process at a time.

// An example exports nothing: `pub` items are shared between its modules.
#![allow(unreachable_pub)]

mod arguments;
#[path = "../common/mod.rs"]
mod common;
mod view;

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, future, stream};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::{
    CancellationToken, Created, Event, EventKind, Execution, Failure, StatusTracker, Summary, Tracker,
    TrackerStatus, Worker,
};

use arguments::Arguments;
use common::AnyError;

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
enum DeliveryStatus {
    #[status(pending, shards = 10)]
    Pending = 10,
    #[status(in_progress, shards = 5)]
    InProgress = 12,
    #[status(failed, shards = 5)]
    Failed = 14,
    #[status(succeeded, shards = 10)]
    Succeeded = 16,
    #[status(ignored, shards = 5)]
    Ignored = 18,
}

#[derive(StatusTracker, Debug)]
#[tracker(
    use_case_id = "deliveries",
    status = DeliveryStatus,
    table = "deliveries",
    max_retry = 3,
    // A task waits up to 1 s after its first failed attempt, up to 2 s after the second, and never more than 60 s.
    backoff = "exponential",
    backoff_base_seconds = 1,
    backoff_max_seconds = 60,
    // DynamoDB deletes a task a week after it has succeeded; `create_table` enables this.
    retain_seconds = 604_800,
)]
struct Delivery {
    #[tracker(task_id)]
    id: String,
    to: String,
    receipt: Option<String>,
}

/// The ways in which a delivery fails.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the road is closed")]
    RoadClosed,
    #[error("there is no such address: {0}")]
    NoSuchAddress(String),
    #[error("nobody is at home")]
    NobodyAtHome,
}

/// Maps each error to retry, fatal or snooze. Any other error that a body returns with `?` is retried.
fn verdict(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::RoadClosed => Failure::retry(trouble),
        Trouble::NoSuchAddress(_) => Failure::fatal(trouble),
        Trouble::NobodyAtHome => Failure::snooze(Duration::from_secs(2)),
    }
}

/// The behaviour of the bodies in this example.
#[derive(Debug, Clone, Copy)]
struct Play {
    /// The shortest and the longest time that a body works, in milliseconds.
    body_ms: (u64, u64),
    /// The percentage of bodies that fail.
    failing: u8,
}

/// The body that the workers run on each task.
async fn deliver(task: &mut Execution<Delivery>, play: Play) -> Result<(), Failure> {
    let receipt = hand_over(&task.data().to, play).await.map_err(verdict)?;
    task.data_mut().receipt = Some(receipt);
    Ok(())
}

/// Simulates the work: sleeps for a while, and sometimes fails.
async fn hand_over(to: &str, play: Play) -> Result<String, Trouble> {
    let (least, most) = play.body_ms;
    tokio::time::sleep(Duration::from_millis(fastrand::u64(least..=most))).await;
    if fastrand::u8(0..100) >= play.failing {
        return Ok(format!("signed by {to}"));
    }
    Err(match fastrand::u8(0..10) {
        0 => Trouble::NoSuchAddress(to.to_owned()),
        1 | 2 => Trouble::NobodyAtHome,
        _ => Trouble::RoadClosed,
    })
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    common::exit_code(run(&arguments).await)
}

async fn run(arguments: &Arguments) -> Result<ExitCode, AnyError> {
    let bar = ProgressBar::no_length();
    let mut clients = arguments.clients().await?.into_iter();
    let deliveries = tracker(&clients.next().ok_or("no client")?, arguments, &bar)?;
    let trackers: Vec<_> =
        clients.map(|client| tracker(&client, arguments, &bar)).collect::<Result<_, _>>()?;
    deliveries.create_table().await?;

    let signalled = CancellationToken::new();
    common::cancel_on_signal(signalled.clone(), bar.clone());
    seed(&deliveries, arguments.tasks(), &signalled).await?;
    if arguments.seed_only {
        return Ok(if signalled.is_cancelled() { ExitCode::from(130) } else { ExitCode::SUCCESS });
    }

    // If one worker fails, this token stops the others too.
    let stop = signalled.child_token();
    let workers: Vec<_> =
        trackers.iter().map(|tracker| worker(tracker, arguments).shutdown(stop.clone())).collect();
    let progress = workers.iter().enumerate().map(|(nth, worker)| worker.progress().map(move |it| (nth, it)));
    let view = view::show(stream::select_all(progress), workers.len(), deliveries.clone(), bar);
    let play = arguments.play();
    let running = workers.into_iter().map(async |worker| {
        let ended = worker.run(async move |task| deliver(task, play).await).await;
        ended.inspect_err(|_| stop.cancel())
    });
    let (summaries, ()) = future::join(future::join_all(running), view).await;
    let summaries = summaries.into_iter().collect::<Result<Vec<_>, _>>()?;

    let is_clean = report(&deliveries, summaries.iter().copied().sum()).await?;
    arguments.database.print_how_to_look(&deliveries.config().table);
    Ok(match (signalled.is_cancelled(), is_clean) {
        (true, _) => ExitCode::from(130),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

/// Builds a tracker whose observer prints when a worker slows down or finds an unreadable task.
fn tracker(client: &Client, arguments: &Arguments, bar: &ProgressBar) -> Result<Tracker<Delivery>, AnyError> {
    let bar = bar.clone();
    let mut builder = Delivery::tracker_builder(client).observer(move |event: &Event<'_>| {
        let why = || event.error.map_or_else(String::new, |error| format!(": {error}"));
        match event.kind {
            EventKind::SlowedDown => view::say(&bar, &format!("slowed down{}", why())),
            EventKind::Unreadable => view::say(&bar, &format!("unreadable: {}{}", event.task_id, why())),
            _ => {}
        }
    });
    if let Some(table) = &arguments.table {
        builder = builder.table(table);
    }
    Ok(builder.build()?)
}

fn worker(tracker: &Tracker<Delivery>, arguments: &Arguments) -> Worker<Delivery> {
    let mut worker = tracker.worker().concurrency(arguments.concurrency.into()).batching(arguments.batches());
    if arguments.drains() {
        worker = worker.drain();
    }
    if let Some(seconds) = arguments.deadline {
        worker = worker.deadline(Duration::from_secs(seconds.into()));
    }
    worker
}

/// Creates tasks with new ids, so that every run can add more.
async fn seed(deliveries: &Tracker<Delivery>, tasks: u32, stop: &CancellationToken) -> Result<(), AnyError> {
    if tasks == 0 {
        return Ok(());
    }
    let run = format!("{}-{:08x}", chrono::Utc::now().format("%Y%m%dT%H%M%S"), fastrand::u32(..));
    let new = (0..tasks).map(move |nth| Delivery {
        id: format!("{run}-{nth:06}"),
        to: format!("{nth} Main Street"),
        receipt: None,
    });
    let bar = ProgressBar::new(tasks.into())
        .with_style(ProgressStyle::with_template("creating tasks {bar:30} {pos}/{len}, {per_sec}")?);
    let mut outcomes = pin!(deliveries.create_many(new).take_until(stop.cancelled()));
    while let Some(outcome) = outcomes.next().await {
        if let Created::Failed { error, .. } = outcome {
            return Err(error.into());
        }
        bar.inc(1);
    }
    let created = HumanCount(bar.position());
    bar.finish_and_clear();
    println!("{created} of {} tasks created", HumanCount(tasks.into()));
    Ok(())
}

/// Prints what the workers have done and what the table contains. Returns false if this process still holds a task.
async fn report(deliveries: &Tracker<Delivery>, summary: Summary) -> Result<bool, AnyError> {
    println!("{summary}");
    let starts = summary.attempts() + summary.refused;
    println!("starts refused: {:.1} % of {}", view::percent(summary.refused, starts), HumanCount(starts));
    let counts = deliveries.count_by_status().await?;
    let shown: Vec<_> =
        counts.iter().map(|(status, tasks)| format!("{} {}", status.name(), HumanCount(tasks))).collect();
    println!("in the table: {}", shown.join(", "));
    let left = view::to_do(&counts);
    if left > 0 {
        println!("{} can still be started, now or after a wait", HumanCount(left));
    }

    // The index can be stale: `refresh` reads the tasks themselves.
    let in_progress = deliveries.query_by_status(DeliveryStatus::InProgress).refresh().stream();
    let is_ours = |task: &tracker_core::Task<Delivery>| task.owner() == Some(deliveries.owner());
    let held: Vec<_> = in_progress.try_filter(|task| future::ready(is_ours(task))).try_collect().await?;
    for task in &held {
        println!("still held by this process, {}: {}", deliveries.owner(), task.task_id());
    }
    if held.is_empty() {
        println!("this process, {}, holds no task", deliveries.owner());
    }
    Ok(held.is_empty())
}
