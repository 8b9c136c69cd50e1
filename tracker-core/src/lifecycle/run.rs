//! Runs a body on a task: starts the task, calls the body, and records how the body ended.

use std::any::Any;
use std::borrow::Borrow;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tracing::Instrument;

use super::attempt::Attempt;
use super::deadline::{self, Run};
use super::finish::Finished;
use super::shared_lease::SharedLease;
use crate::error::{Error, ErrorKind};
use crate::lifecycle::execution::Execution;
use crate::lifecycle::failure::Failure;
use crate::protocol::outcome::{Outcome, Verdict};
use crate::time::Clock;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

impl<T: StatusTracker> Tracker<T> {
    /// Starts a task, calls a body on it, and records how the body ended. Returns the value of the body.
    ///
    /// If the body returns `Ok`, the task succeeds and the changed data is written. If the body returns an
    /// error, a failed attempt is recorded with that error, and changes of the data that were not saved are
    /// dropped. If the body panics, a failed attempt is recorded, and the panic goes on.
    ///
    /// A heartbeat renews the lease while the body runs, on a thread of its own, so that no body can delay it. If
    /// the heartbeat finds the lease lost, the body's future is dropped, and `run` returns
    /// [`LeaseLost`](ErrorKind::LeaseLost). Work that blocks belongs into
    /// [`spawn_blocking`](Execution::spawn_blocking).
    ///
    /// The heartbeat also keeps the lease of a body that hangs, for ever. Set a
    /// [`timeout`](crate::TrackerBuilder::timeout): it drops the body's future and records a failed attempt.
    /// [`cancel`](Self::cancel) ends the body from outside. Both take effect at the body's next await point.
    /// If the body has not ended one lease later, the heartbeats stop, and the lease expires.
    ///
    /// If the future of `run` is dropped, the attempt is recorded as failed on a best-effort basis. A thread
    /// of the process sends that write, also outside of a runtime. If the write cannot be sent, the lease
    /// expires.
    ///
    /// # Errors
    ///
    /// - The errors of [`start`](Self::start).
    /// - [`BodyFailed`](ErrorKind::BodyFailed) if the body returned an error or took longer than the timeout.
    ///   [`Error::body_error`] returns the body's error.
    /// - [`Snoozed`](ErrorKind::Snoozed) if the body snoozed the task.
    /// - [`Cancelled`](ErrorKind::Cancelled) if somebody cancelled the attempt.
    /// - [`DeadlinePassed`](ErrorKind::DeadlinePassed) if the body did not end before the [`deadline`](Run::deadline).
    /// - The errors of [`succeed`](Execution::succeed) and [`fail`](Execution::fail). If the body failed,
    ///   they have its error as well.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, Failure, StatusTracker, Tracker};
    /// # async fn count<T: StatusTracker<TaskId = String>>(documents: &Tracker<T>) -> Result<(), Error> {
    /// let pages = documents
    ///     .run("doc-1", async |task| -> Result<usize, Failure> {
    ///         let text = std::fs::read_to_string(task.task_id())?; // an error is retried
    ///         Ok(text.lines().count())
    ///     })
    ///     .await?;
    /// println!("{pages} pages");
    /// # Ok(()) }
    /// ```
    pub fn run<Q, R, F>(
        &self,
        task_id: &Q,
        body: F,
    ) -> Run<impl Future<Output = Result<R, Error>> + use<'_, T, Q, R, F>>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
        F: AsyncFnOnce(&mut Execution<T>) -> Result<R, Failure>,
    {
        let key = self.cx().key(task_id);
        Run::new(|remaining| async move {
            let clock = &*self.cx().clock;
            let deadline = remaining.beginning_now(clock);
            let mut execution = self.start_before(key?, deadline).await?;
            let key = execution.attempt.head().key.clone();
            let watch = Watch::over(&execution);
            let out_of_time = deadline::at(clock, deadline.map(|deadline| deadline.body_ends));
            let ended = watch.run_body(async { body(&mut execution).await }, out_of_time).await;
            let is_released = matches!(ended, BodyEnd::Stopped);
            // If the recording takes too long, it goes on in the background.
            let recorded = tokio::select! {
                biased;
                recorded = Box::pin(execution.record_run(ended)) => recorded,
                () = deadline::at(clock, deadline.map(|deadline| deadline.call_ends)) => {
                    let why = "the deadline passed before DynamoDB answered";
                    let kind =
                        if is_released { ErrorKind::DeadlinePassed } else { ErrorKind::OutcomeUnknown };
                    Ok(Err(Error::new(kind).because(why).with_key(&key)))
                }
            };
            recorded.unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

/// The result of a body, after its end was recorded.
pub(crate) enum BodyResult<T: StatusTracker, R> {
    /// The body succeeded, and the success was recorded.
    Done(R),
    /// The body did not succeed, or its success could not be recorded.
    Failed(Error),
    /// The body was stopped. Nothing is recorded yet.
    Stopped(Box<Execution<T>>),
    /// The body panicked, and the failure was recorded if possible. `ignored` says whether the task is
    /// ignored now.
    Panicked { panic: Box<dyn Any + Send>, ignored: bool },
}

/// How a body ended.
pub(crate) enum BodyEnd<R> {
    /// The body returned, or panicked.
    Body(std::thread::Result<Result<R, Failure>>),
    /// The heartbeat found the lease lost.
    Lost,
    /// The heartbeat saw a request to cancel.
    Cancelled,
    /// The body ran longer than this timeout.
    TimedOut(Duration),
    /// The worker stops.
    Stopped,
}

/// Watches for whatever ends a body early. It borrows nothing from the execution, because the body borrows
/// all of it.
pub(crate) struct Watch {
    lease: Arc<SharedLease>,
    timeout: Option<Duration>,
    clock: Arc<dyn Clock>,
    /// The span that is entered while the body runs.
    span: tracing::Span,
}

impl Watch {
    /// Returns the watch over an execution.
    pub(crate) fn over<T: StatusTracker>(execution: &Execution<T>) -> Self {
        let Attempt { lease, cx, .. } = &execution.attempt;
        lease.watch();
        let head = execution.attempt.head();
        let span = tracing::info_span!(
            target: "tracker_core::task",
            "task",
            step = &*cx.config.step,
            use_case_id = head.use_case_id(),
            task_id = head.task_id(),
            attempt = head.attempt(),
            owner = head.owner(),
        );
        Self { span, lease: Arc::clone(lease), timeout: cx.config.timeout, clock: Arc::clone(&cx.clock) }
    }

    /// Runs a body until the first of these: the body ends, the lease is lost, the attempt is cancelled, the
    /// timeout passes, or `stop` completes. The body's future is dropped then.
    pub(crate) async fn run_body<R>(
        self,
        body: impl Future<Output = Result<R, Failure>>,
        stop: impl Future<Output = ()>,
    ) -> BodyEnd<R> {
        let Self { lease, timeout, clock, span } = self;
        let begin = clock.now().monotonic;
        let timed_out = async {
            match timeout {
                // Polled after the body, which may have computed for some time before its first await.
                Some(timeout) => {
                    let worked = clock.now().monotonic.saturating_sub(begin);
                    clock.sleep(timeout.saturating_sub(worked)).await;
                    timeout
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = lease.lost() => BodyEnd::Lost,
            outcome = AssertUnwindSafe(body.instrument(span)).catch_unwind() => BodyEnd::Body(outcome),
            () = lease.cancelled() => BodyEnd::Cancelled,
            after = timed_out => BodyEnd::TimedOut(after),
            () = stop => BodyEnd::Stopped,
        }
    }
}

impl<T: StatusTracker> Execution<T> {
    /// Records how a body ended.
    pub(crate) async fn record<R>(self, ended: BodyEnd<R>) -> BodyResult<T, R> {
        match ended {
            BodyEnd::Body(Ok(Ok(result))) => match self.succeed().await {
                Ok(_) => BodyResult::Done(result),
                Err(error) => BodyResult::Failed(error),
            },
            BodyEnd::Body(Ok(Err(failure))) => BodyResult::Failed(self.fail_body(failure).await),
            BodyEnd::Body(Err(panic)) => {
                let ignored = self.fail_panicked(&panic_message(&*panic)).await;
                BodyResult::Panicked { panic, ignored }
            }
            BodyEnd::Lost => BodyResult::Failed(self.abandon()),
            BodyEnd::Cancelled => BodyResult::Failed(self.attempt.cancel().await),
            BodyEnd::TimedOut(after) => BodyResult::Failed(self.fail_timed_out(after).await),
            BodyEnd::Stopped => BodyResult::Stopped(Box::new(self)),
        }
    }

    /// Records how the body of a `run` ended, and returns the result of `run` or the panic of the body. A task whose deadline
    /// has come is released.
    async fn record_run<R>(self, ended: BodyEnd<R>) -> std::thread::Result<Result<R, Error>> {
        match self.record(ended).await {
            BodyResult::Done(result) => Ok(Ok(result)),
            BodyResult::Failed(error) => Ok(Err(error)),
            BodyResult::Panicked { panic, .. } => Err(panic),
            BodyResult::Stopped(execution) => Ok(Err(match execution.release().await {
                Ok(released) => {
                    let head = released.head();
                    Error::new(ErrorKind::DeadlinePassed).with_key(&head.key).with_task(head.clone())
                }
                Err(unrecorded) => unrecorded,
            })),
        }
    }

    /// Records that the body failed, and returns the error of `run`.
    async fn fail_body(self, failure: Failure) -> Error {
        let limit = self.attempt.cx.config.traceback_stack_limit as usize;
        let outcome = failure.outcome(limit);
        let retry = self.attempt.head().failed_attempts();
        match self.end(outcome, false).await {
            Ok((Finished { head, .. }, _)) => {
                let kind = match head.run_at() {
                    // A snooze beyond `max_snoozes` counts as a failed attempt. The status does not tell: a
                    // snooze that does not count may return to failed as well.
                    Some(until) if failure.is_snooze() && head.failed_attempts() == retry => {
                        ErrorKind::Snoozed { until }
                    }
                    _ => ErrorKind::BodyFailed { ignored: head.is_ignored() },
                };
                let key = head.key.clone();
                Error::new(kind).with_task(head).with_key(&key)
            }
            Err(unrecorded) => unrecorded,
        }
        .with_body_error(failure.into_error())
    }

    /// Ends an attempt whose lease was lost without a write, and returns the error of `run`.
    fn abandon(self) -> Error {
        self.attempt.abandon()
    }

    /// Records that the body took too long, and returns the error of `run`.
    async fn fail_timed_out(self, timeout: Duration) -> Error {
        let failure = Failure::retry(format!("the body did not end within {timeout:?}"));
        self.fail_body(failure).await
    }

    /// Records a panic of the body. Returns whether the task is ignored now.
    async fn fail_panicked(self, message: &str) -> bool {
        let outcome = Outcome::Failed {
            error: format!("the body panicked: {message}"),
            traceback: String::new(),
            verdict: Verdict::Retry,
        };
        let key = self.attempt.head().key.clone();
        match self.end(outcome, false).await {
            Ok((Finished { head, .. }, _)) => head.is_ignored(),
            Err(error) => {
                tracing::warn!(
                    target: "tracker_core::finish",
                    key = &*key,
                    error = &error as &dyn std::error::Error,
                    "a panic of the body could not be recorded; the task can be taken over after its lease \
                     expires"
                );
                false
            }
        }
    }
}

/// Returns the message of a panic.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the payload is not text").to_owned()
}
