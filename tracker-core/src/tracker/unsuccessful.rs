//! A task whose attempt did not succeed.

use std::fmt;

use super::task::Task;
use crate::item::head::TaskHead;
use crate::tracker::status_tracker::StatusTracker;

/// A task whose attempt was recorded and did not succeed: it failed, was snoozed, or was released. It is not a [`Task`], so
/// that no program takes it for a success.
///
/// `is_failed`, `is_ignored` and `run_at` say what comes next.
#[derive(Clone)]
pub struct Unsuccessful<T: StatusTracker>(Task<T>);

impl<T: StatusTracker> Unsuccessful<T> {
    pub(crate) fn new(head: TaskHead, data: T) -> Self {
        Self(Task::new(head, data))
    }

    /// Returns the task's data, as it is stored.
    #[must_use]
    pub fn data(&self) -> &T {
        self.0.data()
    }

    /// Returns the status, or `None` if it is another step's status.
    #[must_use]
    pub fn status(&self) -> Option<T::Status> {
        self.0.status()
    }

    /// Returns the task's id.
    #[must_use]
    pub fn task_id(&self) -> &T::TaskId {
        self.0.task_id()
    }

    /// Returns the task as it is stored.
    #[must_use]
    pub fn into_task(self) -> Task<T> {
        self.0
    }
}

impl<T: StatusTracker> fmt::Debug for Unsuccessful<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unsuccessful").field(self.0.head()).finish()
    }
}

crate::tracker::accessors::head_accessors!(Unsuccessful: 0.head());
