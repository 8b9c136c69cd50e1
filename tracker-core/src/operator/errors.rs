//! Groups failed and ignored tasks by their last error.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt};
use serde::Serialize;

use super::Operator;
use super::filter::TaskFilter;
use super::normalise::normalise;
use crate::declare::status::Role;
use crate::error::Error;

/// Tasks with the same error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ErrorGroup {
    /// The text of the error, with `#` for numbers and long hexadecimal words, and `{id}` for the task's id, in one line.
    pub error: String,
    /// The number of tasks.
    pub tasks: u64,
    /// How many of them are ignored; the others are failed and will be retried.
    pub ignored: u64,
    /// When the status of the first of them changed.
    pub first: Option<DateTime<Utc>>,
    /// When the status of the last of them changed.
    pub last: Option<DateTime<Utc>>,
    /// The id of the last of them.
    pub example: String,
}

/// The groups of errors, the largest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ErrorGroups {
    /// The groups.
    pub groups: Vec<ErrorGroup>,
    /// How many tasks were read.
    pub tasks: u64,
    /// Whether all tasks were read.
    pub is_exact: bool,
}

impl Operator {
    /// Groups the tasks that a filter means by their last error, the newest `cap` of them. Without a status, these are the
    /// failed and the ignored tasks. Their items are read.
    ///
    /// # Errors
    ///
    /// The same as those of [`list`](Self::list).
    pub async fn errors(&self, filter: &TaskFilter, cap: Option<u64>) -> Result<ErrorGroups, Error> {
        let mut filter = filter.clone().newest_first();
        if filter.statuses.is_empty() {
            filter = filter.status("failed").status("ignored");
        }
        filter = filter.with_errors();
        let cap = cap.unwrap_or(u64::MAX);
        let (mut groups, mut tasks, mut is_exact) = (HashMap::<String, ErrorGroup>::new(), 0, true);
        let mut all = std::pin::pin!(self.stream(&filter)?.fuse());
        while let Some(task) = all.try_next().await? {
            if tasks == cap {
                is_exact = false;
                break;
            }
            tasks += 1;
            let error = normalise(task.error.as_deref().unwrap_or(""), &task.task_id);
            let group = groups.entry(error.clone()).or_insert_with(|| ErrorGroup {
                error,
                tasks: 0,
                ignored: 0,
                first: None,
                last: task.update_time,
                example: task.task_id.clone(),
            });
            group.tasks += 1;
            group.ignored += u64::from(task.role == Role::Ignored);
            group.first = task.update_time;
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by(|one, other| other.tasks.cmp(&one.tasks).then_with(|| one.error.cmp(&other.error)));
        Ok(ErrorGroups { groups, tasks, is_exact })
    }
}
