//! Ends many executions, in few requests.

use std::fmt;

use futures_util::{StreamExt, stream};

use super::progress::SHARED;
use crate::error::Error;
use crate::lifecycle::execution::Execution;
use crate::lifecycle::failure::Failure;
use crate::lifecycle::sharing::Sharing;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;
use crate::tracker::unsuccessful::Unsuccessful;

/// How to end an execution: as [`succeed`](Execution::succeed), [`fail`](Execution::fail) or
/// [`release`](Execution::release) do.
///
/// A result becomes an end with `into`: `Ok` succeeds, and an error fails.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// The task succeeds, and its changed data is written.
    Succeed,
    /// The attempt fails.
    Fail(Failure),
    /// The task returns to its status before, and no failed attempt is counted.
    Release,
}

impl<E: Into<Failure>> From<Result<(), E>> for End {
    fn from(result: Result<(), E>) -> Self {
        match result {
            Ok(()) => Self::Succeed,
            Err(error) => Self::Fail(error.into()),
        }
    }
}

/// A task whose end was recorded.
#[non_exhaustive]
pub enum Ended<T: StatusTracker> {
    /// The task has succeeded.
    Succeeded(Task<T>),
    /// The attempt has failed, or was released.
    Unsuccessful(Unsuccessful<T>),
}

impl<T: StatusTracker> fmt::Debug for Ended<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded(task) => f.debug_tuple("Succeeded").field(task).finish(),
            Self::Unsuccessful(task) => f.debug_tuple("Unsuccessful").field(task).finish(),
        }
    }
}

impl<T: StatusTracker> Tracker<T> {
    /// Ends many executions as succeeded, 25 in one request, and returns a result for each, in order. Each result is that of
    /// [`succeed`](Execution::succeed). An execution that cannot be ended stops no other.
    ///
    /// [`start_many`](Self::start_many) has an example, and says which permission the requests need.
    pub async fn succeed_many(
        &self,
        executions: impl IntoIterator<Item = Execution<T>>,
    ) -> Vec<Result<Task<T>, Error>> {
        stream::iter(executions)
            .map(|execution| Box::pin(shared(execution).succeed()))
            .buffered(SHARED)
            .collect()
            .await
    }

    /// Ends many executions, each in its own way, 25 in one request, and returns a result for each, in order. Each result is
    /// that of [`succeed`](Execution::succeed), [`fail`](Execution::fail) or [`release`](Execution::release). An execution
    /// that cannot be ended stops no other.
    ///
    /// Once polled, each of the up to 100 writes that are under way completes even if the future is dropped. The other
    /// executions are then dropped as well, and their attempts recorded as failed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{End, Ended, Error, Execution, StatusTracker, Tracker};
    /// # fn send(_: &str) -> Result<(), std::io::Error> { Ok(()) }
    /// # async fn end<T: StatusTracker<TaskId = String>>(mails: &Tracker<T>, started: Vec<Execution<T>>) -> Result<(), Error> {
    /// let ends = started.into_iter().map(|task| {
    ///     let sent = send(task.task_id());
    ///     (task, End::from(sent))
    /// });
    /// for result in mails.end_many(ends).await {
    ///     if let Ended::Unsuccessful(task) = result? {
    ///         println!("{} is retried or ignored", task.task_id());
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn end_many(
        &self,
        executions: impl IntoIterator<Item = (Execution<T>, End)>,
    ) -> Vec<Result<Ended<T>, Error>> {
        stream::iter(executions)
            .map(|(execution, end)| {
                Box::pin(async move {
                    let execution = shared(execution);
                    match end {
                        End::Succeed => execution.succeed().await.map(Ended::Succeeded),
                        End::Fail(failure) => execution.fail(failure).await.map(Ended::Unsuccessful),
                        End::Release => execution.release().await.map(Ended::Unsuccessful),
                    }
                })
            })
            .buffered(SHARED)
            .collect()
            .await
    }
}

/// Lets the end of an execution share a request.
fn shared<T: StatusTracker>(mut execution: Execution<T>) -> Execution<T> {
    execution.attempt.sharing = Sharing::Together;
    execution
}
