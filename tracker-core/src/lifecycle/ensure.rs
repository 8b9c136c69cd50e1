//! Creating a task unless it exists, and starting it then.

use std::fmt;

use super::create;
use super::execution::Execution;
use crate::error::{Error, ErrorKind};
use crate::tracker::Tracker;
use crate::tracker::codec::read_task;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

/// What [`Tracker::ensure`] found or made.
pub enum Ensured<T: StatusTracker> {
    /// The task was created.
    Created(Task<T>),
    /// It was there, and left as it is.
    Existing(Task<T>),
}

impl<T: StatusTracker> fmt::Debug for Ensured<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created(task) => f.debug_tuple("Created").field(task).finish(),
            Self::Existing(task) => f.debug_tuple("Existing").field(task).finish(),
        }
    }
}

impl<T: StatusTracker> Ensured<T> {
    /// The task, either way.
    #[must_use]
    pub fn into_task(self) -> Task<T> {
        match self {
            Self::Created(task) | Self::Existing(task) => task,
        }
    }
}

impl<T: StatusTracker> Tracker<T> {
    /// Creates a task, or finds the one that is there.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create) but `AlreadyExists`; [`Decode`](ErrorKind::Decode) where the task that is
    /// there cannot be read.
    pub async fn ensure(&self, data: T) -> Result<Ensured<T>, Error> {
        match create::create_or_found(self.cx(), data, None).await? {
            Ok(task) => Ok(Ensured::Created(task)),
            Err(item) => read_task(self.cx(), item).map(Ensured::Existing),
        }
    }

    /// Starts a task, and creates it first where there is none.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start) and [`create`](Self::create).
    pub async fn start_or_create(&self, data: T) -> Result<Execution<T>, Error> {
        let key = self.cx().use_case.key(&create::shown_id(&data))?;
        match self.start_key(key.clone()).await {
            Err(error) if *error.kind() == ErrorKind::NotFound => {}
            result => return result,
        }
        match self.create(data).await {
            Err(error) if *error.kind() != ErrorKind::AlreadyExists => Err(error),
            // Ours, or another worker's since.
            _ => self.start_key(key).await,
        }
    }
}
