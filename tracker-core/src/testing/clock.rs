//! A clock that a test advances.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use self::sleeper::{Shared, Sleeper, later};
use crate::time::{Clock, ClockReading, Sleep};

/// A clock that a test advances. All its clones share one time, and so do the clocks that
/// [`auto_advancing`](Self::auto_advancing) and the other methods return.
///
/// A sleep waits until the test advances the clock. Use this for heartbeats, timeouts and delayed requests, with
/// [`drive`](Self::drive) in a loop beside the test. In any other test, use
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
    is_compared: bool,
}

impl ManualClock {
    /// Returns a clock that shows 2026-01-01, midnight UTC.
    #[must_use]
    pub fn new() -> Self {
        Self::at(DateTime::UNIX_EPOCH + TimeDelta::seconds(1_767_225_600))
    }

    /// Returns a clock that shows this time.
    #[must_use]
    pub fn at(wall: DateTime<Utc>) -> Self {
        let now = ClockReading { wall, monotonic: Duration::from_secs(1000) };
        Self {
            shared: Arc::new(Shared::new(now)),
            ahead: Duration::ZERO,
            auto_advancing: false,
            is_compared: false,
        }
    }

    /// Advances the clock, and wakes the sleepers whose time has come.
    pub fn advance(&self, by: Duration) {
        self.shared.advance(self.shared.state(), by);
    }

    /// Sets the time of day forward, as an administrator does. The monotonic clock stays, and nobody wakes up.
    pub fn step_forward(&self, by: Duration) {
        let mut state = self.shared.state();
        state.now.wall = later(state.now.wall, by);
    }

    /// Sets the time of day back. The monotonic clock stays, and nobody wakes up.
    pub fn step_back(&self, by: Duration) {
        let mut state = self.shared.state();
        let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
        state.now.wall = state.now.wall.checked_sub_signed(by).unwrap_or(DateTime::<Utc>::MIN_UTC);
    }

