//! How the body of a task says that it failed, and what is to become of the task.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::item::error::BoxError;
use crate::protocol::outcome::{Outcome, Verdict};

/// No chain of causes is followed further: one may lead back to itself.
const CHAIN: usize = 1000;

/// The error of a task's body, of any type, with a verdict on the task.
///
/// Every error converts into it with `?`, to be tried again; [`or_fatal`](FailureExt::or_fatal) gives the
/// task up at once, [`or_retry_after`](FailureExt::or_retry_after) lets it wait, and [`snooze`](Self::snooze) puts it off
/// without counting an attempt. It is not itself an [`Error`](StdError), so that this conversion can hold for all that are.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use tracker_core::{Failure, FailureExt};
///
/// fn pages(text: &str) -> Result<u32, Failure> {
///     // No attempt will make the number any better.
///     Ok(text.parse().or_fatal()?)
/// }
/// assert!(pages("twelve").is_err_and(|failure| failure.is_fatal()));
///
/// #[derive(Debug)]
/// enum Upload { Busy, NotThereYet, Denied }
/// # impl std::fmt::Display for Upload { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{self:?}") } }
/// # impl std::error::Error for Upload {}
///
/// /// What each error of a domain means to its task.
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
    /// To be tried again, until `max_retry` attempts have failed; when, the tracker's
    /// [`backoff`](crate::TrackerBuilder::backoff) says.
    pub fn retry(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { error: error.into(), verdict: Verdict::Retry }
    }

    /// To be tried again, but not before `wait` has passed, as when a service has said when to come back. It is a failed
    /// attempt like any other; `wait` stands in place of the tracker's backoff.
    pub fn retry_after(error: impl Into<Box<dyn StdError + Send + Sync>>, wait: Duration) -> Self {
        Self { error: error.into(), verdict: Verdict::RetryAfter(wait) }
    }

    /// Not to be tried again: the task is given up at once.
    pub fn fatal(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { error: error.into(), verdict: Verdict::Fatal }
    }

    /// Not yet: what the task needs is not there. It goes back to where it was started from, and is not started before `wait`
    /// has passed. That is no failed attempt and leaves no entry in the history; data that was not saved is dropped.
    ///
    /// After [`max_snoozes`](crate::TrackerBuilder::max_snoozes) of them in a row the next is a failed attempt, so that a
    /// task for which the time never comes ends, too.
    #[must_use]
    pub fn snooze(wait: Duration) -> Self {
        Self { error: format!("snoozed for {wait:?}").into(), verdict: Verdict::Snooze(wait) }
    }

    /// Whether the task is given up with it.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.verdict == Verdict::Fatal
    }

    /// Whether it puts the task off, without counting an attempt.
    #[must_use]
    pub fn is_snooze(&self) -> bool {
        matches!(self.verdict, Verdict::Snooze(_))
    }

    /// The body's error; of a snooze, a text that says so.
    #[must_use]
    pub fn into_error(self) -> Box<dyn StdError + Send + Sync> {
        self.error
    }

    /// What is recorded; see [`outcome`].
    pub(crate) fn outcome(&self, limit: usize) -> Outcome {
        outcome(self.error.as_ref(), limit, self.verdict)
    }
}

/// What is recorded of an error: itself in a line, and the chain of its causes. Of a chain longer than `limit`, the
/// first is kept and the last ones, where the root cause is.
pub(crate) fn outcome(error: &(dyn StdError + 'static), limit: usize, verdict: Verdict) -> Outcome {
    let chain: Vec<_> = std::iter::successors(Some(error), |&error| error.source()).take(CHAIN).collect();
    let left_out = chain.len().saturating_sub(limit.max(1));
    let lines = chain.iter().enumerate().filter_map(|(nth, error)| match nth {
        0 => Some(format!("{error}")),
        1 if left_out > 0 => Some(format!("caused by: ({left_out} causes left out)")),
        nth if nth <= left_out => None,
        _ => Some(format!("caused by: {error}")),
    });
    Outcome::Failed { error: error.to_string(), traceback: lines.collect::<Vec<_>>().join("\n"), verdict }
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

/// Verdicts for any `Result`.
pub trait FailureExt<R>: Sized {
    /// An error gives the task up at once.
    ///
    /// # Errors
    ///
    /// The error of `self`, as a fatal [`Failure`].
    fn or_fatal(self) -> Result<R, Failure>;

    /// An error is a failed attempt, after which the task waits for this long.
    ///
    /// # Errors
    ///
    /// The error of `self`, as a [`Failure`] with that wait.
    fn or_retry_after(self, wait: Duration) -> Result<R, Failure>;

    /// An error puts the task off for this long, see [`Failure::snooze`]. What it says is dropped.
    ///
    /// # Errors
    ///
    /// A snooze.
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
    fn the_root_cause_is_kept() {
        assert_eq!(recorded(1, 10), "level 0");
        assert_eq!(recorded(3, 3), "level 0\ncaused by: level 1\ncaused by: level 2");
        assert_eq!(
            recorded(6, 3),
            "level 0\ncaused by: (3 causes left out)\ncaused by: level 4\ncaused by: level 5"
        );
        assert_eq!(recorded(3, 1), "level 0\ncaused by: (2 causes left out)");
    }

    #[test]
    fn any_error_converts_and_is_found_again() {
        let failure: Failure = chain(1).into();
        assert!(!failure.is_fatal());
        assert!(failure.into_error().downcast::<Level>().is_ok());
        let failure: Failure = "text".into();
        assert_eq!(failure.to_string(), "text");
    }
}
