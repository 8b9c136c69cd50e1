//! The context of every operation: client, configuration, names, clock and observer. It is the same type for all
//! trackers.

use std::fmt::Display;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;

use super::service_clock::ServiceClock;
use crate::config::TrackerConfig;
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::item::head::{self, TaskHead};
use crate::item::use_case::UseCase;
use crate::observe::{self, EventDraft, Observer};
use crate::protocol::classify::Rules;
use crate::protocol::writes::Writes;
use crate::runtime::ticker::Ticker;
use crate::time::{Clock, ClockReading, Timestamp};

/// The longest time that one request may take, with the SDK's retries.
const OPERATION: Duration = Duration::from_secs(30);
/// The longest time that one try of a request may take.
const ATTEMPT: Duration = Duration::from_secs(10);

/// The context of every operation of a tracker.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) config: TrackerConfig,
    pub(crate) use_case: UseCase,
    pub(crate) clock: Arc<dyn Clock>,
    /// Runs queued callbacks once a second. `None` if the clock is not the machine's.
    pub(crate) ticker: Option<Arc<Ticker>>,
    pub(crate) owner: String,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    /// Whether a query has found that the index does not project `run_at`.
    pub(crate) index_lacks_run_at: AtomicBool,
    pub(super) service_clock: ServiceClock,
    /// The last time that `create_time` has returned.
    last_create: Mutex<Timestamp>,
}

impl Context {
    pub(crate) fn new(
        client: &Client,
        config: TrackerConfig,
        use_case: UseCase,
        clock: Arc<dyn Clock>,
        ticker: Option<Arc<Ticker>>,
        owner: Option<String>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        let service_clock = ServiceClock::new(Arc::clone(&clock), config.max_clock_skew);
        let ours = client
            .config()
            .to_builder()
            .timeout_config(timeouts(client.config().timeout_config(), config.lock_expire))
            .interceptor(service_clock.clone());
        Self {
            client: Client::from_conf(ours.build()),
            config,
            use_case,
            clock,
            ticker,
            owner: owner.unwrap_or_else(host_and_process),
            observer,
            index_lacks_run_at: AtomicBool::new(false),
            service_clock,
            last_create: Mutex::new(Timestamp::EPOCH),
        }
    }

    /// Reads the tracker's clock.
    pub(crate) fn now(&self) -> ClockReading {
        self.clock.now()
    }

    /// Returns the time of a new task. No other task of this tracker has it, because a create that is sent again
    /// recognises its own item by this time.
    pub(crate) fn create_time(&self) -> Timestamp {
        let now = Timestamp::from(self.now());
        let mut last = self.last_create.lock().unwrap_or_else(PoisonError::into_inner);
        // A last time that is far ahead means that the clock was set back, not that many tasks were created at once.
        let ahead = last.since(now) > Duration::from_secs(1);
        *last = if ahead { now } else { now.after(*last) };
        *last
    }

    /// Returns the rules that decide when a lease has expired.
    pub(crate) fn rules(&self) -> Rules {
        Rules::from(&self.config)
    }

    /// Returns the writes of an attempt, or those of an operator if `lock_id` is empty.
    pub(crate) fn writes<'a>(&'a self, lock_id: &'a str, now: Timestamp) -> Writes<'a> {
        Writes { use_case: &self.use_case, config: &self.config, owner: &self.owner, lock_id, now }
    }

    /// Returns the `key` of a task.
    pub(crate) fn key<Q: Display + ?Sized>(&self, task_id: &Q) -> Result<String, Error> {
        Ok(self.use_case.key(task_id)?)
    }

    /// Reads the tracker's own attributes of an item, and takes `errors` out of the item.
    pub(crate) fn head(&self, item: &mut Item) -> Result<TaskHead, Error> {
        Ok(head::read_head(item, &self.use_case, self.config.wire)?)
    }

    /// Reports an event about a task.
    pub(crate) fn emit(&self, draft: EventDraft<'_>) {
        observe::report(&draft.complete(&self.use_case), self.observer.as_deref());
    }

    /// Fails with `ClockOff` if the clock is known to be off by more than `max_clock_skew`.
    pub(crate) fn check_clock(&self) -> Result<(), Error> {
        match self.service_clock.excessive_offset() {
            Some(offset) => Err(Error::new(ErrorKind::ClockOff { offset })),
            None => Ok(()),
        }
    }
}

/// Returns the timeouts of the client. The SDK has no operation timeout, and a request must end well before the lease
/// that it acquires or renews. Shorter timeouts of the user's client stay.
fn timeouts(given: Option<&TimeoutConfig>, lock_expire: Duration) -> TimeoutConfig {
    let shorter = |given: Option<Duration>, ours: Duration| given.map_or(ours, |given| given.min(ours));
    let operation = OPERATION.min(lock_expire / 3);
    let one_try = ATTEMPT.min(operation / 2);
    let builder = given.map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
    builder
        .operation_timeout(shorter(given.and_then(TimeoutConfig::operation_timeout), operation))
        .operation_attempt_timeout(shorter(given.and_then(TimeoutConfig::operation_attempt_timeout), one_try))
        .build()
}

/// Returns the default owner name: `host/pid`.
fn host_and_process() -> String {
    format!("{}/{}", gethostname::gethostname().to_string_lossy(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_shorter_than_the_lease_and_no_longer_than_the_clients() {
        let secs = Duration::from_secs;
        let long = timeouts(None, secs(300));
        assert_eq!(long.operation_timeout(), Some(secs(30)));
        assert_eq!(long.operation_attempt_timeout(), Some(secs(10)));
        let short = timeouts(None, secs(3));
        assert_eq!(short.operation_timeout(), Some(secs(1)));
        assert_eq!(short.operation_attempt_timeout(), Some(Duration::from_millis(500)));
        let users = TimeoutConfig::builder().operation_timeout(secs(2)).read_timeout(secs(1)).build();
        let merged = timeouts(Some(&users), secs(300));
        assert_eq!(merged.operation_timeout(), Some(secs(2)));
        assert_eq!(merged.read_timeout(), Some(secs(1)));
    }
}
