//! A clock that is set by hand.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

use crate::time::{Clock, ClockReading, Sleep};

/// A clock that is set by hand. All its clones, and what [`auto_advancing`](Self::auto_advancing) and the like give,
/// share one time.
///
/// Whoever sleeps by it waits until somebody sets it forward. That suits heartbeats, timeouts, and requests that come
/// late; [`next_wake`](Self::next_wake) has the loop that does so. A test that has nobody to do so takes
/// [`auto_advancing`](Self::auto_advancing).
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// use tracker_core::Clock;
/// use tracker_core::testing::ManualClock;
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(300));
/// assert_eq!(clock.now().monotonic - before.monotonic, Duration::from_secs(300));
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    shared: Arc<Shared>,
    ahead: Duration,
    auto_advancing: bool,
    compared: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Debug)]
struct State {
    now: ClockReading,
    /// When those who wait wake up, by the monotonic clock.
    asleep: Vec<Duration>,
}

impl ManualClock {
    /// A clock that shows 2026-01-01, midnight UTC.
    #[must_use]
    pub fn new() -> Self {
        Self::at(DateTime::UNIX_EPOCH + TimeDelta::seconds(1_767_225_600))
    }

    /// A clock that shows this time.
    #[must_use]
    pub fn at(wall: DateTime<Utc>) -> Self {
        let now = ClockReading { wall, monotonic: Duration::from_secs(1000) };
        let state = Mutex::new(State { now, asleep: Vec::new() });
        Self {
            shared: Arc::new(Shared { state, moved: Notify::new() }),
            ahead: Duration::ZERO,
            auto_advancing: false,
            compared: false,
        }
    }

    /// Sets it forward, and wakes those who have slept for long enough.
    pub fn advance(&self, by: Duration) {
        let mut state = self.shared.state();
        state.advance(by);
        drop(state);
        self.shared.moved.notify_waiters();
    }

    /// Sets the time of day forward, as an administrator does: the monotonic clock stays, and nobody wakes up.
    pub fn step_forward(&self, by: Duration) {
        let mut state = self.shared.state();
        state.now.wall = later(state.now.wall, by);
    }

    /// Sets the time of day back.
    pub fn step_back(&self, by: Duration) {
        let mut state = self.shared.state();
        let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
        state.now.wall = state.now.wall.checked_sub_signed(by).unwrap_or(DateTime::<Utc>::MIN_UTC);
    }

