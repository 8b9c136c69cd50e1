//! The command line.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use tracker_core::aws_sdk_dynamodb::Client;

use super::Play;
use super::common::{self, AnyError, Database};

/// The number of tasks to create if the database is in memory, because it is empty at first.
const TASKS_IN_MEMORY: u32 = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Batching {
    On,
    Off,
}

/// Processes the tasks of a table, alone or together with other processes, and shows the progress.
///
/// On the first Ctrl-C or SIGTERM the workers start no more tasks; running tasks get 20 s to finish, then they are
/// released. The second signal ends the process at once: tasks it still holds stay locked until their leases expire.
#[derive(Parser)]
#[command(name = "worker", version, after_help = EXIT_STATUS)]
pub struct Arguments {
    /// Create this many tasks first [default: 500 in memory, otherwise none]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    seed_tasks: Option<u32>,
    /// Create the tasks, then exit without processing them
    #[arg(long, requires = "seed_tasks")]
    pub seed_only: bool,
    /// How many tasks each worker processes at the same time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub concurrency: u16,
    /// How many workers this process runs, each with its own client (the embedded database shares one)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    workers: u16,
    /// Whether each worker starts and ends several tasks in one request
    #[arg(long, value_enum, value_name = "on|off", default_value_t = Batching::On, hide_possible_values = true)]
    batching: Batching,
    /// Stop when no task can be started now, instead of waiting for more [always set in memory]
    #[arg(long)]
    drain: bool,
    /// Stop within this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    pub deadline: Option<u32>,
    /// The shortest and the longest time that a task takes, in milliseconds
    #[arg(long, num_args = 2, value_names = ["MIN", "MAX"], default_values_t = [50, 200])]
    body_ms: Vec<u32>,
    /// The percentage of bodies that return a failure: 70 % of these are retried, 20 % snoozed, 10 % fatal
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u8).range(..=100))]
    failing: u8,
    /// The name of the table, created if it does not exist [default: deliveries]
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    #[command(flatten)]
    pub database: Database,
}

const EXIT_STATUS: &str = "Exit status: 0 success, 1 an error or a task that is still held, 2 wrong arguments, \
                           130 stopped by Ctrl-C or SIGTERM.";

/// Returns the arguments, or the exit status if they are wrong.
pub fn parse() -> Result<Arguments, ExitCode> {
    Arguments::try_parse().and_then(Arguments::checked).map_err(|error| common::print_usage(&error))
}

impl Arguments {
    fn checked(self) -> Result<Self, clap::Error> {
        let mistake = |text: &str| Err(Self::command().error(ErrorKind::ValueValidation, text));
        let Play { body_ms: (least, most), .. } = self.play();
        if least > most {
            return mistake("--body-ms has its values in the wrong order; put the smaller value first");
        }
        if self.seed_only && self.database.is_in_memory() {
            return mistake("--seed-only has no effect in memory; add --db, --endpoint-url or --aws");
        }
        Ok(self)
    }

    pub fn tasks(&self) -> u32 {
        self.seed_tasks.unwrap_or(if self.database.is_in_memory() { TASKS_IN_MEMORY } else { 0 })
    }

    pub fn drains(&self) -> bool {
        self.drain || self.database.is_in_memory()
    }

    pub fn batches(&self) -> bool {
        self.batching == Batching::On
    }

    pub fn play(&self) -> Play {
        let body_ms = |nth: usize| u64::from(self.body_ms.get(nth).copied().unwrap_or_default());
        Play { body_ms: (body_ms(0), body_ms(1)), failing: self.failing }
    }

    /// Returns a client for the reports, and one for each worker.
    pub async fn clients(&self) -> Result<Vec<Client>, AnyError> {
        let mut clients = vec![self.database.client().await?];
        for _ in 0..self.workers {
            // All workers share one embedded database.
            let is_embedded = self.database.is_embedded();
            clients.push(if is_embedded { clients[0].clone() } else { self.database.client().await? });
        }
        Ok(clients)
    }
}
