//! The service clock: how far this machine's clock differs from DynamoDB's, as the `Date` of each response tells.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_types::config_bag::{Storable, StoreReplace};
use chrono::{DateTime, TimeDelta, Utc};

use crate::time::Clock;

/// How many responses in a row must allow that the clock is right before the tracker trusts the clock again.
const AGREEING: u32 = 3;

/// Compares a clock with the `Date` of responses.
#[derive(Debug, Clone)]
pub(crate) struct ServiceClock {
    clock: Arc<dyn Clock>,
    estimate: Arc<Mutex<Estimate>>,
    /// Whether any response has come.
    has_response: Arc<AtomicBool>,
}

impl ServiceClock {
    /// Returns the comparison of one machine's clock. The clocks of two machines may differ by `max_clock_skew`, so
    /// each may differ from DynamoDB's by half of that.
    pub(crate) fn new(clock: Arc<dyn Clock>, max_clock_skew: Duration) -> Self {
        let limit = TimeDelta::from_std(max_clock_skew / 2).unwrap_or(TimeDelta::MAX);
        let estimate = Arc::new(Mutex::new(Estimate::new(limit)));
        Self { clock, estimate, has_response: Arc::default() }
    }

    fn estimate(&self) -> MutexGuard<'_, Estimate> {
        self.estimate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how far the clock is off, if it is off by more than half of `max_clock_skew`.
    pub(crate) fn excessive_offset(&self) -> Option<TimeDelta> {
        self.estimate().excessive
    }

    /// Returns whether no response has come yet. A simulated clock is never compared, so it needs none.
    pub(crate) fn awaits_first_response(&self) -> bool {
        !self.clock.is_simulated() && !self.has_response.load(Ordering::Relaxed)
    }

    /// Returns whether the last response has shown for certain that the clock is off.
    pub(super) fn was_off_at_last(&self) -> bool {
        let estimate = self.estimate();
        estimate.excessive.is_some() && estimate.agreeing == 0
    }

    /// Returns a guard that lives as long as a request.
    pub(super) fn begin_request(&self) -> UnderWay {
        self.clock.__count_requests(1);
        UnderWay(Arc::clone(&self.clock))
    }

    /// Reads the clock.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now().wall
    }

    /// Takes in a response to a request that was sent at this time, with its date. Logs if the clock is found to be
    /// off, or right again.
    pub(super) fn compare(&self, sent: DateTime<Utc>, date: Option<&str>) {
        if self.clock.is_simulated() {
            return;
        }
        if let Some(date) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) {
            let offset = Offset::of(sent, date.to_utc(), self.now());
            // Released before anything is logged: a subscriber may block.
            let (before, after) = {
                let mut estimate = self.estimate();
                let before = estimate.excessive;
                estimate.add(offset);
                (before, estimate.excessive)
            };
            match (before, after) {
                (None, Some(offset)) => tracing::warn!(
                    target: "tracker_core::clock",
                    offset_seconds = offset.as_seconds_f64(),
                    "this machine's clock is off by more than half of max_clock_skew; no task is started until you \
                     set it"
                ),
                (Some(_), None) => {
                    tracing::info!(target: "tracker_core::clock", "this machine's clock is right again");
                }
                _ => {}
            }
        }
        self.has_response.store(true, Ordering::Relaxed);
    }
}

/// Counts as a request that is under way while it lives.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<dyn Clock>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.__count_requests(-1);
    }
}

impl Storable for UnderWay {
    type Storer = StoreReplace<Self>;
}

/// The range in which the offset of the clock lies. It is positive if the clock is ahead of DynamoDB's.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Offset {
    least: TimeDelta,
    most: TimeDelta,
}

impl Offset {
    /// Returns what one response tells. DynamoDB made the response between `sent` and `received`, and cut its date to
    /// the second.
    fn of(sent: DateTime<Utc>, date: DateTime<Utc>, received: DateTime<Utc>) -> Self {
        Self { least: sent - (date + TimeDelta::seconds(1)), most: received - date }
    }

    /// Returns what two responses tell together, or none if they contradict each other.
    fn and(self, other: Self) -> Option<Self> {
        let both = Self { least: self.least.max(other.least), most: self.most.min(other.most) };
        (both.least <= both.most).then_some(both)
    }

