//! A tracker: a client, a table and a use case, and what can be done with its tasks.

pub(crate) mod accessors;
pub(crate) mod builder;
pub(crate) mod codec;
pub(crate) mod status_tracker;
pub(crate) mod task;

use std::borrow::Borrow;
use std::fmt::{self, Display};
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::config::TrackerConfig;
use crate::declare::status::TrackerStatus;
use crate::dynamodb;
use crate::dynamodb::Context;
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::item::head::TaskHead;
use crate::item::key::shard_of;
use crate::lifecycle::cancel::{self, CancelOutcome};
use crate::lifecycle::create;
use crate::lifecycle::execution::Execution;
use crate::lifecycle::start;
use crate::runtime::detached::detached;
use crate::table;
use crate::time::Timestamp;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

/// The tasks of one step, in one table and use case.
///
/// Cheap to clone. Get one from [`StatusTracker::tracker`] or [`StatusTracker::tracker_builder`].
pub struct Tracker<T> {
    cx: Arc<Context>,
    of: PhantomData<fn() -> T>,
}

impl<T: StatusTracker> Tracker<T> {
    pub(crate) fn new(cx: Context) -> Self {
        Self { cx: Arc::new(cx), of: PhantomData }
    }

    pub(crate) fn cx(&self) -> &Context {
        &self.cx
    }

    pub(crate) fn shared_cx(&self) -> &Arc<Context> {
        &self.cx
    }

    /// What the tracker works with.
    #[must_use]
    pub fn config(&self) -> &TrackerConfig {
        &self.cx.config
    }

