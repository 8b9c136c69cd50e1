//! The summary of what a worker has done, at its end and while it runs.

use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;

/// Counts what a [worker](crate::Worker) has done, so far or in all.
///
/// `Display` prints what is not zero: `812 succeeded, 9 failed, 12 refused, in 61.0 s`. `succeeded` and the time are
/// always there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed, of tasks that can be retried.
    pub failed: u64,
    /// Tasks that were ignored: out of attempts, a fatal failure, or cancelled.
    pub ignored: u64,
    /// Attempts whose body snoozed the task.
    pub snoozed: u64,
    /// Starts that were refused, mostly because another worker was faster.
    pub refused: u64,
    /// Attempts whose lease was lost.
    pub lost: u64,
    /// Tasks that were released, without counting an attempt, because the worker stopped.
    pub released: u64,
    /// Attempts of which it is unknown whether their end was recorded.
    pub unknown: u64,
    /// Tasks that cannot be read, or that DynamoDB refuses to start, and that were left alone.
    pub unreadable: u64,
    /// Tasks whose attempt had not ended when the worker had to return, because DynamoDB did not answer or a body
    /// blocked its thread. Their ends are still sent in the background. If that fails, their leases expire.
    pub left: u64,
    /// Tasks that run now.
    pub running: usize,
    /// When the pause of the step ends, if the worker has seen one at its last look and claims nothing.
    pub paused_until: Option<DateTime<Utc>>,
    /// The time since the worker began. It is serialized in seconds.
    #[serde(serialize_with = "seconds")]
    pub elapsed: Duration,
}

fn seconds<S: serde::Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(elapsed.as_secs_f64())
}

impl Summary {
    /// Returns the number of attempts that have ended, in whatever way.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.succeeded + self.failed + self.ignored + self.snoozed + self.lost + self.released + self.unknown
    }
}

/// Adds what another worker has done. The time is that of the worker that ran longest.
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
            left,
            running,
            paused_until,
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
        self.left += left;
        self.running += running;
        self.paused_until = self.paused_until.max(paused_until);
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
        for (count, what) in [
            (self.failed, "failed"),
            (self.ignored, "ignored"),
            (self.snoozed, "snoozed"),
            (self.released, "released"),
            (self.lost, "lost"),
            (self.unknown, "with an unknown outcome"),
            (self.unreadable, "unreadable"),
            (self.left, "left to their leases"),
            (self.refused, "refused"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        if let Some(until) = self.paused_until {
            write!(f, ", paused until {}", until.to_rfc3339_opts(SecondsFormat::Secs, true))?;
        }
        write!(f, ", in {:.1} s", self.elapsed.as_secs_f64())
    }
}

/// Returns a stream of the summary now and after each change. A slow reader gets the latest summary only. The stream
/// ends with the worker.
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
