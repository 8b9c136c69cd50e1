//! Deleting and redriving many tasks, with progress.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use crate::dynamodb::Context;
use crate::dynamodb::scan::{Segment, scan};
use crate::error::{Error, ErrorKind};
use crate::item::head::TaskHead;
use crate::lifecycle::create;
use crate::lifecycle::redrive;
use crate::query::count::READERS;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

/// How many requests are under way at the same time.
const WRITERS: usize = 32;

impl<T: StatusTracker> Tracker<T> {
    /// Deletes all tasks of the use case, in whatever step: a parallel scan of the whole table. Those that a worker
    /// holds are skipped, unless asked otherwise.
    pub fn delete_tasks_by_use_case_id(&self) -> DeleteTasks<'_> {
        DeleteTasks { cx: self.cx(), with_live_leases: false, callbacks: Callbacks::default() }
    }

    /// Sets an ignored or failed task back to pending, with `retry` at 0; its history is kept.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound), [`Locked`](ErrorKind::Locked) where a worker holds it,
    /// [`AlreadySucceeded`](ErrorKind::AlreadySucceeded), and [`NotReady`](ErrorKind::NotReady) in any other status, each with the task as it was found.
    pub async fn redrive<Q>(&self, task_id: &Q) -> Result<TaskHead, Error>
    where
        Q: fmt::Display + ?Sized,
        T::TaskId: std::borrow::Borrow<Q>,
    {
        redrive::redrive(self.cx(), &self.cx().use_case.key(task_id)?).await
    }

    /// Redrives all tasks in a status, ignored or failed. Those that have moved on meanwhile are skipped.
    pub fn redrive_all(&self, status: T::Status) -> RedriveAll<'_, T> {
        RedriveAll { tracker: self, status, callbacks: Callbacks::default() }
    }
}

/// How far a deletion or a redrive has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The tasks that were deleted, or set back to pending.
    pub done: u64,
    /// The tasks that were left as they are, since a worker holds them or they have moved on.
    pub skipped: u64,
    /// The tasks for which it did not work: see `on_error`.
    pub failed: u64,
}

/// What is called as a bulk operation goes on.
struct Callbacks<'t> {
    progress: Box<dyn FnMut(Progress) + Send + 't>,
    error: Box<dyn FnMut(Error) + Send + 't>,
}

impl Default for Callbacks<'_> {
    fn default() -> Self {
        Self { progress: Box::new(|_| {}), error: Box::new(|_| {}) }
    }
}

/// What became of one task of a bulk operation.
enum Outcome {
    Done,
    Skipped,
    Failed(Error),
}

/// The deletion of a use case's tasks, done when it is awaited.
#[must_use = "the tasks are deleted when this is awaited"]
pub struct DeleteTasks<'t> {
    cx: &'t Context,
    with_live_leases: bool,
    callbacks: Callbacks<'t>,
}

impl<'t> DeleteTasks<'t> {
    /// Also the tasks that a worker holds: its finish will find nothing.
    pub fn with_live_leases(mut self) -> Self {
        self.with_live_leases = true;
        self
    }

    /// Calls this after each task.
    pub fn on_progress(mut self, progress: impl FnMut(Progress) + Send + 't) -> Self {
        self.callbacks.progress = Box::new(progress);
        self
    }

    /// Calls this with the error of each task for which it did not work; the others go on.
    pub fn on_error(mut self, error: impl FnMut(Error) + Send + 't) -> Self {
        self.callbacks.error = Box::new(error);
        self
    }
}

impl<'t> IntoFuture for DeleteTasks<'t> {
    type Output = Result<Progress, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 't>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { cx, with_live_leases, callbacks } = self;
        let prefix = cx.use_case.prefix();
        let deleted = keys_of(cx, prefix)
            .map(move |key| async move {
                let key = key?;
                Ok(match create::delete(cx, &key, with_live_leases).await {
                    Ok(_) => Outcome::Done,
                    Err(error) if matches!(error.kind(), ErrorKind::Locked { .. }) => Outcome::Skipped,
                    Err(error) => Outcome::Failed(error),
                })
            })
            .buffer_unordered(WRITERS);
        Box::pin(counted(deleted, callbacks))
    }
}

impl fmt::Debug for DeleteTasks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeleteTasks")
            .field("use_case_id", &self.cx.config.use_case_id)
            .field("with_live_leases", &self.with_live_leases)
            .finish_non_exhaustive()
    }
}

/// The redrive of all tasks in a status, done when it is awaited.
#[must_use = "the tasks are redriven when this is awaited"]
pub struct RedriveAll<'t, T: StatusTracker> {
    tracker: &'t Tracker<T>,
    status: T::Status,
    callbacks: Callbacks<'t>,
}

impl<'t, T: StatusTracker> RedriveAll<'t, T> {
    /// Calls this after each task.
    pub fn on_progress(mut self, progress: impl FnMut(Progress) + Send + 't) -> Self {
        self.callbacks.progress = Box::new(progress);
        self
    }

    /// Calls this with the error of each task for which it did not work; the others go on.
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
            redrive::check_status::<T>(status)?;
            let redriven = tracker
                .query_by_status(status)
                // What fails again while it is read is for the next time.
                .until_now()
                .rows()
                .map(move |row| async move {
                    Ok(match redrive::redrive(cx, &row?.key).await {
                        Ok(_) => Outcome::Done,
                        Err(error) if error.is_refusal() => Outcome::Skipped,
                        Err(error) => Outcome::Failed(error),
                    })
                })
                .buffer_unordered(WRITERS);
            counted(redriven, callbacks).await
        })
    }
}

impl<T: StatusTracker> fmt::Debug for RedriveAll<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedriveAll").finish_non_exhaustive()
    }
}

/// Counts what becomes of each task; an error is one of finding them.
async fn counted(
    outcomes: impl Stream<Item = Result<Outcome, Error>> + Send,
    mut callbacks: Callbacks<'_>,
) -> Result<Progress, Error> {
    let mut outcomes = std::pin::pin!(outcomes);
    let mut progress = Progress::default();
    while let Some(outcome) = outcomes.try_next().await? {
        match outcome {
            Outcome::Done => progress.done += 1,
            Outcome::Skipped => progress.skipped += 1,
            Outcome::Failed(error) => {
                progress.failed += 1;
                (callbacks.error)(error);
            }
        }
        (callbacks.progress)(progress);
    }
    Ok(progress)
}

/// The keys of a use case, from all segments of the table.
fn keys_of(cx: &Context, prefix: String) -> impl Stream<Item = Result<String, Error>> + Send + '_ {
    let prefix: Arc<str> = prefix.into();
    let segments = (0..READERS).map(move |nth| {
        let state = Some((Arc::clone(&prefix), None));
        stream::try_unfold(state, move |state| async move {
            let Some((prefix, start)) = state else { return Ok::<_, Error>(None) };
            let page = scan(cx, Segment { nth, of: READERS }, &prefix, false, start).await?;
            let next = page.next.map(|next| (prefix, Some(next)));
            Ok(Some((stream::iter(page.keys.into_iter().map(Ok)), next)))
        })
        .try_flatten()
        .boxed()
    });
    stream::select_all(segments)
}
