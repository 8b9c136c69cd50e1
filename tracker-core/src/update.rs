//! The writes of the protocol: each a pure function to an expression, and to the head of the task after it.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::config::TrackerConfig;
use crate::expression::Expression;
use crate::format::{Format, Status};
use crate::history::{History, HistoryEntry, Keep};
use crate::item::{
    ATTEMPT, CANCEL, ERRORS, EXPIRES_AT, ITEM_BYTES, LAST_LOCK, LOCK, LOCK_TIME, NOT_LOCKED, OWNER, RETRY,
    RUN_AT, SNOOZES, STARTED_FROM, STATUS, UPDATE_TIME, VALUE, number, string, time,
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
        then: Then,
    },
    /// Back to where it was started from, not counted.
    Released,
    /// The same, and not to be started for this long.
    Snoozed {
        wait: Duration,
    },
    /// Given up on request.
    Cancelled,
}

/// What a failed attempt means for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// When the tracker's backoff says.
    Retry,
    RetryAfter(Duration),
    /// There is none.
    GiveUp,
}

/// What is recorded of a task that is given up on request.
const CANCELLED: &str = "cancelled on request";

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
        // What an earlier step or attempt has left; a task at work must not be deleted.
        .remove(CANCEL)
        .remove(EXPIRES_AT)
        .add(ATTEMPT, 1)
        .and_before(LOCK_TIME, time(now))
        .and_absent_or_by(RUN_AT, time(now));
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
/// last attempt, or the attempt that was lost had been asked to end.
pub(crate) fn take_over(
    format: &Format,
    config: &TrackerConfig,
    seen: &TaskHead,
    me: &str,
    owner: &str,
    now: Timestamp,
    keep: Keep,
) -> Expression {
    let cancelled = seen.is_cancel_requested();
    let next = retry::next(seen.retry, config.max_retry, cancelled);
    let holder = seen.owner.as_deref().unwrap_or("an unknown worker");
    let instead = if cancelled { CANCELLED } else { "its task was taken over" };
    let entry = HistoryEntry::new(
        next.retry,
        now,
        &format!("the lease expired: {holder} did not finish the attempt, and {instead}"),
        &format!("held since {}, taken over by {owner}", seen.lock_time),
    );
    let mut errors = seen.errors.clone();
    errors.push(entry, config.history_limit as usize);
    let (status, takeover) = if next.ignored {
        let freed = free(Expression::new(), me, now);
        let expires_at = expires_at(config, Role::Ignored, now).filter(|_| keep != Keep::AsStored);
        let is_there = seen.expires_at.is_some();
        (format.own(Role::Ignored), set_or_remove(freed, EXPIRES_AT, is_there, expires_at.map(number)))
    } else {
        let held = Expression::new().set(LOCK, string(me)).set(LOCK_TIME, time(now)).add(ATTEMPT, 1);
        let held = set_or_remove(held, EXPIRES_AT, seen.expires_at.is_some(), None);
        // Where there is no room for the history, there may be none for another owner's name.
        let named = if keep == Keep::AsStored { held } else { held.set(OWNER, string(owner)) };
        (format.own(Role::InProgress), named)
    };
    // The holder that is lost has not put the task off.
    let takeover = set_or_remove(takeover, SNOOZES, seen.snoozes > 0, None);
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

/// Heartbeat: renews the lease, unless the attempt was asked to end.
pub(crate) fn heartbeat(me: &str, now: Timestamp) -> Expression {
    save(me, now).and_absent_or_is_not(CANCEL, string(me))
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
    after.run_at = None;
    after.snoozes = 0;
    // The role in which the attempt ends the task, or lets it wait; none where it goes back.
    let ended = match outcome {
        Outcome::Succeeded => {
            after.retry = 0;
            Some(Role::Succeeded)
        }
        Outcome::Failed { error, traceback, then } => {
            Some(fail(&mut after, config, me, (error, traceback), *then, now))
        }
        Outcome::Released => {
            after.run_at = head.run_at;
            after.snoozes = head.snoozes;
            None
        }
        Outcome::Snoozed { wait } if head.snoozes < config.max_snoozes && fits(head, keep) => {
            after.run_at = Some(now.plus(*wait));
            after.snoozes = head.snoozes + 1;
            None
        }
        // One that cannot be counted would have no end.
        Outcome::Snoozed { wait } => {
            let error = format!("put off for {wait:?}, after {} times in a row", head.snoozes);
            Some(fail(&mut after, config, me, (&error, ""), Then::RetryAfter(*wait), now))
        }
        Outcome::Cancelled => {
            let entry = HistoryEntry::new(head.retry, now, CANCELLED, "");
            after.errors.push(entry, config.history_limit as usize);
            Some(Role::Ignored)
        }
    };
    let status = ended.map_or_else(|| released_to(format, head.started_from), |role| format.own(role));
    after.expires_at = ended.and_then(|role| expires_at(config, role, now));
    if keep == Keep::AsStored {
        // There is no room for what was not there before.
        after.run_at = after.run_at.filter(|_| head.run_at.is_some());
        after.expires_at = after.expires_at.filter(|_| head.expires_at.is_some());
    }
    let mut write = set_status(free(Expression::new(), me, now), format, status, &head.key)
        .set(UPDATE_TIME, time(now))
        .and_is(LOCK, string(me));
    write = set_or_remove(write, RUN_AT, head.run_at.is_some(), after.run_at.map(time));
    write =
        set_or_remove(write, SNOOZES, head.snoozes > 0, (after.snoozes > 0).then(|| number(after.snoozes)));
    write = set_or_remove(write, EXPIRES_AT, head.expires_at.is_some(), after.expires_at.map(number));
    if ended.is_some() {
        write = write.set(RETRY, number(after.retry));
    }
    if matches!(outcome, Outcome::Cancelled) {
        write = write.remove(CANCEL);
    }
    if ended.is_some_and(|role| role != Role::Succeeded) {
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

/// Whether there is room for what a snooze adds.
fn fits(head: &TaskHead, keep: Keep) -> bool {
    keep != Keep::AsStored || (head.run_at.is_some() && head.snoozes > 0)
}

/// Counts a failed attempt of a task, and gives what it is then.
fn fail(
    after: &mut TaskHead,
    config: &TrackerConfig,
    me: &str,
    (error, traceback): (&str, &str),
    then: Then,
    now: Timestamp,
) -> Role {
    let next = retry::next(after.retry, config.max_retry, then == Then::GiveUp);
    let entry = HistoryEntry::new(next.retry, now, error, traceback);
    after.errors.push(entry, config.history_limit as usize);
    after.retry = next.retry;
    if next.ignored {
        return Role::Ignored;
    }
    let wait = match then {
        Then::RetryAfter(wait) => Some(wait),
        _ => retry::wait(config.backoff, next.retry, me),
    };
    after.run_at = wait.filter(|wait| !wait.is_zero()).map(|wait| now.plus(wait));
    Role::Failed
}

/// Redrive of a task that was read: the task as it is afterwards, and the write, pinned to what was seen.
pub(crate) fn redrive(format: &Format, seen: &TaskHead, now: Timestamp) -> (TaskHead, Expression) {
    let (mut after, write) = by_hand(format, Role::Pending, seen, now);
    let write = write.set(RETRY, number(0_u32));
    let write = set_or_remove(write, EXPIRES_AT, seen.expires_at.is_some(), None);
    after.retry = 0;
    after.expires_at = None;
    (after, write)
}

/// Giving up a free task on request: the task as it is afterwards, and the write, pinned to what was seen.
pub(crate) fn cancel(
    format: &Format,
    config: &TrackerConfig,
    seen: &TaskHead,
    owner: &str,
    now: Timestamp,
    keep: Keep,
) -> (TaskHead, Expression) {
    let (mut after, write) = by_hand(format, Role::Ignored, seen, now);
    let entry = HistoryEntry::new(seen.retry, now, CANCELLED, &format!("by {owner}"));
    after.errors.push(entry, config.history_limit as usize);
    after.expires_at = expires_at(config, Role::Ignored, now);
    let write = set_or_remove(write, EXPIRES_AT, seen.expires_at.is_some(), after.expires_at.map(number));
    let write = set_errors(write, seen, &mut after.errors, keep);
    (after, write)
}

/// The request that the attempt of a lock ends.
pub(crate) fn request_cancel(lock: &str) -> Expression {
    Expression::new().set(CANCEL, string(lock)).and_is(LOCK, string(lock))
}

/// Sets a free task to another status, pinned to what was seen.
fn by_hand(format: &Format, to: Role, seen: &TaskHead, now: Timestamp) -> (TaskHead, Expression) {
    let to = format.own(to);
    let now = now.after(seen.update_time);
    let lock_time = now.max(seen.lock_time);
    let write = set_status(Expression::new(), format, to, &seen.key)
        .set(UPDATE_TIME, time(now))
        .set(LOCK_TIME, time(lock_time))
        .and_is(STATUS, number(seen.status_code))
        .and_is(UPDATE_TIME, time(seen.update_time))
        .and_is(LOCK, string(NOT_LOCKED));
    let write = set_or_remove(write, RUN_AT, seen.run_at.is_some(), None);
    let write = set_or_remove(write, SNOOZES, seen.snoozes > 0, None);
    // A Python `save` drops `attempt`, which then counts as 0.
    let write = match seen.attempt {
        0 => write.and_absent_or_is(ATTEMPT, number(0_u32)),
        attempt => write.and_is(ATTEMPT, number(attempt)),
    };
    let mut after = seen.clone();
    set_head_status(&mut after, format, to);
    after.run_at = None;
    after.snoozes = 0;
    after.update_time = now;
    after.lock_time = lock_time;
    (after, write)
}

/// From when on a task that ended in a status at this time is deleted.
fn expires_at(config: &TrackerConfig, role: Role, now: Timestamp) -> Option<u64> {
    let retain = match role {
        Role::Succeeded => config.retain,
        Role::Ignored => config.retain_ignored,
        _ => None,
    };
    now.plus(retain?).utc().timestamp().try_into().ok()
}

/// Sets an attribute that may be there already, or makes sure that it is not.
fn set_or_remove(
    write: Expression,
    name: &'static str,
    is_there: bool,
    value: Option<AttributeValue>,
) -> Expression {
    match value {
        Some(value) => write.set(name, value),
        None if is_there => write.remove(name),
        None => write,
    }
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
    const ADDED_BYTES: usize = 256;
    let room = ITEM_BYTES.saturating_sub(head.bytes_without_errors + ERRORS.len() + ADDED_BYTES);
    match errors.encode_within(keep, room) {
        Some(encoded) => write.set(ERRORS, encoded),
        None if keep == Keep::AsStored => write.remove(OWNER).remove(STARTED_FROM),
        None => write,
    }
}
