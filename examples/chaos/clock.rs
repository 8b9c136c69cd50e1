//! The clock of a worker.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tracker_core::{Clock, ClockReading, Sleep, SystemClock};

use super::job::MAX_CLOCK_SKEW;

/// The clock of a worker. While the worker has vanished, no sleep on this clock ends, so heartbeats stop.
#[derive(Debug, Clone)]
pub struct Alive {
    ahead: Duration,
    gone: Arc<watch::Sender<bool>>,
    pub vanished: Arc<Notify>,
}

impl Alive {
    pub fn new(ahead: Duration) -> Self {
        Self { ahead, gone: Arc::new(watch::Sender::new(false)), vanished: Arc::default() }
    }

    pub fn vanish(&self) {
        self.gone.send_replace(true);
        self.vanished.notify_one();
    }

    /// Ends the sleeps that ended in vain, so that nothing waits for ever.
    pub fn wake(&self) {
        self.gone.send_replace(false);
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
            // The sender lives as long as this sleep, so there is no error.
            let _ = gone.subscribe().wait_for(|gone| !gone).await;
        })
    }
}
