//! The lease of an attempt, shared by the attempt, its heartbeat and whatever watches its body.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::progress::PendingProgress;
use super::sharing::Sharing;
use crate::error::{Error, ErrorKind};
use crate::item::head::TaskHead;
use crate::item::history::Note;
use crate::protocol::lease::{Lease, Reading};
use crate::runtime::held_locks::HeldLock;
use crate::time::{ClockReading, Timestamp};

/// The lease of an attempt, shared by the attempt, its heartbeat and whatever watches its body.
pub(crate) struct SharedLease {
    /// The value of the attribute `lock` while this attempt holds the task.
    pub(crate) lock_id: HeldLock,
    /// The task as it was started.
    pub(crate) head: Arc<TaskHead>,
    times: Mutex<Times>,
    /// What the body has said of its progress.
    pub(super) progress: PendingProgress,
    /// Which writes share requests.
    pub(super) sharing: Sharing,
    /// Cancelled when the worker stops.
    worker_stop: OnceLock<CancellationToken>,
    /// Who has asked the attempt to end, and why.
    cancel_note: OnceLock<Note>,
    /// Whether something drops the body when the lease is lost. In an execution by hand, nothing does.
    is_watched: AtomicBool,
    state: watch::Sender<LeaseState>,
}

/// The times of a lease, by which it is renewed.
#[derive(Debug)]
struct Times {
    lease: Lease,
    /// When the body's timeout passes, by the monotonic clock.
    timeout_at: Option<Duration>,
    /// When the deadline of the run or the start leaves time for a release alone, by the monotonic clock.
    deadline_at: Option<Duration>,
    /// When a heartbeat has seen a request to cancel, by the monotonic clock.
    cancelled_at: Option<Duration>,
    /// When the attempt was to end, but a blocking closure still ran, by the monotonic clock.
    ended_at: Option<Duration>,
}

/// What has become of a lease.
#[derive(Debug, Clone, Default)]
struct LeaseState {
    /// Whether a heartbeat has seen a request to cancel. Once true, it stays true.
    cancel_requested: bool,
    /// Whether the attempt was dropped, or its body has ended, while a blocking closure runs.
    dropped: bool,
    /// How many blocking closures run.
    blocking: usize,
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

/// Why work that cannot be interrupted should end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The lease is lost: another worker may hold the task. Nothing is recorded any more.
    LeaseLost,
    /// Somebody has [cancelled](crate::Tracker::cancel) the attempt.
    Cancelled,
    /// The [timeout](crate::TrackerBuilder::timeout) has passed.
    TimedOut,
    /// The grace period of the [worker](crate::Worker) is over. The task is released when the work returns.
    Shutdown,
    /// The [deadline](crate::Run::deadline) of the run has come. The task is released when the work returns.
    DeadlinePassed,
    /// The body has ended, or the execution or the future of `run` was dropped.
    Dropped,
}

