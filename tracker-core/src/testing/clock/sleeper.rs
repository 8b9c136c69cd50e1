//! The sleepers of a clock that a test advances, and the requests under way, during which no time passes by itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

use crate::time::ClockReading;

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) advanced: Notify,
    /// No request is under way any more.
    pub(super) answered: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) now: ClockReading,
    /// When each sleeper wakes up, by the monotonic clock.
    pub(super) wakes: Vec<Duration>,
    /// When each sleeper of an `auto_advancing` clock goes on.
    auto_wakes: Vec<Duration>,
    /// How many requests of trackers are under way.
    pub(super) requests: isize,
    /// How often sleepers and requests have begun or ended, and the clock has advanced.
    pub(super) changes: u64,
}

impl Shared {
    pub(super) fn new(now: ClockReading) -> Self {
        let state = State { now, wakes: Vec::new(), auto_wakes: Vec::new(), requests: 0, changes: 0 };
        Self { state: Mutex::new(state), advanced: Notify::new(), answered: Notify::new() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn advance(&self, mut state: MutexGuard<'_, State>, by: Duration) {
        state.advance(by);
        drop(state);
        self.advanced.notify_waiters();
    }

    /// Advances the clock to the next wake, unless something is under way or due. Returns whether the clock has
    /// advanced.
    pub(super) fn advance_if_idle(&self) -> bool {
        let state = self.state();
        let Some(wake) = state.wakes.iter().min().copied() else { return false };
        let by = wake.saturating_sub(state.now.monotonic);
        if state.requests > 0 || by.is_zero() {
            return false;
        }
        self.advance(state, by);
        true
    }

    /// Advances the clock to when the next sleeper of an `auto_advancing` clock goes on, unless anything has changed since.
    fn pass_if_idle(&self, since: u64) {
        let state = self.state();
        let now = state.now.monotonic;
        // A sleeper whose time has come and that nobody polls keeps no other from going on.
        let next = state.auto_wakes.iter().filter(|wake| **wake > now).min();
        if let Some(by) = next.map(|wake| wake.saturating_sub(now))
            && state.changes == since
        {
            self.advance(state, by);
        }
    }
}

impl State {
    fn wakes_of(&mut self, auto_advancing: bool) -> &mut Vec<Duration> {
        if auto_advancing { &mut self.auto_wakes } else { &mut self.wakes }
    }

    fn advance(&mut self, by: Duration) {
        self.changes += 1;
        self.now.wall = later(self.now.wall, by);
        self.now.monotonic = self.now.monotonic.saturating_add(by);
    }
}

/// A sleep until a time.
#[derive(Debug)]
pub(super) struct Sleeper {
    shared: Arc<Shared>,
    until: Duration,
    auto_advancing: bool,
}

impl Sleeper {
    pub(super) fn new(shared: Arc<Shared>, until: Duration, auto_advancing: bool) -> Self {
        let mut state = shared.state();
        state.wakes_of(auto_advancing).push(until);
        state.changes += 1;
        drop(state);
        Self { shared, until, auto_advancing }
    }

    /// Waits for the clock to be advanced.
    pub(super) async fn wait(&self) {
        loop {
            let advanced = self.shared.advanced.notified();
            if self.shared.state().now.monotonic >= self.until {
                return;
            }
            advanced.await;
        }
    }

    /// Lets the time pass, if nothing else can go on.
    pub(super) async fn pass(&self) {
        loop {
            let answered = self.shared.answered.notified();
            let (changes, requests) = {
                let state = self.shared.state();
                if state.now.monotonic >= self.until {
                    return;
                }
                (state.changes, state.requests)
            };
            if requests > 0 {
                answered.await;
            }
            // Whatever can go on does so first, and may send a request, or sleep for a shorter time. Twice, because the branches
            // of a `select!` that come after this sleep are polled later.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            self.shared.pass_if_idle(changes);
        }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let wakes = state.wakes_of(self.auto_advancing);
        if let Some(nth) = wakes.iter().position(|until| *until == self.until) {
            wakes.swap_remove(nth);
            state.changes += 1;
        }
    }
}

pub(super) fn later(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    time.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
