//! What the SDK's requests tell beside their answers: how far this machine's clock is from the service's, and
//! how often a request was sent.

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

/// An interceptor that compares the clock with the `Date` of every answer.
#[derive(Debug, Clone)]
pub(crate) struct ServiceClock {
    clock: Arc<dyn Clock>,
    max_clock_skew: TimeDelta,
    /// The offset, while it is beyond `max_clock_skew`.
    excess: Arc<Mutex<Option<TimeDelta>>>,
    /// Whether any answer has come.
    heard: Arc<AtomicBool>,
}

/// When a request was last sent, and how often so far.
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
            excess: Arc::default(),
            heard: Arc::default(),
        }
    }

    /// How far the clock is off, if that is more than `max_clock_skew`.
    pub(crate) fn excess(&self) -> Option<TimeDelta> {
        *self.excess.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is known of the clock yet.
    pub(crate) fn is_unheard(&self) -> bool {
        !self.clock.is_simulated() && !self.heard.load(Ordering::Relaxed)
    }

    fn compare(&self, sent: DateTime<Utc>, date: DateTime<Utc>, received: DateTime<Utc>) {
        let excess = match judge(sent, date, received, self.max_clock_skew) {
            Verdict::Off(offset) => Some(offset),
            Verdict::Right => None,
            Verdict::Unknown => return,
        };
        let before =
            std::mem::replace(&mut *self.excess.lock().unwrap_or_else(PoisonError::into_inner), excess);
        match (before, excess) {
            (None, Some(offset)) => tracing::warn!(
                target: "tracker_core::clock",
                offset_seconds = offset.as_seconds_f64(),
                "this machine's clock is off by more than max_clock_skew: nothing is started until it is set"
            ),
            (Some(_), None) => tracing::info!(target: "tracker_core::clock", "the clock is right again"),
            _ => {}
        }
    }
}

/// Whether an answer was the first try's: then no earlier one can have been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FirstTry(pub(crate) bool);

/// What one answer tells of the clock.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// Surely off, by at least this.
    Off(TimeDelta),
    /// Surely within the limit.
    Right,
    /// The answer took too long to tell.
    Unknown,
}

/// The service made its answer between `sent` and `received`, and its date is cut to the second.
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
        self.heard.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_counts_only_when_it_is_sure() {
        let limit = TimeDelta::seconds(5);
        let date = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let at = |millis| date + TimeDelta::milliseconds(millis);
        // An answer that took long says little.
        assert_eq!(judge(at(-3000), date, at(9000), limit), Verdict::Unknown);
        assert_eq!(judge(at(5900), date, at(6000), limit), Verdict::Unknown);
        assert_eq!(judge(at(0), date, at(4000), limit), Verdict::Right);
        let off = |millis| Verdict::Off(TimeDelta::milliseconds(millis));
        assert_eq!(judge(at(6100), date, at(6200), limit), off(5100));
        assert_eq!(judge(at(-5100), date, at(-5000), limit), Verdict::Unknown);
        assert_eq!(judge(at(-5200), date, at(-5100), limit), off(-5100));
    }
}
