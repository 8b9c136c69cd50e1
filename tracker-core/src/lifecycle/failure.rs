//! The error of a body, and what it means for the task.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::error::guarded_text;
use crate::item::error::BoxError;
use crate::protocol::outcome::{Outcome, Verdict};

/// The error of a task's body, with what happens to the task.
///
/// Any error converts with `?`, and the task is retried. [`or_fatal`](FailureExt::or_fatal) ignores the task
/// at once, [`or_retry_after`](FailureExt::or_retry_after) retries it after a wait, and
/// [`or_snooze`](FailureExt::or_snooze) snoozes it without counting an attempt.
///
/// `Failure` does not implement [`Error`](StdError), because that would rule out the conversion from any
/// error. So you cannot implement `From` for a type that implements `std::error::Error`. Map it with a function instead, as in
/// the example.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use tracker_core::{Failure, FailureExt};
///
/// fn pages(text: &str) -> Result<u32, Failure> {
///     // No retry makes the text a number.
///     Ok(text.parse().or_fatal()?)
/// }
/// assert!(pages("twelve").is_err_and(|failure| failure.is_fatal()));
///
/// #[derive(Debug)]
/// enum Upload { Busy, NotThereYet, Denied }
/// # impl std::fmt::Display for Upload {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{self:?}") }
/// # }
/// # impl std::error::Error for Upload {}
///
/// /// Says what each error means for the task.
/// fn verdict(error: Upload) -> Failure {
///     match error {
///         Upload::Busy => Failure::retry_after(error, Duration::from_secs(60)),
///         Upload::NotThereYet => Failure::snooze(Duration::from_secs(600)),
///         Upload::Denied => Failure::fatal(error),
///     }
/// }
/// # let upload = || Err::<(), _>(Upload::Busy);
/// let uploaded: Result<(), Failure> = upload().map_err(verdict);
/// ```
pub struct Failure {
    error: BoxError,
    verdict: Verdict,
}

impl Failure {
    /// Returns a failure after which the task is retried, once the tracker's
    /// [`backoff`](crate::TrackerBuilder::backoff) has passed.
    ///
    /// It counts as a failed attempt. After [`max_retry`](crate::TrackerBuilder::max_retry) failed attempts
    /// in a row the task is ignored instead.
    pub fn retry(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { error: error.into(), verdict: Verdict::Retry }
    }

    /// Returns a failure after which the task is retried once `wait` has passed, for example if a service
    /// says when to come back.
    ///
    /// `wait` replaces the tracker's backoff. Like [`retry`](Self::retry), it counts as a failed attempt.
    pub fn retry_after(error: impl Into<Box<dyn StdError + Send + Sync>>, wait: Duration) -> Self {
        Self { error: error.into(), verdict: Verdict::RetryAfter(wait) }
    }

    /// Returns a failure after which the task is ignored at once. It counts as a failed attempt.
    pub fn fatal(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { error: error.into(), verdict: Verdict::Fatal }
    }

    /// Returns a failure that postpones the task: it returns to its previous status and cannot be started for
    /// `wait`.
    ///
    /// Use it when something that the task needs is not available yet. A snooze does not count as a failed
    /// attempt and leaves no entry in the history. Changes of the data that were not saved are dropped.
    ///
    /// After [`max_snoozes`](crate::TrackerBuilder::max_snoozes) snoozes in a row, the next one counts as a
    /// failed attempt, and the count of snoozes starts again at 0. So a task cannot be snoozed for ever.
    #[must_use]
    pub fn snooze(wait: Duration) -> Self {
        Self { error: format!("snoozed for {wait:?}").into(), verdict: Verdict::Snooze(wait) }
    }

    /// Returns whether the failure is fatal, so that the task is ignored at once.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.verdict == Verdict::Fatal
    }

    /// Returns whether the failure is a snooze.
    #[must_use]
    pub fn is_snooze(&self) -> bool {
        matches!(self.verdict, Verdict::Snooze(_))
    }

    /// Returns the error of the body. The error of a snooze is a text, such as `snoozed for 600s`.
    #[must_use]
    pub fn into_error(self) -> Box<dyn StdError + Send + Sync> {
        self.error
    }

    /// Returns the outcome to record, with at most `limit` errors of the chain of causes.
    pub(crate) fn outcome(&self, limit: usize) -> Outcome {
        outcome(self.error.as_ref(), limit, self.verdict)
    }
}

