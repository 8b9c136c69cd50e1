//! How the body of a task says that it failed, and what is to become of the task.

use std::error::Error as StdError;
use std::fmt;

use crate::error::BoxError;
use crate::update::Outcome;

/// No chain of causes is followed further: one may lead back to itself.
const CHAIN: usize = 1000;

/// The error of a task's body, of any type, with a verdict on the task.
///
/// Every error converts into it with `?`, to be tried again; [`or_fatal`](FailureExt::or_fatal) gives the
/// task up at once. It is not itself an [`Error`](StdError), so that this conversion can hold for all that are.
///
/// # Examples
///
/// ```
/// use tracker_core::{Failure, FailureExt};
///
/// fn pages(text: &str) -> Result<u32, Failure> {
///     // No attempt will make the number any better.
///     Ok(text.parse().or_fatal()?)
/// }
/// assert!(pages("twelve").is_err_and(|failure| failure.is_fatal()));
/// ```
pub struct Failure {
    error: BoxError,
    fatal: bool,
}

impl Failure {
    /// To be tried again, until `max_retry` attempts have failed.
    pub fn retry(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { error: error.into(), fatal: false }
    }

    /// Not to be tried again: the task is given up at once.
    pub fn fatal(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { error: error.into(), fatal: true }
    }

    /// Whether the task is given up with it.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.fatal
    }

    /// The body's error.
    #[must_use]
    pub fn into_error(self) -> Box<dyn StdError + Send + Sync> {
        self.error
    }

    /// What is recorded; see [`outcome`].
    pub(crate) fn outcome(&self, limit: usize) -> Outcome {
        outcome(self.error.as_ref(), limit, self.fatal)
    }
}

/// What is recorded of an error: itself in a line, and the chain of its causes. Of a chain longer than `limit`, the
/// first is kept and the last ones, where the root cause is.
pub(crate) fn outcome(error: &(dyn StdError + 'static), limit: usize, fatal: bool) -> Outcome {
    let chain: Vec<_> = std::iter::successors(Some(error), |&error| error.source()).take(CHAIN).collect();
    let left_out = chain.len().saturating_sub(limit.max(1));
    let lines = chain.iter().enumerate().filter_map(|(nth, error)| match nth {
        0 => Some(format!("{error}")),
        1 if left_out > 0 => Some(format!("caused by: ({left_out} causes left out)")),
        nth if nth <= left_out => None,
        _ => Some(format!("caused by: {error}")),
    });
    Outcome::Failed { error: error.to_string(), traceback: lines.collect::<Vec<_>>().join("\n"), fatal }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("error", &self.error).field("fatal", &self.fatal).finish()
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
}

impl<R, E: Into<Box<dyn StdError + Send + Sync>>> FailureExt<R> for Result<R, E> {
    fn or_fatal(self) -> Result<R, Failure> {
        self.map_err(Failure::fatal)
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
