//! The command line.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};

use super::jobs::DECLARED_SHARDS;

/// Measures how costs grow with the tasks in a table, with workers, and with shards.
///
/// Runs on the DynamoDB Local that `TRACKER_DYNAMODB_ENDPOINT` names (`tests/dynamodb-local` starts one), otherwise on the
/// embedded database. All values of a list are compared with its first value.
#[derive(Parser)]
#[command(name = "growth", bin_name = "cargo bench --bench growth --")]
pub(crate) struct Arguments {
    /// How many tasks a table contains; each value has its own table [default: 1000,10000,100000]
    #[arg(long, value_name = "N,..", default_values_t = [1_000, 10_000, 100_000], hide_default_value = true, value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) tasks: Vec<u32>,
    /// How many workers drain the queue [default: 1,2,4,8,16,32,64]
    #[arg(long, value_name = "N,..", default_values_t = [1, 2, 4, 8, 16, 32, 64], hide_default_value = true, value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) workers: Vec<u32>,
    /// How many tasks the queue contains that the workers drain
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub(crate) queue: u32,
    /// How many tasks a worker runs at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) concurrency: u16,
    /// How many shards each status has; only the default values are possible
    #[arg(long, value_name = "N,..", default_values_t = DECLARED_SHARDS, value_delimiter = ',', value_parser = declared)]
    pub(crate) shards: Vec<u32>,
    /// How many rounds to measure; the result is their median
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,
    /// Run only one of the three sweeps
    #[arg(long, value_name = "SWEEP")]
    only: Option<Sweep>,
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/benches"), hide_default_value = true,
          help = "The folder for the charts, growth-*.svg [default: `benches` of this repository]")]
    pub(crate) out: PathBuf,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// A measurement, named after what grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sweep {
    Tasks,
    Workers,
    Shards,
}

impl Sweep {
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Tasks => "growth-tasks.svg",
            Self::Workers => "growth-workers.svg",
            Self::Shards => "growth-shards.svg",
        }
    }
}

impl Arguments {
    /// Returns the arguments. If they are wrong, prints how to correct them and exits the process.
    pub(crate) fn parsed() -> Self {
        let arguments = Self::parse();
        let lists =
            [("tasks", &arguments.tasks), ("workers", &arguments.workers), ("shards", &arguments.shards)];
        for (name, values) in lists {
            if let Some((before, after)) = falls(values) {
                let mistake =
                    format!("`--{name}` has {after} after {before}; write each value once, in rising order");
                Self::command().error(ErrorKind::ValueValidation, mistake).exit();
            }
        }
        arguments
    }

    pub(crate) fn sweeps(&self) -> Vec<Sweep> {
        self.only.map_or_else(|| vec![Sweep::Tasks, Sweep::Workers, Sweep::Shards], |only| vec![only])
    }
}

/// Returns the first two neighbours that are not in rising order.
fn falls(values: &[u32]) -> Option<(u32, u32)> {
    values.array_windows().find(|[before, after]| before >= after).map(|[before, after]| (*before, *after))
}

fn declared(text: &str) -> Result<u32, String> {
    let shards = text.parse().ok().filter(|shards| DECLARED_SHARDS.contains(shards));
    shards.ok_or_else(|| {
        let all: Vec<_> = DECLARED_SHARDS.iter().map(u32::to_string).collect();
        format!("no enum in this bench has this number of shards; use {}", all.join(", "))
    })
}
