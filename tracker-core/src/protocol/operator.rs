//! What is set by hand on a task that nobody works on, and the request to whoever does.

use super::writes::{CANCELLED, at_status, expires_at, set_errors, set_head_status, set_or_remove};
use crate::config::TrackerConfig;
use crate::declare::status::Role;
use crate::item::attribute::{EXPIRES_AT, NOT_LOCKED, RETRY, RUN_AT, SNOOZES, number, string, time};
use crate::item::head::TaskHead;
use crate::item::history::{HistoryDetail, HistoryEntry};
use crate::item::use_case::UseCase;
use crate::protocol::expression::Expression;
use crate::time::Timestamp;

/// Redrive of a task that was read: the task as it is afterwards, and the write, pinned to what was seen.
pub(crate) fn redrive(use_case: &UseCase, seen: &TaskHead, now: Timestamp) -> (TaskHead, Expression) {
    let (mut after, write) = by_hand(use_case, Role::Pending, seen, now);
    let write = write.set_to(RETRY, number(0_u32));
    let write = set_or_remove(write, EXPIRES_AT, seen.expires_at.is_some(), None);
    after.retry = 0;
    after.expires_at = None;
    (after, write)
}

/// Giving up a free task on request: the task as it is afterwards, and the write, pinned to what was seen.
pub(crate) fn cancel(
    use_case: &UseCase,
    config: &TrackerConfig,
    seen: &TaskHead,
    owner: &str,
    now: Timestamp,
    keep: HistoryDetail,
) -> (TaskHead, Expression) {
    let (mut after, write) = by_hand(use_case, Role::Ignored, seen, now);
    let entry = HistoryEntry::new(seen.retry, now, CANCELLED, &format!("by {owner}"));
    after.errors.push(entry, config.history_limit as usize);
    after.expires_at = expires_at(config, Role::Ignored, now);
    let write = set_or_remove(write, EXPIRES_AT, seen.expires_at.is_some(), after.expires_at.map(number));
    let write = set_errors(write, seen, &mut after.errors, keep);
    (after, write)
}

/// The request that the attempt of a lock ends.
pub(crate) fn request_cancel(lock: &str) -> Expression {
    Expression::new().set("#cancel = :lock").and("#lock = :lock").with(":lock", string(lock))
}

/// Sets a free task to another status, pinned to what was seen.
fn by_hand(use_case: &UseCase, to: Role, seen: &TaskHead, now: Timestamp) -> (TaskHead, Expression) {
    let to = use_case.status_of(to);
    let now = now.after(seen.update_time);
    let lock_time = now.max(seen.lock_time);
    let write = Expression::new()
        .set("#value = :value, #status = :status, #update_time = :now, #lock_time = :lock_time")
        .and("#status = :seen_status AND #update_time = :seen_update_time AND #lock = :free")
        .with(":now", time(now))
        .with(":lock_time", time(lock_time))
        .with(":seen_status", number(seen.status_code))
        .with(":seen_update_time", time(seen.update_time))
        .with(":free", string(NOT_LOCKED));
    let write = at_status(write, use_case, to, &seen.key);
    let write = set_or_remove(write, RUN_AT, seen.run_at.is_some(), None);
    let write = set_or_remove(write, SNOOZES, seen.snoozes > 0, None);
    // A Python `save` drops `attempt`, which then counts as 0.
    let write = match seen.attempt {
        0 => write.and("(attribute_not_exists(#attempt) OR #attempt = :attempt)"),
        _ => write.and("#attempt = :attempt"),
    };
    let write = write.with(":attempt", number(seen.attempt));
    let mut after = seen.clone();
    set_head_status(&mut after, use_case, to);
    after.run_at = None;
    after.snoozes = 0;
    after.update_time = now;
    after.lock_time = lock_time;
    (after, write)
}
