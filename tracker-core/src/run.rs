//! The context manager: starts a task, runs a body on it, and records how that ended.

use std::any::Any;
use std::borrow::Borrow;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::client::Tracker;
use crate::error::{Error, ErrorKind};
use crate::execution::Execution;
use crate::failure::Failure;
use crate::held::Finished;
use crate::tracker::StatusTracker;
use crate::update::Outcome;

impl<T: StatusTracker> Tracker<T> {
    /// Starts a task, runs a body on it, and records how that ended: with the data as the body left it when it
    /// succeeds, with its error when it fails. A body that panics is recorded as failed, and the panic goes on.
    ///
    /// A heartbeat renews the lease for as long as the body runs, from a task of its own: on a current-thread runtime, a
    /// body that computes without awaiting starves it. Once the lease is lost the body's future is dropped, and
    /// [`LeaseLost`](ErrorKind::LeaseLost) comes back. A body that *hangs* is kept alive by the heartbeat for ever: a
    /// [`timeout`](crate::TrackerBuilder::timeout) ends it, and records it as failed.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start); [`BodyFailed`](ErrorKind::BodyFailed) with the body's error, see
    /// [`Error::body_error`]; and those of [`succeed`](Execution::succeed) and [`fail`](Execution::fail),
    /// which keep the body's error too.
    pub async fn run<Q, R, F>(&self, task_id: &Q, body: F) -> Result<R, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
        F: AsyncFnOnce(&mut Execution<T>) -> Result<R, Failure>,
    {
        let mut execution = self.start(task_id).await?;
        let lost = execution.lost_token();
        let timeout = self.engine().config.timeout;
        let clock = &self.engine().clock;
        let begin = clock.now().monotonic;
        let timed_out = async {
            match timeout {
                // Polled after the body, which may have computed for a while.
                Some(timeout) => {
                    let worked = clock.now().monotonic.saturating_sub(begin);
                    clock.sleep(timeout.saturating_sub(worked)).await;
                }
                None => std::future::pending().await,
            }
        };
        let running = AssertUnwindSafe(async { body(&mut execution).await }).catch_unwind();
        // Whichever is first, the body's future is dropped by then.
        let ended = tokio::select! {
            biased;
            () = lost.cancelled() => Ended::Lost,
            outcome = running => Ended::Body(outcome),
            () = timed_out => Ended::TimedOut,
        };
        match ended {
            Ended::Body(Ok(Ok(result))) => {
                execution.succeed().await?;
                Ok(result)
            }
            Ended::Body(Ok(Err(failure))) => Err(execution.fail_body(failure).await),
            Ended::Body(Err(panic)) => {
                let message = panic_message(&*panic);
                execution.fail_panicked(&message).await;
                resume_unwind(panic)
            }
            Ended::Lost => Err(execution.abandon()),
            Ended::TimedOut => Err(execution.fail_timed_out(timeout.unwrap_or_default()).await),
        }
    }
}

/// How the body of a `run` ended.
enum Ended<R> {
    Body(std::thread::Result<Result<R, Failure>>),
    Lost,
    TimedOut,
}

impl<T: StatusTracker> Execution<T> {
    /// The error that ends a `run` whose body failed.
    async fn fail_body(self, failure: Failure) -> Error {
        let limit = self.held.engine.config.traceback_stack_limit as usize;
        let outcome = failure.outcome(limit);
        match self.end(outcome, ReturnValue::None).await {
            Ok((Finished { head, .. }, _)) => {
                Error::new(ErrorKind::BodyFailed { ignored: head.is_ignored() })
                    .with_key(&head.key)
                    .with_task(head.clone())
            }
            Err(unrecorded) => unrecorded,
        }
        .with_body_error(failure.into_error())
    }

    /// The error that ends a `run` whose lease was lost.
    fn abandon(self) -> Error {
        self.held.abandon()
    }

    /// Records that the body took too long.
    async fn fail_timed_out(self, timeout: Duration) -> Error {
        let failure = Failure::retry(format!("the body did not end within {timeout:?}"));
        self.fail_body(failure).await
    }

    /// The token of [`lost`](Self::lost), which does not borrow.
    fn lost_token(&self) -> CancellationToken {
        self.held.keeper.lost()
    }

    /// Records a panic of the body.
    async fn fail_panicked(self, message: &str) {
        let outcome = Outcome::Failed {
            error: format!("the body panicked: {message}"),
            traceback: String::new(),
            fatal: false,
        };
        let key = self.held.head().key.clone();
        if let Err(error) = self.end(outcome, ReturnValue::None).await {
            tracing::warn!(
                target: "tracker_core::finish",
                key,
                error = &error as &dyn std::error::Error,
                "a panic of the body could not be recorded"
            );
        }
    }
}

/// What a panic said.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the payload is not text").to_owned()
}
