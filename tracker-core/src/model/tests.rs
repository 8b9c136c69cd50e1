//! What is checked: the protocol within several bounds, each about something else, and every mutant.

use std::fmt::Write;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Path};

use super::Protocol;
use super::mutant::Mutant;
use super::world::{Action, Bounds, FIRST_TICK, World};

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
            let _ = writeln!(lines, "{}", world.tell(action));
        }
    }
    lines
}

/// Finds a counter-example; prints which promise it breaks, and how.
fn fails(mutant: Mutant, bounds: Bounds) {
    let protocol = Protocol { bounds, mutant };
    let checker = protocol.checker().threads(1).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let found = checker.discoveries();
    let promises = super::properties();
    let mut promises =
        promises.iter().filter(|property| property.expectation.discovery_is_failure()).map(|it| it.name);
    let broken = promises.find_map(|name| found.get(name).map(|path| (name, path.clone().into_actions())));
    let Some((promise, actions)) = broken else {
        panic!("{mutant:?}: no counter-example in {} states", checker.unique_state_count());
    };
    println!(
        "{mutant:?}: not so that {promise}: {} steps, {} states",
        actions.len(),
        checker.unique_state_count()
    );
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
    holds("clocks that step", Bounds { clock_steps: 1, starts: 1, ..TAKEOVER }, &["a task succeeds"]);
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
    fn two_takeovers() {
        let bounds = Bounds { ticks: FIRST_TICK + 6, starts: 3, ..BASE };
        holds("two takeovers", bounds, &["a task is given up"]);
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
    fn clocks_that_step() {
        holds("clocks that step, takeover", Bounds { clock_steps: 1, ..TAKEOVER }, &["a task is taken over"]);
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
        let bounds = Bounds { two_steps: true, ..TAKEOVER };
        holds("two steps and takeover", bounds, &["a task succeeds in both steps"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn redrive_and_takeover() {
        let bounds = Bounds { redrives: 1, ..TAKEOVER };
        holds("redrive and takeover", bounds, &["a task is redriven"]);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn three_workers() {
        let bounds = Bounds { workers: 3, ..TAKEOVER };
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

/// Within bounds that are just wide enough for it.
fn bounds_of(mutant: Mutant) -> Option<Bounds> {
    let one_worker = Bounds { workers: 1, starts: 1, ticks: FIRST_TICK, ..BASE };
    let two_workers = Bounds { ticks: FIRST_TICK + 3, ..BASE };
    Some(match mutant {
        Mutant::None | Mutant::TakeoverPinsTimeAlone => return None,
        Mutant::DeadlineFromLastSend => Bounds { heartbeats: 1, ..two_workers },
        // The second renews the lease for longer than it takes to see it expired.
        Mutant::TakeoverPinsLockAlone => Bounds { heartbeats: 2, ..two_workers },
        Mutant::MonotonicOnly | Mutant::WallOnly => Bounds { wild_clocks: 1, ..two_workers },
        Mutant::DeadlineFromAnswer
        | Mutant::FinishLeavesLockTime
        | Mutant::FinishWithoutLock
        | Mutant::DoneAfterDeadline
        | Mutant::TakeoverWithoutSkew
        | Mutant::TakeoverUncounted => two_workers,
        Mutant::SettledByOwnLock
        | Mutant::StartWithoutTime
        | Mutant::StartOrOwnLock
        | Mutant::PynamodbMate => one_worker,
        Mutant::SaveSuperseded => Bounds { heartbeats: 1, saves: 1, ..one_worker },
        Mutant::SaveWithoutTime => Bounds { saves: 2, ..one_worker },
        Mutant::RedriveUnpinned => Bounds { starts: 2, redrives: 1, ..one_worker },
        Mutant::RedriveSetsLockTimeBack => Bounds { redrives: 1, workers: 2, ..one_worker },
        Mutant::CreateBelievesItem => Bounds { workers: 2, starts: 0, creates: 2, ..one_worker },
    })
}

#[test]
fn no_guard_can_be_left_out() {
    for mutant in Mutant::ALL {
        if let Some(bounds) = bounds_of(mutant) {
            fails(mutant, bounds);
        }
    }
}
