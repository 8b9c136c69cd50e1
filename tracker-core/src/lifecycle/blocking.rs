//! Work that blocks a thread: it cannot be interrupted, so the lease is kept until it ends by itself.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;

use super::execution::Execution;
use super::shared_lease::{SharedLease, StopReason};
use crate::time::Clock;
use crate::tracker::status_tracker::StatusTracker;

impl<T: StatusTracker> Execution<T> {
    /// Runs a closure that computes or blocks, on Tokio's threads for such work. Returns what the closure returns.
    ///
    /// The closure begins when this future is first polled. No thread can be interrupted: if the future is dropped, for
    /// example by a timeout, the closure goes on. The lease is kept until the closure returns, and only then is the end
    /// of the attempt recorded. So no other worker starts the task while the closure runs, if it returns in time. With
    /// `tokio::task::spawn_blocking` the task would be free at once, and the same work could run several times.
    ///
    /// Let the closure ask its [`StopToken`] from time to time, and return early if it should. If it has not returned
    /// within one lease after that, for example after the [timeout](crate::TrackerBuilder::timeout), the heartbeats stop,
    /// and the lease expires.
    ///
    /// If the lease is lost before the closure begins, `run` and a worker drop this future. An execution of
    /// [`start`](crate::Tracker::start) has nobody to do that: there the closure runs, and its token is stopped from the
    /// beginning.
    ///
    /// # Panics
    ///
    /// Panics if the closure panics, or outside of a Tokio runtime. In [`run`](crate::Tracker::run) and in a worker,
    /// the panic is recorded as a failed attempt.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # fn render_page(_: u32) {}
    /// # async fn render<T: StatusTracker<TaskId = String>>(documents: &Tracker<T>) -> Result<(), Error> {
    /// documents
    ///     .run("doc-1", async |task| {
    ///         let done = task.spawn_blocking(|stop| {
    ///             for page in 0..1000 {
    ///                 if stop.is_stopped() {
    ///                     return false;
    ///                 }
    ///                 render_page(page);
    ///             }
    ///             true
    ///         });
    ///         if done.await { Ok(()) } else { Err("stopped early".into()) }
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn spawn_blocking<R, F>(&self, closure: F) -> impl Future<Output = R> + Send + use<T, R, F>
    where
        R: Send + 'static,
        F: FnOnce(StopToken) -> R + Send + 'static,
    {
        let lease = Arc::clone(&self.attempt.lease);
        let stop = StopToken { lease: Arc::clone(&lease), clock: Arc::clone(&self.attempt.cx.clock) };
        async move {
            // After the end of the attempt, another worker may hold the task.
            let Some(blocking) = lease.begin_blocking() else {
                return std::future::pending().await;
            };
            let closure = tokio::task::spawn_blocking(move || {
                let result = closure(stop);
                drop(blocking);
                result
            });
            match closure.await.map_err(tokio::task::JoinError::try_into_panic) {
                Ok(result) => result,
                Err(Ok(panic)) => resume_unwind(panic),
                // The runtime shuts down: nobody waits for the result any more.
                Err(Err(_cancelled)) => std::future::pending().await,
            }
        }
    }
}

/// Tells blocking work whether it should end. Clones tell the same.
#[derive(Clone)]
pub struct StopToken {
    lease: Arc<SharedLease>,
    clock: Arc<dyn Clock>,
}

impl StopToken {
    /// Returns whether the work should end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.reason().is_some()
    }

    /// Returns why the work should end, if it should. If there are several reasons, the first in the order of
    /// [`StopReason`] is returned.
    ///
    /// If [heartbeats](crate::TrackerBuilder::heartbeat) are off, nothing sees a request to cancel.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        self.lease.stop_reason(self.clock.now())
    }
}

impl fmt::Debug for StopToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopToken").field("reason", &self.reason()).finish_non_exhaustive()
    }
}
