//! Building a tracker: the declaration, and what replaces it at run time.

use std::any::TypeId;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;

use crate::config::{Backoff, TrackerConfig};
use crate::declare::spec::Takeover;
use crate::dynamodb::Context;
use crate::error::Error;
use crate::item::use_case::UseCase;
use crate::observe::Observer;
use crate::runtime::ticker::Ticker;
use crate::time::{Clock, SystemClock};
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

/// Replaces parts of a tracker's declaration at run time.
///
/// # Examples
///
/// ```
/// # use tracker_core::{StatusTracker, TrackerStatus};
/// # #[derive(TrackerStatus, Clone, Copy)]
/// # enum ExtractStatus {
/// #     #[status(pending)] Pending = 10, #[status(in_progress)] InProgress = 12, #[status(failed)] Failed = 14,
/// #     #[status(succeeded)] Succeeded = 16, #[status(ignored)] Ignored = 18,
/// # }
/// # #[derive(StatusTracker)]
/// # #[tracker(use_case_id = "extract", status = ExtractStatus)]
/// # struct Document { #[tracker(task_id)] id: String }
/// # fn build(client: &tracker_core::aws_sdk_dynamodb::Client) -> Result<(), tracker_core::Error> {
/// let documents = Document::tracker_builder(client)
///     .table("prod-documents")
///     .use_case_id("extract#eu")
///     .max_retry(5)
///     .build()?;
/// # Ok(()) }
/// ```
pub struct TrackerBuilder<T> {
    client: Client,
    config: TrackerConfig,
    clock: Arc<dyn Clock>,
    ticker: Option<Arc<Ticker>>,
    owner: Option<String>,
    observer: Option<Arc<dyn Observer>>,
    of: PhantomData<fn() -> T>,
}

