//! The metadata of a stored task.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::declare::spec::Wire;
use crate::declare::status::{Role, TrackerStatus};
use crate::item::attribute::{
    ATTEMPT, CANCEL, CANCEL_NOTE, CREATE_TIME, ERRORS, EXPIRES_AT, Item, KEY, LAST_LOCK, LEASE_MS, LOCK,
    LOCK_TIME, LOST_ATTEMPTS, LOST_LOCK, NOT_LOCKED, OWNER, PROGRESS, RETRY, RUN_AT, SNOOZES, STARTED_FROM,
    STATUS, UPDATE_TIME, VALUE, size_of, size_of_item,
};
use crate::item::error::ItemError;
use crate::item::history::{History, HistoryEntry, Note};
use crate::item::use_case::UseCase;
use crate::time::Timestamp;

/// What an attempt has said of its progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskProgress {
    /// The number of the attempt.
    pub attempt: u64,
    /// How much is done, from 0 to 1.
    pub fraction: f64,
    /// What is done, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// When the attempt said so.
    pub time: DateTime<Utc>,
}

/// The metadata of a task: all attributes of the tracker itself. It can be read even if the task's data
/// cannot be decoded.
#[derive(Clone)]
pub struct TaskHead {
    /// Shared, because each event and each result has a copy of the head.
    pub(crate) key: Arc<str>,
    /// Where in the key its parts are: the use case ends here, and the task id begins there.
    pub(crate) use_case_end: usize,
    pub(crate) task_id_begin: usize,
    pub(crate) status_code: u32,
    pub(crate) status_name: Cow<'static, str>,
    pub(crate) role: Option<Role>,
    /// Whether a step known here has the status.
    pub(crate) is_known_status: bool,
    /// Whether a later step has started the task from this step's status succeeded. No step known here has the status.
    pub(crate) is_in_later_step: bool,
    pub(crate) shard_id: Option<u32>,
    pub(crate) retry: u32,
    pub(crate) attempt: u64,
    pub(crate) create_time: Timestamp,
    pub(crate) update_time: Timestamp,
    pub(crate) lock_time: Timestamp,
    pub(crate) lock: Option<String>,
    pub(crate) last_lock: Option<String>,
    pub(crate) lost_lock: Option<String>,
    pub(crate) lost_attempts: u32,
    /// The length of the lease, if a worker of this crate holds the task.
    pub(crate) lease: Option<Duration>,
    pub(crate) started_from: Option<u32>,
    pub(crate) owner: Option<String>,
    pub(crate) run_at: Option<Timestamp>,
    pub(crate) snoozes: u32,
    pub(crate) cancel: Option<String>,
    /// Who has asked the attempt to end, and why.
    pub(crate) cancel_note: Note,
    pub(crate) expires_at: Option<u64>,
    pub(crate) progress: Option<TaskProgress>,
    pub(crate) errors: History,
    /// The size of the item without `errors`, from which follows how much history the item has room for.
    pub(crate) bytes_without_errors: usize,
    /// The size of the attribute `errors`.
    pub(crate) errors_bytes: usize,
}

impl TaskHead {
    /// Returns the attribute `key`: use case and task id.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the use case: the part of the key before the first separator.
    #[must_use]
    pub fn use_case_id(&self) -> &str {
        &self.key[..self.use_case_end]
    }

