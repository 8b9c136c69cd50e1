//! A clock that is set by hand. Whoever sleeps by it sets it forward.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use tracker_core::{Clock, Now, Sleep};

#[derive(Clone)]
pub struct ManualClock {
    now: Arc<Mutex<Now>>,
    longer: Arc<Mutex<Duration>>,
    meanwhile: Arc<Mutex<Option<Sleep>>>,
    is_real: bool,
    /// Whether sleepers wait for somebody to set the clock forward.
    is_waiting: bool,
    moved: Arc<Notify>,
    /// When those who wait will wake up.
    asleep: Arc<Mutex<Vec<Duration>>>,
    ahead: Duration,
}

impl ManualClock {
    pub fn new() -> Self {
        let now = Now {
            wall: "2026-11-24T02:17:26.355394Z".parse().expect("a time"),
            monotonic: Duration::from_secs(1000),
        };
        Self {
            now: Arc::new(Mutex::new(now)),
            longer: Arc::default(),
            meanwhile: Arc::default(),
            is_real: false,
            is_waiting: false,
            moved: Arc::default(),
            asleep: Arc::default(),
            ahead: Duration::ZERO,
        }
    }

    pub fn advance(&self, duration: Duration) {
        let mut now = self.lock();
        now.wall += duration;
        now.monotonic += duration;
        drop(now);
        self.moved.notify_waiters();
    }

    /// The wall clock alone, back by that much.
    pub fn set_back(&self, duration: Duration) {
        self.lock().wall -= duration;
    }

    /// The same clock, to be compared with the service's.
    pub fn as_real(&self) -> Self {
        Self { is_real: true, ..self.clone() }
    }

    /// Whether somebody sleeps who wakes up when the clock is set forward by that much.
    pub fn wakes_somebody(&self, by: Duration) -> bool {
        let until = self.lock().monotonic + by;
        let asleep = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        asleep.iter().any(|wakes| *wakes <= until)
    }

    /// The same clock, by which sleepers wait until somebody sets it forward.
    pub fn as_waiting(&self) -> Self {
        Self { is_waiting: true, ..self.clone() }
    }

    /// The clock of another machine, which is ahead of this one.
    pub fn ahead_by(&self, ahead: Duration) -> Self {
        Self { ahead, ..self.clone() }
    }

    /// Every sleep takes that much longer.
    pub fn sleep_longer_by(&self, duration: Duration) {
        *self.longer.lock().unwrap_or_else(PoisonError::into_inner) = duration;
    }

    /// What happens while somebody sleeps next.
    pub fn when_sleeping(&self, meanwhile: impl Future<Output = ()> + Send + 'static) {
        *self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(meanwhile));
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for the clock to be set forward.
struct Asleep {
    clock: ManualClock,
    until: Duration,
}

impl Asleep {
    fn new(clock: &ManualClock, until: Duration) -> Self {
        clock.asleep.lock().unwrap_or_else(PoisonError::into_inner).push(until);
        Self { clock: clock.clone(), until }
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        let mut asleep = self.clock.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(nth) = asleep.iter().position(|until| *until == self.until) {
            asleep.swap_remove(nth);
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        let now = *self.lock();
        Now { wall: now.wall + self.ahead, ..now }
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        if self.is_waiting {
            let clock = self.clone();
            let until = self.lock().monotonic + duration;
            return Box::pin(async move {
                let _asleep = Asleep::new(&clock, until);
                loop {
                    let moved = clock.moved.notified();
                    if clock.lock().monotonic >= until {
                        return;
                    }
                    moved.await;
                }
            });
        }
        self.advance(duration + *self.longer.lock().unwrap_or_else(PoisonError::into_inner));
        let meanwhile = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner).take();
        meanwhile.unwrap_or_else(|| Box::pin(std::future::ready(())))
    }

    fn is_simulated(&self) -> bool {
        !self.is_real
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("now", &self.now).finish_non_exhaustive()
    }
}
