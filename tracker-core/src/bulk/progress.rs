//! The progress of an operation on many tasks.

use futures_util::{Stream, TryStreamExt};

use crate::error::Error;

/// The number of tasks on which an operation works at the same time.
pub(super) const WRITERS: usize = 32;

/// The number of starts or ends that are under way at the same time: four requests of 25.
pub(super) const SHARED: usize = 100;

/// The progress of an operation on many tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The number of tasks that were deleted or redriven.
    pub done: u64,
    /// The number of tasks that stay as they are, because a worker holds them or, in a redrive, because they
    /// have moved to another status or were deleted.
    pub skipped: u64,
    /// The number of tasks for which the operation failed. `on_error` receives each error.
    pub failed: u64,
}

/// The functions that an operation calls while it runs.
pub(super) struct Callbacks<'t> {
    /// Is called after each task.
    pub(super) progress: Box<dyn FnMut(Progress) + Send + 't>,
    /// Receives the error of each task that failed.
    pub(super) error: Box<dyn FnMut(Error) + Send + 't>,
}

impl Default for Callbacks<'_> {
    fn default() -> Self {
        Self { progress: Box::new(|_| {}), error: Box::new(|_| {}) }
    }
}

/// The result for one task.
pub(super) enum TaskResult {
    Done,
    Skipped,
    Failed(Error),
}

/// Counts the results. An error of the stream itself comes from the search for the tasks, and ends the
/// operation.
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
