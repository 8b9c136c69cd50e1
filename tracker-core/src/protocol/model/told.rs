//! What the workers are told, compared with what is true.

use super::ghost::Ghost;
use super::request::Change;
use super::row::{Data, Row};
use super::violation::Violation;

impl Ghost {
    /// A worker is told that its start is refused.
    pub(super) fn told_refused(&mut self, lock_id: u8) {
        self.lock(lock_id).refused = true;
    }

    /// A worker is told that it has started the task.
    pub(super) fn told_started(&mut self, lock_id: u8, attempt: u8) {
        let lock = *self.lock(lock_id);
        self.check(lock.attempt == attempt, Violation::FalseStarted);
    }

    /// A worker is told that its data is saved.
    pub(super) fn told_saved(&mut self, data: Data) {
        let saved = self.lock(data.lock).saved;
        self.check(saved >= data.version, Violation::FalseSaved);
    }

    /// A worker is told that its finish is recorded.
    pub(super) fn told_done(&mut self, lock_id: u8, status: u8) {
        let finished = self.lock(lock_id).finished;
        self.check(finished == status, Violation::FalseDone);
    }

    /// A worker is refused, or told that its outcome is unknown, after it has found this image.
    pub(super) fn told_nothing(&mut self, lock_id: u8, found: Option<Row>) {
        let ours = found.is_some_and(|found| found.lock == lock_id || found.last_lock == lock_id);
        self.check(!ours, Violation::KnownButNotTold);
    }

    /// A worker is told that its finish is not recorded, because the lease was lost.
    pub(super) fn told_lost(&mut self, lock_id: u8) {
        let lock = self.lock(lock_id);
        lock.lost = true;
        let finished = lock.finished;
        self.check(finished == 0, Violation::FalseLost);
    }

    /// A worker is told by a save or a heartbeat that it has lost its lease. The task is as it is in the table.
    pub(super) fn told_lease_lost(&mut self, lock_id: u8, row: Option<Row>) {
        self.check(row.is_none_or(|row| row.lock != lock_id), Violation::FalseLost);
    }

    /// A worker does not know whether its finish is recorded, after it has read this image.
    pub(super) fn told_unknown(&mut self, lock_id: u8, found: Option<Row>) {
        let is_recorded = found.is_some_and(|found| found.last_lock == lock_id);
        self.check(!is_recorded, Violation::KnownButNotTold);
    }

    /// A worker is told whether it has created the task.
    pub(super) fn told_created(&mut self, token: u8, created: bool) {
        let bit = 1 << (token % 8);
        self.creates_told |= bit;
        let was_applied = self.created & bit != 0;
        // Another task may have followed on the one that this create has made.
        let holds = if created { was_applied } else { !was_applied || self.born != token };
        self.check(holds, Violation::FalseCreated);
    }

    /// A worker is told that it has released the task by hand.
    pub(super) fn told_released(&mut self, lock_id: u8) {
        let released = self.lock(lock_id).finished != 0;
        self.check(released, Violation::FalseReleased);
    }

    /// A worker sends a change by hand.
    pub(super) fn change_sent(&mut self, change: Change) {
        self.changes_sent[change as usize] += 1;
    }

    /// Returns how many changes of a kind were sent.
    pub(super) fn changes_sent(&self, change: Change) -> u8 {
        self.changes_sent[change as usize]
    }

    /// A worker is told that its change is applied.
    pub(super) fn told_changed(&mut self, change: Change) {
        let violation = match change {
            Change::Redrive => Violation::FalseRedriven,
            Change::RunNow => Violation::FalseMadeDue,
            Change::Cancel => Violation::FalseCancelled,
        };
        self.check(self.changes[change as usize] > 0, violation);
    }

    /// A worker is told that the attempt was asked to end.
    pub(super) fn told_asked(&mut self, lock_id: u8) {
        let asked = self.lock(lock_id).asked;
        self.check(asked, Violation::FalseCancelled);
    }

    /// A worker is told that it cannot delete the task, or that the task that it has read is deleted.
    pub(super) fn told_of_delete(&mut self, born: u8, deleted: bool) {
        self.delete_told = true;
        self.check(!deleted || self.deletions > 0 || self.born != born, Violation::FalseDeleted);
    }
}
