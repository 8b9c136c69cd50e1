//! Progress of an operation on many tasks.

use futures_util::{Stream, TryStreamExt};

use crate::error::Error;

/// How many requests run at the same time.
pub(super) const WRITERS: usize = 32;

/// The progress of an operation on many tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The number of tasks that were deleted, or set back to pending.
    pub done: u64,
    /// The number of tasks that were left as they are, because a worker holds them or they have another status by now.
    pub skipped: u64,
    /// The number of tasks for which the operation failed. `on_error` receives each error.
    pub failed: u64,
}

/// What a caller wants to be told while the operation runs.
pub(super) struct Callbacks<'t> {
    pub(super) progress: Box<dyn FnMut(Progress) + Send + 't>,
    pub(super) error: Box<dyn FnMut(Error) + Send + 't>,
}

impl Default for Callbacks<'_> {
    fn default() -> Self {
        Self { progress: Box::new(|_| {}), error: Box::new(|_| {}) }
    }
}

/// What became of one task.
pub(super) enum TaskResult {
    Done,
    Skipped,
    Failed(Error),
}

/// Counts the results. An error of the stream is an error of finding the tasks, and ends the operation.
pub(super) async fn count(
    results: impl Stream<Item = Result<TaskResult, Error>> + Send,
    mut callbacks: Callbacks<'_>,
) -> Result<Progress, Error> {
    let mut results = std::pin::pin!(results);
    let mut progress = Progress::default();
    while let Some(result) = results.try_next().await? {
        match result {
            TaskResult::Done => progress.done += 1,
            TaskResult::Skipped => progress.skipped += 1,
            TaskResult::Failed(error) => {
                progress.failed += 1;
                (callbacks.error)(error);
            }
        }
        (callbacks.progress)(progress);
    }
    Ok(progress)
}