/// Returns the outcome to record for an error: its text, and the chain of its causes, one in each line. If
/// the chain has more than `limit` errors, the first one and the last ones are kept, because the last one is
/// the root cause.
pub(crate) fn outcome(error: &(dyn StdError + 'static), limit: usize, verdict: Verdict) -> Outcome {
    let chain: Vec<_> = crate::error::chain(error).collect();
    let left_out = chain.len().saturating_sub(limit.max(1));
    let lines = chain.iter().enumerate().filter_map(|(nth, error)| match nth {
        0 => Some(guarded_text(*error)),
        1 if left_out > 0 => Some(format!("caused by: ({left_out} causes left out)")),
        nth if nth <= left_out => None,
        _ => Some(format!("caused by: {}", guarded_text(*error))),
    });
    Outcome::Failed { error: guarded_text(error), traceback: lines.collect::<Vec<_>>().join("\n"), verdict }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("error", &self.error).field("verdict", &self.verdict).finish()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

/// Turns the error of any `Result` into a [`Failure`] of a given kind.
pub trait FailureExt<R>: Sized {
    /// Makes an error fatal: the task is ignored at once.
    ///
    /// # Errors
    ///
    /// Returns the error of `self` as a [fatal](Failure::fatal) failure.
    fn or_fatal(self) -> Result<R, Failure>;

    /// Makes an error a failed attempt after which the task waits for `wait`, instead of the tracker's
    /// backoff.
    ///
    /// # Errors
    ///
    /// Returns the error of `self` as a failure with that [wait](Failure::retry_after).
    fn or_retry_after(self, wait: Duration) -> Result<R, Failure>;

    /// Makes an error snooze the task for `wait`. The text of the error is dropped.
    ///
    /// # Errors
    ///
    /// Returns a [snooze](Failure::snooze) if `self` is an error.
    fn or_snooze(self, wait: Duration) -> Result<R, Failure>;
}

impl<R, E: Into<Box<dyn StdError + Send + Sync>>> FailureExt<R> for Result<R, E> {
    fn or_fatal(self) -> Result<R, Failure> {
        self.map_err(Failure::fatal)
    }

    fn or_retry_after(self, wait: Duration) -> Result<R, Failure> {
        self.map_err(|error| Failure::retry_after(error, wait))
    }

    fn or_snooze(self, wait: Duration) -> Result<R, Failure> {
        self.map_err(|_| Failure::snooze(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("level {0}")]
    struct Level(u32, #[source] Option<Box<Level>>);

    fn chain(length: u32) -> Level {
        (0..length)
            .rev()
            .fold(None, |cause, nth| Some(Box::new(Level(nth, cause))))
            .map_or(Level(0, None), |top| *top)
    }

    fn recorded(length: u32, limit: usize) -> String {
        match Failure::retry(chain(length)).outcome(limit) {
            Outcome::Failed { traceback, .. } => traceback,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn outcome_keeps_the_root_cause() {
        assert_eq!(recorded(1, 10), "level 0");
        assert_eq!(recorded(3, 3), "level 0\ncaused by: level 1\ncaused by: level 2");
        assert_eq!(
            recorded(6, 3),
            "level 0\ncaused by: (3 causes left out)\ncaused by: level 4\ncaused by: level 5"
        );
        assert_eq!(recorded(3, 1), "level 0\ncaused by: (2 causes left out)");
    }

    #[test]
    fn failure_takes_any_error_and_returns_it_by_type() {
        let failure: Failure = chain(1).into();
        assert!(!failure.is_fatal());
        assert!(failure.into_error().downcast::<Level>().is_ok());
        let failure: Failure = "text".into();
        assert_eq!(failure.to_string(), "text");
    }
}
