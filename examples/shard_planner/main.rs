//! Plans shards: how many a rate of tasks needs, what happens with too few, and what a month costs.
//!
//! It teaches what limits the throughput of the index, and which status enum fits a given rate. It needs no database: it
//! simulates each partition as a token bucket, with random choices from a seed.
//!
//! ```text
//! cargo run --example shard_planner                             # half a minute
//! cargo run --example shard_planner -- --rates 25000 --failing 20 --item-kb 3 --heartbeats-per-task 2
//! ```

// An example exports nothing: `pub` items are shared between its modules, and with the test that includes them.
#![allow(unreachable_pub)]

mod arguments;
mod chance;
#[path = "../common/mod.rs"]
mod common;
mod drawing;
mod plan;
mod simulation;

use std::path::Path;
use std::process::ExitCode;

use indicatif::{HumanFloatCount, ProgressBar, ProgressStyle};

use arguments::Arguments;
use drawing::Sweep;
use simulation::{Load, Outcome, SEARCH, STATUSES, Setup, Shards, simulate};

fn main() -> ExitCode {
    let arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let (loads, setup) = (arguments.loads(), arguments.setup());
    let candidates = |load: &Load| plan::candidates(load, arguments.headroom);
    let runs = loads.iter().map(|load| candidates(load).len() as u64 + u64::from(SEARCH)).sum();
    let progress = ProgressBar::new(runs);
    if let Ok(style) = ProgressStyle::with_template("simulating {bar:40} {pos}/{len}, {elapsed}") {
        progress.set_style(style);
    }
    if arguments.one_collection
        && let Some((load, most)) = loads.iter().find_map(|load| {
            let most = plan::too_many_for_one_collection(load, arguments.habits(), arguments.headroom)?;
            Some((load, most))
        })
    {
        eprintln!(
            "{} tasks a second are too many for one hash key: with the task id as sort key, at most {} fit into its 1,000 write units a \
             second; use a sort key with a constant, or no sort key",
            grouped(load.rate),
            grouped(most)
        );
        return ExitCode::from(2);
    }
    let mut sweeps = Vec::new();
    for load in loads {
        let simulated = |shards| {
            progress.inc(1);
            (shards, simulate(load, shards, setup))
        };
        let sweep = Sweep { load, points: candidates(&load).into_iter().map(simulated).collect() };
        let sustained = simulation::sustained(load, plan::shards_for(&load, arguments.headroom), setup);
        progress.inc(SEARCH.into());
        progress.suspend(|| show(&arguments, &sweep, sustained));
        sweeps.push(sweep);
    }
    progress.finish_and_clear();
    println!("The costs do not include storage, backups, data transfer, and retries of throttled requests.");
    if let Err(error) = draw(&arguments.svg, &sweeps, setup) {
        eprintln!("error: could not write {}: {error}", arguments.svg.display());
        return ExitCode::FAILURE;
    }
    println!("Chart: {}", arguments.svg.display());
    ExitCode::SUCCESS
}

fn draw(file: &Path, sweeps: &[Sweep], setup: Setup) -> Result<(), Box<dyn std::error::Error>> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    drawing::draw(file, sweeps, setup)
}

fn show(arguments: &Arguments, sweep: &Sweep, sustained: f64) {
    let (load, setup) = (sweep.load, arguments.setup());
    println!(
        "== {} tasks/s, {:.1} % of the attempts fail; throttled transitions:",
        grouped(load.rate),
        load.failing * 100.0
    );
    table(sweep, setup);

    let shards = plan::shards_for(&load, arguments.headroom);
    println!(
        "\nWith at most {:.0} % of each partition used:\n{}",
        arguments.headroom * 100.0,
        plan::enum_of(shards)
    );
    println!(
        "These shards sustain {} tasks/s in the simulation; `max_tasks_per_second()` returns {}, without failed attempts.",
        grouped(sustained),
        grouped(plan::paper(shards).into())
    );
    for caution in plan::cautions(&load, shards, arguments.habits()) {
        println!("{caution}");
    }
    let cost = plan::cost(&load, shards, arguments.habits(), arguments.prices());
    println!(
        "Cost per month: {} million write units ({:.2} per task) for {}, {} million read units for {}, together {}\n",
        grouped(cost.million_writes),
        cost.writes_per_task,
        grouped(cost.writes),
        grouped(cost.million_reads),
        grouped(cost.reads),
        grouped(cost.writes + cost.reads)
    );
}

fn table(sweep: &Sweep, setup: Setup) {
    let head = STATUSES.map(|status| format!("{status:>12}")).concat();
    let first = format!("first {} s", setup.seconds);
    println!("{head} {:>8} {first:>12} {:>10} {:>12}  bottleneck", "used", "burst lasts", "afterwards");
    for (shards, outcome) in &sweep.points {
        row(*shards, outcome, plan::used(&sweep.load, *shards), setup);
    }
}

fn row(shards: Shards, outcome: &Outcome, used: f64, setup: Setup) {
    let counts = shards.map(|n| format!("{n:>12}")).concat();
    let percent = |part: f64| format!("{:.2} %", part * 100.0);
    let lasts =
        outcome.lasts.map_or_else(|| format!("> {} s", setup.seconds), |lasts| format!("{lasts:.0} s"));
    let [at_first, after] = [outcome.at_first, outcome.after].map(percent);
    println!(
        "{counts} {:>6.0} % {at_first:>12} {lasts:>11} {after:>12}  {}",
        used * 100.0,
        outcome.narrowest.unwrap_or("none")
    );
}

/// Formats a whole number with thousands separators.
fn grouped(number: f64) -> String {
    format!("{:.0}", HumanFloatCount(number))
}
