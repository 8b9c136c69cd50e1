//! The clock of a world: set by hand, and with something to happen while somebody sleeps.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracker_core::testing::ManualClock;
use tracker_core::{Clock, ClockReading, Sleep};

/// Whoever sleeps by it, or by a clock that is made from it, sets it forward.
#[derive(Clone)]
pub struct TestClock {
    clock: ManualClock,
    waiting: ManualClock,
    longer: Arc<Mutex<Duration>>,
    meanwhile: Arc<Mutex<Option<Sleep>>>,
}

impl TestClock {
    pub fn new() -> Self {
        let start = "2026-11-24T02:17:26.355394Z".parse().expect("a time");
        let waiting = ManualClock::at(start);
        let clock = waiting.auto_advancing();
        Self { clock, waiting, longer: Arc::default(), meanwhile: Arc::default() }
    }

    /// The same clock, by which sleepers wait until somebody sets it forward.
    pub fn waiting(&self) -> ManualClock {
        self.waiting.clone()
    }

    /// Every sleep takes that much longer.
    pub fn sleep_longer_by(&self, duration: Duration) {
        *self.longer.lock().unwrap_or_else(PoisonError::into_inner) = duration;
    }

    /// What happens while somebody sleeps next.
    pub fn when_sleeping(&self, meanwhile: impl Future<Output = ()> + Send + 'static) {
        *self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(meanwhile));
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
        let longer = *self.longer.lock().unwrap_or_else(PoisonError::into_inner);
        let slept = self.clock.sleep(duration + longer);
        let meanwhile = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            slept.await;
            if let Some(meanwhile) = meanwhile {
                meanwhile.await;
            }
        })
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
