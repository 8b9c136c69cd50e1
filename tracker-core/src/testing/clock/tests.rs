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

#[tokio::test]
async fn auto_advancing_sleeps_end_in_their_order() {
    let clock = ManualClock::new();
    let (before, auto, waits) = (clock.now().monotonic, clock.auto_advancing(), clock.sleep(SECOND));
    drop(auto.sleep(60 * SECOND));
    let slept = |seconds: u32| {
        let sleep = auto.sleep(seconds * SECOND);
        let auto = &auto;
        async move {
            sleep.await;
            auto.now().monotonic.saturating_sub(before)
        }
    };
    let (long, short, same) = (slept(3), slept(1), slept(3));
    assert_eq!(clock.now().monotonic, before, "no sleep was polled yet");
    assert_eq!(futures_util::join!(long, short, same), (3 * SECOND, SECOND, 3 * SECOND));
    assert!(waits.now_or_never().is_some());
}

#[tokio::test]
async fn auto_advancing_sleep_lets_requests_end_first() {
    let clock = ManualClock::new().auto_advancing();
    let before = clock.now().monotonic;
    let mut sleep = clock.sleep(SECOND);
    clock.__count_requests(1);
    for _ in 0..10 {
        assert!(futures_util::poll!(&mut sleep).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(clock.now().monotonic, before);
    clock.__count_requests(-1);
    sleep.await;
    assert_eq!(clock.now().monotonic, before + SECOND);
}

/// As in a `select!` whose branch is switched off.
#[tokio::test]
async fn sleep_that_is_no_longer_polled_keeps_no_other_from_its_end() {
    let clock = ManualClock::new().auto_advancing();
    let mut left = clock.sleep(SECOND);
    assert!(futures_util::poll!(&mut left).is_pending());
    clock.sleep(5 * SECOND).await;
    left.await;
}
