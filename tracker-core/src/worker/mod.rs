//! The loop that every user of the pattern needs: find tasks, start them, run a body on each, record how it ended.

mod claims;
mod handler;
mod outcomes;
mod run_loop;
mod search;
#[cfg(test)]
mod simulation;
mod slot;
mod summary;

use std::fmt;
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use self::handler::Handler;
use self::slot::{Claim, TaskOutcome, slot};
pub use self::summary::Summary;
use crate::error::{Error, ErrorKind};
use crate::lifecycle::execution::Execution;
use crate::lifecycle::failure::Failure;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

/// More than any worker can run at once.
const MOST_SLOTS: usize = 100_000;
/// How long before a deadline nothing more is claimed, where that is not said.
const USUAL_MARGIN: Duration = Duration::from_secs(30);
/// Less is no wait.
const LEAST_POLL: Duration = Duration::from_millis(1);

/// A worker: finds unfinished tasks, starts them, runs a body on each with heartbeats, and records how it ended; several
/// at the same time, and over and over.
///
/// It claims what is pending, more pending or failed, what is due, and what lost workers left behind. Many workers may
/// work on the same tasks: each picks at random among the oldest, and a task that another was faster to start is skipped.
/// When there is nothing it looks again after a while, longer each time. It goes on until it is told to
/// [stop](Self::shutdown), or [nothing is left](Self::drain), or its [time is up](Self::deadline).
///
/// A task that cannot be read is reported once, and left as it is. When DynamoDB throttles, or does not answer, the worker
/// claims less for a while, and says why once. What no retry will mend (no table, no permission) ends it with that error,
/// after what is running.
///
/// Each body runs as in [`Tracker::run`]: see there for lost leases, timeouts and panics. A panic is recorded and ends that
/// attempt alone.
///
/// A body that computes without awaiting takes a worker thread of the runtime with it. Where all of them compute, and so
/// always on a current-thread runtime, no heartbeat is sent: leases are lost, and the work is done again. So compute in
/// `tokio::task::spawn_blocking`, or let fewer bodies run at a time than there are worker threads. Whether its lease was lost
/// is seen when a body comes back: nothing is written where another worker has the task, or a heartbeat has told of the loss.
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
    deadline: Option<Duration>,
    margin: Option<Duration>,
    grace: Duration,
    poll: (Duration, Duration),
    shutdown: CancellationToken,
    seed: Option<u64>,
}

impl<T: StatusTracker> Tracker<T> {
    /// A worker on the tasks of this tracker, with what is usual; see [`Worker`].
    pub fn worker(&self) -> Worker<T> {
        Worker {
            tracker: self.clone(),
            options: Options {
                concurrency: 16,
                drain: false,
                deadline: None,
                margin: None,
                grace: Duration::from_secs(20),
                poll: (Duration::from_secs(1), Duration::from_secs(20)),
                shutdown: CancellationToken::new(),
                seed: None,
            },
            progress: watch::Sender::new(Summary::default()),
        }
    }
}

impl<T: StatusTracker> Worker<T> {
    /// How many tasks are at work at the same time: at least 1, and 16 by default.
    pub fn concurrency(mut self, tasks: usize) -> Self {
        self.options.concurrency = tasks;
        self
    }

    /// Ends when there is nothing left that can be started, and its own tasks have ended; it looks for a second longer, as
    /// the index may not show at once what they leave. Tasks that are not due yet, that other workers hold, or that cannot
    /// be read are not waited for. A task that has failed here and waits for its [backoff](crate::TrackerBuilder::backoff) is
    /// not due either: whether it comes up again before the end depends on that wait.
    pub fn drain(mut self) -> Self {
        self.options.drain = true;
        self
    }

    /// Ends within this time from when it is run, as before a container is stopped, or with the time that a Lambda has
    /// left.
    ///
    /// It claims nothing more in the last [`margin`](Self::margin). Bodies that are running then may take four fifths of
    /// that; those that still run are cancelled, and their tasks given back, uncounted.
    pub fn deadline(mut self, remaining: Duration) -> Self {
        self.options.deadline = Some(remaining);
        self
    }

