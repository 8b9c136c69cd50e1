//! One task of a worker, from its start to its outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind};
use crate::item::head::TaskHead;
use crate::lifecycle::run::BodyResult;
use crate::tracker::status_tracker::StatusTracker;

/// What came of a claim.
#[derive(Debug)]
pub(crate) enum TaskOutcome {
    /// The task was not started.
    NotStarted(Error),
    Succeeded,
    /// The attempt failed, and the task can be retried.
    Failed,
    /// The task is ignored now.
    Ignored,
    Snoozed,
    /// The lease was lost.
    Lost,
    Released,
    /// It is unknown whether the end of the attempt was recorded.
    Unknown,
}

/// Counts the starts of a worker that are not answered yet.
#[derive(Debug, Default)]
pub(crate) struct UnansweredStarts {
    count: AtomicUsize,
    all_answered: Notify,
}

impl UnansweredStarts {
    /// Counts one more start, until the returned guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> UnansweredStart {
        self.count.fetch_add(1, Ordering::Relaxed);
        UnansweredStart(Arc::clone(self))
    }

    /// Returns whether every start is answered.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Completes when the last unanswered start is answered.
    pub(crate) async fn all_answered(&self) {
        self.all_answered.notified().await;
    }
}

/// A start that is not answered yet.
#[derive(Debug)]
pub(crate) struct UnansweredStart(Arc<UnansweredStarts>);

impl Drop for UnansweredStart {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.all_answered.notify_one();
        }
    }
}

/// A task that the worker is about to start.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) key: String,
    /// Cancels the body.
    pub(crate) stop: CancellationToken,
    /// Dropped when the start is answered.
    pub(crate) unanswered: UnansweredStart,
}

/// Starts the task of a claim, runs a body on it, and evaluates to a future of its key and its outcome.
///
/// This is a macro because the type of the call cannot be written: the future of the body borrows the execution.
macro_rules! run_task {
    ($tracker:expr, $claim:expr, |$task:ident| $call:expr) => {{
        let tracker = $tracker;
        let $crate::worker::task::Claim { key, stop, unanswered } = $claim;
        async move {
            let started = tracker.start_key(key.clone()).await;
            drop(unanswered);
            let outcome = match started {
                Err(error) => $crate::worker::task::TaskOutcome::NotStarted(error),
                Ok(execution) if stop.is_cancelled() => {
                    let stopped = $crate::lifecycle::run::BodyResult::Stopped(Box::new(execution));
                    $crate::worker::task::outcome(stopped).await
                }
                Ok(mut execution) => {
                    execution.attempt.lease.set_worker_stop(stop.clone());
                    let watch = $crate::lifecycle::run::Watch::over(&execution);
                    let ended = {
                        let $task = &mut execution;
                        // The call is inside the future because it may panic before it returns the body's future.
                        watch.run_body(async { $call.await }, stop.cancelled()).await
                    };
                    $crate::worker::task::outcome(Box::pin(execution.record(ended)).await).await
                }
            };
            (key, outcome)
        }
    }};
}
pub(crate) use run_task;

/// Returns the outcome of a body whose end was recorded. Releases the task if the worker has stopped the body.
pub(crate) async fn outcome<T: StatusTracker>(worked: BodyResult<T, ()>) -> TaskOutcome {
    let error = match worked {
        BodyResult::Done(()) => return TaskOutcome::Succeeded,
        BodyResult::Panicked { ignored: true, .. } => return TaskOutcome::Ignored,
        BodyResult::Panicked { .. } => return TaskOutcome::Failed,
        BodyResult::Stopped(execution) => match execution.release().await {
            Ok(_) => return TaskOutcome::Released,
            Err(error) => error,
        },
        BodyResult::Failed(error) => error,
    };
    match error.kind() {
        ErrorKind::Cancelled => TaskOutcome::Ignored,
        ErrorKind::Snoozed { .. } => TaskOutcome::Snoozed,
        ErrorKind::LeaseLost => TaskOutcome::Lost,
        ErrorKind::OutcomeUnknown => TaskOutcome::Unknown,
        // The body failed, or its success could not be stored: the error's task says what was recorded.
        _ if error.task().is_some_and(TaskHead::is_ignored) => TaskOutcome::Ignored,
        _ if error.task().is_some_and(TaskHead::is_failed) => TaskOutcome::Failed,
        _ => TaskOutcome::Unknown,
    }
}
