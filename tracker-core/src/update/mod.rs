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

mod by_hand;
mod finish;

pub(crate) use self::by_hand::{cancel, redrive, request_cancel};
pub(crate) use self::finish::finish;

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
