//! The context of every operation: client, configuration, names, clock and observer. It is the same type for all
//! trackers.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Builder, IdentityCache};
use tokio::runtime::{self, Handle};

use super::group::{Queue, Queues};
use super::route::Route;
use super::service_clock::ServiceClock;
use super::tries::{Connections, Tries};
use crate::config::TrackerConfig;
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, KEY, STATUS, looks_like_a_task};
use crate::item::head::{self, TaskHead};
use crate::item::translation::Translation;
use crate::item::use_case::UseCase;
use crate::observe::{self, EventDraft, Observer, Teller};
use crate::protocol::classify::Rules;
use crate::protocol::templates::Templates;
use crate::protocol::writes::Writes;
use crate::runtime::background::{self, Background, Work};
use crate::runtime::events;
use crate::runtime::held_locks::HeldLocks;
use crate::time::{Clock, ClockReading, Timestamp};

/// The longest time that one request may take, with the SDK's retries.
const OPERATION: Duration = Duration::from_secs(30);
/// The longest time that one try may take of a request that is about one task. After a try on a dead connection, there
/// is time for another within 5 s.
const ONE_TRY: Duration = Duration::from_secs(3);
/// The longest time that one try of a larger request may take, and within which its response must begin.
const ONE_LARGE_TRY: Duration = Duration::from_secs(10);
const RESPONSE_BEGINS: Duration = Duration::from_secs(4);
/// The longest time that a heartbeat may take.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The connect timeout, unless the client has one: that of the SDK.
const CONNECT: Duration = Duration::from_millis(3100);

/// The context of every operation of a tracker.
pub(crate) struct Context {
    /// This context, for what goes on in tasks of its own.
    me: Weak<Self>,
    /// The client of updates, which acquire, renew and end leases. Their timeouts are shorter than the lease.
    lease_client: Client,
    /// The client of the other requests that are about one task.
    client: Client,
    /// The client of queries, scans and batches, and of the requests that are about the table.
    pub(crate) bulk_client: Client,
    background: OnceLock<BackgroundClients>,
    /// The client that the tracker was built with.
    given: Client,
    connections: Connections,
    pub(crate) config: TrackerConfig,
    pub(crate) use_case: UseCase,
    /// The names of the table.
    pub(crate) names: Translation,
    pub(super) templates: Templates,
    /// Who tells of events.
    teller: Arc<Teller>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) owner: String,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    /// Whether a query has found that the index does not project `run_at`.
    pub(crate) index_lacks_run_at: AtomicBool,
    pub(super) service_clock: ServiceClock,
    /// The locks of the attempts that run here.
    pub(crate) held: HeldLocks,
    /// Whether a write of a new task was checked to be readable.
    checked_round_trip: AtomicBool,
    /// Whether it was logged that the description of the statuses cannot be written.
    pub(crate) warned_of_description: AtomicBool,
    /// The updates and the heartbeats that wait to share requests.
    updates: Queues,
    heartbeats: Queues,
    /// Whether DynamoDB has refused such a request.
    is_sharing_refused: AtomicBool,
    /// The last time that `create_time` has returned.
    last_create: Mutex<Timestamp>,
}

/// The clients of the background thread. They share neither connections nor credentials with the others, because
/// these may wait for a runtime that is blocked.
struct BackgroundClients {
    client: Client,
    heartbeat_client: Client,
}

