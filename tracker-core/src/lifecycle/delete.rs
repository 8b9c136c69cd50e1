//! Deletes one task.

use std::borrow::Borrow;
use std::fmt::Display;

use super::by_hand::{ByHand, moved_on};
use super::race::{Race, Round, race};
use crate::dynamodb::{self, Context, SENDS, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{CREATE_TIME, Item, LOCK, NOT_LOCKED};
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
    /// - [`ClockOff`](crate::ErrorKind::ClockOff) if the task is held, and this machine's clock differs from DynamoDB's by more
    ///   than half of `max_clock_skew`: then nothing tells whether the lease has expired.
    /// - [`Contended`](crate::ErrorKind::Contended) if other writers changed the task several times in a row: delete again.
    /// - [`Decode`](crate::ErrorKind::Decode) if the task is held and its metadata cannot be read.
    /// - [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) if no response arrived: delete again.
    pub async fn delete<Q>(&self, task_id: &Q) -> Result<Option<TaskHead>, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        let (cx, key) = (self.cx(), self.cx().key(task_id)?);
        let Some(item) = read(cx, &key).await? else { return Ok(None) };
        race(Delete { cx, key: &key }, item).await.map_err(|error| error.with_key(&key))
    }
}

/// Reads the item of a task.
async fn read(cx: &Context, key: &str) -> Result<Option<Item>, Error> {
    Ok(dynamodb::get(cx, key, true, true).await?.filter(|item| cx.is_task(item)))
}

/// Deletes a task that a scan has read, unless a worker holds it.
pub(crate) async fn delete_scanned(cx: &Context, key: &str, item: Item) -> Result<(), Error> {
    let deleted = async {
        // The scan reads too little to judge a lease.
        let item = if is_free(&item) { Some(item) } else { read(cx, key).await? };
        match item {
            Some(item) => race(Delete { cx, key }, item).await.map(drop),
            None => Ok(()),
        }
    };
    deleted.await.map_err(|error| error.with_key(key))
}

/// Deletes a task, also if a worker holds it.
pub(crate) async fn delete_any(cx: &Context, key: &str) -> Result<(), Error> {
    let deleted = match send(cx, key, &operator::delete_always()).await {
        Ok(_) => Ok(()),
        // If the condition failed, another kind of item has the key now.
        Err(error) => error.condition().map(drop),
    };
    deleted.map_err(|error| error.with_key(key))
}

/// Sends a delete until its outcome is known.
async fn send(cx: &Context, key: &str, condition: &Expression) -> Result<Option<Item>, WriteError> {
    dynamodb::settle(&*cx.clock, SENDS, || dynamodb::delete(cx, key, condition.clone())).await
}

/// Deletes a task by hand. A task that the index has shown is deleted only as it was shown.
pub(crate) async fn delete_by_hand(cx: &Context, key: &str, by: &ByHand) -> Result<(), Error> {
    let deleted = async {
        let mut item = read(cx, key).await?.ok_or_else(|| Error::new(ErrorKind::NotFound))?;
        if by.expected.is_none() && !by.dry_run {
            return race(Delete { cx, key }, item).await.map(drop);
        }
        // An item that is free is deleted by its id even if it cannot be read.
        if by.expected.is_none() && is_free(&item) {
            return Ok(());
        }
        let condition = operator::delete_as_read(&item);
        let seen = cx.head(&mut item)?;
        by.check(&seen)?;
        let seen = check_lease(cx, key, seen).await?;
        if by.dry_run {
            return Ok(());
        }
        match send(cx, key, &condition).await {
            Ok(_) => Ok(()),
            Err(error) => match error.condition()?.image {
                // An earlier send of this delete may have been applied.
                None => Ok(()),
                Some(_) => Err(moved_on(&seen)),
            },
        }
    };
    deleted.await.map_err(|error| error.with_key(key))
}

fn is_free(item: &Item) -> bool {
    item.get(LOCK).is_none_or(|lock| lock.as_s().is_ok_and(|lock| lock == NOT_LOCKED))
}

/// Refuses to delete a task that a worker holds. A lease that has expired, by the length that its holder has stored, holds nothing.
async fn check_lease(cx: &Context, key: &str, seen: TaskHead) -> Result<TaskHead, Error> {
    if seen.is_locked() {
        // A wrong clock would take a live lease for an expired one.
        cx.known_clock(key).await?;
        let rules = cx.rules();
        if !rules.can_take_over(&seen, Timestamp::from(cx.now())) {
            let locked = cx.with_holder(classify::locked(&seen, &rules), &seen);
            return Err(Error::new(locked).with_task(seen));
        }
    }
    Ok(seen)
}

/// The delete of one task.
struct Delete<'a> {
    cx: &'a Context,
    key: &'a str,
}

impl Race for Delete<'_> {
    type Done = Option<TaskHead>;
    /// The task as it was read last. Each delete is pinned to it, so that a late copy deletes nothing that was written since.
    type Next = Item;

    async fn round(&mut self, mut item: Item) -> Result<Round<Self::Done, Item>, Error> {
        let Self { cx, key } = self;
        let (condition, is_free) = (operator::delete_as_read(&item), is_free(&item));
        let create_time = item.get(CREATE_TIME).cloned();
        let seen = match cx.head(&mut item) {
            Ok(seen) => Some(check_lease(cx, key, seen).await?),
            // An item that is free is deleted even if it cannot be read.
            Err(_) if is_free => None,
            Err(error) => return Err(error),
        };
        match send(cx, key, &condition).await {
            Ok(deleted) => {
                let deleted = deleted.and_then(|mut item| cx.head(&mut item).ok());
                Ok(Round::Done(deleted.or(seen)))
            }
            Err(error) => {
                let image = error.condition()?.image.filter(|image| cx.is_task(image));
                Ok(match image.filter(|image| classify::is_same_task(image, create_time.as_ref())) {
                    Some(next) => Round::Lost { found: seen.map(Box::new), next },
                    // An earlier send of this delete may have been applied. The task that was read is gone, also if somebody has
                    // created another one since.
                    None => Round::Done(seen),
                })
            }
        }
    }
}
