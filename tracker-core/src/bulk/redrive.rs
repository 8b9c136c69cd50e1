//! Redrives all tasks in a status.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;

use futures_util::StreamExt;

use super::progress::{Callbacks, Progress, TaskResult, WRITERS, count};
use crate::declare::status::{Role, TrackerStatus};
use crate::error::{Error, ErrorKind};
use crate::lifecycle::by_hand::ByHand;
use crate::lifecycle::redrive::redrive;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

impl<T: StatusTracker> Tracker<T> {
    /// Redrives all tasks in a status, ignored or failed: sets them back to pending.
    /// [`redrive`](Self::redrive) says what this changes in a task.
    ///
    /// Skips tasks that cannot be redriven any more, for example because a worker holds them by now. A task
    /// that fails again during the call is not redriven a second time.
    ///
    /// # Errors
    ///
    /// - [`InvalidQuery`](ErrorKind::InvalidQuery) if the status is neither ignored nor failed.
    /// - An error of the query, which ends the redrive, for example [`Throttled`](ErrorKind::Throttled) or
    ///   [`TableNotFound`](ErrorKind::TableNotFound).
    ///
    /// [`on_error`](RedriveAll::on_error) receives the errors of single tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # async fn redrive<T: StatusTracker>(tracker: &Tracker<T>, ignored: T::Status) -> Result<(), Error> {
    /// let progress = tracker.redrive_all(ignored).on_error(|error| eprintln!("{error}")).await?;
    /// println!("{} redriven, {} skipped, {} failed", progress.done, progress.skipped, progress.failed);
    /// # Ok(()) }
    /// ```
    pub fn redrive_all(&self, status: T::Status) -> RedriveAll<'_, T> {
        RedriveAll { tracker: self, status, callbacks: Callbacks::default() }
    }
}

/// The redrive of all tasks in a status. It happens when this is awaited.
#[must_use = "the tasks are redriven when this is awaited"]
pub struct RedriveAll<'t, T: StatusTracker> {
    tracker: &'t Tracker<T>,
    status: T::Status,
    callbacks: Callbacks<'t>,
}

impl<'t, T: StatusTracker> RedriveAll<'t, T> {
    /// Sets a function that is called after each task, with the counts so far.
    pub fn on_progress(mut self, progress: impl FnMut(Progress) + Send + 't) -> Self {
        self.callbacks.progress = Box::new(progress);
        self
    }

    /// Sets a function that receives the error of each task that could not be redriven. The redrive goes on.
    ///
    /// If other writers were faster several times in a row, the error is [`Contended`](ErrorKind::Contended):
    /// redrive the task again.
    pub fn on_error(mut self, error: impl FnMut(Error) + Send + 't) -> Self {
        self.callbacks.error = Box::new(error);
        self
    }
}

impl<'t, T: StatusTracker> IntoFuture for RedriveAll<'t, T> {
    type Output = Result<Progress, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 't>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { tracker, status, callbacks } = self;
        let cx = tracker.cx();
        Box::pin(async move {
            check_status::<T>(status)?;
            let redriven = tracker
                .query_by_status(status)
                // Otherwise a task that fails again during the redrive would be redriven a second time.
                .rows()
                .map(move |row| async move {
                    Ok(match redrive(cx, &row?.key, &ByHand::default()).await {
                        Ok(_) => TaskResult::Done,
                        Err(error) if error.is_refusal() => TaskResult::Skipped,
                        Err(error) => TaskResult::Failed(error),
                    })
                })
                .buffer_unordered(WRITERS);
            count(redriven, callbacks).await
        })
    }
}

impl<T: StatusTracker> fmt::Debug for RedriveAll<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedriveAll").finish_non_exhaustive()
    }
}

/// Refuses a status from which no task can be redriven.
fn check_status<T: StatusTracker>(status: T::Status) -> Result<(), Error> {
    if matches!(status.role(), Role::Ignored | Role::Failed) {
        return Ok(());
    }
    let reason =
        format!("`{}` is neither ignored nor failed; use a status with one of these roles", status.name());
    Err(Error::new(ErrorKind::InvalidQuery { reason }))
}
