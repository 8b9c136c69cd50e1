//! A started task, and how its attempt ends: with a finish, or recorded as dropped.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::finish::{Changes, Ending, Finish, Finished};
use super::heartbeat::start_heartbeat;
use super::shared_lease::SharedLease;
use super::sharing::Sharing;
use crate::dynamodb::Context;
use crate::error::{Error, ErrorKind};
use crate::item::head::TaskHead;
use crate::protocol::lease::Reading;
use crate::protocol::outcome::{Outcome, Verdict};
use crate::runtime::on_drop::or_if_dropped;
use crate::time::ClockReading;

/// One attempt: a task that was started and is not finished yet.
///
/// If an attempt is dropped before the caller has received it, the task is released. If it is dropped
/// afterwards, it is recorded as failed. The background thread sends that write, on a best-effort basis. If
/// the write cannot be sent, the lease expires.
pub(crate) struct Attempt {
    pub(crate) cx: Arc<Context>,
    /// The task as it was started, with the bytes that were saved since. Shared, because its history may be
    /// long.
    head: Arc<TaskHead>,
    pub(crate) lease: Arc<SharedLease>,
    /// Which writes share requests.
    pub(crate) sharing: Sharing,
    if_dropped: IfDropped,
    /// When the start was granted, by the monotonic clock.
    begun: Duration,
}

/// What dropping an attempt records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IfDropped {
    Release,
    Fail,
    Nothing,
}

impl Attempt {
    pub(crate) fn new(cx: Arc<Context>, lease: SharedLease) -> Self {
        let begun = cx.now().monotonic;
        let head = Arc::clone(&lease.head);
        let sharing = lease.sharing;
        Self { cx, head, lease: Arc::new(lease), sharing, if_dropped: IfDropped::Release, begun }
    }

    /// Returns the task as it was started.
    pub(crate) fn head(&self) -> &TaskHead {
        &self.head
    }

    /// Returns whether the deadline of the lease has passed.
    pub(crate) fn has_passed(&self, now: ClockReading) -> bool {
        self.lease.has_passed(now)
    }

    /// Hands the attempt to its caller. From now on, a drop is a failed attempt.
    pub(crate) fn hand_to_caller(&mut self) {
        self.if_dropped = IfDropped::Fail;
    }

    /// Takes the attempt back from its caller, who has not received it yet. Until it is handed over again, a drop releases it.
    pub(crate) fn take_back(&mut self) {
        self.if_dropped = IfDropped::Release;
    }

    /// Starts the heartbeat, unless heartbeats are off.
    pub(crate) fn keep_lease(&self) {
        if self.cx.config.heartbeat {
            start_heartbeat(&self.cx, &self.lease);
        }
    }

    /// Ends the attempt of a lost lease without a write.
    pub(crate) fn abandon(mut self) -> Error {
        self.lease.stop();
        self.if_dropped = IfDropped::Nothing;
        self.lease.lost_error()
    }

    /// Moves the deadline after an acknowledged save, and notes the size of the item without its history.
    pub(crate) fn saved(&mut self, written: Reading, size: Option<usize>) {
        self.lease.acknowledge(written);
        if let Some(size) = size {
            Arc::make_mut(&mut self.head).bytes_without_errors = size;
        }
    }

    /// Ends the attempt and ignores the task, because somebody cancelled it. Returns the error of `run`.
    pub(crate) async fn cancel(self) -> Error {
        let cancelled = Outcome::Cancelled(self.lease.cancel_note());
        let recorded = self.finish(cancelled, Changes::default(), false).await;
        match recorded {
            Ok(Finished { head, .. }) => {
                let key = head.key.clone();
                Error::new(ErrorKind::Cancelled).with_task(head).with_key(&key)
            }
            Err(unrecorded) => unrecorded,
        }
    }

    /// Returns an error with the task as it was started.
    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind).with_key(&self.head.key).with_task(TaskHead::clone(&self.head))
    }

    /// Ends the attempt. Once polled, the finish is sent even if the future is dropped.
    pub(crate) async fn finish(
        mut self,
        outcome: Outcome,
        changes: Changes,
        returns_item: bool,
    ) -> Result<Finished, Error> {
        let finish = self.end(outcome, changes, returns_item);
        let again = Arc::clone(&finish);
        // Boxed, because the SDK's future would make the future of every body large.
        let finished = or_if_dropped(Box::pin(finish.send()), || send_in_background(again)).await;
        finished.map_err(|error| error.with_key(&self.head.key))
    }

    /// Releases a task that the caller cannot use, and returns the reason. A worker that has taken the task
    /// over meanwhile is not affected.
    pub(crate) async fn release_unused(mut self, why: Error) -> Error {
        let finish = self.end(Outcome::Released, Changes::default(), false);
        let again = Arc::clone(&finish);
        match or_if_dropped(Box::pin(finish.best_effort()), || send_in_background(again)).await {
            Some(released) => why.with_task(released.head),
            None => why.with_task(TaskHead::clone(&self.head)),
        }
    }

    /// Returns the finish to send. The attempt itself records nothing any more.
    fn end(&mut self, outcome: Outcome, changes: Changes, returns_item: bool) -> Arc<Finish> {
        self.if_dropped = IfDropped::Nothing;
        let (cx, head, lease) = (Arc::clone(&self.cx), Arc::clone(&self.head), Arc::clone(&self.lease));
        let now = self.cx.now();
        let ran = now.monotonic.saturating_sub(self.begun);
        let route = self.sharing.end_route(ran, self.lease.is_out_of_time(now));
        Arc::new(Finish::new(cx, head, lease, Ending { outcome, changes, route, returns_item }, self.begun))
    }
}

/// Sends a finish in the background, for the first time or again. A copy finds its own write.
fn send_in_background(finish: Arc<Finish>) {
    let cx = Arc::clone(&finish.cx);
    cx.spawn(async move { drop(finish.best_effort().await) }.boxed());
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let outcome = match self.if_dropped {
            IfDropped::Nothing => return,
            _ if self.lease.is_lost() => return,
            IfDropped::Release => Outcome::Released,
            // The worker or the run had to return before the body ended.
            IfDropped::Fail if self.lease.is_out_of_time(self.cx.now()) && !std::thread::panicking() => {
                Outcome::Released
            }
            IfDropped::Fail => Outcome::Failed {
                error: if std::thread::panicking() {
                    "the worker panicked".to_owned()
                } else {
                    "the attempt was dropped before it was finished, for example by a timeout around it"
                        .to_owned()
                },
                traceback: String::new(),
                verdict: Verdict::Retry,
            },
        };
        // Nobody waits for it, so it is a request of its own.
        self.sharing = Sharing::Heartbeats;
        let finish = self.end(outcome, Changes::default(), false);
        finish.begin_if_unblocked();
        send_in_background(finish);
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
