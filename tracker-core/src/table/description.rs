//! The description of a use case: its separator, and which codes, roles, names and shards its statuses have. The table keeps
//! it, so that a deploy which gives a code to another status is noticed before it takes tasks for something else.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use crate::config::DESCRIPTION_PREFIX;
use crate::declare::status::{Role, StatusTable};
use crate::dynamodb::{self, Context, SENDS, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, KEY, number, string};
use crate::protocol::expression::Expression;

/// The attribute that holds the description.
const DESCRIPTION: &str = "description";
/// How often the description was written.
const REVISION: &str = "revision";
/// How many rounds a write may lose against other writers.
const ROUNDS: u32 = 6;

/// Whether the description may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// If the declaration has something new.
    IfNew,
    Never,
}

/// The description of a use case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Description {
    /// The separator of its keys.
    sep: String,
    /// The statuses of each step, by the name of the tracked type.
    steps: BTreeMap<String, Enum>,
}

/// The description of a status enum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Enum {
    /// The name of the enum.
    name: String,
    code_pad: u8,
    shard_pad: u8,
    /// The statuses, by their codes.
    statuses: BTreeMap<u32, Status>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Status {
    name: String,
    role: String,
    shards: u32,
}

/// What a comparison has found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Comparison {
    /// Why the declaration cannot be used with the stored tasks.
    differences: Vec<String>,
    /// What may make tasks invisible, and is no error.
    warnings: Vec<String>,
}

impl From<&StatusTable> for Enum {
    fn from(table: &StatusTable) -> Self {
        let status = |row: &crate::declare::status::StatusRow| {
            let status = Status { name: row.name.to_owned(), role: row.role.to_string(), shards: row.shards };
            (row.code, status)
        };
        Self {
            name: table.type_name.to_owned(),
            code_pad: table.code_pad,
            shard_pad: table.shard_pad,
            statuses: table.rows.iter().map(status).collect(),
        }
    }
}

/// Compares the separator and the statuses of a step with the stored description.
fn compare(stored: &Description, sep: &str, step: &str, own: &Enum, read_shards: u32) -> Comparison {
    let mut found = Comparison::default();
    let name = &own.name;
    if stored.sep != sep {
        let was = &stored.sep;
        found.differences.push(format!("the separator was `{was}`, and is `{sep}` now"));
    }
    for described in stored.steps.values() {
        let of = &described.name;
        // All steps of a use case have the same digits, also those that are declared no more.
        if (described.code_pad, described.shard_pad) != (own.code_pad, own.shard_pad) {
            found.differences.push(format!(
                "`{of}` had {} digits for a code and {} for a shard, and `{name}` has {} and {} now",
                described.code_pad, described.shard_pad, own.code_pad, own.shard_pad
            ));
        }
        for (code, was) in &described.statuses {
            match own.statuses.get(code) {
                Some(is) if meaning(&is.role) != meaning(&was.role) => found.differences.push(format!(
                    "code {code} was `{of}::{}`, {}, and is `{name}::{}`, {}, now",
                    was.name, was.role, is.name, is.role
                )),
                _ => {}
            }
        }
    }
    let Some(was) = stored.steps.get(step) else { return found };
    for (code, was) in &was.statuses {
        let Some(is) = own.statuses.get(code) else {
            let moved = own.statuses.iter().find(|(_, is)| is.role == was.role);
            let is_one_of_many = was.role == Role::MorePending.to_string();
            match moved.filter(|_| !is_one_of_many) {
                Some((now, is)) => found.differences.push(format!(
                    "`{name}::{}`, {}, had the code {code}, and `{}` has the code {now} now",
                    was.name, was.role, is.name
                )),
                None => found.warnings.push(format!(
                    "`{name}` no longer has the code {code} of `{}`; tasks in it are not found any more",
                    was.name
                )),
            }
            continue;
        };
        if is.shards.max(read_shards) < was.shards {
            found.warnings.push(format!(
                "`{name}::{}` had {} shards, and has {} now; tasks in the other shards are not found: set `read_shards`",
                was.name, was.shards, is.shards
            ));
        }
    }
    found
}

