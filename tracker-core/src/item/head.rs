//! A task as it is stored.

use std::borrow::Cow;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

use crate::declare::spec::Wire;
use crate::declare::status::{Role, TrackerStatus};
use crate::item::attribute::{
    ATTEMPT, CANCEL, CREATE_TIME, ERRORS, EXPIRES_AT, Item, KEY, LAST_LOCK, LOCK, LOCK_TIME, NOT_LOCKED,
    OWNER, RETRY, RUN_AT, SNOOZES, STARTED_FROM, STATUS, UPDATE_TIME, VALUE, size_of_item,
};
use crate::item::error::ItemError;
use crate::item::history::{History, HistoryEntry};
use crate::item::use_case::UseCase;
use crate::time::Timestamp;

/// The tracker's own attributes of a task, whatever its data looks like.
#[derive(Clone)]
pub struct TaskHead {
    pub(crate) key: String,
    pub(crate) use_case_id: String,
    pub(crate) task_id: String,
    pub(crate) status_code: u32,
    pub(crate) status_name: Cow<'static, str>,
    pub(crate) role: Option<Role>,
    pub(crate) shard_id: Option<u32>,
    pub(crate) retry: u32,
    pub(crate) attempt: u64,
    pub(crate) create_time: Timestamp,
    pub(crate) update_time: Timestamp,
    pub(crate) lock_time: Timestamp,
    pub(crate) lock: Option<String>,
    pub(crate) last_lock: Option<String>,
    pub(crate) started_from: Option<u32>,
    pub(crate) owner: Option<String>,
    pub(crate) run_at: Option<Timestamp>,
    pub(crate) snoozes: u32,
    pub(crate) cancel: Option<String>,
    pub(crate) expires_at: Option<u64>,
    pub(crate) errors: History,
    /// The size of the item but for `errors`, to tell how much history there is room for.
    pub(crate) bytes_without_errors: usize,
}

impl TaskHead {
    /// The `key` attribute: use case and task id.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The use case of the task: what stands before the first separator of its key.
    #[must_use]
    pub fn use_case_id(&self) -> &str {
        &self.use_case_id
    }

    /// The id of the task within its use case.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.task_id
    }

    /// The number in the `status` attribute.
    #[must_use]
    pub fn status_code(&self) -> u32 {
        self.status_code
    }

    /// The name of the status; another step's has its type before it, and a code that no step known here
    /// uses is its own name.
    #[must_use]
    pub fn status_name(&self) -> &str {
        &self.status_name
    }

    /// The status in an enum of the caller's choice; `None` where the enum has no such code.
    #[must_use]
    pub fn status_in<S: TrackerStatus>(&self) -> Option<S> {
        S::from_code(self.status_code)
    }

    /// What the status means to this step; `None` where the task is another step's business.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    /// Whether the task waits for its first attempt in this step.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.role, Some(Role::Pending | Role::MorePending))
    }

    /// Whether the task is in progress, be its lease alive or expired.
    #[must_use]
    pub fn is_in_progress(&self) -> bool {
        self.role == Some(Role::InProgress)
    }

    /// Whether the last attempt failed, and the task may be tried again.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.role == Some(Role::Failed)
    }

    /// Whether the task is in this step's status succeeded. Once a later step has started it, it no longer is.
    #[must_use]
    pub fn is_succeeded(&self) -> bool {
        self.role == Some(Role::Succeeded)
    }

    /// Whether the task was given up.
    #[must_use]
    pub fn is_ignored(&self) -> bool {
        self.role == Some(Role::Ignored)
    }

    /// Whether the task may be started: pending, more pending or failed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.role.is_some_and(Role::is_ready)
    }

    /// Whether a worker holds the lock, be its lease alive or expired.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// The shard of the index that the task is in, counted from 1.
    #[must_use]
    pub fn shard_id(&self) -> Option<u32> {
        self.shard_id
    }

    /// Returns how many attempts have failed since the last success or redrive: the attribute `retry`.
    #[doc(alias = "retry")]
    #[must_use]
    pub fn failed_attempts(&self) -> u32 {
        self.retry
    }

    /// How many attempts there were in all, which never goes back: the fencing token of the attempt that
    /// holds the lease. 0 before the first, and after a Python worker's `save` dropped it.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.attempt
    }

    /// When the task was created.
    #[must_use]
    pub fn create_time(&self) -> DateTime<Utc> {
        self.create_time.utc()
    }

    /// When the status last changed.
    #[must_use]
    pub fn update_time(&self) -> DateTime<Utc> {
        self.update_time.utc()
    }

    /// When the lock was last taken, renewed or freed; 1970 if never.
    #[must_use]
    pub fn lock_time(&self) -> DateTime<Utc> {
        self.lock_time.utc()
    }

    /// Who holds the lease, or last held it.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Before when the task is not started: as it was created to be, or since it waits after a failed attempt.
    #[must_use]
    pub fn run_at(&self) -> Option<DateTime<Utc>> {
        self.run_at.map(Timestamp::utc)
    }

    /// How often the task was [snoozed](crate::Failure::snooze) since an attempt last ended otherwise.
    #[must_use]
    pub fn snoozes(&self) -> u32 {
        self.snoozes
    }

    /// Whether the attempt that holds the lease was [asked to end](crate::Tracker::cancel).
    #[must_use]
    pub fn is_cancel_requested(&self) -> bool {
        self.lock.is_some() && self.cancel == self.lock
    }

    /// From when on DynamoDB deletes the task, where it has ended and is not kept for ever.
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.expires_at?.try_into().ok()?, 0)
    }

    /// The failed attempts, oldest first; see [`errors_omitted`](Self::errors_omitted).
    #[must_use]
    pub fn errors(&self) -> &[HistoryEntry] {
        self.errors.entries()
    }

    /// How many entries after the first were left out of [`errors`](Self::errors), to keep the item small.
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

