//! How far this machine's clock is from the service's, by the `Date` of its answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
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
}

/// When a request was sent.
#[derive(Debug)]
struct Sent(DateTime<Utc>);

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

impl ServiceClock {
    pub(crate) fn new(clock: Arc<dyn Clock>, max_clock_skew: Duration) -> Self {
        Self {
            clock,
            max_clock_skew: TimeDelta::from_std(max_clock_skew).unwrap_or(TimeDelta::MAX),
            excess: Arc::default(),
        }
    }

    /// How far the clock is off, if that is more than `max_clock_skew`.
    pub(crate) fn excess(&self) -> Option<TimeDelta> {
        *self.excess.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compare(&self, sent: DateTime<Utc>, date: DateTime<Utc>, received: DateTime<Utc>) {
        let excess = excess(sent, date, received, self.max_clock_skew);
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

/// The offset of the clock if it is surely beyond `limit`: the service made its answer between `sent` and
/// `received`, and its date is cut to the second.
fn excess(
    sent: DateTime<Utc>,
    date: DateTime<Utc>,
    received: DateTime<Utc>,
    limit: TimeDelta,
) -> Option<TimeDelta> {
    let ahead = sent - (date + TimeDelta::seconds(1));
    let behind = date - received;
    if ahead > limit {
        Some(ahead)
    } else if behind > limit {
        Some(-behind)
    } else {
        None
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
        config.interceptor_state().store_put(Sent(self.clock.now().wall));
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.clock.is_simulated() {
            return Ok(());
        }
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        if let (Some(date), Some(Sent(sent))) = (date, config.load::<Sent>()) {
            self.compare(*sent, date.to_utc(), self.clock.now().wall);
        }
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
        assert_eq!(excess(at(-3000), date, at(9000), limit), None);
        assert_eq!(excess(at(5900), date, at(6000), limit), None);
        assert_eq!(excess(at(6100), date, at(6200), limit), Some(TimeDelta::milliseconds(5100)));
        assert_eq!(excess(at(-5100), date, at(-5000), limit), None);
        assert_eq!(excess(at(-5200), date, at(-5100), limit), Some(TimeDelta::milliseconds(-5100)));
    }
}
