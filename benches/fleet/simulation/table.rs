//! The table and its index.

use std::collections::BTreeSet;

use crate::chance::Spread;
use crate::events::{Event, Events, TaskId, Time};
use crate::partitions::Partitions;
use crate::settings::Setup;

/// Units of a partition, a second.
const WRITES: f64 = 1000.0;
const READS: f64 = 3000.0;
/// The size of a row of the index.
const ROW_BYTES: f64 = 256.0;
/// How much the clocks of two workers may differ.
const MAX_CLOCK_SKEW: Time = 5_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    InProgress,
    Done,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    pub(crate) due: Time,
    /// When the lease of the last attempt began.
    pub(crate) started: Time,
    pub(crate) state: State,
    /// How many attempts were started.
    pub(crate) attempt: u8,
    is_shown: bool,
}

/// What came of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied,
    Refused,
    Throttled,
}

/// A partition key of the index.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Row {
    Pending(usize),
    InProgress(usize),
    Failed(usize),
    Succeeded(usize),
}

pub(crate) struct Table {
    pub(crate) tasks: Vec<Task>,
    /// The rows that each shard shows, the oldest first.
    pub(crate) pending: Vec<BTreeSet<(Time, TaskId)>>,
    /// The same. Only rows of expired leases are read, so no lag is simulated.
    pub(crate) in_progress: Vec<BTreeSet<(Time, TaskId)>>,
    shards: [usize; 5],
    lease: Time,
    lag: Spread,
    item_writes: Partitions,
    item_reads: Partitions,
    index_writes: Partitions,
    index_reads: Partitions,
    has_own_partitions: bool,
    pub(crate) write_units: f64,
    pub(crate) read_units: f64,
}

