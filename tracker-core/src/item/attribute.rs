//! The names of the tracker's own attributes, and the sizes of values as DynamoDB counts them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::time::Timestamp;

pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) const KEY: &str = "key";
pub(crate) const VALUE: &str = "value";
pub(crate) const STATUS: &str = "status";
pub(crate) const RETRY: &str = "retry";
pub(crate) const CREATE_TIME: &str = "create_time";
pub(crate) const UPDATE_TIME: &str = "update_time";
pub(crate) const LOCK: &str = "lock";
pub(crate) const LOCK_TIME: &str = "lock_time";
pub(crate) const DATA: &str = "data";
pub(crate) const ERRORS: &str = "errors";
pub(crate) const ATTEMPT: &str = "attempt";
pub(crate) const LAST_LOCK: &str = "last_lock";
/// The lock id of the attempt that was last taken over; before the first takeover, a token of the create.
pub(crate) const LOST_LOCK: &str = "lost_lock";
/// How many attempts in a row were lost.
pub(crate) const LOST_ATTEMPTS: &str = "lost_attempts";
/// The length of the holder's lease in milliseconds.
pub(crate) const LEASE_MS: &str = "lease_ms";
pub(crate) const STARTED_FROM: &str = "started_from";
pub(crate) const OWNER: &str = "owner";
/// Who has asked the attempt to end that `cancel` names, and why.
pub(crate) const CANCEL_NOTE: &str = "cancel_note";
/// What the attempt has said of its progress.
pub(crate) const PROGRESS: &str = "progress";
/// The earliest time at which the task can be started.
pub(crate) const RUN_AT: &str = "run_at";
/// How many times in a row the task was snoozed.
pub(crate) const SNOOZES: &str = "snoozes";
/// The lock id of the attempt that is asked to end.
pub(crate) const CANCEL: &str = "cancel";
/// The time from which DynamoDB may delete the item, in epoch seconds.
pub(crate) const EXPIRES_AT: &str = "expires_at";

/// The attributes from which a `TaskHead` is read: all of the tracker's own except `data`.
pub(crate) const HEAD: [&str; 22] = [
    KEY,
    VALUE,
    STATUS,
    RETRY,
    CREATE_TIME,
    UPDATE_TIME,
    LOCK,
    LOCK_TIME,
    ERRORS,
    ATTEMPT,
    LAST_LOCK,
    LOST_LOCK,
    LOST_ATTEMPTS,
    LEASE_MS,
    STARTED_FROM,
    OWNER,
    RUN_AT,
    SNOOZES,
    CANCEL,
    EXPIRES_AT,
    PROGRESS,
    CANCEL_NOTE,
];

/// The value of `lock` if no worker holds the task.
pub(crate) const NOT_LOCKED: &str = "__not_locked__";

/// Returns the code of the status of an item, if it has one.
pub(crate) fn status_code(item: &Item) -> Option<u32> {
    item.get(STATUS)?.as_n().ok()?.parse().ok()
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
        AttributeValue::N(number) => number.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|number| number.len().div_ceil(2) + 1).sum(),
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
