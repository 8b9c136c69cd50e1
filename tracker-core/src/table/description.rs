//! The description of a use case: its separator, and which codes, roles, names and shards its statuses have. The table keeps
//! it, so that a deploy which gives a code to another status is noticed before it takes tasks for something else.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::versioned::{self, Read};
use crate::config::DESCRIPTION_PREFIX;
use crate::declare::description::compare::{Comparison, Join, compare, joined, lowered};
use crate::declare::description::{Description, VERSION};
use crate::dynamodb::{self, Context};
use crate::error::{Error, ErrorKind};

/// The attribute that holds the description.
const DESCRIPTION: &str = "description";
/// The key of the item that lists the use cases of the table, and its attribute. Without it, only a scan of the whole table
/// would find them.
const USE_CASES: &str = "__tracker__use_cases";
const USE_CASE_IDS: &str = "use_case_ids";

/// Whether the description may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// If the declaration has something new.
    IfNew,
    /// If the table has none, or if this program reads fewer shards than an operator writes to: what a worker does.
    IfNeeded,
}

/// Returns the key of the description of a use case.
fn key_of(use_case_id: &str) -> String {
    format!("{DESCRIPTION_PREFIX}{use_case_id}")
}

/// Compares the description of the use case with the declaration. Writes what is new, if `write` allows it.
pub(super) async fn check(cx: &Context, write: Write) -> Result<(), Error> {
    if !cx.config.description {
        return Ok(());
    }
    // Boxed, because the futures of the callers would become large.
    match Box::pin(compare_and_write(cx, write)).await {
        Err(error) if dynamodb::is_access_denied(&error) => {
            if !cx.warned_of_description.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    target: "tracker_core::table",
                    key = key_of(cx.use_case.id()),
                    error = &error as &dyn std::error::Error,
                    "the description of the statuses could not be read or written; without it, a deploy that changes codes is \
                     not noticed"
                );
            }
            Ok(())
        }
        // A worker can do without: many of them may begin at the same time.
        Err(error)
            if write == Write::IfNeeded
                && matches!(error.kind(), ErrorKind::Contended | ErrorKind::OutcomeUnknown) =>
        {
            tracing::info!(
                target: "tracker_core::table",
                error = &error as &dyn std::error::Error,
                "this worker could not write the description of the statuses; the next one that begins tries again"
            );
            Ok(())
        }
        compared => compared,
    }
}

async fn compare_and_write(cx: &Context, write: Write) -> Result<(), Error> {
    let own = Description { table: None, ..cx.config.describe(cx.use_case.spec()) };
    let (key, step) = (key_of(cx.use_case.id()), cx.use_case.type_name());
    let stored = read(cx, cx.use_case.id()).await?;
    match (&stored, write) {
        (Read::Unreadable, _) => {
            tracing::warn!(
                target: "tracker_core::table",
                key,
                "this version cannot read the description of the statuses, so nothing is compared, and the description stays \
                 as it is; if no other version needs it, delete the item"
            );
            return Ok(());
        }
        // First, so that no description is left out of the list.
        (Read::Absent, _) => list(cx, cx.use_case.id()).await?,
        (Read::Found(..), _) => {}
    }
    let change = |stored: Option<Description>| {
        let Some(stored) = stored else { return Ok((Some(own.clone()), ())) };
        report(cx, &key, compare(&stored, &own, step, cx.config.read_shards))?;
        let is = match write {
            Write::IfNew => joined(&stored, &own, step, Join::Least),
            // Another step was described first.
            Write::IfNeeded if !stored.steps.contains_key(step) => joined(&stored, &own, step, Join::Least),
            Write::IfNeeded => lowered(&stored, &own, step, cx.config.read_shards),
        };
        Ok(((is != stored).then_some(is), ()))
    };
    versioned::change_read(cx, &key, DESCRIPTION, stored, change).await
}

/// Replaces the description of a use case by a declaration, although other programs may have declared other shards.
pub(crate) async fn publish(cx: &Context, own: &Description) -> Result<(), Error> {
    let own = Description { table: None, ..own.clone() };
    let key = key_of(&own.use_case_id);
    list(cx, &own.use_case_id).await?;
    let change = |stored: Option<Description>| {
        let Some(mut is) = stored else { return Ok((Some(own.clone()), ())) };
        let mut found = Comparison::default();
        for step in own.steps.keys() {
            found.differences.extend(compare(&is, &own, step, 1).differences);
            is = joined(&is, &own, step, Join::Replace);
        }
        report(cx, &key, found)?;
        Ok((Some(is), ()))
    };
    versioned::change(cx, &key, DESCRIPTION, change).await
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

/// Reads the description of a use case.
pub(crate) async fn read(cx: &Context, use_case_id: &str) -> Result<Read<Description>, Error> {
    Ok(match versioned::read(cx, &key_of(use_case_id), DESCRIPTION, true).await? {
        // A newer version has written it.
        Read::Found(Description { v, .. }, _) if v != VERSION => Read::Unreadable,
        read => read,
    })
}

/// Returns the error of a description that this version cannot read.
pub(crate) fn unreadable(use_case_id: &str) -> Error {
    versioned::unreadable(&key_of(use_case_id), DESCRIPTION)
}

/// Reads the ids of the use cases that are described in the table.
pub(crate) async fn use_cases(cx: &Context) -> Result<Vec<String>, Error> {
    match versioned::read(cx, USE_CASES, USE_CASE_IDS, true).await? {
        Read::Absent => Ok(Vec::new()),
        Read::Found(ids, _) => Ok(ids),
        Read::Unreadable => Err(versioned::unreadable(USE_CASES, USE_CASE_IDS)),
    }
}

/// Adds a use case to those that are described.
async fn list(cx: &Context, use_case_id: &str) -> Result<(), Error> {
    let add = |ids: Option<BTreeSet<String>>| {
        let mut ids = ids.unwrap_or_default();
        let is_new = ids.insert(use_case_id.to_owned());
        Ok((is_new.then_some(ids), ()))
    };
    versioned::change(cx, USE_CASES, USE_CASE_IDS, add).await
}
