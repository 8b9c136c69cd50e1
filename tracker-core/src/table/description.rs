//! The description of a use case: its separator, and which codes, roles, names and shards its statuses have. The table keeps
//! it, so that a deploy which gives a code to another status is noticed before it takes tasks for something else.

use std::sync::atomic::Ordering;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::config::DESCRIPTION_PREFIX;
use crate::declare::description::Description;
use crate::declare::description::compare::{Comparison, Join, compare, joined};
use crate::dynamodb::{self, Context, Route, SENDS, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, KEY, number, string};
use crate::protocol::expression::Expression;

/// The attribute that holds the description.
const DESCRIPTION: &str = "description";
/// How often the description was written.
const REVISION: &str = "revision";
/// The key of the item that lists the use cases of the table, and its attribute. Without it, only a scan of the whole table
/// would find them.
const USE_CASES: &str = "__tracker__use_cases";
const USE_CASE_IDS: &str = "use_case_ids";
/// How many rounds a write may lose against other writers.
const ROUNDS: u32 = 6;

/// Whether the description may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// If the declaration has something new.
    IfNew,
    Never,
}

/// Returns the key of the description of a use case.
pub(crate) fn key_of(use_case_id: &str) -> String {
    format!("{DESCRIPTION_PREFIX}{use_case_id}")
}

/// Compares the description of the use case with the declaration. Writes what is new, if `write` allows it.
pub(super) async fn check(cx: &Context, write: Write) -> Result<(), Error> {
    if !cx.config.description {
        return Ok(());
    }
    let own = Description { table: None, ..cx.config.describe(cx.use_case.spec()) };
    let (key, step) = (key_of(cx.use_case.id()), cx.use_case.type_name());
    for _ in 0..ROUNDS {
        let stored = match read(cx, cx.use_case.id()).await {
            Err(error) if dynamodb::is_access_denied(&error) => return Ok(()),
            stored => stored?,
        };
        let (is, revision) = match stored {
            Stored::Unreadable => {
                tracing::warn!(
                    target: "tracker_core::table",
                    key,
                    "this version cannot read the description of the statuses, so nothing is compared, and the description \
                     stays as it is; if no other version needs it, delete the item"
                );
                return Ok(());
            }
            Stored::Absent => (own.clone(), None),
            Stored::Described(stored, revision) => {
                report(cx, &key, compare(&stored, &own, step, cx.config.read_shards))?;
                let is = joined(&stored, &own, step, Join::Least);
                if is == *stored {
                    return Ok(());
                }
                (is, Some(revision))
            }
        };
        if write == Write::Never {
            return Ok(());
        }
        match put(cx, &is, revision).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if dynamodb::is_access_denied(&error) => {
                if !cx.warned_of_description.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        target: "tracker_core::table",
                        key,
                        error = &error as &dyn std::error::Error,
                        "the description of the statuses could not be written; without it, a deploy that changes codes \
                         is not noticed"
                    );
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(ErrorKind::Contended).with_key(&key))
}

/// Replaces the description of a use case by a declaration, although other programs may have declared other shards.
pub(crate) async fn publish(cx: &Context, own: &Description) -> Result<(), Error> {
    let own = Description { table: None, ..own.clone() };
    let key = key_of(&own.use_case_id);
    for _ in 0..ROUNDS {
        let (is, revision) = match read(cx, &own.use_case_id).await? {
            Stored::Described(stored, revision) => {
                let mut found = Comparison::default();
                let mut is = *stored;
                for step in own.steps.keys() {
                    found.differences.extend(compare(&is, &own, step, 1).differences);
                    is = joined(&is, &own, step, Join::Replace);
                }
                report(cx, &key, found)?;
                (is, Some(revision))
            }
            Stored::Absent => (own.clone(), None),
            Stored::Unreadable => return Err(unreadable(&key)),
        };
        if put(cx, &is, revision).await? {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Contended).with_key(&key))
}

/// Returns the error of a description that this version cannot read.
pub(crate) fn unreadable(key: &str) -> Error {
    let why = "another version has written the description; use that version, or delete the item if nothing needs it";
    Error::new(ErrorKind::Decode { attribute: DESCRIPTION.to_owned() }).because(why).with_key(key)
}