impl SharedLease {
    pub(crate) fn new(
        lock_id: HeldLock,
        head: TaskHead,
        lease: Lease,
        timeout_at: Option<Duration>,
        sharing: Sharing,
    ) -> Self {
        let times =
            Mutex::new(Times { lease, timeout_at, deadline_at: None, cancelled_at: None, ended_at: None });
        let state = watch::Sender::new(LeaseState::default());
        let progress = PendingProgress::default();
        Self {
            lock_id,
            head: Arc::new(head),
            times,
            progress,
            sharing,
            worker_stop: OnceLock::new(),
            cancel_note: OnceLock::new(),
            is_watched: AtomicBool::new(false),
            state,
        }
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time of the next write, later than the time of every write before.
    pub(crate) fn next(&self, now: ClockReading) -> Reading {
        self.times().lease.next(now)
    }

    /// Returns the time of the next heartbeat, or `None` once the attempt is ending.
    pub(super) fn next_heartbeat(&self, now: ClockReading) -> Option<Reading> {
        let mut times = self.times();
        // Under the lock, because a finish first stops the heartbeat and then takes its time here.
        (!self.is_stopped()).then(|| times.lease.next(now))
    }

    /// Moves the deadline: counts the lease from this write, which was acknowledged.
    pub(crate) fn acknowledge(&self, written: Reading) {
        self.times().lease.acknowledge(written);
    }

    /// Makes the next write later than this `lock_time`, which an own write has stored.
    pub(crate) fn seen(&self, stored: Timestamp) {
        self.times().lease.seen(stored);
    }

    /// Returns whether the deadline of the lease has passed.
    pub(crate) fn has_passed(&self, now: ClockReading) -> bool {
        self.times().lease.has_passed(now)
    }

    /// Returns the time until the deadline of the lease.
    pub(crate) fn remaining(&self, now: ClockReading) -> Duration {
        self.times().lease.remaining(now)
    }

    /// Returns when the timeout passes, by the monotonic clock.
    pub(super) fn timeout_at(&self) -> Option<Duration> {
        self.times().timeout_at
    }

    /// Sets when the deadline of the run or the start leaves time for a release alone.
    pub(super) fn set_deadline(&self, at: Duration) {
        self.times().deadline_at = Some(at);
    }

    /// Returns when the deadline leaves time for a release alone, by the monotonic clock.
    pub(super) fn deadline_at(&self) -> Option<Duration> {
        self.times().deadline_at
    }

    /// Returns whether the deadline has come, or the worker stops: a dropped attempt is released then.
    pub(super) fn is_out_of_time(&self, now: ClockReading) -> bool {
        self.is_shutting_down() || self.deadline_at().is_some_and(|at| now.monotonic >= at)
    }

    /// Returns whether heartbeats may renew the lease. They may not if the body should have ended, and has not
    /// for as long as a lease lasts: it may hang for ever.
    pub(super) fn may_be_renewed(&self, now: ClockReading, lock_expire: Duration) -> bool {
        let times = self.times();
        let ends =
            [times.timeout_at, times.deadline_at, times.cancelled_at, times.ended_at].into_iter().flatten();
        ends.min().is_none_or(|ends| now.monotonic < ends.saturating_add(lock_expire))
    }

    /// Stops the heartbeat for good.
    pub(crate) fn stop(&self) {
        self.end(LeaseEnd::Stopped);
    }

    /// Stops the heartbeat for good, unless blocking closures run. No further closure begins after that.
    pub(super) fn stop_if_unblocked(&self) -> bool {
        let mut is_blocked = false;
        self.state.send_if_modified(|state| {
            is_blocked = state.blocking > 0;
            let is_new = !is_blocked && state.end.is_none();
            if is_new {
                state.end = Some(LeaseEnd::Stopped);
            }
            is_new
        });
        !is_blocked
    }

    /// Marks the lease as lost, unless the attempt is ending. `unanswered` is the last error, if DynamoDB did not answer before the
    /// lease expired. Returns whether the lease is lost by this.
    pub(super) fn lose(&self, unanswered: Option<Arc<Error>>) -> bool {
        self.end(LeaseEnd::Lost(unanswered))
    }

    fn end(&self, end: LeaseEnd) -> bool {
        self.state.send_if_modified(|state| {
            let is_new = state.end.is_none();
            if is_new {
                state.end = Some(end);
            }
            is_new
        })
    }

    /// Notes that a heartbeat has seen a request to cancel.
    pub(super) fn request_cancel(&self, now: ClockReading, note: Note) {
        // The first request counts.
        let _ = self.cancel_note.set(note);
        self.times().cancelled_at.get_or_insert(now.monotonic);
        self.state.send_modify(|state| state.cancel_requested = true);
    }

    /// Returns who has asked the attempt to end, and why.
    pub(super) fn cancel_note(&self) -> Note {
        self.cancel_note.get().cloned().unwrap_or_default()
    }

    /// Notes that a worker runs the task, and what stops the worker.
    pub(crate) fn set_worker_stop(&self, stop: CancellationToken) {
        // An attempt has one worker.
        let _ = self.worker_stop.set(stop);
    }

    /// Returns whether the worker stops.
    pub(super) fn is_shutting_down(&self) -> bool {
        self.worker_stop.get().is_some_and(CancellationToken::is_cancelled)
    }

    /// Notes that the attempt is to end although blocking closures run. They should return.
    pub(super) fn end_closures(&self, now: ClockReading) {
        self.times().ended_at.get_or_insert(now.monotonic);
        self.state.send_modify(|state| state.dropped = true);
    }

    /// Notes that the body will be dropped when the lease is lost.
    pub(super) fn watch(&self) {
        self.is_watched.store(true, Ordering::Relaxed);
    }

    /// Counts a blocking closure. Returns a guard that lives as long as the closure, or none if the attempt has ended.
    pub(super) fn begin_blocking(self: &Arc<Self>) -> Option<Blocking> {
        let may_begin = self.state.send_if_modified(|state| {
            let may_begin = match state.end {
                None => true,
                // Nobody would drop a future that waits. The closure can ask its token.
                Some(LeaseEnd::Lost(_)) => !self.is_watched.load(Ordering::Relaxed),
                Some(LeaseEnd::Stopped) => false,
            };
            state.blocking += usize::from(may_begin);
            may_begin
        });
        may_begin.then(|| Blocking(Arc::clone(self)))
    }

    /// Returns why the work should end, if it should.
    pub(super) fn stop_reason(&self, now: ClockReading) -> Option<StopReason> {
        let has_passed = |at: Duration| now.monotonic >= at;
        let timed_out = self.timeout_at().is_some_and(has_passed);
        let state = self.state.borrow();
        [
            (state.is_lost() || self.has_passed(now), StopReason::LeaseLost),
            (state.cancel_requested, StopReason::Cancelled),
            (timed_out, StopReason::TimedOut),
            (self.is_shutting_down(), StopReason::Shutdown),
            (self.deadline_at().is_some_and(has_passed), StopReason::DeadlinePassed),
            (state.dropped, StopReason::Dropped),
        ]
        .into_iter()
        .find_map(|(holds, reason)| holds.then_some(reason))
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

    /// Returns the error of a lost lease. Its source is the last error of the heartbeat, if DynamoDB did not
    /// answer.
    pub(super) fn lost_error(&self) -> Error {
        let lost = Error::new(ErrorKind::LeaseLost).with_key(&self.head.key);
        let lost = lost.with_task(TaskHead::clone(&self.head));
        match &self.state.borrow().end {
            Some(LeaseEnd::Lost(Some(unanswered))) => lost.with_source(Arc::clone(unanswered)),
            _ => lost,
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

    /// Completes when no blocking closure runs, or the lease is lost.
    pub(super) fn unblocked(&self) -> impl Future<Output = ()> + Send + use<> {
        self.when(|state| state.blocking == 0 || state.is_lost())
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

/// Counts as a blocking closure while it lives.
pub(super) struct Blocking(Arc<SharedLease>);

impl Drop for Blocking {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.blocking -= 1);
    }
}

impl fmt::Debug for SharedLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLease")
            .field("lock_id", &self.lock_id)
            .field("times", &*self.times())
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}
