//! The writes of the protocol: each a pure function to an expression, and to the head of the task after it.

use crate::config::TrackerConfig;
use crate::expression::Expression;
use crate::format::{Format, Status};
use crate::history::{History, HistoryEntry, Keep};
use crate::item::{
    ATTEMPT, ERRORS, ITEM_BYTES, LAST_LOCK, LOCK, LOCK_TIME, NOT_LOCKED, OWNER, RETRY, STARTED_FROM, STATUS,
    UPDATE_TIME, VALUE, number, string, time,
};
use crate::retry;
use crate::status::Role;
use crate::task::TaskHead;
use crate::time::Timestamp;

/// How an attempt ends.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Succeeded,
    Failed {
        error: String,
        traceback: String,
        fatal: bool,
    },
    /// Back to where it was started from, not counted.
    Released,
}

/// Start: takes a free task that is ready.
pub(crate) fn start(
    format: &Format,
    config: &TrackerConfig,
    key: &str,
    me: &str,
    owner: &str,
    now: Timestamp,
) -> Expression {
    let in_progress = format.own(Role::InProgress);
    let stale = now.minus(config.lock_expire).minus(config.max_clock_skew);
    let mut start = set_status(Expression::new(), format, in_progress, key)
        .set_to_old(STARTED_FROM, STATUS)
        .set(LOCK, string(me))
        .set(LOCK_TIME, time(now))
        .set(UPDATE_TIME, time(now))
        .set(OWNER, string(owner))
        .add(ATTEMPT, 1)
        .and_before(LOCK_TIME, time(now));
    let status = start.name(STATUS);
    let ready: Vec<_> = format.ready().map(|code| start.value(number(code))).collect();
    let ready = format!("{status} IN ({})", ready.join(", "));
    let lock = start.name(LOCK);
    let lock_time = start.name(LOCK_TIME);
    let free = start.value(string(NOT_LOCKED));
    let stale = start.value(time(stale));
    // The second arm is for items that another program left both ready and locked.
    start.and(&ready).and(&format!("({lock} = {free} OR {lock_time} < {stale})"))
}

/// Takeover of an expired lease, pinned to the lease that was seen; or giving the task up, if this was its
/// last attempt.
pub(crate) fn take_over(
    format: &Format,
    config: &TrackerConfig,
    seen: &TaskHead,
    me: &str,
    owner: &str,
    now: Timestamp,
    keep: Keep,
) -> Expression {
    let next = retry::next(seen.retry, config.max_retry, false);
    let holder = seen.owner.as_deref().unwrap_or("an unknown worker");
    let entry = HistoryEntry::new(
        next.retry,
        now,
        &format!("the lease expired: {holder} did not finish the attempt, and its task was taken over"),
        &format!("held since {}, taken over by {owner}", seen.lock_time),
    );
    let mut errors = seen.errors.clone();
    errors.push(entry, config.history_limit as usize);
    let (status, takeover) = if next.ignored {
        (format.own(Role::Ignored), free(Expression::new(), me, now))
    } else {
        let held = Expression::new().set(LOCK, string(me)).set(LOCK_TIME, time(now)).add(ATTEMPT, 1);
        // Where there is no room for the history, there may be none for another owner's name.
        let named = if keep == Keep::AsStored { held } else { held.set(OWNER, string(owner)) };
        (format.own(Role::InProgress), named)
    };
    let takeover = set_status(takeover, format, status, &seen.key)
        .set(UPDATE_TIME, time(now))
        .set(RETRY, number(next.retry))
        .and_is(LOCK, string(seen.lock.as_deref().unwrap_or(NOT_LOCKED)))
        .and_is(LOCK_TIME, time(seen.lock_time))
        .and_is(STATUS, number(seen.status_code));
    set_errors(takeover, seen, &mut errors, keep)
}

/// Save: renews the lease; what is saved is added by the caller.
pub(crate) fn save(me: &str, now: Timestamp) -> Expression {
    Expression::new().set(LOCK_TIME, time(now)).and_is(LOCK, string(me)).and_before(LOCK_TIME, time(now))
}

