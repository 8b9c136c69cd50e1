//! The end of an attempt, in each of its ways.

use super::writes::{
    CANCELLED, Outcome, Then, at_status, expires_at, freed, released_to, set_errors, set_head_status,
    set_or_remove,
};
use crate::config::TrackerConfig;
use crate::declare::status::Role;
use crate::item::attribute::{EXPIRES_AT, RETRY, RUN_AT, SNOOZES, number, time};
use crate::item::head::TaskHead;
use crate::item::history::{HistoryDetail, HistoryEntry};
use crate::item::use_case::UseCase;
use crate::protocol::backoff;
use crate::protocol::expression::Expression;
use crate::time::Timestamp;

/// Finish: the task as it is afterwards, and the write that makes it so.
pub(crate) fn finish(
    use_case: &UseCase,
    config: &TrackerConfig,
    head: &TaskHead,
    lock_id: &str,
    outcome: &Outcome,
    now: Timestamp,
    keep: HistoryDetail,
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
            Some(fail(&mut after, config, lock_id, (error, traceback), *then, now))
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
            Some(fail(&mut after, config, lock_id, (&error, ""), Then::RetryAfter(*wait), now))
        }
        Outcome::Cancelled => {
            let entry = HistoryEntry::new(head.retry, now, CANCELLED, "");
            after.errors.push(entry, config.history_limit as usize);
            Some(Role::Ignored)
        }
    };
    let status =
        ended.map_or_else(|| released_to(use_case, head.started_from), |role| use_case.status_of(role));
    after.expires_at = ended.and_then(|role| expires_at(config, role, now));
    if keep == HistoryDetail::AsStored {
        // There is no room for what was not there before.
        after.run_at = after.run_at.filter(|_| head.run_at.is_some());
        after.expires_at = after.expires_at.filter(|_| head.expires_at.is_some());
    }
    let mut write = at_status(freed(lock_id, now), use_case, status, &head.key);
    write = set_or_remove(write, RUN_AT, head.run_at.is_some(), after.run_at.map(time));
    write =
        set_or_remove(write, SNOOZES, head.snoozes > 0, (after.snoozes > 0).then(|| number(after.snoozes)));
    write = set_or_remove(write, EXPIRES_AT, head.expires_at.is_some(), after.expires_at.map(number));
    if ended.is_some() {
        write = write.set_to(RETRY, number(after.retry));
    }
    if matches!(outcome, Outcome::Cancelled) {
        write = write.remove("#cancel");
    }
    if ended.is_some_and(|role| role != Role::Succeeded) {
        write = set_errors(write, head, &mut after.errors, keep);
    } else if keep == HistoryDetail::AsStored {
        write = write.remove("#owner, #started_from");
    }
    set_head_status(&mut after, use_case, status);
    after.update_time = now;
    after.lock_time = now;
    after.lock = None;
    after.last_lock = Some(lock_id.to_owned());
    (after, write)
}

/// Whether there is room for what a snooze adds.
fn fits(head: &TaskHead, keep: HistoryDetail) -> bool {
    keep != HistoryDetail::AsStored || (head.run_at.is_some() && head.snoozes > 0)
}

/// Counts a failed attempt of a task, and gives what it is then.
fn fail(
    after: &mut TaskHead,
    config: &TrackerConfig,
    lock_id: &str,
    (error, traceback): (&str, &str),
    then: Then,
    now: Timestamp,
) -> Role {
    let next = backoff::next(after.retry, config.max_retry, then == Then::GiveUp);
    let entry = HistoryEntry::new(next.retry, now, error, traceback);
    after.errors.push(entry, config.history_limit as usize);
    after.retry = next.retry;
    if next.ignored {
        return Role::Ignored;
    }
    let wait = match then {
        Then::RetryAfter(wait) => Some(wait),
        _ => backoff::wait(config.backoff, next.retry, lock_id),
    };
    after.run_at = wait.filter(|wait| !wait.is_zero()).map(|wait| now.plus(wait));
    Role::Failed
}
