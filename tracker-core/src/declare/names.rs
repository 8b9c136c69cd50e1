//! The names of the tracker's own attributes, as the code uses them. A table may have [others](super::layout).

pub(crate) const KEY: &str = "key";
pub(crate) const VALUE: &str = "value";
pub(crate) const STATUS: &str = "status";
pub(crate) const RETRY: &str = "retry";
pub(crate) const CREATE_TIME: &str = "create_time";
pub(crate) const UPDATE_TIME: &str = "update_time";
pub(crate) const LOCK: &str = "lock";
pub(crate) const LOCK_TIME: &str = "lock_time";
pub(crate) const DATA: &str = "data";
pub(crate) const ERRORS: &str = "errors";
pub(crate) const ATTEMPT: &str = "attempt";
pub(crate) const LAST_LOCK: &str = "last_lock";
/// The lock id of the attempt that was last taken over; before the first takeover, a token of the create.
pub(crate) const LOST_LOCK: &str = "lost_lock";
/// How many attempts in a row were lost.
pub(crate) const LOST_ATTEMPTS: &str = "lost_attempts";
/// The length of the holder's lease in milliseconds.
pub(crate) const LEASE_MS: &str = "lease_ms";
pub(crate) const STARTED_FROM: &str = "started_from";
pub(crate) const OWNER: &str = "owner";
/// Who has asked the attempt to end that `cancel` names, and why.
pub(crate) const CANCEL_NOTE: &str = "cancel_note";
/// What the attempt has said of its progress.
pub(crate) const PROGRESS: &str = "progress";
/// The earliest time at which the task can be started.
pub(crate) const RUN_AT: &str = "run_at";
/// How many times in a row the task was snoozed.
pub(crate) const SNOOZES: &str = "snoozes";
/// The lock id of the attempt that is asked to end.
pub(crate) const CANCEL: &str = "cancel";
/// The time from which DynamoDB may delete the item, in epoch seconds.
pub(crate) const EXPIRES_AT: &str = "expires_at";

/// The attributes from which a `TaskHead` is read: all of the tracker's own except `data`.
pub(crate) const HEAD: [&str; 22] = [
    KEY,
    VALUE,
    STATUS,
    RETRY,
    CREATE_TIME,
    UPDATE_TIME,
    LOCK,
    LOCK_TIME,
    ERRORS,
    ATTEMPT,
    LAST_LOCK,
    LOST_LOCK,
    LOST_ATTEMPTS,
    LEASE_MS,
    STARTED_FROM,
    OWNER,
    RUN_AT,
    SNOOZES,
    CANCEL,
    EXPIRES_AT,
    PROGRESS,
    CANCEL_NOTE,
];

/// All of the tracker's own attributes.
pub(crate) const OWN: [&str; 23] = {
    let mut all = [DATA; 23];
    let mut nth = 0;
    while nth < HEAD.len() {
        all[nth] = HEAD[nth];
        nth += 1;
    }
    all
};
