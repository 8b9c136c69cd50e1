//! Makes a task that waits for its time due at once.

use std::borrow::Borrow;
use std::fmt::Display;

use super::by_hand::{self, ByHand};
use super::free_task::{self, Change};
use crate::dynamodb::Context;
use crate::error::{Error, ErrorKind, NotReadyCause};
use crate::item::head::TaskHead;
use crate::protocol::classify;
use crate::time::Timestamp;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

impl<T: StatusTracker> Tracker<T> {
    /// Makes a task due at once that was created for a later time, waits after a failed attempt, or was snoozed. Returns the
    /// task after that. Nothing else of the task changes but its `lock_time`, also not its place in the queue. This emits no event.
    ///
    /// # Errors
    ///
    /// - A [refusal](Error::is_refusal), with the task as it was found: [`NotFound`](ErrorKind::NotFound) (without a task),
    ///   [`Locked`](ErrorKind::Locked) if a worker holds the task, [`AlreadySucceeded`](ErrorKind::AlreadySucceeded),
    ///   [`Ignored`](ErrorKind::Ignored), or [`NotReady`](ErrorKind::NotReady) if the task does not wait for a time.
    /// - [`Contended`](ErrorKind::Contended) if other writers were faster several times in a row: call this again.
    /// - [`Decode`](ErrorKind::Decode) if the task's metadata cannot be read.
    /// - [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) if no response arrived: call this again.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # async fn now<T: StatusTracker<TaskId = String>>(documents: &Tracker<T>) -> Result<(), Error> {
    /// let task = documents.run_now("doc-1").await?;
    /// assert!(task.run_at().is_none());
    /// # Ok(()) }
    /// ```
    pub async fn run_now<Q>(&self, task_id: &Q) -> Result<TaskHead, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        run_now(self.cx(), &self.cx().key(task_id)?, &ByHand::default()).await
    }
}

/// Makes a task due.
pub(crate) async fn run_now(cx: &Context, key: &str, by: &ByHand) -> Result<TaskHead, Error> {
    let run = async {
        let found = free_task::read(cx, key, by).await?;
        free_task::change(cx, by, &RUN_NOW, found).await
    };
    run.await.map_err(|error| error.with_key(key))
}

const RUN_NOW: Change = Change {
    refusal,
    write: |writes, seen, note| writes.run_now(seen, note),
    recognise: |found, after| classify::was_made_due(&found, &after).then_some(found),
    event: None,
};

/// Returns why a free task cannot be made due, if it cannot.
fn refusal(seen: &TaskHead, now: Timestamp) -> Option<ErrorKind> {
    let waits = seen.run_at.is_some_and(|run_at| run_at > now);
    (!waits || !seen.is_ready()).then(|| by_hand::refusal(seen, NotReadyCause::AlreadyDue))
}
