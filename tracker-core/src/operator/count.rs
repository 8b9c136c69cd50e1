//! Counts of tasks, the oldest task of each status, and how many tasks end.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::Operator;
use super::filter::TaskFilter;
use crate::declare::status::Role;
use crate::dynamodb::query::Range;
use crate::error::Error;
use crate::query::count::{counted, oldest};
use crate::time::Timestamp;

/// How many statuses are counted at the same time.
const READERS: usize = 8;

/// The number of tasks in a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StatusCount {
    /// The step of the status.
    pub step: String,
    /// The name of the status.
    pub status: String,
    /// What the status means.
    pub role: Role,
    /// The number of tasks, or how many were counted before the count ended.
    pub tasks: u64,
    /// Whether all tasks were counted. If not, there are at least `tasks`.
    pub is_exact: bool,
    /// Since when the oldest of the tasks has been in the status.
    pub oldest: Option<DateTime<Utc>>,
}

/// How many tasks came into a status.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StatusRate {
    /// The step of the status.
    pub step: String,
    /// The name of the status.
    pub status: String,
    /// What the status means.
    pub role: Role,
    /// The number of tasks that came into the status within the time, and are still there.
    pub tasks: u64,
    /// The same for a minute.
    pub per_minute: f64,
    /// Whether all tasks were counted. If not, there are at least `tasks`.
    pub is_exact: bool,
}

impl Operator {
    /// Counts the tasks in each status, up to `cap` tasks of each; all of them if there is no cap. Also reads since when the
    /// oldest task has been in its status.
    ///
    /// Of the filter, statuses, step and times count; a prefix and an error would need every entry.
    ///
    /// A count without a cap costs as much as reading all entries of the index.
    ///
    /// # Errors
    ///
    /// - [`NotDescribed`](crate::ErrorKind::NotDescribed), or [`InvalidQuery`](crate::ErrorKind::InvalidQuery) for a step or a
    ///   status that does not exist.
    /// - The error of a request that DynamoDB refused or did not answer.
    pub async fn counts(&self, filter: &TaskFilter, cap: Option<u64>) -> Result<Vec<StatusCount>, Error> {
        let until = filter.until.map_or_else(|| self.latest(), Timestamp::new);
        let mut plan = self.plan(filter, until)?;
        plan.ranges.retain(|(_, range)| range.from <= range.until || range.from.is_none());
        let counts = self.statuses_of(filter)?.into_iter().map(|(step, status)| {
            let ranges = plan.ranges.iter().filter(move |(code, _)| *code == status.code());
            let ranges: Vec<_> = ranges.map(|(_, range)| range.clone()).collect();
            async move {
                let (tasks, is_exact) = counted(&step.cx, ranges.clone(), cap).await?;
                let oldest = if tasks == 0 { None } else { oldest(&step.cx, ranges).await? };
                Ok::<_, Error>(StatusCount {
                    step: step.name.clone(),
                    status: status.row.name.to_owned(),
                    role: status.row.role,
                    tasks,
                    is_exact,
                    oldest: oldest.map(Timestamp::utc),
                })
            }
        });
        // Collected, because a future that holds the closure cannot be spawned.
        let counts: Vec<_> = counts.collect();
        stream::iter(counts).buffered(READERS).try_collect().await
    }

    /// Counts the tasks that ended within the last `time`: that succeeded or were ignored, and were not started since. Counts
    /// up to `cap` of each.
    ///
    /// # Errors
    ///
    /// The same as those of [`counts`](Self::counts).
    pub async fn rate(&self, time: Duration, cap: Option<u64>) -> Result<Vec<StatusRate>, Error> {
        let since = self.timestamp().minus(time).utc();
        let filter = TaskFilter::new().since(since);
        let ended = self.statuses_of(&filter)?.into_iter();
        let ended = ended.filter(|(_, status)| matches!(status.row.role, Role::Succeeded | Role::Ignored));
        let rates = ended.map(|(step, status)| {
            let ranges = step.ranges(status).into_iter();
            let from = Some(Timestamp::new(since).to_string());
            let ranges = ranges.map(|range| Range { from: from.clone(), ..range }).collect();
            async move {
                let (tasks, is_exact) = counted(&step.cx, ranges, cap).await?;
                let minutes = time.as_secs_f64() / 60.0;
                Ok::<_, Error>(StatusRate {
                    step: step.name.clone(),
                    status: status.row.name.to_owned(),
                    role: status.row.role,
                    tasks,
                    #[allow(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
                    per_minute: tasks as f64 / minutes,
                    is_exact,
                })
            }
        });
        let rates: Vec<_> = rates.collect();
        stream::iter(rates).buffered(READERS).try_collect().await
    }

    /// Returns the latest time of a task: this clock's, and what another's may be ahead.
    pub(super) fn latest(&self) -> Timestamp {
        self.timestamp().plus(self.cx.config.max_clock_skew)
    }
}
