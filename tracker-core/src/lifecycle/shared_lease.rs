//! A lease, as the holder, its heartbeat and its body share it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::Error;
use crate::item::head::TaskHead;
use crate::protocol::lease::{Lease, Reading};
use crate::time::{ClockReading, Timestamp};

/// A lease, as the holder, its heartbeat and its body share it.
pub(crate) struct SharedLease {
    /// The value of the attribute `lock`.
    pub(crate) lock_id: String,
    /// The task as it was started.
    pub(crate) head: Arc<TaskHead>,
    lease: Mutex<Lease>,
    state: watch::Sender<LeaseState>,
}

/// What has become of a lease.
#[derive(Debug, Clone, Default)]
struct LeaseState {
    /// Whether a heartbeat has seen that the attempt was asked to cancel. It stays true once it is.
    cancel_requested: bool,
    end: Option<LeaseEnd>,
}

#[derive(Debug, Clone)]
enum LeaseEnd {
    /// The holder ends the attempt: no heartbeat may follow.
    Stopped,
    /// The heartbeat found the lease lost: nothing may be written any more. If DynamoDB did not answer before the lease
    /// expired, this is the last error.
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

    /// Returns the time to write next.
    pub(crate) fn next(&self, now: ClockReading) -> Reading {
        self.lease().next(now)
    }

    /// Returns the time of the next heartbeat, or none once the attempt is ending.
    pub(super) fn next_heartbeat(&self, now: ClockReading) -> Option<Reading> {
        let mut lease = self.lease();
        // Asked under the lock: a finish stops the heartbeats first, and then takes its time under the same lock.
        (!self.is_stopped()).then(|| lease.next(now))
    }

    /// Counts the deadline from a write of this time, which was acknowledged.
    pub(crate) fn acknowledge(&self, written: Reading) {
        self.lease().acknowledge(written);
    }

    /// Takes note of a time of ours that the item holds.
    pub(crate) fn seen(&self, stored: Timestamp) {
        self.lease().seen(stored);
    }

    pub(crate) fn has_passed(&self, now: ClockReading) -> bool {
        self.lease().has_passed(now)
    }

    pub(crate) fn remaining(&self, now: ClockReading) -> Duration {
        self.lease().remaining(now)
    }

    /// Stops the heartbeat for good.
    pub(crate) fn stop(&self) {
        self.end(LeaseEnd::Stopped);
    }

    /// Marks the lease as lost. `unanswered` is the last error, if DynamoDB did not answer before the lease expired.
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

    /// Notes that the attempt was asked to cancel.
    pub(super) fn request_cancel(&self) {
        self.state.send_modify(|state| state.cancel_requested = true);
    }

    pub(super) fn is_cancel_requested(&self) -> bool {
        self.state.borrow().cancel_requested
    }

    /// Returns whether the heartbeat found the lease lost, so that nothing may be written any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.state.borrow().is_lost()
    }

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

    /// Completes when a heartbeat has seen that the attempt was asked to cancel.
    pub(crate) fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.when(|state| state.cancel_requested)
    }

    /// Completes when the heartbeat is stopped.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        self.when(|state| matches!(state.end, Some(LeaseEnd::Stopped)))
    }

    fn when(&self, holds: fn(&LeaseState) -> bool) -> impl Future<Output = ()> + Send + use<> {
        let mut state = self.state.subscribe();
        async move {
            if state.wait_for(holds).await.is_err() {
                // The attempt is over, and this never happened.
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