    /// Returns the id of the task: the part of the key after the first separator.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.key[self.task_id_begin..]
    }

    /// Returns the code of the status: the attribute `status`.
    #[must_use]
    pub fn status_code(&self) -> u32 {
        self.status_code
    }

    /// Returns the name of the status. It is `Type::Name` for another step, and the code for an unknown
    /// status.
    #[must_use]
    pub fn status_name(&self) -> &str {
        &self.status_name
    }

    /// Returns the status as a variant of the enum `S`, or `None` if `S` has no such code.
    #[must_use]
    pub fn status_in<S: TrackerStatus>(&self) -> Option<S> {
        S::from_code(self.status_code)
    }

    /// Returns what the status means to this step, or `None` if this step neither has the status nor starts
    /// from it.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    /// Returns whether the task is pending or more pending.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.role, Some(Role::Pending | Role::MorePending))
    }

    /// Returns whether the task is in progress, even if its lease has expired.
    #[must_use]
    pub fn is_in_progress(&self) -> bool {
        self.role == Some(Role::InProgress)
    }

    /// Returns whether the last attempt failed and the task can be retried.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.role == Some(Role::Failed)
    }

    /// Returns whether the task is in this step's status succeeded. A later step that starts the task changes
    /// the status.
    #[must_use]
    pub fn is_succeeded(&self) -> bool {
        self.role == Some(Role::Succeeded)
    }

    /// Returns whether the task is ignored: out of attempts, failed for good, or cancelled.
    #[must_use]
    pub fn is_ignored(&self) -> bool {
        self.role == Some(Role::Ignored)
    }

    /// Returns whether the status allows a start: pending, more pending or failed. A start can still find the
    /// task not due.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.role.is_some_and(Role::is_ready)
    }

    /// Returns whether a worker holds the lock, even if its lease has expired.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// Returns the task's shard of the index, counted from 1, or `None` if the attribute `value` has no
    /// shard.
    #[must_use]
    pub fn shard_id(&self) -> Option<u32> {
        self.shard_id
    }

    /// Returns how many attempts have failed since the last success or redrive: the attribute `retry`. An
    /// attempt whose lease expired counts once the next start finds the task.
    #[doc(alias = "retry")]
    #[must_use]
    pub fn failed_attempts(&self) -> u32 {
        self.retry
    }

    /// Returns how many attempts in a row ended with a lost lease, each because its worker died or could not renew
    /// the lease. A lost attempt counts once the next start finds the task. Any other end of an attempt, and a
    /// redrive, sets the number back to 0.
    ///
    /// Each lost attempt is one of the [`failed_attempts`](Self::failed_attempts), too.
    #[must_use]
    pub fn lost_attempts(&self) -> u32 {
        self.lost_attempts
    }

    /// Returns how many attempts there were in all: the fencing token of the attempt that holds the lease.
    ///
    /// The number grows by 1 with every attempt. It is 0 before the first attempt, after
    /// [`overwrite_many`](crate::Tracker::overwrite_many), and after a Python worker's `save`, which drops
    /// the attribute.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Returns the time at which the task was created.
    #[must_use]
    pub fn create_time(&self) -> DateTime<Utc> {
        self.create_time.utc()
    }

    /// Returns the time at which the status last changed or the task was last taken over.
    #[must_use]
    pub fn update_time(&self) -> DateTime<Utc> {
        self.update_time.utc()
    }

    /// Returns the time at which the lease was last acquired, renewed or released; 1970 if the task was never
    /// started. A redrive, a run now and a cancel of a free task also set this time.
    #[must_use]
    pub fn lock_time(&self) -> DateTime<Utc> {
        self.lock_time.utc()
    }

    /// Returns the owner of the lease, or its last owner. Python workers do not set it.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Returns the earliest time at which the task can be started, if the task was created for a later time,
    /// waits after a failed attempt, or was snoozed.
    #[must_use]
    pub fn run_at(&self) -> Option<DateTime<Utc>> {
        self.run_at.map(Timestamp::utc)
    }

    /// Returns how many times in a row the task was [snoozed](crate::Failure::snooze). A release does not
    /// interrupt the row.
    #[must_use]
    pub fn snoozes(&self) -> u32 {
        self.snoozes
    }

    /// Returns whether the attempt that holds the lease was asked to end by
    /// [`cancel`](crate::Tracker::cancel).
    #[must_use]
    pub fn is_cancel_requested(&self) -> bool {
        self.lock.is_some() && self.cancel == self.lock
    }

    /// Returns what the latest attempt has said of its [progress](crate::Execution::progress), if it has said anything.
    #[must_use]
    pub fn progress(&self) -> Option<&TaskProgress> {
        self.progress.as_ref().filter(|progress| progress.attempt == self.attempt)
    }

    /// Returns the time after which DynamoDB deletes the task, often within a few days, or `None` if no such
    /// time is set.
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.expires_at?.try_into().ok()?, 0)
    }

    /// Returns the history of failed attempts and cancels, oldest first.
    /// [`errors_omitted`](Self::errors_omitted) counts the entries that are no longer stored.
    #[must_use]
    pub fn errors(&self) -> &[HistoryEntry] {
        self.errors.entries()
    }

    /// Returns how many entries of the [history](Self::errors) are no longer stored, because of
    /// `history_limit` or the size of the item.
    #[must_use]
    pub fn errors_omitted(&self) -> u64 {
        self.errors.omitted()
    }
}

impl fmt::Debug for TaskHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHead")
            .field("key", &self.key)
            .field("status", &self.status_name)
            .field("retry", &self.retry)
            .field("attempt", &self.attempt)
            .field("update_time", &self.update_time)
            .field("lock", &self.lock)
            .field("lock_time", &self.lock_time)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// Reads the tracker's own attributes, and removes `errors` from the item.
