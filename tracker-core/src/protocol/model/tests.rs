//! The searches: the protocol within several bounds, each for other events.

use std::fmt::Write;
use std::time::Instant;

use stateright::{Checker, Model, Path};

use super::actions::Action;
use super::bounds::{Bounds, FIRST_TICK};
use super::mutant::Mutant;
use super::world::World;
use super::{OTHERS, Protocol, promise};

/// Visits every state of the protocol. Asserts that each promise holds, and that each of these sights occurs.
pub(super) fn assert_promises_hold(what: &str, bounds: Bounds, sights: &[&'static str]) {
    assert_mutant_holds(what, bounds, Mutant::None, sights);
}

/// Visits every state of a mutant, and prints how many there are. Asserts that each promise holds, and that each of
/// these sights occurs.
pub(super) fn assert_mutant_holds(what: &str, bounds: Bounds, mutant: Mutant, sights: &[&'static str]) {
    let begin = Instant::now();
    let protocol = Protocol { bounds, mutant, breaks: None, sights: sights.to_vec() };
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    println!(
        "{what}: {} states, {} transitions, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begin.elapsed().as_secs_f32(),
    );
    assert!(checker.is_done());
    let found = checker.discoveries();
    if let Some(path) = found.get(OTHERS) {
        let broken = path.last_state().ghost.violation.map_or("none", promise);
        panic!("{what}: broken promise: {broken}\n{}", described(path.clone()));
    }
    for sight in sights {
        assert!(found.contains_key(sight), "{what}: no state shows that {sight}");
    }
}

/// Describes a counter-example: its events, and the task after each.
pub(super) fn described(path: Path<World, Action>) -> String {
    let mut lines = String::new();
    for (world, action) in path.into_vec() {
        let _ = writeln!(lines, "tick {}: {:?}", world.tick, world.row);
        if let Some(action) = action {
            let _ = writeln!(lines, "{}", world.describe(action));
        }
    }
    lines
}

pub(super) const BASE: Bounds = Bounds::NONE;
/// Time for one takeover.
pub(super) const TAKEOVER: Bounds = Bounds { ticks: FIRST_TICK + 3, ..BASE };
/// No time: the clocks stand still.
pub(super) const MOMENT: Bounds = Bounds { ticks: FIRST_TICK, ..BASE };

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
        &["a clock steps", "a task is taken over"],
    );
}

/// Time for two takeovers, by one clock.
pub(super) const TWO_TAKEOVERS: Bounds = Bounds { workers: 1, ticks: FIRST_TICK + 10, starts: 3, ..BASE };

#[test]
fn promises_hold_with_a_task_that_kills_its_workers() {
    let bounds = Bounds { finishes: 0, ..TWO_TAKEOVERS };
    assert_promises_hold("a task that kills its workers", bounds, &["a task is ignored by a takeover"]);
}

#[test]
fn promises_hold_with_a_holder_whose_clock_is_wrong() {
    assert_promises_hold(
        "a holder whose clock is wrong",
        Bounds { wild_clocks: 1, finishes: 1, ..TAKEOVER },
        &["a task is taken over"],
    );
}

#[test]
fn promises_hold_with_dropped_starts_and_releases() {
    assert_promises_hold(
        "dropped starts and releases",
        Bounds { releases: true, starts: 3, ..MOMENT },
        &["an attempt is released", "a task is ignored"],
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
    let bounds = Bounds { hand_releases: 1, starts: 3, finishes: 0, ..TAKEOVER };
    assert_promises_hold(
        "a release by hand",
        bounds,
        &["a task is released by hand", "a task is taken over"],
    );
}

#[test]
fn promises_hold_with_two_creates() {
    let sights = ["a task is created twice", "a task succeeds"];
    assert_promises_hold("two creates", Bounds { creates: 2, ..MOMENT }, &sights);
}

#[test]
fn promises_hold_with_two_lengths_of_leases() {
    assert_promises_hold(
        "two lengths of leases",
        Bounds { long_leases: true, finishes: 1, ..TAKEOVER },
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

/// A task may be deleted, and created again.
pub(super) const DELETES: Bounds = Bounds { deletes: 1, creates: 1, finishes: 1, ..MOMENT };

#[test]
fn promises_hold_with_a_delete_and_a_create() {
    let alone = Bounds { workers: 1, ..DELETES };
    assert_promises_hold("a delete and a create", alone, &["a task is created again, and started"]);
    let together = Bounds { starts: 1, ..DELETES };
    assert_promises_hold("a delete beside a start", together, &["a task is deleted"]);
}

#[test]
fn promises_hold_with_a_cancel() {
    let bounds = Bounds { cancels: 1, heartbeats: 1, finishes: 1, ..MOMENT };
    assert_promises_hold("a cancel", bounds, &["a task is cancelled", "an attempt ends on request"]);
}

#[test]
fn promises_hold_with_tasks_that_wait() {
    let waits = Bounds { waits: true, run_at: 1, run_nows: 1, ..BASE };
    let alone = Bounds { workers: 1, starts: 3, ticks: FIRST_TICK + 3, ..waits };
    let sights = ["a task waits", "a task is made due", "a task that was snoozed succeeds"];
    assert_promises_hold("tasks that wait", alone, &sights);
    let together = Bounds { ticks: FIRST_TICK + 1, ..waits };
    assert_promises_hold(
        "two workers and tasks that wait",
        together,
        &["a task waits", "a task is made due"],
    );
}

/// An ended task is kept for one tick.
pub(super) const RETENTION: Bounds = Bounds { retention: true, ticks: FIRST_TICK + 2, ..BASE };

#[test]
fn promises_hold_with_retention() {
    let by_hand = Bounds { cancels: 1, redrives: 1, creates: 1, starts: 0, ..RETENTION };
    let by_hand = Bounds { ticks: FIRST_TICK + 4, ..by_hand };
    assert_promises_hold("retention", by_hand, &["a task is deleted", "a task is redriven"]);
    let two_steps = Bounds { workers: 1, two_steps: true, ..RETENTION };
    let sights = ["a task is deleted", "a task succeeds in both steps"];
    assert_promises_hold("retention in two steps", two_steps, &sights);
}

#[test]
fn promises_hold_with_workers_of_python() {
    let bounds = Bounds { python_starts: 1, starts: 1, ..TAKEOVER };
    assert_promises_hold("workers of Python", bounds, &["a task succeeds in Python", "a task succeeds"]);
}

#[test]
fn promises_hold_with_a_script_that_sets_the_status_back() {
    let bounds = Bounds { python_resets: 1, ..MOMENT };
    let sights = ["a script or a save of Python writes", "a task succeeds"];
    assert_promises_hold("a script that sets the status back", bounds, &sights);
}

#[test]
fn workers_are_told_the_truth_although_python_saves() {
    let bounds = Bounds { python_saves: 1, starts: 1, ..MOMENT };
    let sights = ["a script or a save of Python writes", "a task succeeds"];
    assert_promises_hold("a save of Python's", bounds, &sights);
}
