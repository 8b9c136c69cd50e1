//! Keeping a lease: what the holder and its heartbeat share, and the heartbeat itself.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::dynamodb::Context;
use crate::dynamodb::{self, WriteError};
use crate::error::Error;
use crate::item::head::TaskHead;
use crate::observe::{EventDraft, EventKind};
use crate::protocol::classify::{self, Save};
use crate::protocol::lease::{Lease, Reading};
use crate::protocol::writes;
use crate::runtime::ticker::TICK;
use crate::time::{ClockReading, Timestamp};

/// A lease, as the execution and its heartbeat share it.
pub(crate) struct SharedLease {
    /// The value of `lock`.
    pub(crate) lock_id: String,
    /// The task as it was started.
    pub(crate) head: Arc<TaskHead>,
    lease: Mutex<Lease>,
    /// Cancelled when the lease is lost; with a heartbeat alone.
    lost: CancellationToken,
    /// Cancelled when a heartbeat has seen that the attempt was asked to end.
    cancel: CancellationToken,
    /// Why nothing was heard from the service when the lease ran out, if that is why it was lost.
    unheard: Mutex<Option<Arc<Error>>>,
    /// Ends the heartbeat.
    stop: CancellationToken,
}

/// What one heartbeat came to.
#[derive(Debug)]
pub(crate) enum HeartbeatResult {
    Kept,
    Lost,
    /// No answer, or none that tells.
    Unheard(Error),
}

impl SharedLease {
    pub(crate) fn new(lock_id: String, head: TaskHead, lease: Lease) -> Self {
        Self {
            lock_id,
            head: Arc::new(head),
            lease: Mutex::new(lease),
            lost: CancellationToken::new(),
            cancel: CancellationToken::new(),
            unheard: Mutex::new(None),
            stop: CancellationToken::new(),
        }
    }

    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time to write next.
    pub(crate) fn next(&self, now: ClockReading) -> Reading {
        self.lease().next(now)
    }

    /// The time of the next heartbeat; `None` once they are stopped.
    fn next_beat(&self, now: ClockReading) -> Option<Reading> {
        let mut lease = self.lease();
        // Asked under the lock, under which a finish takes its time after it has stopped them.
        (!self.stop.is_cancelled()).then(|| lease.next(now))
    }

    /// A write of this time was acknowledged.
    pub(crate) fn acknowledge(&self, written: Reading) {
        self.lease().acknowledge(written);
    }

    /// A time of ours was found in the item.
    pub(crate) fn seen(&self, stored: Timestamp) {
        self.lease().seen(stored);
    }

    pub(crate) fn has_passed(&self, now: ClockReading) -> bool {
        self.lease().has_passed(now)
    }

    pub(crate) fn remaining(&self, now: ClockReading) -> Duration {
        self.lease().remaining(now)
    }

