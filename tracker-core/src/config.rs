//! The run-time configuration of a tracker.

use std::borrow::Cow;
use std::time::Duration;

use crate::declare::description::{Description, StepDescription};
use crate::declare::layout::Layout;
use crate::declare::spec::{BackoffShape, FieldSpec, Takeover, TrackerSpec, Wire};
use crate::declare::status::{MOST_SHARDS, Role, StatusTable};
use crate::error::{Error, ErrorKind};
use crate::item::translation::RESERVED;

/// DynamoDB's limit for the value of a key, in bytes.
const KEY_BYTES: usize = 2048;

/// The largest number of digits that a code and a shard have in the `value` of an item.
const NUMBERS_BYTES: usize = 2 * 9;

/// DynamoDB's limit for one partition of an index, in writes a second of rows of up to 1 KB.
const WRITES_PER_SECOND: u32 = 1000;

/// The beginning of the keys of the descriptions of use cases. It is constant: otherwise, a deploy with another separator would
/// look under another key, and find nothing.
pub(crate) const DESCRIPTION_PREFIX: &str = "__tracker______";

/// The wait of a failed task before its next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backoff {
    /// No wait: a failed task can be started again at once.
    None,
    /// The wait doubles with each failed attempt in a row, from `base` up to `max`. The tracker draws each
    /// wait between half of that and the whole, so that tasks that failed together do not start together.
    Exponential {
        /// The wait after the first failed attempt, above 0.
        base: Duration,
        /// The longest wait, at least `base`.
        max: Duration,
    },
}

/// The configuration of a tracker: its declaration, with the values that the builder has replaced.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TrackerConfig {
    /// The name of the table.
    pub table: Cow<'static, str>,
    /// The name of the index on status and update time.
    pub index: Cow<'static, str>,
    /// The use case: the part of every key before the separator.
    pub use_case_id: Cow<'static, str>,
    /// The number of failed attempts in a row after which a task is ignored: at least 1.
    pub max_retry: u32,
    /// The length of a lease, counted from its last renewal: 100 ms to 365 days. It is stored with each lease, and
    /// may differ between workers.
    pub lock_expire: Duration,
    /// The largest difference between the clocks of any two workers: at most 365 days. A lease can be taken
    /// over when it has not been renewed for its length and this time more. The clock of one machine may
    /// differ from DynamoDB's by half of this time.
    pub max_clock_skew: Duration,
    /// Whether heartbeats renew leases, every third of `lock_expire`.
    pub heartbeat: bool,
    /// The time after which the tracker drops the future of a body and records the attempt as failed: above
    /// 0. `None` sets no limit. One lease later, heartbeats no longer renew the lease of an attempt that has
    /// not ended.
    pub timeout: Option<Duration>,
    /// The wait of a failed task before its next attempt.
    pub backoff: Backoff,
    /// The number of snoozes in a row that do not count as failed attempts: at least 1.
    pub max_snoozes: u32,
    /// The time for which a succeeded task is kept before DynamoDB deletes it: above 0. `None` keeps it for
    /// ever.
    pub retain: Option<Duration>,
    /// The time for which an ignored task is kept before DynamoDB deletes it: above 0. `None` keeps it for
    /// ever.
    pub retain_ignored: Option<Duration>,
    /// The number of entries that an item's history holds: at least 1. If there are more, the first and the
    /// most recent entries stay; with a limit of 1, the most recent entry.
    pub history_limit: u32,
    /// The number of errors that are recorded of a failure, the body's error and its causes together: at
    /// least 1.
    pub traceback_stack_limit: u32,
    /// The least number of shards of each status that queries read: 1 to 1,000. If a status has more shards,
    /// all are read. [`TrackerBuilder::read_shards`](crate::TrackerBuilder::read_shards) says when to set it.
    pub read_shards: u32,
    /// Whether a start can take over a task whose lease has expired.
    pub takeover: Takeover,
    /// Whether the table keeps a description of the statuses, with which a deploy is compared.
    pub description: bool,
    /// The name of the step in events, spans and metrics: that of the tracked type, unless the builder sets another.
    pub step: Cow<'static, str>,
    /// Whether events and `tracing` have the text of the error of a failed or ignored task.
    pub error_text_in_events: bool,
    /// How the attributes are named in the table, and its sort key.
    pub layout: Layout,
    pub(crate) wire: Wire,
    /// The stored fields.
    pub(crate) fields: &'static [FieldSpec],
    /// The enum's statuses, whose shards cannot be replaced at run time.
    pub(crate) status: &'static StatusTable,
}

