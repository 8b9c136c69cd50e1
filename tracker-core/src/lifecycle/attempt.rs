//! A lease that is held, and how it ends: by a finish that is always sent, or recorded as dropped.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use tokio::runtime::Handle;

use crate::dynamodb::Context;
use crate::dynamodb::{self, SENDS_OF_A_FINISH, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::item::document::Document;
use crate::item::fields::Encoded;
use crate::item::head::TaskHead;
use crate::item::history::HistoryDetail;
use crate::lifecycle::failure;
use crate::lifecycle::heartbeat::SharedLease;
use crate::observe::{self, EventDraft, EventKind};
use crate::protocol::classify::{self, Written};
use crate::protocol::expression::Expression;
use crate::protocol::lease::Reading;
use crate::protocol::writes::{self, Outcome, Then};
use crate::runtime::detached::detached;
use crate::time::{ClockReading, Timestamp};

/// A task that was started and is not finished yet.
///
/// Dropped so, it is released while nobody has seen it, and recorded as failed afterwards: best effort, from
/// a task of its own. Where that cannot run, the lease expires.
pub(crate) struct Attempt {
    pub(crate) cx: Arc<Context>,
    /// As it was started, but for what was saved since. Shared, as its history may be long.
    head: Arc<TaskHead>,
    pub(crate) lease: Arc<SharedLease>,
    on_drop: OnDrop,
    /// Where it was started, as it may be dropped on a thread that is not the runtime's.
    runtime: Option<Handle>,
    /// When it began, by the monotonic clock.
    begun: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    Release,
    Fail,
    Nothing,
}

/// What a finish writes of the data.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) document: Option<Document>,
    pub(crate) changed: Encoded,
}

/// A finish that was recorded.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) head: TaskHead,
    /// The item as stored, where it was asked for and there is one.
    pub(crate) item: Option<Item>,
}

impl Attempt {
    pub(crate) fn new(cx: Arc<Context>, lease: SharedLease) -> Self {
        let runtime = Handle::try_current().ok();
        let begun = cx.now().monotonic;
        let head = Arc::clone(&lease.head);
        Self { cx, head, lease: Arc::new(lease), on_drop: OnDrop::Release, runtime, begun }
    }

    pub(crate) fn head(&self) -> &TaskHead {
        &self.head
    }

    pub(crate) fn has_passed(&self, now: ClockReading) -> bool {
        self.lease.has_passed(now)
    }

    /// From here on, being dropped is a failure of the attempt.
    pub(crate) fn hand_to_caller(&mut self) {
        self.on_drop = OnDrop::Fail;
    }

    /// From here on, the lease is kept by heartbeats.
    pub(crate) async fn keep(&self) {
        if let (true, Some(runtime)) = (self.cx.config.heartbeat, &self.runtime) {
            self.lease.begin(&self.cx, runtime).await;
        }
    }

    /// The error of a lease that is lost; its source tells where that is because the service was not heard.
    pub(crate) fn lost(&self) -> Error {
        let lost = self.error(ErrorKind::LeaseLost);
        match self.lease.unheard() {
            Some(unheard) => lost.with_source(unheard),
            None => lost,
        }
    }

    /// Leaves a lost lease to whoever has the task: nothing is written any more.
    pub(crate) fn abandon(mut self) -> Error {
        self.lease.stop();
        self.on_drop = OnDrop::Nothing;
        self.lost()
    }

    /// A save was acknowledged, of values of about this size.
    pub(crate) fn saved(&mut self, written: Reading, bytes: usize) {
        self.lease.acknowledge(written);
        Arc::make_mut(&mut self.head).bytes_without_errors += bytes;
    }

    /// Gives the task up, as it was asked to be.
    pub(crate) async fn cancel(self) -> Error {
        let recorded = self.finish(Outcome::Cancelled, Changes::default(), ReturnValue::None).await;
        match recorded {
            Ok(Finished { head, .. }) => {
                Error::new(ErrorKind::Cancelled).with_key(&head.key).with_task(head.clone())
            }
            Err(unrecorded) => unrecorded,
        }
    }

