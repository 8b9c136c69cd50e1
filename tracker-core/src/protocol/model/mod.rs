//! A model of the protocol that is checked exhaustively: every order of events within bounds.
//!
//! Workers create, start, take over, renew, save, finish, snooze and crash. Operators redrive, cancel, make due, release and delete.
//! DynamoDB deletes what its time to live allows, and workers of Python write as well. Each request may be lost, arrive late, or
//! arrive several times. Clocks differ and step. The model evaluates the crate's own expressions
//! ([`writes`](crate::protocol::writes)) as DynamoDB would. It calls the crate's own decisions
//! ([`classify`](crate::protocol::classify), [`lease`](crate::protocol::lease) and
//! [`backoff`](crate::protocol::backoff)). [`ghost`] keeps what is true, and [`told`] compares it with what the workers are
//! told.
//!
//! [`bounds::Bounds`] switches the events of a search. Each feature has a search of its own, and only features whose guards
//! interact share one. docs/protocol.md says what the model does not cover.
//!
//! A success may have an effect, which is in the same transaction. The table then remembers the token of the transaction, or forgets
//! it. The condition of the effect may turn.
//!
//! The search must be able to fail. [`mutant`] has the protocol without each of its guards, and [`guards`] has the writes of each
//! mutant. The search finds a counter-example for every mutant but two, and wide searches assert that these two have none:
//! `TakeoverPinsTimeAlone`, whose guard is for writes of other programs, and `StartKeepsCancel`, whose guard only tidies up.

mod act;
mod actions;
mod bounds;
mod by_hand;
mod counter_examples;
mod creating;
mod edits;
mod end;
mod ending;
mod evaluate;
mod events;
mod ghost;
mod guards;
mod holding;
mod how;
mod mutant;
mod network;
mod python;
mod python_worker;
mod request;
mod row;
mod sizes;
mod starting;
mod steps;
mod table;
mod tests;
mod told;
mod violation;
mod wide;
mod worker;
mod world;

use stateright::{Model, Property};

use self::actions::Action;
use self::bounds::Bounds;
use self::mutant::Mutant;
use self::row::Row;
use self::violation::Violation;
use self::world::World;

/// A search: the protocol within bounds, or a mutant of it, and what the search looks for.
#[derive(Debug, Clone)]
struct Protocol {
    bounds: Bounds,
    mutant: Mutant,
    /// The promise that the mutant breaks; none if it breaks none.
    breaks: Option<Violation>,
    /// The sights that must occur. A search looks for no others, because each costs time in every state.
    sights: Vec<&'static str>,
}

/// The promise that a mutant breaks.
const EXPECTED: &str = "the promise of the guard holds";
/// All promises; of a mutant, all but the one that it breaks.
const OTHERS: &str = "the other promises hold";

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        World::all(&self.bounds)
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        world.actions(&self.bounds, self.mutant, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        Some(world.after(action, &self.bounds, self.mutant))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![Property::always(OTHERS, |protocol: &Self, world: &World| {
            world.ghost.violation.is_none() || world.ghost.violation == protocol.breaks
        })];
        if self.breaks.is_some() {
            let holds = |protocol: &Self, world: &World| world.ghost.violation != protocol.breaks;
            properties.push(Property::always(EXPECTED, holds));
        }
        properties.extend(sights().into_iter().filter(|sight| self.sights.contains(&sight.name)));
        properties
    }
}

/// Names the promise of each violation, and defines a property for each sight. Every promise must always hold. Each search names
/// the sights that must occur: otherwise the promises could hold because nothing happened.
macro_rules! properties {
    (promises: $($promise:literal: $violation:ident,)* sights: $($sight:literal: $seen:expr,)*) => {
        fn sights() -> Vec<Property<Protocol>> {
            vec![
                $(Property::sometimes($sight, |_, world: &World| {
                    let seen: fn(&World, Option<Row>) -> bool = $seen;
                    seen(world, world.row)
                }),)*
            ]
        }

        /// All violations.
        const VIOLATIONS: &[Violation] = &[$(Violation::$violation),*];

        /// Returns the promise that a violation breaks. Each has one: a search ends where a promise is broken.
        fn promise(broken: Violation) -> &'static str {
            match broken {
                $(Violation::$violation => $promise,)*
            }
        }
    };
}

