//! What can befall a request.

use std::time::Duration;

/// What befalls a request on its way to the database, or the answer on its way back.
///
/// What the SDK makes of it is up to the client's `RetryConfig`: by default it sends most of these requests again by
/// itself. A fault that does not fit a request, such as [`Unprocessed`](Self::Unprocessed) for one that is no batch,
/// does not happen, and is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: in a script, a request that comes through.
    None,
    /// The database never sees the request, and the connection fails.
    DropRequest,
    /// The request is applied, and the connection fails before the answer.
    DropResponse,
    /// The request is delivered after that long, also when the caller has given up by then.
    Delay(Duration),
    /// The request is delivered and answered, and delivered once more that long after the answer, also when the caller
    /// has given up by then. It fits where there is a Tokio runtime.
    DuplicateLate(Duration),
    /// The request is throttled, and not applied: a partition of an index is too hot, as `ThrottlingReasons` says.
    Throttle,
    /// The database answers with a status of 500, and has not applied the request.
    InternalError,
    /// The database answers with a status of 500, and has applied the request.
    InternalErrorAfterApplying,
    /// The request is applied, and only half of the answer's body arrives.
    CutBody,
    /// The request is refused for want of permission, and not applied.
    Deny,
    /// The first half of a batch is processed, and the rest given back as unprocessed, beside what the database itself
    /// gives back.
    Unprocessed,
}

impl Fault {
    /// The name of the variant.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::DropRequest => "DropRequest",
            Self::DropResponse => "DropResponse",
            Self::Delay(_) => "Delay",
            Self::DuplicateLate(_) => "DuplicateLate",
            Self::Throttle => "Throttle",
            Self::InternalError => "InternalError",
            Self::InternalErrorAfterApplying => "InternalErrorAfterApplying",
            Self::CutBody => "CutBody",
            Self::Deny => "Deny",
            Self::Unprocessed => "Unprocessed",
        }
    }

    /// The same, with that part of its duration.
    pub(super) fn shortened(self, part: f64) -> Self {
        match self {
            Self::Delay(longest) => Self::Delay(longest.mul_f64(part)),
            Self::DuplicateLate(longest) => Self::DuplicateLate(longest.mul_f64(part)),
            other => other,
        }
    }
}
