//! What kinds of errors there are, and what each says.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// What kind of error it is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Refusal: there is no such task.
    NotFound,
    /// Refusal: another worker holds the task.
    Locked {
        /// Who holds the lease, where the item tells.
        owner: Option<String>,
        /// When the task can be taken over, `max_clock_skew` included.
        until: DateTime<Utc>,
    },
    /// Refusal: the task is free, but was last written at a time that this machine's clock has not reached.
    ClockBehind {
        /// How far this machine's clock is behind that time.
        by: Duration,
    },
    /// Refusal: the task has succeeded.
    AlreadySucceeded,
    /// Refusal: the task was given up, after too many failed attempts, a fatal one, or on request.
    Ignored,
    /// Refusal: the task is in a status from which this step does not start.
    NotReady {
        /// The name of that status, or its code where no step known here has it.
        status: String,
    },
    /// Refusal: the task waits until a time of its own.
    NotDue {
        /// From when on it can be started.
        run_at: DateTime<Utc>,
    },
    /// This machine's clock differs from the service's by more than `max_clock_skew`: nothing is started.
    ClockOff {
        /// This machine's time less the service's.
        offset: TimeDelta,
    },
    /// `create` found a task with this id; nothing was written.
    AlreadyExists,
    /// The lease ran out or another worker took the task over, so nothing was written.
    LeaseLost,
    /// It cannot be told whether the write was applied: no answer came, or the lease was over by then and others
    /// have had the task since.
    OutcomeUnknown,
    /// The body returned an error, which was recorded; see [`Error::body_error`](crate::Error::body_error).
    BodyFailed {
        /// Whether the task was given up with it.
        ignored: bool,
    },
    /// The body put the task off, which was recorded, and is not counted as a failed attempt.
    Snoozed {
        /// From when on it can be started again.
        until: DateTime<Utc>,
    },
    /// The attempt was [cancelled](crate::Tracker::cancel), and the task given up.
    Cancelled,
    /// The task id cannot be used.
    InvalidTaskId {
        /// What is wrong with it.
        reason: String,
    },
    /// The configuration cannot be used.
    InvalidConfig {
        /// What is wrong with it.
        reason: String,
    },
    /// A query cannot be run as it is.
    InvalidQuery {
        /// What is wrong with it.
        reason: String,
    },
    /// A page token cannot be used.
    InvalidCursor {
        /// What is wrong with it.
        reason: String,
    },
    /// The item would be larger than DynamoDB allows.
    ItemTooLarge,
    /// A field cannot be stored.
    Encode {
        /// The attribute, `data.` before a member of the data.
        attribute: String,
    },
    /// A stored attribute cannot be read.
    Decode {
        /// The attribute, `data.` before a member of the data.
        attribute: String,
    },
    /// There is no such table.
    TableNotFound {
        /// Its name.
        table: String,
    },
    /// The table is not as the tracker needs it.
    TableMismatch {
        /// Its name.
        table: String,
        /// Each difference, with what is needed.
        differences: Vec<String>,
    },
    /// DynamoDB throttled the request, and every retry of the SDK.
    Throttled {
        /// The reasons the service gave, such as `IndexWriteKeyRangeThroughputExceeded`.
        reasons: Vec<String>,
    },
    /// DynamoDB did not answer, or its answer cannot be read.
    Unavailable,
    /// Anything else the service says.
    Service {
        /// The error code, such as `AccessDeniedException`.
        code: Option<String>,
    },
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such task"),
            Self::Locked { owner, until } => write!(
                f,
                "held by {} until {}; start another task, or this one again after that",
                owner.as_deref().unwrap_or("another worker"),
                until.to_rfc3339()
            ),
            Self::ClockBehind { by } => write!(
                f,
                "last written {by:?} ahead of this machine's clock; try again after that, and check the \
                 clocks of the workers if it keeps happening"
            ),
            Self::AlreadySucceeded => f.write_str("has succeeded already; there is nothing to do"),
            Self::Ignored => f.write_str(
                "was given up, after too many failed attempts, a fatal one, or on request; its errors say why, and it stays \
                 so until it is redriven",
            ),
            Self::NotReady { status } => write!(
                f,
                "is in status `{status}`, from which this step does not start; a step before this one has yet to \
                 finish it, or a later one has it already"
            ),
            Self::NotDue { run_at } => {
                write!(f, "is not to be started before {}; start it then", run_at.to_rfc3339())
            }
            Self::ClockOff { offset } => write!(
                f,
                "this machine's clock differs from DynamoDB's by {:.3} s, which is more than \
                 `max_clock_skew`, so leases cannot be told to have expired; set the clock",
                offset.as_seconds_f64()
            ),
            other => other.fmt_trouble(f),
        }
    }
}

