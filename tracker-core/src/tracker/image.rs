//! Items that others hand over: a stream of the table, an export, or a program with a client of its own.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::error::{Error, ErrorKind};
use crate::item::attribute::{DATA, Item, KEY};
use crate::item::document::Document;
use crate::item::head::{TaskHead, read_head};
use crate::item::use_case::UseCase;
use crate::time::{Clock, SystemClock, Timestamp};
use crate::tracker::codec;
use crate::tracker::new_item::NewItem;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

/// An item, in one of the forms in which others hand it over.
///
/// | form | who gives it | feature |
/// |---|---|---|
/// | `HashMap<String, aws_sdk_dynamodb::types::AttributeValue>` | the SDK's client of DynamoDB | |
/// | `HashMap<String, aws_sdk_dynamodbstreams::types::AttributeValue>` | the SDK's client of streams: `StreamRecord::new_image` | `streams` |
/// | `serde_dynamo::Item` | `aws_lambda_events`: `StreamRecord::new_image` | `lambda` |
///
/// Without the feature `lambda`, `HashMap::<String, AttributeValue>::from(image)` converts the last form into the first.
pub trait IntoItem: sealed::IntoItem {}

impl<I: sealed::IntoItem> IntoItem for I {}

mod sealed {
    use super::Item;

    pub trait IntoItem {
        fn into_item(self) -> Item;
    }
}

impl sealed::IntoItem for HashMap<String, AttributeValue> {
    fn into_item(self) -> Item {
        self
    }
}

#[cfg(feature = "streams")]
impl sealed::IntoItem for HashMap<String, aws_sdk_dynamodbstreams::types::AttributeValue> {
    fn into_item(self) -> Item {
        let image = self.into_iter().map(|(name, value)| (name, serde_dynamo::AttributeValue::from(value)));
        image.map(|(name, value)| (name, value.into())).collect()
    }
}

#[cfg(feature = "lambda")]
impl sealed::IntoItem for serde_dynamo::Item {
    fn into_item(self) -> Item {
        self.into()
    }
}

impl TaskHead {
    /// Reads the metadata of a task of type `T` from its item, also if the data cannot be read.
    ///
    /// # Errors
    ///
    /// - [`NotATask`](ErrorKind::NotATask) if the item is not a task of the use case that `T` declares: it is of another use case,
    ///   or of another program.
    /// - [`Decode`](ErrorKind::Decode), which names the attribute, if the item has a key of the use case and cannot be read.
    ///
    /// # Examples
    ///
    /// ```
    /// use tracker_core::{Error, IntoItem, StatusTracker, TaskHead};
    ///
    /// fn status<T: StatusTracker>(image: impl IntoItem) -> Result<String, Error> {
    ///     Ok(TaskHead::from_item::<T>(image)?.status_name().to_owned())
    /// }
    /// ```
    pub fn from_item<T: StatusTracker>(item: impl IntoItem) -> Result<Self, Error> {
        head_of::<T>(&mut item.into_item())
    }
}

impl<T: StatusTracker> Task<T> {
    /// Reads a task from its item: an image of a [stream](IntoItem), an item of an export, or one that another client has read.
    ///
    /// # Errors
    ///
    /// The errors of [`TaskHead::from_item`]; also [`Decode`](ErrorKind::Decode) if the data cannot be read into `T`: then
    /// [`Error::task`] has the metadata.
    pub fn from_item(item: impl IntoItem) -> Result<Self, Error> {
        let mut item = item.into_item();
        let head = head_of::<T>(&mut item)?;
        let mut document = Document::parse(item.remove(DATA), T::__SPEC.wire);
        match codec::decode(&head.task_id, &mut item, &mut document) {
            Ok(data) => Ok(Self::new(head, data)),
            Err(error) => Err(error.with_task(head)),
        }
    }
}

/// Returns the item of a new task, as `create` writes it.
pub(crate) fn to_item<T: StatusTracker>(data: &T) -> Result<Item, Error> {
    let use_case = &UseCase::new(&T::__SPEC, T::__SPEC.use_case_id);
    let create_time = Timestamp::from(SystemClock.now());
    NewItem { use_case, wire: T::__SPEC.wire, create_time, checks_round_trip: true }.of(data)
}

/// Reads the head of an item of the declared use case, and removes `errors` from the item.
fn head_of<T: StatusTracker>(item: &mut Item) -> Result<TaskHead, Error> {
    let use_case = UseCase::new(&T::__SPEC, T::__SPEC.use_case_id);
    let no_task = |reason: String| Error::new(ErrorKind::NotATask { reason });
    let Some(AttributeValue::S(key)) = item.get(KEY) else {
        return Err(no_task(format!("the item has no text `{KEY}`")));
    };
    if !key.starts_with(&use_case.prefix()) {
        let reason = format!("its key does not begin with \"{}\"", use_case.prefix());
        return Err(no_task(reason).with_key(key));
    }
    Ok(read_head(item, &use_case, T::__SPEC.wire)?)
}
