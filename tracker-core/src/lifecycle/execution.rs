//! A started task, as its worker sees it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::attempt::Attempt;
use super::finish::{Changes, Finished};
use super::progress::{self, with_progress};
use crate::dynamodb::{self, SENDS, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{DATA, ITEM_BYTES_WITH_DATA, Item};
use crate::item::document::Document;
use crate::item::fields::Encoded;
use crate::lifecycle::failure::{self, Failure};
use crate::protocol::classify::{self, Save};
use crate::protocol::effects::Effects;
use crate::protocol::lease::Reading;
use crate::protocol::outcome::{Outcome, Verdict};
use crate::tracker::codec;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;
use crate::tracker::unsuccessful::Unsuccessful;

/// A task that this worker has started: its data and its lease.
///
/// End it with [`succeed`](Self::succeed), [`fail`](Self::fail) or [`release`](Self::release). If an
/// execution is dropped instead, the attempt is recorded as failed on a best-effort basis. If that write
/// cannot be sent, the lease expires.
#[must_use = "dropping an execution records a failed attempt; end it with `succeed`, `fail` or `release`"]
pub struct Execution<T: StatusTracker> {
    pub(crate) attempt: Attempt,
    data: T,
    /// The attribute `data`. If it is JSON text, it includes the members that `T` does not declare.
    document: Document,
    stored: Stored,
    /// The user's own writes, which a success makes as well.
    pub(super) effects: Effects,
    /// The size of the item without the declared fields and the history, if the fields could be encoded when the caller
    /// first had `&mut` access to the data.
    other_bytes: Option<usize>,
}

/// The number of times that one save is sent if heartbeats overtake it. Each send has a later time.
const SAVES: u32 = 5;

/// The fields as they were last read or written. A comparison tells which have changed.
#[derive(Debug)]
enum Stored {
    /// Nobody has had `&mut` access to the data.
    Untouched,
    /// The stored fields.
    Encoded(Encoded),
    /// The data could not be encoded: every field counts as changed, and the write reports the error.
    Unknown,
}

impl<T: StatusTracker> Execution<T> {
    /// Decodes the started task. If its data cannot be decoded, the task is released.
    pub(crate) async fn decode(mut attempt: Attempt, mut item: Item) -> Result<Self, Error> {
        let mut document = Document::parse(item.remove(DATA), attempt.cx.config.wire);
        let decoded = codec::decode(attempt.head().task_id(), &mut item, &mut document);
        match decoded.map_err(|error| error.in_table(&attempt.cx.names)) {
            Ok(data) => {
                attempt.keep_lease();
                attempt.hand_to_caller();
                let (stored, effects) = (Stored::Untouched, Effects::default());
                Ok(Self { attempt, data, document, stored, effects, other_bytes: None })
            }
            // Boxed, because the SDK's future would make the future of every start large.
            Err(error) => Err(Box::pin(attempt.release_unused(error)).await),
        }
    }

    /// Returns the task's data.
    #[must_use]
    pub fn data(&self) -> &T {
        &self.data
    }

    /// Returns the task's data for changes.
    ///
    /// [`save`](Self::save) and [`succeed`](Self::succeed) write the changes. [`fail`](Self::fail) and
    /// [`release`](Self::release) drop them. Do not change the task id: the write fails with
    /// [`InvalidTaskId`](ErrorKind::InvalidTaskId).
    pub fn data_mut(&mut self) -> &mut T {
        if matches!(self.stored, Stored::Untouched) {
            self.stored = match codec::encode(&self.data, self.document.form()) {
                Ok(encoded) => {
                    self.other_bytes = self.attempt.head().bytes_without_errors.checked_sub(encoded.size());
                    Stored::Encoded(encoded)
                }
                Err(_) => Stored::Unknown,
            };
        }
        &mut self.data
    }

    /// Changes the data in memory, and undoes the change if the closure fails. Writes nothing.
    ///
    /// # Errors
    ///
    /// Returns the error of the closure.
    pub fn update<R, E>(&mut self, change: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, E>
    where
        T: Clone,
    {
        let before = self.data.clone();
        let result = change(self.data_mut());
        if result.is_err() {
            self.data = before;
        }
        result
    }

    /// Returns the task's id.
    #[must_use]
    pub fn task_id(&self) -> &T::TaskId {
        self.data.task_id()
    }

    /// Says how much of the work is done, from 0 to 1, and what, in at most 100 bytes. The next heartbeat or
    /// [`save`](Self::save) stores it, and an operator sees it with the task: [`TaskHead::progress`](crate::TaskHead::progress). This sends no request by
    /// itself, so call it as often as you like; only the latest progress is stored.
    ///
    /// The progress of an item of more than 300 KB is not stored, because the item needs its room for its end.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, Failure, StatusTracker, Tracker};
    /// # async fn read<T: StatusTracker<TaskId = String>>(documents: &Tracker<T>) -> Result<(), Error> {
    /// documents
    ///     .run("doc-1", async |task| {
    ///         for page in 0..120 {
    ///             task.progress(f64::from(page) / 120.0, format!("{page} of 120 pages"));
    ///         }
    ///         Ok::<_, Failure>(())
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn progress(&self, fraction: f64, note: impl AsRef<str>) {
        let time = self.attempt.cx.now().wall;
        let progress = progress::of_attempt(self.head().attempt(), fraction, note.as_ref(), time);
        self.attempt.lease.progress.set(progress);
    }

    /// Writes the changed data as a checkpoint, and renews the lease, even if nothing has changed.
    ///
    /// # Errors
    ///
    /// - [`LeaseLost`](ErrorKind::LeaseLost) if the lease has expired, or this attempt no longer holds the
    ///   task. You can still finish, unless the task was taken over or [`lost`](Self::lost) has completed. If
    ///   the response to the save arrives only after the renewed lease has expired, the data is stored.
    /// - [`InvalidTaskId`](ErrorKind::InvalidTaskId) if the task id was changed.
    /// - [`ItemTooLarge`](ErrorKind::ItemTooLarge) or [`Encode`](ErrorKind::Encode) if the data cannot be
    ///   stored.
    /// - [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) if no response arrived.
    /// - Any other error, such as [`Service`](ErrorKind::Service), if DynamoDB refused the write.
    ///
    /// After every error but `LeaseLost` the lease is kept, and a later `save` or `succeed` writes the data
    /// again.
    pub async fn save(&mut self) -> Result<(), Error> {
        let (encoded, changed) = self.changes()?;
        // Until a response arrives, it is unknown what is stored in these fields.
        if let Stored::Encoded(stored) = &mut self.stored {
            stored.forget(&changed);
        }
        for _ in 0..SAVES {
            let cx = &self.attempt.cx;
            if self.attempt.lease.is_lost() || self.attempt.has_passed(cx.now()) {
                return Err(self.attempt.lease.lost_error());
            }
            let now = self.attempt.lease.next(cx.now());
            let lock_id = &self.attempt.lease.lock_id;
            let mut document = Cow::Borrowed(&self.document);
            let write = cx
                .writes(lock_id, now.time)
                .save()
                .set_fields(&mut document, &changed)
                .map_err(|error| error.in_table(&cx.names).with_key(&self.attempt.head().key))?;
            let progress = self.attempt.lease.progress.get(self.attempt.head());
            let write = with_progress(write, progress.as_ref());
            // Boxed, because the SDK's future would make the future of every body large.
            let sent = Box::pin(dynamodb::settle(&*cx.clock, SENDS, || {
                dynamodb::update(
                    cx,
                    self.attempt.sharing.route(),
                    &self.attempt.head().key,
                    Cow::Borrowed(&write),
                    false,
                )
            }));
            let verdict = match sent.await {
                Ok(_) => Save::Saved,
                Err(WriteError::Condition(mut failed)) => {
                    let found = failed.image.as_mut().map(|item| cx.head(item)).transpose()?;
                    let verdict = classify::classify_save(found.as_ref(), lock_id, now.time);
                    if let (Save::Again, Some(found)) = (verdict, found) {
                        self.attempt.lease.seen(found.lock_time);
                    }
                    verdict
                }
                Err(WriteError::Unknown(error)) => {
                    return Err(self.attempt.error(ErrorKind::OutcomeUnknown).with_source(error));
                }
                // Without the progress, the error is that of the data.
                Err(WriteError::Refused(error)) if progress.is_some() && dynamodb::is_about_data(&error) => {
                    self.attempt.lease.progress.refuse();
                    continue;
                }
                Err(WriteError::Refused(error)) => return Err(error),
            };
            match verdict {
                Save::Saved => {
                    self.attempt.lease.progress.done(progress.as_ref());
                    if let Cow::Owned(changed) = document {
                        self.document = changed;
                    }
                    return self.saved(now, encoded);
                }
                Save::Again => {}
                Save::LeaseLost => return Err(self.attempt.lease.lost_error()),
            }
        }
        Err(self.attempt.error(ErrorKind::OutcomeUnknown))
    }

    /// Takes in an acknowledged save. The lease is lost if the response arrived after the renewed lease had
    /// expired.
    fn saved(&mut self, written: Reading, encoded: Encoded) -> Result<(), Error> {
        let is_touched = !matches!(self.stored, Stored::Untouched);
        let size = self.other_bytes.filter(|_| is_touched).map(|others| others + encoded.size());
        self.attempt.saved(written, size);
        if !matches!(self.stored, Stored::Untouched) {
            self.stored = Stored::Encoded(encoded);
        }
        if self.attempt.has_passed(self.attempt.cx.now()) {
            return Err(self.attempt.lease.lost_error());
        }
        Ok(())
    }

    /// Ends the attempt as succeeded, and writes the changed data and the [effects](Self::on_success). Returns the task as it is
    /// stored.
    ///
    /// Once polled, the write completes even if the future is dropped.
    ///
    /// # Errors
    ///
    /// - [`LeaseLost`](ErrorKind::LeaseLost) if the task was taken over, or if [`lost`](Self::lost) has
    ///   completed. The finish wrote nothing. An expired lease alone is no error: the finish is recorded if
    ///   nobody has taken the task over.
    /// - [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) if no response arrived. Also if the task was deleted,
    ///   or if other workers have finished it since the lease expired: then it cannot be determined whether
    ///   this finish was applied.
    /// - [`ItemTooLarge`](ErrorKind::ItemTooLarge), [`Encode`](ErrorKind::Encode) or
    ///   [`InvalidTaskId`](ErrorKind::InvalidTaskId) if the data cannot be stored. The attempt is then
    ///   recorded as failed with that error.
    /// - [`EffectRefused`](ErrorKind::EffectRefused), [`InvalidEffects`](ErrorKind::InvalidEffects) or
    ///   [`TransactionConflict`](ErrorKind::TransactionConflict) if the effects could not be written; also
    ///   [`Throttled`](ErrorKind::Throttled) if their tables are throttled, and [`Service`](ErrorKind::Service) if a permission is
    ///   missing. Nothing of the success is then written, and the attempt is recorded as failed with that error.
    /// - Any other error, such as [`Service`](ErrorKind::Service), if DynamoDB refused the write. The task
    ///   then stays locked until its lease expires.
    pub async fn succeed(self) -> Result<Task<T>, Error> {
        let changed = match self.changes() {
            Ok((_, changed)) => changed,
            Err(error) => {
                let limit = self.attempt.cx.config.traceback_stack_limit as usize;
                let outcome = failure::outcome(&error, limit, Verdict::Retry);
                return Err(match self.end(outcome, false).await {
                    Ok((finished, _)) => error.with_task(finished.head),
                    Err(unrecorded) => error.with_source(unrecorded),
                });
            }
        };
        let Self { attempt, data, document, effects, .. } = self;
        let changes = Changes { document: Some(document), changed, effects };
        let finished = attempt.finish(Outcome::Succeeded, changes, false).await?;
        Ok(Task::new(finished.head, data))
    }

    /// Ends the attempt as failed, and drops changes of the data that were not saved. Returns the task as it
    /// is stored.
    ///
    /// The task is ignored if the failure is [fatal](Failure::fatal), or if this was the `max_retry`th failed
    /// attempt in a row. A [snooze](Failure::snooze) returns the task to its previous status and counts no
    /// failed attempt.
    ///
    /// Once polled, the write completes even if the future is dropped.
    ///
    /// # Errors
    ///
    /// - [`LeaseLost`](ErrorKind::LeaseLost) if the task was taken over, or if [`lost`](Self::lost) has
    ///   completed. The finish wrote nothing. An expired lease alone is no error: the finish is recorded if
    ///   nobody has taken the task over.
    /// - [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) if no response arrived. Also if the task was deleted,
    ///   or if other workers have finished it since the lease expired: then it cannot be determined whether
    ///   this finish was applied.
    /// - [`Decode`](ErrorKind::Decode) if the finish was recorded and the stored data cannot be read into
    ///   `T`.
    /// - Any other error, such as [`Service`](ErrorKind::Service), if DynamoDB refused the write. The task
    ///   then stays locked until its lease expires.
    pub async fn fail(self, error: impl Into<Failure>) -> Result<Unsuccessful<T>, Error> {
        let limit = self.attempt.cx.config.traceback_stack_limit as usize;
        let outcome = error.into().outcome(limit);
        self.end_without_data(outcome).await
    }

    /// Releases the task: returns it to the status from which it was started, without counting a failed
    /// attempt. Changes of the data that were not saved are dropped. Returns the task as it is stored.
    ///
    /// Once polled, the write completes even if the future is dropped.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`fail`](Self::fail).
    pub async fn release(self) -> Result<Unsuccessful<T>, Error> {
        self.end_without_data(Outcome::Released).await
    }

    /// Ends the attempt without writing data. Returns the task as it is stored.
    async fn end_without_data(self, outcome: Outcome) -> Result<Unsuccessful<T>, Error> {
        if matches!(self.stored, Stored::Untouched) {
            let (Finished { head, .. }, data) = self.end(outcome, false).await?;
            return Ok(Unsuccessful::new(head, data));
        }
        let cx = Arc::clone(&self.attempt.cx);
        let (Finished { head, item }, data) = self.end(outcome, true).await?;
        let Some(mut item) = item else {
            return Ok(Unsuccessful::new(head, data));
        };
        let mut document = Document::parse(item.remove(DATA), cx.config.wire);
        let stored = codec::decode(head.task_id(), &mut item, &mut document);
        match stored {
            Ok(stored) => Ok(Unsuccessful::new(head, stored)),
            Err(error) => Err(error.in_table(&cx.names).with_task(head)),
        }
    }

    /// Ends the attempt without writing data.
    pub(crate) async fn end(self, outcome: Outcome, returns_item: bool) -> Result<(Finished, T), Error> {
        let Self { attempt, data, .. } = self;
        let finished = attempt.finish(outcome, Changes::default(), returns_item).await?;
        Ok((finished, data))
    }

    /// Returns all fields, and the fields that differ from the stored ones.
    fn changes(&self) -> Result<(Encoded, Encoded), Error> {
        let names = &self.attempt.cx.names;
        let named = |error: Error| error.in_table(names).with_key(&self.attempt.head().key);
        let stored = match &self.stored {
            Stored::Untouched => return Ok(<(Encoded, Encoded)>::default()),
            Stored::Encoded(stored) => Some(stored),
            Stored::Unknown => None,
        };
        let encoded = codec::encode(&self.data, self.document.form()).map_err(named)?;
        if encoded.task_id != self.attempt.head().task_id() {
            let reason = format!(
                "it was changed to \"{}\" while the task ran; keep the id, or create another task",
                encoded.task_id
            );
            return Err(self.attempt.error(ErrorKind::InvalidTaskId { reason }));
        }
        let changed = match stored {
            Some(stored) => encoded.since(stored),
            None => encoded.clone(),
        };
        self.check_size(&encoded)?;
        if cfg!(debug_assertions) {
            codec::check_encoded::<T>(&encoded, self.document.form()).map_err(named)?;
        }
        Ok((encoded, changed))
    }

    /// Refuses data that would leave too little room for the later writes of the protocol.
    fn check_size(&self, encoded: &Encoded) -> Result<(), Error> {
        let Some(others) = self.other_bytes else { return Ok(()) };
        let head = self.attempt.head();
        let limit = ITEM_BYTES_WITH_DATA;
        let (before, after) = (head.bytes_without_errors, others + encoded.size());
        if after <= before || after + head.errors_bytes <= limit {
            return Ok(());
        }
        let left = limit.saturating_sub(before + head.errors_bytes);
        let why = format!("{left} bytes are left for the data, and the change needs {}", after - before);
        Err(self.attempt.error(ErrorKind::ItemTooLarge).because(why))
    }
}

impl<T: StatusTracker> fmt::Debug for Execution<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execution").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

crate::tracker::accessors::head_accessors!(Execution: attempt.head());
