//! Changes a free task by hand, by one write: the rounds that `redrive` and `run_now` share.

use std::borrow::Cow;

use super::by_hand::ByHand;
use super::race::{Race, Round, race};
use crate::dynamodb::{self, Context, Route, SENDS, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::item::head::TaskHead;
use crate::item::history::Note;
use crate::observe::{EventDraft, EventKind};
use crate::protocol::classify;
use crate::protocol::expression::Expression;
use crate::protocol::writes::Writes;
use crate::time::Timestamp;

/// A change of a free task.
pub(super) struct Change {
    /// Returns why a task that is free cannot be changed so, if it cannot.
    pub(super) refusal: fn(&TaskHead, Timestamp) -> Option<ErrorKind>,
    /// Returns the task as it is after the write, and the write, pinned to the task that was seen.
    pub(super) write: fn(&Writes<'_>, &TaskHead, &Note) -> (TaskHead, Expression),
    /// Returns the task if it was found as the write leaves it: an earlier send was applied, and its response was lost.
    pub(super) recognise: fn(found: TaskHead, after: TaskHead) -> Option<TaskHead>,
    /// The event that reports the change.
    pub(super) event: Option<EventKind>,
}

/// Reads an item: all of it if there is a note, because the room for the note follows from its size.
pub(super) async fn read(cx: &Context, key: &str, by: &ByHand) -> Result<Option<Item>, Error> {
    dynamodb::get(cx, key, true, by.note.is_empty() || by.dry_run).await
}

/// Changes a task. The write of each round is pinned to the task that the round has seen.
pub(super) async fn change(
    cx: &Context,
    by: &ByHand,
    change: &Change,
    found: Option<Item>,
) -> Result<TaskHead, Error> {
    race(Rounds { cx, by, change }, found).await
}

struct Rounds<'a> {
    cx: &'a Context,
    by: &'a ByHand,
    change: &'a Change,
}

impl Race for Rounds<'_> {
    type Done = TaskHead;
    type Next = Option<Item>;

    async fn round(&mut self, found: Option<Item>) -> Result<Round<TaskHead, Option<Item>>, Error> {
        let Self { cx, by, change } = *self;
        let mut item = found.ok_or_else(|| Error::new(ErrorKind::NotFound))?;
        let seen = cx.head(&mut item)?;
        by.check(&seen)?;
        let now = Timestamp::from(cx.now());
        let refusal = if seen.is_locked() || seen.is_in_progress() {
            Some(cx.with_holder(classify::locked(&seen, &cx.rules()), &seen))
        } else {
            (change.refusal)(&seen, now)
        };
        if let Some(refusal) = refusal {
            return Err(Error::new(refusal).with_task(seen));
        }
        if by.dry_run {
            return Ok(Round::Done(seen));
        }
        let writes = cx.writes("", now);
        let (mut after, mut write) = (change.write)(&writes, &seen, &by.note);
        let mut sent = send(cx, &seen, &write).await;
        // Another program may have filled the item since. A note must not prevent the change.
        if is_too_large(&sent) && !by.note.is_empty() {
            (after, write) = (change.write)(&writes, &seen, &Note::default());
            sent = send(cx, &seen, &write).await;
        }
        let (done, image) = match sent {
            Ok(_) => (Some(after), None),
            Err(error) => {
                let failed = error.condition()?;
                let found = failed.image.as_ref().map(|image| cx.head(&mut image.clone())).transpose()?;
                (found.and_then(|found| (change.recognise)(found, after)), failed.image)
            }
        };
        let Some(done) = done else {
            return Ok(Round::Lost { found: Some(Box::new(seen)), next: image });
        };
        if let Some(event) = change.event {
            cx.emit(EventDraft::of(event, &done).from(Some(seen.status_name())));
        }
        Ok(Round::Done(done))
    }
}

/// Sends a write until its outcome is known.
async fn send(cx: &Context, seen: &TaskHead, write: &Expression) -> Result<Option<Item>, WriteError> {
    let sent = dynamodb::settle(&*cx.clock, SENDS, || {
        dynamodb::update(cx, Route::ALONE, &seen.key, Cow::Borrowed(write), false)
    });
    sent.await
}

fn is_too_large<R>(sent: &Result<R, WriteError>) -> bool {
    matches!(sent, Err(WriteError::Refused(error)) if *error.kind() == ErrorKind::ItemTooLarge)
}
