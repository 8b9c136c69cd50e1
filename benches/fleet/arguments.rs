//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tracker_fleet::{Cell, Impossible, Setup};

/// Simulates fleets of workers on one table, in simulated time: requests, units, refused starts, throttling, how long tasks
/// wait, and how a fleet recovers.
///
/// The workers decide with the code of tracker-core; the table is simulated. For each cell the bench chooses shards, concurrency
/// and poll, and prints them.
///
/// "half die" has the seconds until the p99 is below twice the usual, and those until the last lost task is taken over. "outage" has the
/// seconds after its end until the p99 is usual.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, Parser)]
#[command(name = "fleet", bin_name = "cargo bench --bench fleet --")]
pub(crate) struct Arguments {
    /// How many workers there are, each a process of its own
    #[arg(long, value_name = "N,..", default_values_t = [100], value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    workers: Vec<u32>,
    /// How many tasks are created per second
    #[arg(long, value_name = "N,..", default_values_t = [1_000], value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=200_000))]
    rate: Vec<u32>,
    /// How long a body takes on average, in ms, at most a minute, so that no attempt needs a heartbeat; each takes half of it to one and a half
    #[arg(long, value_name = "MS,..", default_values_t = [10], value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=60_000))]
    body: Vec<u32>,
    /// Simulates all 27 cells: 10, 100 and 1,000 workers; 1,000, 10,000 and 100,000 tasks per second; bodies of 10 ms, 1 s and 60 s
    #[arg(long, conflicts_with_all = ["workers", "rate", "body"])]
    all: bool,
    /// Also simulates how the fleet recovers after half of the workers die, and after an outage of ten minutes
    #[arg(long)]
    pub(crate) recovery: bool,
    /// The most tasks for which a recovery is simulated
    #[arg(long, value_name = "N", default_value_t = 8_000_000)]
    pub(crate) recovery_tasks: u64,
    /// How long to measure, in simulated seconds [default: until 300,000 tasks are created, but 5 to 30 s]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: Option<u32>,
    /// The slots of each worker, instead of what the bench chooses
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: Option<u32>,
    /// The first and the longest wait between two polls, in ms, instead of what the bench chooses
    #[arg(long, value_name = "MS,MS", value_parser = poll)]
    poll: Option<(u64, u64)>,
    /// The shards of pending and in progress, instead of what the bench chooses
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=999))]
    shards: Option<u32>,
    /// The partitions of the table [default: so many that 70 % of their units are used]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    table_partitions: Option<u32>,
    /// The partitions of the index, into which the shards fall by chance [default: one for each shard]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    index_partitions: Option<u32>,
    /// For how many seconds a partition saves unused units
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=3600))]
    burst: u32,
    /// The seed of all random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The file for the chart; without it, no chart is drawn
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Prints each second of a simulation
    #[arg(long)]
    pub(crate) verbose: bool,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// The tasks that a measurement should have.
const MEASURED_TASKS: f64 = 300_000.0;

impl Arguments {
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let (workers, rates, bodies) = if self.all {
            (vec![10, 100, 1_000], vec![1_000, 10_000, 100_000], vec![10, 1_000, 60_000])
        } else {
            (self.workers.clone(), self.rate.clone(), self.body.clone())
        };
        let mut cells = Vec::new();
        for &body in &bodies {
            for &rate in &rates {
                let cell =
                    |&workers: &u32| Cell { workers, rate: f64::from(rate), body: f64::from(body) / 1000.0 };
                cells.extend(workers.iter().map(cell));
            }
        }
        cells
    }

    pub(crate) fn setup(&self, cell: Cell) -> Result<Setup, Impossible> {
        let seconds = self.seconds.map_or((MEASURED_TASKS / cell.rate).clamp(5.0, 30.0).round(), f64::from);
        let mut setup = cell.setup(seconds, self.seed)?;
        if let Some(concurrency) = self.concurrency {
            setup.settings.concurrency = concurrency as usize;
        }
        if let Some((first, longest)) = self.poll {
            setup.settings.poll = (Duration::from_millis(first), Duration::from_millis(longest));
        }
        if let Some(shards) = self.shards {
            setup.settings.shards[0] = shards;
            setup.settings.shards[1] = shards;
        }
        if let Some(partitions) = self.table_partitions {
            setup.table_partitions = partitions as usize;
        }
        setup.index_partitions = self.index_partitions.map(|partitions| partitions as usize);
        setup.burst = f64::from(self.burst);
        Ok(setup)
    }
}

/// Reads two waits.
fn poll(text: &str) -> Result<(u64, u64), String> {
    let waits =
        text.split_once(',').and_then(|(first, longest)| Some((first.parse().ok()?, longest.parse().ok()?)));
    let fits = |(first, longest): &(u64, u64)| *first >= 1 && first <= longest && *longest <= 600_000;
    waits
        .filter(fits)
        .ok_or_else(|| "write two waits, such as 1000,20000; the first is the shorter".to_owned())
}
