//! Reads one task.

use std::borrow::Borrow;
use std::fmt::{self, Display};
use std::future::IntoFuture;
use std::pin::Pin;

use crate::dynamodb::{self, Context};
use crate::error::Error;
use crate::item::attribute::Item;
use crate::item::head::TaskHead;
use crate::tracker::Tracker;
use crate::tracker::codec::read_task;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

impl<T: StatusTracker> Tracker<T> {
    /// Reads a task, or `None` if there is no task with this id.
    ///
    /// The read is eventually consistent, unless [`consistent`](GetTask::consistent) is called.
    ///
    /// # Errors
    ///
    /// - [`Decode`](crate::ErrorKind::Decode) if the item cannot be read into `T`.
    /// - [`InvalidTaskId`](crate::ErrorKind::InvalidTaskId) if the id is empty, or its key has more than
    ///   2,048 bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # async fn read<T: StatusTracker<TaskId = String>>(documents: &Tracker<T>) -> Result<(), Error> {
    /// if let Some(task) = documents.get("doc-1").consistent().await? {
    ///     println!("{} after {} attempts", task.status_name(), task.attempt());
    /// }
    /// # Ok(()) }
    /// ```
    pub fn get<Q>(&self, task_id: &Q) -> GetTask<'_, Task<T>>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        GetTask {
            cx: self.cx(),
            key: self.cx().key(task_id),
            consistent: false,
            head_only: false,
            decode: read_task,
        }
    }

    /// Reads a task's metadata without decoding its data, or `None` if there is no task with this id.
    ///
    /// The metadata is the tracker's own attributes, with the history. The read is eventually consistent,
    /// unless [`consistent`](GetTask::consistent) is called.
    ///
    /// # Errors
    ///
    /// - [`Decode`](crate::ErrorKind::Decode) if one of the tracker's own attributes cannot be read.
    /// - [`InvalidTaskId`](crate::ErrorKind::InvalidTaskId) if the id is empty, or its key has more than
    ///   2,048 bytes.
    pub fn head<Q>(&self, task_id: &Q) -> GetTask<'_, TaskHead>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        GetTask {
            cx: self.cx(),
            key: self.cx().key(task_id),
            consistent: false,
            head_only: true,
            decode: |cx, mut item| cx.head(&mut item),
        }
    }
}

/// A read of one task. It happens when this is awaited.
#[doc(alias = "Read")]
#[must_use = "the task is read when this is awaited"]
pub struct GetTask<'t, R> {
    cx: &'t Context,
    key: Result<String, Error>,
    consistent: bool,
    head_only: bool,
    decode: fn(&Context, Item) -> Result<R, Error>,
}

impl<R> GetTask<'_, R> {
    /// Makes the read strongly consistent: it sees every write that was acknowledged before.
    ///
    /// It costs twice as much as an eventually consistent read.
    pub fn consistent(mut self) -> Self {
        self.consistent = true;
        self
    }
}

impl<'t, R: 't> IntoFuture for GetTask<'t, R> {
    type Output = Result<Option<R>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 't>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let key = self.key?;
            let item = dynamodb::get(self.cx, &key, self.consistent, self.head_only).await?;
            item.map(|item| (self.decode)(self.cx, item)).transpose()
        })
    }
}

impl<R> fmt::Debug for GetTask<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetTask")
            .field("key", &self.key)
            .field("consistent", &self.consistent)
            .finish_non_exhaustive()
    }
}
