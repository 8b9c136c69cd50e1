//! The clock of a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tracker_core::{Clock, ClockReading, Sleep, SystemClock};

use super::fleet::MAX_CLOCK_SKEW;

/// The clock of a worker. When the worker vanishes, no sleep on this clock ends any more, so heartbeats stop.
#[derive(Debug, Clone)]
pub struct Alive {
    ahead: Duration,
    gone: Arc<AtomicBool>,
    pub vanished: Arc<Notify>,
}

impl Alive {
    pub fn new(ahead: Duration) -> Self {
        Self { ahead, gone: Arc::default(), vanished: Arc::default() }
    }

    pub fn vanish(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.vanished.notify_one();
    }
}

impl Clock for Alive {
    fn now(&self) -> ClockReading {
        let now = SystemClock.now();
        ClockReading { wall: now.wall + self.ahead - MAX_CLOCK_SKEW / 2, ..now }
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let gone = Arc::clone(&self.gone);
        Box::pin(async move {
            tokio::time::sleep(duration).await;
            if gone.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
        })
    }
}