impl ErrorKind {
    /// All but the refusals.
    fn fmt_trouble(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyExists => f.write_str(
                "exists already, and was left as it is; start it, or create a task with another id",
            ),
            Self::LeaseLost => f.write_str(
                "the lease has run out or another worker has taken the task over, and nothing was written; undo \
                 or ignore what was done since, unless the task turns out to be free",
            ),
            Self::OutcomeUnknown => f.write_str(
                "it cannot be told whether the write was applied, since no answer came, or others have had the \
                 task since; read the task to see, and if it is still held, it can be taken over once its lease \
                 has expired",
            ),
            Self::BodyFailed { ignored: false } => {
                f.write_str("the body failed, which was recorded; the task can be started again")
            }
            Self::BodyFailed { ignored: true } => {
                f.write_str("the body failed, which was recorded, and the task was given up")
            }
            Self::Snoozed { until } => write!(
                f,
                "the body put the task off until {}; start it again then",
                until.to_rfc3339()
            ),
            Self::Cancelled => f.write_str(
                "the attempt was cancelled from outside, and the task was given up; a redrive sets it back to \
                 pending",
            ),
            Self::InvalidTaskId { reason } => write!(f, "the task id cannot be used: {reason}"),
            Self::InvalidConfig { reason } => write!(f, "the configuration cannot be used: {reason}"),
            Self::InvalidQuery { reason } => write!(f, "the query cannot be run: {reason}"),
            Self::InvalidCursor { reason } => {
                write!(f, "the cursor cannot be used: {reason}; begin again without one")
            }
            Self::ItemTooLarge => f.write_str(
                "the item would be larger than the 400 KB that DynamoDB allows; keep large data elsewhere, \
                 and in the task where it is",
            ),
            Self::Encode { attribute } => write!(
                f,
                "`{attribute}` cannot be stored; DynamoDB has strings, numbers of 38 digits, booleans, \
                 lists, and maps with string keys"
            ),
            Self::Decode { attribute } => write!(
                f,
                "`{attribute}` cannot be read; correct the stored item, or the type that it is read into"
            ),
            Self::TableNotFound { table } => write!(
                f,
                "there is no table `{table}`; create it with `create_table`, or check the region and the \
                 endpoint of the client"
            ),
            Self::TableMismatch { table, differences } => write!(
                f,
                "table `{table}` is not as the tracker needs it: {}; correct it, or use another table",
                differences.join("; ")
            ),
            Self::Throttled { reasons } => {
                f.write_str("DynamoDB throttled the request, and its retries")?;
                if !reasons.is_empty() {
                    write!(f, " ({})", reasons.join(", "))?;
                }
                let hot = |reason: &String| reason.starts_with("Index") && reason.contains("KeyRange");
                f.write_str(if reasons.iter().any(hot) {
                    "; a status has too few shards for this rate: give it more, once every reader knows"
                } else {
                    "; slow down, or raise the capacity of the table"
                })
            }
            Self::Unavailable => f.write_str(
                "DynamoDB did not answer; check the network, and the region and the endpoint of the client",
            ),
            Self::Service { code } => write!(
                f,
                "DynamoDB refused the request with {}; its message is this error's source",
                code.as_deref().unwrap_or("an error without a code")
            ),
            // A refusal, whose text is above.
            _ => Ok(()),
        }
    }
}
