//! Sets a failed or ignored task back to pending.

use std::borrow::Borrow;
use std::fmt::Display;

use super::by_hand::{ByHand, send};
use super::race::{Race, Round, race};
use crate::declare::status::Role;
use crate::dynamodb::{self, Context, WriteError};
use crate::error::{Error, ErrorKind, NotReadyCause};
use crate::item::attribute::Item;
use crate::item::head::TaskHead;
use crate::item::history::Note;
use crate::observe::{EventDraft, EventKind};
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

/// Redrives a task. The write of each round is pinned to the task that the round has seen.
pub(crate) async fn redrive(cx: &Context, key: &str, by: &ByHand) -> Result<TaskHead, Error> {
    let redriven = async {
        // The room for a note follows from the whole item.
        let found = dynamodb::get(cx, key, true, by.note.is_empty()).await?;
        cx.check_clock()?;
        race(Redrive { cx, by }, found).await
    };
    redriven.await.map_err(|error| error.with_key(key))
}

/// The redrive of one task.
struct Redrive<'a> {
    cx: &'a Context,
    by: &'a ByHand,
}

impl Race for Redrive<'_> {
    type Done = TaskHead;
    type Next = Option<Item>;

    async fn round(&mut self, found: Option<Item>) -> Result<Round<TaskHead, Option<Item>>, Error> {
        let Self { cx, by } = *self;
        let mut item = found.ok_or_else(|| Error::new(ErrorKind::NotFound))?;
        let seen = cx.head(&mut item)?;
        by.check(&seen)?;
        if let Some(refusal) = refusal(cx, &seen) {
            return Err(Error::new(refusal).with_task(seen));
        }
        let writes = cx.writes("", Timestamp::from(cx.now()));
        let (mut after, mut write) = writes.redrive(&seen, &by.note);
        let mut sent = send(cx, &seen, &write).await;
        // The room for a note is known only now, because the data of the task was not read.
        if by.is_too_large(&sent) {
            (after, write) = writes.redrive(&seen, &Note::default());
            sent = send(cx, &seen, &write).await;
        }
        let image = match sent {
            Ok(_) => return Ok(done(cx, &seen, after)),
            Err(WriteError::Condition(failed)) => failed.image,
            Err(WriteError::Unknown(error)) => return Err(WriteError::unknown_outcome(error)),
            Err(WriteError::Refused(error)) => return Err(error),
        };
        // An earlier send of this write may have been applied, if its response was lost.
        match &image {
            Some(image) if classify::was_set_by_operator(&cx.head(&mut image.clone())?, &after) => {
                Ok(done(cx, &seen, after))
            }
            _ => Ok(Round::Lost { found: Some(Box::new(seen)), next: image }),
        }
    }
}

/// Reports a redrive, and ends its rounds.
fn done(cx: &Context, seen: &TaskHead, after: TaskHead) -> Round<TaskHead, Option<Item>> {
    cx.emit(EventDraft::of(EventKind::Redriven, &after).from(Some(seen.status_name())));
    Round::Done(after)
}

/// Returns why a task cannot be redriven, if it cannot.
fn refusal(cx: &Context, seen: &TaskHead) -> Option<ErrorKind> {
    if seen.is_locked() || seen.is_in_progress() {
        return Some(cx.with_holder(classify::locked(seen, &cx.rules()), seen));
    }
    match seen.role {
        Some(Role::Ignored | Role::Failed) => None,
        Some(Role::Succeeded) => Some(ErrorKind::AlreadySucceeded),
        Some(_) => {
            let now = Timestamp::from(cx.now());
            let waits = seen.run_at.is_some_and(|run_at| run_at > now);
            let cause = if waits { NotReadyCause::NotDue } else { NotReadyCause::Pending };
            Some(ErrorKind::NotReady { status: seen.status_name.clone().into_owned(), cause })
        }
        None => Some(classify::not_ready(seen)),
    }
}