    /// Returns by how much the clock is off at least, if that is more than a limit.
    fn beyond(self, limit: TimeDelta) -> Option<TimeDelta> {
        if self.least > limit { Some(self.least) } else { (self.most < -limit).then_some(self.most) }
    }
}

/// What all responses so far tell about the offset.
///
/// One date tells the offset to a second. Several dates together tell the offset more closely, so that a limit below a
/// second can be judged as well.
#[derive(Debug)]
struct Estimate {
    limit: TimeDelta,
    /// What the last responses that do not contradict each other tell.
    offset: Option<Offset>,
    /// How many responses in a row allow that the clock is right.
    agreeing: u32,
    /// How far the clock is off, while it is held to be off by more than the limit.
    excessive: Option<TimeDelta>,
}

impl Estimate {
    fn new(limit: TimeDelta) -> Self {
        Self { limit, offset: None, agreeing: 0, excessive: None }
    }

    fn add(&mut self, offset: Offset) {
        // Responses contradict each other if a clock was set, or if a date is wrong. The newest one counts.
        let offset = self.offset.and_then(|before| before.and(offset)).unwrap_or(offset);
        self.offset = Some(offset);
        if let Some(excessive) = offset.beyond(self.limit) {
            self.excessive = Some(excessive);
            self.agreeing = 0;
            return;
        }
        self.agreeing += 1;
        let is_certain = offset.least >= -self.limit && offset.most <= self.limit;
        if is_certain || self.agreeing >= AGREEING {
            self.excessive = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: i64) -> TimeDelta {
        TimeDelta::milliseconds(millis)
    }

    /// What a response tells that DynamoDB made at this millisecond, if the clock is ahead by some milliseconds and
    /// the request and the response took 10 ms each.
    fn response(at: i64, ahead: i64) -> Offset {
        let time = |at: i64| DateTime::UNIX_EPOCH + TimeDelta::days(1) + millis(at);
        Offset::of(time(at - 10 + ahead), time(at / 1000 * 1000), time(at + 10 + ahead))
    }

    #[test]
    fn one_response_tells_only_an_offset_that_is_certain() {
        let limit = millis(2500);
        let date = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let judge =
            |sent, received| Offset::of(date + millis(sent), date, date + millis(received)).beyond(limit);
        assert_eq!(judge(-3000, 9000), None, "a slow response says little");
        assert_eq!(judge(3400, 3500), None);
        assert_eq!(judge(3600, 3700), Some(millis(2600)));
        assert_eq!(judge(-2500, -2400), None);
        assert_eq!(judge(-2700, -2600), Some(millis(-2600)));
    }

    #[test]
    fn wrong_date_is_forgotten_after_some_right_ones() {
        for skew in [200, 500, 1000, 5000] {
            let mut estimate = Estimate::new(millis(skew / 2));
            estimate.add(response(500, 0));
            assert_eq!(estimate.excessive, None, "skew {skew}");
            estimate.add(response(600, 60_000));
            assert!(estimate.excessive.is_some(), "skew {skew}");
            let needed = (1..10).find(|nth| {
                estimate.add(response(700 + nth * 137, 0));
                estimate.excessive.is_none()
            });
            assert!(needed.is_some_and(|needed| needed <= 3), "skew {skew}: {needed:?}");
        }
    }

    #[test]
    fn offset_below_a_second_is_found_by_several_dates() {
        for (skew, ahead, is_off) in
            [(200, 150, true), (200, 50, false), (500, -300, true), (500, 200, false)]
        {
            let mut estimate = Estimate::new(millis(skew / 2));
            let found = (0..40).filter(|nth| {
                estimate.add(response(nth * 487, ahead));
                estimate.excessive.is_some()
            });
            assert_eq!(found.count() > 0, is_off, "skew {skew}, ahead {ahead}");
            assert_eq!(estimate.excessive.is_some(), is_off, "once found, it stays");
        }
    }

    #[test]
    fn clock_that_was_set_is_judged_anew() {
        let mut estimate = Estimate::new(millis(2500));
        for nth in 0..5 {
            estimate.add(response(nth * 487, 10_000));
        }
        assert!(estimate.excessive.is_some());
        estimate.add(response(5000, 0));
        assert_eq!(estimate.excessive, None, "one response is certain if the limit is above a second");
        estimate.add(response(6000, -4000));
        assert!(estimate.excessive.is_some());
    }
}
