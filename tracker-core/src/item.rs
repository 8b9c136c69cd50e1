//! One stored item: the names of the tracker's own attributes, and reading them.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::error::{Error, ErrorKind};
use crate::format::Format;
use crate::history::History;
use crate::spec::Wire;
use crate::task::TaskHead;
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

/// All of the tracker's own attributes but `data`: what a [`TaskHead`] is read from.
pub(crate) const HEAD: [&str; 13] = [
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
];

/// What `lock` holds when nobody does.
pub(crate) const NOT_LOCKED: &str = "__not_locked__";

pub(crate) fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn time(time: Timestamp) -> AttributeValue {
    AttributeValue::S(time.to_string())
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
/// `attempt`, `last_lock`, `started_from` and `owner` may be missing, since a Python `save` drops them.
pub(crate) fn read_head(item: &mut Item, format: &Format, wire: Wire) -> Result<TaskHead, Error> {
    let errors = History::parse(item.remove(ERRORS), wire);
    let bytes_without_errors = size_of_item(item);
    let read = Reader { item };
    let key = read.string(KEY)?.ok_or_else(|| read.error(KEY, "it is missing".to_owned()))?;
    let Some((use_case_id, task_id)) = format.split_key(key) else {
        let why = format!("it has no separator \"{}\"", format.sep());
        return Err(read.error(KEY, why));
    };
    let status_code = read.required(STATUS, read.number(STATUS)?)?;
    let value = read.string(VALUE)?;
    Ok(TaskHead {
        key: key.to_owned(),
        use_case_id: use_case_id.to_owned(),
        task_id: task_id.to_owned(),
        status_code,
        role: format.role(status_code),
        status_name: format.status_name(status_code).unwrap_or_else(|| Cow::Owned(status_code.to_string())),
        shard_id: value.and_then(|value| format.shard_of_value(value)),
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

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::primitives::Blob;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;
    use crate::document::Document;
    use crate::history::Keep;
    use crate::spec::{TrackerSpec, spec};
    use crate::status::{Role, StatusRow, StatusTable};

    static STATUSES: StatusTable = StatusTable {
        type_name: "Status",
        rows: &[StatusRow { code: 10, name: "Pending", role: Role::Pending, shards: 5 }],
        code_pad: 3,
        shard_pad: 3,
    };
    static SPEC: TrackerSpec = spec("Document", "extract", &STATUSES);

    /// Any attribute value, among them many that are nearly right.
    fn values() -> impl Strategy<Value = AttributeValue> {
        let texts = prop_oneof![
            any::<String>(),
            Just("2026-11-24T02:17:26.355394+0000".to_owned()),
            Just("2026-13-24T02:17:26.355394+0000".to_owned()),
            Just(NOT_LOCKED.to_owned()),
            Just("extract____doc-1".to_owned()),
            Just(r#"{"history": [{"nth_retry": NaN}]}"#.to_owned()),
            Just(r#"{"history": [{"nth_retry": -1, "error": {"a": 1e999}}, 3], "omitted": "x"}"#.to_owned()),
        ];
        let numbers = prop_oneof![any::<i64>().prop_map(|number| number.to_string()), any::<String>()];
        let leaf = prop_oneof![
            texts.prop_map(AttributeValue::S),
            numbers.prop_map(AttributeValue::N),
            any::<bool>().prop_map(AttributeValue::Bool),
            Just(AttributeValue::Null(true)),
            prop::collection::vec(any::<u8>(), 0..4).prop_map(|bytes| AttributeValue::B(Blob::new(bytes))),
            prop::collection::vec(any::<String>(), 0..3).prop_map(AttributeValue::Ss),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            let names = prop_oneof![Just("history".to_owned()), Just("error".to_owned()), any::<String>()];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
                prop::collection::hash_map(names, inner, 0..4).prop_map(AttributeValue::M),
            ]
        })
    }

    fn items() -> impl Strategy<Value = Item> {
        let names = HEAD.into_iter().chain([DATA, "customer"]).collect::<Vec<_>>();
        prop::collection::vec((prop::sample::select(names), values()), 0..16).prop_map(|attributes| {
            attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2000,
            rng_seed: RngSeed::Fixed(9),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        /// Never a panic: a readable head, or an error that names the attribute, and the key where there is one.
        #[test]
        fn garbage_is_read_or_named(item in items()) {
            let format = Format::new(&SPEC, "extract");
            let key = item.get(KEY).and_then(|key| key.as_s().ok().cloned());
            let _ = size_of_item(&item);
            let mut data = Document::parse(item.get(DATA).cloned(), Wire::Native);
            let _ = data.take::<serde_json::Value>("x");
            match read_head(&mut item.clone(), &format, Wire::Native) {
                Ok(mut head) => {
                    prop_assert_eq!(Some(head.key()), key.as_deref());
                    // What was read is written, and reads back.
                    if let Some(written) = head.errors.encode(Keep::All) {
                        let read = History::parse(Some(written), Wire::Native);
                        prop_assert_eq!(read.entries().len(), head.errors().len());
                    }
                }
                Err(error) => {
                    let ErrorKind::Decode { attribute } = error.kind() else { panic!("{error:?}") };
                    prop_assert!(HEAD.contains(&attribute.as_str()), "{}", attribute);
                    prop_assert_eq!(error.key(), key.as_deref());
                    prop_assert!(std::error::Error::source(&error).is_some());
                }
            }
        }
    }
}
