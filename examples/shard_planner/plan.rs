//! The shards that a load needs, and the cost.

use super::simulation::{Load, Shards, WRITES_PER_SECOND};

/// The most shards that three digits can number, which is the default of `status_shard_zero_pad`.
const MOST_SHARDS: u32 = 999;

/// Writes per second that a new on-demand table takes before it has grown.
const WRITES_OF_NEW_TABLE: f64 = 4_000.0;
/// Writes per second that the default quota of an account allows for one table.
const WRITES_OF_ACCOUNT: f64 = 40_000.0;

const SECONDS_PER_MONTH: f64 = 730.0 * 3600.0;

/// The size of an index row, which holds the key, `value` and two times.
const ROW_KB: f64 = 0.25;

/// On-demand prices, in any currency.
#[derive(Debug, Clone, Copy)]
pub struct Prices {
    pub million_writes: f64,
    pub million_reads: f64,
}

/// The sources of cost besides the transitions of a task.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    pub item_kb: u32,
    pub heartbeats: f64,
    /// How many times per second all workers together poll for tasks.
    pub polls_per_second: f64,
}

/// Rounds up to a number of shards, at least 1. `least` is never negative.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn shards(least: f64) -> u32 {
    // The rounding error of a product must not cost one more shard.
    (least - 1e-9).ceil().max(1.0) as u32
}

/// Returns the shards of which the load uses at most the fraction `part`.
pub fn shards_for(load: &Load, part: f64) -> Shards {
    load.writes().map(|writes| shards(writes / (f64::from(WRITES_PER_SECOND) * part)))
}

/// Returns the shards to compare: from a quarter of what the load needs on paper to the recommended ones.
pub fn candidates(load: &Load, headroom: f64) -> Vec<Shards> {
    let parts = [4.0, 2.0, 1.5, 1.25, 1.1, 1.0, 0.95, 0.9, 0.8, headroom];
    let mut all: Vec<_> = parts.map(|part| shards_for(load, part)).into();
    all.sort_unstable();
    all.dedup();
    all
}

/// Returns the used fraction of the shards' throughput, for the status that uses the largest fraction.
pub fn used(load: &Load, shards: Shards) -> f64 {
    let used =
        load.writes().into_iter().zip(shards).map(|(writes, n)| writes / f64::from(n * WRITES_PER_SECOND));
    used.fold(0.0, f64::max)
}

/// Returns what `TrackerConfig::max_tasks_per_second` returns for these shards.
pub fn paper([pending, in_progress, _, succeeded, _]: Shards) -> u32 {
    (WRITES_PER_SECOND / 2 * pending.min(in_progress)).min(WRITES_PER_SECOND * succeeded)
}

/// Returns the status enum with these shards, ready to paste.
pub fn enum_of(shards: Shards) -> String {
    let digits = shards.into_iter().max().unwrap_or_default().to_string().len();
    let pad =
        if digits > 3 { format!("#[status(status_shard_zero_pad = {digits})]\n") } else { String::new() };
    let variants =
        [("pending", "Pending = 10"), ("in_progress", "InProgress = 12"), ("failed", "Failed = 14")]
            .into_iter()
            .chain([("succeeded", "Succeeded = 16"), ("ignored", "Ignored = 18")])
            .zip(shards)
            .map(|((role, variant), n)| format!("    #[status({role}, shards = {n})]\n    {variant},\n"));
    format!(
        "#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]\n{pad}enum JobStatus {{\n{}}}",
        variants.collect::<String>()
    )
}

/// Returns warnings about limits other than the shards.
pub fn cautions(load: &Load, shards: Shards, habits: Habits) -> impl Iterator<Item = &'static str> {
    let pad = shards.into_iter().any(|n| n > MOST_SHARDS).then_some(
        "More than 999 shards need a larger `status_shard_zero_pad`, which a use case cannot change later, and a query \
         reads every shard. Split the tasks over several use cases instead: each has its own partitions.",
    );
    let table = load.rate * (writes_per_task(load, habits) - index_writes_per_task(load));
    let most = table.max(load.rate * index_writes_per_task(load));
    let cold = (most > WRITES_OF_NEW_TABLE).then_some(
        "A new on-demand table takes 4,000 writes per second until it has grown, and so does its index. Set their warm \
         throughput first.",
    );
    let quota = (most > WRITES_OF_ACCOUNT).then_some(
        "A table or an index needs more than 40,000 writes per second, the default quota. Request a higher one first.",
    );
    [pad, cold, quota].into_iter().flatten()
}

/// Returns how many tasks a second fit into one item collection, if these are more: with the task id as sort key, all tasks share a hash key.
pub fn too_many_for_one_collection(load: &Load, habits: Habits, headroom: f64) -> Option<f64> {
    let of_table = writes_per_task(load, habits) - index_writes_per_task(load);
    let most = f64::from(WRITES_PER_SECOND) * headroom / of_table;
    (load.rate > most).then_some(most)
}

/// Counts index writes: 1 to create the task, 2 to start and 2 to end each attempt.
fn index_writes_per_task(load: &Load) -> f64 {
    1.0 + load.attempts() * 4.0
}

/// Counts write units. An index write is 1 unit; a table write is 1 unit per kilobyte of the item. The table is written
/// once to create the task, twice for each attempt, and once for each heartbeat or save.
fn writes_per_task(load: &Load, habits: Habits) -> f64 {
    let of_table = 1.0 + load.attempts() * 2.0 + habits.heartbeats;
    f64::from(habits.item_kb) * of_table + index_writes_per_task(load)
}

/// The cost of a month.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub writes_per_task: f64,
    pub million_writes: f64,
    pub million_reads: f64,
    pub writes: f64,
    pub reads: f64,
}

/// Computes the cost of all writes, and of the reads by which workers find tasks.
pub fn cost(load: &Load, shards: Shards, habits: Habits, prices: Prices) -> Cost {
    let (attempts, writes_per_task) = (load.attempts(), writes_per_task(load, habits));
    // A poll reads every shard that may hold a startable or expired task, for at least half a unit. The row of each attempt
    // is read once, for half a unit per 4 KB.
    let [pending, in_progress, failed, ..] = shards;
    let looks = habits.polls_per_second * f64::from(pending + in_progress + failed) * 0.5;
    let rows = load.rate * attempts * ROW_KB / 8.0;
    let millions = |per_second: f64| per_second * SECONDS_PER_MONTH / 1e6;
    let (million_writes, million_reads) = (millions(load.rate * writes_per_task), millions(looks + rows));
    Cost {
        writes_per_task,
        million_writes,
        million_reads,
        writes: million_writes * prices.million_writes,
        reads: million_reads * prices.million_reads,
    }
}
