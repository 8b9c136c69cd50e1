//! The builder of a tracker: replaces parts of the declaration at run time.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;

use crate::config::{Backoff, TrackerConfig};
use crate::declare::layout::Layout;
use crate::declare::spec::Takeover;
use crate::dynamodb::Context;
use crate::error::Error;
use crate::item::use_case::UseCase;
use crate::observe::Observer;
use crate::time::{Clock, SystemClock};
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

/// A builder that replaces parts of a tracker's declaration at run time.
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
            owner: None,
            observer: None,
            of: PhantomData,
        }
    }

    /// Sets the name of the table.
    #[must_use]
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.config.table = Cow::Owned(name.into());
        self
    }

    /// Sets the name of the index on status and update time.
    #[must_use]
    pub fn index(mut self, name: impl Into<String>) -> Self {
        self.config.index = Cow::Owned(name.into());
        self
    }

    /// Sets the names of the table's attributes and its sort key.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.config.layout = layout;
        self
    }

    /// Sets the use case.
    #[must_use]
    pub fn use_case_id(mut self, id: impl Into<String>) -> Self {
        self.config.use_case_id = Cow::Owned(id.into());
        self
    }

    /// Sets the number of failed attempts in a row after which a task is ignored: at least 1. It counts attempts, not
    /// retries.
    #[must_use]
    pub fn max_retry(mut self, attempts: u32) -> Self {
        self.config.max_retry = attempts;
        self
    }

    /// Sets how long a lease lasts unless it is renewed: 100 ms to 365 days.
    ///
    /// The length is stored with each lease, and others judge the lease by it. So workers with different lengths may
    /// work side by side. A lease of a Python worker has no stored length: it is judged by the value set here.
    #[must_use]
    pub fn lock_expire(mut self, duration: Duration) -> Self {
        self.config.lock_expire = duration;
        self
    }

    /// Sets how much the clocks of any two workers may differ: at most 365 days, and 5 s by default. An expired lease
    /// can be taken over once this time has passed as well.
    ///
    /// So the clock of one machine may differ from DynamoDB's by half of this time. If it is known to differ by more,
    /// the tracker starts nothing and returns [`ClockOff`](crate::ErrorKind::ClockOff).
    #[must_use]
    pub fn max_clock_skew(mut self, duration: Duration) -> Self {
        self.config.max_clock_skew = duration;
        self
    }

    /// Sets whether heartbeats renew the leases, every third of `lock_expire`; `true` by default. A thread of the
    /// process sends them, so no body can delay them.
    ///
    /// Without heartbeats, work that takes longer than the lease must call [`save`](crate::Execution::save) or
    /// [`heartbeat`](crate::Execution::heartbeat) in time.
    #[must_use]
    pub fn heartbeat(mut self, on: bool) -> Self {
        self.config.heartbeat = on;
        self
    }

    /// Sets how long a body may take, in [`run`](Tracker::run) and in a worker; there is no limit by default. After
    /// that time, the tracker drops the body's future and records the attempt as failed.
    ///
    /// The time counts by the tracker's [clock](Self::clock), from when the body begins. The timeout takes effect at
    /// the body's next await point, so it does not end a body that computes without awaiting. `run` then returns
    /// [`BodyFailed`](crate::ErrorKind::BodyFailed).
    ///
    /// Set a timeout if a body may hang, because heartbeats keep its lease for ever otherwise. If the body has not ended
    /// one lease after the timeout, for example because it blocks its thread, the heartbeats stop, the event
    /// [`Unresponsive`](crate::EventKind::Unresponsive) is emitted, and the lease expires.
    ///
    /// For an execution of [`start`](Tracker::start), the time counts from the start, and
    /// [`timed_out`](crate::Execution::timed_out) completes after it.
    #[must_use]
    pub fn timeout(mut self, duration: Duration) -> Self {
        self.config.timeout = Some(duration);
        self
    }

    /// Sets how long a failed task waits before its next attempt. By default, the wait is 7.5 to 15 s, doubled with each
    /// failed attempt in a row, up to 15 minutes; a tracker with `wire = "pynamodb"` does not wait. A body can ask for
    /// another wait with [`Failure::retry_after`](crate::Failure::retry_after).
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.config.backoff = backoff;
        self
    }

    /// Sets how many [snoozes](crate::Failure::snooze) in a row do not count as failed attempts: at least 1, and 100
    /// by default. The next snooze counts as a failed attempt, and the number of snoozes starts again at 0. So no
    /// task can be snoozed for ever.
    #[must_use]
    pub fn max_snoozes(mut self, snoozes: u32) -> Self {
        self.config.max_snoozes = snoozes;
        self
    }

    /// Sets how long a succeeded task is kept; for ever by default. DynamoDB deletes the task some time after that,
    /// often within a few days, by the time to live that [`create_table`](Tracker::create_table) enables.
    ///
    /// The builder does not check whether a later step still needs the task, so set it on the last step only.
    #[must_use]
    pub fn retain(mut self, duration: Duration) -> Self {
        self.config.retain = Some(duration);
        self
    }

    /// Sets how long an ignored task is kept, in the same way; for ever by default. A redrive keeps the task from being
    /// deleted.
    #[must_use]
    pub fn retain_ignored(mut self, duration: Duration) -> Self {
        self.config.retain_ignored = Some(duration);
        self
    }

    /// Sets how many failed attempts an item's history holds: at least 1. If there are more, the history keeps the
    /// first and the most recent ones; with a limit of 1, it keeps the most recent one.
    #[must_use]
    pub fn history_limit(mut self, entries: u32) -> Self {
        self.config.history_limit = entries;
        self
    }

    /// Sets how many errors are recorded of the chain of a failure: at least 1. The error of the body counts, and so
    /// does each of its causes. Of a longer chain, the error of the body and the last causes are recorded.
    #[must_use]
    pub fn traceback_stack_limit(mut self, errors: u32) -> Self {
        self.config.traceback_stack_limit = errors;
        self
    }

    /// Sets how many shards of each status are read at least, even if the enum has fewer: 1 to 1,000, and 1 by default.
    ///
    /// With it you can change `shards` without losing sight of a task:
    ///
    /// - More shards: first deploy `read_shards` with the new number to every reader. Then deploy the new `shards`, and
    ///   remove `read_shards`.
    /// - Fewer shards: first deploy `read_shards` with the old number to every reader. Then deploy the lower
    ///   `shards`, until no old writer is left. Remove `read_shards` once
    ///   [`count_by_status`](crate::Tracker::count_by_status) returns the same counts with and without it. Succeeded
    ///   and ignored tasks do not move by themselves. If you have lowered the shards of these statuses, the counts do
    ///   not agree, and `read_shards` has to stay, until the tasks in the old shards are gone.
    ///
    /// Every query asks every shard of its statuses. The page `docs/changing-a-declaration.md` of the repository says
    /// more.
    #[must_use]
    pub fn read_shards(mut self, shards: u32) -> Self {
        self.config.read_shards = shards;
        self
    }

    /// Sets whether a task can be taken over once its lease has expired.
    #[must_use]
    pub fn takeover(mut self, takeover: Takeover) -> Self {
        self.config.takeover = takeover;
        self
    }

    /// Sets the clock; by default, the [`SystemClock`] of the machine.
    ///
    /// If the clock is [simulated](Clock::is_simulated), heartbeats run in tasks of the runtime that starts a task, and
    /// not on the background thread. A test is deterministic then.
    #[must_use]
    pub fn clock<C: Clock>(mut self, clock: C) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the owner name that is written into the tracker's leases, for people to read; `host/pid` by default.
    #[must_use]
    pub fn owner(mut self, name: impl Into<String>) -> Self {
        self.owner = Some(name.into());
        self
    }

    /// Sets an observer, which receives the tracker's [events](crate::Event); by default there is none.
    ///
    /// The tracker also reports its events to `tracing`, with the target `tracker_core::task`, and with the feature
    /// `metrics` to the `metrics` crate.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Sets the name of this step in events, spans and metrics; by default the name of the tracked type. Two steps of a
    /// pipeline share their use case, and this name tells them apart.
    #[must_use]
    pub fn step(mut self, name: impl Into<String>) -> Self {
        self.config.step = Cow::Owned(name.into());
        self
    }

    /// Sets whether events, and the events of `tracing`, have the text of the error of a failed or ignored task:
    /// [`Event::reason`](crate::Event::reason). By default they do not, because an error may quote data of the task.
    #[must_use]
    pub fn error_text_in_events(mut self, on: bool) -> Self {
        self.config.error_text_in_events = on;
        self
    }

    /// Sets whether the table keeps a description of the separator and of this step's statuses: their codes, names, roles and
    /// shards. It is kept by default, except with `wire = "pynamodb"`.
    ///
    /// [`create_table`](Tracker::create_table) and [`verify_table`](Tracker::verify_table) write the description, and compare
    /// it with the declaration; a [worker](Tracker::worker) compares it when it begins. If a deploy has given a code to another
    /// status, the tasks that are stored with that code would be taken for something else, so that is an error. So is another
    /// separator, with which no stored task would be found. The
    /// description is one item for each use case, whose `key` begins with `__tracker__`. It is not in the index.
    #[must_use]
    pub fn description(mut self, keep: bool) -> Self {
        self.config.description = keep;
        self
    }

    /// Sets table, index, use case, `lock_expire`, `max_clock_skew`, `read_shards`, `heartbeat`, `takeover`,
    /// `description`, clock, owner and observer to those of another step's tracker.
    ///
    /// Call `like` first, because it replaces values that you have set before. Everything else stays as declared for
    /// this step: retries, timeout, backoff, snoozes, retention and the limits of the history.
    #[must_use]
    pub fn like<P: StatusTracker>(mut self, previous: &Tracker<P>) -> Self {
        let cx = previous.cx();
        let given = &cx.config;
        self.config = TrackerConfig {
            table: given.table.clone(),
            index: given.index.clone(),
            layout: given.layout.clone(),
            use_case_id: given.use_case_id.clone(),
            lock_expire: given.lock_expire,
            max_clock_skew: given.max_clock_skew,
            read_shards: given.read_shards,
            heartbeat: given.heartbeat,
            takeover: given.takeover,
            description: given.description,
            ..self.config
        };
        self.clock = Arc::clone(&cx.clock);
        self.owner = Some(cx.owner.clone());
        self.observer.clone_from(&cx.observer);
        self
    }

    /// Returns the tracker.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if a value is out of range, or if no table is named.
    pub fn build(self) -> Result<Tracker<T>, Error> {
        self.config.validate(T::__SPEC.sep)?;
        Ok(self.into_tracker())
    }

    /// Returns the tracker of a declaration without a check, because the derive has checked the declaration.
    pub(crate) fn finish(mut self, table: &'static str) -> Tracker<T> {
        self.config.table = Cow::Borrowed(table);
        self.into_tracker()
    }

    fn into_tracker(self) -> Tracker<T> {
        let use_case = UseCase::new(&T::__SPEC, self.config.use_case_id.clone());
        let Self { client, config, clock, owner, observer, .. } = self;
        let cx = Context::new(&client, config, use_case, clock, owner, observer);
        #[cfg(feature = "metrics")]
        crate::observe::metric::begin(cx.use_case.id(), &cx.config.step);
        Tracker::new(cx)
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
