//! The finish of an attempt: sent until its outcome is known.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::failure;
use super::heartbeat::expired;
use super::shared_lease::SharedLease;
use crate::dynamodb::{self, Context, Route, Transaction, WaitsFor, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::item::document::Document;
use crate::item::fields::Encoded;
use crate::item::head::TaskHead;
use crate::item::history::HistoryDetail;
use crate::observe::{self, EventDraft, EventKind};
use crate::protocol::classify::{self, Written};
use crate::protocol::effects::Effects;
use crate::protocol::expression::Expression;
use crate::protocol::outcome::{Outcome, Verdict};
use crate::time::Timestamp;

/// The changes of the data that a finish writes, and the user's effects that go with it.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) document: Option<Document>,
    pub(crate) changed: Encoded,
    pub(crate) effects: Effects,
}

/// A finish that was recorded.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The task as the finish has written it.
    pub(crate) head: TaskHead,
    /// The stored item, if the finish asked for it or had to compare it.
    pub(crate) item: Option<Item>,
}

/// What a finish writes, and how.
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    pub(super) changes: Changes,
    pub(super) route: Route,
    /// Whether the response has the item.
    pub(super) returns_item: bool,
}

/// A finish that is being sent, once or again.
pub(super) struct Finish {
    pub(super) cx: Arc<Context>,
    head: Arc<TaskHead>,
    lease: Arc<SharedLease>,
    ending: Ending,
    /// The time that the finish writes. A copy writes the same.
    now: OnceLock<Timestamp>,
    /// If a failure was sent instead of a success: the time of the other one. A copy of either may be applied.
    other: OnceLock<Timestamp>,
    /// Whether it has waited for others to share a request with.
    has_waited: AtomicBool,
    /// When the start was granted, by the monotonic clock.
    begun: Duration,
}

impl Finish {
    pub(super) fn new(
        cx: Arc<Context>,
        head: Arc<TaskHead>,
        lease: Arc<SharedLease>,
        ending: Ending,
        begun: Duration,
    ) -> Self {
        Self {
            cx,
            head,
            lease,
            ending,
            now: OnceLock::new(),
            other: OnceLock::new(),
            has_waited: AtomicBool::new(false),
            begun,
        }
    }

    /// Stops the heartbeat and takes the time of the finish, unless blocking closures run. Returns whether none runs.
    pub(super) fn begin_if_unblocked(&self) -> bool {
        let is_unblocked = self.lease.stop_if_unblocked();
        if is_unblocked {
            self.time();
        } else {
            self.lease.end_closures(self.cx.now());
        }
        is_unblocked
    }

    /// Returns the time that the finish writes. The heartbeat has stopped before, because none may have a later time.
    fn time(&self) -> Timestamp {
        *self.now.get_or_init(|| self.lease.next(self.cx.now()).time)
    }

    /// Sends the finish. Logs an error instead of returning it.
    pub(super) async fn best_effort(&self) -> Option<Finished> {
        match self.send().await {
            Ok(finished) => Some(finished),
            Err(error) => {
                tracing::warn!(
                    target: "tracker_core::finish",
                    key = &*self.head.key,
                    error = &error as &dyn std::error::Error,
                    "the end of an attempt could not be recorded; the task can be taken over after its lease \
                     expires"
                );
                None
            }
        }
    }

