//! The types that a user holds: a tracker, its builder, a tracked struct, and a stored task.
//!
//! Each operation adds its methods to `Tracker` in its own file.

pub(crate) mod accessors;
pub(crate) mod builder;
pub(crate) mod codec;
pub(crate) mod image;
pub(crate) mod new_item;
pub(crate) mod status_tracker;
pub(crate) mod task;
pub(crate) mod unsuccessful;

use std::borrow::Borrow;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::sync::Arc;

use self::status_tracker::StatusTracker;
use crate::config::TrackerConfig;
use crate::declare::description::Description;
use crate::declare::status::TrackerStatus;
use crate::dynamodb::Context;
use crate::error::Error;
use crate::item::key::shard_of;

/// A tracker: the tasks of one step, in one table and use case.
///
/// A tracker is cheap to clone. Get a tracker from [`StatusTracker::tracker`] or [`StatusTracker::tracker_builder`].
pub struct Tracker<T> {
    cx: Arc<Context>,
    of: PhantomData<fn() -> T>,
}

impl<T: StatusTracker> Tracker<T> {
    pub(crate) fn new(cx: Arc<Context>) -> Self {
        Self { cx, of: PhantomData }
    }

    /// Returns the context of every operation.
    pub(crate) fn cx(&self) -> &Context {
        &self.cx
    }

    /// Returns the context for a query or a task that outlives the tracker.
    pub(crate) fn shared_cx(&self) -> &Arc<Context> {
        &self.cx
    }

    /// Returns the configuration: the declaration, with the values that the builder replaced.
    #[must_use]
    pub fn config(&self) -> &TrackerConfig {
        &self.cx.config
    }

    /// Returns the owner name that is written into this tracker's leases.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.cx.owner
    }

    /// Returns the description of the declaration, with the values that the builder has replaced.
    #[must_use]
    pub fn describe(&self) -> Description {
        self.cx.config.describe(self.cx.use_case.spec())
    }

    /// Returns the attribute `key` of a task.
    ///
    /// # Errors
    ///
    /// [`InvalidTaskId`](crate::ErrorKind::InvalidTaskId) if the id is empty or too long, or if its `Display` fails.
    pub fn make_key<Q>(&self, task_id: &Q) -> Result<String, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        self.cx.key(task_id)
    }

    /// Returns the attribute `value` of a task in a status and a shard, which is a partition of the index.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if the status has no such shard.
    pub fn make_value(&self, status: T::Status, shard: u32) -> Result<String, Error> {
        status_tracker::make_value::<T>(&self.cx.use_case, status, shard)
    }

    /// Returns the shard into which a task in a status is written, counted from 1.
    ///
    /// # Errors
    ///
    /// [`InvalidTaskId`](crate::ErrorKind::InvalidTaskId) if the id is empty or too long, or if its `Display` fails.
    pub fn shard_id<Q>(&self, status: T::Status, task_id: &Q) -> Result<u32, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        Ok(shard_of(&self.cx.key(task_id)?, status.shards()))
    }

    /// Returns the partitions of the index that are read for tasks in a status, with the shards of `read_shards`
    /// included.
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