impl Context {
    pub(crate) fn new(
        client: &Client,
        config: TrackerConfig,
        use_case: UseCase,
        clock: Arc<dyn Clock>,
        owner: Option<String>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Arc<Self> {
        #[cfg(feature = "metrics")]
        observe::metric::describe();
        let teller = Arc::new(Teller::new(&use_case, &config));
        let service_clock = ServiceClock::new(Arc::clone(&clock), config.max_clock_skew);
        let timeouts = client.config().timeout_config();
        let connect_timeout = timeouts.and_then(TimeoutConfig::connect_timeout).unwrap_or(CONNECT);
        let connections = Connections::new(connect_timeout);
        let with_timeouts = |timeouts| {
            let ours = configured(client, timeouts, &service_clock, &connections);
            Client::from_conf(ours.build())
        };
        let lease = limits_of_lease(timeouts, config.lock_expire);
        let one_task = limits(timeouts, OPERATION, ONE_TRY);
        let bulk = limits(timeouts, OPERATION, ONE_LARGE_TRY);
        let begins = shorter(bulk.read_timeout(), RESPONSE_BEGINS);
        let lease_client = with_timeouts(lease);
        let one_task_client = with_timeouts(one_task);
        let bulk_client = with_timeouts(bulk.to_builder().read_timeout(begins).build());
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            lease_client,
            client: one_task_client,
            bulk_client,
            background: OnceLock::new(),
            names: Translation::new(&config.layout, use_case.sep()),
            templates: Templates::default(),
            given: client.clone(),
            connections,
            config,
            use_case,
            teller,
            clock,
            owner: owner.unwrap_or_else(host_and_process),
            observer,
            index_lacks_run_at: AtomicBool::new(false),
            service_clock,
            held: HeldLocks::default(),
            checked_round_trip: AtomicBool::new(false),
            warned_of_description: AtomicBool::new(false),
            updates: Queues::default(),
            heartbeats: Queues::default(),
            is_sharing_refused: AtomicBool::new(false),
            last_create: Mutex::new(Timestamp::EPOCH),
        })
    }

    /// Returns this context for a task that outlives the caller. None while the context is dropped.
    pub(super) fn shared(&self) -> Option<Arc<Self>> {
        self.me.upgrade()
    }

    /// Returns the client of reads, puts and deletes of one item, for the thread that calls this.
    pub(super) fn client(&self) -> &Client {
        if background::is_here() { &self.background().client } else { &self.client }
    }

    /// Returns the client of an update, for the thread that calls this. Each heartbeat is tried once, for a short time,
    /// because the next one follows soon.
    pub(super) fn client_of(&self, route: Route) -> &Client {
        match route.is_heartbeat {
            true => &self.background().heartbeat_client,
            false if background::is_here() => &self.background().client,
            false => &self.lease_client,
        }
    }

    /// Returns the queue of the updates that share requests with this one, on this runtime, if there are any.
    pub(super) fn queue(&self, route: Route, runtime: runtime::Id) -> Option<Arc<Queue>> {
        match route {
            Route { shares: false, .. } => None,
            _ if self.is_sharing_refused.load(Ordering::Relaxed) => None,
            Route { is_heartbeat: true, .. } => Some(self.heartbeats.of(runtime)),
            // What goes on in the background is not mixed with what somebody waits for.
            Route { .. } => (!background::is_here()).then(|| self.updates.of(runtime)),
        }
    }

    /// Sends every update on its own from now on, because DynamoDB has refused one that shares a request.
    pub(super) fn stop_sharing(&self, refusal: &Error) {
        if !self.is_sharing_refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "tracker_core::batch",
                table = &*self.config.table,
                error = refusal as &dyn std::error::Error,
                "DynamoDB refuses PartiQL, so each update is a request of its own from now on; allow \
                 dynamodb:PartiQLUpdate, or switch `batching` off"
            );
        }
    }

    fn background(&self) -> &BackgroundClients {
        self.background.get_or_init(|| {
            let connections = self.connections.separate();
            let with_timeouts = |timeouts| {
                let ours = configured(&self.given, timeouts, &self.service_clock, &connections);
                ours.identity_cache(IdentityCache::lazy().build())
            };
            let timeouts = self.given.config().timeout_config();
            let client = with_timeouts(limits_of_lease(timeouts, self.config.lock_expire));
            let one_try = HEARTBEAT.min(self.config.lock_expire / 6);
            let one_try = limits(timeouts, one_try, one_try);
            let heartbeat = with_timeouts(one_try).retry_config(RetryConfig::disabled());
            BackgroundClients {
                client: Client::from_conf(client.build()),
                heartbeat_client: Client::from_conf(heartbeat.build()),
            }
        })
    }

    /// Begins work that nobody waits for.
    ///
    /// The work runs on the background thread. If the time is simulated, the work runs in a task of the caller's
    /// runtime instead, so that a test is deterministic.
    pub(crate) fn spawn(&self, work: Work) {
        match self.simulation() {
            Some(runtime) => drop(runtime.spawn(work)),
            None => Background::of_process().spawn(work),
        }
    }

    /// Begins work that nobody waits for within a second, if `make` returns any then.
    pub(crate) fn spawn_later(&self, make: impl FnOnce() -> Option<Work> + Send + 'static) {
        match self.simulation() {
            Some(runtime) => {
                if let Some(work) = make() {
                    runtime.spawn(work);
                }
            }
            None => Background::of_process().spawn_later(make),
        }
    }

    /// Returns the caller's runtime, if the time is simulated.
    fn simulation(&self) -> Option<Handle> {
        self.clock.is_simulated().then(Handle::try_current)?.ok()
    }

    /// Reads the tracker's clock.
    pub(crate) fn now(&self) -> ClockReading {
        self.clock.now()
    }

    /// Returns the time of a new task. No other task of this tracker has it. A create that is sent again
    /// recognises its own item by this time and its token.
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
        let key = self.use_case.key(task_id)?;
        self.names.check_key(&key)?;
        Ok(key)
    }

    /// Returns whether an item with the key of a task is one. In a table of many kinds of items, another kind may have the key.
    pub(crate) fn is_task(&self, item: &Item) -> bool {
        self.config.layout.is_default() || looks_like_a_task(item)
    }

    /// Returns the error of an item of another kind that has the key of a task.
    fn not_a_task(&self, item: &Item) -> Error {
        let reason = format!(
            "it has the key of a task, and no number `{}`: another program has written it, so use another task id",
            self.names.name(STATUS)
        );
        let key = item.get(KEY).and_then(|key| key.as_s().ok()).map_or("", String::as_str);
        Error::new(ErrorKind::NotATask { reason }).with_key(key)
    }

    /// Reads the tracker's own attributes of an item, and takes `errors` out of the item.
    pub(crate) fn head(&self, item: &mut Item) -> Result<TaskHead, Error> {
        if !self.is_task(item) {
            return Err(self.not_a_task(item));
        }
        let mut head = head::read_head(item, &self.use_case, self.config.wire)
            .map_err(|error| Error::from(error).in_table(&self.names))?;
        head.bytes_without_errors += self.names.extra_bytes();
        Ok(head)
    }

    /// Returns whether the next data to write is read back first: always in debug builds, and the first time in others.
    pub(crate) fn checks_round_trip(&self) -> bool {
        cfg!(debug_assertions) || !self.checked_round_trip.load(Ordering::Relaxed)
    }

    /// Notes that new data could be read back.
    pub(crate) fn note_round_trip(&self) {
        self.checked_round_trip.store(true, Ordering::Relaxed);
    }

    /// Completes the refusal of a task that is locked: says whether this very tracker holds the task.
    pub(crate) fn with_holder(&self, refusal: ErrorKind, found: &TaskHead) -> ErrorKind {
        match refusal {
            ErrorKind::Locked { owner, until, .. } => {
                let by_this_tracker = found.lock.as_deref().is_some_and(|lock| self.held.has(lock));
                ErrorKind::Locked { by_this_tracker, owner, until }
            }
            other => other,
        }
    }

    /// Reports an event about a task. An observer is never called on the background thread.
    pub(crate) fn emit(&self, draft: EventDraft<'_>) {
        if background::is_here() {
            let (owned, teller, observer) =
                (draft.to_owned(), Arc::clone(&self.teller), self.observer.clone());
            events::deliver(move || observe::report(owned.draft(), &teller, observer.as_deref()));
        } else {
            observe::report(draft, &self.teller, self.observer.as_deref());
        }
    }

    /// Fails with `ClockOff` if the clock is known to be off by more than half of `max_clock_skew`.
    pub(crate) fn check_clock(&self) -> Result<(), Error> {
        match self.service_clock.excessive_offset() {
            Some(offset) => Err(Error::new(ErrorKind::ClockOff { offset })),
            None => Ok(()),
        }
    }
}

