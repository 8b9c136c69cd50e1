//! The description of a use case as plain data: what a program needs to work on tasks without their types.

pub(crate) mod compare;
pub(crate) mod intern;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::layout::Layout;
use super::spec::{BackoffShape, FieldSpec, Takeover, TrackerSpec, Wire};
use super::status::{Role, StatusRow};

/// The version of the form in which a description is stored.
pub(crate) const VERSION: u32 = 1;
/// The clock skew that a declaration has, because only the builder can set another.
pub(crate) const MAX_CLOCK_SKEW_MS: u64 = 5_000;

/// The description of a use case: its keys, its steps and their statuses. It is plain data, which
/// [`StatusTracker::describe`](crate::StatusTracker::describe) returns and the table keeps.
///
/// Serialized, it has the member `v`, the version of its form, which is 1.
///
/// # Examples
///
/// ```
/// use tracker_core::{StatusTracker, TrackerStatus};
///
/// #[derive(TrackerStatus, Clone, Copy)]
/// enum ExtractStatus {
///     #[status(pending, shards = 5)] Pending = 10,
///     #[status(in_progress)]         InProgress = 12,
///     #[status(failed)]              Failed = 14,
///     #[status(succeeded)]           Succeeded = 16,
///     #[status(ignored)]             Ignored = 18,
/// }
///
/// #[derive(StatusTracker)]
/// #[tracker(use_case_id = "extract", status = ExtractStatus)]
/// struct Document {
///     #[tracker(task_id)]
///     id: String,
/// }
///
/// let description = Document::describe();
/// assert_eq!(description.use_case_id, "extract");
/// assert_eq!(description.steps["Document"].statuses[0].shards, 5);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Description {
    /// The version of the form: 1.
    pub v: u32,
    /// The use case: the part of every key before the separator.
    pub use_case_id: String,
    /// The separator of the parts of `key` and `value`.
    pub sep: String,
    /// The table, if the declaration names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The name of the index on status and update time.
    pub index: String,
    /// How the attributes are named in the table, and its sort key.
    #[serde(default, skip_serializing_if = "Layout::is_default")]
    pub layout: Layout,
    /// The form in which a new item stores `data` and `errors`.
    pub wire: Wire,
    /// The steps, by the names of their tracked types.
    pub steps: BTreeMap<String, StepDescription>,
}

/// The description of one step of a use case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepDescription {
    /// The name of the status enum.
    pub status_type: String,
    /// The number of digits of a code in the attribute `value`.
    pub code_pad: u8,
    /// The number of digits of a shard in the attribute `value`.
    pub shard_pad: u8,
    /// The statuses of the step, in the order of their codes.
    pub statuses: Vec<StatusDescription>,
    /// The statuses of other enums from which this step starts: `more_pending_status`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_pending: Vec<MorePendingDescription>,
    /// The previous step: `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The length of a lease in milliseconds.
    pub lease_ms: u64,
    /// The largest difference between the clocks of any two workers in milliseconds.
    pub max_clock_skew_ms: u64,
    /// The number of failed attempts in a row after which a task is ignored.
    pub max_retry: u32,
    /// The wait after the first failed attempt in seconds, or `None` if a failed task can be started at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_base_seconds: Option<u64>,
    /// The longest wait after a failed attempt in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_max_seconds: Option<u64>,
    /// The number of snoozes in a row that do not count as failed attempts.
    pub max_snoozes: u32,
    /// The time for which a succeeded task is kept in seconds, or `None` if it is kept for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_seconds: Option<u64>,
    /// The time for which an ignored task is kept in seconds, or `None` if it is kept for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_ignored_seconds: Option<u64>,
    /// The number of entries that an item's history holds.
    pub history_limit: u32,
    /// Whether a start can take over a task whose lease has expired.
    pub takeover: Takeover,
    /// The field that is the task's id.
    pub task_id: String,
    /// The other fields that are stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldDescription>,
}

/// The description of a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StatusDescription {
    /// The code, which the attribute `status` stores.
    pub code: u32,
    /// The name.
    pub name: String,
    /// What the status means to the step.
    pub role: Role,
    /// The number of shards to which tasks are written. If the programs of a table declare different numbers, it is the least,
    /// because every program reads these shards.
    pub shards: u32,
    /// The largest number of shards that any program of the table has declared. Tasks may be in all of them.
    pub most_shards: u32,
}

/// The description of a status of another enum, from which a step starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MorePendingDescription {
    /// The name of the status enum.
    pub status_type: String,
    /// The number of digits of a code in the attribute `value`.
    pub code_pad: u8,
    /// The number of digits of a shard in the attribute `value`.
    pub shard_pad: u8,
    /// The status.
    pub status: StatusDescription,
}

