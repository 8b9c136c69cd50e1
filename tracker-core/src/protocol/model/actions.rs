//! What may happen next, and the state after it.

use super::act::Act;
use super::bounds::Bounds;
use super::events::Event;
use super::mutant::Mutant;
use super::worker::Worker;
use super::world::{AHEAD, World};

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

impl World {
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
}
