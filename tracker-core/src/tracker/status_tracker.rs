//! The traits of a tracked struct, which `#[derive(StatusTracker)]` implements, and the helpers of their methods.

use std::borrow::Borrow;
use std::fmt::Display;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::declare::description::Description;
use crate::declare::layout::Layout;
use crate::declare::spec::{TrackerSpec, Wire};
use crate::declare::status::TrackerStatus;
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{DATA, Item, KEY, STATUS, VALUE, looks_like_a_task};
use crate::item::definition::{DefinitionError, TableDefinition};
use crate::item::document::Document;
use crate::item::fields::{self, Fields, Identified, TaskId};
use crate::item::head::{self, TaskHead};
use crate::item::image::IntoItem;
use crate::item::key::shard_of;
use crate::item::translation::Translation;
use crate::item::use_case::{Status, UseCase};
use crate::tracker::Tracker;
use crate::tracker::builder::TrackerBuilder;

/// A tracked struct: each of its values is a task, which is stored as one DynamoDB item.
///
/// Derive the trait with [`#[derive(StatusTracker)]`](derive@crate::StatusTracker). Do not implement it by hand,
/// because the tracker relies on checks of the derive.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tracked struct",
    label = "no `StatusTracker` here",
    note = "add `#[derive(StatusTracker)]` and `#[tracker(use_case_id = \"..\", status = ..)]` to the struct"
)]
pub trait StatusTracker: Sized + Send + Sync + 'static {
    /// The enum of the statuses.
    type Status: TrackerStatus;
    /// The type of the task id.
    type TaskId: TaskId;

    #[doc(hidden)]
    const __SPEC: TrackerSpec;

    /// Returns the id of this task.
    fn task_id(&self) -> &Self::TaskId;

    #[doc(hidden)]
    fn __fields(from: Option<&Self>, fields: &mut Fields<'_>) -> Option<Self>;

    /// Returns a tracker with everything as declared.
    #[must_use]
    fn tracker(client: &Client) -> Tracker<Self>
    where
        Self: HasTable,
    {
        TrackerBuilder::new(client).finish(Self::__SPEC.table.unwrap_or_default())
    }

    /// Returns a builder, which replaces parts of the declaration at run time.
    #[must_use]
    fn tracker_builder(client: &Client) -> TrackerBuilder<Self> {
        TrackerBuilder::new(client)
    }

    /// Returns the description of the declaration: its use case, its step and the steps before it, as plain data.
    ///
    /// A program without the type works with the description: the command line `tracker`, or an
    /// [`Operator`](crate::Operator).
    #[must_use]
    fn describe() -> Description {
        Description::declared(&Self::__SPEC)
    }

    /// Returns the definition of the declared table, as text for CloudFormation, Terraform, the CDK or the AWS command line.
    /// [`TableDefinition::of`] makes one table of several use cases.
    ///
    /// # Errors
    ///
    /// [`DefinitionError`] if the declaration names no table, or DynamoDB does not allow its name.
    fn table_definition() -> Result<TableDefinition, DefinitionError> {
        TableDefinition::of([Self::describe()])
    }

    /// Reads the data of a task from its item. [`Task::from_item`](crate::Task::from_item) returns the status as well.
    ///
    /// # Errors
    ///
    /// The errors of [`Task::from_item`](crate::Task::from_item).
    fn from_item(item: impl IntoItem) -> Result<Self, Error> {
        read_item(item).map(|(_, data)| data)
    }

    /// Returns the attribute `key` of a task of the declared use case.
    ///
    /// # Errors
    ///
    /// [`InvalidTaskId`](ErrorKind::InvalidTaskId) if the id is empty or too long, or if its `Display` fails.
    fn make_key<Q>(task_id: &Q) -> Result<String, Error>
    where
        Q: Display + ?Sized,
        Self::TaskId: Borrow<Q>,
    {
        Ok(declared::<Self>().key(task_id)?)
    }

    /// Returns the attribute `value` of a task of the declared use case in a status and a shard, which is a partition
    /// of the index.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) if the status has no such shard.
    fn make_value(status: Self::Status, shard: u32) -> Result<String, Error> {
        make_value::<Self>(&declared::<Self>(), status, shard)
    }

    /// Returns the shard into which a task of the declared use case in a status is written, counted from 1.
    ///
    /// The shard is `1 + xxh3_64(key) % shards`, with the key as UTF-8.
    ///
    /// # Errors
    ///
    /// [`InvalidTaskId`](ErrorKind::InvalidTaskId) if the id is empty or too long, or if its `Display` fails.
    fn shard_id<Q>(status: Self::Status, task_id: &Q) -> Result<u32, Error>
    where
        Q: Display + ?Sized,
        Self::TaskId: Borrow<Q>,
    {
        Ok(shard_of(&declared::<Self>().key(task_id)?, status.shards()))
    }

    /// Returns the partitions of the index into which tasks of the declared use case in a status are written.
    #[must_use]
    fn index_partitions(status: Self::Status) -> Vec<String> {
        index_partitions::<Self>(&declared::<Self>(), status, 1)
    }
}

