//! What `#[derive(StatusTracker)]` knows at compile time.

use crate::declare::status::{Role, StatusRow, StatusTable, TrackerStatus};

/// In which form `data` and `errors` of a new item are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wire {
    /// As DynamoDB maps.
    Native,
    /// As JSON text, which is what Python's `pynamodb_mate` reads and writes.
    Pynamodb,
}

/// Whether a worker may take over a task whose holder let its lease expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Takeover {
    /// Yes: it counts as a failed attempt of the holder that was lost.
    Expired,
    /// No: an expired task stays as it is, and a start of it is refused as locked.
    Never,
}

/// How the wait after a failed attempt grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackoffShape {
    /// There is none: a failed task can be started again at once.
    None,
    /// It doubles with each failed attempt.
    Exponential,
}

/// The declaration of a tracker, as the derive emits it.
#[derive(Debug, Clone, Copy)]
pub struct TrackerSpec {
    /// The struct, for messages.
    pub type_name: &'static str,
    /// What stands before the separator in every key.
    pub use_case_id: &'static str,
    /// Its statuses.
    pub status: &'static StatusTable,
    /// What separates the parts of `key` and `value`.
    pub sep: &'static str,
    /// The table, where one is declared.
    pub table: Option<&'static str>,
    /// The index on `value` and `update_time`.
    pub index: &'static str,
    /// After how many failed attempts a task is given up.
    pub max_retry: u32,
    /// How long a lease lasts unless it is renewed.
    pub lock_expire_seconds: u32,
    /// How long the body of an attempt may take.
    pub timeout_seconds: Option<u32>,
    /// How the wait after a failed attempt grows.
    pub backoff: BackoffShape,
    /// The wait after the first failed attempt.
    pub backoff_base_seconds: u32,
    /// The longest wait.
    pub backoff_max_seconds: u32,
    /// How many snoozes in a row are not counted as failed attempts.
    pub max_snoozes: u32,
    /// How long a succeeded task is kept; for ever where there is none.
    pub retain_seconds: Option<u32>,
    /// How long an ignored task is kept.
    pub retain_ignored_seconds: Option<u32>,
    /// How many causes of an error are recorded.
    pub traceback_stack_limit: u32,
    /// How many failed attempts an item's history holds.
    pub history_limit: u32,
    /// Whether an expired lease may be taken over.
    pub takeover: Takeover,
    /// How `data` and `errors` are written.
    pub wire: Wire,
    /// Statuses of other enums in which a task waits for this step.
    pub more_pending: &'static [MorePending],
    /// The previous step.
    pub after: Option<&'static TrackerSpec>,
}

/// A status of another enum in which a task waits for this step.
#[derive(Debug, Clone, Copy)]
pub struct MorePending {
    /// The enum of the status.
    pub table: &'static StatusTable,
    /// Its code.
    pub code: u32,
}

/// A declaration with every default, which are those of `pynamodb_mate` where it has one.
#[must_use]
pub const fn spec(
    type_name: &'static str,
    use_case_id: &'static str,
    status: &'static StatusTable,
) -> TrackerSpec {
    TrackerSpec {
        type_name,
        use_case_id,
        status,
        sep: "____",
        table: None,
        index: "status_and_update_time-index",
        max_retry: 3,
        lock_expire_seconds: 300,
        timeout_seconds: None,
        backoff: BackoffShape::None,
        backoff_base_seconds: 1,
        backoff_max_seconds: 3600,
        max_snoozes: 100,
        retain_seconds: None,
        retain_ignored_seconds: None,
        traceback_stack_limit: 10,
        history_limit: 10,
        takeover: Takeover::Expired,
        wire: Wire::Native,
        more_pending: &[],
        after: None,
    }
}

/// A value of `more_pending_status`; `_status` is there to be of a status type.
#[must_use]
pub const fn more_pending<S: TrackerStatus>(_status: &S, code: u32) -> MorePending {
    MorePending { table: S::__TABLE, code }
}

/// The roles in which a step finds a task that it may start, beside those of other enums.
pub(crate) fn ready_rows(spec: &TrackerSpec) -> impl Iterator<Item = &'static StatusRow> + use<> {
    let own = spec.status.rows.iter().filter(|row| row.role.is_ready());
    let others = spec.more_pending.iter().filter_map(|other| other.table.row(other.code));
    let previous = spec.after.and_then(|previous| previous.status.of_role(Role::Succeeded));
    own.chain(others).chain(previous)
}
