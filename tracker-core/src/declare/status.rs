//! Status enums: what `#[derive(TrackerStatus)]` implements, and the table that the runtime reads.

use std::fmt;
use std::marker::PhantomData;

/// What a status means to the tracker.
///
/// Each role but [`MorePending`](Role::MorePending) belongs to exactly one variant of a status enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Waits for a worker.
    Pending,
    /// Waits for a worker too, under a code of its own, as a task that an earlier step finished does.
    MorePending,
    /// Attempt by a worker, for as long as its lease lasts.
    InProgress,
    /// The last attempt failed; to be tried again.
    Failed,
    /// Done.
    Succeeded,
    /// Given up after `max_retry` failed attempts; nothing happens until it is redriven.
    Ignored,
}

impl Role {
    /// Whether a task in this role may be started without taking it over from anyone.
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

/// The statuses of one step of work: an enum whose variants have a role, a code and a number of shards.
///
/// Derive it with [`#[derive(TrackerStatus)]`](derive@crate::TrackerStatus); the trait is not meant to be
/// written by hand, since the derive checks what the runtime then relies on.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a status enum of a tracker",
    label = "no `TrackerStatus` here",
    note = "add `#[derive(TrackerStatus, Clone, Copy)]` to the enum and a role to each variant, such as `#[status(pending)]`"
)]
pub trait TrackerStatus: Copy + Send + Sync + 'static {
    /// Every status, in the order of the enum.
    const ALL: &'static [Self];

    #[doc(hidden)]
    const __TABLE: &'static StatusTable;

    /// The number stored in the item's `status` attribute.
    fn code(self) -> u32;

    /// The status with this code, if the enum has one.
    #[must_use]
    fn from_code(code: u32) -> Option<Self> {
        let nth = Self::__TABLE.rows.iter().position(|row| row.code == code)?;
        Self::ALL.get(nth).copied()
    }

    /// The name of the status: its variant's, or what `rename` says.
    #[must_use]
    fn name(self) -> &'static str {
        Self::__TABLE.row(self.code()).map_or("", |row| row.name)
    }

    /// What the status means to the tracker.
    #[must_use]
    fn role(self) -> Role {
        // A code of `self` is always in the derived table: the default is never seen.
        Self::__TABLE.row(self.code()).map_or(Role::Pending, |row| row.role)
    }

    /// Over how many partitions of the index the tasks in this status are spread.
    #[must_use]
    fn shards(self) -> u32 {
        Self::__TABLE.row(self.code()).map_or(1, |row| row.shards)
    }
}

/// One status enum as data: what the derive emits, and all that the runtime knows of the enum.
#[doc(hidden)]
#[derive(Debug)]
pub struct StatusTable {
    pub type_name: &'static str,
    /// In the order of [`TrackerStatus::ALL`].
    pub rows: &'static [StatusRow],
    /// Digits of a code in the `value` attribute.
    pub code_pad: u8,
    /// Digits of a shard in the `value` attribute.
    pub shard_pad: u8,
}

/// One status.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRow {
    pub code: u32,
    pub name: &'static str,
    pub role: Role,
    pub shards: u32,
}

/// The table of a status enum, and an empty one for any other type: what is wrong with that type is said once,
/// where the derive names it as `StatusTracker::Status`.
#[doc(hidden)]
#[derive(Debug)]
pub struct TableOf<S>(PhantomData<S>);

impl<S: TrackerStatus> TableOf<S> {
    pub const TABLE: &'static StatusTable = S::__TABLE;
}

/// What `TableOf::TABLE` falls back on: an inherent constant whose bounds hold goes before that of a trait.
#[doc(hidden)]
pub trait NoTable {
    const TABLE: &'static StatusTable = &StatusTable { type_name: "", rows: &[], code_pad: 3, shard_pad: 3 };
}

impl<S> NoTable for TableOf<S> {}

impl StatusTable {
    /// Const, since declarations are compared at compile time, too.
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

    /// The status of a role that every enum has exactly once; of `MorePending`, the first if any.
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
