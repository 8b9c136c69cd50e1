//! A clock that is set by hand. Whoever sleeps by it sets it forward.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracker_core::{Clock, Now, Sleep};

#[derive(Clone)]
pub struct ManualClock {
    now: Arc<Mutex<Now>>,
    longer: Arc<Mutex<Duration>>,
    meanwhile: Arc<Mutex<Option<Sleep>>>,
    is_real: bool,
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
            ahead: Duration::ZERO,
        }
    }

    pub fn advance(&self, duration: Duration) {
        let mut now = self.lock();
        now.wall += duration;
        now.monotonic += duration;
    }

    /// The wall clock alone, back by that much.
    pub fn set_back(&self, duration: Duration) {
        self.lock().wall -= duration;
    }

    /// The same clock, to be compared with the service's.
    pub fn as_real(&self) -> Self {
        Self { is_real: true, ..self.clone() }
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

impl Clock for ManualClock {
    fn now(&self) -> Now {
        let now = *self.lock();
        Now { wall: now.wall + self.ahead, ..now }
    }

    fn sleep(&self, duration: Duration) -> Sleep {
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
