//! One stored task, with its data.

use std::fmt;

use crate::item::head::TaskHead;
use crate::tracker::status_tracker::StatusTracker;

/// One stored task: its [head](TaskHead) and its data.
#[derive(Clone)]
pub struct Task<T: StatusTracker> {
    head: TaskHead,
    data: T,
}

impl<T: StatusTracker> Task<T> {
    pub(crate) fn new(head: TaskHead, data: T) -> Self {
        Self { head, data }
    }

    fn own_head(&self) -> &TaskHead {
        &self.head
    }

    /// The task's data.
    #[must_use]
    pub fn data(&self) -> &T {
        &self.data
    }

    /// The task's data, by value.
    #[must_use]
    pub fn into_data(self) -> T {
        self.data
    }

    /// The status, or `None` where the task is in another step's status: see
    /// [`status_name`](Self::status_name).
    #[must_use]
    pub fn status(&self) -> Option<T::Status> {
        self.head.status_in()
    }

    /// The task's id.
    #[must_use]
    pub fn task_id(&self) -> &T::TaskId {
        self.data.task_id()
    }
}

impl<T: StatusTracker> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("head", &self.head).finish_non_exhaustive()
    }
}

crate::tracker::accessors::head_accessors!(Task: own_head());
