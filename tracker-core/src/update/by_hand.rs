//! What is set by hand on a task that nobody works on, and the request to whoever does.

use super::{CANCELLED, expires_at, set_errors, set_head_status, set_or_remove, set_status};
use crate::config::TrackerConfig;
use crate::expression::Expression;
use crate::format::Format;
use crate::history::{HistoryEntry, Keep};
use crate::item::{
    ATTEMPT, CANCEL, EXPIRES_AT, LOCK, LOCK_TIME, NOT_LOCKED, RETRY, RUN_AT, SNOOZES, STATUS, UPDATE_TIME,
    number, string, time,
};
use crate::status::Role;
use crate::task::TaskHead;
use crate::time::Timestamp;

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
