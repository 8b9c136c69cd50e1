//! One task of a worker, from its claim to its outcome.

use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind};
use crate::item::head::TaskHead;
use crate::lifecycle::execution::Execution;
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

/// A task that the worker has started.
#[derive(Debug)]
pub(crate) struct Claim<T: StatusTracker> {
    pub(crate) key: String,
    pub(crate) execution: Execution<T>,
    /// Cancels the body.
    pub(crate) stop: CancellationToken,
}

/// Runs a body on the task of a claim, and evaluates to a future of its key and its outcome.
///
/// This is a macro because the type of the call cannot be written: the future of the body borrows the execution.
macro_rules! run_task {
    ($claim:expr, |$task:ident| $call:expr) => {{
        let $crate::worker::task::Claim { key, mut execution, stop } = $claim;
        async move {
            if stop.is_cancelled() || $crate::worker::task::is_late(&execution) {
                let stopped = $crate::lifecycle::run::BodyResult::Stopped(Box::new(execution));
                return (key, $crate::worker::task::outcome(stopped).await);
            }
            let watch = $crate::lifecycle::run::Watch::over(&execution);
            let ended = {
                let $task = &mut execution;
                // The call is inside the future because it may panic before it returns the body's future.
                watch.run_body(async { $call.await }, stop.cancelled()).await
            };
            (key, $crate::worker::task::outcome(Box::pin(execution.record(ended)).await).await)
        }
    }};
}
pub(crate) use run_task;

/// Returns whether the lease has expired before the body could begin, because other tasks of the thread computed for long. Another
/// attempt may run already.
pub(crate) fn is_late<T: StatusTracker>(execution: &Execution<T>) -> bool {
    execution.remaining().is_zero()
}

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
