//! Status enums: the trait that `#[derive(TrackerStatus)]` implements, and the table that the tracker reads.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use crate::escaped::Escaped;

/// More shards than any status needs: 1,000 shards take half a million tasks a second.
pub(crate) const MOST_SHARDS: u32 = 1000;

/// The meaning of a status to the tracker.
///
/// Each role belongs to exactly one variant of a status enum, except [`MorePending`](Role::MorePending),
/// which any number of variants may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// The task waits for a worker. A new task has this role.
    Pending,
    /// The task waits for a worker under another code, such as the succeeded status of the previous step.
    MorePending,
    /// A worker has started the task and holds its lease, or the lease has expired.
    InProgress,
    /// The last attempt failed. The task waits for its next attempt.
    Failed,
    /// The task is done.
    Succeeded,
    /// The task is out of attempts, failed for good, or was cancelled. A start refuses it until it is
    /// redriven.
    Ignored,
}

impl Role {
    /// Returns whether a task in this role can be started: pending, more pending or failed.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Pending | Self::MorePending | Self::Failed)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::MorePending => "more pending",
            Self::InProgress => "in progress",
            Self::Failed => "failed",
            Self::Succeeded => "succeeded",
            Self::Ignored => "ignored",
        })
    }
}

/// The statuses of one step of work: an enum whose variants have a code, a role and a number of shards.
///
/// Use [`#[derive(TrackerStatus)]`](derive@crate::TrackerStatus). Do not implement the trait by hand, because
/// the tracker relies on the checks of the derive.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a status enum of a tracker",
    label = "no `TrackerStatus` here",
    note = "add `#[derive(TrackerStatus, Clone, Copy)]` to the enum and a role to each variant, such as `#[status(pending)]`"
)]
pub trait TrackerStatus: Copy + Send + Sync + 'static {
    /// All statuses, in the order of the enum.
    const ALL: &'static [Self];

    #[doc(hidden)]
    const __TABLE: &'static StatusTable;

    /// Returns the code of the status, which the item's attribute `status` stores.
    fn code(self) -> u32;

    /// Returns the status with this code, or `None` if the enum has no such code.
    #[must_use]
    fn from_code(code: u32) -> Option<Self> {
        let nth = Self::__TABLE.rows.iter().position(|row| row.code == code)?;
        Self::ALL.get(nth).copied()
    }

    /// Returns the status with this name, or `None` if the enum has no such name.
    #[must_use]
    fn from_name(name: &str) -> Option<Self> {
        let nth = Self::__TABLE.rows.iter().position(|row| row.name == name)?;
        Self::ALL.get(nth).copied()
    }

    /// Returns the name of the status: that of its variant, unless `rename` sets another name.
    #[must_use]
    fn name(self) -> &'static str {
        Self::__TABLE.row(self.code()).map_or("", |row| row.name)
    }

    /// Returns what the status means to the tracker.
    #[must_use]
    fn role(self) -> Role {
        // The derived table has the code of every variant, so the default is never used.
        Self::__TABLE.row(self.code()).map_or(Role::Pending, |row| row.role)
    }

    /// Returns the number of partitions of the index over which the tasks in this status are spread.
    #[must_use]
    fn shards(self) -> u32 {
        Self::__TABLE.row(self.code()).map_or(1, |row| row.shards)
    }
}

/// The text is the name of no status: the error of the `FromStr` of a status enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownStatus {
    name: String,
    of: &'static str,
    names: &'static [&'static str],
}

impl fmt::Display for UnknownStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, of, names } = self;
        write!(f, "`{}` is no status of `{of}`; use {}", Escaped(name), names.join(", "))
    }
}

impl std::error::Error for UnknownStatus {}

/// Returns the error of the `FromStr` that the derive emits.
#[must_use]
pub fn unknown_status(of: &'static str, name: &str, names: &'static [&'static str]) -> UnknownStatus {
    UnknownStatus { name: name.to_owned(), of, names }
}

/// A status enum as data. The derive emits it, and the tracker knows the enum by it alone.
#[doc(hidden)]
#[derive(Debug)]
pub struct StatusTable {
    pub type_name: &'static str,
    /// The statuses, in the order of [`TrackerStatus::ALL`].
    pub rows: &'static [StatusRow],
    /// The number of digits of a code in the attribute `value`.
    pub code_pad: u8,
    /// The number of digits of a shard in the attribute `value`.
    pub shard_pad: u8,
}

/// A status as data.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRow {
    pub code: u32,
    pub name: &'static str,
    pub role: Role,
    pub shards: u32,
}

/// Gives the table of a status enum, and an empty table for any other type. So the compiler reports a wrong
/// type once: where the derive names it as `StatusTracker::Status`.
#[doc(hidden)]
#[derive(Debug)]
pub struct TableOf<S>(PhantomData<S>);

impl<S: TrackerStatus> TableOf<S> {
    pub const TABLE: &'static StatusTable = S::__TABLE;
}

/// The fallback of `TableOf::TABLE`. An inherent constant precedes the constant of a trait if its bounds
/// hold.
#[doc(hidden)]
pub trait NoTable {
    const TABLE: &'static StatusTable = &StatusTable { type_name: "", rows: &[], code_pad: 3, shard_pad: 3 };
}

impl<S> NoTable for TableOf<S> {}

impl StatusTable {
    /// Returns the status with this code. It is `const`, because declarations are compared at compile time,
    /// too.
    pub(crate) const fn row(&self, code: u32) -> Option<&'static StatusRow> {
        let mut nth = 0;
        while nth < self.rows.len() {
            if self.rows[nth].code == code {
                return Some(&self.rows[nth]);
            }
            nth += 1;
        }
        None
    }

    /// Returns the first status with this role. Every enum has each role exactly once, except `MorePending`.
    pub(crate) const fn of_role(&self, role: Role) -> Option<&'static StatusRow> {
        let mut nth = 0;
        while nth < self.rows.len() {
            let row = &self.rows[nth];
            if row.role as u8 == role as u8 {
                return Some(row);
            }
            nth += 1;
        }
        None
    }
}