    /// Sends the finish until its outcome is known. If the item would be too large, less of the history is
    /// written. If a success cannot be stored, because of its data or its effects, the attempt is recorded as failed:
    /// otherwise the task would stay locked.
    ///
    /// The lease is kept while blocking closures run, because nobody else may start the task before they end.
    pub(super) async fn send(&self) -> Result<Finished, Error> {
        while !self.lease.is_lost() && !self.begin_if_unblocked() {
            tokio::select! {
                () = self.lease.unblocked() => {}
                // Without heartbeats nothing else ends the wait for a closure that hangs.
                () = expired(&self.cx, &self.lease) => return Err(self.lease.lost_error()),
            }
        }
        if self.lease.is_lost() {
            return Err(self.lease.lost_error());
        }
        let mut detail = HistoryDetail::All;
        loop {
            let sent = match self.write(detail) {
                Ok((after, write)) => self.send_once(after, write, detail).await,
                Err(error) => Err(error),
            };
            let has_effects = !self.ending.changes.effects.is_empty();
            let error = match sent {
                Err(error)
                    if dynamodb::is_about_data(&error) || (has_effects && is_about_effects(&error)) =>
                {
                    error
                }
                result => return result,
            };
            let less = if self.ending.outcome.writes_history() {
                detail.less()
            } else {
                // This finish writes no history that could be shortened.
                (detail == HistoryDetail::All).then_some(HistoryDetail::AsStored)
            };
            match less {
                Some(less) if *error.kind() == ErrorKind::ItemTooLarge => detail = less,
                _ if matches!(self.ending.outcome, Outcome::Succeeded) => {
                    return self.fail_instead(error).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// Returns the task after the finish, and the write.
    fn write(&self, detail: HistoryDetail) -> Result<(Box<TaskHead>, Expression), Error> {
        let writes = self.cx.writes(&self.lease.lock_id, self.time());
        let (after, write) = writes.finish(&self.head, &self.ending.outcome, detail);
        // Boxed, because the head is handed on from future to future.
        let after = Box::new(after);
        match &self.ending.changes.document {
            None => Ok((after, write)),
            Some(document) => {
                let write = write.set_fields(&mut Cow::Borrowed(document), &self.ending.changes.changed);
                let named = |error: Error| error.in_table(&self.cx.names).with_key(&self.head.key);
                Ok((after, write.map_err(named)?))
            }
        }
    }

    /// Returns how the write is sent. Only its first send may wait for writes that are due later.
    fn route_once(&self) -> Route {
        let route = self.ending.route;
        let has_waited =
            route.waits_for == WaitsFor::DueSoon && self.has_waited.swap(true, Ordering::Relaxed);
        Route { waits_for: if has_waited { WaitsFor::Nobody } else { route.waits_for }, ..route }
    }

    /// Sends one write until it is known whether it was applied.
    async fn settle(&self, write: Expression, detail: HistoryDetail) -> Result<Option<Item>, WriteError> {
        let Self { cx, head, ending, .. } = self;
        let Ending { route, returns_item, changes: Changes { effects, .. }, .. } = ending;
        if effects.is_empty() {
            let send =
                || dynamodb::update(cx, self.route_once(), &head.key, Cow::Borrowed(&write), *returns_item);
            return dynamodb::settle_finish(&*cx.clock, send).await;
        }
        // A token belongs to its content, which has less and less of the history.
        let token = format!("{}-{}", &*self.lease.lock_id, u8::from(detail != HistoryDetail::All));
        let own = dynamodb::update_action(cx, &head.key, write).map_err(WriteError::Refused)?;
        let transaction = Transaction { key: &head.key, own, effects, token: &token };
        let may_wait = || self.lease.remaining(cx.now()) > cx.config.lock_expire / 3;
        let sent = Box::pin(dynamodb::transact_finish(cx, *route, transaction, &may_wait)).await;
        sent.map(|()| None).map_err(|not_written| match not_written.error {
            // The failure that is recorded instead finds out whether an earlier send was applied.
            WriteError::Unknown(error) if is_about_effects(&error) => WriteError::Refused(error),
            error => error,
        })
    }

    /// Sends one write until its outcome is known.
    async fn send_once(
        &self,
        after: Box<TaskHead>,
        write: Expression,
        detail: HistoryDetail,
    ) -> Result<Finished, Error> {
        let Self { cx, head, .. } = self;
        let (image, unanswered) = match self.settle(write, detail).await {
            Ok(item) => return Ok(self.done(*after, item)),
            Err(WriteError::Refused(error)) => return Err(error.with_task(TaskHead::clone(head))),
            Err(WriteError::Condition(failed)) => (failed.image, None),
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
            lost_lock: head.lost_lock.as_deref(),
            unanswered: unanswered.is_some(),
            other: self.other.get().copied(),
        };
        match classify::classify_finish(found.as_ref(), &sent) {
            Written::Done => Ok(self.done(*after, item)),
            // The failure that was recorded instead; or a copy of the success was applied after all, because what refused its
            // effects has changed.
            Written::Other => Ok(self.done(found.unwrap_or(*after), item)),
            Written::LeaseLost => {
                let lost = Error::new(ErrorKind::LeaseLost).with_key(&head.key).with_found(found);
                self.emit(EventKind::LeaseLost, head, Some(&lost));
                Err(lost)
            }
            Written::Unknown => Err(self.unknown(unanswered).with_found(found)),
        }
    }

    /// Reports the finish, and returns it.
    fn done(&self, after: TaskHead, item: Option<Item>) -> Finished {
        self.emit(
            observe::ended(self.ending.outcome.is_snooze(), &after, after.retry > self.head.retry),
            &after,
            None,
        );
        Finished { head: after, item }
    }

    /// Reports how the attempt ended.
    fn emit(&self, kind: EventKind, after: &TaskHead, error: Option<&Error>) {
        let duration = self.cx.now().monotonic.saturating_sub(self.begun);
        let draft = EventDraft::of(kind, after).from(Some(self.head.status_name())).with_duration(duration);
        self.cx.emit(error.map_or(draft, |error| draft.with_error(error)));
    }

    /// Records a success that could not be stored as failed, and returns the reason. If a copy of the success was applied
    /// nevertheless, returns the success.
    async fn fail_instead(&self, error: Error) -> Result<Finished, Error> {
        let limit = self.cx.config.traceback_stack_limit as usize;
        let now = self.time();
        let has_effects = !self.ending.changes.effects.is_empty();
        // If the future is dropped, the background sends the success again.
        let _ = self.other.set(instead(now));
        let fail = Self {
            cx: Arc::clone(&self.cx),
            head: Arc::clone(&self.head),
            lease: Arc::clone(&self.lease),
            ending: Ending {
                outcome: if has_effects {
                    Outcome::Failed {
                        error: error.text_of_cause(),
                        traceback: String::new(),
                        verdict: Verdict::Retry,
                    }
                } else {
                    failure::outcome(&error, limit, Verdict::Retry)
                },
                changes: Changes::default(),
                ..self.ending
            },
            now: OnceLock::from(instead(now)),
            other: if has_effects { OnceLock::from(now) } else { OnceLock::new() },
            has_waited: AtomicBool::new(true),
            begun: self.begun,
        };
        match Box::pin(fail.send()).await {
            Ok(finished) if finished.head.is_succeeded() => Ok(finished),
            Ok(finished) if has_effects => Err(error.noting_failure().with_task(finished.head)),
            Ok(finished) => Err(error.with_task(finished.head)),
            // The lease may be lost, or a copy of the success may be applied: that is more than the refusal says.
            Err(unrecorded) if has_effects => Err(unrecorded.after(error)),
            Err(unrecorded) => Err(error.with_source(unrecorded)),
        }
    }

    /// Reports that the outcome is unknown, and returns the error.
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

/// Returns the time of the failure that is recorded instead of a success of this time.
fn instead(success: Timestamp) -> Timestamp {
    success.after(success)
}

/// Returns whether a success was refused because of its effects, so that it can be recorded as failed without them.
fn is_about_effects(error: &Error) -> bool {
    let is_cancelled = |code: &Option<String>| code.as_deref() == Some("TransactionCanceledException");
    match error.kind() {
        ErrorKind::EffectRefused { .. } | ErrorKind::TransactionConflict | ErrorKind::Throttled { .. } => {
            true
        }
        ErrorKind::Service { code } if is_cancelled(code) => true,
        // The permission may be missing for the table of an effect.
        _ => dynamodb::is_access_denied(error),
    }
}
