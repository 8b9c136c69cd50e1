//! Calls that end in time: a start or a run with a deadline.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use super::sharing::StartWith;
use crate::error::{Error, ErrorKind};
use crate::lifecycle::execution::Execution;
use crate::time::Clock;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

/// The longest part of a deadline that is kept for the release of the task.
const MOST_FOR_RELEASE: Duration = Duration::from_secs(2);

/// How long a call may take, as it is set before the first poll of the call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Remaining(Arc<OnceLock<Duration>>);

/// When a call has to end, by the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    /// When the body is dropped, so that its task can be released in time.
    pub(crate) body_ends: Duration,
    /// When the call returns, whatever is under way.
    pub(crate) call_ends: Duration,
}

impl Remaining {
    /// Returns the deadline of a call that begins now.
    pub(crate) fn beginning_now(&self, clock: &dyn Clock) -> Option<Deadline> {
        let remaining = *self.0.get()?;
        let call_ends = clock.now().monotonic.saturating_add(remaining);
        Some(Deadline { body_ends: call_ends.saturating_sub(MOST_FOR_RELEASE.min(remaining / 5)), call_ends })
    }
}

/// Completes at a time of the monotonic clock, or never.
pub(crate) async fn at(clock: &dyn Clock, time: Option<Duration>) {
    match time {
        Some(time) => clock.sleep(time.saturating_sub(clock.now().monotonic)).await,
        None => std::future::pending().await,
    }
}

impl<T: StatusTracker> Tracker<T> {
    /// Starts the task of a key before a deadline, of which the execution learns.
    pub(crate) async fn start_before(
        &self,
        key: String,
        deadline: Option<Deadline>,
    ) -> Result<Execution<T>, Error> {
        if deadline.is_some_and(|deadline| deadline.body_ends <= self.cx().now().monotonic) {
            return Err(Error::new(ErrorKind::DeadlinePassed).with_key(&key));
        }
        let too_late = at(&*self.cx().clock, deadline.map(|deadline| deadline.body_ends));
        let execution = tokio::select! {
            biased;
            started = self.start_key(key.clone(), StartWith::ALONE) => started?,
            () = too_late => return Err(Error::new(ErrorKind::DeadlinePassed).with_key(&key)),
        };
        if let Some(deadline) = deadline {
            execution.attempt.lease.set_deadline(deadline.body_ends);
        }
        Ok(execution)
    }
}

macro_rules! call_with_deadline {
    ($(#[$doc:meta])* $name:ident, $(#[$deadline_doc:meta])*) => {
        $(#[$doc])*
        #[must_use = "nothing happens until this is awaited"]
        pub struct $name<F> {
            // Boxed, so that the future of a call is small, and can be polled without unsafe code.
            future: Pin<Box<F>>,
            remaining: Remaining,
        }

        impl<F> $name<F> {
            pub(crate) fn new(call: impl FnOnce(Remaining) -> F) -> Self {
                let remaining = Remaining::default();
                Self { future: Box::pin(call(remaining.clone())), remaining }
            }

            $(#[$deadline_doc])*
            pub fn deadline(self, remaining: Duration) -> Self {
                // The first deadline counts.
                let _ = self.remaining.0.set(remaining);
                self
            }
        }

        impl<F: Future> Future for $name<F> {
            type Output = F::Output;

            fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<F::Output> {
                self.future.as_mut().poll(cx)
            }
        }

        impl<F> fmt::Debug for $name<F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("remaining", &self.remaining.0.get()).finish_non_exhaustive()
            }
        }
    };
}

call_with_deadline! {
    /// The future of a [`run`](crate::Tracker::run).
    Run,
    /// Makes the run return within `remaining`, for example the time that a Lambda has left.
    ///
    /// The time counts from the first poll. If `deadline` is called twice, the first call counts. The last fifth of the time, at
    /// most 2 s, is for the release of the task: if the body has not ended before, its future is dropped, the task is
    /// released without counting a failed attempt, and the run returns [`DeadlinePassed`](crate::ErrorKind::DeadlinePassed). If DynamoDB does not answer in time, the release
    /// goes on in the background.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # async fn handle<T: StatusTracker<TaskId = String>>(documents: &Tracker<T>) -> Result<(), Error> {
    /// let left = Duration::from_secs(20); // of the invocation
    /// documents.run("doc-1", async |_task| Ok(())).deadline(left).await?;
    /// # Ok(()) }
    /// ```
}

call_with_deadline! {
    /// The future of a [`start`](crate::Tracker::start).
    Start,
    /// Makes the start return within `remaining`, and tells the execution how much time there is.
    ///
    /// The time counts from the first poll. The last fifth of the time, at most 2 s, is for the end of the attempt: when it
    /// begins, [`Execution::deadline_passed`](crate::Execution::deadline_passed) completes. An execution that is dropped
    /// after that is released, without counting a failed attempt. If DynamoDB does not answer the start in time, it returns
    /// [`DeadlinePassed`](crate::ErrorKind::DeadlinePassed), and a task that it acquires is released.
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SystemClock;

    #[test]
    fn a_fifth_of_the_time_and_at_most_two_seconds_are_for_the_release() {
        let for_release = |remaining: Duration| {
            let given = Remaining::default();
            given.0.set(remaining).unwrap();
            let deadline = given.beginning_now(&SystemClock).unwrap();
            deadline.call_ends.checked_sub(deadline.body_ends).unwrap()
        };
        assert_eq!(for_release(Duration::from_mins(1)), Duration::from_secs(2));
        assert_eq!(for_release(Duration::from_secs(5)), Duration::from_secs(1));
        assert_eq!(for_release(Duration::ZERO), Duration::ZERO);
        assert!(Remaining::default().beginning_now(&SystemClock).is_none());
    }
}
