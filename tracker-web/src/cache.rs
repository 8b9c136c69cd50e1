//! Keeps what was read for a while, so that pages that stay open cannot cost more than their budget.

use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracker_core::Error;

use crate::view::text::error_line;

/// The shortest time between two reads of the same data.
const SHORTEST: Duration = Duration::from_secs(10);
/// The longest time for which one read is paid off. A number of units that is wrong must not stop the page for days.
const LONGEST: Duration = Duration::from_hours(1);
/// The longest wait for a read. A page must not keep its reader waiting.
const PATIENCE: Duration = Duration::from_secs(8);

/// The read units that pages which are refreshed by themselves share.
#[derive(Clone)]
pub(crate) struct Budget {
    pub(crate) per_hour: f64,
    /// Returns the read units that were used so far, if somebody counts them.
    pub(crate) used: Option<Arc<dyn Fn() -> f64 + Send + Sync>>,
    /// Until when the reads so far use up the budget.
    paid_off: Arc<SyncMutex<Option<Instant>>>,
}

impl Budget {
    pub(crate) fn new(per_hour: f64) -> Self {
        Self { per_hour, used: None, paid_off: Arc::default() }
    }

    pub(crate) fn used(&self) -> Option<f64> {
        self.used.as_ref().map(|used| used())
    }

    fn allows_a_read(&self, now: Instant) -> bool {
        self.paid_off.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|paid_off| now >= paid_off)
    }

    /// Waits longer before the next read, because one has cost so many units.
    fn pay(&self, cost: f64, now: Instant) {
        let mut paid_off = self.paid_off.lock().unwrap_or_else(PoisonError::into_inner);
        *paid_off = Some(paid_off.map_or(now, |before| before.max(now)) + time_of(cost, self.per_hour));
    }
}

/// Returns the time in which a budget has so many read units.
fn time_of(cost: f64, per_hour: f64) -> Duration {
    Duration::try_from_secs_f64(3600.0 * cost / per_hour).unwrap_or(LONGEST).min(LONGEST)
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
    /// When the next read is possible. `None` if it is, whatever the budget says.
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
        let begun = Instant::now();
        if slot.read_again.is_none_or(|again| begun >= again && budget.allows_a_read(begun)) {
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
            budget.pay(cost, begun);
            slot.read_again = Some(begun + SHORTEST);
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
    fn expensive_read_is_paid_off_for_longer() {
        assert_eq!(time_of(0.0, 1500.0), Duration::ZERO);
        assert_eq!(time_of(150.0, 1500.0), Duration::from_mins(6));
        for odd in [f64::INFINITY, f64::NAN, -1.0, 1e300] {
            assert_eq!(time_of(odd, 1500.0), LONGEST);
        }
    }

    /// Looks at two pages every 5 seconds for an hour, and returns how many reads there were.
    async fn reads_of_an_hour(cost: f64) -> u32 {
        let budget = Budget::new(1500.0);
        let pages = [Cached::new(cost), Cached::new(cost)];
        let mut reads = 0;
        for _ in 0..720 {
            for page in &pages {
                let read = async {
                    reads += 1;
                    Ok(())
                };
                let shown = page.get(&budget, || DateTime::UNIX_EPOCH, read).await;
                assert!(shown.value.is_some());
            }
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        reads
    }

    #[tokio::test(start_paused = true)]
    async fn hour_of_open_pages_stays_within_the_budget() {
        // Both pages are read once in any case.
        assert_eq!(reads_of_an_hour(0.1).await, 720);
        for cost in [5.0, 80.0, 400.0] {
            let units = f64::from(reads_of_an_hour(cost).await) * cost;
            assert!((1100.0..=1500.0 + 2.0 * cost).contains(&units), "{units} with reads of {cost}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn change_is_seen_at_once() {
        let (budget, page) = (Budget::new(1.0), Cached::new(1000.0));
        let get = |value| page.get(&budget, || DateTime::UNIX_EPOCH, async move { Ok(value) });
        assert_eq!(get(1).await.value.as_deref(), Some(&1));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(get(2).await.value.as_deref(), Some(&1));
        page.expire().await;
        assert_eq!(get(2).await.value.as_deref(), Some(&2));
    }

    #[tokio::test(start_paused = true)]
    async fn value_outlives_an_error_and_a_read_without_an_answer() {
        let (budget, page) = (Budget::new(1e9), Cached::new(0.0));
        let now = || DateTime::UNIX_EPOCH;
        page.get(&budget, now, async { Ok(1) }).await;
        tokio::time::advance(SHORTEST).await;
        let shown = page.get(&budget, now, std::future::pending()).await;
        assert_eq!((shown.value.as_deref(), shown.error.is_some()), (Some(&1), true));
    }
}
