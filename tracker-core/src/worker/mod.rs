//! The worker: finds tasks, starts them, runs a body on each, and records how each attempt ended.

mod begin;
mod claims;
mod drain;
mod handler;
mod look;
mod outcomes;
mod pace;
mod paused;
#[cfg(test)]
mod poison;
mod reading;
mod rivals;
mod run_loop;
mod search;
mod summary;
mod task;
mod trouble;

use std::fmt;
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use self::handler::Handler;
pub use self::summary::Summary;
use self::task::{Claim, TaskOutcome, run_task};
use crate::error::{Error, ErrorKind};
use crate::lifecycle::execution::Execution;
use crate::lifecycle::failure::Failure;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

/// The largest number of tasks that a worker may run at once.
const MAX_CONCURRENCY: usize = 100_000;
/// How long before a deadline a worker stops claiming, unless the caller says otherwise.
const DEFAULT_MARGIN: Duration = Duration::from_secs(30);
/// The shortest allowed poll interval.
const MIN_POLL: Duration = Duration::from_millis(1);

/// A worker finds tasks that can be started, starts them, and runs a body on several of them at once, with
/// heartbeats. It records how each attempt ended.
///
/// It claims every due task that is pending, more pending or failed. It also claims tasks in progress whose lease has
/// expired, unless [`takeover`](crate::TrackerBuilder::takeover) forbids it. Any number of workers may work on the
/// same tasks: each picks at random among the oldest, and skips a task that another worker started first.
///
/// When there is nothing to claim, the worker [polls](Self::poll) again after a wait, which grows each time. It runs
/// until it is told to [stop](Self::shutdown), until [no task can be started](Self::drain), or until its
/// [time is up](Self::deadline).
///
/// - **Unreadable tasks.** If a task cannot be read, or if DynamoDB refuses to start it, for example because it is
///   too large, the worker emits [`Unreadable`](crate::EventKind::Unreadable) and leaves the task alone for ten
///   minutes. After 500 of them in a row, the worker slows down, and a [drain](Self::drain) ends with the error of the last
///   one.
/// - **Trouble.** If DynamoDB throttles the worker or does not answer, or if the local clock is off by more than half
///   of [`max_clock_skew`](crate::TrackerBuilder::max_clock_skew), the worker claims less for a while and emits one
///   [`SlowedDown`](crate::EventKind::SlowedDown). It then goes on by itself.
/// - **Refused credentials.** If DynamoDB does not accept the worker's credentials, for example because they have just
///   expired, the worker slows down in the same way. After eight refusals in a row, the error counts as permanent.
/// - **Permanent errors.** If no retry can fix an error (no table), the worker claims nothing more, lets running bodies
///   finish for the [`grace`](Self::grace) period, and returns the error.
///
/// Each body runs as in [`Tracker::run`], which says what happens when a lease is lost or a body takes too long. A
/// panic is recorded as a failed attempt and ends that attempt alone.
///
/// A body that blocks or computes occupies a worker thread of the runtime. Its lease is renewed nevertheless. But if no
/// thread is free, the worker claims nothing and cannot end. Run such work with
/// [`spawn_blocking`](Execution::spawn_blocking) of the execution, or set [`concurrency`](Self::concurrency) below the
/// number of worker threads. A body that blocks its thread notices a lost lease only when it returns. Nothing is written
/// if another worker holds the task or a heartbeat has reported the loss.
///
/// A task whose last two attempts were lost may have killed its process. A worker runs at most one such task at a time,
/// so that tasks which were lost together are told apart: only the one that kills its process ends as ignored.
///
/// # Examples
///
/// ```no_run
/// # use tracker_core::{CancellationToken, Error, StatusTracker, Tracker};
/// # async fn send(_: &str) -> Result<(), std::io::Error> { Ok(()) }
/// # async fn work<T: StatusTracker<TaskId = String>>(documents: Tracker<T>) -> Result<(), Error> {
/// let stop = CancellationToken::new(); // cancelled on Ctrl-C, say
/// let summary = documents
///     .worker()
///     .concurrency(16)
///     .shutdown(stop)
///     .run(async |task| {
///         send(task.task_id()).await?;
///         Ok(())
///     })
///     .await?;
/// println!("{summary}");
/// # Ok(()) }
/// ```
#[must_use = "a worker does nothing until it is run"]
pub struct Worker<T: StatusTracker> {
    tracker: Tracker<T>,
    options: Options,
    progress: watch::Sender<Summary>,
}

