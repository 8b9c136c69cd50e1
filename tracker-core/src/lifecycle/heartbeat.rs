//! The heartbeat: renews the lease while the body runs.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::progress::with_progress;
use super::shared_lease::SharedLease;
use crate::dynamodb::{self, Context, Route, WriteError};
use crate::error::Error;
use crate::observe::{EventDraft, EventKind};
use crate::protocol::classify::{self, Save};
use crate::protocol::lease::Reading;
use crate::runtime::background::TICK;

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

/// Who sends a heartbeat.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sender {
    /// The heartbeat in the background.
    Background,
    /// The holder, by hand.
    Caller,
}

/// Sends one heartbeat. Once a heartbeat has seen a request to cancel, the next ones no longer ask for it, so
/// that they keep the lease until the attempt ends.
///
/// The background sends with a client of its own. The caller's runtime must not share its connections.
pub(crate) async fn send_heartbeat(cx: &Context, lease: &SharedLease, by: Sender) -> HeartbeatResult {
    let key = &lease.head.key;
    let mut route = match by {
        Sender::Background => lease.sharing.heartbeat_route(),
        Sender::Caller => Route::ALONE,
    };
    loop {
        let Some(now) = lease.next_heartbeat(cx.now()) else {
            return HeartbeatResult::Renewed;
        };
        let asks = !lease.is_cancel_requested();
        let writes = cx.writes(&lease.lock_id, now.time);
        let write = if asks { writes.heartbeat() } else { writes.save() };
        let progress = lease.progress.get(&lease.head);
        let write = with_progress(write, progress.as_ref());
        let sent = dynamodb::update(cx, route, key, Cow::Owned(write), false).await;
        let found = match sent {
            Ok(_) => {
                lease.progress.done(progress.as_ref());
                let duration = cx.now().monotonic.saturating_sub(now.monotonic);
                cx.emit(EventDraft::of_key(EventKind::Heartbeat, key).with_duration(duration));
                return result(lease, now, Save::Saved);
            }
            Err(WriteError::Condition(mut failed)) => {
                failed.image.as_mut().map(|item| cx.head(item)).transpose()
            }
            // The lease matters more than the progress.
            Err(WriteError::Refused(error)) if progress.is_some() && dynamodb::is_about_data(&error) => {
                lease.progress.refuse();
                continue;
            }
            Err(WriteError::Unknown(error) | WriteError::Refused(error)) => Err(error),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => return HeartbeatResult::Unanswered(error.with_key(key)),
        };
        let asked = found.as_ref().filter(|found| asks && classify::is_cancelled(found, &lease.lock_id));
        if let Some(found) = asked {
            lease.request_cancel(cx.now(), found.cancel_note.clone());
            continue;
        }
        let verdict = classify::classify_save(found.as_ref(), &lease.lock_id, now.time);
        // No later write of this attempt is there, so the condition should have held: the server reads the statement in
        // another way.
        let is_overtaken = found.is_none_or(|found| found.lock_time >= now.time);
        if verdict == Save::Again && route.shares && !is_overtaken {
            route.shares = false;
            continue;
        }
        return result(lease, now, verdict);
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

/// Starts the heartbeat of a lease, on the background thread: within a second, or at once if the lease is short. Most
/// attempts have ended within a second, and need no heartbeat.
pub(crate) fn start_heartbeat(cx: &Arc<Context>, lease: &Arc<SharedLease>) {
    if interval(cx) < 2 * TICK {
        cx.spawn(run_heartbeat(Arc::clone(cx), Arc::clone(lease)).boxed());
        return;
    }
    let (weak_cx, lease) = (Arc::downgrade(cx), Arc::downgrade(lease));
    cx.spawn_later(move || {
        let lease = lease.upgrade().filter(|lease| !lease.is_stopped())?;
        Some(run_heartbeat(weak_cx.upgrade()?, lease).boxed())
    });
}

/// Returns the time from one heartbeat to the next: a third of the lease.
fn interval(cx: &Context) -> Duration {
    cx.config.lock_expire / 3
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

/// Marks the lease as lost, and reports the loss. If a finish has stopped the heartbeat meanwhile, the finish finds out and reports.
fn lose(cx: &Context, lease: &SharedLease, unanswered: Option<Error>) {
    let unanswered = unanswered.map(Arc::new);
    if !lease.lose(unanswered.clone()) {
        return;
    }
    let lost = EventDraft::of(EventKind::LeaseLost, &lease.head).from(Some(lease.head.status_name()));
    cx.emit(match &unanswered {
        Some(error) => lost.with_error(error),
        None => lost,
    });
}

/// Sends heartbeats until the lease is lost. Returns the last error, if the lease was lost because DynamoDB
/// did not answer.
async fn renew_until_lost(cx: &Context, lease: &SharedLease) -> Option<Error> {
    // The first interval begins with the start of the task, which may be a second ago.
    let mut elapsed = cx.config.lock_expire.saturating_sub(lease.remaining(cx.now()));
    let mut unanswered = None;
    for nth in 0.. {
        let wait = if unanswered.is_none() { interval(cx) } else { interval(cx) / 8 };
        let wait = jittered(wait, &lease.lock_id, nth).saturating_sub(elapsed).min(lease.remaining(cx.now()));
        let wait = until_full_second(cx.now().monotonic, wait);
        elapsed = Duration::ZERO;
        sleep(cx, lease, wait).await;
        if !lease.may_be_renewed(cx.now(), cx.config.lock_expire) {
            let hangs = EventDraft::of(EventKind::Unresponsive, &lease.head);
            cx.emit(hangs.from(Some(lease.head.status_name())));
            expired(cx, lease).await;
            return unanswered;
        }
        let heartbeat = async {
            // After the deadline another worker may hold the task.
            if lease.has_passed(cx.now()) {
                None
            } else {
                Some(send_heartbeat(cx, lease, Sender::Background).await)
            }
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

/// Completes when a lease has expired. A save of the body may renew the lease until then.
pub(super) async fn expired(cx: &Context, lease: &SharedLease) {
    while !lease.has_passed(cx.now()) {
        sleep(cx, lease, lease.remaining(cx.now())).await;
    }
}

/// Sleeps, but not beyond the deadline. A timer does not count the time for which a machine is suspended. The
/// wall clock does, so the deadline is checked once a second.
async fn sleep(cx: &Context, lease: &SharedLease, wait: Duration) {
    let due = cx.clock.now().monotonic.saturating_add(wait);
    loop {
        let now = cx.now();
        let left = due.saturating_sub(now.monotonic);
        if left.is_zero() || lease.has_passed(now) {
            return;
        }
        cx.clock.sleep(left.min(TICK)).await;
    }
}

/// Shortens a wait so that it ends with a full second of the monotonic clock, unless the wait is short. The heartbeats that are
/// due within one second are then due together, and share a request.
fn until_full_second(now: Duration, wait: Duration) -> Duration {
    let ends = now.saturating_add(wait);
    let full = Duration::from_secs(ends.as_secs());
    if wait < 2 * TICK { wait } else { full.saturating_sub(now) }
}

/// Returns between nine tenths of a wait and all of it, so that the heartbeats of many workers spread out.
/// The lock id and the number of the heartbeat decide, so that the wait is repeatable.
fn jittered(wait: Duration, lock_id: &str, nth: u64) -> Duration {
    let thousandths = 900 + xxh3_64_with_seed(lock_id.as_bytes(), nth) % 101;
    wait.mul_f64(f64::from(u32::try_from(thousandths).unwrap_or(1000)) / 1000.0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_sdk_dynamodb::config::BehaviorVersion;
    use aws_sdk_dynamodb::{Client, Config};

    use super::*;
    use crate::config::TrackerConfig;
    use crate::fuzzing::sample::{SPEC, SampleStatus, head};
    use crate::item::use_case::UseCase;
    use crate::lifecycle::sharing::Sharing;
    use crate::observe::Event;
    use crate::protocol::lease::Lease;
    use crate::time::SystemClock;

    #[test]
    fn loss_is_reported_unless_the_attempt_is_ending() {
        let losses = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&losses);
        let observer = move |event: &Event<'_>| {
            counted.fetch_add(u32::from(event.kind == EventKind::LeaseLost), Ordering::Relaxed);
        };
        let client = Client::from_conf(Config::builder().behavior_version(BehaviorVersion::latest()).build());
        let (config, use_case) = (TrackerConfig::declared(&SPEC), UseCase::new(&SPEC, SPEC.use_case_id));
        let cx =
            Context::new(&client, config, use_case, Arc::new(SystemClock), None, Some(Arc::new(observer)));
        let lease = || {
            let (held, head) = (cx.held.hold("me"), head(SampleStatus::InProgress));
            let sent = [Reading::from(cx.now())];
            let lease = Lease::granted(&sent, None, Duration::from_mins(1)).unwrap();
            SharedLease::new(held, head, lease, None, Sharing::Heartbeats)
        };
        // The heartbeat finds its lock gone because the finish has freed it.
        let ending = lease();
        assert!(ending.stop_if_unblocked());
        lose(&cx, &ending, None);
        assert!(!ending.is_lost());
        assert_eq!(losses.load(Ordering::Relaxed), 0, "the finish reports what has become of the attempt");
        let lost = lease();
        lose(&cx, &lost, None);
        lose(&cx, &lost, None);
        assert!(lost.is_lost());
        assert_eq!(losses.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn long_wait_ends_with_a_full_second() {
        let millis = Duration::from_millis;
        assert_eq!(until_full_second(millis(10_300), millis(9_900)), millis(9_700));
        assert_eq!(until_full_second(millis(10_000), millis(9_000)), millis(9_000));
        assert_eq!(until_full_second(millis(10_300), millis(1_999)), millis(1_999));
    }

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
