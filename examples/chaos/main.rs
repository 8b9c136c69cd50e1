//! Checks the guarantees of the README while workers, tasks and the network fail in every way at once.
//!
//! It teaches how to inject faults with `tracker_core::testing`, and how to check a fleet of workers from outside.
//! Workers panic, hang past their lease, and vanish without ending their attempt. Some tasks kill every worker that starts
//! them. Their leases differ in length, and their clocks differ. Any request may be lost, delayed, delivered twice,
//! throttled, failed, or answered with half a response, and idle connections die. Each success counts up a counter in the same
//! transaction; sometimes the condition of such an effect does not hold. Workers may also be processes of their own, which are
//! killed, or stopped until their leases have expired. Each body writes into a journal. At the end of each round of tasks,
//! the example compares the journal with the table.
//!
//! ```text
//! cargo run --example chaos
//! cargo run --example chaos -- --tasks 200 --workers 4 --seed 7
//! cargo run --release --example chaos -- --tasks 100000 --workers 64
//! cargo run --release --example chaos -- --for 2h --workers 5
//! cargo run --release --example chaos -- --backend aws-like
//! tests/dynamodb-local sh -c 'cargo run --example chaos -- --backend $TRACKER_DYNAMODB_ENDPOINT'
//! tests/dynamodb-local sh -c 'cargo run --example chaos -- --backend $TRACKER_DYNAMODB_ENDPOINT --processes 8'
//! ```

// An example exports nothing: `pub` items are shared between its modules, and with the test that includes them.
#![allow(unreachable_pub)]

mod arguments;
mod check;
mod clock;
#[path = "../common/mod.rs"]
mod common;
mod crew;
mod fleet;
mod job;
mod journal;
mod machine;
mod processes;
mod rounds;
mod worker;

use std::fmt::Display;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use tracker_core::testing::{AwsLike, Conditions};
use tracker_core::{CancellationToken, Layout};

use arguments::{Arguments, Backend};
use check::Report;
use common::AnyError;
use crew::Crew;
use fleet::Chaos;
use machine::Usage;
use processes::Processes;
use rounds::Totals;

/// Other allocators keep more of the freed memory, so that the resident memory would grow and shrink by chance.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    if let Some(status) = processes::main() {
        return status;
    }
    let arguments = Arguments::checked();
    machine::return_freed_memory();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(AnyError::from).and_then(|runtime| runtime.block_on(run(&arguments)));
    ended.unwrap_or_else(|error| {
        common::print_error(error.as_ref());
        ExitCode::from(3)
    })
}

async fn run(arguments: &Arguments) -> Result<ExitCode, AnyError> {
    let stop = CancellationToken::new();
    let mut signal = Box::pin(common::stop_signal());
    // The first poll opens what the signals need, which stays open.
    let _ = futures_util::poll!(&mut signal);
    tokio::spawn(stop_on(signal, stop.clone()));
    let before = Usage::now();
    let begin = Instant::now();
    let totals = process(arguments, &stop).await?;
    let seconds = begin.elapsed().as_secs_f32();
    let nothing_is_left = machine::nothing_is_left(before).await;

    println!("{} tasks, {arguments}: {seconds:.1} s", totals.tasks);
    println!("faults:   {}", listed(&totals.faults));
    println!("attempts: {}", listed(&totals.attempts));
    match Usage::now() {
        Some(after) => println!("at the end: {after}"),
        None => println!("memory, threads and connections are not measured on this system"),
    }
    let violations = print(&totals.with_memory()) + print(&nothing_is_left);
    println!("violations: {violations}");
    Ok(match (violations, totals.interrupted) {
        (0, true) => ExitCode::from(130),
        (0, false) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Processes all tasks on a table of their own, and deletes the table.
async fn process(arguments: &Arguments, stop: &CancellationToken) -> Result<Totals, AnyError> {
    let plan = arguments.plan();
    let (client, aws) = match &arguments.backend {
        Backend::Embedded => (tracker_core::embedded::in_memory()?, None),
        Backend::AwsLike => {
            let (client, aws) = AwsLike::around(&tracker_core::embedded::in_memory()?, Conditions::none())?;
            (client, Some(aws))
        }
        Backend::Url(url) => (common::local_client(url), None),
    };
    let table = format!("chaos-{}", std::process::id());
    let processes = match (&arguments.backend, arguments.processes) {
        (Backend::Url(url), Some(count)) => Some(Processes::new(url, &table, plan, count)?),
        _ => None,
    };
    let chaos = Arc::new(Chaos::new(&client, aws, &table, Layout::new(), plan)?);
    chaos.calm.create_table().await?;
    let progress = match arguments.length() {
        Some(tasks) => ProgressBar::new(tasks)
            .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} ended, {elapsed}")?),
        None => {
            ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{pos} ended, {elapsed}")?)
        }
    };
    let mut crew = processes.map_or_else(|| Crew::here(&chaos), Crew::Processes);
    let processed = rounds::process(&chaos, &mut crew, arguments.intake(), stop, &progress).await;
    crew.end().await;
    progress.finish_and_clear();
    chaos.calm.delete_table().await?;
    let mut totals = processed?;
    for (fault, count) in chaos.faults() {
        *totals.faults.entry(fault.to_owned()).or_default() += count;
    }
    Ok(totals)
}

/// Stops the run on the first signal, and exits on the second.
async fn stop_on(mut signal: Pin<Box<impl Future<Output = std::io::Result<()>>>>, stop: CancellationToken) {
    if signal.as_mut().await.is_err() {
        return;
    }
    eprintln!("stopping: the tasks that have ended are checked (Ctrl-C again: exit now)");
    stop.cancel();
    let _ = common::stop_signal().await;
    std::process::exit(130);
}

/// Prints each guarantee with a few cases in which it was broken. Returns how many cases there are.
fn print(report: &Report) -> usize {
    for (promise, _) in report.iter().filter(|(_, broken)| broken.is_empty()) {
        println!("holds  {promise}");
    }
    check::print_broken(report);
    report.iter().map(|(_, broken)| broken.len()).sum()
}

fn listed<'c>(counts: impl IntoIterator<Item = (&'c (impl Display + 'c), &'c usize)>) -> String {
    let counts: Vec<_> = counts.into_iter().map(|(what, count)| format!("{what} {count}")).collect();
    counts.join(", ")
}
