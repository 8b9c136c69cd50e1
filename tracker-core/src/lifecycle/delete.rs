//! Deleting one task.

use std::borrow::Borrow;
use std::fmt::Display;

use crate::dynamodb::{self, Context, SENDS, WriteError};
use crate::error::Error;
use crate::item::head::TaskHead;
use crate::protocol::{classify, operator};
use crate::time::Timestamp;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

impl<T: StatusTracker> Tracker<T> {
    /// Deletes a task that nobody works on. Returns the deleted task, or `None` if there was none.
    ///
    /// A task whose lease has expired can be deleted, unless [`takeover`](crate::TrackerBuilder::takeover) is off: its
    /// holder may come back.
    ///
    /// # Errors
    ///
    /// - [`Locked`](crate::ErrorKind::Locked) if a worker holds the task.
    /// - [`ClockOff`](crate::ErrorKind::ClockOff) if this machine's clock is known to be wrong.
    /// - [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) if no answer came: delete again.
    pub async fn delete<Q>(&self, task_id: &Q) -> Result<Option<TaskHead>, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        delete(self.cx(), &self.cx().key(task_id)?, false).await
    }
}

/// Deletes a task, unless a worker holds it. With `with_live_lease`, deletes it even then.
pub(crate) async fn delete(
    cx: &Context,
    key: &str,
    with_live_lease: bool,
) -> Result<Option<TaskHead>, Error> {
    send(cx, key, with_live_lease).await.map_err(|error| error.with_key(key))
}

async fn send(cx: &Context, key: &str, with_live_lease: bool) -> Result<Option<TaskHead>, Error> {
    let rules = cx.rules();
    let condition = if with_live_lease {
        operator::delete_always()
    } else {
        // Only a right clock tells whether a lease has expired.
        cx.known_clock(key).await?;
        operator::delete(&rules, Timestamp::from(cx.now()))
    };
    match dynamodb::settle(&*cx.clock, SENDS, || dynamodb::delete(cx, key, condition.clone())).await {
        // An item that cannot be read is deleted, too.
        Ok(deleted) => Ok(deleted.and_then(|mut item| cx.head(&mut item).ok())),
        Err(WriteError::Condition(Some(mut item))) => {
            let found = cx.head(&mut item)?;
            Err(Error::new(classify::locked(&found, &rules)).with_task(found))
        }
        Err(WriteError::Condition(None)) => Ok(None),
        Err(WriteError::Unknown(error)) => Err(WriteError::unknown_outcome(error)),
        Err(WriteError::Refused(error)) => Err(error),
    }
}
