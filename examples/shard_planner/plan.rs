//! How many shards a load needs, and what it costs.

use super::simulation::{Load, Shards, WRITES_PER_SECOND};

/// What three digits hold, which is what `status_shard_zero_pad` is by default.
const MOST_SHARDS: u32 = 999;

/// What DynamoDB takes on demand at once, before a table has grown, and without asking, by default.
const WRITES_OF_NEW_TABLE: f64 = 4_000.0;
const WRITES_OF_ACCOUNT: f64 = 40_000.0;

const SECONDS_PER_MONTH: f64 = 730.0 * 3600.0;

/// A row of the index: key, `value` and two times.
const ROW_KB: f64 = 0.25;

/// On demand, in the currency that they are given in.
#[derive(Debug, Clone, Copy)]
pub struct Prices {
    pub million_writes: f64,
    pub million_reads: f64,
}

/// What a task costs, beside its moves.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    pub item_kb: u32,
    pub heartbeats: f64,
    /// How often the fleet looks for tasks.
    pub polls_per_second: f64,
}

/// A number of shards is at least as large as `least`, which is never negative.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn shards(least: f64) -> u32 {
    // Not one more for what is only the rounding of a product.
    (least - 1e-9).ceil().max(1.0) as u32
}

/// The shards of which the load uses no more than this part.
pub fn shards_for(load: &Load, part: f64) -> Shards {
    load.writes().map(|writes| shards(writes / (f64::from(WRITES_PER_SECOND) * part)))
}

/// The numbers of shards to compare: from a quarter of what the load needs on paper to what is advised.
pub fn candidates(load: &Load, headroom: f64) -> Vec<Shards> {
    let parts = [4.0, 2.0, 1.5, 1.25, 1.1, 1.0, 0.95, 0.9, 0.8, headroom];
    let mut all: Vec<_> = parts.map(|part| shards_for(load, part)).into();
    all.sort_unstable();
    all.dedup();
    all
}

/// The part of the shards' throughput that the status with the least room uses.
pub fn used(load: &Load, shards: Shards) -> f64 {
    let used =
        load.writes().into_iter().zip(shards).map(|(writes, n)| writes / f64::from(n * WRITES_PER_SECOND));
    used.fold(0.0, f64::max)
}

/// What `TrackerConfig::max_tasks_per_second` says of these shards.
pub fn paper([pending, in_progress, _, succeeded, _]: Shards) -> u32 {
    (WRITES_PER_SECOND / 2 * pending.min(in_progress)).min(WRITES_PER_SECOND * succeeded)
}

/// Lines to be pasted.
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

/// What to mind, beside the shards.
pub fn cautions(load: &Load, shards: Shards, habits: Habits) -> impl Iterator<Item = &'static str> {
    let pad = shards.into_iter().any(|n| n > MOST_SHARDS).then_some(
        "More than 999 shards need a wider pad, which a use case cannot change later, and a query asks each of them: \
         rather split the tasks over several use cases, whose partitions are their own.",
    );
    let table = load.rate * (writes_per_task(load, habits) - index_writes_per_task(load));
    let most = table.max(load.rate * index_writes_per_task(load));
    let cold = (most > WRITES_OF_NEW_TABLE).then_some(
        "A new table on demand takes 4,000 writes a second, and its index too, until they have grown: set their warm \
         throughput first.",
    );
    let quota = (most > WRITES_OF_ACCOUNT).then_some(
        "More than 40,000 writes a second in a table or an index: ask for a higher quota of the account.",
    );
    [pad, cold, quota].into_iter().flatten()
}

/// Create 1; then start and end of each attempt, 2 each.
fn index_writes_per_task(load: &Load) -> f64 {
    1.0 + load.attempts() * 4.0
}

/// Index writes are one unit each, those of the table as many as the item has kilobytes: create, start and end of each
/// attempt, heartbeats.
fn writes_per_task(load: &Load, habits: Habits) -> f64 {
    let of_table = 1.0 + load.attempts() * 2.0 + habits.heartbeats;
    f64::from(habits.item_kb) * of_table + index_writes_per_task(load)
}

/// What a month costs.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub writes_per_task: f64,
    pub million_writes: f64,
    pub million_reads: f64,
    pub writes: f64,
    pub reads: f64,
}

/// Writes, and the reads of the workers that look for tasks.
pub fn cost(load: &Load, shards: Shards, habits: Habits, prices: Prices) -> Cost {
    let (attempts, writes_per_task) = (load.attempts(), writes_per_task(load, habits));
    // A look asks every shard that may hold a task to be started, expired ones included, for half a unit at least; the
    // row of each attempt is read once, for half a unit per 4 KB.
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
