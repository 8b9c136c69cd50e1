//! Small items that several programs write: each write replaces what its program has read.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::dynamodb::{self, Context, SENDS};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, KEY, number, string};
use crate::protocol::expression::Expression;

/// How often the item was written.
const REVISION: &str = "revision";
/// How many rounds a write may lose against other writers.
const ROUNDS: u32 = 6;

/// What a key has.
pub(crate) enum Read<V> {
    Absent,
    /// Another version of this crate has written it, or another program.
    Unreadable,
    /// The value, and how often the item was written.
    Found(V, u64),
}

/// Reads the value that an attribute has as JSON text.
pub(super) async fn read<V: DeserializeOwned>(
    cx: &Context,
    key: &str,
    attribute: &str,
    consistent: bool,
) -> Result<Read<V>, Error> {
    let Some(item) = dynamodb::get(cx, key, consistent, false).await? else { return Ok(Read::Absent) };
    let revision = item.get(REVISION).and_then(|revision| revision.as_n().ok()?.parse().ok());
    let value = item.get(attribute).and_then(|value| serde_json::from_str(value.as_s().ok()?).ok());
    Ok(match (value, revision) {
        (Some(value), Some(revision)) => Read::Found(value, revision),
        _ => Read::Unreadable,
    })
}

/// Writes a value, unless another writer was faster since `revision` was read. Returns whether it was written.
pub(super) async fn write<V: Serialize + ?Sized>(
    cx: &Context,
    key: &str,
    attribute: &str,
    value: &V,
    revision: Option<u64>,
) -> Result<bool, Error> {
    let text = serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::Encode { attribute: attribute.to_owned() }).because(error))?;
    let item: Item = [
        (KEY.to_owned(), string(key)),
        (attribute.to_owned(), AttributeValue::S(text)),
        (REVISION.to_owned(), number(revision.unwrap_or(0).saturating_add(1))),
    ]
    .into();
    let seen = revision
        .map(|revision| Expression::new().and("#revision = :revision").with(":revision", number(revision)));
    let sent = dynamodb::settle(&*cx.clock, SENDS, || dynamodb::put(cx, key, item.clone(), seen.as_ref()));
    match sent.await {
        Ok(()) => Ok(true),
        // An earlier send may have been applied, if its response was lost.
        Err(error) => Ok(error.condition()?.image.is_some_and(|image| image == item)),
    }
}

/// Changes a value until no other writer is faster. `change` returns the new value, or none if there is nothing to write, and
/// the result.
pub(super) async fn change<V: Serialize + DeserializeOwned, R>(
    cx: &Context,
    key: &str,
    attribute: &str,
    change: impl FnMut(Option<V>) -> Result<(Option<V>, R), Error>,
) -> Result<R, Error> {
    let first = read(cx, key, attribute, true).await?;
    change_read(cx, key, attribute, first, change).await
}

/// Changes a value that was read already.
pub(super) async fn change_read<V: Serialize + DeserializeOwned, R>(
    cx: &Context,
    key: &str,
    attribute: &str,
    mut found: Read<V>,
    mut change: impl FnMut(Option<V>) -> Result<(Option<V>, R), Error>,
) -> Result<R, Error> {
    for _ in 0..ROUNDS {
        let (was, revision) = match found {
            Read::Absent => (None, None),
            Read::Found(value, revision) => (Some(value), Some(revision)),
            Read::Unreadable => return Err(unreadable(key, attribute)),
        };
        let (is, result) = change(was)?;
        let Some(is) = is else { return Ok(result) };
        if write(cx, key, attribute, &is, revision).await? {
            return Ok(result);
        }
        found = read(cx, key, attribute, true).await?;
    }
    Err(Error::new(ErrorKind::Contended).with_key(key))
}

/// Returns the error of an item that this version cannot read.
pub(super) fn unreadable(key: &str, attribute: &str) -> Error {
    let why =
        "another version has written the item; use that version, or delete the item if nothing needs it";
    Error::new(ErrorKind::Decode { attribute: attribute.to_owned() }).because(why).with_key(key)
}