#[derive(Debug, Clone)]
struct Options {
    concurrency: usize,
    drain: bool,
    /// Whether a drain waits until every task has ended.
    until_all_ended: bool,
    deadline: Option<Duration>,
    margin: Option<Duration>,
    grace: Duration,
    poll: (Duration, Duration),
    shutdown: CancellationToken,
    seed: Option<u64>,
    /// Whether starts, ends and heartbeats share requests.
    batching: bool,
}

impl<T: StatusTracker> Tracker<T> {
    /// Returns a [`Worker`] with default settings, for the tasks of this tracker.
    pub fn worker(&self) -> Worker<T> {
        Worker {
            tracker: self.clone(),
            options: Options {
                concurrency: 16,
                drain: false,
                until_all_ended: false,
                deadline: None,
                margin: None,
                grace: Duration::from_secs(20),
                poll: (Duration::from_secs(1), Duration::from_secs(20)),
                shutdown: CancellationToken::new(),
                seed: None,
                batching: true,
            },
            progress: watch::Sender::new(Summary::default()),
        }
    }
}

impl<T: StatusTracker> Worker<T> {
    /// Sets how many tasks run at once: 1 to 100,000, and 16 by default.
    pub fn concurrency(mut self, tasks: usize) -> Self {
        self.options.concurrency = tasks;
        self
    }

    /// Makes the worker return when no task can be started and its own attempts have ended.
    ///
    /// A drain does not wait for tasks that are not due yet, that another worker holds, or that cannot be read. A
    /// task that failed and waits for its [backoff](crate::TrackerBuilder::backoff) is not due either: with the default
    /// backoff a drain does not retry it, and [`until_all_ended`](Self::until_all_ended) does. A drain looks for at least one
    /// second, and for one second after its last attempt has ended, because the index may lag.
    pub fn drain(mut self) -> Self {
        self.options.drain = true;
        self
    }

    /// Makes a [drain](Self::drain) wait until every task has succeeded or is ignored: also for retries after their
    /// [backoff](crate::TrackerBuilder::backoff), for tasks that are not due yet, and for those that other workers hold.
    ///
    /// The drain ends once it has seen no such task for five seconds, because the index may lag. A task that cannot be read is not
    /// waited for. Set a [`deadline`](Self::deadline) if a task may be due in a year, or if
    /// [`takeover`](crate::TrackerBuilder::takeover) forbids to take over the tasks of dead workers.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # async fn nightly<T: StatusTracker>(documents: Tracker<T>) -> Result<(), Error> {
    /// let summary = documents.worker().drain().until_all_ended().run(async |_task| Ok(())).await?;
    /// println!("{summary}");
    /// # Ok(()) }
    /// ```
    pub fn until_all_ended(mut self) -> Self {
        self.options.drain = true;
        self.options.until_all_ended = true;
        self
    }

    /// Makes the worker return within `remaining`, for example the time that a Lambda has left.
    ///
    /// The time counts from when [`run`](Self::run) is awaited. `run` returns in time, also if DynamoDB does not
    /// answer, and also if a body blocks its thread, as long as one thread of the runtime is free. What is under way
    /// then goes on in the background, and [`Summary::left`] counts it.
    ///
    /// The worker claims nothing in the last [`margin`](Self::margin). Bodies that run then may take four fifths of the
    /// margin. After that they are cancelled and their tasks released, without counting an attempt; the last fifth is
    /// for these releases.
    pub fn deadline(mut self, remaining: Duration) -> Self {
        self.options.deadline = Some(remaining);
        self
    }

