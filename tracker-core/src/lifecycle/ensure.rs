//! Creates a task unless it exists, and returns or starts it.

use std::fmt;

use super::create;
use super::execution::Execution;
use super::sharing::StartWith;
use crate::error::{Error, ErrorKind};
use crate::protocol::effects::Effects;
use crate::tracker::Tracker;
use crate::tracker::codec::read_task;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

/// The task of an [`ensure`](Tracker::ensure), and whether it existed before.
pub enum Ensured<T: StatusTracker> {
    /// The task was created.
    Created(Task<T>),
    /// The task existed, and stays as it is.
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
    /// Returns the task, created or existing.
    #[must_use]
    pub fn into_task(self) -> Task<T> {
        match self {
            Self::Created(task) | Self::Existing(task) => task,
        }
    }
}

impl<T: StatusTracker> Tracker<T> {
    /// Creates a task, or returns the existing task with this id, which stays as it is.
    ///
    /// # Errors
    ///
    /// - The errors of [`create`](Self::create), except [`AlreadyExists`](ErrorKind::AlreadyExists).
    /// - [`Decode`](ErrorKind::Decode) if the existing task cannot be read into `T`.
    pub async fn ensure(&self, data: T) -> Result<Ensured<T>, Error> {
        match create::create_or_found(self.cx(), data, None, &Effects::default()).await? {
            Ok(task) => Ok(Ensured::Created(task)),
            Err(item) => read_task(self.cx(), item).map(Ensured::Existing),
        }
    }

    /// Starts a task, and creates it first if it does not exist. An existing task keeps its data.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`start`](Self::start) and of [`create`](Self::create), except
    /// [`AlreadyExists`](ErrorKind::AlreadyExists).
    pub async fn start_or_create(&self, data: T) -> Result<Execution<T>, Error> {
        let key = self.cx().key(&create::shown_id(&data))?;
        match self.start_key(key.clone(), StartWith::ALONE).await {
            Err(error) if *error.kind() == ErrorKind::NotFound => {}
            // A task that DynamoDB is about to delete counts as deleted.
            Err(error) if error.task().is_some_and(|task| create::is_past(self.cx(), task)) => {}
            result => return result,
        }
        match self.create(data).await {
            Err(error) if *error.kind() != ErrorKind::AlreadyExists => Err(error),
            // The task exists now, created by this call or by somebody else.
            _ => self.start_key(key, StartWith::ALONE).await,
        }
    }
}
