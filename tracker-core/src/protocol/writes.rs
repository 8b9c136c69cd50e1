//! The writes of the protocol: each a pure function to an expression, and to the head of the task after it.

use std::sync::LazyLock;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::config::TrackerConfig;
use crate::declare::status::Role;
use crate::item::attribute::{
    ERRORS, EXPIRES_AT, ITEM_BYTES, NOT_LOCKED, OWNER, SNOOZES, STATUS, number, string, time,
};
use crate::item::head::TaskHead;
use crate::item::history::{History, HistoryDetail, HistoryEntry};
use crate::item::use_case::{Status, UseCase};
use crate::protocol::backoff;
use crate::protocol::expression::Expression;
use crate::time::Timestamp;

pub(crate) use super::finish::finish;
pub(crate) use super::operator::{cancel, redrive, request_cancel};

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
pub(super) const CANCELLED: &str = "cancelled on request";

/// Start: takes a free task that is ready.
pub(crate) fn start(
    use_case: &UseCase,
    config: &TrackerConfig,
    key: &str,
    lock_id: &str,
    owner: &str,
    now: Timestamp,
) -> Expression {
    // The second arm of the last condition is for items that another program left both ready and locked.
    static START: LazyLock<Expression> = LazyLock::new(|| {
        Expression::new()
            .set("#value = :value, #status = :status, #started_from = #status")
            .set("#lock = :lock_id, #lock_time = :now, #update_time = :now, #owner = :owner")
            // What an earlier step or attempt has left; a task at work must not be deleted.
            .remove("#cancel, #expires_at")
            .add("#attempt :one")
            .and("#lock_time < :now")
            .and("(attribute_not_exists(#run_at) OR #run_at <= :now)")
            .and("(#lock = :free OR #lock_time < :stale)")
            .with(":one", number(1_u32))
            .with(":free", string(NOT_LOCKED))
    });
    let stale = now.minus(config.lock_expire).minus(config.max_clock_skew);
    at_status(START.clone(), use_case, use_case.status_of(Role::InProgress), key)
        .with(":me", string(lock_id))
        .with(":now", time(now))
        .with(":owner", string(owner))
        .with(":stale", time(stale))
        .and_in(STATUS, use_case.ready().map(number))
}

/// Takeover of an expired lease, pinned to the lease that was seen; or giving the task up, if this was its
/// last attempt, or the attempt that was lost had been asked to end.
pub(crate) fn take_over(
    use_case: &UseCase,
    config: &TrackerConfig,
    seen: &TaskHead,
    lock_id: &str,
    owner: &str,
    now: Timestamp,
    keep: HistoryDetail,
) -> Expression {
    let cancelled = seen.is_cancel_requested();
    let next = backoff::next(seen.retry, config.max_retry, cancelled);
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
    let takeover = Expression::new()
        .set("#value = :value, #status = :status, #update_time = :now, #retry = :retry")
        .with(":retry", number(next.retry))
        .and("#lock = :seen_lock AND #lock_time = :seen_lock_time AND #status = :seen_status")
        .with(":seen_lock", string(seen.lock.as_deref().unwrap_or(NOT_LOCKED)))
        .with(":seen_lock_time", time(seen.lock_time))
        .with(":seen_status", number(seen.status_code))
        .with(":me", string(lock_id))
        .with(":now", time(now));
    let (status, takeover) = if next.ignored {
        let freed = takeover.set(FREE).with(":free", string(NOT_LOCKED));
        let expires_at = expires_at(config, Role::Ignored, now).filter(|_| keep != HistoryDetail::AsStored);
        let is_there = seen.expires_at.is_some();
        (
            use_case.status_of(Role::Ignored),
            set_or_remove(freed, EXPIRES_AT, is_there, expires_at.map(number)),
        )
    } else {
        let held = takeover
            .set("#lock = :lock_id, #lock_time = :now")
            .add("#attempt :one")
            .with(":one", number(1_u32));
        let held = set_or_remove(held, EXPIRES_AT, seen.expires_at.is_some(), None);
        // Where there is no room for the history, there may be none for another owner's name.
        let named = if keep == HistoryDetail::AsStored { held } else { held.set_to(OWNER, string(owner)) };
        (use_case.status_of(Role::InProgress), named)
    };
    // The holder that is lost has not put the task off.
    let takeover = set_or_remove(takeover, SNOOZES, seen.snoozes > 0, None);
    set_errors(at_status(takeover, use_case, status, &seen.key), seen, &mut errors, keep)
}

