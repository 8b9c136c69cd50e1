//! Deletes all tasks of a use case.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::progress::{Callbacks, Progress, TaskResult, WRITERS, count};
use crate::dynamodb::Context;
use crate::dynamodb::scan::{Segment, scan};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, KEY};
use crate::lifecycle::delete::{delete_any, delete_scanned};
use crate::query::count::READERS;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

impl<T: StatusTracker> Tracker<T> {
    /// Deletes all tasks of the use case, of every step, with a parallel, strongly consistent scan of the whole table. This
    /// emits no events.
    ///
    /// Skips tasks that a worker holds, unless [`with_live_leases`](DeleteTasks::with_live_leases) is called.
    /// As in [`delete`](Self::delete), a task whose lease has expired is not held, unless
    /// [`takeover`](crate::TrackerBuilder::takeover) is [`Never`](crate::Takeover::Never).
    ///
    /// # Errors
    ///
    /// Returns an error of the scan, which ends the deletion, for example [`Throttled`](ErrorKind::Throttled)
    /// or [`TableNotFound`](ErrorKind::TableNotFound). [`on_error`](DeleteTasks::on_error) receives the
    /// errors of single tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # async fn clear<T: StatusTracker>(documents: &Tracker<T>) -> Result<(), Error> {
    /// let progress = documents.delete_tasks_by_use_case_id().on_error(|error| eprintln!("{error}")).await?;
    /// println!("{} deleted, {} skipped, {} failed", progress.done, progress.skipped, progress.failed);
    /// # Ok(()) }
    /// ```
    pub fn delete_tasks_by_use_case_id(&self) -> DeleteTasks<'_> {
        DeleteTasks { cx: self.cx(), with_live_leases: false, callbacks: Callbacks::default() }
    }
}

/// The deletion of a use case's tasks. It happens when this is awaited.
#[must_use = "the tasks are deleted when this is awaited"]
pub struct DeleteTasks<'t> {
    cx: &'t Context,
    with_live_leases: bool,
    callbacks: Callbacks<'t>,
}

impl<'t> DeleteTasks<'t> {
    /// Includes tasks that a worker holds. Their workers cannot record how the work ended.
    pub fn with_live_leases(mut self) -> Self {
        self.with_live_leases = true;
        self
    }

    /// Sets a function that is called after each task, with the counts so far.
    pub fn on_progress(mut self, progress: impl FnMut(Progress) + Send + 't) -> Self {
        self.callbacks.progress = Box::new(progress);
        self
    }

    /// Sets a function that receives the error of each task that could not be deleted. The deletion goes on.
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
        let deleted = tasks_of(cx, prefix)
            .map(move |task| async move {
                let (key, item) = task?;
                let deleted = if with_live_leases {
                    delete_any(cx, &key).await
                } else {
                    delete_scanned(cx, &key, item).await
                };
                Ok(match deleted {
                    Ok(()) => TaskResult::Done,
                    Err(error) if matches!(error.kind(), ErrorKind::Locked { .. }) => TaskResult::Skipped,
                    Err(error) => TaskResult::Failed(error),
                })
            })
            .buffer_unordered(WRITERS);
        Box::pin(count(deleted, callbacks))
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

/// Reads the tasks of a use case from all segments of the table: their keys, and what a delete is pinned to.
fn tasks_of(cx: &Context, prefix: String) -> impl Stream<Item = Result<(String, Item), Error>> + Send + '_ {
    let prefix: Arc<str> = prefix.into();
    let segments = (0..READERS).map(move |nth| {
        let state = Some((Arc::clone(&prefix), None));
        stream::try_unfold(state, move |state| async move {
            let Some((prefix, start)) = state else { return Ok::<_, Error>(None) };
            let page = scan(cx, Segment { nth, of: READERS }, &prefix, false, start).await?;
            let next = page.next.map(|next| (prefix, Some(next)));
            let keyed =
                page.items.into_iter().filter_map(|item| Some((item.get(KEY)?.as_s().ok()?.clone(), item)));
            Ok(Some((stream::iter(keyed.map(Ok).collect::<Vec<_>>()), next)))
        })
        .try_flatten()
        .boxed()
    });
    stream::select_all(segments)
}
