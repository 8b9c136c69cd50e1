//! Keeps what was read for a while, so that a page that stays open cannot cost more than its budget.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracker_core::Error;

use crate::view::text::error_line;

/// The shortest time between two reads of the same data.
const SHORTEST: Duration = Duration::from_secs(10);
/// The longest time between two reads.
const LONGEST: Duration = Duration::from_hours(1);
/// The longest wait for a read. A page must not keep its reader waiting.
const PATIENCE: Duration = Duration::from_secs(8);

/// The read units that the pages of one server may use in an hour.
#[derive(Clone)]
pub(crate) struct Budget {
    pub(crate) per_hour: f64,
    /// Returns the read units that were used so far, if somebody counts them.
    pub(crate) used: Option<Arc<dyn Fn() -> f64 + Send + Sync>>,
}

impl Budget {
    pub(crate) fn used(&self) -> Option<f64> {
        self.used.as_ref().map(|used| used())
    }
}

/// Returns how long a value is kept that has cost so many read units: so long that reading it again and again stays within the
/// budget of one hour.
pub(crate) fn pace(cost: f64, per_hour: f64) -> Duration {
    let seconds = 3600.0 * cost / per_hour;
    Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).clamp(SHORTEST, LONGEST)
}

/// A value that is read at most as often as the budget allows.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    slot: Mutex<Slot<T>>,
    /// What a read costs if nobody counts.
    estimate: f64,
}

#[derive(Debug)]
struct Slot<T> {
    value: Option<Arc<T>>,
    read_at: DateTime<Utc>,
    read_again: Option<Instant>,
    error: Option<String>,
}

/// What a page shows of a cached value.
#[derive(Debug)]
pub(crate) struct Shown<T> {
    /// The value as it was read last, if it ever was.
    pub(crate) value: Option<Arc<T>>,
    /// When that was.
    pub(crate) read_at: DateTime<Utc>,
    /// Why it could not be read again.
    pub(crate) error: Option<String>,
}

impl<T> Cached<T> {
    pub(crate) fn new(estimate: f64) -> Self {
        let slot = Slot { value: None, read_at: DateTime::UNIX_EPOCH, read_again: None, error: None };
        Self { slot: Mutex::new(slot), estimate }
    }

    /// Returns the value, and reads it if it is too old. Requests that come meanwhile wait for the same read.
    pub(crate) async fn get(
        &self,
        budget: &Budget,
        now: impl Fn() -> DateTime<Utc>,
        read: impl Future<Output = Result<T, Error>>,
    ) -> Shown<T> {
        let mut slot = self.slot.lock().await;
        if slot.read_again.is_none_or(|again| Instant::now() >= again) {
            let before = budget.used();
            match tokio::time::timeout(PATIENCE, read).await {
                Ok(Ok(value)) => {
                    (slot.value, slot.error, slot.read_at) = (Some(Arc::new(value)), None, now());
                }
                Ok(Err(error)) => slot.error = Some(error_line(&error)),
                Err(_) => {
                    slot.error = Some(format!("DynamoDB has not answered within {} s", PATIENCE.as_secs()));
                }
            }
            let cost = before.zip(budget.used()).map_or(self.estimate, |(before, after)| after - before);
            slot.read_again = Some(Instant::now() + pace(cost, budget.per_hour));
        }
        Shown { value: slot.value.clone(), read_at: slot.read_at, error: slot.error.clone() }
    }

    /// Lets the next request read anew, because something was changed.
    pub(crate) async fn expire(&self) {
        self.slot.lock().await.read_again = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hour_of_an_open_page_stays_within_the_budget() {
        for cost in [0.0, 0.5, 5.0, 70.0, 400.0, 1e6, f64::INFINITY, f64::NAN] {
            let reads = 3600.0 / pace(cost, 1500.0).as_secs_f64();
            assert!(reads >= 1.0);
            if cost < 1500.0 {
                assert!(reads * cost <= 1500.0 || reads <= 360.0 && cost <= 5.0, "{cost}");
            }
        }
        assert_eq!(pace(0.0, 1500.0), SHORTEST);
        assert_eq!(pace(150.0, 1500.0), Duration::from_mins(6));
    }
}