/// A tracked struct that declares its `table`, so that [`StatusTracker::tracker`] needs only a client.
#[diagnostic::on_unimplemented(
    message = "`{Self}` declares no table",
    label = "no `table` in its declaration",
    note = "add `table = \"..\"` to its `#[tracker(..)]`, or use `tracker_builder(..).table(..).build()?`"
)]
#[doc(alias = "WithTable")]
pub trait HasTable {}

#[diagnostic::do_not_recommend]
impl<T: StatusTracker> Identified for T {
    type Id = T::TaskId;
}

/// Returns the declaration of the previous step.
#[must_use]
pub const fn after<P: StatusTracker>() -> &'static TrackerSpec {
    &P::__SPEC
}

/// Returns the use case as declared.
fn declared<T: StatusTracker>() -> UseCase {
    UseCase::new(&T::__SPEC, T::__SPEC.use_case_id)
}

/// Reads the head of an item of the declared use case, and removes `errors` from the item.
pub(crate) fn read_head<T: StatusTracker>(item: &mut Item) -> Result<TaskHead, Error> {
    let names = names_of::<T>();
    *item = names.read(std::mem::take(item));
    read_head_of(item, &names, &declared::<T>(), T::__SPEC.wire)
}

/// Returns the names of the declared table.
fn names_of<T: StatusTracker>() -> Translation {
    Translation::new(&Layout::declared(&T::__SPEC.layout), T::__SPEC.sep)
}

/// Reads the head of an item of a use case, and removes `errors` from the item.
fn read_head_of(
    item: &mut Item,
    names: &Translation,
    use_case: &UseCase,
    wire: Wire,
) -> Result<TaskHead, Error> {
    let no_task = |reason: String| Error::new(ErrorKind::NotATask { reason });
    let Some(AttributeValue::S(key)) = item.get(KEY) else {
        let key = names.primary_key().collect::<Vec<_>>().join("` and `");
        return Err(no_task(format!("its `{key}` is not the primary key of a task")));
    };
    if !key.starts_with(&use_case.prefix()) {
        let reason = format!("its key does not begin with \"{}\"", use_case.prefix());
        return Err(no_task(reason).with_key(key));
    }
    // A use case of Python's may have a longer name with the same beginning: `test_` and `test`.
    let is_bare = !looks_like_a_task(item) || !item.contains_key(VALUE);
    if !names.is_identity() && is_bare {
        let [status, value] = [STATUS, VALUE].map(|own| names.name(own));
        return Err(no_task(format!("it has no number `{status}` or no `{value}`")).with_key(key));
    }
    if let Some(AttributeValue::S(value)) = item.get(VALUE)
        && !value
            .strip_prefix(&use_case.prefix())
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    {
        let (value, prefix) = (names.name(VALUE), use_case.prefix());
        let reason = format!("its `{value}` does not begin with \"{prefix}\" and a digit");
        return Err(no_task(reason).with_key(key));
    }
    head::read_head(item, use_case, wire).map_err(|error| Error::from(error).in_table(names))
}

/// Reads an item of the declared use case.
pub(crate) fn read_item<T: StatusTracker>(item: impl IntoItem) -> Result<(TaskHead, T), Error> {
    read_item_of(item, &names_of::<T>(), &declared::<T>(), T::__SPEC.wire)
}

/// Reads an item of a use case.
pub(crate) fn read_item_of<T: StatusTracker>(
    item: impl IntoItem,
    names: &Translation,
    use_case: &UseCase,
    wire: Wire,
) -> Result<(TaskHead, T), Error> {
    let mut item = names.read(item.into_item());
    let head = read_head_of(&mut item, names, use_case, wire)?;
    read_data(head, item, wire).map_err(|error| error.in_table(names))
}

/// Reads the fields of an item whose head has been read. The error of a field has the head.
pub(crate) fn read_data<T: StatusTracker>(
    head: TaskHead,
    mut item: Item,
    wire: Wire,
) -> Result<(TaskHead, T), Error> {
    let mut document = Document::parse(item.remove(DATA), wire);
    let decoded =
        fields::decode(head.task_id(), &mut item, &mut document, |fields| T::__fields(None, fields));
    match decoded {
        Ok(data) => Ok((head, data)),
        Err(error) => Err(Error::from(error).with_task(head)),
    }
}

/// Returns a status with the pads of its enum.
pub(crate) fn declared_status<T: StatusTracker>(status: T::Status) -> Option<Status> {
    let table = T::Status::__TABLE;
    Some(Status { table, row: table.row(status.code())? })
}

/// Returns the partition of a shard of a status, if the status has that shard.
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
            reason: format!("status `{}` has no shard {shard}; use 1 to {}", status.name(), status.shards()),
        })),
    }
}

/// Returns the partitions of a status: one for each of its shards, and at least `least`.
pub(crate) fn index_partitions<T: StatusTracker>(
    use_case: &UseCase,
    status: T::Status,
    least: u32,
) -> Vec<String> {
    declared_status::<T>(status).map_or_else(Vec::new, |status| use_case.partitions(status, least))
}
