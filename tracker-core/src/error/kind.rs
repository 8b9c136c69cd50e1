//! The kinds of errors, each with its text.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::escaped::Escaped;

/// Why an operation failed, and whether to retry it, wait or act.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Refusal: the task does not exist.
    #[doc(alias = "NotInitialized")]
    #[error("there is no such task; create it first, or check the id")]
    NotFound,
    /// Refusal: another worker holds the task. Retry after `until`.
    #[error(
        "held by {} until {}; {}",
        Escaped(.owner.as_deref().unwrap_or("another worker")),
        .until.to_rfc3339(),
        if *.by_this_tracker {
            "this very tracker started it: end that attempt first"
        } else {
            "start another task, or try this one again after that"
        }
    )]
    Locked {
        /// Whether this very tracker, or a clone of it, holds the task.
        by_this_tracker: bool,
        /// The owner of the lease, if the item names one.
        owner: Option<String>,
        /// When the task can be taken over: the end of the lease plus `max_clock_skew`.
        until: DateTime<Utc>,
    },
    /// Refusal: the task is free, but its last write has a time that this machine's clock has not reached. Retry after
    /// `by`.
    #[error(
        "last written {by:?} ahead of this machine's clock; try again after that, and check the clocks of the workers \
         if it keeps happening"
    )]
    ClockBehind {
        /// How far this machine's clock is behind that time.
        by: Duration,
    },
    /// Refusal: the task has succeeded. There is nothing to do.
    #[error("has succeeded already; there is nothing to do")]
    AlreadySucceeded,
    /// Refusal: the task is ignored, after too many failed attempts, a fatal failure or a cancel. Only a redrive changes
    /// that.
    #[error(
        "is ignored, after too many failed attempts, a fatal failure or a cancel; its errors say why, and a redrive sets \
         it back to pending"
    )]
    Ignored,
    /// Refusal: the status of the task does not allow the call.
    #[error("is in status `{}`, which does not allow this: {cause}", Escaped(.status))]
    NotReady {
        /// The name of the status, or its code if no step known here uses it.
        status: String,
        /// Why the status does not allow the call.
        cause: NotReadyCause,
    },
    /// Refusal: the task cannot be started yet. Retry at `run_at`.
    #[error("cannot be started before {}; start it then", .run_at.to_rfc3339())]
    NotDue {
        /// The earliest time at which the task can be started.
        run_at: DateTime<Utc>,
    },
    /// Other writers changed the task first, several times in a row. The operation wrote nothing: try again.
    #[error(
        "other writers changed the task first, several times in a row, and nothing was written; try again"
    )]
    Contended,
    /// This machine's clock differs from DynamoDB's by more than half of `max_clock_skew`, so leases cannot be judged. Set the
    /// clock.
    #[error(
        "this machine's clock differs from DynamoDB's by {:.3} s, which is more than half of `max_clock_skew`, so leases cannot \
         be told to have expired; set the clock",
        .offset.as_seconds_f64()
    )]
    ClockOff {
        /// This machine's time minus DynamoDB's.
        offset: TimeDelta,
    },
    /// `create` found a task with this id. Nothing was written.
    #[error("exists already, and stays as it is; start it, or create a task with another id")]
    AlreadyExists,
    /// The lease expired, or another worker took the task over. The end of the attempt was not recorded.
    #[error(
        "the lease was lost: it expired, or another worker took the task over, and the end of this attempt was not \
         recorded; undo or ignore the work, unless the task turns out to be free"
    )]
    LeaseLost,
    /// It is unknown whether the write was applied: no answer came, or the lease had expired and other workers have had
    /// the task since. Read the task to find out.
    #[error(
        "unknown whether the write was applied: no answer came, or another worker has had the task since; read the task \
         to find out, and if it is still locked, it can be taken over after its lease expires"
    )]
    OutcomeUnknown,
    /// The body returned an error, which was recorded. [`Error::body_error`](crate::Error::body_error) returns it.
    #[error(
        "the body failed, and {}",
        if *.ignored {
            "the task is ignored now; its errors say why, and a redrive sets it back to pending"
        } else {
            "the failure was recorded; the task can be started again after its backoff"
        }
    )]
    BodyFailed {
        /// Whether the task is ignored now.
        ignored: bool,
    },
    /// The body snoozed the task, which was recorded. It does not count as a failed attempt. Retry at `until`.
    #[error("the body snoozed the task until {}; start it again then", .until.to_rfc3339())]
    Snoozed {
        /// The earliest time at which the task can be started again.
        until: DateTime<Utc>,
    },
    /// The attempt was [cancelled](crate::Tracker::cancel), and the task is ignored now.
    #[error("the attempt was cancelled, and the task is ignored now; a redrive sets it back to pending")]
    Cancelled,
    /// The [deadline](crate::Run::deadline) of a run or a start passed before the work was done. The task is released, or is
    /// being released. Nothing counts as failed: start it again.
    #[error(
        "the deadline passed before the work was done; the task is released, no failed attempt is counted, and it can be \
         started again"
    )]
    DeadlinePassed,
    /// The task id cannot be used.
    #[error("the task id cannot be used: {reason}")]
    InvalidTaskId {
        /// What is wrong with the id, and what to do.
        reason: String,
    },
    /// The configuration cannot be used.
    #[error("the configuration cannot be used: {reason}")]
    InvalidConfig {
        /// What is wrong with the configuration, and what to do.
        reason: String,
    },
    /// An operator has no description of the use case, so it does not know the statuses.
    #[error("the use case is not described: {reason}")]
    NotDescribed {
        /// What is missing, and what to do.
        reason: String,
    },
    /// An operator may read this table, and not write to it.
    #[error("nothing may be written: {}", reasons.join("; "))]
    ReadOnly {
        /// Why nothing may be written, and what to do.
        reasons: Vec<String>,
    },
    /// The query cannot be run.
    #[error("the query cannot be run: {reason}")]
    InvalidQuery {
        /// What is wrong with the query, and what to do.
        reason: String,
    },
    /// The cursor cannot be used. Begin again without one.
    #[error("the cursor cannot be used: {reason}; begin again without one")]
    InvalidCursor {
        /// What is wrong with the cursor.
        reason: String,
    },
    /// The item would be larger than the 400 KB that DynamoDB allows.
    #[error(
        "the item would be larger than the 400 KB that DynamoDB allows; keep large data elsewhere, and store in the task \
         where to find it"
    )]
    ItemTooLarge,
    /// The effects cannot be one transaction with the task: one is not valid, or cannot be applied to what is stored. Nothing of the
    /// transaction was written. If DynamoDB has found that at the end of an attempt, the attempt is recorded as failed.
    #[error("the effects cannot be one transaction with the task; correct them")]
    InvalidEffects,
    /// The condition of an effect failed. Nothing of its transaction was written. If it belonged to an attempt, the attempt is recorded
    /// as failed. [`Error::refused_item`](crate::Error::refused_item) returns the item, if the effect asks for it.
    #[error(
        "effect {nth}, on table `{}`, was refused, so nothing of its transaction was written; look at what is stored there, \
         and correct the effect or its condition",
        Escaped(.table)
    )]
    EffectRefused {
        /// Which effect it is, counted from 0, in the order in which they were added.
        nth: usize,
        /// The name of its table.
        table: String,
    },
    /// Other requests were writing an item of the transaction at the same time, several times in a row. Nothing of the transaction
    /// was written. If it belonged to an attempt, the attempt is recorded as failed.
    #[error(
        "other requests were writing the same items, several times in a row, so nothing of the transaction was written; try \
         again, and spread such writes over more items if it keeps happening"
    )]
    TransactionConflict,
    /// A field cannot be stored.
    #[error(
        "`{}` cannot be stored; DynamoDB has strings, numbers of 38 digits, booleans, lists, and maps with string keys",
        Escaped(.attribute)
    )]
    Encode {
        /// The attribute. A member of the data is written as `data.member`.
        attribute: String,
    },
    /// The item is not a task of the use case: it is of another use case, or of another program.
    #[error("the item is not a task of this use case: {reason}; skip the item, or read it with its own type")]
    NotATask {
        /// What tells that.
        reason: String,
    },
    /// A stored attribute cannot be read.
    #[error("`{}` cannot be read; correct the stored item, or the type that it is read into", Escaped(.attribute))]
    Decode {
        /// The attribute. A member of the data is written as `data.member`.
        attribute: String,
    },
    /// The table does not exist.
    #[error(
        "there is no table `{table}`; create it with `create_table`, or check the region and the endpoint of the client"
    )]
    TableNotFound {
        /// The name of the table.
        table: String,
    },
    /// The table does not fit the tracker.
    #[error(
        "table `{table}` is not as the tracker needs it: {}; correct it, or use another table",
        .differences.join("; ")
    )]
    TableMismatch {
        /// The name of the table.
        table: String,
        /// Each difference, with what the tracker needs.
        differences: Vec<String>,
    },
    /// DynamoDB throttled the request and every retry of the SDK. Retry later.
    #[error(fmt = throttled)]
    Throttled {
        /// The reasons that DynamoDB gave, such as `IndexWriteKeyRangeThroughputExceeded`.
        reasons: Vec<String>,
    },
    /// The request was not sent, so nothing was written. The message of the error says why: for example, there are no
    /// credentials, no region or no HTTP client, or the endpoint refuses the connection.
    #[error(
        "the request was not sent, so nothing was written; check the credentials, the region, the endpoint and the HTTP \
         client of the SDK's client"
    )]
    NotSent,
    /// DynamoDB did not answer, it answered with an internal error, or its answer cannot be read. Retry later.
    #[error(
        "DynamoDB gave no usable answer; retry later, and if this lasts, check the network, and the region and the endpoint of the client"
    )]
    Unavailable,
    /// DynamoDB refused the request for any other reason.
    #[error("DynamoDB refused the request with {}", Escaped(.code.as_deref().unwrap_or("an error without a code")))]
    Service {
        /// The error code, such as `AccessDeniedException`.
        code: Option<String>,
    },
}

