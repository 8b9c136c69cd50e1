//! The declaration of a tracker, which `#[derive(StatusTracker)]` emits.

use serde::{Deserialize, Serialize};

use crate::declare::layout::LayoutSpec;
use crate::declare::status::{Role, StatusRow, StatusTable, TrackerStatus};

/// The form in which a new item stores `data` and `errors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Wire {
    /// DynamoDB maps.
    Native,
    /// JSON text, which Python's `pynamodb_mate` reads and writes.
    Pynamodb,
}

/// Whether a start can take over a task whose lease has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Takeover {
    /// The task can be taken over. The lost attempt counts as failed. If it was the last attempt that
    /// `max_retry` allows, or was asked to end, the start ignores the task instead.
    Expired,
    /// The task stays in progress, and a start is refused as [`Locked`](crate::ErrorKind::Locked).
    Never,
}

/// How the wait grows with the failed attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackoffShape {
    /// There is no wait: a failed task can be started again at once.
    None,
    /// The wait doubles with each failed attempt.
    Exponential,
}

/// The declaration of a tracker, as the derive emits it.
#[derive(Debug, Clone, Copy)]
pub struct TrackerSpec {
    /// The name of the struct, for messages.
    pub type_name: &'static str,
    /// The use case: the part of every key before the separator.
    pub use_case_id: &'static str,
    /// The statuses of the step.
    pub status: &'static StatusTable,
    /// The separator of the parts of `key` and `value`.
    pub sep: &'static str,
    /// The table, if one is declared.
    pub table: Option<&'static str>,
    /// The name of the index on `value` and `update_time`.
    pub index: &'static str,
    /// How the attributes are named in the table, and its sort key.
    pub layout: LayoutSpec,
    /// The number of failed attempts in a row after which a task is ignored.
    pub max_retry: u32,
    /// The length of a lease.
    pub lock_expire_seconds: u32,
    /// The time after which the body of a `run` is dropped.
    pub timeout_seconds: Option<u32>,
    /// How the wait grows with the failed attempts.
    pub backoff: BackoffShape,
    /// The wait after the first failed attempt.
    pub backoff_base_seconds: u32,
    /// The longest wait.
    pub backoff_max_seconds: u32,
    /// The number of snoozes in a row that do not count as failed attempts.
    pub max_snoozes: u32,
    /// The time for which a succeeded task is kept; for ever if it is `None`.
    pub retain_seconds: Option<u32>,
    /// The time for which an ignored task is kept; for ever if it is `None`.
    pub retain_ignored_seconds: Option<u32>,
    /// The number of errors that are recorded of a failure: the body's error and its causes.
    pub traceback_stack_limit: u32,
    /// The number of entries that an item's history holds: the first one and the most recent ones.
    pub history_limit: u32,
    /// Whether a start can take over a task whose lease has expired.
    pub takeover: Takeover,
    /// The form in which a new item stores `data` and `errors`.
    pub wire: Wire,
    /// The field that is the task's id.
    pub task_id: &'static str,
    /// The other fields that are stored.
    pub fields: &'static [FieldSpec],
    /// The statuses of other enums from which this step starts as well: `more_pending_status`.
    pub more_pending: &'static [MorePending],
    /// The previous step: `after`.
    pub after: Option<&'static TrackerSpec>,
}

/// A field that is stored.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpec {
    /// The name of the field.
    pub name: &'static str,
    /// The name of the attribute, or of the member of `data`.
    pub stored: &'static str,
    /// Whether the field is an attribute of the item.
    pub attribute: bool,
}

/// A status of another enum from which this step starts.
#[derive(Debug, Clone, Copy)]
pub struct MorePending {
    /// The enum of the status.
    pub table: &'static StatusTable,
    /// The code of the status.
    pub code: u32,
}

/// Returns a declaration with all defaults. If `pynamodb_mate` has a default, it is the same, except for the backoff: it
/// retries at once, and so `wire = "pynamodb"` does.
///
/// With three attempts, the backoff outlasts an outage of at least 22 s: half of 15 s and half of 30 s.
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
        layout: LayoutSpec::OWN,
        max_retry: 3,
        lock_expire_seconds: 300,
        timeout_seconds: None,
        backoff: BackoffShape::Exponential,
        backoff_base_seconds: 15,
        backoff_max_seconds: 900,
        max_snoozes: 100,
        retain_seconds: None,
        retain_ignored_seconds: None,
        traceback_stack_limit: 10,
        history_limit: 10,
        takeover: Takeover::Expired,
        wire: Wire::Native,
        task_id: "",
        fields: &[],
        more_pending: &[],
        after: None,
    }
}

/// Returns a value of `more_pending_status`. `_status` makes the compiler check that the value has a status
/// type.
#[must_use]
pub const fn more_pending<S: TrackerStatus>(_status: &S, code: u32) -> MorePending {
    MorePending { table: S::__TABLE, code }
}

/// Returns the statuses from which a step starts: its own, those of `more_pending_status`, and the succeeded
/// status of the previous step.
pub(crate) fn ready_rows(spec: &TrackerSpec) -> impl Iterator<Item = &'static StatusRow> + use<> {
    let own = spec.status.rows.iter().filter(|row| row.role.is_ready());
    let others = spec.more_pending.iter().filter_map(|other| other.table.row(other.code));
    let previous = spec.after.and_then(|previous| previous.status.of_role(Role::Succeeded));
    own.chain(others).chain(previous)
}
