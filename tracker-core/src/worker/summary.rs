//! What a worker has done, at the end and on the way.

use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;

/// What a [worker](crate::Worker) has done so far, or in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed, of tasks that can be tried again.
    pub failed: u64,
    /// Tasks that were given up (so they are called when this is shown): after their last attempt, a fatal failure, or on request.
    pub ignored: u64,
    /// Attempts whose body put the task off, as it is shown.
    pub snoozed: u64,
    /// Starts that were refused, mostly as other workers were faster.
    pub refused: u64,
    /// Attempts whose lease was lost.
    pub lost: u64,
    /// Tasks that were given back, as it is shown: uncounted, as the worker was to stop.
    pub released: u64,
    /// Attempts of which it cannot be told whether their end was recorded.
    pub unknown: u64,
    /// Tasks that cannot be read, and were left alone.
    pub unreadable: u64,
    /// Tasks that are at work now.
    pub running: usize,
    /// Since the worker began.
    pub elapsed: Duration,
}

impl Summary {
    /// All attempts that have ended, in whatever way.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.succeeded + self.failed + self.ignored + self.snoozed + self.lost + self.released + self.unknown
    }
}

/// What several workers have done: the time is that of the longest.
impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        let Self {
            succeeded,
            failed,
            ignored,
            snoozed,
            refused,
            lost,
            released,
            unknown,
            unreadable,
            running,
            elapsed,
        } = other;
        self.succeeded += succeeded;
        self.failed += failed;
        self.ignored += ignored;
        self.snoozed += snoozed;
        self.refused += refused;
        self.lost += lost;
        self.released += released;
        self.unknown += unknown;
        self.unreadable += unreadable;
        self.running += running;
        self.elapsed = self.elapsed.max(elapsed);
    }
}

impl Sum for Summary {
    fn sum<I: Iterator<Item = Self>>(summaries: I) -> Self {
        summaries.fold(Self::default(), |mut sum, summary| {
            sum += summary;
            sum
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} succeeded", self.succeeded)?;
        for (number, what) in [
            (self.failed, "failed"),
            (self.ignored, "given up"),
            (self.snoozed, "put off"),
            (self.released, "given back"),
            (self.lost, "lost"),
            (self.unknown, "with an unknown outcome"),
            (self.unreadable, "unreadable"),
            (self.refused, "refused"),
        ] {
            if number > 0 {
                write!(f, ", {number} {what}")?;
            }
        }
        write!(f, ", in {:.1} s", self.elapsed.as_secs_f64())
    }
}

/// What is known now, and each time that it changes; what comes while nobody looks is left out. Ends with the worker.
pub(crate) fn progress(
    summaries: watch::Receiver<Summary>,
) -> impl Stream<Item = Summary> + Send + Unpin + 'static {
    let first = true;
    stream::unfold((summaries, first), async |(mut summaries, first)| {
        if !first {
            summaries.changed().await.ok()?;
        }
        let summary = *summaries.borrow_and_update();
        Some((summary, (summaries, false)))
    })
    .boxed()
}
