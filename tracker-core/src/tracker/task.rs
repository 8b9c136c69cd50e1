//! A stored task, with its data.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::item::head::TaskHead;
use crate::tracker::status_tracker::StatusTracker;

/// A stored task, as it was read or written: its [head](TaskHead) and its data.
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

    /// Returns the task's data.
    #[must_use]
    pub fn data(&self) -> &T {
        &self.data
    }

    /// Returns the task's data by value.
    #[must_use]
    pub fn into_data(self) -> T {
        self.data
    }

    /// Returns the status, or `None` if it is another step's status. [`status_name`](Self::status_name) returns the
    /// name of any status.
    #[must_use]
    pub fn status(&self) -> Option<T::Status> {
        self.head.status_in()
    }

    /// Returns the task's id.
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

/// The fields of the [head](TaskHead), and `data`.
impl<T: StatusTracker + Serialize> Serialize for Task<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'t, T> {
            #[serde(flatten)]
            head: &'t TaskHead,
            data: &'t T,
        }
        Shown { head: &self.head, data: &self.data }.serialize(serializer)
    }
}

crate::tracker::accessors::head_accessors!(Task: own_head());
