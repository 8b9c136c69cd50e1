//! Measures how much work more workers do on one queue, and how often they contend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use futures_util::future::try_join_all;
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::{
    CancellationToken, Event, EventKind, Failure, StatusTracker, Summary, Tracker, TrackerBuilder,
};

use super::arguments::Arguments;
use super::common::local::AnyError;
use super::common::median::median;
use super::database::Database;
use super::drawing::{Line, Plot};
use super::figures::{Cost, Growth, grouped, growth, rounds, visits};
use super::jobs::five::Job;
use super::report::aligned;
use super::table::fill;

/// The figures for one number of workers.
struct Figure {
    workers: u32,
    rate: Growth,
    /// The fraction of the starts that are refused.
    refused: f64,
    cost: Cost,
}

pub(crate) async fn workers(database: &Database, arguments: &Arguments) -> Result<Plot, AnyError> {
    let queue = arguments.queue;
    println!(
        "More workers on one queue, {}: {} tasks in 5 shards, with a body that does nothing. All workers run in this \
         process and share one client; each has a tracker of its own, as each process of a fleet, and runs {} at a time.",
        database.name,
        grouped(f64::from(queue)),
        arguments.concurrency
    );
    println!(
        "Tasks per second and refused starts are medians of {}. \"ratio\" compares with the first row in the same round. \
         Requests and capacity units are counted in a separate drain; a refused start reports no units.",
        rounds(arguments.rounds)
    );
    let figures = figures(database, arguments).await?;
    let head = ["workers", "tasks/s", "ratio", "starts refused", "requests/task", "units/task"];
    let row = |figure: &Figure| {
        vec![
            figure.workers.to_string(),
            grouped(figure.rate.median),
            format!("{:.2}", figure.rate.ratio),
            format!("{:.1} %", 100.0 * figure.refused),
            format!("{:.2}", figure.cost.requests),
            format!("{:.2}", figure.cost.units()),
        ]
    };
    let rows: Vec<_> = figures.iter().map(row).collect();
    print!("{}", aligned(&head.map(str::to_owned), &rows));
    let first = figures.first().map(|figure| figure.cost).unwrap_or_default();
    let line = |name, solid: &dyn Fn(&Figure) -> f64| Line {
        name,
        solid: figures.iter().map(|figure| (f64::from(figure.workers), solid(figure))).collect(),
        dashed: Vec::new(),
    };
    Ok(Plot {
        title: format!("More workers on one queue, {}", database.name),
        across: "workers",
        dashed: "",
        lines: vec![
            line("tasks a second", &|figure| figure.rate.ratio),
            line("requests for a task", &|figure| figure.cost.requests / first.requests),
            line("capacity units of a task", &|figure| figure.cost.units() / first.units()),
        ],
    })
}

async fn figures(database: &Database, arguments: &Arguments) -> Result<Vec<Figure>, AnyError> {
    let (workers, queue) = (&arguments.workers, arguments.queue);
    let (mut rates, mut refusals) = (Vec::new(), Vec::new());
    for round in 0..arguments.rounds {
        let mut rate = vec![f64::NAN; workers.len()];
        let mut refused = rate.clone();
        for nth in visits(workers.len(), round) {
            let prepared = prepare(&database.client, queue).await?;
            let begin = Instant::now();
            let summary = prepared.drain(workers[nth], arguments.concurrency).await?;
            rate[nth] = f64::from(queue) / begin.elapsed().as_secs_f64();
            refused[nth] = refused_part(&summary);
            prepared.tracker.delete_table().await?;
        }
        rates.push(rate);
        refusals.push(refused);
        eprintln!("drained: round {} of {}", round + 1, arguments.rounds);
    }
    let mut figures = Vec::new();
    for (nth, rate) in growth(&rates).into_iter().enumerate() {
        let (client, probe) = database.counting()?;
        let prepared = prepare(&client, queue).await?;
        probe.measure();
        prepared.drain(workers[nth], arguments.concurrency).await?;
        let cost = Cost::of(&probe.spent()).for_each_of(queue);
        prepared.tracker.delete_table().await?;
        let refused = median(refusals.iter().map(|round| round[nth]).collect());
        figures.push(Figure { workers: workers[nth], rate, refused, cost });
    }
    Ok(figures)
}

/// A full queue.
struct Prepared {
    client: Client,
    /// The tracker that has filled it.
    tracker: Tracker<Job>,
    tasks: u32,
}

fn builder(client: &Client) -> TrackerBuilder<Job> {
    Job::tracker_builder(client).table(format!("growth-{}-queue", std::process::id()))
}

async fn prepare(client: &Client, tasks: u32) -> Result<Prepared, AnyError> {
    let tracker = builder(client).build()?;
    tracker.create_table().await?;
    fill(&tracker, tasks).await?;
    Ok(Prepared { client: client.clone(), tracker, tasks })
}

impl Prepared {
    /// Runs the workers until the queue is empty.
    async fn drain(&self, workers: u32, concurrency: u16) -> Result<Summary, AnyError> {
        let left = Arc::new(AtomicU32::new(self.tasks));
        let empty = CancellationToken::new();
        let run = |_| {
            let (left, last) = (Arc::clone(&left), empty.clone());
            // A drain keeps polling for one more second; this ends it when the last task has succeeded.
            let tracker = builder(&self.client).observer(move |event: &Event<'_>| {
                if event.kind == EventKind::Succeeded && left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    last.cancel();
                }
            });
            let worker = tracker.build()?.worker().concurrency(concurrency.into()).drain();
            Ok::<_, AnyError>(tokio::spawn(
                worker.shutdown(empty.clone()).run(async |_| Ok::<_, Failure>(())),
            ))
        };
        let runs: Vec<_> = (0..workers).map(run).collect::<Result<_, _>>()?;
        let mut all = Summary::default();
        for summary in try_join_all(runs).await? {
            all += summary?;
        }
        let wanted = u64::from(self.tasks);
        if all.succeeded == wanted {
            Ok(all)
        } else {
            Err(format!("{all}, expected {wanted} succeeded tasks").into())
        }
    }
}

/// Returns the fraction of the starts that were refused.
fn refused_part(summary: &Summary) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "no run starts as many")]
    let [refused, attempts] = [summary.refused, summary.attempts()].map(|starts| starts as f64);
    refused / (refused + attempts)
}
