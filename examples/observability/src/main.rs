//! A worker whose metrics go to Prometheus, to OpenTelemetry or to CloudWatch.
//!
//! It teaches how to install an exporter, which process reads the gauges, and how to flush at the end.
//!
//! ```text
//! cargo run -p observability -- prometheus                 # then: curl http://127.0.0.1:9464/metrics
//! cargo run -p observability -- otel                       # to a collector at http://127.0.0.1:4318
//! cargo run -p observability -- emf --tasks 100            # to stdout, as a Lambda function or an agent would
//! ```

// An example exports nothing: `pub` items are shared between its modules.
#![allow(unreachable_pub)]

mod emf;
mod otel;
mod prometheus;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::signal::ctrl_c;
use tracker_core::{
    CancellationToken, Error, Execution, Failure, StatusTracker, Tracker, TrackerStatus, embedded,
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(about = "A worker whose metrics go to Prometheus, to OpenTelemetry or to CloudWatch")]
struct Arguments {
    #[command(subcommand)]
    exporter: Exporter,
    /// End after this many tasks [default: go on until Ctrl-C]
    #[arg(long, global = true)]
    tasks: Option<u64>,
}

#[derive(Subcommand)]
enum Exporter {
    /// Serve the metrics at `/metrics`, until Ctrl-C even if all tasks have ended
    Prometheus {
        #[arg(long, default_value = "127.0.0.1:9464")]
        listen: SocketAddr,
    },
    /// Send metrics and spans to a collector, by OTLP over HTTP
    Otel {
        #[arg(long, default_value = "http://127.0.0.1:4318")]
        endpoint: String,
    },
    /// Print the metrics every second in CloudWatch's embedded metric format
    Emf,
}

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
enum InvoiceStatus {
    #[status(pending)]
    Pending = 10,
    #[status(in_progress)]
    InProgress = 12,
    #[status(failed)]
    Failed = 14,
    #[status(succeeded)]
    Succeeded = 16,
    #[status(ignored)]
    Ignored = 18,
}

#[derive(StatusTracker, Debug)]
#[tracker(
    use_case_id = "invoices",
    status = InvoiceStatus,
    table = "invoices",
    max_retry = 2,
    backoff = "exponential",
    backoff_base_seconds = 1,
    backoff_max_seconds = 2,
    // So short that heartbeats can be seen after two seconds.
    lock_expire_seconds = 6,
)]
struct Invoice {
    #[tracker(task_id)]
    number: String,
    lines: u64,
}

/// What remains to be done when the program ends.
type Finish = Box<dyn FnOnce() -> Result<(), AnyError>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let chain =
                std::iter::successors(Some(error.as_ref() as &dyn std::error::Error), |error| error.source());
            let chain: Vec<_> = chain.map(ToString::to_string).collect();
            eprintln!("error: {}", chain.join(": "));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), AnyError> {
    // Before the runtime and the tracker: an exporter may use threads of its own, and a tracker describes its metrics to the
    // recorder that is there when it is built.
    let finish = match &arguments.exporter {
        Exporter::Prometheus { listen } => prometheus::install(*listen)?,
        Exporter::Otel { endpoint } => otel::install(endpoint)?,
        Exporter::Emf => emf::install()?,
    };
    let stays = matches!(arguments.exporter, Exporter::Prometheus { .. });
    tokio::runtime::Runtime::new()?.block_on(work(arguments.tasks, stays))?;
    finish()
}

/// Creates invoices, runs a worker on them, and reads the gauges.
async fn work(tasks: Option<u64>, stays: bool) -> Result<(), AnyError> {
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            if ctrl_c().await.is_ok() {
                stop.cancel();
            }
        }
    });
    let invoices = Invoice::tracker(&embedded::in_memory()?);
    invoices.create_table().await?;
    // One process of a fleet is enough.
    let gauges = tokio::spawn(invoices.gauges(Duration::from_secs(2)).run());
    let worker = invoices.worker().concurrency(4).shutdown(stop.clone());
    let worker = match tasks {
        None => {
            tokio::spawn(create(invoices.clone(), u64::MAX));
            worker
        }
        Some(tasks) => {
            create(invoices.clone(), tasks).await?;
            worker.drain().until_all_ended()
        }
    };
    let summary = worker.run(book).await?;
    eprintln!("{} succeeded, {} ignored", summary.succeeded, summary.ignored);
    if stays && !stop.is_cancelled() {
        eprintln!("all tasks have ended; the metrics are served until Ctrl-C");
        stop.cancelled().await;
    }
    // The gauges as they are at the end.
    gauges.abort();
    invoices.gauges(Duration::from_secs(2)).read().await?;
    Ok(())
}

/// Creates fifty invoices a second.
async fn create(invoices: Tracker<Invoice>, tasks: u64) -> Result<(), Error> {
    for nth in 0..tasks {
        invoices.create(Invoice { number: format!("{nth:06}"), lines: nth % 10 }).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Runs the body of one invoice: every tenth is of no use, and every twentieth takes long enough for a heartbeat.
async fn book(invoice: &mut Execution<Invoice>) -> Result<(), Failure> {
    let lines = invoice.data().lines;
    let long = invoice.task_id().ends_with("05");
    tokio::time::sleep(Duration::from_millis(if long { 3000 } else { 10 * lines })).await;
    match lines {
        0 => Err(Failure::fatal("the invoice has no lines")),
        9 if invoice.attempt() == 1 => Err(Failure::retry("the ledger is closed for a moment")),
        _ => Ok(()),
    }
}
