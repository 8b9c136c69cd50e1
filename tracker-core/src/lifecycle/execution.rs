//! A started task, in the hands of its worker.

use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;

use super::attempt::Attempt;
use super::finish::{Changes, Finished};
use super::heartbeat::{HeartbeatResult, send_heartbeat};
use crate::dynamodb::{self, SENDS, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{DATA, Item};
use crate::item::document::Document;
use crate::item::fields::Encoded;
use crate::lifecycle::failure::{self, Failure};
use crate::protocol::classify::{self, Save};
use crate::protocol::lease::Reading;
use crate::protocol::outcome::{Outcome, Verdict};
use crate::tracker::codec;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

/// A task that this worker has started: its data, and the lease on it.
///
/// End it with [`succeed`](Self::succeed), [`fail`](Self::fail) or [`release`](Self::release). One that is
/// dropped instead is recorded as failed, best effort: where that cannot run, its lease expires.
#[must_use = "dropping an execution records a failed attempt; end it with `succeed`, `fail` or `release`"]
pub struct Execution<T: StatusTracker> {
    pub(crate) attempt: Attempt,
    data: T,
    /// `data` of the item, with the members that `T` does not know where it is JSON text.
    document: Document,
    stored: Stored,
}

/// How often one save is sent, each time with a later time, when a heartbeat overtakes it.
const SAVES: u32 = 5;

/// What the fields were when last read or written, to tell which have changed.
#[derive(Debug)]
enum Stored {
    /// Nobody has had `&mut` to the data.
    AsIs,
    Encoded(Encoded),
    /// It does not encode: every field counts as changed, and the write says why.
    Unknown,
}

impl<T: StatusTracker> Execution<T> {
    /// Decodes the started task. If its data cannot be decoded, the task is released.
    pub(crate) async fn decode(mut attempt: Attempt, mut item: Item) -> Result<Self, Error> {
        let mut document = Document::parse(item.remove(DATA), attempt.cx.config.wire);
        match codec::decode(&attempt.head().task_id, &mut item, &mut document) {
            Ok(data) => {
                attempt.keep_lease().await;
                attempt.hand_to_caller();
                Ok(Self { attempt, data, document, stored: Stored::AsIs })
            }
            // Boxed, because the SDK's future would make the future of every start large.
            Err(error) => Err(Box::pin(attempt.release_unused(error)).await),
        }
    }

    /// The task's data.
    #[must_use]
    pub fn data(&self) -> &T {
        &self.data
    }

    /// The task's data, to be changed. It is written by [`save`](Self::save) and [`succeed`](Self::succeed),
    /// and dropped by a failure. The task id must stay as it is: a write refuses another.
    pub fn data_mut(&mut self) -> &mut T {
        if matches!(self.stored, Stored::AsIs) {
            self.stored = match codec::encode(&self.data, self.document.form()) {
                Ok(encoded) => Stored::Encoded(encoded),
                Err(_) => Stored::Unknown,
            };
        }
        &mut self.data
    }

    /// Changes the data, and undoes the change when the closure fails. Writes nothing.
    ///
    /// # Errors
    ///
    /// The closure's.
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

    /// The task's id.
    #[must_use]
    pub fn task_id(&self) -> &T::TaskId {
        self.data.task_id()
    }

    /// How long the lease lasts: zero when it has run out.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.attempt.lease.remaining(self.attempt.cx.now())
    }

    /// Completes when the lease is lost: another worker has the task, or DynamoDB was not heard until the lease ran
    /// out. Nothing is written after that, a finish neither, and every call says [`LeaseLost`](ErrorKind::LeaseLost).
    ///
    /// It is the heartbeat that notices; with it switched off, this never completes. In [`run`](crate::Tracker::run) the
    /// body's own future is dropped instead of told: hand this one to what the body has spawned, or clean up in `Drop`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # async fn work() {}
    /// # async fn by_hand<T: StatusTracker<TaskId = String>>(documents: &Tracker<T>) -> Result<(), Error> {
    /// let task = documents.start("a").await?;
    /// tokio::select! {
    ///     () = work() => drop(task.succeed().await?),
    ///     () = task.lost() => eprintln!("somebody else works on it"),
    /// }
    /// # Ok(()) }
    /// ```
    pub fn lost(&self) -> impl Future<Output = ()> + Send + Unpin + 'static + use<T> {
        Box::pin(self.attempt.lease.lost())
    }

    /// Completes when a heartbeat has seen that this attempt is to be [cancelled](crate::Tracker::cancel). The lease is kept
    /// on until the execution ends, which [`fail`](Self::fail) with a [fatal](Failure::fatal) error does as was asked. In
    /// [`run`](crate::Tracker::run) the body's future is dropped instead of told, and the task given up.
    ///
    /// With the heartbeat switched off, this never completes.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + Unpin + 'static + use<T> {
        Box::pin(self.attempt.lease.cancelled())
    }

    /// Renews the lease now. The heartbeat does so by itself, unless it is switched off.
    ///
    /// # Errors
    ///
    /// [`LeaseLost`](ErrorKind::LeaseLost); [`Unavailable`](ErrorKind::Unavailable) and the like where no answer came:
    /// the lease then still lasts as long as [`remaining`](Self::remaining) says.
    pub async fn heartbeat(&self) -> Result<(), Error> {
        let cx = &self.attempt.cx;
        let gone = || self.attempt.lease.is_lost() || self.attempt.has_passed(cx.now());
        if gone() {
            return Err(self.attempt.lost());
        }
        match send_heartbeat(cx, &self.attempt.lease).await {
            HeartbeatResult::Renewed if !gone() => Ok(()),
            HeartbeatResult::Renewed | HeartbeatResult::Lost => Err(self.attempt.lost()),
            HeartbeatResult::Unanswered(error) => Err(error),
        }
    }

    /// Writes the data in the middle of the work, and renews the lease, whether or not anything has changed.
    ///
    /// # Errors
    ///
    /// [`LeaseLost`](ErrorKind::LeaseLost) where another worker has the task, or the lease has run out: nothing more
    /// is written then but a finish, which is recorded if nobody has taken the task over, and unless
    /// [`lost`](Self::lost) has completed.
    /// [`InvalidTaskId`](ErrorKind::InvalidTaskId) where the task id was changed;
    /// [`ItemTooLarge`](ErrorKind::ItemTooLarge) and [`Encode`](ErrorKind::Encode) where the data cannot be
    /// stored; [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) where no answer came. The lease is held on after
    /// any of them but the first, and a later `save` or `succeed` writes the data again.
    pub async fn save(&mut self) -> Result<(), Error> {
        let (encoded, changed) = self.changes()?;
        // Until an answer comes, what is stored of these fields is not known.
        if let Stored::Encoded(stored) = &mut self.stored {
            stored.forget(&changed);
        }
        for _ in 0..SAVES {
            let cx = &self.attempt.cx;
            if self.attempt.lease.is_lost() || self.attempt.has_passed(cx.now()) {
                return Err(self.attempt.lost());
            }
            let now = self.attempt.lease.next(cx.now());
            let lock_id = &self.attempt.lease.lock_id;
            let mut document = self.document.clone();
            let write = cx.writes(lock_id, now.time).save().set_fields(&mut document, changed.clone())?;
            // Boxed, as the SDK's future would make that of every body large.
            let sent = Box::pin(dynamodb::settle(&*cx.clock, SENDS, || {
                dynamodb::update(cx, &self.attempt.head().key, write.clone(), ReturnValue::None)
            }));
            let verdict = match sent.await {
                Ok(_) => Save::Saved,
                Err(WriteError::Condition(mut image)) => {
                    let found = image.as_mut().map(|item| cx.head(item)).transpose()?;
                    let verdict = classify::classify_save(found.as_ref(), lock_id, now.time);
                    if let (Save::Again, Some(found)) = (verdict, found) {
                        self.attempt.lease.seen(found.lock_time);
                    }
                    verdict
                }
                Err(WriteError::Unknown(error)) => {
                    return Err(self.attempt.error(ErrorKind::OutcomeUnknown).with_source(error));
                }
                Err(WriteError::Refused(error)) => return Err(error),
            };
            match verdict {
                Save::Saved => return self.saved(now, document, encoded, &changed),
                Save::Again => {}
                Save::LeaseLost => return Err(self.attempt.lost()),
            }
        }
        Err(self.attempt.error(ErrorKind::OutcomeUnknown))
    }

    /// The data is stored; whether the lease is still ours is told by the time at which that is known.
    fn saved(
        &mut self,
        written: Reading,
        document: Document,
        encoded: Encoded,
        changed: &Encoded,
    ) -> Result<(), Error> {
        self.attempt.saved(written, changed.size());
        self.document = document;
        if !matches!(self.stored, Stored::AsIs) {
            self.stored = Stored::Encoded(encoded);
        }
        if self.attempt.has_passed(self.attempt.cx.now()) {
            return Err(self.attempt.lost());
        }
        Ok(())
    }

    /// Ends the attempt as succeeded, and writes the data.
    ///
    /// Dropping the future once it was polled cancels nothing.
    ///
    /// # Errors
    ///
    /// [`LeaseLost`](ErrorKind::LeaseLost) where another worker took the task over, or [`lost`](Self::lost) has
    /// completed; nothing was written. A lease that has merely run out is finished as long as nobody has taken the task.
    /// [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) where no answer came, and where others have had the task and
    /// finished it since the lease ran out: then the item does not tell whether this finish came first.
    /// [`ItemTooLarge`](ErrorKind::ItemTooLarge), [`Encode`](ErrorKind::Encode) and
    /// [`InvalidTaskId`](ErrorKind::InvalidTaskId) where the data cannot be stored: the attempt is then
    /// recorded as failed with that error.
    pub async fn succeed(self) -> Result<Task<T>, Error> {
        let changed = match self.changes() {
            Ok((_, changed)) => changed,
            Err(error) => {
                let limit = self.attempt.cx.config.traceback_stack_limit as usize;
                let outcome = failure::outcome(&error, limit, Verdict::Retry);
                return Err(match self.end(outcome, ReturnValue::None).await {
                    Ok((finished, _)) => error.with_task(finished.head),
                    Err(unrecorded) => error.with_source(unrecorded),
                });
            }
        };
        let Self { attempt, data, document, .. } = self;
        let changes = Changes { document: Some(document), changed };
        let finished = attempt.finish(Outcome::Succeeded, changes, ReturnValue::None).await?;
        Ok(Task::new(finished.head, data))
    }

    /// Ends the attempt as failed, and drops what was not saved of the data. The task is given up when this
    /// was its `max_retry`th failed attempt in a row, or the failure is fatal.
    ///
    /// Dropping the future once it was polled cancels nothing.
    ///
    /// # Errors
    ///
    /// [`LeaseLost`](ErrorKind::LeaseLost) where another worker took the task over, or [`lost`](Self::lost) has
    /// completed; nothing was written. A lease that has merely run out is finished as long as nobody has taken the task.
    /// [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) where no answer came, and where others have had the task and
    /// finished it since the lease ran out: then the item does not tell whether this finish came first.
    pub async fn fail(self, error: impl Into<Failure>) -> Result<Task<T>, Error> {
        let limit = self.attempt.cx.config.traceback_stack_limit as usize;
        let outcome = error.into().outcome(limit);
        self.end_without_data(outcome).await
    }

    /// Gives the task back to where it was started from, without counting an attempt, and drops what was not
    /// saved of the data.
    ///
    /// Dropping the future once it was polled cancels nothing.
    ///
    /// # Errors
    ///
    /// As [`fail`](Self::fail).
    pub async fn release(self) -> Result<Task<T>, Error> {
        self.end_without_data(Outcome::Released).await
    }

    /// Ends the attempt without writing data, and gives the task as it is stored.
    async fn end_without_data(self, outcome: Outcome) -> Result<Task<T>, Error> {
        if matches!(self.stored, Stored::AsIs) {
            let (Finished { head, .. }, data) = self.end(outcome, ReturnValue::None).await?;
            return Ok(Task::new(head, data));
        }
        let wire = self.attempt.cx.config.wire;
        let (Finished { head, item }, data) = self.end(outcome, ReturnValue::AllNew).await?;
        let Some(mut item) = item else {
            return Ok(Task::new(head, data));
        };
        let mut document = Document::parse(item.remove(DATA), wire);
        let stored = codec::decode(&head.task_id, &mut item, &mut document);
        match stored {
            Ok(stored) => Ok(Task::new(head, stored)),
            Err(error) => Err(error.with_task(head)),
        }
    }

    pub(crate) async fn end(self, outcome: Outcome, returns: ReturnValue) -> Result<(Finished, T), Error> {
        let Self { attempt, data, .. } = self;
        let finished = attempt.finish(outcome, Changes::default(), returns).await?;
        Ok((finished, data))
    }

    /// The fields as they are, and those of them that differ from what is stored.
    fn changes(&self) -> Result<(Encoded, Encoded), Error> {
        let key = &self.attempt.head().key;
        let stored = match &self.stored {
            Stored::AsIs => return Ok(<(Encoded, Encoded)>::default()),
            Stored::Encoded(stored) => Some(stored),
            Stored::Unknown => None,
        };
        let encoded = codec::encode(&self.data, self.document.form()).map_err(|error| error.with_key(key))?;
        if encoded.task_id != self.attempt.head().task_id {
            let reason = format!("it was changed to \"{}\" while the task ran", encoded.task_id);
            return Err(self.attempt.error(ErrorKind::InvalidTaskId { reason }));
        }
        let changed = match stored {
            Some(stored) => encoded.since(stored),
            None => encoded.clone(),
        };
        Ok((encoded, changed))
    }
}

impl<T: StatusTracker> fmt::Debug for Execution<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execution").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

crate::tracker::accessors::head_accessors!(Execution: attempt.head());
