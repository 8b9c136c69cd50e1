//! The searches: the protocol within several bounds, each for other events, and every mutant.

use std::fmt::Write;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Path};

use super::Protocol;
use super::bounds::{Bounds, FIRST_TICK};
use super::ghost::Violation;
use super::mutant::Mutant;
use super::world::{Action, World};

/// Visits every state of the protocol. Asserts that each promise holds, and that each of these sights occurs.
fn assert_promises_hold(what: &str, bounds: Bounds, sights: &[&'static str]) {
    assert_mutant_holds(what, bounds, Mutant::None, sights);
}

/// Visits every state of a mutant, and prints how many there are. Asserts that each promise holds, and that each of
/// these sights occurs.
fn assert_mutant_holds(what: &str, bounds: Bounds, mutant: Mutant, sights: &[&'static str]) {
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
            panic!("{what}: broken promise: {}\n{}", property.name, described(path.clone()));
        }
    }
    for sight in sights {
        assert!(found.contains_key(sight), "{what}: no state shows that {sight}");
    }
}

/// Describes a counter-example: its events, and the task after each.
fn described(path: Path<World, Action>) -> String {
    let mut lines = String::new();
    for (world, action) in path.into_vec() {
        let _ = writeln!(lines, "tick {}: {:?}", world.tick, world.row);
        if let Some(action) = action {
            let _ = writeln!(lines, "{}", world.describe(action));
        }
    }
    lines
}

/// Finds a counter-example, and prints its length. Asserts that it breaks the promise that the guard is for.
fn assert_promise_breaks(mutant: Mutant, bounds: Bounds, expected: Violation) {
    let protocol = Protocol { bounds, mutant };
    let checker = protocol.checker().threads(1).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let states = checker.unique_state_count();
    let found = checker.discoveries().into_values();
    let mut found: Vec<_> = found.filter(|path| path.last_state().ghost.violation.is_some()).collect();
    // The search may find two counter-examples of the same length, in any order.
    found.sort_by_key(|path| path.last_state().ghost.violation != Some(expected));
    let Some(path) = found.into_iter().next() else {
        panic!("{mutant:?}: no counter-example in {states} states");
    };
    println!("{mutant:?}: {expected:?} in {} steps, {states} states", path.clone().into_actions().len());
    let broken = path.last_state().ghost.violation;
    assert_eq!(broken, Some(expected), "{mutant:?}\n{}", described(path));
}

const BASE: Bounds = Bounds::NONE;
/// Time for one takeover.
const TAKEOVER: Bounds = Bounds { ticks: FIRST_TICK + 3, ..BASE };
/// No time: the clocks stand still.
const MOMENT: Bounds = Bounds { ticks: FIRST_TICK, ..BASE };

#[test]
fn promises_hold_with_a_takeover() {
    assert_promises_hold("a takeover", TAKEOVER, &["a task succeeds", "a task is taken over"]);
}

#[test]
fn promises_hold_with_a_heartbeat() {
    assert_promises_hold(
        "a heartbeat",
        Bounds { heartbeats: 1, finishes: 1, ..TAKEOVER },
        &["a lease is renewed", "a task is taken over"],
    );
}

#[test]
fn promises_hold_with_saves_and_heartbeats() {
    let bounds = Bounds { workers: 1, heartbeats: 1, saves: 2, ..MOMENT };
    assert_promises_hold("saves and heartbeats", bounds, &["data is saved", "a lease is renewed"]);
}

#[test]
fn promises_hold_with_a_clock_that_steps() {
    assert_promises_hold(
        "a clock that steps",
        Bounds { clock_steps: 1, finishes: 1, ..TAKEOVER },
        &["a task is taken over"],
    );
}

/// Time for two takeovers, by one clock.
const TWO_TAKEOVERS: Bounds = Bounds { workers: 1, ticks: FIRST_TICK + 10, starts: 3, ..BASE };

#[test]
fn promises_hold_with_a_task_that_kills_its_workers() {
    let bounds = Bounds { finishes: 0, ..TWO_TAKEOVERS };
    assert_promises_hold("a task that kills its workers", bounds, &["a task is ignored by a takeover"]);
}

#[test]
fn promises_hold_with_a_holder_whose_clock_is_wrong() {
    assert_promises_hold(
        "a holder whose clock is wrong",
        Bounds { wild_clocks: 1, ..TAKEOVER },
        &["a task is taken over"],
    );
}

#[test]
fn promises_hold_with_dropped_starts_and_releases() {
    assert_promises_hold(
        "dropped starts and releases",
        Bounds { releases: true, starts: 3, ..MOMENT },
        &["a task is ignored"],
    );
}

#[test]
fn promises_hold_with_two_steps() {
    let bounds = Bounds { two_steps: true, starts: 3, ticks: FIRST_TICK + 1, ..BASE };
    assert_promises_hold("two steps", bounds, &["a task succeeds in both steps"]);
}

