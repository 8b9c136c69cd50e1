use futures_util::FutureExt;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn all_clocks_of_one_share_its_time() {
    let clock = ManualClock::new();
    assert_eq!(clock.now().wall.to_rfc3339(), "2026-01-01T00:00:00+00:00");
    let ahead = clock.ahead_by(SECOND).compared_with_service();
    assert!(clock.is_simulated() && !ahead.is_simulated());
    let before = clock.now();
    ahead.advance(5 * SECOND);
    assert_eq!(clock.now().monotonic, before.monotonic + 5 * SECOND);
    assert_eq!(ahead.now().wall, clock.now().wall + SECOND);
    clock.step_back(6 * SECOND);
    clock.step_forward(SECOND);
    assert_eq!(clock.now(), ClockReading { wall: before.wall, monotonic: before.monotonic + 5 * SECOND });
    clock.advance(Duration::MAX);
    clock.step_back(Duration::MAX);
    clock.step_forward(Duration::MAX);
}

#[test]
fn sleeper_waits_until_the_clock_advances() {
    let clock = ManualClock::new();
    assert_eq!(clock.next_wake(), None);
    let (mut first, second) = (clock.sleep(2 * SECOND), clock.sleep(3 * SECOND));
    assert_eq!(clock.next_wake(), Some(2 * SECOND));
    clock.advance(SECOND);
    clock.step_forward(10 * SECOND);
    assert!((&mut first).now_or_never().is_none());
    clock.advance(SECOND);
    assert!(first.now_or_never().is_some());
    assert_eq!(clock.next_wake(), Some(SECOND));
    drop(second);
    assert_eq!(clock.next_wake(), None);
}

#[test]
fn auto_advancing_sleep_never_waits() {
    let clock = ManualClock::new();
    let (before, other) = (clock.now().monotonic, clock.sleep(SECOND));
    let (sleep, same) = (clock.auto_advancing().sleep(SECOND), clock.auto_advancing().sleep(SECOND));
    drop(clock.auto_advancing().sleep(60 * SECOND));
    assert_eq!(clock.now().monotonic, before, "no sleep was polled yet");
    assert!(sleep.now_or_never().is_some());
    assert!(other.now_or_never().is_some());
    assert!(same.now_or_never().is_some());
    assert_eq!(clock.now().monotonic, before + SECOND, "both slept at the same time");
}
