//! What can be done by hand, to which tasks, and what became of them.

use serde::Serialize;

use super::filter::TaskFilter;
use crate::declare::status::Role;
use crate::error::Error;

/// What can be done to a task by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Sets a failed or ignored task back to pending.
    Redrive,
    /// Makes a task due at once that waits for its time.
    RunNow,
    /// Ignores a task that waits, and asks the attempt of a task in progress to end.
    Cancel,
    /// Frees a task whose lease has expired. The lost attempt counts as failed.
    Release,
    /// Deletes a task, unless a worker holds it.
    Delete,
}

impl Action {
    /// Returns whether a task in this role can be changed so.
    #[must_use]
    pub fn applies_to(self, role: Role) -> bool {
        match self {
            Self::Redrive => matches!(role, Role::Failed | Role::Ignored),
            Self::RunNow => role.is_ready(),
            Self::Cancel => role.is_ready() || role == Role::InProgress,
            Self::Release => role == Role::InProgress,
            Self::Delete => true,
        }
    }
}

/// Which tasks are changed: a task id, task ids, or a [`TaskFilter`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Selection {
    /// The tasks with these ids.
    Ids(Vec<String>),
    /// All tasks that the filter means.
    Filter(TaskFilter),
}

impl From<&str> for Selection {
    fn from(id: &str) -> Self {
        Self::Ids(vec![id.to_owned()])
    }
}

impl From<Vec<String>> for Selection {
    fn from(ids: Vec<String>) -> Self {
        Self::Ids(ids)
    }
}

impl From<TaskFilter> for Selection {
    fn from(filter: TaskFilter) -> Self {
        Self::Filter(filter)
    }
}

/// What became of one task.
#[derive(Debug)]
#[non_exhaustive]
pub enum ActionOutcome {
    /// The task was changed.
    Done,
    /// The attempt that holds the task was asked to end.
    Requested,
    /// The task would be changed, if this were no dry run.
    WouldBeDone,
    /// The attempt that holds the task would be asked to end, if this were no dry run.
    WouldBeRequested,
    /// The task stays as it is, because it has moved on, a worker holds it, or it does not exist. The error says why.
    Skipped(Error),
    /// The change failed.
    Failed(Error),
}

/// What became of one task of an operation on many.
#[derive(Debug)]
#[non_exhaustive]
pub struct ActionResult {
    /// The id of the task.
    pub task_id: String,
    /// What became of it.
    pub outcome: ActionOutcome,
}

/// Counts what became of the tasks of an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ActionSummary {
    /// Tasks that were changed, or would be in a dry run.
    pub done: u64,
    /// Attempts that were asked to end, or would be in a dry run. Each sees that with its next heartbeat, within a third of the lease.
    pub requested: u64,
    /// Tasks that stay as they are, because they have moved on, are held, or do not exist.
    pub skipped: u64,
    /// Tasks whose change failed.
    pub failed: u64,
    /// Whether the operation was stopped before its end.
    pub stopped: bool,
}