    /// How long before the [`deadline`](Self::deadline) nothing more is claimed: more than a body usually takes. 30 s by
    /// default, and no more than a quarter of the time until the deadline. With one that is as long as that time, nothing is
    /// claimed at all. Without a deadline it means nothing.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.options.margin = Some(margin);
        self
    }

    /// Stops when this is cancelled: claims nothing more, lets running bodies finish for the [`grace`](Self::grace) period,
    /// then cancels them and gives their tasks back, uncounted. No lease is held after that, if DynamoDB answers.
    pub fn shutdown(mut self, token: CancellationToken) -> Self {
        self.options.shutdown = token;
        self
    }

    /// How long running bodies may take to finish once the worker is to stop; 20 s by default.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// How long it waits before it looks again when there was nothing: at first, and at most. 1 s and 20 s by default; each
    /// wait is drawn between half of that and the whole.
    pub fn poll(mut self, least: Duration, most: Duration) -> Self {
        self.options.poll = (least, most);
        self
    }

    /// Makes its random choices repeatable, for tests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// What it has done, now and each time that this changes, until it ends; what comes while nobody looks is left out.
    /// For a display, ask before it is run.
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

    /// Runs a body on each task, each in a task of its own, on any thread of the runtime. The body is an `async move |task|`
    /// closure, or an `async fn`, and cloned for each task: what it needs is moved in, behind an `Arc` where it is shared.
    /// Dropping the future cancels the bodies, which records their
    /// attempts as failed: use [`shutdown`](Self::shutdown) instead.
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
    /// [`TableNotFound`](ErrorKind::TableNotFound) and [`TableMismatch`](ErrorKind::TableMismatch), before anything is
    /// claimed; [`InvalidConfig`](ErrorKind::InvalidConfig) where an option makes no sense, and outside of a Tokio runtime;
    /// [`Service`](ErrorKind::Service) for what DynamoDB refuses for good, such as a missing permission, once the tasks that
    /// are running have ended.
    // Boxed: where its type is that of the body, rustc 1.95 fails now and then when it compiles a changed file again.
    pub fn run<B>(self, body: B) -> BoxFuture<'static, Result<Summary, Error>>
    where
        B: AsyncFnOnce(&mut Execution<T>) -> Result<(), Failure>,
        B: for<'a> Handler<'a, T> + Clone + Send + 'static,
    {
        Box::pin(async move {
            let runtime = runtime()?;
            let tracker = self.tracker.clone();
            let begin = move |claim: Claim| {
                let (tracker, body) = (tracker.clone(), body.clone());
                let key = claim.key.clone();
                // The task ends when the worker drops this future.
                let task = runtime.spawn(slot!(tracker, claim, |task| Handler::__call(body, task)));
                let task = AbortOnDropHandle::new(task);
                // It has no outcome if the runtime shuts down.
                async move { task.await.unwrap_or((key, TaskOutcome::Unknown)) }
            };
            run_loop::drive(self, begin).await
        })
    }

    /// Runs a body on each task, all of them in the task that awaits this: the body may borrow, and need not be `Send`.
    /// Several are under way at the same time, but only one computes at a time.
    ///
    /// # Errors
    ///
    /// Those of [`run`](Self::run).
    pub async fn run_local<B>(self, body: B) -> Result<Summary, Error>
    where
        B: AsyncFn(&mut Execution<T>) -> Result<(), Failure>,
    {
        runtime()?;
        let tracker = self.tracker.clone();
        let (tracker, body) = (&tracker, &body);
        let begin = |claim: Claim| slot!(tracker, claim, |task| body(task));
        run_loop::drive(self, begin).await
    }
}

fn runtime() -> Result<Handle, Error> {
    Handle::try_current().map_err(|error| {
        let reason = "a worker needs a Tokio runtime; run it in one".to_owned();
        Error::new(ErrorKind::InvalidConfig { reason }).with_source(error)
    })
}

impl Options {
    fn margin(&self) -> Duration {
        let usual = || self.deadline.map_or(USUAL_MARGIN, |deadline| USUAL_MARGIN.min(deadline / 4));
        self.margin.unwrap_or_else(usual)
    }

    fn validate(&self) -> Result<(), Error> {
        let reason = if !(1..=MOST_SLOTS).contains(&self.concurrency) {
            format!("`concurrency` is {}; use 1 to {MOST_SLOTS}", self.concurrency)
        } else if self.poll.0 < LEAST_POLL || self.poll.1 < self.poll.0 {
            let (least, most) = self.poll;
            format!(
                "`poll` goes from {least:?} to {most:?}; begin at {LEAST_POLL:?} or more, and end no lower"
            )
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
