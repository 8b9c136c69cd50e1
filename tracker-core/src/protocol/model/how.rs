//! How an attempt ends.

use super::steps::{WAIT, ticks};
use crate::item::history::Note;
use crate::protocol::outcome::{Outcome, Verdict};

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum How {
    Succeeded,
    Failed,
    /// Failed, with a wait before the next attempt.
    FailedToWait,
    Snoozed,
    Released,
    /// The holder does what it was asked.
    Cancelled,
}

impl How {
    pub(super) fn outcome(self) -> Outcome {
        let failed = |verdict| Outcome::Failed { error: String::new(), traceback: String::new(), verdict };
        match self {
            Self::Succeeded => Outcome::Succeeded,
            Self::Failed => failed(Verdict::Retry),
            Self::FailedToWait => failed(Verdict::RetryAfter(ticks(WAIT))),
            Self::Snoozed => failed(Verdict::Snooze(ticks(WAIT))),
            Self::Released => Outcome::Released,
            Self::Cancelled => Outcome::Cancelled(Note::default()),
        }
    }
}
