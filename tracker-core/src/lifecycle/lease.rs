//! An execution's view of its lease: how long it lasts, what ends it, and how to renew it by hand.

use std::sync::Arc;
use std::time::Duration;

use super::deadline;
use super::heartbeat::{HeartbeatResult, Sender, send_heartbeat};
use crate::error::Error;
use crate::lifecycle::execution::Execution;
use crate::tracker::status_tracker::StatusTracker;

impl<T: StatusTracker> Execution<T> {
    /// Returns the time until the lease expires, or zero if it has expired.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.attempt.lease.remaining(self.attempt.cx.now())
    }

    /// Completes when the heartbeat finds the lease lost: another worker holds the task, or nobody does, or
    /// DynamoDB did not answer before the lease expired.
    ///
    /// Nothing is written after that, not even a finish: every call that would write returns
    /// [`LeaseLost`](crate::ErrorKind::LeaseLost). If [heartbeats](crate::TrackerBuilder::heartbeat) are off, this
    /// future never completes.
    ///
    /// In [`run`](crate::Tracker::run) and in a worker, the body's future is dropped. Pass this future to
    /// tasks that the body spawns, or clean up in `Drop`.
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
    ///     () = task.lost() => eprintln!("the lease is lost"),
    /// }
    /// # Ok(()) }
    /// ```
    pub fn lost(&self) -> impl Future<Output = ()> + Send + Unpin + 'static + use<T> {
        Box::pin(self.attempt.lease.lost())
    }

    /// Completes when a heartbeat has seen a request to [cancel](crate::Tracker::cancel) this attempt.
    ///
    /// The lease is kept until you end the execution. To do what was asked, call [`fail`](Self::fail) with a
    /// [fatal](crate::Failure::fatal) error: the task is then ignored. In [`run`](crate::Tracker::run) and in a
    /// worker, the body's future is dropped and the task is ignored.
    ///
    /// If [heartbeats](crate::TrackerBuilder::heartbeat) are off, only your own calls of
    /// [`heartbeat`](Self::heartbeat) see the request.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + Unpin + 'static + use<T> {
        Box::pin(self.attempt.lease.cancelled())
    }

    /// Completes when the [timeout](crate::TrackerBuilder::timeout) has passed, counted from the start; never if the
    /// tracker has no timeout.
    ///
    /// In [`run`](crate::Tracker::run) and in a worker, the body's future is dropped then, and a failed attempt is
    /// recorded. If the task was [started](crate::Tracker::start) by hand, end it yourself: one lease after the
    /// timeout the heartbeats stop, and the lease expires.
    pub fn timed_out(&self) -> impl Future<Output = ()> + Send + Unpin + 'static + use<T> {
        let (lease, clock) = (Arc::clone(&self.attempt.lease), Arc::clone(&self.attempt.cx.clock));
        Box::pin(async move { deadline::at(&*clock, lease.timeout_at()).await })
    }

    /// Completes when the [deadline](crate::Start::deadline) leaves time for a release alone; never without a deadline. If the
    /// execution is dropped after that, the task is released, and no failed attempt is counted.
    pub fn deadline_passed(&self) -> impl Future<Output = ()> + Send + Unpin + 'static + use<T> {
        let (lease, clock) = (Arc::clone(&self.attempt.lease), Arc::clone(&self.attempt.cx.clock));
        Box::pin(async move { deadline::at(&*clock, lease.deadline_at()).await })
    }

    /// Renews the lease now. The tracker does this in the background, unless
    /// [heartbeats](crate::TrackerBuilder::heartbeat) are off.
    ///
    /// # Errors
    ///
    /// - [`LeaseLost`](crate::ErrorKind::LeaseLost) if the lease has expired, or this attempt no longer holds the
    ///   task.
    /// - Any other error, such as [`Unavailable`](crate::ErrorKind::Unavailable), if the lease was not renewed, or if
    ///   it is unknown whether it was. The lease then lasts for [`remaining`](Self::remaining).
    pub async fn heartbeat(&self) -> Result<(), Error> {
        let cx = &self.attempt.cx;
        let gone = || self.attempt.lease.is_lost() || self.attempt.has_passed(cx.now());
        if gone() {
            return Err(self.attempt.lease.lost_error());
        }
        match Box::pin(send_heartbeat(cx, &self.attempt.lease, Sender::Caller)).await {
            HeartbeatResult::Renewed if !gone() => Ok(()),
            HeartbeatResult::Renewed | HeartbeatResult::Lost => Err(self.attempt.lease.lost_error()),
            HeartbeatResult::Unanswered(error) => Err(error),
        }
    }
}
