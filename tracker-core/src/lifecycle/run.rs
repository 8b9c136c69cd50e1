//! The context manager: starts a task, runs a body on it, and records how that ended.

use std::any::Any;
use std::borrow::Borrow;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use futures_util::FutureExt;
use tracing::Instrument;

use super::attempt::Attempt;
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
    /// Starts a task, runs a body on it, and records how that ended: with the data as the body left it when it
    /// succeeds, with its error when it fails. A body that panics is recorded as failed, and the panic goes on.
    ///
    /// A heartbeat renews the lease for as long as the body runs, from a task of its own, which a thread of the process wakes
    /// up: a body that computes without awaiting starves it only where it has the last free worker thread of its runtime, and
    /// so always on a current-thread one. Once the lease is lost the body's future is dropped, and
    /// [`LeaseLost`](ErrorKind::LeaseLost) comes back. A body that *hangs* is kept alive by the heartbeat for ever: a
    /// [`timeout`](crate::TrackerBuilder::timeout) ends it, and records it as failed. [`cancel`](Self::cancel) ends it from
    /// outside.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start); [`BodyFailed`](ErrorKind::BodyFailed) with the body's error, see
    /// [`Error::body_error`]; [`Snoozed`](ErrorKind::Snoozed) where the body put the task off;
    /// [`Cancelled`](ErrorKind::Cancelled); and those of [`succeed`](Execution::succeed) and [`fail`](Execution::fail),
    /// which keep the body's error too.
    pub async fn run<Q, R, F>(&self, task_id: &Q, body: F) -> Result<R, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
        F: AsyncFnOnce(&mut Execution<T>) -> Result<R, Failure>,
    {
        let mut execution = self.start(task_id).await?;
        let watch = Watch::over(&execution);
        let ended = watch.until_it_ends(async { body(&mut execution).await }, std::future::pending()).await;
        match Box::pin(execution.record(ended)).await {
            Worked::Done(result) => Ok(result),
            Worked::Not(error) => Err(error),
            Worked::Stopped(execution) => Err(execution.abandon()),
            Worked::Panicked { panic, .. } => resume_unwind(panic),
        }
    }
}

/// What came of a body.
pub(crate) enum Worked<T: StatusTracker, R> {
    /// It succeeded, which was recorded.
    Done(R),
    /// It did not, or what it did could not be recorded.
    Not(Error),
    /// It was dropped as it was to stop; nothing is recorded yet.
    Stopped(Box<Execution<T>>),
    /// It panicked, which was recorded.
    Panicked { panic: Box<dyn Any + Send>, ignored: bool },
}

/// How a body ended.
pub(crate) enum Ended<R> {
    Body(std::thread::Result<Result<R, Failure>>),
    Lost,
    Cancelled,
    TimedOut(Duration),
    Stopped,
}

/// What may end a body before it ends by itself. It does not borrow the execution, as the body does.
pub(crate) struct Watch {
    lease: Arc<SharedLease>,
    timeout: Option<Duration>,
    clock: Arc<dyn Clock>,
    /// What the body logs is within it.
    span: tracing::Span,
}

impl Watch {
    pub(crate) fn over<T: StatusTracker>(execution: &Execution<T>) -> Self {
        let Attempt { lease, cx, .. } = &execution.attempt;
        let head = execution.attempt.head();
        let span = tracing::info_span!(
            target: "tracker_core::task",
            "task",
            use_case_id = head.use_case_id(),
            task_id = head.task_id(),
            attempt = head.attempt(),
            owner = head.owner(),
        );
        Self { span, lease: Arc::clone(lease), timeout: cx.config.timeout, clock: Arc::clone(&cx.clock) }
    }

    /// Runs a body until it ends, its lease is lost, it is cancelled, takes too long, or is to stop; whichever is first, the
    /// body's future is dropped by then.
    pub(crate) async fn until_it_ends<R>(
        self,
        body: impl Future<Output = Result<R, Failure>>,
        stop: impl Future<Output = ()>,
    ) -> Ended<R> {
        let Self { lease, timeout, clock, span } = self;
        let begin = clock.now().monotonic;
        let timed_out = async {
            match timeout {
                // Polled after the body, which may have computed for a while.
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
            () = lease.lost() => Ended::Lost,
            outcome = AssertUnwindSafe(body.instrument(span)).catch_unwind() => Ended::Body(outcome),
            () = lease.cancelled() => Ended::Cancelled,
            after = timed_out => Ended::TimedOut(after),
            () = stop => Ended::Stopped,
        }
    }
}

impl<T: StatusTracker> Execution<T> {
    /// Records how a body ended.
    pub(crate) async fn record<R>(self, ended: Ended<R>) -> Worked<T, R> {
        match ended {
            Ended::Body(Ok(Ok(result))) => match self.succeed().await {
                Ok(_) => Worked::Done(result),
                Err(error) => Worked::Not(error),
            },
            Ended::Body(Ok(Err(failure))) => Worked::Not(self.fail_body(failure).await),
            Ended::Body(Err(panic)) => {
                let ignored = self.fail_panicked(&panic_message(&*panic)).await;
                Worked::Panicked { panic, ignored }
            }
            Ended::Lost => Worked::Not(self.abandon()),
            Ended::Cancelled => Worked::Not(self.attempt.cancel().await),
            Ended::TimedOut(after) => Worked::Not(self.fail_timed_out(after).await),
            Ended::Stopped => Worked::Stopped(Box::new(self)),
        }
    }

    /// The error that ends a `run` whose body failed.
    async fn fail_body(self, failure: Failure) -> Error {
        let limit = self.attempt.cx.config.traceback_stack_limit as usize;
        let outcome = failure.outcome(limit);
        let retry = self.attempt.head().failed_attempts();
        match self.end(outcome, ReturnValue::None).await {
            Ok((Finished { head, .. }, _)) => {
                let kind = match head.run_at() {
                    // One too many is counted; one that is not may go back to failed.
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

    /// The error that ends a `run` whose lease was lost.
    fn abandon(self) -> Error {
        self.attempt.abandon()
    }

    /// Records that the body took too long.
    async fn fail_timed_out(self, timeout: Duration) -> Error {
        let failure = Failure::retry(format!("the body did not end within {timeout:?}"));
        self.fail_body(failure).await
    }

    /// Records a panic of the body. Whether the task was given up with it.
    async fn fail_panicked(self, message: &str) -> bool {
        let outcome = Outcome::Failed {
            error: format!("the body panicked: {message}"),
            traceback: String::new(),
            verdict: Verdict::Retry,
        };
        let key = self.attempt.head().key.clone();
        match self.end(outcome, ReturnValue::None).await {
            Ok((Finished { head, .. }, _)) => head.is_ignored(),
            Err(error) => {
                tracing::warn!(
                    target: "tracker_core::finish",
                    key,
                    error = &error as &dyn std::error::Error,
                    "a panic of the body could not be recorded"
                );
                false
            }
        }
    }
}

/// What a panic said.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the payload is not text").to_owned()
}