    /// An error about this task as it was started.
    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind).with_key(&self.head.key).with_task(TaskHead::clone(&self.head))
    }

    /// Ends the attempt. Once polled it goes on, whoever drops its future or leaves it alone.
    pub(crate) async fn finish(
        mut self,
        outcome: Outcome,
        changes: Changes,
        returns: ReturnValue,
    ) -> Result<Finished, Error> {
        if self.lease.is_lost() {
            return Err(self.abandon());
        }
        let finish = self.begin(outcome, changes, returns);
        let sent = detached(self.cx.ticker.as_ref(), finish.send()).await;
        sent.unwrap_or_else(|| Err(self.error(ErrorKind::OutcomeUnknown)))
    }

    /// Releases what was started in vain, and gives why. Where its lease has run out already, whoever took it is not
    /// disturbed.
    pub(crate) async fn release_unused(mut self, why: Error) -> Error {
        let why = why.with_key(&self.head.key).with_task(TaskHead::clone(&self.head));
        let finish = self.begin(Outcome::Released, Changes::default(), ReturnValue::None);
        finish.best_effort().await;
        why
    }

    fn begin(&mut self, outcome: Outcome, changes: Changes, returns: ReturnValue) -> Finish {
        // No heartbeat may come after the finish, nor take a later time.
        self.lease.stop();
        let now = self.lease.next(self.cx.now()).time;
        self.on_drop = OnDrop::Nothing;
        Finish {
            cx: Arc::clone(&self.cx),
            head: Arc::clone(&self.head),
            lease: Arc::clone(&self.lease),
            outcome,
            changes,
            returns,
            now,
            begun: self.begun,
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.lease.is_lost() {
            self.lease.stop();
            return;
        }
        let outcome = match self.on_drop {
            OnDrop::Nothing => return,
            OnDrop::Release => Outcome::Released,
            OnDrop::Fail => Outcome::Failed {
                error: if std::thread::panicking() {
                    "the worker panicked".to_owned()
                } else {
                    "the attempt was dropped before it was finished: cancelled, or timed out".to_owned()
                },
                traceback: String::new(),
                then: Then::Retry,
            },
        };
        let finish = self.begin(outcome, Changes::default(), ReturnValue::None);
        if let Some(runtime) = Handle::try_current().ok().or(self.runtime.take()) {
            runtime.spawn(finish.best_effort());
        } else {
            tracing::warn!(
                target: "tracker_core::finish",
                key = self.head.key,
                "dropped outside of a Tokio runtime: the lease has to expire"
            );
        }
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("head", &self.head)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// A finish on its way.
struct Finish {
    cx: Arc<Context>,
    head: Arc<TaskHead>,
    lease: Arc<SharedLease>,
    outcome: Outcome,
    changes: Changes,
    returns: ReturnValue,
    now: Timestamp,
    begun: Duration,
}

impl Finish {
    async fn best_effort(self) {
        let key = self.head.key.clone();
        if let Err(error) = self.send().await {
            tracing::warn!(
                target: "tracker_core::finish",
                key,
                error = &error as &dyn std::error::Error,
                "an attempt that was dropped could not be recorded"
            );
        }
    }

    /// Sends it until it is settled. A history that makes the item too large is written in part. Data that
    /// cannot be stored is a failure of the attempt: else the task would stay locked for it.
    async fn send(mut self) -> Result<Finished, Error> {
        let mut keep = HistoryDetail::All;
        loop {
            let sent = match self.write(keep) {
                Ok((after, write)) => self.send_once(after, write).await,
                Err(error) => Err(error),
            };
            let error = match sent {
                Err(error) if dynamodb::is_about_data(&error) => error,
                result => return result,
            };
            let less = match self.outcome {
                Outcome::Failed { .. } | Outcome::Cancelled => keep.less(),
                // They write no history that could be less.
                Outcome::Succeeded | Outcome::Released | Outcome::Snoozed { .. } => {
                    (keep == HistoryDetail::All).then_some(HistoryDetail::AsStored)
                }
            };
            match less {
                Some(less) if *error.kind() == ErrorKind::ItemTooLarge => keep = less,
                _ if matches!(self.outcome, Outcome::Succeeded) => {
                    return Err(self.fail_instead(error).await);
                }
                _ => return Err(error),
            }
        }
    }

    fn write(&mut self, keep: HistoryDetail) -> Result<(TaskHead, Expression), Error> {
        let Context { use_case, config, .. } = &*self.cx;
        let (after, write) =
            writes::finish(use_case, config, &self.head, &self.lease.lock_id, &self.outcome, self.now, keep);
        match &mut self.changes.document {
            None => Ok((after, write)),
            Some(document) => {
                let write = write.set_fields(document, self.changes.changed.clone());
                Ok((after, write.map_err(|error| error.with_key(&self.head.key))?))
            }
        }
    }

    async fn send_once(&self, after: TaskHead, write: Expression) -> Result<Finished, Error> {
        let Self { cx, head, .. } = self;
        let sent = dynamodb::settle(&*cx.clock, SENDS_OF_A_FINISH, || {
            dynamodb::update(cx, &head.key, write.clone(), self.returns.clone())
        });
        let (image, unanswered) = match sent.await {
            Ok(item) => return Ok(self.done(after, item)),
            Err(WriteError::Refused(error)) => return Err(error.with_task(TaskHead::clone(head))),
            Err(WriteError::Condition(image)) => (image, None),
            Err(WriteError::Unknown(error)) => match dynamodb::get(cx, &head.key, true, false).await {
                Ok(image) => (image, Some(error)),
                Err(_) => return Err(self.unknown(Some(error))),
            },
        };
        let mut item = image;
        let found = item.as_mut().map(|item| cx.head(item));
        let found = found.transpose().map_err(|error| self.unknown(Some(error)))?;
        let sent = classify::Finish {
            lock_id: &self.lease.lock_id,
            create_time: head.create_time,
            update_time: after.update_time,
            attempt: head.attempt,
            status: after.status_code,
            deadline_passed: self.lease.has_passed(cx.now()),
            unanswered: unanswered.is_some(),
        };
        match classify::classify_finish(found.as_ref(), &sent) {
            Written::Done => Ok(self.done(after, item)),
            Written::LeaseLost => {
                let lost = Error::new(ErrorKind::LeaseLost).with_key(&head.key).with_found(found);
                self.emit(EventKind::LeaseLost, head, Some(&lost));
                Err(lost)
            }
            Written::Unknown => Err(self.unknown(unanswered).with_found(found)),
        }
    }

    fn done(&self, after: TaskHead, item: Option<Item>) -> Finished {
        let snoozed = matches!(self.outcome, Outcome::Snoozed { .. });
        self.emit(observe::ended(snoozed, &after, after.retry > self.head.retry), &after, None);
        Finished { head: after, item }
    }

    /// Tells how it ended, once.
    fn emit(&self, kind: EventKind, after: &TaskHead, error: Option<&Error>) {
        let took = self.cx.now().monotonic.saturating_sub(self.begun);
        let told = EventDraft::of(kind, after).from(Some(self.head.status_name())).with_duration(took);
        self.cx.emit(error.map_or(told, |error| told.with_error(error)));
    }

    /// Records that a success could not be written, and gives back why.
    async fn fail_instead(self, error: Error) -> Error {
        let fail = Self {
            outcome: failure::outcome(&error, self.cx.config.traceback_stack_limit as usize, Then::Retry),
            changes: Changes::default(),
            now: self.now.after(self.now),
            ..self
        };
        match Box::pin(fail.send()).await {
            Ok(finished) => error.with_task(finished.head),
            Err(unrecorded) => error.with_source(unrecorded),
        }
    }

    fn unknown(&self, error: Option<Error>) -> Error {
        let unknown = Error::new(ErrorKind::OutcomeUnknown)
            .with_key(&self.head.key)
            .with_task(TaskHead::clone(&self.head));
        let unknown = match error {
            Some(error) => unknown.with_source(error),
            None => unknown,
        };
        self.emit(EventKind::OutcomeUnknown, &self.head, Some(&unknown));
        unknown
    }
}
