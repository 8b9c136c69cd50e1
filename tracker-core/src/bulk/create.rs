//! Creates or overwrites many tasks.

use std::fmt;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::progress::WRITERS;
use crate::dynamodb::batch::{ITEMS_PER_WRITE, batch_put, until_processed};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, KEY};
use crate::item::head::TaskHead;
use crate::lifecycle::create;
use crate::protocol::effects::Effects;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

/// The number of requests that `overwrite_many` sends at the same time.
const BATCHES: usize = 4;

/// The outcome for one task of [`create_many`](Tracker::create_many).
#[non_exhaustive]
pub enum Created<T: StatusTracker> {
    /// The task was created.
    New(Task<T>),
    /// A task with this id exists, and stays as it is.
    Existing {
        /// The id of the task.
        task_id: T::TaskId,
        /// The existing task, if its metadata can be read.
        found: Option<TaskHead>,
    },
    /// The task was not created, or it is unknown whether it was.
    Failed {
        /// The id of the task.
        task_id: T::TaskId,
        /// The error of [`create`](Tracker::create).
        error: Error,
    },
}

impl<T: StatusTracker> fmt::Debug for Created<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New(task) => f.debug_tuple("New").field(task).finish(),
            Self::Existing { found, .. } => {
                f.debug_struct("Existing").field("found", found).finish_non_exhaustive()
            }
            Self::Failed { error, .. } => {
                f.debug_struct("Failed").field("error", error).finish_non_exhaustive()
            }
        }
    }
}

impl<T: StatusTracker> Tracker<T>
where
    T::TaskId: Clone,
{
    /// Creates many tasks, up to 32 at the same time. Existing tasks stay as they are.
    ///
    /// The stream has one outcome for each task, in the order in which the requests end. A task that fails
    /// does not stop the others. If two tasks have the same id, either may be the one that is created.
    /// Nothing is created unless the stream is polled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Created, Error, StatusTracker, Tracker};
    /// # use futures_util::StreamExt;
    /// # async fn seed<T: StatusTracker<TaskId = String>>(documents: &Tracker<T>, new: Vec<T>) {
    /// let mut outcomes = documents.create_many(new);
    /// while let Some(outcome) = outcomes.next().await {
    ///     if let Created::Failed { task_id, error } = outcome {
    ///         eprintln!("{task_id}: {error}");
    ///     }
    /// }
    /// # }
    /// ```
    pub fn create_many<I>(&self, tasks: I) -> impl Stream<Item = Created<T>> + Send + Unpin + use<T, I>
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: Send + 'static,
    {
        self.create_many_from(stream::iter(tasks))
    }

    /// Creates the tasks of a stream, as [`create_many`](Self::create_many) does.
    pub fn create_many_from<S>(&self, tasks: S) -> impl Stream<Item = Created<T>> + Send + Unpin + use<T, S>
    where
        S: Stream<Item = T> + Send + 'static,
    {
        let cx = Arc::clone(self.shared_cx());
        let create = move |data: T| {
            let cx = Arc::clone(&cx);
            async move {
                let task_id = data.task_id().clone();
                match create::create(&cx, data, None, &Effects::default()).await {
                    Ok(task) => Created::New(task),
                    Err(error) if *error.kind() == ErrorKind::AlreadyExists => {
                        Created::Existing { task_id, found: error.task().cloned() }
                    }
                    Err(error) => Created::Failed { task_id, error },
                }
            }
        };
        tasks.map(create).buffer_unordered(WRITERS).boxed()
    }
}

impl<T: StatusTracker> Tracker<T> {
    /// Writes tasks as new ones *over existing tasks*, running and succeeded ones included. Use it to fill an
    /// empty table, or to start over.
    ///
    /// Each request writes 25 tasks without a condition, and up to 4 requests are sent at the same time. This
    /// emits no events.
    ///
    /// An overwritten task starts again with `attempt` 0, so `attempt` is no fencing token for it. In-flight
    /// requests for the old task could apply to the new one. Give the tasks different ids: if two have the
    /// same id, either may be the one that stays.
    ///
    /// A task that cannot be stored is reported in the result, and does not stop the others.
    ///
    /// # Errors
    ///
    /// - [`Throttled`](ErrorKind::Throttled) if DynamoDB throttled a request, or left tasks unprocessed 10
    ///   times.
    /// - Any other error, such as [`Unavailable`](ErrorKind::Unavailable) or [`Service`](ErrorKind::Service),
    ///   if a request was not answered or was refused.
    ///
    /// After an error, any of the tasks may have been written.
    pub async fn overwrite_many(&self, tasks: impl IntoIterator<Item = T>) -> Result<Overwritten, Error> {
        let cx = self.cx();
        let mut overwritten = Overwritten::default();
        let mut tasks = tasks.into_iter().peekable();
        while tasks.peek().is_some() {
            let mut batches: Vec<Vec<Item>> = Vec::new();
            for _ in 0..BATCHES {
                let mut batch: Vec<Item> = Vec::with_capacity(ITEMS_PER_WRITE);
                for data in tasks.by_ref().take(ITEMS_PER_WRITE) {
                    match create::new_item(cx, &data) {
                        Ok(item) => {
                            // DynamoDB refuses a request that has a key twice.
                            batch.retain(|other| other.get(KEY) != item.get(KEY));
                            batch.push(item);
                        }
                        Err(error) => overwritten.failed.push(error),
                    }
                }
                if !batch.is_empty() {
                    batches.push(batch);
                }
            }
            overwritten.written += batches.iter().map(|batch| batch.len() as u64).sum::<u64>();
            let mut writes = Vec::with_capacity(batches.len());
            for batch in batches {
                writes.push(until_processed(cx, batch, |items| batch_put(cx, items)));
            }
            stream::iter(writes).buffer_unordered(BATCHES).try_collect::<Vec<_>>().await?;
        }
        Ok(overwritten)
    }
}

/// The result of [`overwrite_many`](Tracker::overwrite_many).
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Overwritten {
    /// The number of tasks that were written.
    pub written: u64,
    /// One error for each task that was not written, because its id or its data cannot be stored. An error
    /// names the key, unless the id gives no valid key.
    pub failed: Vec<Error>,
}
