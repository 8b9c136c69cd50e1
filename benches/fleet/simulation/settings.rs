//! What is simulated, and what to set for a load.

use std::fmt;
use std::time::Duration;

use crate::chance::Spread;
use crate::events::Time;
use crate::planner::plan::shards_for;
use crate::planner::simulation::Load;

/// How tasks come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrivals {
    /// So many each second, by chance.
    Rate(f64),
    /// All at the beginning, one ready in each millisecond. The workers end when none is left.
    Backlog(u32),
}

/// A simulation.
#[derive(Debug, Clone)]
pub struct Setup {
    pub workers: usize,
    pub settings: Settings,
    pub arrivals: Arrivals,
    /// The shortest and the longest body; each length between them is as likely.
    pub body: (Time, Time),
    pub lock_expire: Duration,
    /// How long a request and its response take together.
    pub latency: Spread,
    /// How long one update takes in a table that does one after the other, as DynamoDB Local does.
    pub one_by_one: Option<Time>,
    /// How long after a write the index shows it; each row has a lag of its own.
    pub lag: Spread,
    /// The partitions of the table.
    pub table_partitions: usize,
    /// The partitions of the index into which the shards fall; `None` gives each shard a partition of its own.
    pub index_partitions: Option<usize>,
    /// For how many seconds a partition keeps unused units.
    pub burst: f64,
    /// When the measurement begins and ends.
    pub measured: (Time, Time),
    /// When half of the workers die.
    pub dies: Option<Time>,
    /// When the table does not work. No tasks are created meanwhile.
    pub outage: Option<(Time, Time)>,
    /// When the simulation ends.
    pub ends: Time,
    pub seed: u64,
}

/// What to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The shards of pending, in progress, failed, succeeded and ignored.
    pub shards: [u32; 5],
    pub concurrency: usize,
    pub poll: (Duration, Duration),
}

/// A load on a number of workers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    pub workers: u32,
    /// Tasks a second.
    pub rate: f64,
    /// How long a body takes on average, in seconds.
    pub body: f64,
}

/// Why a number of workers cannot carry a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impossible {
    /// How many tasks each worker would have to run at once.
    pub slots: f64,
}

/// The largest `concurrency` of a worker.
const MOST_SLOTS: f64 = 100_000.0;
/// What a task occupies its slot for, besides its body, in seconds: its start and its end, each as long as the slowest of 25 updates,
/// and the 50 ms for which an end may wait.
const AROUND_BODY: f64 = 0.1;
/// How many slots there are for each that the load needs: if half of the workers die, the others use 80 % of theirs.
const SPARE: f64 = 2.5;
/// How many tasks a busy worker should end each second: fewer ends do not meet, and each is a request of its own.
const ENDS: f64 = 100.0;
/// The default `concurrency`. Fewer slots would only mean fewer starts in a request.
const LEAST_SLOTS: f64 = 16.0;
/// The write units of a task in the table: to create, start and end it, and one refused start.
const TABLE_WRITES: f64 = 4.0;
/// How far the partitions are used, as the example `shard_planner` plans by default.
const HEADROOM: f64 = 0.7;

const SECOND: Time = 1_000_000;

impl Cell {
    /// Returns how many tasks each worker runs at once, on average.
    #[must_use]
    pub fn slots_in_use(&self) -> f64 {
        self.rate * (self.body + AROUND_BODY) / f64::from(self.workers)
    }

    /// Returns what to set.
    ///
    /// # Errors
    ///
    /// Fails if the workers are too few for the load.
    pub fn settings(&self) -> Result<Settings, Impossible> {
        let slots = self.slots_in_use();
        if slots > MOST_SLOTS {
            return Err(Impossible { slots });
        }
        let load = Load {
            rate: self.rate,
            failing: 0.05,
            max_retry: 3,
            work_seconds: self.body,
            retry_seconds: 10.0,
        };
        let concurrency =
            (slots * SPARE).max(ENDS * self.body).ceil().clamp(LEAST_SLOTS, MOST_SLOTS) as usize;
        let poll = (Duration::from_secs(1), Duration::from_secs(20));
        Ok(Settings { shards: shards_for(&load, HEADROOM), concurrency, poll })
    }

    /// Returns a simulation that warms up, is measured for this many seconds, and then ends.
    ///
    /// # Errors
    ///
    /// Fails if the workers are too few for the load.
    pub fn setup(&self, measured: f64, seed: u64) -> Result<Setup, Impossible> {
        let settings = self.settings()?;
        let body = (self.body * 1e6) as Time;
        // Until as many bodies end as begin, and the workers know their rivals.
        let warm_up = 3 * body / 2 + 20 * SECOND;
        let ends = warm_up + (measured * 1e6) as Time;
        Ok(Setup {
            workers: self.workers as usize,
            settings,
            arrivals: Arrivals::Rate(self.rate),
            body: (body / 2, body * 3 / 2),
            lock_expire: Duration::from_mins(5),
            latency: Spread::new(5_000, 20_000, 60_000),
            one_by_one: None,
            lag: Spread::new(10_000, 100_000, SECOND),
            table_partitions: (TABLE_WRITES * self.rate / 1000.0 / HEADROOM).ceil().max(4.0) as usize,
            index_partitions: None,
            burst: 300.0,
            measured: (warm_up, ends),
            dies: None,
            outage: None,
            ends,
            seed,
        })
    }
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "needs {:.0} slots in each worker, and {MOST_SLOTS} are possible", self.slots)
    }
}