properties! {
    promises:
    "no two workers hold the task": TwoHolders,
    "who holds the task is who the table says": HolderNotInTable,
    "a lock is granted once": GrantedTwice,
    "only a ready task is started": UnreadyStarted,
    "a late copy of a refused start is refused": LateStart,
    "an attempt is recorded once": TwoFinishes,
    "`started` is true": FalseStarted,
    "`done` is true": FalseDone,
    "`lease lost` is true": FalseLost,
    "`saved` is true": FalseSaved,
    "`created` and `already exists` are true": FalseCreated,
    "`redriven` is true": FalseRedriven,
    "`released` is true": FalseReleased,
    "no older data comes back": OldData,
    "no older lease comes back": OldLease,
    "attempts are counted": AttemptMiscounted,
    "failed and lost attempts are counted once": FailureMiscounted,
    "lost attempts in a row are counted": LossMiscounted,
    "a change by hand is applied once, to what was seen": ChangeMisapplied,
    "a deleted task does not come back": Revived,
    "a request changes only the task that it was made for": ForeignTask,
    "a save changes only its own attempt": ForeignWrite,
    "a delete that was answered deletes nothing more": LateDelete,
    "`deleted` is true": FalseDeleted,
    "only a task that has ended is removed": RemovedUnfinished,
    "`cancelled` and `requested` are true": FalseCancelled,
    "a request to cancel reaches only the attempt that it names": CancelMisdirected,
    "a request to cancel is obeyed": CancelForgotten,
    "a task is not started before its time": StartedEarly,
    "a task waits as its last write says": WaitMisset,
    "snoozes in a row are counted": SnoozeMiscounted,
    "`made due` is true": FalseMadeDue,
    "the effect of an attempt is written once if it succeeds, and else never": EffectMiscounted,
    "the task can end": Stuck,
    "a task that kills its workers ends": Endless,
    "a task that is always snoozed ends": EndlessSnoozes,
    "what is known is told": KnownButNotTold,
    sights:
    "a task succeeds": |_, row| row.is_some_and(|row| row.status == 16),
    "a task is taken over": |world, _| world.ghost.taken_over > 0,
    "a task is ignored": |_, row| row.is_some_and(|row| row.status == 18),
    "a task is ignored by a takeover": |world, _| world.ghost.ignored_by_takeover,
    "a task succeeds in both steps": |_, row| row.is_some_and(|row| row.status == 26),
    "the second step is taken over": |world, row| world.ghost.taken_over > 0 && row.is_some_and(|row| row.status == 22),
    "a redriven task is taken over": |world, _| world.ghost.taken_over > 0 && world.ghost.changes[0] > 0,
    "a worker with long leases takes a task over": |world, row| world.ghost.taken_over > 0
        && row.is_some_and(|row| row.lease == steps::LONG_LEASE),
    "an effect is refused": |world, _| world.spent.effects_refused > 0,
    "a success replaces its failure": |world, _| world.spent.successes_after_refusal > 0,
    "a transaction is answered by its token": |world, _| world.spent.answers_by_token > 0,
    "data is saved": |_, row| row.is_some_and(|row| row.lock != 0 && row.data.lock == row.lock),
    "a lease is renewed": |_, row| row.is_some_and(|row| row.lock != 0 && row.lock_time > row.update_time),
    "a task is released by hand": |world, _| world.ghost.freed_by_hand,
    "a task is cancelled": |world, _| world.ghost.changes[2] > 0,
    "an attempt ends on request": |world, _| world.ghost.ended_on_request,
    "a task is made due": |world, _| world.ghost.changes[1] > 0,
    "a task waits": |_, row| row.is_some_and(|row| row.run_at > row.lock_time),
    "a task that was snoozed succeeds": |world, row| row.is_some_and(|row| row.status == 16 && row.attempt > 1)
        && world.ghost.was_snoozed,
    "a task succeeds in Python": |world, _| world.spent.python_successes > 0,
    "a task is deleted": |world, _| world.ghost.deletions > 0,
    "a task is created again, and started": |world, row| world.ghost.deletions > 0 && row.is_some_and(|row| row.attempt > 0),
    "a clock steps": |world, _| world.spent.clock_steps > 0,
    "a task is created twice": |world, _| world.spent.creates > 1,
    "a script or a save of Python writes": |world, _| world.spent.python_writes > 0,
    "an attempt is released": |world, row| world.ghost.taken_over == 0
        && row.is_some_and(|row| row.lock == 0 && row.status == 10 && row.attempt > 0),
    "an attempt runs with an old request": |_, row| row.is_some_and(|row| row.lock != 0 && row.cancel != 0 && row.cancel != row.lock),
    "a task is redriven": |world, row| world.ghost.changes[0] > 0 && row.is_some_and(|row| row.status == 10),
}
