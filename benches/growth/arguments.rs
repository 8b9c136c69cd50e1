//! What can be asked for.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};

use super::jobs::DECLARED_SHARDS;

/// Measures how costs grow with the tasks in a table, with workers, and with shards.
///
/// On DynamoDB Local where `tests/dynamodb-local` runs it, or the environment has `TRACKER_DYNAMODB_ENDPOINT`; else on the
/// embedded database. All values of a list are compared with its first.
#[derive(Parser)]
#[command(name = "growth", bin_name = "cargo bench --bench growth --")]
pub(crate) struct Arguments {
    /// How many tasks there are in a table, one table for each [default: 1000,10000,100000]
    #[arg(long, value_name = "N,..", default_values_t = [1_000, 10_000, 100_000], hide_default_value = true, value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) tasks: Vec<u32>,
    /// How many workers drain a queue [default: 1,2,4,8,16,32,64]
    #[arg(long, value_name = "N,..", default_values_t = [1, 2, 4, 8, 16, 32, 64], hide_default_value = true, value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) workers: Vec<u32>,
    /// How many tasks there are in the queue that the workers drain
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub(crate) queue: u32,
    /// Over how many shards each status is spread: any of the defaults
    #[arg(long, value_name = "N,..", default_values_t = DECLARED_SHARDS, value_delimiter = ',', value_parser = declared)]
    pub(crate) shards: Vec<u32>,
    /// Rounds, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,
    /// One of the three alone
    #[arg(long, value_name = "SWEEP")]
    only: Option<Sweep>,
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/benches"), hide_default_value = true,
          help = "The folder for the plots, growth-*.svg [default: `benches` of the package]")]
    pub(crate) out: PathBuf,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// What grows.
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
    /// The arguments; a mistake in them ends the process, with what to write instead.
    pub(crate) fn parsed() -> Self {
        let arguments = Self::parse();
        let lists =
            [("tasks", &arguments.tasks), ("workers", &arguments.workers), ("shards", &arguments.shards)];
        for (name, values) in lists {
            if let Some((before, after)) = falls(values) {
                let mistake =
                    format!("`--{name}` has {after} after {before}: write each value once, the least first");
                Self::command().error(ErrorKind::ValueValidation, mistake).exit();
            }
        }
        arguments
    }

    pub(crate) fn sweeps(&self) -> Vec<Sweep> {
        self.only.map_or_else(|| vec![Sweep::Tasks, Sweep::Workers, Sweep::Shards], |only| vec![only])
    }
}

/// The first two neighbours that do not rise.
fn falls(values: &[u32]) -> Option<(u32, u32)> {
    values.array_windows().find(|[before, after]| before >= after).map(|[before, after]| (*before, *after))
}

fn declared(text: &str) -> Result<u32, String> {
    let shards = text.parse().ok().filter(|shards| DECLARED_SHARDS.contains(shards));
    shards.ok_or_else(|| {
        let all: Vec<_> = DECLARED_SHARDS.iter().map(u32::to_string).collect();
        format!("shards are declared in the enum; use one of {}", all.join(", "))
    })
}