/// Reads the tracker's own attributes, and takes `errors` out of the item.
///
/// What this crate adds to the format may be missing, since a Python `save` drops it.
pub(crate) fn read_head(item: &mut Item, use_case: &UseCase, wire: Wire) -> Result<TaskHead, ItemError> {
    let errors = History::parse(item.remove(ERRORS), wire);
    let bytes_without_errors = size_of_item(item);
    let read = Reader { item };
    let key = read.string(KEY)?.ok_or_else(|| read.error(KEY, "it is missing".to_owned()))?;
    let Some((use_case_id, task_id)) = use_case.split_key(key) else {
        let why = format!("it has no separator \"{}\"", use_case.sep());
        return Err(read.error(KEY, why));
    };
    let status_code = read.required(STATUS, read.number(STATUS)?)?;
    let value = read.string(VALUE)?;
    Ok(TaskHead {
        key: key.to_owned(),
        use_case_id: use_case_id.to_owned(),
        task_id: task_id.to_owned(),
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
        started_from: read.number(STARTED_FROM)?,
        owner: read.string(OWNER)?.map(str::to_owned),
        // NULL is no time either, and the condition of a start does not hold for it.
        run_at: read.item.contains_key(RUN_AT).then(|| read.time(RUN_AT)).transpose()?,
        snoozes: read.number(SNOOZES)?.unwrap_or(0),
        cancel: read.string(CANCEL)?.map(str::to_owned),
        expires_at: read.number(EXPIRES_AT)?,
        errors,
        bytes_without_errors,
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
        value.ok_or_else(|| self.error(name, "it is missing".to_owned()))
    }

    fn string(&self, name: &str) -> Result<Option<&'i str>, ItemError> {
        match self.item.get(name) {
            None | Some(AttributeValue::Null(_)) => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(name, format!("it is not a string, but {other:?}"))),
        }
    }

    fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, ItemError> {
        match self.item.get(name) {
            None | Some(AttributeValue::Null(_)) => Ok(None),
            Some(AttributeValue::N(number)) => number.parse().map(Some).map_err(|_| {
                self.error(name, format!("{number} is not a whole number in the range expected"))
            }),
            Some(other) => Err(self.error(name, format!("it is not a number, but {other:?}"))),
        }
    }

    fn time(&self, name: &str) -> Result<Timestamp, ItemError> {
        let text = self.required(name, self.string(name)?)?;
        Timestamp::parse(text)
            .ok_or_else(|| self.error(name, format!("\"{text}\" is not a time such as {}", Timestamp::EPOCH)))
    }
}
