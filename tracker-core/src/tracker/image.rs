//! Tasks of items that others hand over: a stream of the table, an export, or a program with a client of its own.

use crate::error::Error;
use crate::item::head::TaskHead;
use crate::item::image::IntoItem;
use crate::tracker::status_tracker::{self, StatusTracker};
use crate::tracker::task::Task;

impl TaskHead {
    /// Reads the metadata of a task of type `T` from its item, also if the data cannot be read.
    ///
    /// # Errors
    ///
    /// - [`NotATask`](crate::ErrorKind::NotATask) if the item is not a task of the use case that `T` declares: it is of another use case,
    ///   or of another program.
    /// - [`Decode`](crate::ErrorKind::Decode), which names the attribute, if the item has a key of the use case and cannot be read.
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
        status_tracker::read_head::<T>(&mut item.into_item())
    }
}

impl<T: StatusTracker> Task<T> {
    /// Reads a task of the declared use case from its item: an image of a [stream](IntoItem), an item of an export, or one that another client has read.
    ///
    /// # Errors
    ///
    /// The errors of [`TaskHead::from_item`]; also [`Decode`](crate::ErrorKind::Decode) if the data cannot be read into `T`: then
    /// [`Error::task`] has the metadata.
    pub fn from_item(item: impl IntoItem) -> Result<Self, Error> {
        let (head, data) = status_tracker::read_item(item)?;
        Ok(Self::new(head, data))
    }
}
