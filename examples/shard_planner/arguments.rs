//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use super::common;
use super::plan::{Habits, Prices};
use super::simulation::{Load, Setup};

/// Plans how many shards each status needs for a rate of tasks, and computes the cost per month.
///
/// The program simulates the index without a database. Each shard is a partition that takes 1,000 writes per second and
/// saves unused capacity for a burst. This is a model: DynamoDB guarantees neither the burst nor when a partition splits.
#[derive(Parser)]
#[command(name = "shard_planner", version, after_help = EXIT_STATUS)]
pub struct Arguments {
    /// How many tasks are created per second: one rate or several
    #[arg(long, value_name = "N", num_args = 1.., value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000],
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rates: Vec<u32>,
    /// The percentage of attempts that fail
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = |text: &str| within(text, 0.0, 100.0))]
    failing: f64,
    /// After how many failed attempts a task is ignored
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    max_retry: u32,
    /// How long a body works, on average
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = |text: &str| within(text, 0.1, 86400.0))]
    work_seconds: f64,
    /// How long a failed task waits for its next attempt, on average
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = |text: &str| within(text, 0.1, 86400.0))]
    retry_seconds: f64,
    /// For how many seconds a partition saves unused capacity
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(..=3600))]
    burst_seconds: u32,
    /// How long to simulate, first with the burst and then again without it: 10 to 86,400
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=86_400))]
    seconds: u32,
    /// The fraction of its throughput up to which a partition is used
    #[arg(long, value_name = "FRACTION", default_value_t = 0.7, value_parser = |text: &str| within(text, 0.1, 1.0))]
    pub headroom: f64,
    /// The price of one million write units
    #[arg(long, value_name = "PRICE", default_value_t = 0.625, value_parser = |text: &str| within(text, 0.0, 1e6))]
    price_per_million_writes: f64,
    /// The price of one million read units
    #[arg(long, value_name = "PRICE", default_value_t = 0.125, value_parser = |text: &str| within(text, 0.0, 1e6))]
    price_per_million_reads: f64,
    /// The size of an item in the table
    #[arg(long, value_name = "KB", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=400))]
    item_kb: u32,
    /// How many heartbeats and saves a task makes over all its attempts
    #[arg(long, value_name = "N", default_value_t = 0.0, value_parser = |text: &str| within(text, 0.0, 1e6))]
    heartbeats_per_task: f64,
    /// How many times per second all workers together poll for tasks
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = |text: &str| within(text, 0.0, 1e6))]
    polls_per_second: f64,
    /// Whether the sort key of the table is the task id, so that all tasks share one hash key: refuses rates that are too high for it
    #[arg(long)]
    pub one_collection: bool,
    /// The seed of all random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The file for the chart
    #[arg(long, value_name = "FILE", default_value = "target/shard_planner.svg")]
    pub svg: PathBuf,
}

const EXIT_STATUS: &str = "Exit status: 0 success, 1 the chart could not be written, 2 wrong arguments, or a rate too high for --one-collection.";

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(format!("use {least} to {most}")) }
}

/// Returns the arguments, or the exit status if they are wrong.
pub fn parse() -> Result<Arguments, ExitCode> {
    Arguments::try_parse().map_err(|error| common::print_usage(&error))
}

impl Arguments {
    pub fn loads(&self) -> Vec<Load> {
        let load = |rate: &u32| Load {
            rate: f64::from(*rate),
            failing: self.failing / 100.0,
            max_retry: self.max_retry,
            work_seconds: self.work_seconds,
            retry_seconds: self.retry_seconds,
        };
        self.rates.iter().map(load).collect()
    }

    pub fn setup(&self) -> Setup {
        Setup { burst_seconds: self.burst_seconds, seconds: self.seconds, seed: self.seed }
    }

    pub fn habits(&self) -> Habits {
        Habits {
            item_kb: self.item_kb,
            heartbeats: self.heartbeats_per_task,
            polls_per_second: self.polls_per_second,
        }
    }

    pub fn prices(&self) -> Prices {
        Prices { million_writes: self.price_per_million_writes, million_reads: self.price_per_million_reads }
    }
}
