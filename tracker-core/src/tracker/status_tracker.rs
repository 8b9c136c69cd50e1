//! The traits of a domain struct: what `#[derive(StatusTracker)]` implements, and the encoders that come with it.

use std::borrow::Borrow;
use std::fmt::Display;

use aws_sdk_dynamodb::Client;

use crate::declare::spec::TrackerSpec;
use crate::declare::status::TrackerStatus;
use crate::error::{Error, ErrorKind};
use crate::item::fields::{Fields, TaskId};
use crate::item::key::shard_of;
use crate::item::use_case::{Status, UseCase};
use crate::tracker::Tracker;
use crate::tracker::builder::TrackerBuilder;

/// A domain struct whose values are tracked, one DynamoDB item each.
///
/// Derive it with [`#[derive(StatusTracker)]`](derive@crate::StatusTracker); the trait is not meant to be
/// written by hand, since the derive checks what the runtime then relies on.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tracked struct",
    label = "no `StatusTracker` here",
    note = "add `#[derive(StatusTracker)]` and `#[tracker(use_case_id = \"..\", status = ..)]` to the struct"
)]
pub trait StatusTracker: Sized + Send + Sync + 'static {
    /// The enum of its statuses.
    type Status: TrackerStatus;
    /// The type of its task id.
    type TaskId: TaskId;

    #[doc(hidden)]
    const __SPEC: TrackerSpec;

    /// The id of this task.
    fn task_id(&self) -> &Self::TaskId;

    #[doc(hidden)]
    fn __fields(from: Option<&Self>, fields: &mut Fields<'_>) -> Option<Self>;

    /// A tracker with everything as declared.
    #[must_use]
    fn tracker(client: &Client) -> Tracker<Self>
    where
        Self: HasTable,
    {
        TrackerBuilder::new(client).finish(Self::__SPEC.table.unwrap_or_default())
    }

    /// A tracker that differs from the declaration in some points.
    #[must_use]
    fn tracker_builder(client: &Client) -> TrackerBuilder<Self> {
        TrackerBuilder::new(client)
    }

    /// The `key` of a task of the declared use case.
    ///
    /// # Errors
    ///
    /// [`InvalidTaskId`](ErrorKind::InvalidTaskId) where the id is empty or too long.
    fn make_key<Q>(task_id: &Q) -> Result<String, Error>
    where
        Q: Display + ?Sized,
        Self::TaskId: Borrow<Q>,
    {
        Ok(declared::<Self>().key(task_id)?)
    }

    /// The `value` of a task of the declared use case in a status and a shard: a partition of the index.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) where the status has no such shard.
    fn make_value(status: Self::Status, shard: u32) -> Result<String, Error> {
        make_value::<Self>(&declared::<Self>(), status, shard)
    }

    /// The shard, counted from 1, that a task of the declared use case is in while it has a status.
    ///
    /// It is `1 + xxh3_64(key) % shards`, with the key as UTF-8.
    ///
    /// # Errors
    ///
    /// [`InvalidTaskId`](ErrorKind::InvalidTaskId) where the id is empty or too long.
    fn shard_id<Q>(status: Self::Status, task_id: &Q) -> Result<u32, Error>
    where
        Q: Display + ?Sized,
        Self::TaskId: Borrow<Q>,
    {
        Ok(shard_of(&declared::<Self>().key(task_id)?, status.shards()))
    }

    /// Every partition of the index that holds tasks of the declared use case in a status.
    #[must_use]
    fn index_partitions(status: Self::Status) -> Vec<String> {
        index_partitions::<Self>(&declared::<Self>(), status, 1)
    }
}

/// A tracked struct that declares its `table`, so that [`StatusTracker::tracker`] needs nothing but a client.
#[diagnostic::on_unimplemented(
    message = "`{Self}` declares no table",
    label = "no `table` in its declaration",
    note = "add `table = \"..\"` to its `#[tracker(..)]`, or use `tracker_builder(..).table(..).build()?`"
)]
#[doc(alias = "WithTable")]
pub trait HasTable {}

/// The declaration of the previous step.
#[must_use]
pub const fn after<P: StatusTracker>() -> &'static TrackerSpec {
    &P::__SPEC
}

fn declared<T: StatusTracker>() -> UseCase {
    UseCase::new(&T::__SPEC, T::__SPEC.use_case_id)
}

pub(crate) fn declared_status<T: StatusTracker>(status: T::Status) -> Option<Status> {
    let table = T::Status::__TABLE;
    Some(Status { table, row: table.row(status.code())? })
}

pub(crate) fn make_value<T: StatusTracker>(
    use_case: &UseCase,
    status: T::Status,
    shard: u32,
) -> Result<String, Error> {
    match declared_status::<T>(status) {
        Some(status) if (1..=status.row.shards).contains(&shard) => {
            Ok(use_case.value_in_shard(status, shard))
        }
        _ => Err(Error::new(ErrorKind::InvalidConfig {
            reason: format!(
                "status `{}` has the shards 1 to {}, and {shard} is none of them",
                status.name(),
                status.shards()
            ),
        })),
    }
}

/// The partitions of a status, and at least `least` of them.
pub(crate) fn index_partitions<T: StatusTracker>(
    use_case: &UseCase,
    status: T::Status,
    least: u32,
) -> Vec<String> {
    declared_status::<T>(status).map_or_else(Vec::new, |status| use_case.partitions(status, least))
}
