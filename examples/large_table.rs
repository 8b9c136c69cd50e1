//! A table with many tasks: the time, requests and memory that it takes to fill, query, refresh, count, work on and empty it.
//!
//! It teaches how to run bulk operations with progress, stream a query without keeping its rows, stop a worker after a number
//! of tasks, and count requests with an interceptor of the SDK.
//!
//! ```text
//! cargo run --release --example large_table                        # 100,000 tasks, embedded
//! cargo run --release --example large_table -- --tasks 10000
//! cargo run --release --example large_table -- --tasks 10000 --batching off
//! tests/dynamodb-local sh -c 'cargo run --release --example large_table -- --endpoint-url $TRACKER_DYNAMODB_ENDPOINT'
//! ```

mod common;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::{Parser, ValueEnum};
use futures_util::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use tracker_core::aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use tracker_core::aws_sdk_dynamodb::error::BoxError;
use tracker_core::{CancellationToken, Error, StatusTracker, Tracker, TrackerStatus, embedded};

use common::AnyError;

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
enum JobStatus {
    #[status(pending, shards = 10)]
    Pending = 10,
    #[status(in_progress, shards = 10)]
    InProgress = 12,
    #[status(failed, shards = 10)]
    Failed = 14,
    #[status(succeeded, shards = 10)]
    Succeeded = 16,
    #[status(ignored, shards = 10)]
    Ignored = 18,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "large", status = JobStatus, table = "large-table")]
struct Job {
    #[tracker(task_id)]
    id: u64,
    payload: String,
}

/// How many tasks the worker runs.
const RUN: u64 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Batching {
    On,
    Off,
}

/// Fills a table with tasks, and measures the time, requests and memory to read, count, run and delete them.
#[derive(Parser)]
#[command(name = "large_table", version)]
struct Arguments {
    /// How many tasks to create
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1000..))]
    tasks: u64,
    /// Whether the worker starts and ends several tasks in one request
    #[arg(long, value_enum, value_name = "on|off", default_value_t = Batching::On, hide_possible_values = true)]
    batching: Batching,
    /// Use the DynamoDB at this address instead of the embedded database
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
}

/// Counts the requests that the client sends, retries included.
#[derive(Debug, Clone, Default)]
struct Requests(Arc<AtomicU64>);

impl Intercept for Requests {
    fn name(&self) -> &'static str {
        "Requests"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Prints the requests, the time and the memory of each step.
struct Report {
    requests: Requests,
    sent: u64,
    began: Instant,
}

impl Report {
    fn step(&mut self, what: &str) {
        let sent = self.requests.0.load(Ordering::Relaxed);
        let took = self.began.elapsed();
        let memory = resident().map_or_else(String::new, |bytes| format!("{:>8.1} MB", bytes / 1e6));
        println!("{what:<44} {:>8} requests {:>9.2} s {memory}", sent - self.sent, took.as_secs_f64());
        self.sent = sent;
        self.began = Instant::now();
    }
}

/// Returns the resident memory of this process in bytes, if the system reports it (Linux does).
fn resident() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096.0)
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit_code(run(&Arguments::parse()).await.map(|()| ExitCode::SUCCESS))
}

async fn run(arguments: &Arguments) -> Result<(), AnyError> {
    let client = match &arguments.endpoint_url {
        Some(url) => common::local_client(url),
        None => embedded::in_memory()?,
    };
    let requests = Requests::default();
    let config = client.config().to_builder().interceptor(requests.clone());
    let client = Client::from_conf(config.build());
    let jobs = Job::tracker(&client);
    jobs.create_table().await?;
    let mut report = Report { requests, sent: 0, began: Instant::now() };
    report.step("table created");

    let progress = ProgressBar::new(arguments.tasks)
        .with_style(ProgressStyle::with_template("filling {bar:40} {pos}/{len} {per_sec}")?);
    for begin in (0..arguments.tasks).step_by(1000) {
        let new = (begin..arguments.tasks.min(begin + 1000)).map(|id| Job { id, payload: "x".repeat(100) });
        progress.inc(jobs.overwrite_many(new).await?.written);
    }
    progress.finish_and_clear();
    report.step("filled with overwrite_many");

    let oldest = jobs.query_by_status(JobStatus::Pending).limit(100).all().await?;
    report.step(&format!("queried the {} oldest of {}", oldest.len(), arguments.tasks));

    let rows = jobs.query_by_status(JobStatus::Pending).stream();
    let streamed = rows.try_fold(0_u64, async |count, _| Ok::<_, Error>(count + 1)).await?;
    report.step(&format!("streamed {streamed} rows, none kept"));

    let tasks = jobs.query_by_status(JobStatus::Pending).limit(1000).refresh().all().await?;
    let bytes: usize = tasks.iter().map(|task| task.data().payload.len()).sum();
    report.step(&format!("refreshed {} tasks with {bytes} bytes", tasks.len()));

    let counts = jobs.count_by_status().await?;
    report.step(&format!("counted by status: {}", counts.get(JobStatus::Pending)));

    let ran = run_some(&jobs, arguments.batching).await?;
    let batching = if arguments.batching == Batching::On { "on" } else { "off" };
    report.step(&format!("ran {ran} tasks, batching {batching}"));

    let count = jobs.count_tasks_by_use_case_id().await?;
    report.step(&format!("counted by use case, with a scan: {count}"));

    let progress = ProgressBar::new(count)
        .with_style(ProgressStyle::with_template("deleting {bar:40} {pos}/{len} {per_sec}")?);
    let deleted =
        jobs.delete_tasks_by_use_case_id().on_progress(|seen| progress.set_position(seen.done)).await?;
    progress.finish_and_clear();
    report.step(&format!("deleted: {}", deleted.done));
    Ok(())
}

/// Runs a worker until it has run a number of tasks. Returns how many have succeeded: some more were under way then.
async fn run_some(jobs: &Tracker<Job>, batching: Batching) -> Result<u64, AnyError> {
    let (stop, begun) = (CancellationToken::new(), AtomicU64::new(0));
    let worker =
        jobs.worker().concurrency(100).batching(batching == Batching::On).drain().shutdown(stop.clone());
    let summary = worker.run_local(async |_job| {
        if begun.fetch_add(1, Ordering::Relaxed) + 1 >= RUN {
            stop.cancel();
        }
        Ok(())
    });
    Ok(summary.await?.succeeded)
}