    /// Sets how long before the [`deadline`](Self::deadline) the worker claims nothing more. The default is 30 s, or a
    /// quarter of the deadline if that is less.
    ///
    /// Choose more than a typical body needs. If the margin is as long as the deadline, the worker claims nothing and
    /// sends no request. Without a deadline the margin has no effect.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.options.margin = Some(margin);
        self
    }

    /// Sets the token that stops the worker.
    ///
    /// When the token is cancelled, the worker claims nothing more and lets running bodies finish for the
    /// [`grace`](Self::grace) period. Then it cancels them and releases their tasks, without counting an attempt.
    /// After that it holds no lease, if DynamoDB answers. If not, `run` returns 750 ms after the grace period, and the
    /// releases go on in the background; [`Summary::left`] counts them.
    pub fn shutdown(mut self, token: CancellationToken) -> Self {
        self.options.shutdown = token;
        self
    }

    /// Sets how long running bodies may take to finish after a [`shutdown`](Self::shutdown) or a permanent error. The
    /// default is 20 s. A [`deadline`](Self::deadline) that comes earlier still holds.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// Sets the wait between two polls when there is nothing to claim: `first`, doubled each time up to `longest`. The
    /// defaults are 1 s and 20 s, and the least is 1 ms.
    ///
    /// Each wait is drawn between half of that and the whole. The worker waits in the same way after DynamoDB has
    /// throttled it or has not answered. A worker whose starts are refused, because other workers were faster, leaves new tasks to
    /// them for up to `longest` (at least 1 s, at most 20 s), until a task has waited for longer than `first` and a second.
    pub fn poll(mut self, first: Duration, longest: Duration) -> Self {
        self.options.poll = (first, longest);
        self
    }

    /// Sets whether the worker starts and ends several tasks in one request. The default is `true`.
    ///
    /// The starts of all free slots are one `BatchExecuteStatement` request, and so are the ends of tasks that wait while
    /// other requests are under way. The writes, their conditions and what they cost are the same. Heartbeats that are due in the
    /// same second are one request as well.
    ///
    /// The end of an attempt that has run for at least a second also waits for others if no request is under way, but for 50 ms
    /// at most. It does so if others are likely to come: if `concurrency` is at least 20 times the seconds that the attempt
    /// has run. Its slot is free 50 ms later then.
    ///
    /// Such a request needs the permission `dynamodb:PartiQLUpdate`. Without it, the tracker logs that once, and each write
    /// is a request of its own.
    pub fn batching(mut self, batching: bool) -> Self {
        self.options.batching = batching;
        self
    }

    /// Sets the seed of the worker's random choices, so that a test can repeat them.
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// Returns a stream of [`Summary`] snapshots: the current one, and one after each change until the worker ends.
    ///
    /// A reader that is slower than the changes gets the latest snapshot only. Create the stream before you call
    /// [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// use futures_util::StreamExt;
    ///
    /// # async fn work<T: StatusTracker>(documents: Tracker<T>) -> Result<(), Error> {
    /// let worker = documents.worker().drain();
    /// let mut progress = worker.progress();
    /// tokio::spawn(async move {
    ///     while let Some(so_far) = progress.next().await {
    ///         eprintln!("{} running, {so_far}", so_far.running);
    ///     }
    /// });
    /// worker.run(async |_task| Ok(())).await?;
    /// # Ok(()) }
    /// ```
    pub fn progress(&self) -> impl Stream<Item = Summary> + Send + Unpin + 'static + use<T> {
        summary::progress(self.progress.subscribe())
    }

    /// Runs a body on each task, each in a Tokio task of its own, on any thread of the runtime.
    ///
    /// The body is an `async move |task|` closure or an `async fn`. It is cloned for each task: move into it what it
    /// needs, and share state through an `Arc`. A body that mutates what it captures does not compile, because each clone
    /// would mutate its own copy: use an `Arc<AtomicU64>` or an `Arc<Mutex<_>>`, or [`run_local`](Self::run_local) with a
    /// `Cell`.
    ///
    /// If the future is dropped, the bodies are cancelled, and their attempts are recorded as failed on a best-effort
    /// basis. To stop without failed attempts, use [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # #[derive(Default)] struct Mailer;
    /// # impl Mailer { async fn send(&self, _: &str) -> Result<(), std::io::Error> { Ok(()) } }
    /// # async fn work<T: StatusTracker<TaskId = String>>(mails: Tracker<T>) -> Result<(), Error> {
    /// let mailer = Arc::new(Mailer::default());
    /// mails
    ///     .worker()
    ///     .run(async move |task| {
    ///         mailer.send(task.task_id()).await?;
    ///         Ok(())
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`InvalidConfig`](ErrorKind::InvalidConfig) if an option is out of range, or if there is no Tokio runtime.
    /// - [`TableNotFound`](ErrorKind::TableNotFound) or [`TableMismatch`](ErrorKind::TableMismatch) if the table does
    ///   not exist or is not as the tracker needs it. The worker compares it before it claims anything, unless it may
    ///   not describe the table.
    /// - [`Unavailable`](ErrorKind::Unavailable) if DynamoDB does not describe the table before the
    ///   [`deadline`](Self::deadline). Without a deadline, the worker waits until it does.
    /// - [`Service`](ErrorKind::Service) or [`NotSent`](ErrorKind::NotSent) if DynamoDB refuses requests for good, such as
    ///   without a permission, or if the SDK cannot send them. The worker returns this error after its running bodies have
    ///   ended, or have been cancelled after the [`grace`](Self::grace) period.
    /// - [`Decode`](ErrorKind::Decode) if a [drain](Self::drain) finds 500 tasks in a row that it cannot read.
    // Boxed: if the future has a type that contains the body's, incremental builds with rustc 1.95 fail now and then.
    pub fn run<B>(self, body: B) -> BoxFuture<'static, Result<Summary, Error>>
    where
        B: AsyncFn(&mut Execution<T>) -> Result<(), Failure>,
        B: for<'a> Handler<'a, T> + Clone + Send + 'static,
    {
        Box::pin(async move {
            let runtime = runtime()?;
            let begin = move |claim: Claim<T>| {
                let body = body.clone();
                let key = claim.key.clone();
                // Dropping this future aborts the task.
                let task = runtime.spawn(run_task!(claim, |task| Handler::__call(body, task)));
                let task = AbortOnDropHandle::new(task);
                // The task has no outcome if the runtime shuts down.
                async move { task.await.unwrap_or((key, TaskOutcome::Unknown)) }
            };
            run_loop::run(self, begin).await
        })
    }

    /// Runs a body on each task, all of them in the task that awaits this future.
    ///
    /// The body may borrow, and need not be `Send`. The bodies take turns: only one computes at a time. A body that
    /// blocks its thread delays all others, and the end of the worker.
    ///
    /// # Errors
    ///
    /// The same as [`run`](Self::run).
    pub async fn run_local<B>(self, body: B) -> Result<Summary, Error>
    where
        B: AsyncFn(&mut Execution<T>) -> Result<(), Failure>,
    {
        runtime()?;
        let body = &body;
        let begin = |claim: Claim<T>| run_task!(claim, |task| body(task));
        run_loop::run(self, begin).await
    }
}

fn runtime() -> Result<Handle, Error> {
    Handle::try_current().map_err(|error| {
        let reason = "a worker needs a Tokio runtime; await `run` inside one".to_owned();
        Error::new(ErrorKind::InvalidConfig { reason }).with_source(error)
    })
}

impl Options {
    fn margin(&self) -> Duration {
        let default = || self.deadline.map_or(DEFAULT_MARGIN, |deadline| DEFAULT_MARGIN.min(deadline / 4));
        self.margin.unwrap_or_else(default)
    }

    fn validate(&self) -> Result<(), Error> {
        let (first, longest) = self.poll;
        let reason = if !(1..=MAX_CONCURRENCY).contains(&self.concurrency) {
            format!("`concurrency` is {}; use 1 to {MAX_CONCURRENCY}", self.concurrency)
        } else if first < MIN_POLL || longest < first {
            format!("`poll` is {first:?} to {longest:?}; begin at {MIN_POLL:?} or more, and end no lower")
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidConfig { reason }))
    }
}

impl<T: StatusTracker> fmt::Debug for Worker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("options", &self.options).finish_non_exhaustive()
    }
}
