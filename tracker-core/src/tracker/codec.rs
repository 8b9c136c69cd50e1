//! Encodes a tracked struct into its item, and decodes it.

use crate::declare::spec::Wire;
use crate::dynamodb::Context;
use crate::error::Error;
use crate::item::attribute::{DATA, Item};
use crate::item::document::Document;
use crate::item::fields::{self, Encoded};
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

/// Encodes the fields of a struct. Members of `data` get the form in which the item stores `data`.
pub(crate) fn encode<T: StatusTracker>(data: &T, form: Wire) -> Result<Encoded, Error> {
    let walk = |fields: &mut fields::Fields<'_>| {
        T::__fields(Some(data), fields);
    };
    Ok(fields::encode(form, walk)?)
}

/// Decodes the fields of a struct. The attributes and members that the struct does not declare stay in `item` and
/// `data`.
pub(crate) fn decode<T: StatusTracker>(
    task_id: &str,
    item: &mut Item,
    data: &mut Document,
) -> Result<T, Error> {
    Ok(fields::decode(task_id, item, data, |fields| T::__fields(None, fields))?)
}

/// Reads an item into a task.
pub(crate) fn read_task<T: StatusTracker>(cx: &Context, mut item: Item) -> Result<Task<T>, Error> {
    let head = cx.head(&mut item)?;
    let mut document = Document::parse(item.remove(DATA), cx.config.wire);
    match decode(&head.task_id, &mut item, &mut document) {
        Ok(data) => Ok(Task::new(head, data)),
        Err(error) => Err(error.with_task(head)),
    }
}
