//! One stored item: the names of the tracker's own attributes, and reading them.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::declare::spec::Wire;
use crate::error::{Error, ErrorKind};
use crate::item::head::TaskHead;
use crate::item::history::History;
use crate::item::use_case::UseCase;
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
pub(crate) const STARTED_FROM: &str = "started_from";
pub(crate) const OWNER: &str = "owner";
/// Before when the task is not started.
pub(crate) const RUN_AT: &str = "run_at";
/// How often it was snoozed since an attempt last ended otherwise.
pub(crate) const SNOOZES: &str = "snoozes";
/// The lock whose attempt is asked to end.
pub(crate) const CANCEL: &str = "cancel";
/// From when on DynamoDB deletes the item, in epoch seconds.
pub(crate) const EXPIRES_AT: &str = "expires_at";

/// All of the tracker's own attributes but `data`: what a [`TaskHead`] is read from.
pub(crate) const HEAD: [&str; 17] = [
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
    STARTED_FROM,
    OWNER,
    RUN_AT,
    SNOOZES,
    CANCEL,
    EXPIRES_AT,
];

/// What `lock` holds when nobody does.
pub(crate) const NOT_LOCKED: &str = "__not_locked__";

pub(crate) fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn time(time: Timestamp) -> AttributeValue {
    AttributeValue::S(time.stored())
}

pub(crate) fn number(number: impl Into<u64>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

/// DynamoDB's limit for an item, names of attributes included.
pub(crate) const ITEM_BYTES: usize = 400 * 1024;

/// The size of an item as DynamoDB counts it, within a few bytes for each number.
pub(crate) fn size_of_item(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + size_of(value)).sum()
}

/// The size of a value, counted in the same way.
pub(crate) fn size_of(value: &AttributeValue) -> usize {
    const OF_A_LIST_OR_MAP: usize = 3;
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|number| number.len().div_ceil(2) + 1).sum(),
        AttributeValue::Bs(all) => all.iter().map(|bytes| bytes.as_ref().len()).sum(),
        AttributeValue::L(values) => {
            OF_A_LIST_OR_MAP + values.iter().map(|value| 1 + size_of(value)).sum::<usize>()
        }
        AttributeValue::M(members) => {
            let members = members.iter().map(|(name, value)| 1 + name.len() + size_of(value));
            OF_A_LIST_OR_MAP + members.sum::<usize>()
        }
        _ => 1,
    }
}

/// Reads the tracker's own attributes, and takes `errors` out of the item.
///
/// What this crate adds to the format may be missing, since a Python `save` drops it.
pub(crate) fn read_head(item: &mut Item, use_case: &UseCase, wire: Wire) -> Result<TaskHead, Error> {
    let errors = History::parse(item.remove(ERRORS), wire);
    let bytes_without_errors = size_of_item(item);
    let read = Reader { item };
    let key = read.string(KEY)?.ok_or_else(|| read.error(KEY, "it is missing".to_owned()))?;
    let Some((use_case_id, task_id)) = use_case.split_key(key) else {
        let why = format!("it has no separator \"{}\"", use_case.sep());
        return Err(read.error(KEY, why));
    };
    let status_code = read.required(STATUS, read.number(STATUS)?)?;
    let value = read.string(VALUE)?;
    Ok(TaskHead {
        key: key.to_owned(),
        use_case_id: use_case_id.to_owned(),
        task_id: task_id.to_owned(),
        status_code,
        role: use_case.role(status_code),
        status_name: use_case.status_name(status_code).unwrap_or_else(|| Cow::Owned(status_code.to_string())),
        shard_id: value.and_then(|value| use_case.shard_of_value(value)),
        retry: read.number(RETRY)?.unwrap_or(0),
        attempt: read.number(ATTEMPT)?.unwrap_or(0),
        create_time: read.time(CREATE_TIME)?,
        update_time: read.time(UPDATE_TIME)?,
        lock_time: read.time(LOCK_TIME)?,
        lock: read
            .required(LOCK, read.string(LOCK)?)
            .map(|lock| (lock != NOT_LOCKED).then(|| lock.to_owned()))?,
        last_lock: read.string(LAST_LOCK)?.map(str::to_owned),
        started_from: read.number(STARTED_FROM)?,
        owner: read.string(OWNER)?.map(str::to_owned),
        // NULL is no time either, and the condition of a start does not hold for it.
        run_at: read.item.contains_key(RUN_AT).then(|| read.time(RUN_AT)).transpose()?,
        snoozes: read.number(SNOOZES)?.unwrap_or(0),
        cancel: read.string(CANCEL)?.map(str::to_owned),
        expires_at: read.number(EXPIRES_AT)?,
        errors,
        bytes_without_errors,
    })
}

/// Reads attributes, with errors that name the item and the attribute.
struct Reader<'i> {
    item: &'i Item,
}

impl<'i> Reader<'i> {
    fn error(&self, attribute: &str, why: String) -> Error {
        decode_error(self.item, attribute, why)
    }

    fn required<V>(&self, name: &str, value: Option<V>) -> Result<V, Error> {
        value.ok_or_else(|| self.error(name, "it is missing".to_owned()))
    }

    fn string(&self, name: &str) -> Result<Option<&'i str>, Error> {
        match self.item.get(name) {
            None | Some(AttributeValue::Null(_)) => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(name, format!("it is not a string, but {other:?}"))),
        }
    }

    fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, Error> {
        match self.item.get(name) {
            None | Some(AttributeValue::Null(_)) => Ok(None),
            Some(AttributeValue::N(number)) => number.parse().map(Some).map_err(|_| {
                self.error(name, format!("{number} is not a whole number in the range expected"))
            }),
            Some(other) => Err(self.error(name, format!("it is not a number, but {other:?}"))),
        }
    }

    fn time(&self, name: &str) -> Result<Timestamp, Error> {
        let text = self.required(name, self.string(name)?)?;
        Timestamp::parse(text)
            .ok_or_else(|| self.error(name, format!("\"{text}\" is not a time such as {}", Timestamp::EPOCH)))
    }
}

/// An error about one attribute of an item.
pub(crate) fn decode_error(
    item: &Item,
    attribute: impl Into<String>,
    why: impl Into<crate::error::BoxError>,
) -> Error {
    let error = Error::new(ErrorKind::Decode { attribute: attribute.into() }).with_source(why);
    match item.get(KEY) {
        Some(AttributeValue::S(key)) => error.with_key(key),
        _ => error,
    }
}
