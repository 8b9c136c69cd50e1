//! What becomes of a start that was applied: an attempt, or a release if nobody can use the attempt.

use std::borrow::Cow;
use std::sync::Arc;

use super::attempt::Attempt;
use super::shared_lease::SharedLease;
use super::start::StartRequest;
use crate::dynamodb::{self, Route, SENDS};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, LOCK_TIME, STARTED_FROM};
use crate::item::head::TaskHead;
use crate::observe::{EventDraft, EventKind};
use crate::protocol::lease::Lease;
use crate::time::Timestamp;

/// What becomes of a start that was applied.
pub(super) enum Grant {
    /// The attempt can be used.
    Attempt(Attempt, Item),
    /// This start holds nothing.
    Refused(Error),
    /// The task is held, and must be released: its item cannot be read.
    Unreadable { item: Item, lock_id: String, lease: Lease, error: Error },
    /// The task is held, and must be released: its lease has passed, or the clock is off.
    Late(Attempt, Error),
}

impl StartRequest {
    /// Returns what becomes of a write that was applied. A takeover that ignored the task is a refusal.
    pub(super) fn granted(&self, head: Result<TaskHead, Error>, item: Item) -> Grant {
        let stored = item.get(LOCK_TIME).and_then(|time| Timestamp::parse(time.as_s().ok()?));
        let Some(lease) = self.sent.granted(stored, self.cx.config.lock_expire) else {
            return Grant::Refused(Error::new(ErrorKind::LeaseLost));
        };
        let lock_id = self.sent.own_lock(&item);
        let (head, lock_id) = match (head, lock_id) {
            (Ok(head), Some(lock_id)) => (head, lock_id),
            (Ok(head), None) => return Grant::Refused(self.ignored(Some(head))),
            (Err(error), Some(lock_id)) => return Grant::Unreadable { item, lock_id, lease, error },
            // The takeover has ignored the task.
            (Err(error), None) => return Grant::Refused(error),
        };
        let timeout = self.cx.config.timeout;
        let timeout_at = timeout.map(|timeout| self.cx.now().monotonic.saturating_add(timeout));
        let held = self.cx.held.hold(lock_id);
        let lease = SharedLease::new(held, head, lease, timeout_at, self.sharing);
        let attempt = Attempt::new(Arc::clone(&self.cx), lease);
        match self.cx.check_clock() {
            // With a wrong clock, other workers would expect the lease to end at another time.
            Err(off) => Grant::Late(attempt, off),
            Ok(()) if attempt.has_passed(self.cx.now()) => {
                Grant::Late(attempt, Error::new(ErrorKind::LeaseLost))
            }
            Ok(()) => {
                self.emit_started(attempt.head());
                Grant::Attempt(attempt, item)
            }
        }
    }

    /// Returns the attempt. If nobody can use it, releases its task and returns why.
    pub(super) async fn usable(&self, granted: Grant) -> Result<(Attempt, Item), Error> {
        match granted {
            Grant::Attempt(attempt, item) => Ok((attempt, item)),
            Grant::Refused(error) => Err(error),
            // Boxed, because a release is rare, and its future would make the future of every start large.
            Grant::Late(attempt, why) => Err(Box::pin(attempt.release_unused(why)).await),
            Grant::Unreadable { item, lock_id, lease, error } => {
                Err(Box::pin(self.release_unreadable(&item, &lock_id, &lease, error)).await)
            }
        }
    }

    /// Reports the start or the takeover.
    fn emit_started(&self, head: &TaskHead) {
        let cx = &self.cx;
        if self.takes_over {
            let from = Some(head.status_name());
            cx.emit(EventDraft::of(EventKind::TakenOver, head).from(from));
        } else {
            let from = head.started_from.and_then(|code| cx.use_case.status_name(code));
            cx.emit(EventDraft::of(EventKind::Started, head).from(from.as_deref()));
        }
    }

    /// Releases a task that this start holds and cannot read. The release needs only what the start itself
    /// has written.
    async fn release_unreadable(&self, item: &Item, lock_id: &str, lease: &Lease, error: Error) -> Error {
        let started_from = item.get(STARTED_FROM).and_then(|code| code.as_n().ok()?.parse().ok());
        let now = Timestamp::from(self.cx.now()).after(lease.sent());
        let write = self.cx.writes(lock_id, now).release(&self.key, started_from);
        let released = dynamodb::settle(&*self.cx.clock, SENDS, || {
            dynamodb::update(&self.cx, Route::ALONE, &self.key, Cow::Borrowed(&write), false)
        });
        if released.await.is_err() {
            tracing::warn!(
                target: "tracker_core::start",
                key = &*self.key,
                "a task that cannot be read could not be released; it can be taken over after its lease \
                 expires"
            );
        }
        error
    }
}
