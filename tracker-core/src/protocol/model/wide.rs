//! Searches that take longer. CONTRIBUTING.md has the command.

use super::bounds::{Bounds, FIRST_TICK};
use super::mutant::Mutant;
use super::tests::{
    DELETES, MOMENT, RETENTION, TAKEOVER, TWO_TAKEOVERS, assert_mutant_holds, assert_promises_hold,
};

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
    let sights = ["a clock steps", "a task is taken over"];
    assert_promises_hold("a clock that steps, and two finishes", bounds, &sights);
}

#[test]
#[ignore = "takes minutes"]
fn promises_hold_with_a_wrong_clock_or_two_lengths_of_leases_and_two_finishes() {
    let wrong = Bounds { wild_clocks: 1, ..TAKEOVER };
    let what = "a holder whose clock is wrong, and two finishes";
    assert_promises_hold(what, wrong, &["a task is taken over"]);
    let lengths = Bounds { long_leases: true, ..TAKEOVER };
    let sights = ["a worker with long leases takes a task over"];
    assert_promises_hold("two lengths of leases, and two finishes", lengths, &sights);
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
fn promises_hold_with_a_release_by_hand_and_a_finish() {
    let bounds = Bounds { hand_releases: 1, starts: 3, finishes: 1, ..TAKEOVER };
    let sights = ["a task is released by hand", "a task succeeds"];
    assert_promises_hold("a release by hand and a finish", bounds, &sights);
}

#[test]
#[ignore = "takes minutes"]
fn promises_hold_with_two_steps_and_a_takeover() {
    let bounds = Bounds { two_steps: true, starts: 3, finishes: 1, ticks: FIRST_TICK + 4, ..TAKEOVER };
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
        &["a lease is renewed", "a task is taken over"],
    );
}

/// The request names a lock, and no lock comes back.
#[test]
#[ignore = "takes minutes"]
fn promises_hold_if_a_start_keeps_the_request_to_cancel() {
    let mutant = Mutant::StartKeepsCancel;
    let sights = ["an attempt runs with an old request", "a lease is renewed"];
    let renewed = Bounds { cancels: 1, heartbeats: 1, ..MOMENT };
    assert_mutant_holds("a start that keeps the request to cancel", renewed, mutant, &sights);
    let sights = ["an attempt runs with an old request", "a task is taken over"];
    let taken_over = Bounds { cancels: 1, finishes: 1, starts: 3, ..TAKEOVER };
    assert_mutant_holds("a start that keeps the request, and a takeover", taken_over, mutant, &sights);
}

#[test]
#[ignore = "takes minutes"]
fn promises_hold_with_deletes_and_more() {
    let sights = ["a task is created again, and started"];
    assert_promises_hold("a delete and a create by two workers", DELETES, &sights);
    let renewed = Bounds { heartbeats: 1, creates: 0, ..DELETES };
    let renewed = Bounds { ticks: FIRST_TICK + 3, starts: 1, ..renewed };
    assert_promises_hold("a delete and a heartbeat", renewed, &["a task is deleted", "a lease is renewed"]);
}

#[test]
#[ignore = "takes minutes"]
fn promises_hold_with_a_cancel_and_a_takeover() {
    let bounds = Bounds { cancels: 1, heartbeats: 1, finishes: 1, ..TAKEOVER };
    assert_promises_hold(
        "a cancel and a takeover",
        bounds,
        &["a task is taken over", "an attempt ends on request"],
    );
    let redriven = Bounds { cancels: 1, redrives: 1, finishes: 1, ticks: FIRST_TICK + 1, ..TAKEOVER };
    assert_promises_hold("a cancel and a redrive", redriven, &["a task is cancelled", "a task is redriven"]);
}

#[test]
#[ignore = "takes minutes"]
fn promises_hold_with_waits_and_a_takeover() {
    let bounds = Bounds { waits: true, finishes: 1, starts: 3, ticks: FIRST_TICK + 4, ..TAKEOVER };
    assert_promises_hold("waits and a takeover", bounds, &["a task waits", "a task is taken over"]);
    let shared = Bounds { shares: true, waits: true, ticks: FIRST_TICK + 2, ..TAKEOVER };
    assert_promises_hold("shared requests of tasks that wait", shared, &["a task that was snoozed succeeds"]);
}

#[test]
#[ignore = "takes minutes"]
fn promises_hold_with_retention_and_more() {
    let redriven = Bounds { cancels: 1, redrives: 1, starts: 1, ..RETENTION };
    assert_promises_hold(
        "retention, a redrive and a start",
        redriven,
        &["a task is redriven", "a task succeeds"],
    );
    let replaced = Bounds { cancels: 1, creates: 1, starts: 1, ticks: FIRST_TICK + 4, ..RETENTION };
    let sights = ["a task is deleted", "a task is created again, and started"];
    assert_promises_hold("retention, a create and a start", replaced, &sights);
}

#[test]
#[ignore = "takes minutes"]
fn promises_hold_with_python_and_more() {
    let renewed = Bounds { python_starts: 1, heartbeats: 1, starts: 1, ..TAKEOVER };
    assert_promises_hold("a worker of Python, and a heartbeat", renewed, &["a task succeeds in Python"]);
    let taken_over = Bounds { python_resets: 1, finishes: 1, ..TAKEOVER };
    assert_promises_hold("a script, and a takeover", taken_over, &["a task is taken over"]);
}
