//! Starts many tasks, in few requests.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt::Display;

use futures_util::{StreamExt, stream};

use super::progress::SHARED;
use crate::error::Error;
use crate::lifecycle::execution::Execution;
use crate::lifecycle::sharing::{Sharing, StartWith};
use crate::protocol::writes::Expected;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

impl<T: StatusTracker> Tracker<T> {
    /// Starts many tasks, 25 in one request, and returns a result for each id, in order. Each result is that of
    /// [`start`](Self::start). A task that cannot be started stops no other. It takes references: `&ids`, or `["a", "b"]`.
    ///
    /// Up to 100 starts are under way at the same time. Of an id that comes twice, the first start is sent first; the second
    /// is refused as [`Locked`](crate::ErrorKind::Locked) if the first has started the task.
    ///
    /// A task is expected to be pending, and due at once; in a later step, to have succeeded in the step before. Any other task
    /// that can be started takes two requests. It costs the units of a write more, because DynamoDB charges the one that fails.
    ///
    /// The requests need the permission `dynamodb:PartiQLUpdate`. Without it, the tracker logs that once, and each start is a
    /// request of its own.
    ///
    /// If the future is dropped, the starts go on, and the tasks that they acquire are released. All leases begin together,
    /// so end the executions with [`succeed_many`](Self::succeed_many) or [`end_many`](Self::end_many), or work on as many as
    /// you can within a lease; heartbeats keep the others.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # async fn send_all<T: StatusTracker<TaskId = String>>(mails: &Tracker<T>, ids: &[String]) -> Result<(), Error> {
    /// let mut started = Vec::new();
    /// for (id, result) in ids.iter().zip(mails.start_many(ids).await) {
    ///     match result {
    ///         Ok(execution) => started.push(execution),
    ///         Err(error) => eprintln!("{id}: {error}"),
    ///     }
    /// }
    /// // Send the mails here.
    /// for result in mails.succeed_many(started).await {
    ///     result?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn start_many<'q, Q>(
        &self,
        task_ids: impl IntoIterator<Item = &'q Q>,
    ) -> Vec<Result<Execution<T>, Error>>
    where
        Q: Display + ?Sized + 'q,
        T::TaskId: Borrow<Q>,
    {
        let keys: Vec<_> = task_ids.into_iter().map(|id| self.cx().key(id)).collect();
        let mut seen = HashSet::new();
        let firsts: Vec<_> = keys
            .iter()
            .map(|key| key.as_ref().ok().filter(|key| seen.insert(key.as_str())).cloned())
            .collect();
        let status = self.cx().use_case.usual_start();
        let expected = Some(Expected { status, has_run_at: false });
        let with = StartWith { sharing: Sharing::Everything, expected };
        // The keys are owned: a closure with references would make a future that cannot be spawned.
        let mut results: Vec<_> = stream::iter(firsts)
            .map(|key| async move {
                match key {
                    Some(key) => Some(held_back(Box::pin(self.start_key(key, with)).await)),
                    None => None,
                }
            })
            .buffered(SHARED)
            .collect()
            .await;
        // A second start of the same task, after the first.
        for (key, result) in keys.into_iter().zip(&mut results) {
            if result.is_none() {
                *result = Some(match key {
                    Ok(key) => held_back(Box::pin(self.start_key(key, StartWith::ALONE)).await),
                    Err(error) => Err(error),
                });
            }
        }
        let mut results: Vec<_> = results.into_iter().flatten().collect();
        for execution in results.iter_mut().flatten() {
            execution.attempt.hand_to_caller();
        }
        results
    }
}

/// Keeps an execution from its caller: if the call is dropped, the task is released.
fn held_back<T: StatusTracker>(started: Result<Execution<T>, Error>) -> Result<Execution<T>, Error> {
    started.map(|mut execution| {
        execution.attempt.take_back();
        execution
    })
}