    /// Whether the lease was lost, and so nothing must be written any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    pub(crate) fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Whether the attempt was asked to end.
    pub(crate) fn cancel(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Why the lease was lost, where that is that the service was not heard.
    pub(crate) fn unheard(&self) -> Option<Arc<Error>> {
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the heartbeat, for good.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    fn lose(&self, cx: &Context, unheard: Option<Error>) {
        let unheard = unheard.map(Arc::new);
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&unheard);
        self.lost.cancel();
        let told = EventDraft::of(EventKind::LeaseLost, &self.head).from(Some(self.head.status_name()));
        cx.emit(unheard.as_ref().map_or(told, |unheard| told.with_error(unheard)));
    }

    /// Sends one heartbeat. Once the attempt was asked to end they go on without that question, until it has.
    pub(crate) async fn beat(&self, cx: &Context) -> HeartbeatResult {
        let key = &self.head.key;
        loop {
            let Some(now) = self.next_beat(cx.now()) else {
                return HeartbeatResult::Kept;
            };
            let asks = !self.cancel.is_cancelled();
            let beat = if asks { writes::heartbeat } else { writes::save };
            let sent = dynamodb::update(cx, key, beat(&self.lock_id, now.time), ReturnValue::None).await;
            let found = match sent {
                Ok(_) => {
                    let took = cx.now().monotonic.saturating_sub(now.monotonic);
                    cx.emit(EventDraft::of_key(EventKind::Heartbeat, key).with_duration(took));
                    return self.kept(now, Save::Saved);
                }
                Err(WriteError::Condition(mut image)) => image.as_mut().map(|item| cx.head(item)).transpose(),
                Err(WriteError::Unknown(error) | WriteError::Refused(error)) => Err(error),
            };
            let found = match found {
                Ok(found) => found,
                Err(error) => return HeartbeatResult::Unheard(error),
            };
            if asks && found.as_ref().is_some_and(|found| classify::is_cancelled(found, &self.lock_id)) {
                self.cancel.cancel();
                continue;
            }
            return self.kept(now, classify::classify_save(found.as_ref(), &self.lock_id, now.time));
        }
    }

    fn kept(&self, now: Reading, verdict: Save) -> HeartbeatResult {
        match verdict {
            Save::Saved => {
                self.acknowledge(now);
                HeartbeatResult::Kept
            }
            // A later write of ours, which is acknowledged by itself.
            Save::Again => HeartbeatResult::Kept,
            Save::LeaseLost => HeartbeatResult::Lost,
        }
    }

    /// Begins to keep the lease: at the next look, if it is still held then, or now where that may be too late.
    ///
    /// Most attempts are over by then, and a task that is spawned for one makes Tokio wake another thread.
    pub(crate) async fn begin(self: &Arc<Self>, cx: &Arc<Context>, runtime: &Handle) {
        if !self.begins_at_next_tick(cx, runtime) {
            runtime.spawn(Arc::clone(self).keep(Arc::clone(cx)));
            // What was spawned last waits for this very thread: a body that does not yield would never let it begin.
            tokio::task::yield_now().await;
        }
    }

    fn begins_at_next_tick(self: &Arc<Self>, cx: &Arc<Context>, runtime: &Handle) -> bool {
        let Some(ticker) = &cx.ticker else {
            return false;
        };
        let (lease, weak, runtime) = (Arc::downgrade(self), Arc::downgrade(cx), runtime.clone());
        self.remaining(cx.now()) >= BEGINS_LATE
            && ticker.at_next_tick(move || {
                let (Some(lease), Some(cx)) = (lease.upgrade(), weak.upgrade()) else {
                    return;
                };
                if !lease.stop.is_cancelled() {
                    runtime.spawn(lease.keep(cx));
                }
            })
    }

    /// Keeps the lease until it is stopped or lost: a heartbeat every third of the expiry, and more often while none
    /// is answered. The loss is told at the deadline, whatever is still under way.
    async fn keep(self: Arc<Self>, cx: Arc<Context>) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            unheard = self.beats(&cx) => self.lose(&cx, unheard),
        }
    }

    /// Sleeps, but not beyond the deadline: the sleep of a machine that is suspended does not count what it missed, and
    /// the wall clock does.
    async fn sleep(&self, cx: &Context, wait: Duration) {
        let due = cx.clock.now().monotonic.saturating_add(wait);
        loop {
            let now = cx.now();
            let left = due.saturating_sub(now.monotonic);
            if left.is_zero() || self.has_passed(now) {
                return;
            }
            let looks = async {
                match &cx.ticker {
                    Some(ticker) => ticker.next_tick().await,
                    None => std::future::pending().await,
                }
            };
            // The clock wakes nobody of a runtime whose timers wait for a body that computes.
            tokio::select! {
                () = cx.clock.sleep(left.min(TICK)) => {}
                () = looks => {}
            }
        }
    }

    /// Sends heartbeats until the lease is lost; gives why DynamoDB was not heard, where that is why.
    async fn beats(&self, cx: &Context) -> Option<Error> {
        let third = cx.config.lock_expire / 3;
        // The first one counts from the start, which may be a look ago.
        let mut old = cx.config.lock_expire.saturating_sub(self.remaining(cx.now()));
        let mut unheard = None;
        for nth in 0.. {
            let wait = if unheard.is_none() { third } else { third / 8 };
            let wait = jittered(wait, &self.lock_id, nth).saturating_sub(old).min(self.remaining(cx.now()));
            old = Duration::ZERO;
            self.sleep(cx, wait).await;
            let beat = async {
                // After its deadline nothing is sent: somebody else may hold the task.
                if self.has_passed(cx.now()) { None } else { Some(self.beat(cx).await) }
            };
            let beat = tokio::select! {
                beat = beat => beat,
                () = self.sleep(cx, self.remaining(cx.now())) => None,
            };
            match beat {
                Some(HeartbeatResult::Kept) if !self.has_passed(cx.now()) => unheard = None,
                Some(HeartbeatResult::Lost) => return None,
                Some(HeartbeatResult::Unheard(error)) if !self.has_passed(cx.now()) => unheard = Some(error),
                Some(HeartbeatResult::Unheard(error)) => return Some(error),
                // A save has moved the deadline meanwhile.
                None if !self.has_passed(cx.now()) => {}
                _ => return unheard,
            }
        }
        unheard
    }
}

/// From this length on, the heartbeats of a lease need not begin with it.
///
/// Where others compute right after their requests, the SDK's idle connections hang with them, and a heartbeat gives up one
/// after the other, for up to 10 s each. Between the first one and the deadline, 2 minutes are enough for that.
const BEGINS_LATE: Duration = Duration::from_mins(3);

/// Between nine tenths of a time and the whole, so that the heartbeats of many workers do not come together. From the
/// lock and the number of the heartbeat, so that it can be repeated.
fn jittered(wait: Duration, lock_id: &str, nth: u64) -> Duration {
    let thousandths = 900 + xxh3_64_with_seed(lock_id.as_bytes(), nth) % 101;
    wait.mul_f64(f64::from(u32::try_from(thousandths).unwrap_or(1000)) / 1000.0)
}

impl fmt::Debug for SharedLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLease")
            .field("lease", &self.lease())
            .field("is_lost", &self.is_lost())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_are_jittered_by_a_tenth() {
        let third = Duration::from_secs(100);
        let waits: Vec<_> = (0..1000).map(|nth| jittered(third, "me", nth)).collect();
        assert!(waits.iter().all(|wait| (Duration::from_secs(90)..=third).contains(wait)));
        assert!(waits.iter().max() > Some(&Duration::from_secs(99)));
        assert!(waits.iter().min() < Some(&Duration::from_secs(91)));
        assert_eq!(jittered(third, "me", 3), waits[3]);
    }
}