/// Returns the configuration of a client like the user's, with these timeouts, whose tries are watched.
fn configured(
    given: &Client,
    timeouts: TimeoutConfig,
    service_clock: &ServiceClock,
    connections: &Connections,
) -> Builder {
    let tries = Tries::new(service_clock.clone(), connections.clone());
    given.config().to_builder().timeout_config(timeouts).interceptor(tries)
}

/// Limits the timeouts of updates, which must end well before the lease that they acquire or renew.
fn limits_of_lease(given: Option<&TimeoutConfig>, lock_expire: Duration) -> TimeoutConfig {
    let operation = OPERATION.min(lock_expire / 3);
    limits(given, operation, ONE_TRY.min(operation / 2))
}

fn shorter(given: Option<Duration>, ours: Duration) -> Duration {
    given.map_or(ours, |given| given.min(ours))
}

/// Limits the timeouts of the user's client. The SDK has no operation timeout. Shorter timeouts stay.
fn limits(given: Option<&TimeoutConfig>, operation: Duration, one_try: Duration) -> TimeoutConfig {
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
        let long = limits_of_lease(None, secs(300));
        assert_eq!(long.operation_timeout(), Some(secs(30)));
        assert_eq!(long.operation_attempt_timeout(), Some(secs(3)));
        let short = limits_of_lease(None, secs(3));
        assert_eq!(short.operation_timeout(), Some(secs(1)));
        assert_eq!(short.operation_attempt_timeout(), Some(Duration::from_millis(500)));
        let users = TimeoutConfig::builder().operation_timeout(secs(2)).read_timeout(secs(1)).build();
        let merged = limits(Some(&users), secs(30), secs(3));
        assert_eq!(merged.operation_timeout(), Some(secs(2)));
        assert_eq!(merged.operation_attempt_timeout(), Some(secs(3)));
        assert_eq!(merged.read_timeout(), Some(secs(1)));
    }
}
