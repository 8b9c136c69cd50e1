//! Keeps what was read for a while, so that pages that stay open cannot cost more than their budget.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// A page that nobody has asked for in this time has no share of the budget.
const OPEN: Duration = Duration::from_mins(2);

/// The read units that pages which are refreshed by themselves share, each the same.
#[derive(Clone)]
pub(crate) struct Budget {
    pub(crate) per_hour: f64,
    /// Returns the read units that were used so far, if somebody counts them.
    pub(crate) used: Option<Arc<dyn Fn() -> f64 + Send + Sync>>,
    /// What is shown now: the numbers of the values, and when each was asked for last.
    open: Arc<SyncMutex<HashMap<u64, Instant>>>,
}

impl Budget {
    pub(crate) fn new(per_hour: f64) -> Self {
        Self { per_hour, used: None, open: Arc::default() }
    }

    /// Returns a budget without a limit, for what somebody asks for.
    pub(crate) fn unlimited(&self) -> Self {
        Self { per_hour: f64::INFINITY, used: self.used.clone(), open: Arc::default() }
    }

    pub(crate) fn used(&self) -> Option<f64> {
        self.used.as_ref().map(|used| used())
    }

    /// Notes that a value is shown, and returns its share of the budget.
    fn share_of(&self, value: u64, now: Instant) -> f64 {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(value, now);
        open.retain(|_, asked| now.duration_since(*asked) < OPEN);
        #[allow(clippy::cast_precision_loss, reason = "a few values")]
        let values = open.len() as f64;
        self.per_hour / values
    }
}

/// Returns the time in which a budget has so many read units.
fn time_of(cost: f64, per_hour: f64) -> Duration {
    Duration::try_from_secs_f64(3600.0 * cost / per_hour).unwrap_or(LONGEST).min(LONGEST)
}

/// The number of the next value.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A value that is read at most as often as its share of the budget allows.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    number: u64,
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
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), slot: Mutex::new(slot), estimate }
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
        let share = budget.share_of(self.number, begun);
        let pace = |cost| time_of(cost, share).max(SHORTEST);
        if slot.read_again.is_none_or(|again| begun >= again) {
            // Paid before: a reader who goes away meanwhile has used the units as well.
            slot.read_again = Some(begun + pace(self.estimate));
            let before = budget.used();
            let read = tokio::time::timeout(PATIENCE, read).await;
            let cost = before.zip(budget.used()).map(|(before, after)| after - before);
            // Others may have read meanwhile, and their units are counted, too.
            let cost = cost.map(|cost| cost.min(4.0 * self.estimate));
            let read = match read {
                Ok(read) => read.map_err(|error| error_line(&error)),
                Err(_) => Err(format!("DynamoDB has not answered within {} s", PATIENCE.as_secs())),
            };
            match read {
                Ok(value) => {
                    (slot.value, slot.error, slot.read_at) = (Some(Arc::new(value)), None, now());
                    slot.read_again = Some(begun + pace(cost.unwrap_or(self.estimate)));
                }
                Err(error) => {
                    slot.error = Some(error);
                    slot.read_again = Some(begun + pace(cost.unwrap_or_default()));
                }
            }
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

    /// Looks at two pages every 5 seconds for an hour, and returns how often each was read.
    async fn reads_of_an_hour(cost: f64) -> [u32; 2] {
        let budget = Budget::new(1500.0);
        let pages = [Cached::new(cost), Cached::new(cost)];
        let mut reads = [0, 0];
        for _ in 0..720 {
            for (page, reads) in pages.iter().zip(&mut reads) {
                let read = async {
                    *reads += 1;
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
    async fn hour_of_open_pages_stays_within_the_budget_and_each_has_its_share() {
        assert_eq!(reads_of_an_hour(0.1).await, [360, 360]);
        for cost in [5.0, 80.0, 400.0] {
            let [one, other] = reads_of_an_hour(cost).await;
            assert!(one.abs_diff(other) <= 1, "{one} and {other}");
            let units = f64::from(one + other) * cost;
            // Each page is read once in any case.
            assert!((1100.0..=1500.0 + 2.0 * cost).contains(&units), "{units} with reads of {cost}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn page_that_was_closed_has_no_share() {
        let budget = Budget::new(3600.0);
        assert!((budget.share_of(1, Instant::now()) - 3600.0).abs() < 1.0);
        assert!((budget.share_of(2, Instant::now()) - 1800.0).abs() < 1.0);
        tokio::time::advance(OPEN).await;
        assert!((budget.share_of(2, Instant::now()) - 3600.0).abs() < 1.0);
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
