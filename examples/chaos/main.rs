//! Everything that goes wrong at once, and what it leaves: the claims of the README, checked on a table.
//!
//! It teaches: what a fleet of workers does with faults, by `tracker_core::testing`, and how to check it from outside.
//! Workers panic, hang past their lease and vanish without a word; some tasks kill whoever starts them; every request
//! may be lost, delayed, repeated late, throttled or answered by half. Bodies write into a journal, which is then
//! compared with the table.
//!
//! ```text
//! cargo run --example chaos
//! cargo run --example chaos -- --tasks 200 --workers 4 --seed 7
//! tests/dynamodb-local sh -c 'cargo run --example chaos -- --backend $TRACKER_DYNAMODB_ENDPOINT'
//! ```

// Nothing of an example is exported, and `pub` is what its modules show each other, and the test that runs them too.
#![allow(unreachable_pub)]

mod check;
mod fleet;
mod journal;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use fleet::{Chaos, Plan};

/// Lets workers and network fail in every way, and compares what it leaves with what is promised.
///
/// The 2,000 tasks of a run without options take about a minute and a half. A seed repeats what bodies do and, for each
/// task, which of its requests meet which fault; how workers interleave is up to the scheduler, so run a seed that broke
/// a promise again, several times if need be. Bodies work, save on the way, fail, panic, hang past their lease, vanish
/// (their worker is gone, with its heartbeat), are released or cancelled.
#[derive(Parser)]
#[command(name = "chaos", version, after_help = EXIT_STATUS)]
struct Arguments {
    /// How many tasks
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tasks: u32,
    /// How many workers work at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    workers: u32,
    /// What all chance is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// `embedded`, or the address of a DynamoDB to write to, such as `http://127.0.0.1:8000`
    #[arg(long, value_name = "embedded|URL", default_value = "embedded", value_parser = backend)]
    backend: String,
}

const EXIT_STATUS: &str = "Exit status: 0 nothing is wrong, 1 a promise is broken, 2 wrong arguments, 3 it could not run, \
                           130 interrupted.";

fn backend(text: &str) -> Result<String, String> {
    if text == "embedded" || text.starts_with("http://") || text.starts_with("https://") {
        return Ok(text.to_owned());
    }
    Err("neither `embedded` nor a URL such as http://127.0.0.1:8000".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(status) => status,
        Err(error) => {
            eprintln!("chaos could not run: {error}");
            let mut source = error.source();
            while let Some(error) = source {
                eprintln!("  because: {error}");
                source = error.source();
            }
            ExitCode::from(3)
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn std::error::Error + Send + Sync>> {
    let Arguments { tasks, workers, seed, backend } = arguments;
    let client = match &*backend {
        "embedded" => tracker_core::embedded::in_memory()?,
        url => fleet::client_of(url),
    };
    let table = format!("chaos-{}", std::process::id());
    let chaos = Arc::new(Chaos::new(&client, &table, Plan { tasks, workers, seed })?);
    let begin = Instant::now();
    chaos.calm.create_table().await?;

    let progress = ProgressBar::new(tasks.into())
        .with_style(ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} ended, {elapsed}")?)
        .with_message(format!("{workers} workers, seed {seed}"));
    let watched = watch(&chaos, &progress);
    let interrupted = tokio::select! {
        done = Arc::clone(&chaos).run() => done.map(|()| false),
        () = watched => Ok(false),
        _ = tokio::signal::ctrl_c() => Ok(true),
    };
    progress.finish_and_clear();
    if interrupted.is_err() {
        chaos.calm.delete_table().await?;
    }
    if interrupted? {
        chaos.calm.delete_table().await?;
        println!("interrupted, and nothing checked; the table is deleted");
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

/// Shows how far it is, for ever.
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