///
/// Attributes that `pynamodb_mate` does not have may be missing, because a Python `save` drops them.
pub(crate) fn read_head(item: &mut Item, use_case: &UseCase, wire: Wire) -> Result<TaskHead, ItemError> {
    let errors = item.remove(ERRORS);
    let errors_bytes = errors.as_ref().map_or(0, |errors| ERRORS.len() + size_of(errors));
    let errors = History::parse(errors, wire);
    let bytes_without_errors = size_of_item(item);
    let read = Reader { item };
    let key = read.string(KEY)?.ok_or_else(|| read.error(KEY, "the attribute is missing".to_owned()))?;
    let Some((use_case_id, task_id)) = use_case.split_key(key) else {
        let why = format!("the key has no separator \"{}\"", use_case.sep());
        return Err(read.error(KEY, why));
    };
    let status_code = read.required(STATUS, read.number(STATUS)?)?;
    let value = read.string(VALUE)?;
    let started_from = read.number(STARTED_FROM)?;
    let is_known_status = use_case.status(status_code).is_some();
    let started_from_success = started_from.is_some_and(|code| use_case.role(code) == Some(Role::Succeeded));
    Ok(TaskHead {
        key: key.into(),
        use_case_end: use_case_id.len(),
        task_id_begin: key.len() - task_id.len(),
        status_code,
        role: use_case.role(status_code),
        status_name: use_case.status_name(status_code).unwrap_or_else(|| Cow::Owned(status_code.to_string())),
        shard_id: value.and_then(|value| use_case.shard_of_value(value)),
        retry: read.number(RETRY)?.unwrap_or(0),
        attempt: read.number(ATTEMPT)?.unwrap_or(0),
        create_time: read.time(CREATE_TIME)?,
        update_time: read.time(UPDATE_TIME)?,
        lock_time: read.time(LOCK_TIME)?,
        lock: read
            .required(LOCK, read.string(LOCK)?)
            .map(|lock| (lock != NOT_LOCKED).then(|| lock.to_owned()))?,
        last_lock: read.string(LAST_LOCK)?.map(str::to_owned),
        lost_lock: read.string(LOST_LOCK)?.map(str::to_owned),
        lost_attempts: read.number(LOST_ATTEMPTS)?.unwrap_or(0),
        lease: read.number(LEASE_MS)?.map(Duration::from_millis),
        started_from,
        is_known_status,
        is_in_later_step: !is_known_status && started_from_success,
        owner: read.string(OWNER)?.map(str::to_owned),
        // A NULL is an error, like any value that is no time, because no start could succeed: NULL fails its
        // condition.
        run_at: read.item.contains_key(RUN_AT).then(|| read.time(RUN_AT)).transpose()?,
        snoozes: read.number(SNOOZES)?.unwrap_or(0),
        cancel: read.string(CANCEL)?.map(str::to_owned),
        // For people alone: what cannot be read is left out.
        cancel_note: read
            .string(CANCEL_NOTE)
            .ok()
            .flatten()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default(),
        expires_at: read.number(EXPIRES_AT)?,
        // For people alone: what cannot be read is left out.
        progress: read.string(PROGRESS).ok().flatten().and_then(|text| serde_json::from_str(text).ok()),
        errors,
        bytes_without_errors,
        errors_bytes,
    })
}

/// Reads attributes, with errors that name the item and the attribute.
struct Reader<'i> {
    item: &'i Item,
}

impl<'i> Reader<'i> {
    fn error(&self, attribute: &str, why: String) -> ItemError {
        ItemError::decode(self.item, attribute, why)
    }

    fn required<V>(&self, name: &str, value: Option<V>) -> Result<V, ItemError> {
        value.ok_or_else(|| self.error(name, "the attribute is missing".to_owned()))
    }

    fn string(&self, name: &str) -> Result<Option<&'i str>, ItemError> {
        match self.item.get(name) {
            None | Some(AttributeValue::Null(_)) => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(name, format!("the attribute is not a string, but {other:?}"))),
        }
    }

    fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, ItemError> {
        match self.item.get(name) {
            None | Some(AttributeValue::Null(_)) => Ok(None),
            Some(AttributeValue::N(number)) => number.parse().map(Some).map_err(|_| {
                self.error(name, format!("{number} is not a whole number in the expected range"))
            }),
            Some(other) => Err(self.error(name, format!("the attribute is not a number, but {other:?}"))),
        }
    }

    fn time(&self, name: &str) -> Result<Timestamp, ItemError> {
        let text = self.required(name, self.string(name)?)?;
        Timestamp::parse(text)
            .ok_or_else(|| self.error(name, format!("\"{text}\" is not a time such as {}", Timestamp::EPOCH)))
    }
}
