//! One task in the hands of a worker, from its start to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind};
use crate::item::head::TaskHead;
use crate::lifecycle::run::Worked;
use crate::tracker::status_tracker::StatusTracker;

/// What came of it.
#[derive(Debug)]
pub(crate) enum TaskOutcome {
    /// It was not started.
    NotStarted(Error),
    Succeeded,
    /// Failed, and may be tried again.
    Failed,
    /// Given up.
    Ignored,
    Snoozed,
    Lost,
    Released,
    /// It cannot be told.
    Unknown,
}

/// The starts of a worker that are not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Starting {
    count: AtomicUsize,
    answered: Notify,
}

impl Starting {
    /// One more, until this is dropped.
    pub(crate) fn one(self: &Arc<Self>) -> Unanswered {
        self.count.fetch_add(1, Ordering::Relaxed);
        Unanswered(Arc::clone(self))
    }

    pub(crate) fn is_none(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Completes when the last of them is answered.
    pub(crate) async fn answered(&self) {
        self.answered.notified().await;
    }
}

/// A start that is not answered yet.
#[derive(Debug)]
pub(crate) struct Unanswered(Arc<Starting>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.answered.notify_one();
        }
    }
}

/// What a slot is given: the key of its task, what tells it to stop, and what it ends when it has started.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) key: String,
    pub(crate) stop: CancellationToken,
    pub(crate) unanswered: Unanswered,
}

/// Starts the task of a key, and runs a body on it. A macro, as the type of what calls the body cannot be written: its
/// future borrows the execution.
macro_rules! slot {
    ($tracker:expr, $claim:expr, |$task:ident| $call:expr) => {{
        let tracker = $tracker;
        let $crate::worker::slot::Claim { key, stop, unanswered } = $claim;
        async move {
            let started = tracker.start_key(key.clone()).await;
            drop(unanswered);
            let end = match started {
                Err(error) => $crate::worker::slot::TaskOutcome::NotStarted(error),
                Ok(execution) if stop.is_cancelled() => {
                    let stopped = $crate::lifecycle::run::Worked::Stopped(Box::new(execution));
                    $crate::worker::slot::end(stopped).await
                }
                Ok(mut execution) => {
                    let watch = $crate::lifecycle::run::Watch::over(&execution);
                    let ended = {
                        let $task = &mut execution;
                        // In a future of its own, as the body may panic before it has one.
                        watch.until_it_ends(async { $call.await }, stop.cancelled()).await
                    };
                    $crate::worker::slot::end(Box::pin(execution.record(ended)).await).await
                }
            };
            (key, end)
        }
    }};
}
pub(crate) use slot;

/// What a body came to, once it is recorded.
pub(crate) async fn end<T: StatusTracker>(worked: Worked<T, ()>) -> TaskOutcome {
    let error = match worked {
        Worked::Done(()) => return TaskOutcome::Succeeded,
        Worked::Panicked { ignored: true, .. } => return TaskOutcome::Ignored,
        Worked::Panicked { .. } => return TaskOutcome::Failed,
        Worked::Stopped(execution) => match execution.release().await {
            Ok(_) => return TaskOutcome::Released,
            Err(error) => error,
        },
        Worked::Not(error) => error,
    };
    match error.kind() {
        ErrorKind::Cancelled => TaskOutcome::Ignored,
        ErrorKind::Snoozed { .. } => TaskOutcome::Snoozed,
        ErrorKind::LeaseLost => TaskOutcome::Lost,
        ErrorKind::OutcomeUnknown => TaskOutcome::Unknown,
        // The body failed, or its success could not be stored: the task tells what that was recorded as.
        _ if error.task().is_some_and(TaskHead::is_ignored) => TaskOutcome::Ignored,
        _ if error.task().is_some_and(TaskHead::is_failed) => TaskOutcome::Failed,
        _ => TaskOutcome::Unknown,
    }
}
