//! The world of the model: a task, its workers, their clocks, and a network that keeps every request.

use std::time::Duration;

use super::act::Act;
use super::bounds::{Bounds, FIRST_TICK};
use super::events::Event;
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
    clock_steps: u8,
    pub(super) wild_clocks: u8,
    effect_turns: u8,
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

/// One step from a state to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// One tick passes. If the machine of a worker is suspended, two ticks pass.
    Tick { suspended: Option<usize> },
    /// A clock steps to this offset from the true time.
    Step { worker: usize, offset: i16 },
    /// A request arrives: for the first time, late, or again. A worker that waits for its answer gets the new answer,
    /// unless the worker keeps an earlier answer.
    Deliver { nth: usize, keeps_answer: bool },
    /// The condition of the effects turns.
    TurnEffect,
    /// DynamoDB deletes the task, because its time is over.
    Expire,
    /// Ten minutes pass: the tokens of all transactions are forgotten.
    ForgetTokens,
    /// A worker does something.
    Worker { worker: usize, event: Event },
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

    /// Adds every action that may follow. After a violation the search ends.
    pub(super) fn actions(&self, bounds: &Bounds, mutant: Mutant, actions: &mut Vec<Action>) {
        if self.ghost.violation.is_some() {
            return;
        }
        let wild = self.spent.wild_clocks < bounds.wild_clocks;
        if self.tick < bounds.ticks {
            actions.push(Action::Tick { suspended: None });
            if wild && self.tick + 1 < bounds.ticks {
                let holders = (0..bounds.workers).filter(|nth| self.workers[*nth].is_holding());
                actions.extend(holders.map(|nth| Action::Tick { suspended: Some(nth) }));
            }
        }
        for (nth, worker) in self.workers.iter().enumerate() {
            if self.spent.clock_steps < bounds.clock_steps && worker.clock_is_right() {
                actions.push(Action::Step { worker: nth, offset: AHEAD - worker.offset });
            }
            if wild && worker.is_holding() && worker.clock_is_right() {
                actions.push(Action::Step { worker: nth, offset: -AHEAD });
            }
        }
        if self.spent.effect_turns < bounds.effect_turns {
            actions.push(Action::TurnEffect);
        }
        if bounds.retention && self.row.is_some_and(|row| row.expires_at != 0 && row.expires_at < self.tick) {
            actions.push(Action::Expire);
        }
        if self.tokens != 0 {
            actions.push(Action::ForgetTokens);
        }
        for (nth, request) in self.net.iter().enumerate() {
            actions.push(Action::Deliver { nth, keeps_answer: false });
            if self.workers.iter().any(|worker| worker.has_answer(request)) {
                actions.push(Action::Deliver { nth, keeps_answer: true });
            }
        }
        for (nth, worker) in self.workers.iter().enumerate() {
            let events = worker.events(self, nth, bounds, mutant);
            actions.extend(events.into_iter().map(|event| Action::Worker { worker: nth, event }));
        }
    }

    /// Returns the state after an action.
    pub(super) fn after(&self, action: Action, bounds: &Bounds, mutant: Mutant) -> Self {
        let mut world = self.clone();
        match action {
            Action::Tick { suspended } => {
                world.tick += 1;
                if let Some(nth) = suspended {
                    world.tick += 1;
                    world.workers[nth].lag += 2;
                    world.spent.wild_clocks += 1;
                }
            }
            Action::Step { worker, offset } => {
                world.workers[worker].offset = offset;
                if offset < 0 {
                    world.spent.wild_clocks += 1;
                } else {
                    world.spent.clock_steps += 1;
                }
            }
            Action::TurnEffect => {
                world.refuses_effects = !world.refuses_effects;
                world.spent.effect_turns += 1;
            }
            Action::Expire => {
                if let Some(row) = world.row.take() {
                    world.ghost.removed(row);
                    world.drop_old_copies(mutant);
                }
            }
            Action::ForgetTokens => world.tokens = 0,
            Action::Deliver { nth, keeps_answer } => world.deliver(nth, keeps_answer, bounds, mutant),
            Action::Worker { worker, event } => {
                if matches!(event, Event::Finish(_) | Event::FinishInPython(_)) && bounds.finishes < u8::MAX {
                    world.spent.finishes += 1;
                }
                if bounds.shares {
                    // The image of a failed condition is read when the answer is taken.
                    let row = world.row;
                    world.workers[worker].see(row);
                }
                Act { world: &mut world, nth: worker, mutant, bounds }.on(event);
                if bounds.shares {
                    world.workers[worker].forget();
                }
            }
        }
        if !bounds.clocks_far_apart && bounds.python_saves == 0 {
            world.check_holders(mutant);
        }
        world.drop_dead_requests(bounds, mutant);
        world.sort_workers();
        world
    }

    /// Checks that at most one worker holds the task, and that the table names it.
    fn check_holders(&mut self, mutant: Mutant) {
        let holding = |nth: &usize| {
            let now = self.now(*nth);
            self.workers[*nth].holds(now, mutant)
        };
        let holders: Vec<_> = (0..self.workers.len()).filter_map(|nth| holding(&nth)).collect();
        let stored = self.row.map_or(0, |row| row.lock);
        let as_stored = holders.iter().all(|lock_id| *lock_id == stored);
        self.ghost.check(holders.len() < 2, Violation::TwoHolders);
        self.ghost.check(as_stored, Violation::HolderNotInTable);
    }

    /// Describes an action: the worker that acts, or the request that is delivered.
    pub(super) fn describe(&self, action: Action) -> String {
        match action {
            Action::Deliver { nth, .. } => format!("    delivered: {:?}", self.net[nth]),
            Action::Worker { worker, event } => {
                let Worker { offset, phase, .. } = &self.workers[worker];
                format!("    {event:?} by a worker whose clock is {offset} ahead: {phase:?}")
            }
            other => format!("    {other:?}"),
        }
    }

    /// Sorts the workers: states that differ only in their order are the same.
    fn sort_workers(&mut self) {
        self.workers.sort_by_cached_key(Worker::fingerprint);
    }
}