/// The description of a field that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FieldDescription {
    /// The name of the field in Rust.
    pub name: String,
    /// The name of the attribute of the item, or of the member of its attribute `data`.
    pub stored: String,
    /// Whether the field is an attribute of its own, and not a member of `data`.
    pub attribute: bool,
}

impl Description {
    /// Returns the description of a declaration: of its step, and of the steps before it.
    pub(crate) fn declared(spec: &TrackerSpec) -> Self {
        let chain = std::iter::successors(Some(spec), |step| step.after);
        Self {
            v: VERSION,
            use_case_id: spec.use_case_id.to_owned(),
            sep: spec.sep.to_owned(),
            table: spec.table.map(str::to_owned),
            index: spec.index.to_owned(),
            layout: Layout::declared(&spec.layout),
            wire: spec.wire,
            steps: chain.map(|step| (step.type_name.to_owned(), StepDescription::declared(step))).collect(),
        }
    }

    /// Returns a hash of what a write depends on: the separator, the layout, and the digits, codes, roles and shards of all steps, with the
    /// statuses from which each starts. It is text of 16 hexadecimal digits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::StatusTracker;
    /// # fn of<Document: StatusTracker>() {
    /// let same = Document::describe().hash() == Document::describe().hash();
    /// # }
    /// ```
    #[must_use]
    pub fn hash(&self) -> String {
        let mut text = format!("{}\n", self.sep);
        if !self.layout.is_default() {
            let _ = writeln!(text, "{}", self.layout);
        }
        for (name, step) in &self.steps {
            let StepDescription { code_pad, shard_pad, after, .. } = step;
            // Writing to a `String` does not fail.
            let _ = writeln!(text, "{name} {code_pad} {shard_pad} {after:?}");
            let more = step.more_pending.iter().map(|more| &more.status);
            for StatusDescription { code, role, shards, .. } in step.statuses.iter().chain(more) {
                let _ = writeln!(text, "{code} {role} {shards}");
            }
        }
        format!("{:016x}", xxh3_64(text.as_bytes()))
    }
}

impl StepDescription {
    fn declared(spec: &TrackerSpec) -> Self {
        let has_backoff = spec.backoff == BackoffShape::Exponential;
        let status = spec.status;
        let mut statuses: Vec<_> = status.rows.iter().map(StatusDescription::from).collect();
        statuses.sort_by_key(|status| status.code);
        let more_pending = spec.more_pending.iter().filter_map(|more| {
            Some(MorePendingDescription {
                status_type: more.table.type_name.to_owned(),
                code_pad: more.table.code_pad,
                shard_pad: more.table.shard_pad,
                status: more.table.row(more.code)?.into(),
            })
        });
        Self {
            status_type: status.type_name.to_owned(),
            code_pad: status.code_pad,
            shard_pad: status.shard_pad,
            statuses,
            more_pending: more_pending.collect(),
            after: spec.after.map(|previous| previous.type_name.to_owned()),
            lease_ms: u64::from(spec.lock_expire_seconds) * 1000,
            max_clock_skew_ms: MAX_CLOCK_SKEW_MS,
            max_retry: spec.max_retry,
            backoff_base_seconds: has_backoff.then(|| spec.backoff_base_seconds.into()),
            backoff_max_seconds: has_backoff.then(|| spec.backoff_max_seconds.into()),
            max_snoozes: spec.max_snoozes,
            retain_seconds: spec.retain_seconds.map(Into::into),
            retain_ignored_seconds: spec.retain_ignored_seconds.map(Into::into),
            history_limit: spec.history_limit,
            takeover: spec.takeover,
            task_id: spec.task_id.to_owned(),
            fields: spec.fields.iter().map(FieldDescription::from).collect(),
        }
    }

    /// Returns the status with this code.
    pub(crate) fn status(&self, code: u32) -> Option<&StatusDescription> {
        self.statuses.iter().find(|status| status.code == code)
    }
}

impl From<&StatusRow> for StatusDescription {
    fn from(row: &StatusRow) -> Self {
        let StatusRow { code, name, role, shards } = *row;
        Self { code, name: name.to_owned(), role, shards, most_shards: shards }
    }
}

impl From<&FieldSpec> for FieldDescription {
    fn from(field: &FieldSpec) -> Self {
        let FieldSpec { name, stored, attribute } = *field;
        Self { name: name.to_owned(), stored: stored.to_owned(), attribute }
    }
}