#[test]
fn promises_hold_with_a_redrive() {
    let bounds = Bounds { redrives: 1, starts: 3, ticks: FIRST_TICK + 1, ..BASE };
    assert_promises_hold("a redrive", bounds, &["a task is ignored", "a task is redriven"]);
}

#[test]
fn promises_hold_with_a_release_by_hand() {
    let bounds = Bounds { hand_releases: 1, starts: 3, finishes: 1, ..TAKEOVER };
    assert_promises_hold(
        "a release by hand",
        bounds,
        &["a task is released by hand", "a task is taken over"],
    );
}

#[test]
fn promises_hold_with_two_creates() {
    assert_promises_hold("two creates", Bounds { creates: 2, ..MOMENT }, &["a task succeeds"]);
}

#[test]
fn promises_hold_with_two_lengths_of_leases() {
    assert_promises_hold(
        "two lengths of leases",
        Bounds { long_leases: true, ..TAKEOVER },
        &["a worker with long leases takes a task over"],
    );
}

#[test]
fn workers_are_told_the_truth_although_their_clocks_are_far_apart() {
    assert_promises_hold(
        "clocks that are far apart",
        Bounds { clocks_far_apart: true, ..TAKEOVER },
        &["a task succeeds", "a task is taken over"],
    );
}

#[test]
fn promises_hold_with_shared_requests() {
    let sights = ["a task succeeds", "a task is taken over"];
    assert_promises_hold("shared requests", Bounds { shares: true, finishes: 1, ..TAKEOVER }, &sights);
    let two_steps = Bounds { shares: true, two_steps: true, starts: 3, ..MOMENT };
    assert_promises_hold("shared requests in two steps", two_steps, &["a task succeeds in both steps"]);
}

#[test]
fn promises_hold_with_effects() {
    let bounds = Bounds { effects: true, ..TAKEOVER };
    let sights = ["a task succeeds", "a task is taken over", "a transaction is answered by its token"];
    assert_promises_hold("effects", bounds, &sights);
}

#[test]
fn promises_hold_with_effects_that_are_refused() {
    let bounds = Bounds { effects: true, effect_turns: 2, two_steps: true, finishes: 2, ..MOMENT };
    let sights = ["an effect is refused", "a success replaces its failure", "a task succeeds"];
    assert_promises_hold("effects that are refused", bounds, &sights);
}

#[test]
fn promises_hold_with_three_workers() {
    assert_promises_hold("three workers", Bounds { workers: 3, starts: 3, ..MOMENT }, &["a task is ignored"]);
}

/// Searches that take longer. CONTRIBUTING.md has the command.
mod wide {
    use super::*;

    #[test]
    #[ignore = "takes minutes"]
    fn promises_hold_with_two_takeovers_and_a_finish() {
        let bounds = Bounds { finishes: 1, ..TWO_TAKEOVERS };
        assert_promises_hold(
            "two takeovers and a finish",
            bounds,
            &["a task is ignored by a takeover", "a task succeeds"],
        );
    }

    #[test]
    #[ignore = "takes minutes"]
    fn promises_hold_with_a_heartbeat_and_two_finishes() {
        let bounds = Bounds { heartbeats: 1, ..TAKEOVER };
        assert_promises_hold(
            "a heartbeat and two finishes",
            bounds,
            &["a lease is renewed", "a task is taken over"],
        );
    }