impl<T: StatusTracker> TrackerBuilder<T> {
    pub(crate) fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            config: TrackerConfig::declared(&T::__SPEC),
            clock: Arc::new(SystemClock),
            ticker: Some(Ticker::of_process()),
            owner: None,
            observer: None,
            of: PhantomData,
        }
    }

    /// The table.
    #[must_use]
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.config.table = Cow::Owned(name.into());
        self
    }

    /// The index on status and update time.
    #[must_use]
    pub fn index(mut self, name: impl Into<String>) -> Self {
        self.config.index = Cow::Owned(name.into());
        self
    }

    /// The use case.
    #[must_use]
    pub fn use_case_id(mut self, id: impl Into<String>) -> Self {
        self.config.use_case_id = Cow::Owned(id.into());
        self
    }

    /// After how many failed attempts a task is given up: at least 1.
    #[must_use]
    pub fn max_retry(mut self, attempts: u32) -> Self {
        self.config.max_retry = attempts;
        self
    }

    /// How long a lease lasts unless it is renewed: 100 ms to 365 days. All workers of a use case must agree on it.
    #[must_use]
    pub fn lock_expire(mut self, duration: Duration) -> Self {
        self.config.lock_expire = duration;
        self
    }

    /// The most by which the clocks of any two workers may differ; 5 s by default.
    #[must_use]
    pub fn max_clock_skew(mut self, duration: Duration) -> Self {
        self.config.max_clock_skew = duration;
        self
    }

    /// Whether leases are renewed by heartbeats, every third of `lock_expire`; `true` by default. Without them, work
    /// that takes longer than the lease must [`save`](crate::Execution::save) or
    /// [`heartbeat`](crate::Execution::heartbeat) now and then.
    #[must_use]
    pub fn heartbeat(mut self, on: bool) -> Self {
        self.config.heartbeat = on;
        self
    }

    /// How long the body of a [`run`](Tracker::run) may take before its future is dropped and the attempt recorded as
    /// failed; no limit by default. Heartbeats keep the lease of a body that hangs, so only this ends it.
    ///
    /// It counts by the tracker's [clock](Self::clock), from when the body begins, and ends a body where it awaits: one that
    /// computes without awaiting is not ended. The error is [`BodyFailed`](crate::ErrorKind::BodyFailed), and says that the
    /// body did not end within that time. An execution that was [started](Tracker::start) by hand has no timeout.
    #[must_use]
    pub fn timeout(mut self, duration: Duration) -> Self {
        self.config.timeout = Some(duration);
        self
    }

    /// How long a failed task waits before it may be started again; not at all by default. A body may ask for another wait
    /// with [`Failure::retry_after`](crate::Failure::retry_after).
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.config.backoff = backoff;
        self
    }

    /// How many [snoozes](crate::Failure::snooze) in a row are not counted: at least 1, and 100 by default. The next one is
    /// a failed attempt, and counting begins anew, so that a task cannot be put off for ever.
    #[must_use]
    pub fn max_snoozes(mut self, snoozes: u32) -> Self {
        self.config.max_snoozes = snoozes;
        self
    }

    /// How long a succeeded task is kept: from then on DynamoDB deletes it, within a few days, by the time to live that
    /// [`create_table`](Tracker::create_table) switches on. For ever by default. Whether a task of an earlier step waits for
    /// the next one is not asked, so give it to the last step alone.
    #[must_use]
    pub fn retain(mut self, duration: Duration) -> Self {
        self.config.retain = Some(duration);
        self
    }

    /// How long an ignored task is kept, in the same way. A redrive keeps it for good.
    #[must_use]
    pub fn retain_ignored(mut self, duration: Duration) -> Self {
        self.config.retain_ignored = Some(duration);
        self
    }

    /// How many failed attempts an item's history holds: at least 1.
    #[must_use]
    pub fn history_limit(mut self, entries: u32) -> Self {
        self.config.history_limit = entries;
        self
    }

    /// How many causes of an error are recorded: at least 1.
    #[must_use]
    pub fn traceback_stack_limit(mut self, causes: u32) -> Self {
        self.config.traceback_stack_limit = causes;
        self
    }

    /// Reads at least this many shards of each status, also where fewer are written; 1 by default.
    ///
    /// So a shard count can be lowered without losing sight of a task: give every reader the old count as `read_shards`;
    /// then lower `shards` in the enum, and deploy that until no old writer is left; when
    /// [`count_by_status`](crate::Tracker::count_by_status) with and without `read_shards` agree, the old shards are
    /// empty, and it can go. More shards need no such steps, if every reader knows of them before the first writer does.
    #[must_use]
    pub fn read_shards(mut self, shards: u32) -> Self {
        self.config.read_shards = shards;
        self
    }

    /// Whether an expired lease may be taken over.
    #[must_use]
    pub fn takeover(mut self, takeover: Takeover) -> Self {
        self.config.takeover = takeover;
        self
    }

    /// Where time comes from; the clock of the machine by default, which is [`SystemClock`].
    ///
    /// With any other, the thread that wakes up heartbeats while a body computes, once a second of the machine's time, is left
    /// out.
    #[must_use]
    pub fn clock<C: Clock>(mut self, clock: C) -> Self {
        self.clock = Arc::new(clock);
        self.ticker = (TypeId::of::<C>() == TypeId::of::<SystemClock>()).then(Ticker::of_process);
        self
    }

    #[cfg(feature = "testing")]
    #[doc(hidden)]
    #[must_use]
    pub fn __ticker(mut self, ticker: &crate::runtime::ticker::ManualTicker) -> Self {
        self.ticker = Some(Arc::clone(&ticker.0));
        self
    }

    /// Who holds the leases, for people to read; `host/pid` by default.
    #[must_use]
    pub fn owner(mut self, name: impl Into<String>) -> Self {
        self.owner = Some(name.into());
        self
    }

    /// Who is told of what happens to the tasks; nobody by default. The same is told to `tracing`, with the target
    /// `tracker_core::task`, and with the feature `metrics` to the `metrics` facade.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Takes over what the tracker of another step was given: table, index, use case, lease, clock, owner and observer.
    ///
    /// The numbers of retries and of the history stay this step's own.
    #[must_use]
    pub fn like<P: StatusTracker>(mut self, previous: &Tracker<P>) -> Self {
        let cx = previous.cx();
        let given = &cx.config;
        self.config = TrackerConfig {
            table: given.table.clone(),
            index: given.index.clone(),
            use_case_id: given.use_case_id.clone(),
            lock_expire: given.lock_expire,
            max_clock_skew: given.max_clock_skew,
            read_shards: given.read_shards,
            heartbeat: given.heartbeat,
            takeover: given.takeover,
            ..self.config
        };
        self.clock = Arc::clone(&cx.clock);
        self.ticker.clone_from(&cx.ticker);
        self.owner = Some(cx.owner.clone());
        self.observer.clone_from(&cx.observer);
        self
    }

    /// The tracker.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) where a value is out of its range, and where no table is named.
    pub fn build(self) -> Result<Tracker<T>, Error> {
        self.config.validate(T::__SPEC.sep)?;
        Ok(self.into_tracker())
    }

    /// The tracker of a declaration, which the derive has checked.
    pub(crate) fn finish(mut self, table: &'static str) -> Tracker<T> {
        self.config.table = Cow::Borrowed(table);
        self.into_tracker()
    }

    fn into_tracker(self) -> Tracker<T> {
        let use_case = UseCase::new(&T::__SPEC, self.config.use_case_id.clone());
        let Self { client, config, clock, ticker, owner, observer, .. } = self;
        Tracker::new(Context::new(&client, config, use_case, clock, ticker, owner, observer))
    }
}

impl<T> fmt::Debug for TrackerBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackerBuilder")
            .field("config", &self.config)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}
