//! What is checked: the protocol within several bounds, each about something else, and every mutant.

use std::fmt::Write;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Path};

use super::Protocol;
use super::bounds::{Bounds, FIRST_TICK};
use super::ghost::Violation;
use super::mutant::Mutant;
use super::world::{Action, World};

/// Explores all there is; prints how much that was.
fn holds(what: &str, bounds: Bounds, sights: &[&'static str]) {
    explore(what, bounds, Mutant::None, sights);
}

fn explore(what: &str, bounds: Bounds, mutant: Mutant, sights: &[&'static str]) {
    let begin = Instant::now();
    let checker = Protocol { bounds, mutant }.checker().threads(2).spawn_bfs().join();
    println!(
        "{what}: {} states, {} transitions, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begin.elapsed().as_secs_f32(),
    );
    assert!(checker.is_done());
    let found = checker.discoveries();
    for property in super::properties() {
        if let (stateright::Expectation::Always, Some(path)) =
            (&property.expectation, found.get(property.name))
        {
            panic!("{what}: not so: {}\n{}", property.name, shown(path.clone()));
        }
    }
    for sight in sights {
        assert!(found.contains_key(sight), "{what}: never seen: {sight}");
    }
}

/// A counter-example: what happened, and what was stored after it.
fn shown(path: Path<World, Action>) -> String {
    let mut lines = String::new();
    for (world, action) in path.into_vec() {
        let _ = writeln!(lines, "tick {}: {:?}", world.tick, world.row);
        if let Some(action) = action {
            let _ = writeln!(lines, "{}", world.describe(action));
        }
    }
    lines
}

/// Finds a counter-example, and that it breaks the promise which the guard is for; prints how far that is.
fn fails(mutant: Mutant, bounds: Bounds, expected: Violation) {
    let protocol = Protocol { bounds, mutant };
    let checker = protocol.checker().threads(1).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let states = checker.unique_state_count();
    let found = checker.discoveries().into_values();
    let mut found = found.filter(|path| path.last_state().ghost.violation.is_some());
    let Some(path) = found.next() else {
        panic!("{mutant:?}: no counter-example in {states} states");
    };
    println!("{mutant:?}: {expected:?} in {} steps, {states} states", path.clone().into_actions().len());
    let broken = path.last_state().ghost.violation;
    assert_eq!(broken, Some(expected), "{mutant:?}\n{}", shown(path));
}

const BASE: Bounds = Bounds::NONE;
/// As long as it takes to take one lease over.
const TAKEOVER: Bounds = Bounds { ticks: FIRST_TICK + 3, ..BASE };
/// As long as the clocks stand still.
const MOMENT: Bounds = Bounds { ticks: FIRST_TICK, ..BASE };

#[test]
fn takeover() {
    holds("takeover", TAKEOVER, &["a task succeeds", "a task is taken over"]);
}

#[test]
fn heartbeats() {
    holds(
        "heartbeats",
        Bounds { heartbeats: 1, ..TAKEOVER },
        &["a lease is renewed", "a task is taken over"],
    );
}

#[test]
fn saves_and_heartbeats() {
    let bounds = Bounds { workers: 1, heartbeats: 1, saves: 2, ..MOMENT };
    holds("saves and heartbeats", bounds, &["data is saved", "a lease is renewed"]);
}

#[test]
fn clocks_that_step() {
    holds("clocks that step", Bounds { clock_steps: 1, ..TAKEOVER }, &["a task is taken over"]);
}

/// As long as it takes one clock to take two leases over.
const TWO_TAKEOVERS: Bounds = Bounds { workers: 1, ticks: FIRST_TICK + 10, starts: 3, ..BASE };

#[test]
fn a_task_that_kills_its_workers() {
    let bounds = Bounds { finishes: 0, ..TWO_TAKEOVERS };
    holds("a task that kills its workers", bounds, &["a task is given up by a takeover"]);
}

#[test]
fn holders_whose_clock_is_wrong() {
    holds("holders whose clock is wrong", Bounds { wild_clocks: 1, ..TAKEOVER }, &["a task is taken over"]);
}

#[test]
fn cancelled_starts_and_releases() {
    holds(
        "cancelled starts and releases",
        Bounds { releases: true, starts: 3, ..MOMENT },
        &["a task is given up"],
    );
}

#[test]
fn two_steps() {
    let bounds = Bounds { two_steps: true, starts: 3, ticks: FIRST_TICK + 1, ..BASE };
    holds("two steps", bounds, &["a task succeeds in both steps"]);
}

#[test]
fn redrive() {
    let bounds = Bounds { redrives: 1, starts: 3, ticks: FIRST_TICK + 1, ..BASE };
    holds("redrive", bounds, &["a task is given up", "a task is redriven"]);
}

#[test]
fn creates() {
    holds("creates", Bounds { creates: 2, ..MOMENT }, &["a task succeeds"]);
}

#[test]
fn three_workers() {
    holds("three workers", Bounds { workers: 3, starts: 3, ..MOMENT }, &["a task is given up"]);
}

/// What takes longer: see CONTRIBUTING.md for the command.
mod wide {
    use super::*;

    #[test]
    #[ignore = "takes minutes"]
    fn two_takeovers_and_a_finish() {
        let bounds = Bounds { finishes: 1, ..TWO_TAKEOVERS };
        holds("two takeovers and a finish", bounds, &["a task is given up by a takeover", "a task succeeds"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn heartbeats() {
        let bounds = Bounds { heartbeats: 2, ..TAKEOVER };
        holds("two heartbeats", bounds, &["a lease is renewed", "a task is taken over"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn saves_and_takeover() {
        let bounds = Bounds { heartbeats: 1, saves: 1, ..TAKEOVER };
        holds("saves and takeover", bounds, &["data is saved", "a task is taken over"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn releases_and_takeover() {
        let bounds = Bounds { releases: true, ..TAKEOVER };
        holds("releases and takeover", bounds, &["a task is taken over"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn two_steps_and_takeover() {
        let bounds = Bounds { two_steps: true, starts: 3, finishes: 2, ..TAKEOVER };
        holds("two steps and takeover", bounds, &["the second step is taken over"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn redrive_and_takeover() {
        let bounds = Bounds { redrives: 1, starts: 3, finishes: 2, ..TAKEOVER };
        holds("redrive and takeover", bounds, &["a redriven task is taken over"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn three_workers() {
        let bounds = Bounds { workers: 3, starts: 3, finishes: 1, ..TAKEOVER };
        holds("three workers and takeover", bounds, &["a task is taken over"]);
    }

    /// A lock comes with a time of its own, so that the time alone tells it too; the lock is for other programs' writes.
    #[test]
    #[ignore = "takes minutes"]
    fn a_takeover_that_pins_the_time_alone() {
        let mutant = Mutant::TakeoverPinsTimeAlone;
        explore("a takeover that pins the time alone", Bounds { heartbeats: 1, ..TAKEOVER }, mutant, &[]);
    }
}

/// Bounds that are just wide enough for it, and the promise that it breaks.
fn counter_example(mutant: Mutant) -> Option<(Bounds, Violation)> {
    let one_worker = Bounds { workers: 1, starts: 1, ..MOMENT };
    Some(match mutant {
        Mutant::None | Mutant::TakeoverPinsTimeAlone => return None,
        Mutant::DeadlineFromLastSend => (Bounds { heartbeats: 1, ..TAKEOVER }, Violation::FalseDone),
        // The second renews the lease for longer than it takes to see it expired.
        Mutant::TakeoverPinsLockAlone => (Bounds { heartbeats: 2, ..TAKEOVER }, Violation::HolderNotInTable),
        Mutant::MonotonicOnly | Mutant::WallOnly => {
            (Bounds { wild_clocks: 1, ..TAKEOVER }, Violation::HolderNotInTable)
        }
        Mutant::DeadlineFromAnswer | Mutant::TakeoverWithoutSkew => (TAKEOVER, Violation::HolderNotInTable),
        Mutant::FinishLeavesLockTime => (TAKEOVER, Violation::LateStart),
        Mutant::FinishWithoutLock => (TAKEOVER, Violation::TwoFinishes),
        Mutant::DoneAfterDeadline => (TAKEOVER, Violation::FalseDone),
        Mutant::TakeoverUncounted => (TAKEOVER, Violation::Endless),
        Mutant::SettledByOwnLock => (one_worker, Violation::FalseLost),
        Mutant::StartWithoutTime | Mutant::StartOrOwnLock => (one_worker, Violation::StartedTwice),
        Mutant::RefusesOwnStart | Mutant::AlwaysUnknown => (one_worker, Violation::KnownButNotTold),
        Mutant::PynamodbMate => (one_worker, Violation::Stuck),
        Mutant::SaveSuperseded => (Bounds { heartbeats: 1, saves: 1, ..one_worker }, Violation::FalseSaved),
        Mutant::SaveWithoutTime => (Bounds { saves: 2, ..one_worker }, Violation::OldData),
        Mutant::RedriveUnpinned => {
            (Bounds { starts: 2, redrives: 1, ..one_worker }, Violation::RedriveMisapplied)
        }
        Mutant::RedriveSetsLockTimeBack => {
            (Bounds { redrives: 1, workers: 2, ..one_worker }, Violation::OldLease)
        }
        Mutant::CreateBelievesItem => {
            (Bounds { workers: 2, starts: 0, creates: 2, ..one_worker }, Violation::FalseCreated)
        }
    })
}

#[test]
fn no_guard_can_be_left_out() {
    for mutant in Mutant::ALL {
        if let Some((bounds, violation)) = counter_example(mutant) {
            fails(mutant, bounds, violation);
        }
    }
}
