//! Encodes a tracked struct into its item, and decodes it.

use crate::declare::spec::Wire;
use crate::dynamodb::Context;
use crate::error::{Error, ErrorKind, chain_text};
use crate::item::attribute::{DATA, Item};
use crate::item::document::Document;
use crate::item::fields::{self, Encoded};
use crate::item::translation::foreign;
use crate::tracker::status_tracker::{StatusTracker, read_data};
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

/// Refuses fields that could be written and never be read again.
pub(crate) fn check_encoded<T: StatusTracker>(encoded: &Encoded, form: Wire) -> Result<(), Error> {
    let Encoded { task_id, attributes, members } = encoded.clone();
    let stored = attributes.into_iter().filter(|(_, value)| !value.is_null());
    let mut item: Item = stored.map(|(name, value)| (foreign(name).into_owned(), value)).collect();
    if let Some(Ok(data)) = Document::Absent(form).merged(members) {
        item.insert(DATA.to_owned(), data);
    }
    check_round_trip::<T>(&task_id, &item, form)
}

/// Refuses an item that could be written and never be read again, such as one with a field whose `Deserialize` wants borrowed
/// text.
pub(crate) fn check_round_trip<T: StatusTracker>(
    task_id: &str,
    item: &Item,
    wire: Wire,
) -> Result<(), Error> {
    let mut item = item.clone();
    let mut document = Document::parse(item.remove(DATA), wire);
    match decode::<T>(task_id, &mut item, &mut document) {
        Ok(_) => Ok(()),
        Err(error) => {
            let ErrorKind::Decode { attribute } = error.kind() else { return Err(error) };
            let attribute = attribute.clone();
            let why = format!("what its `Serialize` writes cannot be read back: {}", chain_text(&error));
            Err(Error::new(ErrorKind::Encode { attribute }).with_reason(why).with_source(error))
        }
    }
}

/// Reads an item into a task.
pub(crate) fn read_task<T: StatusTracker>(cx: &Context, mut item: Item) -> Result<Task<T>, Error> {
    let head = cx.head(&mut item)?;
    let (head, data) = read_data(head, item, cx.config.wire).map_err(|error| error.in_table(&cx.names))?;
    Ok(Task::new(head, data))
}