/// Why the status of a task does not allow a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotReadyCause {
    /// An earlier step has not finished the task.
    #[error("an earlier step has not finished the task; try again later")]
    EarlierStep,
    /// A later step has started the task.
    #[error("a later step has the task already; there is nothing to do")]
    LaterStep,
    /// No step known here uses this code: a later step has started the task, or the codes of the status enum have changed.
    #[error(
        "no step known here uses this code; a later step may have the task, or did the codes of the status enum change?"
    )]
    UnknownCode,
    /// The task is locked, although its status is not in progress, so another program has changed the task.
    #[error("it is locked nevertheless, so another program has changed it; try again after the lease")]
    ChangedElsewhere,
    /// A redrive of a task that is pending: it is neither failed nor ignored.
    #[error("the task is waiting for a worker already; only a failed or an ignored task can be redriven")]
    Pending,
    /// A redrive of a pending task that cannot be started before its `run_at`.
    #[error(
        "the task waits for its time, `run_at`; only a failed or an ignored task can be redriven, and `run_now` makes a \
         task due"
    )]
    NotDue,
    /// A `run_now` of a task that waits for no time.
    #[error("the task waits for no time; a worker can start it now")]
    AlreadyDue,
    /// A release by hand of a task that no worker holds.
    #[error("no worker holds the task; there is nothing to release")]
    NotHeld,
    /// The task has changed since the index showed it to an operation on many tasks.
    #[error("the task has changed since it was found; find it again")]
    MovedOn,
}

fn throttled(reasons: &[String], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("DynamoDB throttled the request and its retries")?;
    if !reasons.is_empty() {
        write!(f, " ({})", reasons.join(", "))?;
    }
    let is_hot_partition = |reason: &String| reason.starts_with("Index") && reason.contains("KeyRange");
    f.write_str(if reasons.iter().any(is_hot_partition) {
        "; a status has too few shards for this rate: give it more shards, after every reader has them in `read_shards`"
    } else {
        "; slow down, or raise the capacity of the table"
    })
}

#[cfg(test)]
mod tests;
