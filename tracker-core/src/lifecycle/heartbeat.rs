//! The heartbeat: renews the lease while the body runs.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use tokio::runtime::Handle;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::shared_lease::SharedLease;
use crate::dynamodb::{self, Context, WriteError};
use crate::error::Error;
use crate::observe::{EventDraft, EventKind};
use crate::protocol::classify::{self, Save};
use crate::protocol::lease::Reading;
use crate::runtime::ticker::TICK;

/// The result of one heartbeat.
#[derive(Debug)]
pub(crate) enum HeartbeatResult {
    /// This heartbeat or a later write has renewed the lease, or the attempt is ending.
    Renewed,
    /// Another worker holds the task, or nobody does.
    Lost,
    /// It is unknown whether the lease was renewed: no response arrived, or the response does not tell.
    Unanswered(Error),
}

/// Sends one heartbeat. Once a heartbeat has seen a request to cancel, the next ones no longer ask for it, so
/// that they keep the lease until the attempt ends.
pub(crate) async fn send_heartbeat(cx: &Context, lease: &SharedLease) -> HeartbeatResult {
    let key = &lease.head.key;
    loop {
        let Some(now) = lease.next_heartbeat(cx.now()) else {
            return HeartbeatResult::Renewed;
        };
        let asks = !lease.is_cancel_requested();
        let writes = cx.writes(&lease.lock_id, now.time);
        let write = if asks { writes.heartbeat() } else { writes.save() };
        let found = match dynamodb::update(cx, key, write, ReturnValue::None).await {
            Ok(_) => {
                let duration = cx.now().monotonic.saturating_sub(now.monotonic);
                cx.emit(EventDraft::of_key(EventKind::Heartbeat, key).with_duration(duration));
                return result(lease, now, Save::Saved);
            }
            Err(WriteError::Condition(mut failed)) => {
                failed.image.as_mut().map(|item| cx.head(item)).transpose()
            }
            Err(WriteError::Unknown(error) | WriteError::Refused(error)) => Err(error),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => return HeartbeatResult::Unanswered(error.with_key(key)),
        };
        if asks && found.as_ref().is_some_and(|found| classify::is_cancelled(found, &lease.lock_id)) {
            lease.request_cancel();
            continue;
        }
        return result(lease, now, classify::classify_save(found.as_ref(), &lease.lock_id, now.time));
    }
}

/// Returns the result of a heartbeat, and moves the deadline if the heartbeat was applied.
fn result(lease: &SharedLease, now: Reading, verdict: Save) -> HeartbeatResult {
    match verdict {
        Save::Saved => {
            lease.acknowledge(now);
            HeartbeatResult::Renewed
        }
        // A later write of this attempt overtook the heartbeat. Its own response moves the deadline.
        Save::Again => HeartbeatResult::Renewed,
        Save::LeaseLost => HeartbeatResult::Lost,
    }
}

/// Starts the heartbeat of a lease: at the next tick if the attempt still runs then, or now if the next tick
/// may be too late.
///
/// Most attempts have ended by the next tick, and a spawned task makes Tokio wake another thread.
pub(crate) async fn start_heartbeat(cx: &Arc<Context>, lease: &Arc<SharedLease>, runtime: &Handle) {
    if !starts_at_next_tick(cx, lease, runtime) {
        runtime.spawn(run_heartbeat(Arc::clone(cx), Arc::clone(lease)));
        // Tokio runs the last spawned task on this thread, so a body that never yields would keep it waiting.
        tokio::task::yield_now().await;
    }
}

/// Queues the start of the heartbeat for the next tick. Returns whether the heartbeat will start then.
fn starts_at_next_tick(cx: &Arc<Context>, lease: &Arc<SharedLease>, runtime: &Handle) -> bool {
    let Some(ticker) = &cx.ticker else {
        return false;
    };
    if lease.remaining(cx.now()) < STARTS_LATE {
        return false;
    }
    let (lease, cx, runtime) = (Arc::downgrade(lease), Arc::downgrade(cx), runtime.clone());
    ticker.at_next_tick(move || {
        if let (Some(lease), Some(cx)) = (lease.upgrade(), cx.upgrade())
            && !lease.is_stopped()
        {
            runtime.spawn(run_heartbeat(cx, lease));
        }
    })
}

/// Renews the lease until the heartbeat is stopped or the lease is lost: every third of `lock_expire`, and
/// more often while no response arrives. A loss is reported at the deadline, even if a response is still
/// missing.
async fn run_heartbeat(cx: Arc<Context>, lease: Arc<SharedLease>) {
    tokio::select! {
        biased;
        () = lease.stopped() => {}
        unanswered = renew_until_lost(&cx, &lease) => lose(&cx, &lease, unanswered),
    }
}