/// Save: renews the lease; what is saved is added by the caller.
pub(crate) fn save(lock_id: &str, now: Timestamp) -> Expression {
    static SAVE: LazyLock<Expression> = LazyLock::new(|| {
        Expression::new().set("#lock_time = :now").and("#lock = :lock_id AND #lock_time < :now")
    });
    SAVE.clone().with(":me", string(lock_id)).with(":now", time(now))
}

/// Heartbeat: renews the lease, unless the attempt was asked to end.
pub(crate) fn heartbeat(lock_id: &str, now: Timestamp) -> Expression {
    save(lock_id, now).and("(attribute_not_exists(#cancel) OR #cancel <> :lock_id)")
}

/// From when on a task that ended in a status at this time is deleted.
pub(super) fn expires_at(config: &TrackerConfig, role: Role, now: Timestamp) -> Option<u64> {
    let retain = match role {
        Role::Succeeded => config.retain,
        Role::Ignored => config.retain_ignored,
        _ => None,
    };
    now.plus(retain?).utc().timestamp().try_into().ok()
}

/// Sets an attribute that may be there already, or makes sure that it is not.
pub(super) fn set_or_remove(
    write: Expression,
    name: &'static str,
    is_there: bool,
    value: Option<AttributeValue>,
) -> Expression {
    match value {
        Some(value) => write.set_to(name, value),
        None if is_there => write.remove(&format!("#{name}")),
        None => write,
    }
}

/// Release of a task of which nothing could be read but what the start itself wrote.
pub(crate) fn release(
    use_case: &UseCase,
    key: &str,
    started_from: Option<u32>,
    lock_id: &str,
    now: Timestamp,
) -> Expression {
    at_status(freed(lock_id, now), use_case, released_to(use_case, started_from), key)
}

pub(super) fn set_head_status(head: &mut TaskHead, use_case: &UseCase, status: Status) {
    head.status_code = status.code();
    head.status_name = use_case.status_name(status.code()).unwrap_or_default();
    head.role = use_case.role(status.code());
    head.shard_id = use_case.shard_of_value(&use_case.value(status, &head.key));
}

/// Where a release goes back to: `failed` where it is not known, so that the task is tried again. Python leaves
/// `started_from` as an earlier step has set it, from where this step cannot have started.
pub(super) fn released_to(use_case: &UseCase, started_from: Option<u32>) -> Status {
    let started_from = started_from.filter(|code| use_case.ready().any(|ready| ready == *code));
    started_from.and_then(|code| use_case.status(code)).unwrap_or_else(|| use_case.status_of(Role::Failed))
}

/// Binds what a status is stored as.
pub(super) fn at_status(write: Expression, use_case: &UseCase, status: Status, key: &str) -> Expression {
    write.with(":value", string(use_case.value(status, key))).with(":status", number(status.code()))
}

/// Frees the lock, and moves `lock_time` on: a late copy of a refused start must not fit.
const FREE: &str = "#lock = :free, #lock_time = :now, #last_lock = :me";

/// The end of an attempt, whichever: frees the lock that it holds, and sets a status, which is to be bound.
pub(super) fn freed(lock_id: &str, now: Timestamp) -> Expression {
    static FREED: LazyLock<Expression> = LazyLock::new(|| {
        Expression::new()
            .set(FREE)
            .set("#value = :value, #status = :status, #update_time = :now")
            .and("#lock = :me")
            .with(":free", string(NOT_LOCKED))
    });
    FREED.clone().with(":me", string(lock_id)).with(":now", time(now))
}

/// Writes the history as far as there is room for it. The next start must fit, too: the item has its size while
/// it is held already, and then comes what a first finish adds.
pub(super) fn set_errors(
    write: Expression,
    head: &TaskHead,
    errors: &mut History,
    keep: HistoryDetail,
) -> Expression {
    const ADDED_BYTES: usize = 256;
    let room = ITEM_BYTES.saturating_sub(head.bytes_without_errors + ERRORS.len() + ADDED_BYTES);
    match errors.encode_within(keep, room) {
        Some(encoded) => write.set_to(ERRORS, encoded),
        None if keep == HistoryDetail::AsStored => write.remove("#owner, #started_from"),
        None => write,
    }
}