/// The description that a table keeps of a use case.
pub(crate) enum Stored {
    Absent,
    /// A newer version has written it.
    Unreadable,
    /// The description, and how often it was written.
    Described(Box<Description>, u64),
}

/// Reads the description of a use case.
pub(crate) async fn read(cx: &Context, use_case_id: &str) -> Result<Stored, Error> {
    let Some(mut item) = dynamodb::get(cx, &key_of(use_case_id), true, false).await? else {
        return Ok(Stored::Absent);
    };
    let revision = item.get(REVISION).and_then(|revision| revision.as_n().ok()?.parse().ok());
    let stored = item.remove(DESCRIPTION).and_then(|stored| serde_json::from_str(stored.as_s().ok()?).ok());
    Ok(match (stored, revision) {
        (Some(stored), Some(revision)) => Stored::Described(Box::new(stored), revision),
        _ => Stored::Unreadable,
    })
}

/// Reads the ids of the use cases that are described in the table.
pub(crate) async fn use_cases(cx: &Context) -> Result<Vec<String>, Error> {
    let item = dynamodb::get(cx, USE_CASES, true, false).await?;
    let ids = item.and_then(|mut item| match item.remove(USE_CASE_IDS)? {
        AttributeValue::Ss(ids) => Some(ids),
        _ => None,
    });
    let mut ids = ids.unwrap_or_default();
    ids.sort();
    Ok(ids)
}

/// Adds a use case to those that are described.
async fn list(cx: &Context, use_case_id: &str) -> Result<(), Error> {
    let add = Expression::new()
        .add("#use_case_ids :ids")
        .and("attribute_not_exists(#key) OR attribute_exists(#key)")
        .with(":ids", AttributeValue::Ss(vec![use_case_id.to_owned()]));
    match dynamodb::update(cx, Route::ALONE, USE_CASES, add, false).await {
        Ok(_) => Ok(()),
        Err(WriteError::Condition(_)) => Err(Error::new(ErrorKind::Contended).with_key(USE_CASES)),
        Err(WriteError::Unknown(error) | WriteError::Refused(error)) => Err(error),
    }
}

/// Logs the warnings, and returns the differences as an error.
fn report(cx: &Context, key: &str, found: Comparison) -> Result<(), Error> {
    for warning in found.warnings {
        tracing::warn!(target: "tracker_core::table", key, "{warning}");
    }
    if found.differences.is_empty() {
        return Ok(());
    }
    let mut differences = found.differences;
    differences.push(format!(
        "declare the old values again; or, if no stored task has them any more, delete the item `{key}`"
    ));
    Err(Error::new(ErrorKind::TableMismatch { table: cx.config.table.clone().into_owned(), differences }))
}

/// Writes a description, unless another writer was faster. Returns whether it was written.
async fn put(cx: &Context, is: &Description, revision: Option<u64>) -> Result<bool, Error> {
    let key = &*key_of(&is.use_case_id);
    if revision.is_none() {
        // First, so that no description is left out of the list.
        list(cx, &is.use_case_id).await?;
    }
    let text = serde_json::to_string(is).map_err(|error| {
        Error::new(ErrorKind::Encode { attribute: DESCRIPTION.to_owned() }).because(error)
    })?;
    let item: Item = [
        (KEY.to_owned(), string(key)),
        (DESCRIPTION.to_owned(), AttributeValue::S(text)),
        (REVISION.to_owned(), number(revision.unwrap_or(0) + 1)),
    ]
    .into();
    let seen = revision
        .map(|revision| Expression::new().and("#revision = :revision").with(":revision", number(revision)));
    let sent = dynamodb::settle(&*cx.clock, SENDS, || dynamodb::put(cx, key, item.clone(), seen.as_ref()));
    match sent.await {
        Ok(()) => Ok(true),
        Err(WriteError::Condition(_)) => Ok(false),
        Err(WriteError::Unknown(error) | WriteError::Refused(error)) => Err(error),
    }
}
