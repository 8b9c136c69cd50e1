//! An operator's writes: redrive, run now, cancel, release, delete, and the request to cancel an attempt.

use super::clauses::{
    CANCELLED, at_status, expires_at, room_for_errors, set_errors, set_head_status, set_or_remove,
};
use super::expression::Expression;
use super::writes::{LostTo, Writes};
use crate::declare::status::Role;
use crate::item::attribute::{
    CANCEL_NOTE, ERRORS, EXPIRES_AT, ITEM_BYTES_WITH_DATA, Item, LOCK, LOCK_TIME, LOST_ATTEMPTS, NOT_LOCKED,
    RETRY, RUN_AT, SNOOZES, STATUS, UPDATE_TIME, number, size_of, string, time,
};
use crate::item::head::TaskHead;
use crate::item::history::{HistoryDetail, HistoryEntry, Note};

/// The texts of the history's entries for what is done by hand, if somebody says who does it.
pub(crate) const REDRIVEN: &str = "redriven by hand";
pub(crate) const MADE_DUE: &str = "made due by hand";
/// The most bytes of the note of a request to cancel, as AWS measures an update.
const CANCEL_NOTE_BYTES: usize = 400;

impl Writes<'_> {
    /// Returns the task as it is after a redrive, and the write, pinned to the task that was seen.
    pub(crate) fn redrive(&self, seen: &TaskHead, note: &Note) -> (TaskHead, Expression) {
        let (mut after, write) = self.set_free_task(seen, Role::Pending);
        let write = self.note(write, &mut after, REDRIVEN, note);
        let write = write.set_to(RETRY, number(0_u32));
        let write = set_or_remove(write, EXPIRES_AT, seen.expires_at.is_some(), None);
        after.retry = 0;
        after.expires_at = None;
        (after, write)
    }

    /// Returns the free task as it is after a cancel, and the write, pinned to the task that was seen.
    pub(crate) fn cancel(
        &self,
        seen: &TaskHead,
        note: &Note,
        detail: HistoryDetail,
    ) -> (TaskHead, Expression) {
        let (mut after, write) = self.set_free_task(seen, Role::Ignored);
        let entry = HistoryEntry::new(seen.retry, self.now, CANCELLED, &format!("by {}", self.owner));
        after.errors.push(entry.by_hand(note), self.config.history_limit as usize);
        after.expires_at = expires_at(self.config, Role::Ignored, self.now);
        let write = set_or_remove(write, EXPIRES_AT, seen.expires_at.is_some(), after.expires_at.map(number));
        let write = set_errors(write, seen, &mut after.errors, detail);
        (after, write)
    }

    /// Returns the task that waits for its time as it is if it can be started at once, and the write, pinned to the task that
    /// was seen. The task keeps its place in the queue.
    pub(crate) fn run_now(&self, seen: &TaskHead, note: &Note) -> (TaskHead, Expression) {
        // A late copy of a start that was refused must not fit.
        let lock_time = self.now.max(seen.lock_time);
        let write = Expression::new()
            .set("#lock_time = :lock_time")
            .remove("#run_at")
            .and("#run_at = :seen_run_at")
            .with(":seen_run_at", time(seen.run_at.unwrap_or(self.now)))
            .with(":lock_time", time(lock_time));
        let write = pinned(write, seen);
        let mut after = TaskHead { run_at: None, lock_time, ..seen.clone() };
        let write = self.note(write, &mut after, MADE_DUE, note);
        (after, write)
    }

    /// Returns the release of a task whose lease has expired, pinned to the lease that was seen. The lost attempt counts as
    /// failed. If it was the last one, or had been asked to cancel, the task is ignored.
    pub(crate) fn release_expired(&self, seen: &TaskHead, note: &Note, detail: HistoryDetail) -> Expression {
        self.end_lost_attempt(seen, LostTo::Nobody(note), detail)
    }

    /// Adds to the history what somebody did by hand, if the item has room.
    fn note(&self, write: Expression, after: &mut TaskHead, what: &str, note: &Note) -> Expression {
        if note.is_empty() {
            return write;
        }
        let mut errors = after.errors.clone();
        let entry = HistoryEntry::new(after.retry, self.now, what, "").by_hand(note);
        errors.push(entry, self.config.history_limit as usize);
        match errors.encode(HistoryDetail::All) {
            Some(encoded) if size_of(&encoded) <= room_for_errors(after) => {
                after.errors = errors;
                write.set_to(ERRORS, encoded)
            }
            _ => write,
        }
    }

    /// Sets a free task to another status, pinned to the task that was seen.
    fn set_free_task(&self, seen: &TaskHead, role: Role) -> (TaskHead, Expression) {
        let status = self.use_case.status_of(role);
        let now = self.now.after(seen.update_time);
        let lock_time = now.max(seen.lock_time);
        let write = Expression::new()
            .set("#value = :value, #status = :status, #update_time = :now, #lock_time = :lock_time")
            .with(":now", time(now))
            .with(":lock_time", time(lock_time));
        let write = pinned(write, seen);
        let write = at_status(write, self.use_case, status, &seen.key);
        let write = set_or_remove(write, RUN_AT, seen.run_at.is_some(), None);
        let write = set_or_remove(write, SNOOZES, seen.snoozes > 0, None);
        let write = set_or_remove(write, LOST_ATTEMPTS, seen.lost_attempts > 0, None);
        // A Python `save` drops `attempt`, which then counts as 0.
        let write = match seen.attempt {
            0 => write.and("(attribute_not_exists(#attempt) OR #attempt = :attempt)"),
            _ => write.and("#attempt = :attempt"),
        };
        let write = write.with(":attempt", number(seen.attempt));
        let mut after = seen.clone();
        set_head_status(&mut after, self.use_case, status);
        after.run_at = None;
        after.snoozes = 0;
        after.lost_attempts = 0;
        after.update_time = now;
        after.lock_time = lock_time;
        (after, write)
    }
}