/// Returns what a role means for the tasks that are stored with its code. All roles that can be started mean the same: tasks may
/// be moved between their codes.
fn meaning(role: &str) -> &str {
    let ready = [Role::Pending, Role::MorePending, Role::Failed].map(|role| role.to_string());
    if ready.iter().any(|ready| ready == role) { "ready" } else { role }
}

/// Adds the statuses of a step to a description. What it no longer declares stays, because tasks may still have it.
fn merged(stored: &Description, step: &str, own: &Enum) -> Description {
    let mut merged = stored.clone();
    match merged.steps.get_mut(step) {
        None => {
            merged.steps.insert(step.to_owned(), own.clone());
        }
        Some(described) => {
            for (code, is) in &own.statuses {
                let most = described.statuses.get(code).map_or(0, |was| was.shards).max(is.shards);
                described.statuses.insert(*code, Status { shards: most, ..is.clone() });
            }
        }
    }
    merged
}

/// Compares the description of the use case with the declaration. Writes what is new, if `write` allows it.
pub(super) async fn check(cx: &Context, write: Write) -> Result<(), Error> {
    if !cx.config.description {
        return Ok(());
    }
    let sep = cx.use_case.sep();
    let key = format!("{DESCRIPTION_PREFIX}{}", cx.use_case.id());
    let (step, own) = (cx.use_case.type_name(), Enum::from(cx.config.status));
    for _ in 0..ROUNDS {
        let item = match dynamodb::get(cx, &key, true, false).await {
            Err(error) if dynamodb::is_access_denied(&error) => return Ok(()),
            item => item?,
        };
        let revision = item.as_ref().and_then(|item| item.get(REVISION)?.as_n().ok()?.parse::<u64>().ok());
        let exists = item.is_some();
        let stored = item.and_then(read);
        if exists && (stored.is_none() || revision.is_none()) {
            tracing::warn!(
                target: "tracker_core::table",
                key,
                "this version cannot read the description of the statuses, so nothing is compared, and the description stays \
                 as it is; if no other version needs it, delete the item"
            );
            return Ok(());
        }
        let found = match &stored {
            Some(stored) => compare(stored, sep, step, &own, cx.config.read_shards),
            None => Comparison::default(),
        };
        report(cx, &key, found)?;
        let was = stored.unwrap_or_else(|| Description { sep: sep.to_owned(), steps: BTreeMap::new() });
        let is = merged(&was, step, &own);
        if is == was || write == Write::Never {
            return Ok(());
        }
        match put(cx, &key, &is, revision).await {
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

/// Reads a description, if this version can.
fn read(mut item: Item) -> Option<Description> {
    let stored = item.remove(DESCRIPTION)?;
    serde_json::from_str(stored.as_s().ok()?).ok()
}

/// Writes a description, unless another writer was faster. Returns whether it was written.
async fn put(cx: &Context, key: &str, is: &Description, revision: Option<u64>) -> Result<bool, Error> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(rows: &[(u32, &str, Role, u32)]) -> Enum {
        let status = |(code, name, role, shards): &(u32, &str, Role, u32)| {
            (*code, Status { name: (*name).to_owned(), role: role.to_string(), shards: *shards })
        };
        Enum {
            name: "Step".to_owned(),
            code_pad: 3,
            shard_pad: 3,
            statuses: rows.iter().map(status).collect(),
        }
    }

    fn declared() -> Enum {
        statuses(&[
            (10, "Pending", Role::Pending, 5),
            (14, "Failed", Role::Failed, 5),
            (16, "Done", Role::Succeeded, 1),
            (17, "Paused", Role::MorePending, 1),
        ])
    }

    fn undescribed() -> Description {
        Description { sep: "____".to_owned(), steps: BTreeMap::new() }
    }

    fn differences(own: &Enum) -> Comparison {
        let stored = merged(&undescribed(), "Step", &declared());
        compare(&stored, "____", "Step", own, 1)
    }

    #[test]
    fn what_was_declared_before_has_no_differences() {
        assert_eq!(differences(&declared()), Comparison::default());
    }

    #[test]
    fn code_with_another_role_is_named_with_both_statuses() {
        let mut own = declared();
        own.statuses.insert(14, Status { name: "Done".to_owned(), role: "succeeded".to_owned(), shards: 1 });
        own.statuses.insert(16, Status { name: "Failed".to_owned(), role: "failed".to_owned(), shards: 5 });
        assert_eq!(
            differences(&own).differences,
            [
                "code 14 was `Step::Failed`, failed, and is `Step::Done`, succeeded, now",
                "code 16 was `Step::Done`, succeeded, and is `Step::Failed`, failed, now",
            ]
        );
    }

    #[test]
    fn role_with_another_code_is_named_with_both_codes() {
        let mut own = declared();
        let failed = own.statuses.remove(&14).unwrap();
        own.statuses.insert(15, failed);
        assert_eq!(
            differences(&own).differences,
            ["`Step::Failed`, failed, had the code 14, and `Failed` has the code 15 now"]
        );
    }

    /// The pages describe how to give a waiting status another code, by way of `more_pending`.
    #[test]
    fn code_may_move_between_roles_that_can_be_started() {
        let mut own = declared();
        own.statuses
            .insert(14, Status { name: "Old".to_owned(), role: "more pending".to_owned(), shards: 5 });
        own.statuses.insert(17, Status { name: "Failed".to_owned(), role: "failed".to_owned(), shards: 5 });
        assert_eq!(differences(&own), Comparison::default());
    }

    #[test]
    fn fewer_shards_and_a_missing_more_pending_status_are_warnings() {
        let mut own = declared();
        own.statuses.get_mut(&10).unwrap().shards = 4;
        own.statuses.remove(&17);
        let found = differences(&own);
        assert_eq!((found.differences.len(), found.warnings.len()), (0, 2), "{found:?}");
    }

    #[test]
    fn other_digits_are_a_difference() {
        let stored = merged(&undescribed(), "Step", &declared());
        let own = Enum { code_pad: 4, ..declared() };
        assert_eq!(compare(&stored, "____", "Step", &own, 1).differences.len(), 1);
        assert_eq!(compare(&stored, "____", "Renamed", &own, 1).differences.len(), 1);
    }

    #[test]
    fn another_separator_is_a_difference_and_the_first_one_stays() {
        let undescribed = Description { sep: "##".to_owned(), steps: BTreeMap::new() };
        let stored = merged(&undescribed, "Step", &declared());
        assert_eq!(stored.sep, "##");
        assert_eq!(compare(&stored, "##", "Step", &declared(), 1), Comparison::default());
        assert_eq!(
            compare(&stored, "____", "Next", &declared(), 1).differences,
            ["the separator was `##`, and is `____` now"]
        );
    }

    #[test]
    fn new_codes_and_more_shards_are_taken_over_and_nothing_is_forgotten() {
        let stored = merged(&undescribed(), "Step", &declared());
        let own = statuses(&[
            (10, "Pending", Role::Pending, 9),
            (14, "Failed", Role::Failed, 2),
            (18, "Ignored", Role::Ignored, 1),
        ]);
        let after = merged(&stored, "Step", &own);
        let shards: Vec<_> =
            after.steps["Step"].statuses.iter().map(|(code, status)| (*code, status.shards)).collect();
        assert_eq!(shards, [(10, 9), (14, 5), (16, 1), (17, 1), (18, 1)]);
        let with_another = merged(&after, "Next", &declared());
        assert_eq!(with_another.steps.len(), 2);
    }
}