    /// After how long the first of those who sleep wakes up; `None` where nobody sleeps.
    ///
    /// Who has slept for long enough counts, with zero, until its task is polled. So a loop that sets the clock forward
    /// has to let others run in between, as it would otherwise go on for ever on a runtime of one thread:
    ///
    /// ```
    /// # use std::time::Duration;
    /// use tracker_core::Clock;
    /// use tracker_core::testing::ManualClock;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tokio::task::JoinError> {
    /// let clock = ManualClock::new();
    /// let (worker, before) = (clock.clone(), clock.now().monotonic);
    /// let worker = tokio::spawn(async move {
    ///     worker.sleep(Duration::from_secs(60)).await;
    ///     worker.sleep(Duration::from_secs(300)).await;
    /// });
    /// tokio::task::yield_now().await; // it falls asleep
    /// while let Some(by) = clock.next_wake() {
    ///     clock.advance(by);
    ///     tokio::task::yield_now().await; // it wakes up, and falls asleep again
    /// }
    /// worker.await?;
    /// assert_eq!(clock.now().monotonic - before, Duration::from_secs(360));
    /// # Ok(()) }
    /// ```
    ///
    /// One `yield_now` lets each of the others go on as far as the next thing that it waits for. Where that may be
    /// another than the clock, let them run several times before each step, or the time passes while they work.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let state = self.shared.state();
        state.asleep.iter().min().map(|wakes| wakes.saturating_sub(state.now.monotonic))
    }

    /// The same time, for those whose sleeping itself sets it forward: they never wait. The time passes when a sleep is
    /// first polled, and not when it is made.
    ///
    /// For trackers whose [`heartbeat`](crate::TrackerBuilder::heartbeat) is switched off, as that one sleeps again and
    /// again, and which have no [`timeout`](crate::TrackerBuilder::timeout): its sleep is polled together with the body
    /// of a [`run`](crate::Tracker::run), and so the clock jumps to the timeout, which ends the body, as soon as the body
    /// waits for anything. The same goes for a network's [`Delay`](super::Fault::Delay) and
    /// [`DuplicateLate`](super::Fault::DuplicateLate) by such a clock: nothing is late by it, and all others are by the
    /// whole delay. Tests of these take the clock as it is, by which sleepers wait:
    ///
    /// ```
    /// # #[cfg(not(all(feature = "embedded", feature = "derive")))] fn main() {}
    /// # #[cfg(all(feature = "embedded", feature = "derive"))]
    /// # mod example {
    /// # use std::time::Duration;
    /// # use tracker_core::testing::ManualClock;
    /// # use tracker_core::{StatusTracker, TrackerStatus, embedded};
    /// # #[derive(TrackerStatus, Clone, Copy)]
    /// # enum CountStatus {
    /// #     #[status(pending)]     Pending = 10,
    /// #     #[status(in_progress)] InProgress = 12,
    /// #     #[status(failed)]      Failed = 14,
    /// #     #[status(succeeded)]   Succeeded = 16,
    /// #     #[status(ignored)]     Ignored = 18,
    /// # }
    /// # #[derive(StatusTracker)]
    /// # #[tracker(use_case_id = "count", status = CountStatus, table = "documents")]
    /// # struct Document { #[tracker(task_id)] id: String }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # pub async fn test() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = embedded::in_memory()?;
    /// let clock = ManualClock::new();
    /// let documents = Document::tracker_builder(&client)
    ///     .clock(clock.clone())
    ///     .heartbeat(false)
    ///     .timeout(Duration::from_secs(60))
    ///     .build()?;
    /// # documents.create_table().await?;
    /// # documents.create(Document { id: "a".into() }).await?;
    /// documents.run("a", async |_task| {
    ///     tokio::task::yield_now().await; // by `clock.auto_advancing()` it would be timed out here
    ///     Ok(())
    /// }).await?;
    /// # Ok(()) }
    /// # }
    /// # #[cfg(all(feature = "embedded", feature = "derive"))]
    /// # fn main() { example::test().unwrap() }
    /// ```
    #[must_use]
    pub fn auto_advancing(&self) -> Self {
        Self { auto_advancing: true, ..self.clone() }
    }

    /// The clock of another machine, whose time of day is ahead of this one's.
    #[must_use]
    pub fn ahead_by(&self, ahead: Duration) -> Self {
        Self { ahead: self.ahead.saturating_add(ahead), ..self.clone() }
    }

    /// The same time, as a machine's clock, which a tracker compares with the `Date` of the service's answers. Without
    /// this it counts as made up; see [`Clock::is_simulated`].
    #[must_use]
    pub fn compared_with_service(&self) -> Self {
        Self { compared: true, ..self.clone() }
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> ClockReading {
        let now = self.shared.state().now;
        ClockReading { wall: later(now.wall, self.ahead), ..now }
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        if self.auto_advancing {
            let shared = Arc::clone(&self.shared);
            let until = shared.state().now.monotonic.saturating_add(duration);
            // Not before somebody waits for it: a sleep that is dropped unused has taken no time.
            return Box::pin(async move { shared.advance_to(until) });
        }
        let asleep = Asleep::new(&self.shared, duration);
        Box::pin(async move { asleep.wait().await })
    }

    fn is_simulated(&self) -> bool {
        !self.compared
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets it forward to that time, unless it is past it.
    fn advance_to(&self, until: Duration) {
        let mut state = self.state();
        let by = until.saturating_sub(state.now.monotonic);
        state.advance(by);
        drop(state);
        self.moved.notify_waiters();
    }
}

impl State {
    fn advance(&mut self, by: Duration) {
        self.now.wall = later(self.now.wall, by);
        self.now.monotonic = self.now.monotonic.saturating_add(by);
    }
}

/// Somebody who waits for the clock to be set forward.
#[derive(Debug)]
struct Asleep {
    shared: Arc<Shared>,
    until: Duration,
}

impl Asleep {
    fn new(shared: &Arc<Shared>, duration: Duration) -> Self {
        let mut state = shared.state();
        let until = state.now.monotonic.saturating_add(duration);
        state.asleep.push(until);
        Self { shared: Arc::clone(shared), until }
    }

    async fn wait(&self) {
        loop {
            let moved = self.shared.moved.notified();
            if self.shared.state().now.monotonic >= self.until {
                return;
            }
            moved.await;
        }
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if let Some(nth) = state.asleep.iter().position(|until| *until == self.until) {
            state.asleep.swap_remove(nth);
        }
    }
}

fn later(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    time.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn all_handles_share_one_time() {
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
    fn sleepers_wait_until_it_is_set_forward() {
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
    fn sleepers_that_never_wait() {
        let clock = ManualClock::new();
        let (before, other) = (clock.now().monotonic, clock.sleep(SECOND));
        let (sleep, same) = (clock.auto_advancing().sleep(SECOND), clock.auto_advancing().sleep(SECOND));
        drop(clock.auto_advancing().sleep(60 * SECOND));
        assert_eq!(clock.now().monotonic, before, "nobody has waited yet");
        assert!(sleep.now_or_never().is_some());
        assert!(other.now_or_never().is_some());
        assert!(same.now_or_never().is_some());
        assert_eq!(clock.now().monotonic, before + SECOND, "they slept at once");
    }
}
