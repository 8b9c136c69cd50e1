//! A domain struct to and from its item.

use crate::declare::spec::Wire;
use crate::dynamodb::Context;
use crate::error::Error;
use crate::item::attribute::{DATA, Item};
use crate::item::document::Document;
use crate::item::fields::{self, Encoded};
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

/// Encodes the fields of a struct, the members in the form in which the item's `data` is stored.
pub(crate) fn encode<T: StatusTracker>(data: &T, form: Wire) -> Result<Encoded, Error> {
    let walk = |fields: &mut fields::Fields<'_>| {
        T::__fields(Some(data), fields);
    };
    Ok(fields::encode(form, walk)?)
}

/// Decodes the fields of a struct. `item` and `data` keep what the struct does not declare.
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
