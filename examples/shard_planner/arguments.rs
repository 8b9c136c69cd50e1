//! What can be asked for.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use super::plan::{Habits, Prices};
use super::simulation::{Load, Setup};

/// Finds out how many shards each status needs for a rate of tasks, and what that costs per month.
///
/// A simulation of the index, without a database: each shard is a partition that takes 1,000 writes a second and saves
/// up what it does not use. It is a model: DynamoDB promises neither the burst nor when it splits what.
#[derive(Parser)]
#[command(name = "shard_planner", version, after_help = EXIT_STATUS)]
pub struct Arguments {
    /// Tasks that are created a second, one rate or several
    #[arg(long, value_name = "N", num_args = 1.., value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000],
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rates: Vec<u32>,
    /// How many attempts of a hundred fail
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = |text: &str| within(text, 0.0, 100.0))]
    failing: f64,
    /// After how many failed attempts a task is given up
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    max_retry: u32,
    /// How long a body works, on average
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = |text: &str| within(text, 0.1, 86400.0))]
    work_seconds: f64,
    /// How long a failed task waits until it is tried again, on average
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = |text: &str| within(text, 0.1, 86400.0))]
    retry_seconds: f64,
    /// For how long a partition saves up what it does not use
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(..=3600))]
    burst_seconds: u32,
    /// How long to simulate, with the burst and then without: 10 to 86,400
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=86_400))]
    seconds: u32,
    /// Which part of its throughput a partition is to be used for
    #[arg(long, value_name = "PART", default_value_t = 0.7, value_parser = |text: &str| within(text, 0.1, 1.0))]
    pub headroom: f64,
    /// The price of a million write units
    #[arg(long, value_name = "PRICE", default_value_t = 0.625, value_parser = |text: &str| within(text, 0.0, 1e6))]
    price_per_million_writes: f64,
    /// The price of a million read units
    #[arg(long, value_name = "PRICE", default_value_t = 0.125, value_parser = |text: &str| within(text, 0.0, 1e6))]
    price_per_million_reads: f64,
    /// The size of an item in the table
    #[arg(long, value_name = "KB", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=400))]
    item_kb: u32,
    /// How many heartbeats and saves a task has, over all its attempts
    #[arg(long, value_name = "N", default_value_t = 0.0, value_parser = |text: &str| within(text, 0.0, 1e6))]
    heartbeats_per_task: f64,
    /// How often a second the workers look for tasks, all of them together
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = |text: &str| within(text, 0.0, 1e6))]
    polls_per_second: f64,
    /// What all chance is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Where to draw it
    #[arg(long, value_name = "FILE", default_value = "target/shard_planner.svg")]
    pub svg: PathBuf,
}

const EXIT_STATUS: &str =
    "Exit status: 0 all is well, 1 the drawing could not be written, 2 wrong arguments.";

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(format!("use {least} to {most}")) }
}

/// The arguments, or with what to exit.
pub fn parse() -> Result<Arguments, ExitCode> {
    Arguments::try_parse().map_err(|asked| {
        // Help and version are printed as they are, a mistake in one line.
        if !asked.use_stderr() {
            asked.exit();
        }
        let text = asked.to_string();
        let lines: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
        eprintln!("{} (try --help)", lines.join(" "));
        ExitCode::from(2)
    })
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
