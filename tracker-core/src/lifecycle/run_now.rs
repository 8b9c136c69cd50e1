//! Makes a task that waits for its time due at once.

use std::borrow::Borrow;
use std::fmt::Display;

use super::by_hand::{self, ByHand, send};
use super::race::{Race, Round, race};
use crate::dynamodb::{self, Context, WriteError};
use crate::error::{Error, ErrorKind, NotReadyCause};
use crate::item::attribute::Item;
use crate::item::head::TaskHead;
use crate::item::history::Note;
use crate::protocol::classify;
use crate::time::Timestamp;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

impl<T: StatusTracker> Tracker<T> {
    /// Makes a task due at once that was created for a later time, waits after a failed attempt, or was snoozed. Returns the
    /// task after that. Nothing else of the task changes, also not its place in the queue. This emits no event.
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

/// Makes a task due. The write of each round is pinned to the task that the round has seen.
pub(crate) async fn run_now(cx: &Context, key: &str, by: &ByHand) -> Result<TaskHead, Error> {
    let run = async {
        // The room for a note follows from the whole item.
        let found = dynamodb::get(cx, key, true, by.note.is_empty()).await?;
        race(RunNow { cx, by }, found).await
    };
    run.await.map_err(|error| error.with_key(key))
}

struct RunNow<'a> {
    cx: &'a Context,
    by: &'a ByHand,
}

impl Race for RunNow<'_> {
    type Done = TaskHead;
    type Next = Option<Item>;

    async fn round(&mut self, found: Option<Item>) -> Result<Round<TaskHead, Option<Item>>, Error> {
        let Self { cx, by } = *self;
        let mut item = found.ok_or_else(|| Error::new(ErrorKind::NotFound))?;
        let seen = cx.head(&mut item)?;
        by.check(&seen)?;
        let now = Timestamp::from(cx.now());
        if let Some(refusal) = refusal(cx, &seen, now) {
            return Err(Error::new(refusal).with_task(seen));
        }
        let writes = cx.writes("", now);
        let (mut after, mut write) = writes.run_now(&seen, &by.note);
        let mut sent = send(cx, &seen, &write).await;
        // The room for a note is known only now, because the data of the task was not read.
        if by.is_too_large(&sent) {
            (after, write) = writes.run_now(&seen, &Note::default());
            sent = send(cx, &seen, &write).await;
        }
        let image = match sent {
            Ok(_) => return Ok(Round::Done(after)),
            Err(WriteError::Condition(failed)) => failed.image,
            Err(WriteError::Unknown(error)) => return Err(WriteError::unknown_outcome(error)),
            Err(WriteError::Refused(error)) => return Err(error),
        };
        // An earlier send of this write may have been applied, if its response was lost.
        if let Some(image) = &image {
            let found = cx.head(&mut image.clone())?;
            if classify::was_set_by_operator(&found, &after) && found.run_at.is_none() && found.lock.is_none()
            {
                return Ok(Round::Done(found));
            }
        }
        Ok(Round::Lost { found: Some(Box::new(seen)), next: image })
    }
}

/// Returns why a task cannot be made due, if it cannot.
fn refusal(cx: &Context, seen: &TaskHead, now: Timestamp) -> Option<ErrorKind> {
    if seen.is_locked() || seen.is_in_progress() {
        return Some(cx.with_holder(classify::locked(seen, &cx.rules()), seen));
    }
    let waits = seen.run_at.is_some_and(|run_at| run_at > now);
    if waits && seen.is_ready() {
        return None;
    }
    Some(by_hand::refusal(seen, NotReadyCause::AlreadyDue))
}
