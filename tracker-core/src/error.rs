//! The one error of the crate.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::task::TaskHead;

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Why an operation of a tracker did not do what was asked.
///
/// [`kind`](Self::kind) tells what happened, [`key`](Self::key) to which task; a refusal carries the
/// [task as it was found](Self::task), and where the SDK or a decoder failed,
/// [`source`](StdError::source) is its error.
///
/// # Examples
///
/// ```
/// use tracker_core::{Error, ErrorKind};
///
/// fn explain(error: &Error) -> String {
///     match error.kind() {
///         ErrorKind::Locked { owner, until } => format!("{owner:?} works on it until {until}"),
///         ErrorKind::AlreadySucceeded => "nothing to do".to_owned(),
///         _ => error.to_string(),
///     }
/// }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    key: Option<String>,
    task: Option<TaskHead>,
    source: Option<BoxError>,
    body: Option<BoxError>,
    /// Whether the SDK had sent the request before.
    retried: bool,
}

/// What kind of error it is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Refusal: there is no such task.
    NotInitialized,
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
    /// Refusal: the task was given up, after too many failed attempts or a fatal one.
    Ignored,
    /// Refusal: the task is in a status from which this step does not start.
    NotReady {
        /// The name of that status, or its code where no step known here has it.
        status: String,
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
    /// The body returned an error, which was recorded; see [`Error::body_error`].
    BodyFailed {
        /// Whether the task was given up with it.
        ignored: bool,
    },
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
    /// DynamoDB did not answer.
    Unavailable,
    /// Anything else the service says.
    Service {
        /// The error code, such as `AccessDeniedException`.
        code: Option<String>,
    },
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner { kind, key: None, task: None, source: None, body: None, retried: false }))
    }

    pub(crate) fn with_key(mut self, key: &str) -> Self {
        self.0.key.get_or_insert_with(|| key.to_owned());
        self
    }

    pub(crate) fn with_task(mut self, task: TaskHead) -> Self {
        self.0.task = Some(task);
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn with_body_error(mut self, error: BoxError) -> Self {
        self.0.body = Some(error);
        self
    }

    pub(crate) fn retried(mut self, retried: bool) -> Self {
        self.0.retried = retried;
        self
    }

    pub(crate) fn was_retried(&self) -> bool {
        self.0.retried
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The `key` attribute of the task it happened to.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// The task: as a refusal or a failed write found it, or as a finish left it; where nothing was read, as it was
    /// when it was started.
    #[must_use]
    pub fn task(&self) -> Option<&TaskHead> {
        self.0.task.as_ref()
    }

    /// Whether the task was refused in the state it is in, as opposed to something going wrong.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::NotInitialized
                | ErrorKind::Locked { .. }
                | ErrorKind::ClockBehind { .. }
                | ErrorKind::AlreadySucceeded
                | ErrorKind::Ignored
                | ErrorKind::NotReady { .. }
        )
    }

    /// The error that the body of a [`run`](crate::Tracker::run) returned, also when recording it failed.
    #[must_use]
    pub fn body_error<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.body.as_ref()?.downcast_ref()
    }

    /// The error that the body of a [`run`](crate::Tracker::run) returned, by value.
    ///
    /// # Errors
    ///
    /// Gives `self` back when there is none, or it is of another type.
    pub fn into_body_error<E: StdError + 'static>(mut self) -> Result<E, Self> {
        match self.0.body.take().map(<dyn StdError + Send + Sync>::downcast::<E>) {
            Some(Ok(error)) => Ok(*error),
            Some(Err(other)) => {
                self.0.body = Some(other);
                Err(self)
            }
            None => Err(self),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = &self.0.key {
            write!(f, "task `{key}`: ")?;
        }
        self.0.kind.fmt(f)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInitialized => f.write_str("there is no such task; create it first"),
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
                "was given up, after too many failed attempts or a fatal one; its errors say why, and it stays \
                 so until it is redriven",
            ),
            Self::NotReady { status } => write!(
                f,
                "is in status `{status}`, from which this step does not start; a step before this one has yet to \
                 finish it, or a later one has it already"
            ),
            Self::ClockOff { offset } => write!(
                f,
                "this machine's clock differs from DynamoDB's by {:.3} s, which is more than \
                 `max_clock_skew`, so leases cannot be told to have expired; set the clock",
                offset.as_seconds_f64()
            ),
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
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Error");
        shown.field("kind", &self.0.kind);
        for (name, value) in [
            ("key", self.0.key.as_ref().map(|key| key as &dyn fmt::Debug)),
            ("source", self.0.source.as_ref().map(|source| source as _)),
            ("body_error", self.0.body.as_ref().map(|body| body as _)),
        ] {
            if let Some(value) = value {
                shown.field(name, value);
            }
        }
        shown.finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.0.source.as_ref().or(self.0.body.as_ref())?;
        Some(source.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_and_can_go_anywhere() {
        fn anywhere<E: StdError + Send + Sync + 'static>() {}
        anywhere::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn display_names_the_key_and_leaves_the_source_to_itself() {
        let error = Error::new(ErrorKind::Decode { attribute: "data.pages".to_owned() })
            .with_source("invalid type")
            .with_key("extract____doc-1");
        assert_eq!(
            error.to_string(),
            "task `extract____doc-1`: `data.pages` cannot be read; correct the stored item, or the type \
             that it is read into"
        );
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("invalid type"));
    }

    #[test]
    fn body_errors_come_back_by_type() {
        let error =
            || Error::new(ErrorKind::BodyFailed { ignored: false }).with_body_error(Box::new(fmt::Error));
        assert_eq!(error().body_error::<fmt::Error>(), Some(&fmt::Error));
        assert_eq!(error().into_body_error::<fmt::Error>().unwrap(), fmt::Error);
        let kept = error().into_body_error::<std::io::Error>().unwrap_err();
        assert!(kept.body_error::<fmt::Error>().is_some());
        assert!(kept.source().is_some());
    }

    #[test]
    fn too_few_shards_are_said_to_be_the_cause() {
        let reasons = vec!["IndexWriteKeyRangeThroughputExceeded".to_owned()];
        let text = ErrorKind::Throttled { reasons }.to_string();
        assert!(text.contains("too few shards"), "{text}");
    }
}
