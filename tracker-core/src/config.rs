//! The run-time configuration of a tracker.

use std::borrow::Cow;
use std::time::Duration;

use crate::declare::spec::{BackoffShape, Takeover, TrackerSpec, Wire};
use crate::declare::status::{Role, StatusTable};
use crate::error::{Error, ErrorKind};

/// DynamoDB's limit for the value of a key, less the numbers in a `value` of the index.
const KEY_BYTES: usize = 2048 - 2 * 9;

/// More shards than any status needs: 1000 of them take half a million tasks a second.
const MOST_SHARDS: u32 = 1000;

/// What DynamoDB takes in a partition of an index, where an item's projection has up to 1 KB.
const WRITES_PER_SECOND: u32 = 1000;

/// How long a failed task waits before it may be started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Backoff {
    /// Not at all.
    #[default]
    None,
    /// Twice as long after each failed attempt. The wait is drawn between half of that and the whole, so that tasks that
    /// failed together are not started together.
    Exponential {
        /// The wait after the first failed attempt.
        base: Duration,
        /// The longest wait.
        max: Duration,
    },
}

/// What a tracker works with: the declaration, with what was replaced at run time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TrackerConfig {
    /// The table.
    pub table: Cow<'static, str>,
    /// The index on status and update time.
    pub index: Cow<'static, str>,
    /// What stands before the separator in every key.
    pub use_case_id: Cow<'static, str>,
    /// After how many failed attempts a task is given up: at least 1.
    pub max_retry: u32,
    /// How long a lease lasts unless it is renewed. All workers of a use case must agree on it.
    pub lock_expire: Duration,
    /// The most by which the clocks of any two workers may differ. It is added to `lock_expire` before
    /// an expired lease is taken over.
    pub max_clock_skew: Duration,
    /// Whether leases are renewed by heartbeats, every third of `lock_expire`.
    pub heartbeat: bool,
    /// How long a body may run before it is ended and recorded as failed.
    pub timeout: Option<Duration>,
    /// How long a failed task waits before it may be started again.
    pub backoff: Backoff,
    /// How many snoozes in a row are not counted as failed attempts: at least 1.
    pub max_snoozes: u32,
    /// How long a succeeded task is kept before DynamoDB deletes it; for ever where there is none.
    pub retain: Option<Duration>,
    /// How long an ignored task is kept; for ever where there is none.
    pub retain_ignored: Option<Duration>,
    /// How many failed attempts an item's history holds: at least 1.
    pub history_limit: u32,
    /// How many causes of an error are recorded: at least 1.
    pub traceback_stack_limit: u32,
    /// How many shards of each status are read at least, also where fewer are written: see
    /// [`TrackerBuilder::read_shards`](crate::TrackerBuilder::read_shards).
    pub read_shards: u32,
    /// Whether an expired lease may be taken over.
    pub takeover: Takeover,
    pub(crate) wire: Wire,
    /// The shards are those of the enum: they cannot be replaced at run time.
    pub(crate) status: &'static StatusTable,
}

impl TrackerConfig {
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
            wire: spec.wire,
            status: spec.status,
        }
    }

    /// How many tasks a second the index takes in the long run, on paper: the least of 500 × the shards of `pending`,
    /// 500 × those of `in_progress`, and 1000 × those of `succeeded`.
    ///
    /// A shard is a partition of the index, which takes 1,000 write units a second; it is not split further, as all that
    /// is written goes to its end, the latest `update_time`. A task that succeeds at once is put into `pending` and deleted
    /// from there, put into `in_progress` and deleted from there, two units each, and put into `succeeded`, which is
    /// one. Minutes of more than that are often absorbed; after that, DynamoDB throttles the writes to the table.
    ///
    /// To be planned with room to spare, and with what it does not count: each failed attempt, which costs `failed` two
    /// units and `in_progress` two more; `ignored`, one for each task that is given up; tasks that wait in
    /// `more_pending`, or in the status of a step before, instead of `pending`; and steps after this one, which delete
    /// from `succeeded`. The example `shard_planner` simulates all but the last two.
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

    /// The same rules for what is said at run time as the derive has for what is declared.
    pub(crate) fn validate(&self, sep: &str) -> Result<(), Error> {
        let use_case_id = &*self.use_case_id;
        let ambiguous = || {
            let prefix = format!("{use_case_id}{sep}");
            prefix.find(sep) != Some(use_case_id.len())
        };
        let name_is_odd = |name: &str| {
            !(3..=255).contains(&name.len())
                || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        let named = "3 to 255 of the characters a-z, A-Z, 0-9, `_`, `-` and `.`";
        let most_bytes = KEY_BYTES.saturating_sub(2 * sep.len());
        let least = Duration::from_millis(100);
        let most = Duration::from_hours(365 * 24);
        let wrong = if self.table.is_empty() {
            "no table is named; use `TrackerBuilder::table`, or declare `table = \"..\"`".to_owned()
        } else if name_is_odd(&self.table) {
            format!("`{}` cannot be the name of a table, which has {named}", self.table)
        } else if name_is_odd(&self.index) {
            format!("`{}` cannot be the name of an index, which has {named}", self.index)
        } else if use_case_id.is_empty() {
            "`use_case_id` is empty".to_owned()
        } else if use_case_id.len() > most_bytes {
            format!("`use_case_id` is longer than {most_bytes} bytes")
        } else if ambiguous() {
            format!(
                "`use_case_id` \"{use_case_id}\" runs into the separator \"{sep}\", so that keys would be \
                 ambiguous; leave the separator out of it, and its beginning away from its end"
            )
        } else if self.max_retry == 0 {
            "`max_retry` is 0, so that no task could be tried; use 1 or more".to_owned()
        } else if self.history_limit == 0 {
            "`history_limit` is 0; use 1 or more".to_owned()
        } else if self.traceback_stack_limit == 0 {
            "`traceback_stack_limit` is 0; use 1 or more".to_owned()
        } else if !(1..=MOST_SHARDS).contains(&self.read_shards) {
            format!("`read_shards` is {}; use 1 to {MOST_SHARDS}", self.read_shards)
        } else if !(least..=most).contains(&self.lock_expire) {
            format!("`lock_expire` is {:?}; use {least:?} to 365 days", self.lock_expire)
        } else if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            "`timeout` is 0; use a time that a body can take, or none".to_owned()
        } else if self.max_snoozes == 0 {
            "`max_snoozes` is 0; use 1 or more".to_owned()
        } else if let Backoff::Exponential { base, max } = self.backoff
            && (base.is_zero() || max < base)
        {
            format!("`backoff` goes from {base:?} to {max:?}; begin above 0, and end no lower")
        } else if [self.retain, self.retain_ignored].contains(&Some(Duration::ZERO)) {
            "`retain` is 0; use a time for which ended tasks are kept, or none".to_owned()
        } else if self.max_clock_skew > most {
            "`max_clock_skew` is more than 365 days".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidConfig { reason: wrong }))
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

    /// What the index takes with so many shards of `pending`, `in_progress` and `succeeded`, and one of the others.
    macro_rules! bound {
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
    fn the_status_with_the_least_room_bounds_the_rate() {
        assert_eq!(bound!(1, 1, 1), 500, "failed and ignored do not count");
        assert_eq!(bound!(5, 5, 5), 2500);
        assert_eq!(bound!(3, 5, 5), 1500, "pending");
        assert_eq!(bound!(5, 4, 5), 2000, "in progress");
        assert_eq!(bound!(5, 5, 2), 2000, "succeeded, in which a task is written once");
        assert_eq!(bound!(999, 999, 999), 499_500);
    }
}