/// Spreads the numbers of tasks.
fn hash(task: TaskId) -> u64 {
    let mixed = (u64::from(task) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 16
}

impl Table {
    pub(crate) fn new(setup: &Setup) -> Self {
        let shards = setup.settings.shards.map(|shards| shards.max(1) as usize);
        let of_index = setup.index_partitions.unwrap_or_else(|| shards.iter().sum());
        let partitions = |number, each_second| Partitions::new(number, each_second, setup.burst);
        Self {
            tasks: Vec::new(),
            pending: vec![BTreeSet::new(); shards[0]],
            in_progress: vec![BTreeSet::new(); shards[1]],
            shards,
            lease: setup.lock_expire.as_micros() as Time + MAX_CLOCK_SKEW,
            lag: setup.lag,
            item_writes: partitions(setup.table_partitions, WRITES),
            item_reads: partitions(setup.table_partitions, READS),
            index_writes: partitions(of_index, WRITES),
            index_reads: partitions(of_index, READS),
            has_own_partitions: setup.index_partitions.is_none(),
            write_units: 0.0,
            read_units: 0.0,
        }
    }

    fn shard(&self, status: usize, task: TaskId) -> usize {
        (hash(task) >> (status * 3)) as usize % self.shards[status]
    }

    pub(crate) fn pending_of(&self, task: TaskId) -> Row {
        Row::Pending(self.shard(0, task))
    }

    fn in_progress_of(&self, task: TaskId) -> Row {
        Row::InProgress(self.shard(1, task))
    }

    /// Returns the partition of the index in which a row is.
    fn partition(&self, row: Row) -> usize {
        let (status, shard) = match row {
            Row::Pending(shard) => (0, shard),
            Row::InProgress(shard) => (1, shard),
            Row::Failed(shard) => (2, shard),
            Row::Succeeded(shard) => (3, shard),
        };
        let nth = self.shards[..status].iter().sum::<usize>() + shard;
        if self.has_own_partitions { nth } else { self.index_writes.of(nth as u64) }
    }

    /// Writes an item, and rows of the index. Returns whether there were units left for it.
    fn write(&mut self, task: TaskId, rows: &[Row], now: Time) -> bool {
        let item = self.item_writes.of(task.into());
        let has_units = self.item_writes.has_units(item, now)
            && rows.iter().all(|row| {
                let partition = self.partition(*row);
                self.index_writes.has_units(partition, now)
            });
        if has_units {
            self.charge(task, rows, now);
        }
        has_units
    }

    fn charge(&mut self, task: TaskId, rows: &[Row], now: Time) {
        let item = self.item_writes.of(task.into());
        self.item_writes.take(item, 1.0, now);
        for row in rows {
            let partition = self.partition(*row);
            self.index_writes.take(partition, 1.0, now);
        }
        self.write_units += 1.0 + rows.len() as f64;
    }

    /// Creates a task. Its producer waits until it is created, so it is charged in any case.
    pub(crate) fn create(&mut self, due: Time, now: Time, rng: &mut fastrand::Rng, events: &mut Events) {
        let task = self.tasks.len() as TaskId;
        let new = Task { due, started: 0, state: State::Ready, attempt: 0, is_shown: false };
        self.tasks.push(new);
        self.charge(task, &[self.pending_of(task)], now);
        events.add(now + self.lag.draw(rng), Event::Shows(task));
    }

    /// Adds a task that was created long ago.
    pub(crate) fn add_old(&mut self, due: Time) {
        let task = self.tasks.len() as TaskId;
        self.tasks.push(Task { due, started: 0, state: State::Ready, attempt: 0, is_shown: false });
        self.show(task);
    }

    /// The index shows a new task.
    pub(crate) fn show(&mut self, task: TaskId) {
        let of_task = &mut self.tasks[task as usize];
        // Its later state may be shown first.
        if !of_task.is_shown {
            of_task.is_shown = true;
            let row = (of_task.due, task);
            let shard = self.shard(0, task);
            self.pending[shard].insert(row);
        }
    }

    /// The index no longer shows a task as pending.
    pub(crate) fn hide(&mut self, task: TaskId) {
        let of_task = &mut self.tasks[task as usize];
        of_task.is_shown = true;
        let row = (of_task.due, task);
        let shard = self.shard(0, task);
        self.pending[shard].remove(&row);
    }

    pub(crate) fn is_expired(&self, task: TaskId, now: Time) -> bool {
        let task = &self.tasks[task as usize];
        task.state == State::InProgress && task.started + self.lease < now
    }

    /// Returns since when leases have expired that began before.
    pub(crate) fn stale_before(&self, now: Time) -> Time {
        now.saturating_sub(self.lease)
    }

    /// Starts a task, or takes an expired one over.
    pub(crate) fn start(
        &mut self,
        task: TaskId,
        takes_over: bool,
        now: Time,
        rng: &mut fastrand::Rng,
        events: &mut Events,
    ) -> Outcome {
        let is_possible = if takes_over {
            self.is_expired(task, now)
        } else {
            self.tasks[task as usize].state == State::Ready
        };
        let entered = self.in_progress_of(task);
        let left = if takes_over { entered } else { self.pending_of(task) };
        let rows = [left, entered];
        if !self.write(task, if is_possible { &rows } else { &[] }, now) {
            return Outcome::Throttled;
        }
        if !is_possible {
            return Outcome::Refused;
        }
        let shard = self.shard(1, task);
        let of_task = &mut self.tasks[task as usize];
        if takes_over {
            self.in_progress[shard].remove(&(of_task.started, task));
        } else {
            events.add(now + self.lag.draw(rng), Event::Hides(task));
        }
        (of_task.state, of_task.started) = (State::InProgress, now);
        of_task.attempt = of_task.attempt.saturating_add(1);
        self.in_progress[shard].insert((now, task));
        Outcome::Applied
    }

    /// Records that an attempt has succeeded.
    pub(crate) fn end(&mut self, task: TaskId, attempt: u8, now: Time) -> Outcome {
        let of_task = self.tasks[task as usize];
        let is_possible = of_task.state == State::InProgress && of_task.attempt == attempt;
        let rows = [self.in_progress_of(task), Row::Succeeded(self.shard(3, task))];
        if !self.write(task, if is_possible { &rows } else { &[] }, now) {
            return Outcome::Throttled;
        }
        if !is_possible {
            return Outcome::Refused;
        }
        self.tasks[task as usize].state = State::Done;
        let shard = self.shard(1, task);
        self.in_progress[shard].remove(&(of_task.started, task));
        Outcome::Applied
    }

    /// Reads a page of the index. Returns whether there were units left for it.
    pub(crate) fn read_page(&mut self, row: Row, rows: usize, now: Time) -> bool {
        let partition = self.partition(row);
        let has_units = self.index_reads.has_units(partition, now);
        if has_units {
            let units = (rows as f64 * ROW_BYTES / 4096.0).ceil().max(1.0) / 2.0;
            self.index_reads.take(partition, units, now);
            self.read_units += units;
        }
        has_units
    }

    /// Reads whether the step is paused. That is one item for all workers.
    pub(crate) fn read_pause(&mut self, now: Time) -> bool {
        let has_units = self.item_reads.has_units(0, now);
        if has_units {
            self.item_reads.take(0, 0.5, now);
            self.read_units += 0.5;
        }
        has_units
    }
}
