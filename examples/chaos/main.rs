//! Checks the guarantees of the README while workers, tasks and the network fail in every way at once.
//!
//! It teaches how to inject faults with `tracker_core::testing`, and how to check a fleet of workers from outside.
//! Workers panic, hang past their lease, and vanish without ending their attempt. Some tasks kill every worker that starts
//! them. Their leases differ in length, and their clocks differ. Any request may be lost, delayed, delivered twice,
//! throttled, failed, or answered with half a response, and idle connections die. Each success counts up a counter in the same
//! transaction; sometimes the condition of such an effect does not hold. Each body writes into a journal, and at
//! the end the example compares the journal with the table.
//!
//! ```text
//! cargo run --example chaos
//! cargo run --example chaos -- --tasks 200 --workers 4 --seed 7
//! tests/dynamodb-local sh -c 'cargo run --example chaos -- --backend $TRACKER_DYNAMODB_ENDPOINT'
//! ```

// An example exports nothing: `pub` items are shared between its modules, and with the test that includes them.
#![allow(unreachable_pub)]

mod check;
mod clock;
#[path = "../common/mod.rs"]
mod common;
mod fleet;
mod journal;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use tracker_core::Layout;

use common::AnyError;
use fleet::{Chaos, Plan};

/// Lets workers and the network fail in every way, and checks that every guarantee still holds.
///
/// A run without options processes 2,000 tasks and takes about a minute and a half. A body may work, save, fail, panic,
/// hang or block past its lease, vanish together with its worker and heartbeat, be released, be cancelled, or have its effect
/// refused.
///
/// The seed fixes what each body does and, for each task, which of its requests meet which fault. It does not fix how
/// workers interleave. If a seed breaks a guarantee, repeat it, several times if necessary.
#[derive(Parser)]
#[command(name = "chaos", version, after_help = EXIT_STATUS)]
struct Arguments {
    /// How many tasks to create
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tasks: u32,
    /// How many workers run at the same time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    workers: u32,
    /// The seed of all random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Let no success write an effect of its own: each is then an update, and no transaction
    #[arg(long)]
    without_effects: bool,
    /// `embedded`, or the address of a DynamoDB, for example `http://127.0.0.1:8000`
    #[arg(long, value_name = "embedded|URL", default_value = "embedded", value_parser = backend)]
    backend: String,
}

const EXIT_STATUS: &str = "Exit status: 0 every guarantee holds, 1 a guarantee is broken, 2 wrong arguments, \
                           3 an error, 130 stopped by Ctrl-C or SIGTERM.";

fn backend(text: &str) -> Result<String, String> {
    if text == "embedded" || text.starts_with("http://") || text.starts_with("https://") {
        return Ok(text.to_owned());
    }
    Err("use `embedded` or a URL such as http://127.0.0.1:8000".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(status) => status,
        Err(error) => {
            common::print_error(error.as_ref());
            ExitCode::from(3)
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, AnyError> {
    let Arguments { tasks, workers, seed, without_effects, backend } = arguments;
    let plan = Plan { tasks, workers, seed, effects: !without_effects };
    let client = match &*backend {
        "embedded" => tracker_core::embedded::in_memory()?,
        url => common::local_client(url),
    };
    let table = format!("chaos-{}", std::process::id());
    let chaos = Arc::new(Chaos::new(&client, &table, Layout::new(), plan)?);
    let begin = Instant::now();
    chaos.calm.create_table().await?;

    let progress = ProgressBar::new(tasks.into())
        .with_style(ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} ended, {elapsed}")?)
        .with_message(format!("{workers} workers, seed {seed}"));
    let watched = watch(&chaos, &progress);
    let interrupted = tokio::select! {
        done = Arc::clone(&chaos).run() => done.map(|()| false),
        () = watched => Ok(false),
        _ = common::stop_signal() => Ok(true),
    };
    progress.finish_and_clear();
    if interrupted.is_err() {
        chaos.calm.delete_table().await?;
    }
    if interrupted? {
        chaos.calm.delete_table().await?;
        println!("interrupted: nothing was checked, and the table is deleted");
        return Ok(ExitCode::from(130));
    }

    println!(
        "{tasks} tasks, {workers} workers, seed {seed}, {backend}: {:.1} s",
        begin.elapsed().as_secs_f32()
    );
    println!("faults:   {}", listed(chaos.network.injected()));
    println!("attempts: {}", listed(chaos.journal.behaviours()));
    let report = check::check(&chaos).await?;
    chaos.calm.delete_table().await?;
    for (promise, broken) in &report {
        println!("{} {promise}", if broken.is_empty() { "holds " } else { "BROKEN" });
        for case in broken.iter().take(5) {
            println!("         {case}");
        }
    }
    let violations: usize = report.iter().map(|(_, broken)| broken.len()).sum();
    println!("violations: {violations}");
    Ok(if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Updates the progress bar every half second, without end.
async fn watch(chaos: &Chaos, progress: &ProgressBar) {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if let Ok(counts) = chaos.calm.count_by_status().await {
            progress.set_position(fleet::ended(&counts));
        }
    }
}

fn listed(counts: impl IntoIterator<Item = (&'static str, usize)>) -> String {
    let counts: Vec<_> = counts.into_iter().map(|(what, count)| format!("{what} {count}")).collect();
    counts.join(", ")
}
