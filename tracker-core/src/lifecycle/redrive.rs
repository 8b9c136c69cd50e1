//! Sets a failed or ignored task back to pending.

use std::borrow::Borrow;
use std::fmt::Display;

use super::by_hand::ByHand;
use super::free_task::{self, Change};
use crate::declare::status::Role;
use crate::dynamodb::Context;
use crate::error::{Error, ErrorKind, NotReadyCause};
use crate::item::head::TaskHead;
use crate::observe::EventKind;
use crate::protocol::classify;
use crate::time::Timestamp;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

impl<T: StatusTracker> Tracker<T> {
    /// Sets an ignored or failed task back to pending. Returns the task after the redrive.
    ///
    /// The count of failed attempts starts again at 0, and the task can be started at once. The history and
    /// the attempt number stay. DynamoDB no longer deletes the task because of
    /// [`retain_ignored`](crate::TrackerBuilder::retain_ignored).
    ///
    /// # Errors
    ///
    /// - A [refusal](Error::is_refusal), with the task as it was found: [`NotFound`](ErrorKind::NotFound)
    ///   (without a task), [`Locked`](ErrorKind::Locked) if the task is in progress or locked, even if its
    ///   lease has expired, [`AlreadySucceeded`](ErrorKind::AlreadySucceeded), or
    ///   [`NotReady`](ErrorKind::NotReady) in any other status.
    /// - [`Contended`](ErrorKind::Contended) if other writers were faster several times in a row: redrive
    ///   again.
    /// - [`ClockOff`](ErrorKind::ClockOff) if this machine's clock is known to differ from DynamoDB's by more
    ///   than half of `max_clock_skew`.
    /// - [`Decode`](ErrorKind::Decode) if the task's metadata cannot be read.
    /// - [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) if no response arrived: redrive again.
    pub async fn redrive<Q>(&self, task_id: &Q) -> Result<TaskHead, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        redrive(self.cx(), &self.cx().key(task_id)?, &ByHand::default()).await
    }
}

/// Redrives a task.
pub(crate) async fn redrive(cx: &Context, key: &str, by: &ByHand) -> Result<TaskHead, Error> {
    let redriven = async {
        let found = free_task::read(cx, key, by).await?;
        cx.check_clock()?;
        free_task::change(cx, by, &REDRIVE, found).await
    };
    redriven.await.map_err(|error| error.with_key(key))
}

const REDRIVE: Change = Change {
    refusal,
    write: |writes, seen, note| writes.redrive(seen, note),
    recognise: |found, after| classify::was_set_by_operator(&found, &after).then_some(after),
    event: Some(EventKind::Redriven),
};

/// Returns why a free task cannot be redriven, if it cannot.
fn refusal(seen: &TaskHead, now: Timestamp) -> Option<ErrorKind> {
    match seen.role {
        Some(Role::Ignored | Role::Failed) => None,
        Some(Role::Succeeded) => Some(ErrorKind::AlreadySucceeded),
        Some(_) => {
            let waits = seen.run_at.is_some_and(|run_at| run_at > now);
            let cause = if waits { NotReadyCause::NotDue } else { NotReadyCause::Pending };
            Some(ErrorKind::NotReady { status: seen.status_name.clone().into_owned(), cause })
        }
        None => Some(classify::not_ready(seen)),
    }
}
