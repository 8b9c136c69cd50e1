//! Finds tasks in progress whose worker is lost, or that take too long.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use futures_util::stream::StreamExt;
use serde::Serialize;

use super::Operator;
use super::filter::TaskFilter;
use super::list::unique;
use super::view::TaskSummary;
use crate::dynamodb::batch::KEYS_PER_GET;
use crate::error::Error;
use crate::item::head::TaskProgress;

/// A task in progress that may need help.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StuckTask {
    /// The task.
    #[serde(flatten)]
    pub task: TaskSummary,
    /// The owner of the lease.
    pub owner: Option<String>,
    /// Whether the lease has expired: the worker is lost, and the next start takes the task over. If not, the worker renews
    /// the lease, and its body takes long.
    pub lease_expired: bool,
    /// When the task can be taken over, unless the lease is renewed.
    pub lease_until: DateTime<Utc>,
    /// When the lease was last acquired or renewed.
    pub lock_time: DateTime<Utc>,
    /// The number of the attempt.
    pub attempt: u64,
    /// What the attempt has said of its progress.
    pub progress: Option<TaskProgress>,
}

impl Operator {
    /// Finds tasks in progress whose lease has expired: their workers are lost. The oldest come first, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// The same as those of [`list`](Self::list).
    pub async fn lost(&self, step: Option<&str>, limit: usize) -> Result<Vec<StuckTask>, Error> {
        self.in_progress(step, Duration::ZERO, limit, |stuck| stuck.lease_expired).await
    }

    /// Finds tasks that have been in progress for longer than `time`, the oldest first, and at most `limit` of them. Reads
    /// their items.
    ///
    /// # Errors
    ///
    /// The same as those of [`list`](Self::list).
    pub async fn stuck(
        &self,
        step: Option<&str>,
        time: Duration,
        limit: usize,
    ) -> Result<Vec<StuckTask>, Error> {
        self.in_progress(step, time, limit, |_| true).await
    }

    async fn in_progress(
        &self,
        step: Option<&str>,
        time: Duration,
        limit: usize,
        is_meant: fn(&StuckTask) -> bool,
    ) -> Result<Vec<StuckTask>, Error> {
        let now = self.timestamp();
        let mut filter = TaskFilter::new().status("in_progress");
        filter.step = step.map(str::to_owned);
        let until = now.minus(time);
        let found = self.found(&filter, until)?;
        let found = found.try_filter_map(|found| std::future::ready(Ok(found.task)));
        let mut chunks = std::pin::pin!(found.chunks(KEYS_PER_GET));
        let mut stuck = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let tasks: Vec<TaskSummary> = chunk.into_iter().collect::<Result<_, _>>()?;
            let keys = unique(tasks.iter().map(TaskSummary::key));
            let heads = self.heads(keys).await?;
            for task in tasks {
                let Some(head) = heads.get(task.key()).filter(|head| head.is_in_progress()) else { continue };
                let Some(step) = self.step_of(head.status_code()) else { continue };
                let found = StuckTask {
                    owner: head.owner().map(str::to_owned),
                    lease_expired: step.cx.rules().is_expired(head, now),
                    lease_until: step.cx.rules().takeover_at(head).utc(),
                    lock_time: head.lock_time(),
                    attempt: head.attempt(),
                    progress: head.progress().cloned(),
                    task,
                };
                if is_meant(&found) {
                    stuck.push(found);
                }
                if stuck.len() == limit {
                    return Ok(stuck);
                }
            }
        }
        Ok(stuck)
    }
}
