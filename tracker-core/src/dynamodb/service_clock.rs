//! The service clock: how far this machine's clock differs from DynamoDB's, and whether the SDK has sent a request more
//! than once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use chrono::{DateTime, TimeDelta, Utc};

use crate::time::Clock;

/// An interceptor that compares the clock with the `Date` of every response.
#[derive(Debug, Clone)]
pub(crate) struct ServiceClock {
    clock: Arc<dyn Clock>,
    max_clock_skew: TimeDelta,
    /// How far the clock is off, while it is off by more than `max_clock_skew`.
    excessive: Arc<Mutex<Option<TimeDelta>>>,
    /// Whether any response has come.
    has_response: Arc<AtomicBool>,
}

/// When the SDK last sent a request, and how often so far.
#[derive(Debug)]
struct Sent {
    at: DateTime<Utc>,
    times: u32,
}

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

impl ServiceClock {
    pub(crate) fn new(clock: Arc<dyn Clock>, max_clock_skew: Duration) -> Self {
        Self {
            clock,
            max_clock_skew: TimeDelta::from_std(max_clock_skew).unwrap_or(TimeDelta::MAX),
            excessive: Arc::default(),
            has_response: Arc::default(),
        }
    }

    /// Returns how far the clock is off, if it is off by more than `max_clock_skew`.
    pub(crate) fn excessive_offset(&self) -> Option<TimeDelta> {
        *self.excessive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether no response has come yet. A simulated clock is never compared, so it needs none.
    pub(crate) fn awaits_first_response(&self) -> bool {
        !self.clock.is_simulated() && !self.has_response.load(Ordering::Relaxed)
    }

    /// Takes in the date of a response, and logs when the clock is found to be off, or right again.
    fn compare(&self, sent: DateTime<Utc>, date: DateTime<Utc>, received: DateTime<Utc>) {
        let excessive = match judge(sent, date, received, self.max_clock_skew) {
            Verdict::Off(offset) => Some(offset),
            Verdict::Right => None,
            Verdict::Unknown => return,
        };
        let before =
            std::mem::replace(&mut *self.excessive.lock().unwrap_or_else(PoisonError::into_inner), excessive);
        match (before, excessive) {
            (None, Some(offset)) => tracing::warn!(
                target: "tracker_core::clock",
                offset_seconds = offset.as_seconds_f64(),
                "this machine's clock is off by more than max_clock_skew; no task is started until you set it"
            ),
            (Some(_), None) => {
                tracing::info!(target: "tracker_core::clock", "this machine's clock is right again");
            }
            _ => {}
        }
    }
}

/// Whether a response belongs to the SDK's first try. Then no earlier try can have been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FirstTry(pub(crate) bool);

/// What one response says about the clock.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// The clock is off, by at least this.
    Off(TimeDelta),
    /// The clock is within the limit.
    Right,
    /// The response took too long to tell.
    Unknown,
}

/// Judges the clock by one response. DynamoDB made the response between `sent` and `received`, and cut its date to the
/// second.
fn judge(sent: DateTime<Utc>, date: DateTime<Utc>, received: DateTime<Utc>, limit: TimeDelta) -> Verdict {
    let (least, most) = (sent - (date + TimeDelta::seconds(1)), received - date);
    if least > limit {
        Verdict::Off(least)
    } else if most < -limit {
        Verdict::Off(most)
    } else if least >= -limit && most <= limit {
        Verdict::Right
    } else {
        Verdict::Unknown
    }
}

impl Intercept for ServiceClock {
    fn name(&self) -> &'static str {
        "ServiceClock"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let times = config.load::<Sent>().map_or(0, |sent| sent.times) + 1;
        config.interceptor_state().store_put(Sent { at: self.clock.now().wall, times });
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(sent) = config.load::<Sent>() else { return Ok(()) };
        context.response_mut().add_extension(FirstTry(sent.times == 1));
        if self.clock.is_simulated() {
            return Ok(());
        }
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        if let Some(date) = date {
            self.compare(sent.at, date.to_utc(), self.clock.now().wall);
        }
        self.has_response.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judge_reports_only_an_offset_that_is_certain() {
        let limit = TimeDelta::seconds(5);
        let date = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let at = |millis| date + TimeDelta::milliseconds(millis);
        // A slow response says little.
        assert_eq!(judge(at(-3000), date, at(9000), limit), Verdict::Unknown);
        assert_eq!(judge(at(5900), date, at(6000), limit), Verdict::Unknown);
        assert_eq!(judge(at(0), date, at(4000), limit), Verdict::Right);
        let off = |millis| Verdict::Off(TimeDelta::milliseconds(millis));
        assert_eq!(judge(at(6100), date, at(6200), limit), off(5100));
        assert_eq!(judge(at(-5100), date, at(-5000), limit), Verdict::Unknown);
        assert_eq!(judge(at(-5200), date, at(-5100), limit), off(-5100));
    }
}
