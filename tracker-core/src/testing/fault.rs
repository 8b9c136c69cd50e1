//! The faults that a request can meet.

use std::time::Duration;

/// A fault of a request on its way to the database, or of the response on its way back.
///
/// The SDK retries most of these faults by itself, unless the client's `RetryConfig` disables that. A fault that does
/// not fit a request, such as [`Unprocessed`](Self::Unprocessed) for a request that is no batch, does not happen and
/// is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No fault: in a script, a request that gets through.
    None,
    /// The request never arrives, and the connection fails.
    DropRequest,
    /// The endpoint refuses the connection, so nothing is sent.
    RefuseConnection,
    /// The request is applied, and the connection fails before the response.
    DropResponse,
    /// The request arrives after this time, even if the caller has stopped waiting.
    Delay(Duration),
    /// The request is answered, and a copy arrives this time after the response, even if the caller has stopped
    /// waiting. It needs a Tokio runtime. After ten minutes the database has forgotten the token of a transaction, as DynamoDB has.
    DuplicateLate(Duration),
    /// The request is throttled, and not applied. `ThrottlingReasons` says that a partition of an index is too hot.
    Throttle,
    /// The request is answered with status 500, and not applied.
    InternalError,
    /// The request is answered with status 500, and applied.
    InternalErrorAfterApplying,
    /// The request is applied, and half of the response's body arrives.
    CutBody,
    /// Something in between, such as a proxy, answers with status 200 and `{}`. The request never arrives.
    ForeignResponse,
    /// The request is refused with a missing permission, and not applied.
    Deny,
    /// The first half of a batch is processed. The rest is returned as unprocessed, with whatever the database itself
    /// has left unprocessed.
    Unprocessed,
    /// The first half of a batch of statements is processed. Each of the others is answered as throttled, and not applied. A
    /// transaction is cancelled because its last action is throttled, and not applied.
    ThrottleMembers,
    /// All statements of a batch but the last are processed. The last is answered as invalid, and not applied.
    RefuseMember,
    /// A transaction is cancelled with the reason `TransactionConflict` for its last action, and not applied. A write of one item
    /// is refused with `TransactionConflictException`, as if a transaction were writing the item.
    Conflict,
    /// A transaction is answered with `TransactionInProgressException`, and not applied.
    InProgress,
}

impl Fault {
    /// Returns the name of the variant.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::DropRequest => "DropRequest",
            Self::RefuseConnection => "RefuseConnection",
            Self::DropResponse => "DropResponse",
            Self::Delay(_) => "Delay",
            Self::DuplicateLate(_) => "DuplicateLate",
            Self::Throttle => "Throttle",
            Self::InternalError => "InternalError",
            Self::InternalErrorAfterApplying => "InternalErrorAfterApplying",
            Self::CutBody => "CutBody",
            Self::ForeignResponse => "ForeignResponse",
            Self::Deny => "Deny",
            Self::Unprocessed => "Unprocessed",
            Self::ThrottleMembers => "ThrottleMembers",
            Self::RefuseMember => "RefuseMember",
            Self::Conflict => "Conflict",
            Self::InProgress => "InProgress",
        }
    }

    /// Returns the same fault with a fraction of its duration.
    pub(super) fn shortened(self, fraction: f64) -> Self {
        match self {
            Self::Delay(longest) => Self::Delay(longest.mul_f64(fraction)),
            Self::DuplicateLate(longest) => Self::DuplicateLate(longest.mul_f64(fraction)),
            other => other,
        }
    }
}
