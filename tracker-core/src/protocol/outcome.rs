//! The outcomes of an attempt.

use std::time::Duration;

use crate::item::history::Note;

/// How an attempt ends.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Succeeded,
    Failed {
        error: String,
        traceback: String,
        verdict: Verdict,
    },
    /// The task returns to the status that the attempt started from. No failed attempt is counted.
    Released,
    /// The task is ignored because somebody cancelled it.
    Cancelled(Note),
}

/// What a failure means for the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Retry after the tracker's backoff.
    Retry,
    /// Retry after this long, instead of the tracker's backoff.
    RetryAfter(Duration),
    /// Ignore the task.
    Fatal,
    /// Return the task to the status that the attempt started from. It cannot be started for this long. No failed
    /// attempt is counted, except beyond `max_snoozes`.
    Snooze(Duration),
}

impl Outcome {
    /// Returns whether the outcome is a snooze.
    pub(crate) fn is_snooze(&self) -> bool {
        matches!(self, Self::Failed { verdict: Verdict::Snooze(_), .. })
    }

    /// Returns whether the outcome always adds an entry to the history. A snooze adds one only if it counts as a failed
    /// attempt.
    pub(crate) fn writes_history(&self) -> bool {
        match self {
            Self::Failed { .. } => !self.is_snooze(),
            Self::Cancelled(_) => true,
            Self::Succeeded | Self::Released => false,
        }
    }
}
