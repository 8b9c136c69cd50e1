//! The world of the model: a task, its workers, their clocks, and a network that keeps every request.

use std::time::Duration;

use super::bounds::{Bounds, FIRST_TICK};
use super::ghost::Ghost;
use super::mutant::Mutant;
use super::request::Request;
use super::row::{Row, Time};
use super::steps::{LEASE, LONG_LEASE, SKEW_TICKS};
use super::violation::Violation;
use super::worker::Worker;
use crate::time::ClockReading;

/// How many ticks a clock may be ahead.
pub(super) const AHEAD: i16 = SKEW_TICKS.cast_signed();

/// The token of the first create. It is the number of no start.
pub(super) const FIRST_TOKEN: u8 = 100;

/// How often each bounded event has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Spent {
    pub(super) heartbeats: u8,
    pub(super) saves: u8,
    pub(super) hand_releases: u8,
    pub(super) cancels: u8,
    pub(super) python_starts: u8,
    pub(super) python_writes: u8,
    pub(super) python_successes: u8,
    pub(super) deletes: u8,
    pub(super) creates: u8,
    /// Counted only if they are bounded.
    pub(super) finishes: u8,
    pub(super) clock_steps: u8,
    pub(super) wild_clocks: u8,
    pub(super) effect_turns: u8,
    /// 1 once it has happened.
    pub(super) effects_refused: u8,
    pub(super) successes_after_refusal: u8,
    pub(super) answers_by_token: u8,
}

/// A state of the search.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    /// The task, if it exists.
    pub(super) row: Option<Row>,
    /// The true time.
    pub(super) tick: u16,
    pub(super) workers: Vec<Worker>,
    /// Every request that was sent and may still have an effect, sorted.
    pub(super) net: Vec<Request>,
    /// The locks whose transactions were applied, and whose tokens are not forgotten, one bit for each.
    pub(super) tokens: u32,
    /// Whether the condition of the effects fails at present.
    pub(super) refuses_effects: bool,
    pub(super) spent: Spent,
    pub(super) ghost: Ghost,
}

/// Returns every set of some kinds, with repetition.
fn sets<K: Copy>(kinds: &[K], count: usize) -> Vec<Vec<K>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut sets_of_all = Vec::new();
    for (nth, kind) in kinds.iter().enumerate() {
        let smaller = sets(&kinds[nth..], count - 1).into_iter();
        sets_of_all.extend(smaller.map(|set| [set, vec![*kind]].concat()));
    }
    sets_of_all
}

impl World {
    /// Returns the first states: one for each set of workers whose clocks are ahead, or whose leases are long.
    pub(super) fn all(bounds: &Bounds) -> Vec<Self> {
        let exists = bounds.creates == 0 || bounds.deletes > 0 || bounds.retention;
        let run_at = if bounds.run_at > 0 { Time::at(FIRST_TICK + bounds.run_at) } else { Time::NEVER };
        let row = exists.then(|| Row::new(Time::at(1), FIRST_TOKEN, run_at));
        let ahead = if bounds.clocks_far_apart { 2 * AHEAD } else { AHEAD };
        let leases = if bounds.long_leases { &[LEASE, LONG_LEASE][..] } else { &[LEASE] };
        let kinds: Vec<_> = leases.iter().flat_map(|lease| [(0, *lease), (ahead, *lease)]).collect();
        sets(&kinds, bounds.workers)
            .into_iter()
            .map(|workers| {
                let workers = workers.into_iter().map(|(offset, lease)| Worker::new(offset, lease));
                let mut world = Self {
                    row,
                    tick: FIRST_TICK,
                    workers: workers.collect(),
                    net: Vec::new(),
                    tokens: 0,
                    refuses_effects: false,
                    spent: Spent::default(),
                    ghost: Ghost::new(row, bounds.python_saves > 0),
                };
                world.sort_workers();
                world
            })
            .collect()
    }

    /// Returns the clock of a worker.
    pub(super) fn now(&self, worker: usize) -> ClockReading {
        let Worker { offset, lag, .. } = self.workers[worker];
        ClockReading {
            wall: Time::at(self.tick.saturating_add_signed(offset)).stamp().utc(),
            monotonic: Duration::from_secs(1000 + u64::from(self.tick - lag)),
        }
    }

    /// Checks that at most one worker holds the task, and that the table names it.
    pub(super) fn check_holders(&mut self, mutant: Mutant) {
        let stored = self.row.map_or(0, |row| row.lock);
        let (mut holders, mut as_stored) = (0, true);
        for (nth, worker) in self.workers.iter().enumerate() {
            if let Some(lock_id) = worker.holds(self.now(nth), mutant) {
                holders += 1;
                as_stored &= lock_id == stored;
            }
        }
        self.ghost.check(holders < 2, Violation::TwoHolders);
        self.ghost.check(as_stored, Violation::HolderNotInTable);
    }

    /// Sorts the workers: states that differ only in their order are the same.
    pub(super) fn sort_workers(&mut self) {
        if self.workers.len() > 1 {
            self.workers.sort_by_cached_key(Worker::fingerprint);
        }
    }
}
