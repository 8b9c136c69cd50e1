//! The writes that end an attempt, one for each outcome.

use super::backoff;
use super::clauses::{CANCELLED, at_status, expires_at, set_errors, set_head_status, set_or_remove};
use super::expression::Expression;
use super::outcome::{Outcome, Verdict};
use super::writes::Writes;
use crate::declare::status::Role;
use crate::item::attribute::{EXPIRES_AT, RETRY, RUN_AT, SNOOZES, number, time};
use crate::item::head::TaskHead;
use crate::item::history::{HistoryDetail, HistoryEntry};

impl Writes<'_> {
    /// Returns the task as it is after the finish, and the write.
    pub(crate) fn finish(
        &self,
        head: &TaskHead,
        outcome: &Outcome,
        detail: HistoryDetail,
    ) -> (TaskHead, Expression) {
        let mut after = head.clone();
        after.run_at = None;
        after.snoozes = 0;
        let ended = self.end(&mut after, head, outcome, detail);
        let status = match ended {
            Some(role) => self.use_case.status_of(role),
            None => self.released_to(head.started_from),
        };
        after.expires_at = ended.and_then(|role| expires_at(self.config, role, self.now));
        if detail == HistoryDetail::AsStored {
            // The item has no room for a new attribute.
            after.run_at = after.run_at.filter(|_| head.run_at.is_some());
            after.expires_at = after.expires_at.filter(|_| head.expires_at.is_some());
        }
        let snoozes = (after.snoozes > 0).then(|| number(after.snoozes));
        let mut write = at_status(self.freed(), self.use_case, status, &head.key);
        write = set_or_remove(write, RUN_AT, head.run_at.is_some(), after.run_at.map(time));
        write = set_or_remove(write, SNOOZES, head.snoozes > 0, snoozes);
        write = set_or_remove(write, EXPIRES_AT, head.expires_at.is_some(), after.expires_at.map(number));
        if ended.is_some() {
            write = write.set_to(RETRY, number(after.retry));
        }
        if matches!(outcome, Outcome::Cancelled(_)) {
            write = write.remove("#cancel, #cancel_note");
        }
        if ended.is_some_and(|role| role != Role::Succeeded) {
            write = set_errors(write, head, &mut after.errors, detail);
        } else if detail == HistoryDetail::AsStored {
            write = write.remove("#owner, #started_from");
        }
        set_head_status(&mut after, self.use_case, status);
        after.update_time = self.now;
        after.lock_time = self.now;
        after.lock = None;
        after.lease = None;
        after.lost_attempts = 0;
        after.last_lock = Some(self.lock_id.to_owned());
        (after, write)
    }

    /// Changes a head as the outcome changes the task. Returns the role of the new status, or none if the task
    /// returns to the status that the attempt started from.
    fn end(
        &self,
        after: &mut TaskHead,
        head: &TaskHead,
        outcome: &Outcome,
        detail: HistoryDetail,
    ) -> Option<Role> {
        match outcome {
            Outcome::Succeeded => {
                after.retry = 0;
                Some(Role::Succeeded)
            }
            Outcome::Failed { verdict: Verdict::Snooze(wait), .. } => {
                if head.snoozes < self.config.max_snoozes && has_room_for_snooze(head, detail) {
                    after.run_at = Some(self.now.plus(*wait));
                    after.snoozes = head.snoozes + 1;
                    return None;
                }
                // If a snooze were not counted, the task could be snoozed for ever.
                let in_a_row = head.snoozes;
                let error = format!(
                    "snoozed for {wait:?}, which counts as a failed attempt (snoozes in a row: {in_a_row})"
                );
                Some(self.fail(after, &error, "", Verdict::RetryAfter(*wait)))
            }
            Outcome::Failed { error, traceback, verdict } => {
                Some(self.fail(after, error, traceback, *verdict))
            }
            Outcome::Released => {
                after.run_at = head.run_at;
                after.snoozes = head.snoozes;
                None
            }
            Outcome::Cancelled(note) => {
                let entry = HistoryEntry::new(head.retry, self.now, CANCELLED, "").by_hand(note);
                let entry = self.of_own_attempt(head, entry);
                after.errors.push(entry, self.config.history_limit as usize);
                Some(Role::Ignored)
            }
        }
    }

    /// Adds this attempt, as it was started, to an entry.
    fn of_own_attempt(&self, started: &TaskHead, entry: HistoryEntry) -> HistoryEntry {
        entry.of_attempt(started.attempt, Some(self.owner), self.now.since(started.update_time))
    }

    /// Counts a failed attempt. Returns the role of the new status.
    fn fail(&self, after: &mut TaskHead, error: &str, traceback: &str, verdict: Verdict) -> Role {
        let next = backoff::next(after.retry, self.config.max_retry, verdict == Verdict::Fatal);
        let entry = self.of_own_attempt(after, HistoryEntry::new(next.retry, self.now, error, traceback));
        after.errors.push(entry, self.config.history_limit as usize);
        after.retry = next.retry;
        if next.ignored {
            return Role::Ignored;
        }
        let wait = match verdict {
            Verdict::RetryAfter(wait) => Some(wait),
            _ => backoff::wait(self.config.backoff, next.retry, self.lock_id),
        };
        after.run_at = wait.filter(|wait| !wait.is_zero()).map(|wait| self.now.plus(wait));
        Role::Failed
    }
}

/// Returns whether the item has room for the attributes that a snooze adds.
fn has_room_for_snooze(head: &TaskHead, detail: HistoryDetail) -> bool {
    detail != HistoryDetail::AsStored || (head.run_at.is_some() && head.snoozes > 0)
}
