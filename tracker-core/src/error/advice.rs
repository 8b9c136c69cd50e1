//! What a program should do about an error.

use chrono::{DateTime, Utc};

use super::{Error, ErrorKind, NotReadyCause, chain};

/// What a program should do that was asked to work on a task, for example by a message of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// There is nothing left to do: the task has succeeded, is ignored, or exists already. Delete the message.
    Done,
    /// The same call can succeed later. Keep the message.
    RetryLater {
        /// The earliest time at which that is worth trying, if it is known.
        at: Option<DateTime<Utc>>,
    },
    /// A person must act, because a retry alone does not help. Raise an alarm.
    Fix,
}

impl Error {
    /// Returns whether the same request may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        let again =
            ["TransactionConflictException", "ReplicatedWriteConflictException", "RequestTimeoutException"];
        match self.kind() {
            ErrorKind::Unavailable | ErrorKind::Throttled { .. } => true,
            ErrorKind::Service { code: Some(code) } => again.contains(&code.as_str()),
            // The connection was refused, here or of a provider of credentials.
            ErrorKind::NotSent => chain(self).any(|error| error.is::<std::io::Error>()),
            _ => false,
        }
    }

    /// Returns what a program should do that was asked to work on a task.
    ///
    /// # Examples
    ///
    /// ```
    /// use tracker_core::{Advice, Error};
    ///
    /// fn decide(error: &Error) -> &'static str {
    ///     match error.advice() {
    ///         Advice::Done => "delete the message",
    ///         Advice::RetryLater { .. } => "leave the message in the queue",
    ///         _ => "raise an alarm",
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn advice(&self) -> Advice {
        let later = |at| Advice::RetryLater { at };
        match self.kind() {
            ErrorKind::AlreadySucceeded
            | ErrorKind::AlreadyExists
            | ErrorKind::Ignored
            | ErrorKind::Cancelled
            | ErrorKind::NotReady { cause: NotReadyCause::LaterStep | NotReadyCause::Pending, .. } => {
                Advice::Done
            }

            ErrorKind::Locked { until, .. } | ErrorKind::Snoozed { until } => later(Some(*until)),
            ErrorKind::NotDue { run_at } => later(Some(*run_at)),
            // A failed task waits for its backoff, if the tracker has one.
            ErrorKind::BodyFailed { ignored: false }
            | ErrorKind::NotReady { cause: NotReadyCause::NotDue, .. } => {
                later(self.task().and_then(|task| task.run_at()))
            }
            ErrorKind::NotFound
            | ErrorKind::ClockBehind { .. }
            | ErrorKind::NotReady { .. }
            | ErrorKind::Contended
            | ErrorKind::DeadlinePassed
            | ErrorKind::LeaseLost
            | ErrorKind::OutcomeUnknown => later(None),
            _ if self.is_transient() => later(None),

            _ => Advice::Fix,
        }
    }
}
