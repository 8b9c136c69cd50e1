//! Creating many tasks at once, and one that may be there.

use std::fmt;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::progress::WRITERS;
use crate::dynamodb::batch::{ITEMS_PER_WRITE, batch_put, until_processed};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, KEY};
use crate::item::head::TaskHead;
use crate::lifecycle::create;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

/// How many requests of `overwrite_many` are under way at the same time.
const BATCHES: usize = 4;

/// What became of one task of [`Tracker::create_many`].
#[non_exhaustive]
pub enum Created<T: StatusTracker> {
    /// It was created.
    New(Task<T>),
    /// There was one, which was left as it is: its head, if it can be read.
    Existing {
        /// The id.
        task_id: T::TaskId,
        /// What is there.
        found: Option<TaskHead>,
    },
    /// It was not created.
    Failed {
        /// What was to be created.
        task_id: T::TaskId,
        /// Why it was not.
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
    /// Creates many tasks, several at a time; existing ones are left as they are. An outcome for each, as they come:
    /// one that fails stops nothing. Of two tasks with one id, either may be the one that is created.
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

    /// As [`create_many`](Self::create_many), from a stream.
    pub fn create_many_from<S>(&self, tasks: S) -> impl Stream<Item = Created<T>> + Send + Unpin + use<T, S>
    where
        S: Stream<Item = T> + Send + 'static,
    {
        let cx = Arc::clone(self.shared_cx());
        let create = move |data: T| {
            let cx = Arc::clone(&cx);
            async move {
                let task_id = data.task_id().clone();
                match create::create(&cx, data, None).await {
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
    /// Writes tasks as new ones *over whatever is there*, also over tasks that are running or done: 25 in a request,
    /// several requests at a time, without a condition. For filling an empty table, and for starting over.
    ///
    /// `attempt` begins again at 0 with it, so it is no fencing token for a task that was there before, and requests
    /// about that task that are still on their way fit the new one. Ids should differ: of two tasks with one id, either
    /// may be the one that stays.
    ///
    /// A task that cannot be stored is in the result, and stops nothing.
    ///
    /// # Errors
    ///
    /// Where DynamoDB refuses a request: any of the tasks may have been written by then.
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
                            // A request must not have a key twice.
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

/// What [`Tracker::overwrite_many`] has done.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Overwritten {
    /// The tasks that were written.
    pub written: u64,
    /// Why others were not: their ids or their data cannot be stored. Each names its key, where it has one.
    pub failed: Vec<Error>,
}