/// Finish: the task as it is afterwards, and the write that makes it so.
pub(crate) fn finish(
    format: &Format,
    config: &TrackerConfig,
    head: &TaskHead,
    me: &str,
    outcome: &Outcome,
    now: Timestamp,
    keep: Keep,
) -> (TaskHead, Expression) {
    let mut after = head.clone();
    let status = match outcome {
        Outcome::Succeeded => {
            after.retry = 0;
            format.own(Role::Succeeded)
        }
        Outcome::Failed { error, traceback, fatal } => {
            let next = retry::next(head.retry, config.max_retry, *fatal);
            let entry = HistoryEntry::new(next.retry, now, error, traceback);
            after.errors.push(entry, config.history_limit as usize);
            after.retry = next.retry;
            format.own(if next.ignored { Role::Ignored } else { Role::Failed })
        }
        Outcome::Released => released_to(format, head.started_from),
    };
    let mut write = set_status(free(Expression::new(), me, now), format, status, &head.key)
        .set(UPDATE_TIME, time(now))
        .and_is(LOCK, string(me));
    if !matches!(outcome, Outcome::Released) {
        write = write.set(RETRY, number(after.retry));
    }
    if matches!(outcome, Outcome::Failed { .. }) {
        write = set_errors(write, head, &mut after.errors, keep);
    } else if keep == Keep::AsStored {
        write = write.remove(OWNER).remove(STARTED_FROM);
    }
    set_head_status(&mut after, format, status);
    after.update_time = now;
    after.lock_time = now;
    after.lock = None;
    after.last_lock = Some(me.to_owned());
    (after, write)
}

/// Redrive of a task that was read: the task as it is afterwards, and the write, pinned to what was seen.
pub(crate) fn redrive(format: &Format, seen: &TaskHead, now: Timestamp) -> (TaskHead, Expression) {
    let pending = format.own(Role::Pending);
    let now = now.after(seen.update_time);
    let lock_time = now.max(seen.lock_time);
    let write = set_status(Expression::new(), format, pending, &seen.key)
        .set(RETRY, number(0_u32))
        .set(UPDATE_TIME, time(now))
        .set(LOCK_TIME, time(lock_time))
        .and_is(STATUS, number(seen.status_code))
        .and_is(UPDATE_TIME, time(seen.update_time))
        .and_is(LOCK, string(NOT_LOCKED));
    // A Python `save` drops `attempt`, which then counts as 0.
    let write = match seen.attempt {
        0 => write.and_absent_or_is(ATTEMPT, number(0_u32)),
        attempt => write.and_is(ATTEMPT, number(attempt)),
    };
    let mut after = seen.clone();
    set_head_status(&mut after, format, pending);
    after.retry = 0;
    after.update_time = now;
    after.lock_time = lock_time;
    (after, write)
}

/// Release of a task of which nothing could be read but what the start itself wrote.
pub(crate) fn release(
    format: &Format,
    key: &str,
    started_from: Option<u32>,
    me: &str,
    now: Timestamp,
) -> Expression {
    let status = released_to(format, started_from);
    set_status(free(Expression::new(), me, now), format, status, key)
        .set(UPDATE_TIME, time(now))
        .and_is(LOCK, string(me))
}

fn set_head_status(head: &mut TaskHead, format: &Format, status: Status) {
    head.status_code = status.code();
    head.status_name = format.status_name(status.code()).unwrap_or_default();
    head.role = format.role(status.code());
    head.shard_id = format.shard_of_value(&format.value(status, &head.key));
}

/// Where a release goes back to: `failed` where it is not known, so that the task is tried again. Python leaves
/// `started_from` as an earlier step has set it, from where this step cannot have started.
fn released_to(format: &Format, started_from: Option<u32>) -> Status {
    let started_from = started_from.filter(|code| format.ready().any(|ready| ready == *code));
    started_from.and_then(|code| format.status(code)).unwrap_or_else(|| format.own(Role::Failed))
}

fn set_status(write: Expression, format: &Format, status: Status, key: &str) -> Expression {
    write.set(VALUE, string(format.value(status, key))).set(STATUS, number(status.code()))
}

/// Frees the lock, and moves `lock_time` on: a late copy of a refused start must not fit.
fn free(write: Expression, me: &str, now: Timestamp) -> Expression {
    write.set(LOCK, string(NOT_LOCKED)).set(LOCK_TIME, time(now)).set(LAST_LOCK, string(me))
}

/// Writes the history as far as there is room for it. The next start must fit, too: the item has its size while
/// it is held already, and then comes what a first finish adds.
fn set_errors(write: Expression, head: &TaskHead, errors: &mut History, keep: Keep) -> Expression {
    const ADDED_BYTES: usize = 128;
    let room = ITEM_BYTES.saturating_sub(head.bytes_without_errors + ERRORS.len() + ADDED_BYTES);
    match errors.encode_within(keep, room) {
        Some(encoded) => write.set(ERRORS, encoded),
        None if keep == Keep::AsStored => write.remove(OWNER).remove(STARTED_FROM),
        None => write,
    }
}
