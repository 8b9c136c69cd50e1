//! The names of the tracker's own attributes, and the sizes of values as DynamoDB counts them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

pub(crate) use crate::declare::names::{
    ATTEMPT, CANCEL, CANCEL_NOTE, CREATE_TIME, DATA, ERRORS, EXPIRES_AT, HEAD, KEY, LAST_LOCK, LEASE_MS,
    LOCK, LOCK_TIME, LOST_ATTEMPTS, LOST_LOCK, OWNER, PROGRESS, RETRY, RUN_AT, SNOOZES, STARTED_FROM, STATUS,
    UPDATE_TIME, VALUE,
};
use crate::time::Timestamp;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// The value of `lock` if no worker holds the task.
pub(crate) const NOT_LOCKED: &str = "__not_locked__";

/// Returns the code of the status of an item, if it has one.
pub(crate) fn status_code(item: &Item) -> Option<u32> {
    item.get(STATUS)?.as_n().ok()?.parse().ok()
}

/// Returns whether an item with the key of a task is one, also if its status cannot be read. The attributes of other kinds of items may
/// have some of the names, but hardly both.
pub(crate) fn looks_like_a_task(item: &Item) -> bool {
    status_code(item).is_some() || item.contains_key(LOCK_TIME)
}

pub(crate) fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn time(time: Timestamp) -> AttributeValue {
    AttributeValue::S(time.stored())
}

pub(crate) fn number(number: impl Into<u64>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

/// DynamoDB's limit for an item in bytes, the names of its attributes included.
pub(crate) const ITEM_BYTES: usize = 400 * 1024;

/// The bytes of an item that its data and its history leave free: for the attributes that starts and finishes add, and
/// for what DynamoDB adds to the size of an update (19 bytes for each value that it writes, and 2 for each removal).
pub(crate) const PROTOCOL_BYTES: usize = 600;
/// The most bytes that an item may have after a write of data. The rest is for the protocol, and for a short entry of the
/// history.
pub(crate) const ITEM_BYTES_WITH_DATA: usize = ITEM_BYTES - 1024;

/// Returns the size of an item in bytes, as DynamoDB counts it. Each number may be off by a few bytes.
pub(crate) fn size_of_item(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + size_of(value)).sum()
}

/// Returns the size of a value in bytes, counted in the same way.
pub(crate) fn size_of(value: &AttributeValue) -> usize {
    const LIST_OR_MAP_BYTES: usize = 3;
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => size_of_number(number),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|number| size_of_number(number)).sum(),
        AttributeValue::Bs(all) => all.iter().map(|bytes| bytes.as_ref().len()).sum(),
        AttributeValue::L(values) => {
            LIST_OR_MAP_BYTES + values.iter().map(|value| 1 + size_of(value)).sum::<usize>()
        }
        AttributeValue::M(members) => {
            let members = members.iter().map(|(name, value)| 1 + name.len() + size_of(value));
            LIST_OR_MAP_BYTES + members.sum::<usize>()
        }
        _ => 1,
    }
}

/// Returns the size of a number: a byte, one for each two digits, and one for the sign of a negative number.
fn size_of_number(number: &str) -> usize {
    let digits = number.trim_start_matches('-');
    1 + digits.len().div_ceil(2) + usize::from(digits.len() < number.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes that AWS was seen to count: docs/dynamodb-assumptions.md, 5.3.
    #[test]
    fn a_number_has_a_byte_for_two_digits_and_one_for_its_sign() {
        for (number, size) in
            [("1", 2), ("12", 2), ("123", 3), ("-1", 3), ("-12", 3), ("-123", 4), ("1.5", 3)]
        {
            assert_eq!(size_of(&AttributeValue::N(number.to_owned())), size, "{number}");
        }
        assert_eq!(size_of(&AttributeValue::Ns(vec!["-1".to_owned(), "12".to_owned()])), 5);
    }
}
