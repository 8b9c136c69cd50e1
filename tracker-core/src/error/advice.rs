//! What a program should do about an error.

use std::error::Error as StdError;
use std::io;

use aws_smithy_runtime_api::client::result::ConnectorError;
use chrono::{DateTime, Utc};

use super::{Error, ErrorKind, NotReadyCause, chain};
use crate::item::head::TaskHead;

/// What a program should do that was asked to work on a task, for example by a message of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// There is nothing left to do: the task has succeeded, is ignored, or exists already, or the item is of somebody else. Delete the
    /// message.
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
        let again = [
            "TransactionConflictException",
            "TransactionInProgressException",
            // An earlier send with the same token is known, so it may have been applied.
            "IdempotentParameterMismatchException",
            "ReplicatedWriteConflictException",
            "RequestTimeoutException",
        ];
        match self.kind() {
            ErrorKind::Unavailable | ErrorKind::Throttled { .. } => true,
            ErrorKind::Service { code: Some(code) } => again.contains(&code.as_str()),
            ErrorKind::NotSent => may_connect_later(self),
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
            | ErrorKind::NotATask { .. }
            | ErrorKind::NotReady {
                cause:
                    NotReadyCause::LaterStep
                    | NotReadyCause::Pending
                    | NotReadyCause::AlreadyDue
                    | NotReadyCause::NotHeld,
                ..
            } => Advice::Done,

            ErrorKind::Locked { until, .. } | ErrorKind::Snoozed { until } => later(Some(*until)),
            ErrorKind::NotDue { run_at } => later(Some(*run_at)),
            // The failure of an attempt may have been its last one.
            ErrorKind::TransactionConflict if self.task().is_some_and(TaskHead::is_ignored) => Advice::Fix,
            ErrorKind::TransactionConflict => later(self.task().and_then(TaskHead::run_at)),
            // A create has no task that is retried.
            ErrorKind::EffectRefused { .. } if self.task().is_some_and(TaskHead::is_ready) => {
                later(self.task().and_then(TaskHead::run_at))
            }
            // A failed task waits for its backoff, if the tracker has one.
            ErrorKind::BodyFailed { ignored: false }
            | ErrorKind::NotReady { cause: NotReadyCause::NotDue, .. } => {
                later(self.task().and_then(TaskHead::run_at))
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

/// Returns whether a connection may be made later, here or to a provider of credentials. A missing file or a certificate that is
/// not trusted does not pass by itself.
fn may_connect_later(error: &(dyn StdError + 'static)) -> bool {
    let is_of_network = |error: &(dyn StdError + 'static)| {
        error.is::<io::Error>()
            || error.downcast_ref::<ConnectorError>().is_some_and(|error| error.is_timeout() || error.is_io())
            || error.downcast_ref().is_some_and(hyper_util::client::legacy::Error::is_connect)
    };
    let is_permanent = |error: &(dyn StdError + 'static)| {
        use io::ErrorKind::{InvalidData, InvalidInput, NotFound, PermissionDenied, Unsupported};
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        kind.is_some_and(|kind| {
            [InvalidData, InvalidInput, NotFound, PermissionDenied, Unsupported].contains(&kind)
        })
    };
    chain(error).any(is_of_network) && !chain(error).any(is_permanent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_that_was_not_sent_is_worth_a_retry_if_the_network_was_the_reason() {
        let advice = |source: ConnectorError| Error::new(ErrorKind::NotSent).with_source(source).advice();
        let io = |kind: io::ErrorKind| ConnectorError::other(io::Error::from(kind).into(), None);
        let later = Advice::RetryLater { at: None };
        assert_eq!(advice(ConnectorError::timeout("connect".into())), later);
        assert_eq!(advice(ConnectorError::io("dns".into())), later);
        assert_eq!(advice(io(io::ErrorKind::ConnectionRefused)), later);
        assert_eq!(advice(io(io::ErrorKind::NotFound)), Advice::Fix, "a file with a token is missing");
        assert_eq!(advice(io(io::ErrorKind::InvalidData)), Advice::Fix, "a certificate is not trusted");
        assert_eq!(advice(ConnectorError::other("no credentials".into(), None)), Advice::Fix);
    }
}