/// Marks the lease as lost, and reports the loss.
fn lose(cx: &Context, lease: &SharedLease, unanswered: Option<Error>) {
    let unanswered = unanswered.map(Arc::new);
    lease.lose(unanswered.clone());
    let lost = EventDraft::of(EventKind::LeaseLost, &lease.head).from(Some(lease.head.status_name()));
    cx.emit(match &unanswered {
        Some(error) => lost.with_error(error),
        None => lost,
    });
}

/// Sends heartbeats until the lease is lost. Returns the last error, if the lease was lost because DynamoDB
/// did not answer.
async fn renew_until_lost(cx: &Context, lease: &SharedLease) -> Option<Error> {
    let third = cx.config.lock_expire / 3;
    // The first interval begins with the start of the task, which may be a tick ago.
    let mut elapsed = cx.config.lock_expire.saturating_sub(lease.remaining(cx.now()));
    let mut unanswered = None;
    for nth in 0.. {
        let wait = if unanswered.is_none() { third } else { third / 8 };
        let wait = jittered(wait, &lease.lock_id, nth).saturating_sub(elapsed).min(lease.remaining(cx.now()));
        elapsed = Duration::ZERO;
        sleep(cx, lease, wait).await;
        let heartbeat = async {
            // After the deadline another worker may hold the task.
            if lease.has_passed(cx.now()) { None } else { Some(send_heartbeat(cx, lease).await) }
        };
        let heartbeat = tokio::select! {
            heartbeat = heartbeat => heartbeat,
            () = sleep(cx, lease, lease.remaining(cx.now())) => None,
        };
        let has_passed = lease.has_passed(cx.now());
        match heartbeat {
            Some(HeartbeatResult::Renewed) if !has_passed => unanswered = None,
            Some(HeartbeatResult::Lost) => return None,
            Some(HeartbeatResult::Unanswered(error)) if !has_passed => unanswered = Some(error),
            Some(HeartbeatResult::Unanswered(error)) => return Some(error),
            // A save has moved the deadline in the meantime.
            None if !has_passed => {}
            _ => return unanswered,
        }
    }
    unanswered
}

/// Sleeps, but not beyond the deadline. A timer does not count the time for which a machine is suspended. The
/// wall clock does, so the deadline is checked at every tick.
async fn sleep(cx: &Context, lease: &SharedLease, wait: Duration) {
    let due = cx.clock.now().monotonic.saturating_add(wait);
    loop {
        let now = cx.now();
        let left = due.saturating_sub(now.monotonic);
        if left.is_zero() || lease.has_passed(now) {
            return;
        }
        let tick = async {
            match &cx.ticker {
                Some(ticker) => ticker.next_tick().await,
                None => std::future::pending().await,
            }
        };
        // A blocked worker thread can stop this runtime's timers, so the ticker's thread wakes this task too.
        tokio::select! {
            () = cx.clock.sleep(left.min(TICK)) => {}
            () = tick => {}
        }
    }
}

/// A lease with at least this time left starts its heartbeat at the next tick instead of immediately.
///
/// If many threads block right after their requests, the SDK's idle connections stall with them. A heartbeat
/// tries one after the other, for up to 10 s each. Two minutes between the first heartbeat and the deadline
/// are enough.
const STARTS_LATE: Duration = Duration::from_mins(3);

/// Returns between nine tenths of a wait and all of it, so that the heartbeats of many workers spread out.
/// The lock id and the number of the heartbeat decide, so that the wait is repeatable.
fn jittered(wait: Duration, lock_id: &str, nth: u64) -> Duration {
    let thousandths = 900 + xxh3_64_with_seed(lock_id.as_bytes(), nth) % 101;
    wait.mul_f64(f64::from(u32::try_from(thousandths).unwrap_or(1000)) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_shortens_a_wait_by_up_to_a_tenth() {
        let third = Duration::from_secs(100);
        let waits: Vec<_> = (0..1000).map(|nth| jittered(third, "me", nth)).collect();
        assert!(waits.iter().all(|wait| (Duration::from_secs(90)..=third).contains(wait)));
        assert!(waits.iter().max() > Some(&Duration::from_secs(99)));
        assert!(waits.iter().min() < Some(&Duration::from_secs(91)));
        assert_eq!(jittered(third, "me", 3), waits[3]);
    }
}