    /// Returns the time until the next sleeper wakes up, or `None` if nobody sleeps.
    ///
    /// A sleeper whose time has come counts, with zero, until its task is polled. So a loop that advances the clock
    /// has to let other tasks run in between. Otherwise it would never end on a runtime of one thread.
    ///
    /// # Examples
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
    /// tokio::task::yield_now().await; // the worker falls asleep
    /// while let Some(by) = clock.next_wake() {
    ///     clock.advance(by);
    ///     tokio::task::yield_now().await; // it wakes up, and may fall asleep again
    /// }
    /// worker.await?;
    /// assert_eq!(clock.now().monotonic - before, Duration::from_secs(360));
    /// # Ok(()) }
    /// ```
    ///
    /// One `yield_now` lets each other task run up to the next thing that it waits for. If a task may wait for
    /// anything but the clock, yield several times before each step. Otherwise time passes while the tasks work.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let state = self.shared.state();
        state.wakes.iter().min().map(|wake| wake.saturating_sub(state.now.monotonic))
    }

    /// Advances the clock to when the next sleeper wakes up, once somebody sleeps.
    ///
    /// No time passes while a tracker with this clock has a request under way, or while a sleeper whose time has come
    /// has not been polled yet. So a heartbeat is sent in time, however slow the database is. On a current-thread
    /// runtime, which `#[tokio::test]` has by default, the order of events is always the same.
    ///
    /// Use this for tests with [heartbeats](crate::TrackerBuilder::heartbeat). If nobody ever sleeps, this never
    /// completes.
    ///
    /// # Examples
    ///
    /// A body that takes an hour, whose lease is renewed all the time:
    ///
    /// ```
    /// # #[cfg(not(all(feature = "embedded", feature = "derive")))] fn main() {}
    /// # #[cfg(all(feature = "embedded", feature = "derive"))]
    /// # mod example {
    /// # use std::time::Duration;
    /// # use tracker_core::testing::ManualClock;
    /// # use tracker_core::{Clock, StatusTracker, TrackerStatus, embedded};
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
    /// let documents = Document::tracker_builder(&client).clock(clock.clone()).build()?;
    /// # documents.create_table().await?;
    /// # documents.create(Document { id: "a".into() }).await?;
    /// let hour = clock.clone();
    /// let run = documents.run("a", async move |_task| {
    ///     hour.sleep(Duration::from_secs(3600)).await;
    ///     Ok(())
    /// });
    /// tokio::select! {
    ///     done = run => done?,
    ///     () = async { loop { clock.drive().await } } => {}
    /// }
    /// assert!(documents.head("a").await?.is_some_and(|task| task.is_succeeded()));
    /// # Ok(()) }
    /// # }
    /// # #[cfg(all(feature = "embedded", feature = "derive"))]
    /// # fn main() { example::test().unwrap() }
    /// ```
    pub async fn drive(&self) {
        loop {
            // Other tasks that can go on do so first. If any of them sleeps or sends a request now, others may follow.
            let before = self.shared.state().changes;
            tokio::task::yield_now().await;
            if self.shared.state().changes == before && self.shared.advance_if_idle() {
                return;
            }
        }
    }

    /// Returns a clock with the same time, which advances by itself to the end of the shortest sleep. No time passes while a
    /// tracker with this clock has a request under way, and a sleep that was not polled yet does not count.
    ///
    /// A body must not wait for anything but requests of trackers and sleeps of this clock. While a body waits for anything else,
    /// such as a file or Tokio's `sleep`, a worker looks for further tasks again and again, and leases expire.
    ///
    /// Use this on a current-thread runtime, which `#[tokio::test]` has by default. Otherwise time may pass while a body computes.
    ///
    /// Use the plain clock instead, with [`drive`](Self::drive) or by advancing it yourself, if the test has one of these:
    ///
    /// - a [`heartbeat`](crate::TrackerBuilder::heartbeat): it sleeps again and again, so time would run away,
    /// - a [`timeout`](crate::TrackerBuilder::timeout) or a `deadline`: it ends the body as soon as the body waits for anything
    ///   but requests and shorter sleeps,
    /// - a [`Delay`](super::Fault::Delay) or a [`DuplicateLate`](super::Fault::DuplicateLate) of a network with this
    ///   clock: the delayed request is not late, and the clock advances for everyone else.
    ///
    /// # Examples
    ///
    /// A timeout by the plain clock:
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
    ///     tokio::task::yield_now().await; // with `clock.auto_advancing()`, the timeout would fire here
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

    /// Returns the clock of another machine, whose time of day is ahead of this clock's.
    #[must_use]
    pub fn ahead_by(&self, ahead: Duration) -> Self {
        Self { ahead: self.ahead.saturating_add(ahead), ..self.clone() }
    }

    /// Returns a clock with the same time, which a tracker compares with DynamoDB's clock.
    ///
    /// A tracker does not compare any other `ManualClock`, because [`Clock::is_simulated`] returns true for it.
    #[must_use]
    pub fn compared_with_service(&self) -> Self {
        Self { is_compared: true, ..self.clone() }
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
        let shared = Arc::clone(&self.shared);
        let until = shared.state().now.monotonic.saturating_add(duration);
        if self.auto_advancing {
            // Inside the future, because a sleep that is never polled takes no time.
            return Box::pin(async move { Sleeper::new(shared, until, true).pass().await });
        }
        let sleeper = Sleeper::new(shared, until, false);
        Box::pin(async move { sleeper.wait().await })
    }

    fn is_simulated(&self) -> bool {
        !self.is_compared
    }

    fn __count_requests(&self, change: isize) {
        let mut state = self.shared.state();
        state.requests += change;
        state.changes += 1;
        if state.requests <= 0 {
            drop(state);
            self.shared.answered.notify_waiters();
        }
    }
}

mod sleeper;
#[cfg(test)]
mod tests;
