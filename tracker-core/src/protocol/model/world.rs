//! The world of the model: a task, its workers, their clocks, and a network that keeps every request.

use std::time::Duration;

use super::act::Act;
use super::bounds::{Bounds, FIRST_TICK};
use super::ghost::{Ghost, Violation};
use super::mutant::Mutant;
use super::row::{Row, Time};
use super::table::{self, LEASE, LONG_LEASE, Request, SKEW_TICKS};
use super::worker::{Event, Worker};
use crate::protocol::cancellation::{Cancelled, classify_cancellation};
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
    pub(super) redrives: u8,
    pub(super) hand_releases: u8,
    pub(super) creates: u8,
    /// Counted only if they are bounded.
    pub(super) finishes: u8,
    clock_steps: u8,
    wild_clocks: u8,
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
    net: Vec<Request>,
    /// The locks whose transactions were applied, and whose tokens are not forgotten, one bit for each.
    tokens: u32,
    /// Whether the condition of the effects fails at present.
    refuses_effects: bool,
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
        let row = (bounds.creates == 0).then(|| Row::new(Time::at(1), FIRST_TOKEN));
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
                    ghost: Ghost::default(),
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

    /// Puts a request into the network.
    pub(super) fn send(&mut self, request: Request) {
        if let Err(place) = self.net.binary_search(&request) {
            self.net.insert(place, request);
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
            Action::ForgetTokens => world.tokens = 0,
            Action::Deliver { nth, keeps_answer } => world.deliver(nth, keeps_answer, bounds, mutant),
            Action::Worker { worker, event } => {
                if matches!(event, Event::Finish(_)) && bounds.finishes < u8::MAX {
                    world.spent.finishes += 1;
                }
                if bounds.shares {
                    // The image of a failed condition is read when the answer is taken.
                    let row = world.row;
                    world.workers[worker].see(row);
                }
                Act { world: &mut world, nth: worker, mutant, effects: bounds.effects }.on(event);
                if bounds.shares {
                    world.workers[worker].forget();
                }
            }
        }
        if !bounds.clocks_far_apart {
            world.check_holders(mutant);
        }
        world.drop_dead_requests(mutant);
        world.sort_workers();
        world
    }

    /// Applies a request to the task, and answers the workers that wait for it.
    fn deliver(&mut self, nth: usize, keeps_answer: bool, bounds: &Bounds, mutant: Mutant) {
        let request = self.net[nth];
        let before = self.row;
        if let Request::Effect { lock_id } = request {
            return self.ghost.effect_applied(lock_id);
        }
        let is_transaction = matches!(request, Request::Finish { effect: true, .. });
        let token = 1_u32 << (request.lock_id() % 32);
        if is_transaction && self.tokens & token != 0 {
            return self.answer_by_token(&request, keeps_answer);
        }
        let after = table::apply(before, request, mutant);
        let is_refused = is_transaction && {
            let code = |holds: bool| if holds { "None" } else { "ConditionalCheckFailed" };
            let codes = [code(after.is_some()), code(!self.refuses_effects)];
            classify_cancellation(&codes) == Cancelled::Effect(0)
        };
        for worker in &mut self.workers {
            if !(keeps_answer && worker.has_answer(&request)) {
                // In a shared request the image does not come with the answer.
                let is_shared = bounds.shares && request.can_share();
                let answer = after.filter(|_| !is_refused).ok_or(before.filter(|_| !is_shared));
                worker.answer(&request, answer, is_refused);
            }
        }
        self.spent.effects_refused |= u8::from(is_refused);
        let Some(after) = after.filter(|_| !is_refused) else {
            return;
        };
        if is_transaction {
            self.tokens |= token;
        }
        let clocks_agree = self.spent.wild_clocks == 0 && !bounds.clocks_far_apart;
        self.ghost.applied(before, after, &request, clocks_agree);
        self.row = Some(after);
        if self.ghost.violation.is_none() {
            let violation = super::end::check(after, bounds, mutant);
            self.ghost.violation = violation;
        }
    }

    /// Answers a transaction that was applied before: as applied, without a write.
    fn answer_by_token(&mut self, request: &Request, keeps_answer: bool) {
        let (Request::Finish { step, head, how, .. }, Some(row)) = (*request, self.row) else {
            return;
        };
        let answer = Row { status: table::finished_as(step, &head, how), ..row };
        for worker in &mut self.workers {
            if !(keeps_answer && worker.has_answer(request)) {
                worker.answer(request, Ok(answer), false);
            }
        }
        self.spent.answers_by_token = 1;
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

    /// Drops the requests whose conditions can never hold again, unless a worker waits for their answers: `lock_time`
    /// and `attempt` never go back, and a lock that was freed never returns. The promises check each of these three.
    fn drop_dead_requests(&mut self, mutant: Mutant) {
        let Some(row) = self.row else {
            return;
        };
        let awaited: Vec<_> = self.workers.iter().flat_map(Worker::awaited).collect();
        let is_dead = |request: &Request| match *request {
            Request::Create { .. } => true,
            Request::Start { now, .. } => row.lock_time >= now && mutant.start_compares_lock_time(),
            Request::Save { now, .. } => row.lock_time >= now && mutant != Mutant::SaveWithoutTime,
            Request::TakeOver { seen, .. } => match mutant {
                Mutant::TakeoverPinsLockAlone => row.lock != seen.lock,
                _ => row.lock_time > seen.lock_time,
            },
            Request::Redrive { seen, .. } => row.attempt > seen.attempt && mutant != Mutant::RedriveUnpinned,
            Request::Finish { .. } | Request::Effect { .. } => false,
        };
        self.net.retain(|request| !is_dead(request) || awaited.contains(request));
        let granting: Vec<_> = self
            .net
            .iter()
            .filter(|request| matches!(request, Request::Start { .. } | Request::TakeOver { .. }))
            .filter(|request| !is_dead(request))
            .map(Request::lock_id)
            .collect();
        self.net.retain(|request| {
            let lock_id = request.lock_id();
            let may_be_held = row.lock == lock_id || granting.contains(&lock_id);
            !matches!(request, Request::Finish { .. } | Request::Save { .. })
                || may_be_held
                || !mutant.finish_asks_for_lock()
                || awaited.contains(request)
        });
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