/// Pins a write to a free task that was seen.
fn pinned(write: Expression, seen: &TaskHead) -> Expression {
    write
        .and("#status = :seen_status AND #update_time = :seen_update_time AND #lock = :free")
        .with(":seen_status", number(seen.status_code))
        .with(":seen_update_time", time(seen.update_time))
        .with(":free", string(NOT_LOCKED))
}

/// Returns the request to cancel. It applies only to the attempt that holds this lock, which records the note.
/// The note is left out if the item needs its room for the end of the attempt.
pub(crate) fn request_cancel(seen: &TaskHead, lock: &str, note: &Note) -> Expression {
    let has_room = seen.bytes_without_errors + seen.errors_bytes + CANCEL_NOTE_BYTES <= ITEM_BYTES_WITH_DATA;
    let request = Expression::new().set("#cancel = :lock").and("#lock = :lock").with(":lock", string(lock));
    match note.to_brief_text().filter(|_| has_room) {
        Some(text) => request.set_to(CANCEL_NOTE, string(text)),
        None => request.remove("#cancel_note"),
    }
}

/// Returns the condition of a delete of a task as it was read. A late copy of a delete deletes nothing that was written since.
pub(crate) fn delete_as_read(item: &Item) -> Expression {
    [LOCK, LOCK_TIME, STATUS, UPDATE_TIME].into_iter().fold(Expression::new(), |condition, name| {
        match item.get(name) {
            Some(value) => {
                condition.and(&format!("#{name} = :seen_{name}")).with(format!(":seen_{name}"), value.clone())
            }
            // Another program has written the item.
            None => condition.and(&format!("attribute_not_exists(#{name})")),
        }
    })
}

/// Returns the condition that a free task which expires is still as it was seen.
pub(crate) fn as_seen(seen: &TaskHead) -> Expression {
    Expression::new()
        .and("#create_time = :seen_create_time AND #update_time = :seen_update_time")
        .and("#lock = :free AND #expires_at = :seen_expires_at")
        .with(":seen_create_time", time(seen.create_time))
        .with(":seen_update_time", time(seen.update_time))
        .with(":free", string(NOT_LOCKED))
        .with(":seen_expires_at", number(seen.expires_at.unwrap_or_default()))
}

/// Returns the condition of a delete of any task. It always holds.
pub(crate) fn delete_always() -> Expression {
    Expression::new().and("attribute_not_exists(#key) OR attribute_exists(#key)")
}
