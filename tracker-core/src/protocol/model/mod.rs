//! A checked model of the protocol: every order of events within bounds, on the crate's own decisions and expressions.
//!
//! Workers start, renew, save, finish and crash; each request may be lost, arrive late, arrive again; clocks differ and
//! step; an operator redrives. The expressions are those of [`update`](crate::protocol::writes), evaluated as DynamoDB would; the
//! decisions are those of [`lock`](crate::protocol::classify), [`lease`](crate::protocol::lease) and [`retry`](crate::protocol::backoff). What is true is
//! kept beside it ([`ghost`]), and compared with what the workers are told.
//!
//! The search must be able to fail: [`mutant`] has the protocol without each of its guards, and a counter-example is
//! found for every one of them.

mod act;
mod bounds;
mod end;
mod evaluate;
mod ghost;
mod mutant;
mod row;
mod table;
mod tests;
mod worker;
mod world;

use stateright::{Model, Property};

use self::bounds::Bounds;
use self::ghost::Violation;
use self::mutant::Mutant;
use self::row::Row;
use self::world::{Action, World};

/// The protocol within bounds.
#[derive(Debug, Clone)]
struct Protocol {
    bounds: Bounds,
    mutant: Mutant,
}

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
        properties()
    }
}

/// A property for each promise, and for what must come to pass so that the promises mean something.
macro_rules! properties {
    (promises: $($promise:literal: $violation:ident,)* sights: $($sight:literal: $seen:expr,)*) => {
        fn properties() -> Vec<Property<Protocol>> {
            vec![
                $(Property::always($promise, |_, world: &World| {
                    world.ghost.violation != Some(Violation::$violation)
                }),)*
                $(Property::sometimes($sight, |_, world: &World| {
                    let seen: fn(&World, Option<Row>) -> bool = $seen;
                    seen(world, world.row)
                }),)*
            ]
        }
    };
}

properties! {
    promises:
    "no two workers hold the task": TwoHolders,
    "who holds the task is who the table says": Dispossessed,
    "a start is granted once": StartedTwice,
    "a late copy of a refused start is refused": LateStart,
    "an attempt is recorded once": TwoFinishes,
    "`started` is true": FalseStarted,
    "`done` is true": FalseDone,
    "`lease lost` is true": FalseLost,
    "`saved` is true": FalseSaved,
    "`created` and `already exists` are true": FalseCreated,
    "`redriven` is true": FalseRedriven,
    "no older data comes back": OldData,
    "no older lease comes back": OldLease,
    "attempts are counted": AttemptMiscounted,
    "failed and lost attempts are counted once": FailureMiscounted,
    "a redrive is applied once, to what was seen": RedroveOther,
    "the task can end": Stuck,
    "a task that kills its workers ends": Endless,
    "what is known is told": Needless,
    sights:
    "a task succeeds": |_, row| row.is_some_and(|row| row.status == 16),
    "a task is taken over": |world, _| world.ghost.taken_over > 0,
    "a task is given up": |_, row| row.is_some_and(|row| row.status == 18),
    "a task is given up by a takeover": |world, _| world.ghost.given_up,
    "a task succeeds in both steps": |_, row| row.is_some_and(|row| row.status == 26),
    "the second step is taken over": |world, row| world.ghost.taken_over > 0 && row.is_some_and(|row| row.status == 22),
    "a redriven task is taken over": |world, _| world.ghost.taken_over > 0 && world.spent.redrives > 0,
    "data is saved": |_, row| row.is_some_and(|row| row.lock != 0 && row.data.lock == row.lock),
    "a lease is renewed": |_, row| row.is_some_and(|row| row.lock != 0 && row.lock_time > row.update_time),
    "a task is redriven": |world, row| world.spent.redrives > 0 && row.is_some_and(|row| row.status == 10),
}