    /// Who holds the leases that this tracker takes.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.cx.owner
    }

    /// Creates a task in status pending. An existing one is left as it is.
    ///
    /// An id that was deleted should not be created again within minutes: requests about the old task that
    /// are still on their way would fit the new one.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ErrorKind::AlreadyExists), with the task that is there;
    /// [`InvalidTaskId`](ErrorKind::InvalidTaskId), [`Encode`](ErrorKind::Encode),
    /// [`ItemTooLarge`](ErrorKind::ItemTooLarge); [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) where no
    /// answer came: then it may be created again, and `AlreadyExists` says that it was.
    pub async fn create(&self, data: T) -> Result<Task<T>, Error> {
        create::create(&self.cx, data, None).await
    }

    /// Creates a task that is not to be started before a time: until then a start is refused as
    /// [`NotDue`](ErrorKind::NotDue), and [`query_for_unfinished`](Self::query_for_unfinished) leaves it out. Python workers
    /// do not know of it.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create).
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # async fn remind<T: StatusTracker>(reminders: &Tracker<T>, reminder: T) -> Result<(), Error> {
    /// let tomorrow = chrono::Utc::now() + chrono::TimeDelta::days(1);
    /// reminders.create_at(reminder, tomorrow).await?;
    /// # Ok(()) }
    /// ```
    pub async fn create_at(&self, data: T, run_at: DateTime<Utc>) -> Result<Task<T>, Error> {
        create::create(&self.cx, data, Some(Timestamp::new(run_at))).await
    }

    /// Reads a task: `None` where there is none. Eventually consistent, unless asked otherwise.
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode) where the item cannot be read into `T`.
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
            cx: &self.cx,
            key: self.cx.key(task_id),
            consistent: false,
            head_only: false,
            decode: codec::read_task,
        }
    }

    /// Reads the tracker's own attributes of a task, whatever its data looks like.
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode) where one of those attributes cannot be read.
    pub fn head<Q>(&self, task_id: &Q) -> GetTask<'_, TaskHead>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        GetTask {
            cx: &self.cx,
            key: self.cx.key(task_id),
            consistent: false,
            head_only: true,
            decode: |cx, mut item| cx.head(&mut item),
        }
    }

    /// Deletes a task that nobody works on. Gives back what was deleted: `None` where there was none. With
    /// [`takeover`](crate::TrackerBuilder::takeover) off, a task that was started and not finished counts as worked on,
    /// however old its lease is.
    ///
    /// # Errors
    ///
    /// [`Locked`](ErrorKind::Locked) where a worker holds the task.
    pub async fn delete<Q>(&self, task_id: &Q) -> Result<Option<TaskHead>, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        create::delete(&self.cx, &self.cx.use_case.key(task_id)?, false).await
    }

    /// Gives a task up from outside: it ends ignored, with an entry in its history. A [`redrive`](Self::redrive) sets it back
    /// to pending.
    ///
    /// A task that nobody works on is given up at once, and so is one whose holder let its lease expire, unless
    /// [`takeover`](crate::TrackerBuilder::takeover) is off: that holder may yet come back. An attempt that is
    /// under way is asked to end: its next heartbeat sees that, within a third of the lease; [`run`](Self::run) then drops
    /// the body's future and gives the task up, and [`cancelled`](Execution::cancelled) tells whoever has
    /// [started](Self::start) it by hand. An attempt that has ended before is not disturbed, and no later one ever is: the
    /// request names the lock that it is for. Python workers, and those whose heartbeat is off, do not see it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound), [`AlreadySucceeded`](ErrorKind::AlreadySucceeded),
    /// [`Ignored`](ErrorKind::Ignored), and [`NotReady`](ErrorKind::NotReady) where the task is another step's, each with
    /// the task as it was found; [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) where no answer came: then cancel again.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{CancelOutcome, Error, StatusTracker, Tracker};
    /// # async fn stop<T: StatusTracker<TaskId = String>>(documents: &Tracker<T>) -> Result<(), Error> {
    /// match documents.cancel("doc-1").await? {
    ///     CancelOutcome::Ignored(task) => println!("{} is {}", task.task_id(), task.status_name()),
    ///     CancelOutcome::Requested(task) => println!("{:?} was asked to end it", task.owner()),
    ///     _ => {}
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn cancel<Q>(&self, task_id: &Q) -> Result<CancelOutcome, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        cancel::cancel(&self.cx, &self.cx.use_case.key(task_id)?).await
    }

    /// Starts a task: takes its lock, so that no other worker can until the lease expires.
    ///
    /// A task whose holder let its lease expire is taken over, which counts as a failed attempt of that
    /// holder. Dropping the future gives back a task that it may have got.
    ///
    /// # Errors
    ///
    /// A [refusal](Error::is_refusal), with the task as it was found: [`NotFound`](ErrorKind::NotFound),
    /// [`Locked`](ErrorKind::Locked), [`ClockBehind`](ErrorKind::ClockBehind),
    /// [`AlreadySucceeded`](ErrorKind::AlreadySucceeded), [`Ignored`](ErrorKind::Ignored),
    /// [`NotReady`](ErrorKind::NotReady), [`NotDue`](ErrorKind::NotDue). [`Decode`](ErrorKind::Decode) where the item cannot be read into `T`:
    /// the task is then back where it was. [`ClockOff`](ErrorKind::ClockOff) where this machine's clock is known
    /// to be wrong. [`Unavailable`](ErrorKind::Unavailable) and [`Throttled`](ErrorKind::Throttled) where no
    /// answer came: the task may then be held until its lease expires.
    pub async fn start<Q>(&self, task_id: &Q) -> Result<Execution<T>, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        self.start_key(self.cx.use_case.key(task_id)?).await
    }

    pub(crate) async fn start_key(&self, key: String) -> Result<Execution<T>, Error> {
        let starting = start::start(Arc::clone(&self.cx), key.clone());
        match detached(self.cx.ticker.as_ref(), starting).await {
            Some(started) => {
                let (held, item) = started?;
                // It may have been started long before its caller came to ask.
                if held.has_passed(self.cx.now()) {
                    // Boxed, as the SDK's future would make that of every start large.
                    return Err(Box::pin(held.release_unused(Error::new(ErrorKind::LeaseLost))).await);
                }
                Execution::decode(held, item).await
            }
            None => Err(Error::new(ErrorKind::Unavailable)
                .with_source("the runtime is shutting down")
                .with_key(&key)),
        }
    }

    /// Creates the table and its index, and waits until both can be used. On-demand, unless asked otherwise.
    ///
    /// A table that is there already is verified instead. Where [`retain`](crate::TrackerBuilder::retain) is set, the table's
    /// time to live is switched on, also of one that was there.
    ///
    /// # Errors
    ///
    /// [`TableMismatch`](ErrorKind::TableMismatch) where there is a table of this name that does not fit.
    #[must_use = "the table is created when this is awaited"]
    pub fn create_table(&self) -> table::CreateTable<'_> {
        table::CreateTable::new(&self.cx)
    }

    /// Compares the table with what is needed.
    ///
    /// # Errors
    ///
    /// [`TableNotFound`](ErrorKind::TableNotFound), and [`TableMismatch`](ErrorKind::TableMismatch) with every
    /// difference.
    pub async fn verify_table(&self) -> Result<(), Error> {
        table::verify(&self.cx).await
    }

    /// Deletes the table, with the tasks of every use case in it.
    ///
    /// # Errors
    ///
    /// [`TableNotFound`](ErrorKind::TableNotFound).
    pub async fn delete_table(&self) -> Result<(), Error> {
        dynamodb::table::delete(&self.cx).await
    }

    /// The `key` of a task.
    ///
    /// # Errors
    ///
    /// [`InvalidTaskId`](ErrorKind::InvalidTaskId) where the id is empty or too long.
    pub fn make_key<Q>(&self, task_id: &Q) -> Result<String, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        self.cx.key(task_id)
    }

    /// The `value` of a task in a status and a shard: a partition of the index.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) where the status has no such shard.
    pub fn make_value(&self, status: T::Status, shard: u32) -> Result<String, Error> {
        status_tracker::make_value::<T>(&self.cx.use_case, status, shard)
    }

    /// The shard, counted from 1, that a task is in while it has a status.
    ///
    /// # Errors
    ///
    /// [`InvalidTaskId`](ErrorKind::InvalidTaskId) where the id is empty or too long.
    pub fn shard_id<Q>(&self, status: T::Status, task_id: &Q) -> Result<u32, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        Ok(shard_of(&self.cx.use_case.key(task_id)?, status.shards()))
    }

    /// Every partition of the index that holds tasks in a status, also those of `read_shards`.
    #[must_use]
    pub fn index_partitions(&self, status: T::Status) -> Vec<String> {
        status_tracker::index_partitions::<T>(&self.cx.use_case, status, self.cx.config.read_shards)
    }
}

impl<T> Clone for Tracker<T> {
    fn clone(&self) -> Self {
        Self { cx: Arc::clone(&self.cx), of: PhantomData }
    }
}

impl<T> fmt::Debug for Tracker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker")
            .field("config", &self.cx.config)
            .field("owner", &self.cx.owner)
            .finish_non_exhaustive()
    }
}

/// A read of one task, done when it is awaited.
#[must_use = "a read is done when it is awaited"]
pub struct GetTask<'t, R> {
    cx: &'t Context,
    key: Result<String, Error>,
    consistent: bool,
    head_only: bool,
    decode: fn(&Context, Item) -> Result<R, Error>,
}

impl<R> GetTask<'_, R> {
    /// Strongly consistent: what was written before is seen. Costs twice as much.
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
