//! A started task, and how its attempt ends: with a finish, or recorded as dropped.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use tokio::runtime::Handle;

use super::finish::{Changes, Finish, Finished};
use super::heartbeat::start_heartbeat;
use super::shared_lease::SharedLease;
use crate::dynamodb::Context;
use crate::error::{Error, ErrorKind};
use crate::item::head::TaskHead;
use crate::protocol::lease::Reading;
use crate::protocol::outcome::{Outcome, Verdict};
use crate::runtime::detached::detached;
use crate::time::ClockReading;

/// One attempt: a task that was started and is not finished yet.
///
/// If an attempt is dropped before the caller has received it, the task is released. If it is dropped
/// afterwards, it is recorded as failed. A spawned Tokio task sends that write, on a best-effort basis. If
/// the write cannot be sent, the lease expires.
pub(crate) struct Attempt {
    pub(crate) cx: Arc<Context>,
    /// The task as it was started, with the bytes that were saved since. Shared, because its history may be
    /// long.
    head: Arc<TaskHead>,
    pub(crate) lease: Arc<SharedLease>,
    on_drop: OnDrop,
    /// The runtime of the start, because the attempt may be dropped on a thread outside of every runtime.
    runtime: Option<Handle>,
    /// When the start was granted, by the monotonic clock.
    begun: Duration,
}

/// What dropping an attempt records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    Release,
    Fail,
    Nothing,
}

impl Attempt {
    pub(crate) fn new(cx: Arc<Context>, lease: SharedLease) -> Self {
        let runtime = Handle::try_current().ok();
        let begun = cx.now().monotonic;
        let head = Arc::clone(&lease.head);
        Self { cx, head, lease: Arc::new(lease), on_drop: OnDrop::Release, runtime, begun }
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
        self.on_drop = OnDrop::Fail;
    }

    /// Starts the heartbeat, unless heartbeats are off.
    pub(crate) async fn keep_lease(&self) {
        if let (true, Some(runtime)) = (self.cx.config.heartbeat, &self.runtime) {
            start_heartbeat(&self.cx, &self.lease, runtime).await;
        }
    }

    /// Returns the error of a lost lease. Its source is the last error of the heartbeat, if DynamoDB did not
    /// answer.
    pub(crate) fn lost(&self) -> Error {
        let lost = self.error(ErrorKind::LeaseLost);
        match self.lease.unanswered() {
            Some(unanswered) => lost.with_source(unanswered),
            None => lost,
        }
    }

    /// Ends the attempt of a lost lease without a write.
    pub(crate) fn abandon(mut self) -> Error {
        self.lease.stop();
        self.on_drop = OnDrop::Nothing;
        self.lost()
    }

    /// Moves the deadline after an acknowledged save, and counts the bytes that the save has written.
    pub(crate) fn saved(&mut self, written: Reading, bytes: usize) {
        self.lease.acknowledge(written);
        Arc::make_mut(&mut self.head).bytes_without_errors += bytes;
    }

    /// Ends the attempt and ignores the task, because somebody cancelled it. Returns the error of `run`.
    pub(crate) async fn cancel(self) -> Error {
        let recorded = self.finish(Outcome::Cancelled, Changes::default(), ReturnValue::None).await;
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

    /// Ends the attempt. Once polled, the finish is sent even if the future is dropped or no longer polled.
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
        let finished = sent.unwrap_or_else(|| Err(self.error(ErrorKind::OutcomeUnknown)));
        finished.map_err(|error| error.with_key(&self.head.key))
    }

    /// Releases a task that the caller cannot use, and returns the reason. A worker that has taken the task
    /// over meanwhile is not affected.
    pub(crate) async fn release_unused(mut self, why: Error) -> Error {
        let finish = self.begin(Outcome::Released, Changes::default(), ReturnValue::None);
        // Once polled, the release is sent even if the future of the start is dropped.
        match detached(self.cx.ticker.as_ref(), finish.best_effort()).await.flatten() {
            Some(released) => why.with_task(released.head),
            None => why.with_task(TaskHead::clone(&self.head)),
        }
    }

    /// Stops the heartbeat, and returns the finish to send.
    fn begin(&mut self, outcome: Outcome, changes: Changes, returns: ReturnValue) -> Finish {
        // No heartbeat may be sent after the finish, or with a later time.
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
            return;
        }
        let outcome = match self.on_drop {
            OnDrop::Nothing => return,
            OnDrop::Release => Outcome::Released,
            OnDrop::Fail => Outcome::Failed {
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
        let finish = self.begin(outcome, Changes::default(), ReturnValue::None);
        if let Some(runtime) = Handle::try_current().ok().or(self.runtime.take()) {
            runtime.spawn(async move { drop(finish.best_effort().await) });
        } else {
            tracing::warn!(
                target: "tracker_core::finish",
                key = self.head.key,
                "an attempt was dropped outside of a Tokio runtime, and its end is not recorded; the task can be \
                 taken over after its lease expires"
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
