//! The lease of an attempt, shared by the attempt, its heartbeat and whatever watches its body.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::Error;
use crate::item::head::TaskHead;
use crate::protocol::lease::{Lease, Reading};
use crate::time::{ClockReading, Timestamp};

/// The lease of an attempt, shared by the attempt, its heartbeat and whatever watches its body.
pub(crate) struct SharedLease {
    /// The value of the attribute `lock` while this attempt holds the task.
    pub(crate) lock_id: String,
    /// The task as it was started.
    pub(crate) head: Arc<TaskHead>,
    lease: Mutex<Lease>,
    state: watch::Sender<LeaseState>,
}

/// What has become of a lease.
#[derive(Debug, Clone, Default)]
struct LeaseState {
    /// Whether a heartbeat has seen a request to cancel. Once true, it stays true.
    cancel_requested: bool,
    /// How the lease ended. The first end counts.
    end: Option<LeaseEnd>,
}

#[derive(Debug, Clone)]
enum LeaseEnd {
    /// The attempt is ending: no heartbeat may follow.
    Stopped,
    /// The heartbeat found the lease lost: nothing may be written any more. The error is the last one of the
    /// heartbeat, if DynamoDB did not answer before the lease expired.
    Lost(Option<Arc<Error>>),
}

impl SharedLease {
    pub(crate) fn new(lock_id: String, head: TaskHead, lease: Lease) -> Self {
        let state = watch::Sender::new(LeaseState::default());
        Self { lock_id, head: Arc::new(head), lease: Mutex::new(lease), state }
    }

    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time of the next write, later than the time of every write before.
    pub(crate) fn next(&self, now: ClockReading) -> Reading {
        self.lease().next(now)
    }

    /// Returns the time of the next heartbeat, or `None` once the attempt is ending.
    pub(super) fn next_heartbeat(&self, now: ClockReading) -> Option<Reading> {
        let mut lease = self.lease();
        // Under the lock, because a finish first stops the heartbeat and then takes its time here.
        (!self.is_stopped()).then(|| lease.next(now))
    }

    /// Moves the deadline: counts the lease from this write, which was acknowledged.
    pub(crate) fn acknowledge(&self, written: Reading) {
        self.lease().acknowledge(written);
    }

    /// Makes the next write later than this `lock_time`, which an own write has stored.
    pub(crate) fn seen(&self, stored: Timestamp) {
        self.lease().seen(stored);
    }

    /// Returns whether the deadline of the lease has passed.
    pub(crate) fn has_passed(&self, now: ClockReading) -> bool {
        self.lease().has_passed(now)
    }

    /// Returns the time until the deadline of the lease.
    pub(crate) fn remaining(&self, now: ClockReading) -> Duration {
        self.lease().remaining(now)
    }

    /// Stops the heartbeat for good.
    pub(crate) fn stop(&self) {
        self.end(LeaseEnd::Stopped);
    }

    /// Marks the lease as lost. `unanswered` is the last error, if DynamoDB did not answer before the lease
    /// expired.
    pub(super) fn lose(&self, unanswered: Option<Arc<Error>>) {
        self.end(LeaseEnd::Lost(unanswered));
    }

    fn end(&self, end: LeaseEnd) {
        self.state.send_if_modified(|state| {
            let is_new = state.end.is_none();
            if is_new {
                state.end = Some(end);
            }
            is_new
        });
    }

    /// Notes that a heartbeat has seen a request to cancel.
    pub(super) fn request_cancel(&self) {
        self.state.send_modify(|state| state.cancel_requested = true);
    }

    /// Returns whether a heartbeat has seen a request to cancel.
    pub(super) fn is_cancel_requested(&self) -> bool {
        self.state.borrow().cancel_requested
    }

    /// Returns whether the heartbeat found the lease lost. Nothing may be written after that.
    pub(crate) fn is_lost(&self) -> bool {
        self.state.borrow().is_lost()
    }

    /// Returns whether the heartbeat was stopped.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.state.borrow().end, Some(LeaseEnd::Stopped))
    }

    /// Returns the last error, if the lease was lost because DynamoDB did not answer.
    pub(crate) fn unanswered(&self) -> Option<Arc<Error>> {
        match &self.state.borrow().end {
            Some(LeaseEnd::Lost(unanswered)) => unanswered.clone(),
            _ => None,
        }
    }

    /// Completes when the heartbeat finds the lease lost.
    pub(crate) fn lost(&self) -> impl Future<Output = ()> + Send + use<> {
        self.when(LeaseState::is_lost)
    }

    /// Completes when a heartbeat has seen a request to cancel.
    pub(crate) fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.when(|state| state.cancel_requested)
    }

    /// Completes when the heartbeat is stopped.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        self.when(|state| matches!(state.end, Some(LeaseEnd::Stopped)))
    }

    /// Completes when the state of the lease satisfies a condition.
    fn when(&self, holds: fn(&LeaseState) -> bool) -> impl Future<Output = ()> + Send + use<> {
        let mut state = self.state.subscribe();
        async move {
            // A body that uses up its budget must not hide a lost lease or a cancel.
            if tokio::task::coop::unconstrained(state.wait_for(holds)).await.is_err() {
                // The attempt has ended without it.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl LeaseState {
    fn is_lost(&self) -> bool {
        matches!(self.end, Some(LeaseEnd::Lost(_)))
    }
}

impl fmt::Debug for SharedLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLease")
            .field("lease", &self.lease())
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}
