//! Creates one task.

use chrono::{DateTime, Utc};

use super::effects;
use crate::dynamodb::{self, Context, SENDS};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, KEY, RUN_AT, time};
use crate::item::fields::TaskId;
use crate::item::head::TaskHead;
use crate::observe::{EventDraft, EventKind};
use crate::protocol::classify::{self, Creator};
use crate::protocol::effects::Effects;
use crate::protocol::expression::Expression;
use crate::protocol::operator;
use crate::time::Timestamp;
use crate::tracker::Tracker;
use crate::tracker::new_item::NewItem;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

impl<T: StatusTracker> Tracker<T> {
    /// Creates a task in status pending. An existing task stays as it is.
    ///
    /// A task whose [`expires_at`](crate::TaskHead::expires_at) has passed counts as deleted, although DynamoDB may need some days to
    /// delete its item: the new task replaces it.
    ///
    /// Wait some minutes before you create a deleted id again: in-flight requests for the old task could
    /// apply to the new one.
    ///
    /// # Errors
    ///
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists), with the existing task if its metadata can be read.
    /// - [`InvalidTaskId`](ErrorKind::InvalidTaskId) if the id is empty, if its key has more than 2,048
    ///   bytes, or if the `FromStr` of the id does not read back the text that its `Display` writes.
    /// - [`Encode`](ErrorKind::Encode) if a field cannot be stored.
    /// - [`ItemTooLarge`](ErrorKind::ItemTooLarge) if the item would have more than 399 KB: starts and
    ///   finishes need the rest of DynamoDB's 400 KB.
    /// - [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) if no response arrived: call `create` again.
    ///   `AlreadyExists` then means that the first call succeeded, or that somebody else created the task.
    pub async fn create(&self, data: T) -> Result<Task<T>, Error> {
        create(self.cx(), data, None, &Effects::default()).await
    }

    /// Creates a task that cannot be started before `run_at`.
    ///
    /// Until then a start is refused as [`NotDue`](ErrorKind::NotDue), and
    /// [`query_for_unfinished`](Self::query_for_unfinished) leaves the task out if the index projects
    /// `run_at`, as the index of [`create_table`](Self::create_table) does. Python workers ignore `run_at`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`create`](Self::create).
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # async fn remind<T: StatusTracker>(reminders: &Tracker<T>, reminder: T) -> Result<(), Error> {
    /// let tomorrow = chrono::Utc::now() + chrono::TimeDelta::days(1);
    /// reminders.create_at(reminder, tomorrow).await?;
    /// # Ok(()) }
    /// ```
    pub async fn create_at(&self, data: T, run_at: DateTime<Utc>) -> Result<Task<T>, Error> {
        create(self.cx(), data, Some(Timestamp::new(run_at)), &Effects::default()).await
    }
}

/// Creates a task, together with effects if there are any. An existing item with its key is an error.
pub(crate) async fn create<T: StatusTracker>(
    cx: &Context,
    data: T,
    run_at: Option<Timestamp>,
    effects: &Effects,
) -> Result<Task<T>, Error> {
    let mut found = match create_or_found(cx, data, run_at, effects).await? {
        Ok(task) => return Ok(task),
        Err(found) => found,
    };
    if !cx.is_task(&found) {
        return Err(cx.head(&mut found).err().unwrap_or_else(|| Error::new(ErrorKind::AlreadyExists)));
    }
    let key = found.get(KEY).and_then(|key| key.as_s().ok()).cloned().unwrap_or_default();
    let error = Error::new(ErrorKind::AlreadyExists).with_key(&key);
    // A task whose head cannot be read exists as well.
    Err(match cx.head(&mut found) {
        Ok(found) => error.with_task(found),
        Err(unreadable) => error.with_source(unreadable),
    })
}

/// Creates a task, or returns the existing item as the inner error.
pub(crate) async fn create_or_found<T: StatusTracker>(
    cx: &Context,
    data: T,
    run_at: Option<Timestamp>,
    effects: &Effects,
) -> Result<Result<Task<T>, Item>, Error> {
    let mut item = new_item(cx, &data)?;
    if let Some(run_at) = run_at {
        item.insert(RUN_AT.to_owned(), time(run_at));
    }
    let head = cx.head(&mut item.clone())?;
    let mut found = put(cx, &head.key, &item, None, effects).await?;
    if let Some(expired) = found.as_ref().and_then(|found| expired(cx, found)) {
        // The item is deleted soon. A new task need not wait for that.
        cx.known_clock(&head.key).await?;
        found = put(cx, &head.key, &item, Some(&operator::as_seen(&expired)), effects).await?;
    }
    if found.as_ref().is_some_and(Item::is_empty) {
        // The item that was in the way was deleted before it could be read.
        found = put(cx, &head.key, &item, None, effects).await?;
    }
    if let Some(found) = found {
        return Ok(Err(found));
    }
    cx.emit(EventDraft::of(EventKind::Created, &head));
    Ok(Ok(Task::new(head, data)))
}

/// Puts a new item, and replaces an `expired` one. Returns the item that was found instead, if another creator was faster.
async fn put(
    cx: &Context,
    key: &str,
    item: &Item,
    expired: Option<&Expression>,
    effects: &Effects,
) -> Result<Option<Item>, Error> {
    let (sent, is_first_send) = if effects.is_empty() {
        let mut sends = 0;
        let sent = dynamodb::settle(&*cx.clock, SENDS, || {
            sends += 1;
            dynamodb::put(cx, key, item.clone(), expired)
        });
        let sent = sent.await;
        (sent, sends == 1)
    } else {
        effects::put(cx, key, item, expired, effects).await?
    };
    match sent {
        Ok(()) => Ok(None),
        Err(error) => {
            let failed = error.condition().map_err(|error| error.with_key(key))?;
            let is_first_send = failed.is_first_try && is_first_send;
            let found = failed.image.unwrap_or_default();
            match classify::classify_create(&found, item, is_first_send) {
                // The response was lost. A worker may have started the task since.
                Creator::Ours => Ok(None),
                Creator::Other => Ok(Some(found)),
                Creator::Unknown => Err(Error::new(ErrorKind::OutcomeUnknown).with_key(key)),
            }
        }
    }
}

/// Returns whether a task has ended, and the time after which DynamoDB deletes it has passed by every clock.
pub(crate) fn is_past(cx: &Context, head: &TaskHead) -> bool {
    let now = Timestamp::from(cx.now()).utc();
    let expired = |expires_at: DateTime<Utc>| expires_at + cx.config.max_clock_skew < now;
    !head.is_locked() && head.expires_at().is_some_and(expired)
}

/// Returns the head of an item that counts as deleted.
fn expired(cx: &Context, found: &Item) -> Option<TaskHead> {
    cx.head(&mut found.clone()).ok().filter(|head| is_past(cx, head))
}

/// Returns the text of a task id, as the key contains it.
pub(crate) fn shown_id<T: StatusTracker>(data: &T) -> String {
    data.task_id().__encode()
}

/// Returns the item of a new task, if it can be stored.
pub(crate) fn new_item<T: StatusTracker>(cx: &Context, data: &T) -> Result<Item, Error> {
    let (use_case, wire, create_time) = (&cx.use_case, cx.config.wire, cx.create_time());
    let checks_round_trip = cx.checks_round_trip();
    let new = NewItem { use_case, names: &cx.names, wire, create_time, checks_round_trip };
    let item = new.of(data)?;
    cx.note_round_trip();
    Ok(item)
}
