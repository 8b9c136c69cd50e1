//! Releases a task by hand whose worker is lost.

use std::borrow::Borrow;
use std::fmt::Display;

use uuid::Uuid;

use super::by_hand::{self, ByHand};
use super::race::{Race, Round, race};
use crate::dynamodb::{self, Context, Route};
use crate::error::{Error, ErrorKind, NotReadyCause};
use crate::item::attribute::Item;
use crate::item::head::TaskHead;
use crate::observe::{EventDraft, EventKind};
use crate::protocol::classify;
use crate::time::Timestamp;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

impl<T: StatusTracker> Tracker<T> {
    /// Releases a task whose lease has expired, because its worker is lost. The lost attempt counts as failed: the task is
    /// failed and can be started at once, or ignored if that was its last attempt. Returns the task after that.
    ///
    /// The next start would take the task over by itself, unless [`takeover`](crate::TrackerBuilder::takeover) is
    /// [`Never`](crate::Takeover::Never). Then make sure that the worker no longer works on the task: a release by hand is
    /// the only way out.
    ///
    /// # Errors
    ///
    /// - A [refusal](Error::is_refusal), with the task as it was found: [`NotFound`](ErrorKind::NotFound) (without a task),
    ///   [`Locked`](ErrorKind::Locked) if the lease has not expired, [`AlreadySucceeded`](ErrorKind::AlreadySucceeded),
    ///   [`Ignored`](ErrorKind::Ignored), or [`NotReady`](ErrorKind::NotReady) if no attempt is in progress.
    /// - [`Contended`](ErrorKind::Contended) if other writers were faster several times in a row: release again.
    /// - [`ClockOff`](ErrorKind::ClockOff) if this machine's clock differs from DynamoDB's by more than half of
    ///   `max_clock_skew`.
    /// - [`Decode`](ErrorKind::Decode) if the task's metadata cannot be read.
    /// - [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) if no response arrived: release again.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # async fn release<T: StatusTracker<TaskId = String>>(documents: &Tracker<T>) -> Result<(), Error> {
    /// let task = documents.release_expired("doc-1").await?;
    /// assert!(task.is_failed() || task.is_ignored());
    /// # Ok(()) }
    /// ```
    pub async fn release_expired<Q>(&self, task_id: &Q) -> Result<TaskHead, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        release_expired(self.cx(), &self.cx().key(task_id)?, &ByHand::default()).await
    }
}

/// Releases a task. The write of each round is pinned to the lease that the round has seen.
pub(crate) async fn release_expired(cx: &Context, key: &str, by: &ByHand) -> Result<TaskHead, Error> {
    let released = async {
        cx.known_clock(key).await?;
        // The room for the history follows from the whole item.
        let found = dynamodb::get(cx, key, true, by.dry_run).await?;
        let lock_id = Uuid::new_v4().simple().to_string();
        race(Release { cx, by, lock_id }, found).await
    };
    released.await.map_err(|error| error.with_key(key))
}

struct Release<'a> {
    cx: &'a Context,
    by: &'a ByHand,
    /// The release leaves this in `last_lock`, by which it is recognised.
    lock_id: String,
}

impl Race for Release<'_> {
    type Done = TaskHead;
    type Next = Option<Item>;

    async fn round(&mut self, found: Option<Item>) -> Result<Round<TaskHead, Option<Item>>, Error> {
        let Self { cx, by, lock_id } = self;
        let mut item = found.ok_or_else(|| Error::new(ErrorKind::NotFound))?;
        let seen = cx.head(&mut item)?;
        by.check(&seen)?;
        let (now, rules) = (Timestamp::from(cx.now()), cx.rules());
        if !seen.is_locked() || !seen.is_in_progress() {
            return Err(Error::new(by_hand::refusal(&seen, NotReadyCause::NotHeld)).with_task(seen));
        }
        if !rules.is_expired(&seen, now) {
            let locked = cx.with_holder(classify::locked(&seen, &rules), &seen);
            return Err(Error::new(locked).with_task(seen));
        }
        if by.dry_run {
            return Ok(Round::Done(seen));
        }
        let writes = cx.writes(lock_id, now);
        let write = |detail| writes.release_expired(&seen, &by.note, detail);
        let after = match dynamodb::settle_history(cx, Route::ALONE, &seen.key, write).await {
            Ok(Some(mut item)) => cx.head(&mut item)?,
            Ok(None) => seen.clone(),
            Err(error) => {
                let failed = error.condition()?;
                let found = failed.image.as_ref().map(|image| cx.head(&mut image.clone())).transpose()?;
                match found {
                    // An earlier send of this write was applied, and its response was lost.
                    Some(found) if classify::was_released(&found, lock_id) => found,
                    _ => return Ok(Round::Lost { found: Some(Box::new(seen)), next: failed.image }),
                }
            }
        };
        let kind = if after.is_ignored() { EventKind::Ignored } else { EventKind::Failed };
        cx.emit(EventDraft::of(kind, &after).from(Some(seen.status_name())));
        Ok(Round::Done(after))
    }
}
