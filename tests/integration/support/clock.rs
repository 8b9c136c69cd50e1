//! The clock of a world: it advances when somebody sleeps, and can do something during the next sleep.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracker_core::testing::ManualClock;
use tracker_core::{Clock, ClockReading, Sleep};

/// A clock that every sleeper advances, by itself or by a clock that is derived from it.
#[derive(Clone)]
pub struct TestClock {
    clock: ManualClock,
    manual: ManualClock,
    extra_sleep: Arc<Mutex<Duration>>,
    during_sleep: Arc<Mutex<Option<Sleep>>>,
}

impl TestClock {
    pub fn new() -> Self {
        let start = "2026-11-24T02:17:26.355394Z".parse().expect("a time");
        let manual = ManualClock::at(start);
        let clock = manual.auto_advancing();
        Self { clock, manual, extra_sleep: Arc::default(), during_sleep: Arc::default() }
    }

    /// The same clock, but its sleepers wait until the test advances it.
    pub fn manual(&self) -> ManualClock {
        self.manual.clone()
    }

    /// Makes every sleep longer by a duration.
    pub fn extend_sleeps_by(&self, duration: Duration) {
        *self.extra_sleep.lock().unwrap_or_else(PoisonError::into_inner) = duration;
    }

    /// Runs a future at the end of the next sleep, before the sleeper goes on.
    pub fn during_next_sleep(&self, future: impl Future<Output = ()> + Send + 'static) {
        *self.during_sleep.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(future));
    }
}

impl Deref for TestClock {
    type Target = ManualClock;

    fn deref(&self) -> &ManualClock {
        &self.clock
    }
}

impl Clock for TestClock {
    fn now(&self) -> ClockReading {
        self.clock.now()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let extra = *self.extra_sleep.lock().unwrap_or_else(PoisonError::into_inner);
        let sleep = self.clock.sleep(duration + extra);
        let future = self.during_sleep.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            sleep.await;
            if let Some(future) = future {
                future.await;
            }
        })
    }

    fn __count_requests(&self, change: isize) {
        self.clock.__count_requests(change);
    }

    fn is_simulated(&self) -> bool {
        true
    }
}

impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClock").field("clock", &self.clock).finish_non_exhaustive()
    }
}