    #[test]
    #[ignore = "takes minutes"]
    fn promises_hold_with_a_clock_that_steps_and_two_finishes() {
        let bounds = Bounds { clock_steps: 1, ..TAKEOVER };
        assert_promises_hold("a clock that steps, and two finishes", bounds, &["a task is taken over"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn promises_hold_with_shared_requests_and_more() {
        let shared = Bounds { shares: true, ..TAKEOVER };
        assert_promises_hold("shared requests, and two finishes", shared, &["a task is taken over"]);
        let renewed = Bounds { heartbeats: 1, finishes: 1, ..shared };
        assert_promises_hold("shared requests with a heartbeat", renewed, &["a lease is renewed"]);
        let redriven = Bounds { redrives: 1, starts: 3, ticks: FIRST_TICK + 1, ..shared };
        assert_promises_hold("shared requests with a redrive", redriven, &["a task is redriven"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn promises_hold_with_effects_that_are_refused_and_a_takeover() {
        let bounds = Bounds { effects: true, effect_turns: 2, ..TAKEOVER };
        let sights = ["an effect is refused", "a success replaces its failure", "a task is taken over"];
        assert_promises_hold("effects that are refused, and a takeover", bounds, &sights);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn promises_hold_with_two_heartbeats() {
        let bounds = Bounds { heartbeats: 2, ..TAKEOVER };
        assert_promises_hold("two heartbeats", bounds, &["a lease is renewed", "a task is taken over"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn promises_hold_with_a_save_and_a_takeover() {
        let bounds = Bounds { heartbeats: 1, saves: 1, ..TAKEOVER };
        assert_promises_hold("a save and a takeover", bounds, &["data is saved", "a task is taken over"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn promises_hold_with_releases_and_a_takeover() {
        let bounds = Bounds { releases: true, ..TAKEOVER };
        assert_promises_hold("releases and a takeover", bounds, &["a task is taken over"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn promises_hold_with_two_steps_and_a_takeover() {
        let bounds = Bounds { two_steps: true, starts: 3, finishes: 2, ..TAKEOVER };
        assert_promises_hold("two steps and a takeover", bounds, &["the second step is taken over"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn promises_hold_with_a_redrive_and_a_takeover() {
        let bounds = Bounds { redrives: 1, starts: 3, finishes: 2, ..TAKEOVER };
        assert_promises_hold("a redrive and a takeover", bounds, &["a redriven task is taken over"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn promises_hold_with_three_workers_and_a_takeover() {
        let bounds = Bounds { workers: 3, starts: 3, finishes: 1, ..TAKEOVER };
        assert_promises_hold("three workers and a takeover", bounds, &["a task is taken over"]);
    }

    /// Each lock comes with a time of its own, so the time alone identifies the lock. The lock is pinned for writes
    /// of other programs.
    #[test]
    #[ignore = "takes minutes"]
    fn promises_hold_if_a_takeover_pins_the_time_alone() {
        let mutant = Mutant::TakeoverPinsTimeAlone;
        assert_mutant_holds(
            "a takeover that pins the time alone",
            Bounds { heartbeats: 1, ..TAKEOVER },
            mutant,
            &[],
        );
    }
}

/// Returns bounds that are just wide enough for a mutant, and the promise that it breaks.
fn counter_example(mutant: Mutant) -> Option<(Bounds, Violation)> {
    let one_worker = Bounds { workers: 1, starts: 1, ..MOMENT };
    Some(match mutant {
        Mutant::None | Mutant::TakeoverPinsTimeAlone => return None,
        // Only a second heartbeat lengthens the lease beyond the time at which the first lease looks expired.
        Mutant::DeadlineFromLastSend => {
            (Bounds { heartbeats: 2, finishes: 0, ..TAKEOVER }, Violation::HolderNotInTable)
        }
        Mutant::TakeoverPinsLockAlone => (Bounds { heartbeats: 2, ..TAKEOVER }, Violation::HolderNotInTable),
        Mutant::MonotonicOnly | Mutant::WallOnly => {
            (Bounds { wild_clocks: 1, ..TAKEOVER }, Violation::HolderNotInTable)
        }
        Mutant::DeadlineFromAnswer | Mutant::TakeoverWithoutSkew => (TAKEOVER, Violation::HolderNotInTable),
        Mutant::FinishLeavesLockTime => (TAKEOVER, Violation::LateStart),
        Mutant::FinishWithoutLock => (TAKEOVER, Violation::TwoFinishes),
        Mutant::DoneWithinDeadline => (Bounds { clocks_far_apart: true, ..TAKEOVER }, Violation::FalseDone),
        Mutant::TakeoverLeavesNoTrace => (TAKEOVER, Violation::FalseDone),
        Mutant::JudgedByOwnLease => (Bounds { long_leases: true, ..TAKEOVER }, Violation::HolderNotInTable),
        Mutant::FinishKeepsLosses => (TAKEOVER, Violation::LossMiscounted),
        Mutant::TransactionWithoutLock | Mutant::EffectApart | Mutant::EffectLeftOut => {
            (Bounds { effects: true, ..one_worker }, Violation::EffectMiscounted)
        }
        Mutant::FailureBelievesItself => {
            (Bounds { effects: true, effect_turns: 2, ..one_worker }, Violation::FalseDone)
        }
        Mutant::ReleasesAnyAttempt => (Bounds { releases: true, ..MOMENT }, Violation::HolderNotInTable),
        Mutant::TakeoverUncounted => (TAKEOVER, Violation::Endless),
        Mutant::SettledByOwnLock => (one_worker, Violation::FalseLost),
        Mutant::StartTrustsIndex => {
            (Bounds { shares: true, starts: 2, ..one_worker }, Violation::UnreadyStarted)
        }
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
        Mutant::CreateBelievesItem | Mutant::CreateComparesTimeAlone => {
            (Bounds { workers: 2, starts: 0, creates: 2, ..one_worker }, Violation::FalseCreated)
        }
    })
}

#[test]
fn each_mutant_breaks_the_promise_of_its_guard() {
    for mutant in Mutant::ALL {
        if let Some((bounds, violation)) = counter_example(mutant) {
            assert_promise_breaks(mutant, bounds, violation);
        }
    }
}
