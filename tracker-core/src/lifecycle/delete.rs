//! Deletes one task.

use std::borrow::Borrow;
use std::fmt::Display;

use super::by_hand::{ByHand, moved_on};
use super::race::{Race, Round, race};
use crate::dynamodb::{self, Context, SENDS, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, LOCK, NOT_LOCKED};
use crate::item::head::TaskHead;
use crate::protocol::expression::Expression;
use crate::protocol::{classify, operator};
use crate::time::Timestamp;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

impl<T: StatusTracker> Tracker<T> {
    /// Deletes a task, unless a worker holds it. Returns the deleted task's metadata, or `None` if there was
    /// no task or its metadata cannot be read.
    ///
    /// A task whose lease has expired is deleted. If [`takeover`](crate::TrackerBuilder::takeover) is
    /// [`Never`](crate::Takeover::Never), such a task counts as held, because its holder may still work on
    /// it.
    ///
    /// The task is read first, so that a delete that has to be sent again returns the task as well, because its first response
    /// was lost. A delete emits no event.
    ///
    /// # Errors
    ///
    /// - [`Locked`](crate::ErrorKind::Locked), with the task as it was found, if a worker holds the task.
    /// - [`ClockOff`](crate::ErrorKind::ClockOff) if this machine's clock differs from DynamoDB's by more
    ///   than half of `max_clock_skew`.
    /// - [`Decode`](crate::ErrorKind::Decode) if the task is held and its metadata cannot be read.
    /// - [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) if no response arrived: delete again.
    pub async fn delete<Q>(&self, task_id: &Q) -> Result<Option<TaskHead>, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        let (cx, key) = (self.cx(), self.cx().key(task_id)?);
        let found = dynamodb::get(cx, &key, true, true).await?.filter(|item| cx.is_task(item));
        let Some(mut seen) = found else { return Ok(None) };
        // An item whose head cannot be read is deleted as well.
        let seen = cx.head(&mut seen).ok();
        Ok(delete(cx, &key, false).await?.or(seen))
    }
}

/// Deletes a task, unless a worker holds it and `with_live_lease` is `false`.
pub(crate) async fn delete(
    cx: &Context,
    key: &str,
    with_live_lease: bool,
) -> Result<Option<TaskHead>, Error> {
    send(cx, key, with_live_lease).await.map_err(|error| error.with_key(key))
}

/// Deletes a task by hand. A task that the index has shown is deleted only as it was shown.
pub(crate) async fn delete_by_hand(cx: &Context, key: &str, by: &ByHand) -> Result<(), Error> {
    let deleted = async {
        let found = dynamodb::get(cx, key, true, true).await?.filter(|item| cx.is_task(item));
        let mut item = found.ok_or_else(|| Error::new(ErrorKind::NotFound))?;
        if by.expected.is_none() && !by.dry_run {
            return send(cx, key, false).await.map(drop);
        }
        // An item that is free is deleted by its id even if it cannot be read.
        if by.expected.is_none() && is_free(&item) {
            return Ok(());
        }
        cx.known_clock(key).await?;
        let (seen, now) = (cx.head(&mut item)?, Timestamp::from(cx.now()));
        by.check(&seen)?;
        if seen.is_locked() && !cx.rules().can_take_over(&seen, now) {
            let locked = cx.with_holder(classify::locked(&seen, &cx.rules()), &seen);
            return Err(Error::new(locked).with_task(seen));
        }
        if by.dry_run {
            return Ok(());
        }
        let condition = operator::delete_as_seen(&seen);
        let sent = dynamodb::settle(&*cx.clock, SENDS, || dynamodb::delete(cx, key, condition.clone()));
        match sent.await {
            Ok(_) => Ok(()),
            // An earlier send of this delete may have been applied.
            Err(WriteError::Condition(failed)) if failed.image.is_none() => Ok(()),
            Err(WriteError::Condition(_)) => Err(moved_on(&seen)),
            Err(WriteError::Unknown(error)) => Err(WriteError::unknown_outcome(error)),
            Err(WriteError::Refused(error)) => Err(error),
        }
    };
    deleted.await.map_err(|error| error.with_key(key))
}

fn is_free(item: &Item) -> bool {
    item.get(LOCK).is_none_or(|lock| lock.as_s().is_ok_and(|lock| lock == NOT_LOCKED))
}

/// The delete of one task.
struct Delete<'a> {
    cx: &'a Context,
    key: &'a str,
}

impl Race for Delete<'_> {
    type Done = Option<TaskHead>;
    type Next = Expression;

    async fn round(&mut self, condition: Expression) -> Result<Round<Self::Done, Expression>, Error> {
        let Self { cx, key } = self;
        let sent = dynamodb::settle(&*cx.clock, SENDS, || dynamodb::delete(cx, key, condition.clone()));
        let image = match sent.await {
            // An item that cannot be read is deleted as well.
            Ok(deleted) => return Ok(Round::Done(deleted.and_then(|mut item| cx.head(&mut item).ok()))),
            Err(WriteError::Condition(failed)) => failed.image,
            Err(WriteError::Unknown(error)) => return Err(WriteError::unknown_outcome(error)),
            Err(WriteError::Refused(error)) => return Err(error),
        };
        let Some(mut item) = image else { return Ok(Round::Done(None)) };
        let (found, rules) = (cx.head(&mut item)?, cx.rules());
        let now = Timestamp::from(cx.now());
        let next = if !found.is_locked() {
            operator::delete(&rules, now)
        } else if rules.can_take_over(&found, now) {
            // The lease has expired by the length that its holder has stored.
            operator::delete_expired(&found)
        } else {
            let locked = cx.with_holder(classify::locked(&found, &rules), &found);
            return Err(Error::new(locked).with_task(found));
        };
        Ok(Round::Lost { found: Some(Box::new(found)), next })
    }
}

/// Sends the delete until its outcome is known.
async fn send(cx: &Context, key: &str, with_live_lease: bool) -> Result<Option<TaskHead>, Error> {
    let rules = cx.rules();
    let condition = if with_live_lease {
        operator::delete_always()
    } else {
        // A wrong clock would take a live lease for an expired one.
        cx.known_clock(key).await?;
        operator::delete(&rules, Timestamp::from(cx.now()))
    };
    race(Delete { cx, key }, condition).await
}