impl TrackerConfig {
    /// Returns the configuration of a declaration.
    pub(crate) fn declared(spec: &TrackerSpec) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
        Self {
            table: Cow::Borrowed(spec.table.unwrap_or_default()),
            index: Cow::Borrowed(spec.index),
            use_case_id: Cow::Borrowed(spec.use_case_id),
            max_retry: spec.max_retry,
            lock_expire: seconds(spec.lock_expire_seconds),
            max_clock_skew: Duration::from_secs(5),
            heartbeat: true,
            timeout: spec.timeout_seconds.map(seconds),
            backoff: match spec.backoff {
                BackoffShape::None => Backoff::None,
                BackoffShape::Exponential => Backoff::Exponential {
                    base: seconds(spec.backoff_base_seconds),
                    max: seconds(spec.backoff_max_seconds),
                },
            },
            max_snoozes: spec.max_snoozes,
            retain: spec.retain_seconds.map(seconds),
            retain_ignored: spec.retain_ignored_seconds.map(seconds),
            history_limit: spec.history_limit,
            traceback_stack_limit: spec.traceback_stack_limit,
            read_shards: 1,
            takeover: spec.takeover,
            description: spec.wire == Wire::Native,
            step: Cow::Borrowed(spec.type_name),
            error_text_in_events: false,
            layout: Layout::declared(&spec.layout),
            wire: spec.wire,
            fields: spec.fields,
            status: spec.status,
        }
    }

    /// Returns the configuration of a step of a description. `spec` is the declaration of the step.
    pub(crate) fn described(
        description: &Description,
        step: &StepDescription,
        spec: &TrackerSpec,
        table: &str,
    ) -> Self {
        let backoff = match (step.backoff_base_seconds, step.backoff_max_seconds) {
            (Some(base), Some(max)) => {
                Backoff::Exponential { base: Duration::from_secs(base), max: Duration::from_secs(max) }
            }
            _ => Backoff::None,
        };
        let most_shards = step.statuses.iter().map(|status| status.most_shards).max();
        Self {
            table: Cow::Owned(table.to_owned()),
            index: Cow::Owned(description.index.clone()),
            use_case_id: Cow::Owned(description.use_case_id.clone()),
            max_retry: step.max_retry,
            lock_expire: Duration::from_millis(step.lease_ms),
            max_clock_skew: Duration::from_millis(step.max_clock_skew_ms),
            backoff,
            max_snoozes: step.max_snoozes,
            retain: step.retain_seconds.map(Duration::from_secs),
            retain_ignored: step.retain_ignored_seconds.map(Duration::from_secs),
            history_limit: step.history_limit,
            read_shards: most_shards.unwrap_or(1),
            takeover: step.takeover,
            layout: description.layout.clone(),
            ..Self::declared(spec)
        }
    }

    /// Returns the description of a declaration whose values this configuration has replaced.
    pub(crate) fn describe(&self, spec: &TrackerSpec) -> Description {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let mut description = Description::declared(spec);
        description.use_case_id = self.use_case_id.clone().into_owned();
        description.table = Some(self.table.clone().into_owned());
        description.index = self.index.clone().into_owned();
        description.layout = self.layout.clone();
        if let Some(step) = description.steps.get_mut(spec.type_name) {
            step.lease_ms = millis(self.lock_expire);
            step.max_clock_skew_ms = millis(self.max_clock_skew);
            step.max_retry = self.max_retry;
            (step.backoff_base_seconds, step.backoff_max_seconds) = match self.backoff {
                Backoff::None => (None, None),
                Backoff::Exponential { base, max } => (Some(base.as_secs()), Some(max.as_secs())),
            };
            step.max_snoozes = self.max_snoozes;
            step.retain_seconds = self.retain.map(|retain| retain.as_secs());
            step.retain_ignored_seconds = self.retain_ignored.map(|retain| retain.as_secs());
            step.history_limit = self.history_limit;
            step.takeover = self.takeover;
        }
        description
    }

    /// Returns the calculated number of tasks a second that the index takes in the long run.
    ///
    /// It is the least of 500 × the shards of `pending`, 500 × the shards of `in_progress`, and 1,000 × the
    /// shards of `succeeded`. A shard is one partition of the index, which takes 1,000 write units a second.
    /// DynamoDB does not split the partition, because all writes go to its end, the latest `update_time`.
    ///
    /// A task that succeeds at once costs `pending` and `in_progress` two units each, because it enters and
    /// leaves them. It costs `succeeded` one. DynamoDB often absorbs a higher rate for some minutes. Then it
    /// throttles the writes to the table.
    ///
    /// Plan with room to spare. The number does not count:
    ///
    /// - failed attempts, each of which costs `failed` two units and `in_progress` two more;
    /// - ignored tasks, each of which costs `ignored` one unit;
    /// - tasks that wait in `more_pending`, or in a status of an earlier step, instead of `pending`;
    /// - later steps, whose starts delete from `succeeded`.
    ///
    /// The example `shard_planner` simulates the first two.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, StatusTracker, TrackerStatus, aws_sdk_dynamodb::Client};
    /// # #[derive(StatusTracker)]
    /// # #[tracker(use_case_id = "extract", status = ExtractStatus, table = "documents")]
    /// # struct Document { #[tracker(task_id)] id: String }
    /// #[derive(TrackerStatus, Clone, Copy)]
    /// enum ExtractStatus {
    ///     #[status(pending, shards = 5)]     Pending = 10,
    ///     #[status(in_progress, shards = 4)] InProgress = 12,
    ///     #[status(failed)]                  Failed = 14,
    ///     #[status(succeeded, shards = 3)]   Succeeded = 16,
    ///     #[status(ignored)]                 Ignored = 18,
    /// }
    /// # fn of(client: &Client) {
    /// assert_eq!(Document::tracker(client).config().max_tasks_per_second(), 2000); // `in_progress` has the least room
    /// # }
    /// # let config = tracker_core::aws_sdk_dynamodb::Config::builder().behavior_version_latest().build();
    /// # of(&Client::from_conf(config));
    /// ```
    #[must_use]
    pub fn max_tasks_per_second(&self) -> u32 {
        let room = |role, writes: u32| {
            // The derive refuses an enum without one of these roles.
            let shards = self.status.of_role(role).map_or(1, |row| row.shards);
            shards.saturating_mul(WRITES_PER_SECOND) / writes
        };
        room(Role::Pending, 2).min(room(Role::InProgress, 2)).min(room(Role::Succeeded, 1))
    }

    /// Checks the values, which the builder may have replaced. The derive has the same rules for a
    /// declaration, except for the limits of durations.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) if a value is out of range, or if no table is named.
    pub(crate) fn validate(&self, sep: &str) -> Result<(), Error> {
        let use_case_id = &*self.use_case_id;
        let prefix = format!("{use_case_id}{sep}");
        let may_be_reserved = prefix.starts_with(RESERVED) || DESCRIPTION_PREFIX.starts_with(&prefix);
        let is_invalid_name = |name: &str| {
            !(3..=255).contains(&name.len())
                || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        let valid_names = "3 to 255 letters, digits, `_`, `.` and `-`";
        let most_bytes = KEY_BYTES.saturating_sub(2 * sep.len() + NUMBERS_BYTES);
        let least = Duration::from_millis(100);
        let most = Duration::from_hours(365 * 24);
        let reason = if self.table.is_empty() {
            "no table is named: call `TrackerBuilder::table`, or declare `table = \"..\"`".to_owned()
        } else if is_invalid_name(&self.table) {
            format!("`{}` cannot be the name of a table: use {valid_names}", self.table)
        } else if is_invalid_name(&self.index) {
            format!("`{}` cannot be the name of an index: use {valid_names}", self.index)
        } else if use_case_id.is_empty() {
            "`use_case_id` cannot be empty: use at least one character".to_owned()
        } else if may_be_reserved {
            format!(
                "keys of the `use_case_id` \"{use_case_id}\" could begin with `{RESERVED}`, which is reserved: use another \
                 beginning"
            )
        } else if use_case_id.len() > most_bytes {
            format!(
                "`use_case_id` has {} bytes: use at most {most_bytes}, so that keys fit into {KEY_BYTES} bytes",
                use_case_id.len()
            )
        } else if use_case_id.contains(sep) {
            format!("`use_case_id` \"{use_case_id}\" contains the separator \"{sep}\": remove the separator")
        } else if prefix.find(sep) != Some(use_case_id.len()) {
            format!(
                "`use_case_id` \"{use_case_id}\" ends with the beginning of the separator \"{sep}\", so its keys \
                 would be ambiguous: use another ending"
            )
        } else if let Some(fault) = self.layout.fault(self.fields, self.wire == Wire::Pynamodb) {
            format!("the layout: {fault}")
        } else if self.max_retry == 0 {
            "`max_retry` cannot be 0: use 1 or more".to_owned()
        } else if self.history_limit == 0 {
            "`history_limit` cannot be 0: use 1 or more".to_owned()
        } else if self.traceback_stack_limit == 0 {
            "`traceback_stack_limit` cannot be 0: use 1 or more".to_owned()
        } else if !(1..=MOST_SHARDS).contains(&self.read_shards) {
            format!("`read_shards` cannot be {}: use 1 to {MOST_SHARDS}", self.read_shards)
        } else if !(least..=most).contains(&self.lock_expire) {
            format!("`lock_expire` cannot be {:?}: use {least:?} to 365 days", self.lock_expire)
        } else if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            "`timeout` cannot be 0: use a longer time, or no timeout".to_owned()
        } else if self.max_snoozes == 0 {
            "`max_snoozes` cannot be 0: use 1 or more".to_owned()
        } else if let Backoff::Exponential { base, max } = self.backoff
            && (base.is_zero() || max < base)
        {
            format!("invalid `backoff`: base {base:?} must be greater than 0 and at most max {max:?}")
        } else if self.retain == Some(Duration::ZERO) {
            "`retain` cannot be 0: use a longer time, or keep succeeded tasks for ever".to_owned()
        } else if self.retain_ignored == Some(Duration::ZERO) {
            "`retain_ignored` cannot be 0: use a longer time, or keep ignored tasks for ever".to_owned()
        } else if self.max_clock_skew > most {
            format!("`max_clock_skew` cannot be {:?}: use at most 365 days", self.max_clock_skew)
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidConfig { reason }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::spec::spec;
    use crate::declare::status::StatusRow;

    const fn row(role: Role, shards: u32) -> StatusRow {
        StatusRow { code: 10 + role as u32, name: "", role, shards }
    }

    const fn table(rows: &'static [StatusRow]) -> StatusTable {
        StatusTable { type_name: "Status", rows, code_pad: 3, shard_pad: 3 }
    }

    /// Returns the limit for these numbers of shards. All other statuses have one shard.
    macro_rules! limit {
        ($pending:literal, $in_progress:literal, $succeeded:literal) => {{
            static TABLE: StatusTable = table(&[
                row(Role::Pending, $pending),
                row(Role::InProgress, $in_progress),
                row(Role::Failed, 1),
                row(Role::Succeeded, $succeeded),
                row(Role::Ignored, 1),
                row(Role::MorePending, 1),
            ]);
            static SPEC: TrackerSpec = spec("Task", "use-case", &TABLE);
            TrackerConfig::declared(&SPEC).max_tasks_per_second()
        }};
    }

    #[test]
    fn max_tasks_per_second_is_the_limit_of_the_tightest_status() {
        assert_eq!(limit!(1, 1, 1), 500, "failed and ignored set no limit");
        assert_eq!(limit!(5, 5, 5), 2500);
        assert_eq!(limit!(3, 5, 5), 1500, "pending sets the limit");
        assert_eq!(limit!(5, 4, 5), 2000, "in progress sets the limit");
        assert_eq!(limit!(5, 5, 2), 2000, "succeeded sets the limit: a task is written there once");
        assert_eq!(limit!(999, 999, 999), 499_500);
    }
}
