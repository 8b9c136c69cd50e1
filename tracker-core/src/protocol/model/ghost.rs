//! What is true, whatever anybody was told: seen from outside, and compared with the protocol's words.

use super::row::{Data, Row, Time};
use super::table::{How, Request, SKEW_TICKS};
use crate::declare::status::Role;

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Violation {
    /// Two workers hold the task, each by its own deadline.
    TwoHolders,
    /// A worker holds the task by its own deadline, and the table says otherwise.
    HolderNotInTable,
    /// One request was granted twice.
    StartedTwice,
    /// A start that was refused was granted later, by a copy that is older than the clocks' skew.
    LateStart,
    /// An attempt was recorded twice.
    TwoFinishes,
    /// A worker was told of a start that was not granted, or of another attempt than its own.
    FalseStarted,
    /// A worker was told that its finish is recorded, and it is not.
    FalseDone,
    /// A worker was told that its finish was not recorded, and it is, or was later.
    FalseLost,
    /// A worker was told that its data is saved, and it was not.
    FalseSaved,
    /// A program was told that it has created the task, and somebody else has; or the other way round.
    FalseCreated,
    /// An operator was told that the task is pending again, and it was not.
    FalseRedriven,
    /// A late write brought older data back.
    OldData,
    /// A late write brought an older lease back.
    OldLease,
    /// `attempt` does not grow by one at each attempt, and only then.
    AttemptMiscounted,
    /// A failed or lost attempt is not counted once.
    FailureMiscounted,
    /// One redrive was applied twice, or to a task that somebody held.
    RedriveMisapplied,
    /// The task cannot come to an end.
    Stuck,
    /// A task that kills its workers goes round for ever.
    Endless,
    /// A worker was told that its outcome is unknown, or was refused, and what it found tells that it was its own.
    KnownButNotTold,
}

/// What became of the lock of one start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Lock {
    /// The time of the last start or takeover that was granted.
    granted_at: Time,
    attempt: u8,
    refused: bool,
    /// The status that its finish has set; 0 while there is none.
    finished: u8,
    /// Its worker was told that the lease was lost, in answer to the finish.
    lost: bool,
    /// The latest version of the data that was written under it.
    saved: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Ghost {
    locks: Vec<Lock>,
    retry: u8,
    failures: u8,
    /// When the last write that freed the task was made; not known where its clock was off.
    freed_at: Option<u16>,
    redriven: u8,
    created: Option<Time>,
    pub(super) taken_over: u8,
    pub(super) ignored_by_takeover: bool,
    pub(super) violation: Option<Violation>,
}

impl Ghost {
    /// The lock of a new start.
    pub(super) fn new_lock(&mut self) -> u8 {
        self.locks.push(Lock::default());
        self.locks.len().try_into().expect("few starts")
    }

    pub(super) fn starts(&self) -> usize {
        self.locks.len()
    }

    fn lock(&mut self, lock: u8) -> &mut Lock {
        &mut self.locks[usize::from(lock) - 1]
    }

    pub(super) fn check(&mut self, holds: bool, violation: Violation) {
        if !holds && self.violation.is_none() {
            self.violation = Some(violation);
        }
    }

    /// A request was applied.
    pub(super) fn applied(&mut self, before: Option<Row>, after: Row, request: &Request, clocks_agree: bool) {
        let Some(before) = before else {
            self.created = Some(after.create_time);
            return;
        };
        let lock_id = request.lock_id();
        let is_granted =
            after.lock == lock_id && matches!(request, Request::Start { .. } | Request::TakeOver { .. });
        self.check(after.attempt == before.attempt + u8::from(is_granted), Violation::AttemptMiscounted);
        if is_granted {
            let lock = self.lock(lock_id);
            lock.attempt = after.attempt;
            // A start may be sent again, with a later time, once it was seen that the task is free.
            let once = lock.granted_at < after.lock_time && before.lock != lock_id;
            lock.granted_at = after.lock_time;
            self.check(once, Violation::StartedTwice);
        }
        match *request {
            Request::Start { sent_at, .. } => {
                let late = self.freed_at.is_some_and(|freed_at| freed_at > sent_at + SKEW_TICKS);
                let refused = self.lock(lock_id).refused;
                self.check(!(refused && late), Violation::LateStart);
            }
            Request::TakeOver { sent_at, .. } => {
                self.count_failure();
                self.taken_over += 1;
                if after.lock == 0 {
                    self.ignored_by_takeover = true;
                    self.freed_at = clocks_agree.then_some(sent_at);
                }
            }
            Request::Save { data, .. } => self.written(before, data),
            Request::Finish { how, data, sent_at, .. } => {
                let lock = self.lock(lock_id);
                let (first, lost) = (lock.finished == 0, lock.lost);
                lock.finished = after.status;
                self.check(first, Violation::TwoFinishes);
                self.check(!lost, Violation::FalseLost);
                self.freed_at = clocks_agree.then_some(sent_at);
                match how {
                    How::Succeeded => {
                        self.retry = 0;
                        self.written(before, Some(data));
                    }
                    How::Failed => self.count_failure(),
                    How::Released => {}
                }
            }
            Request::Redrive { sent_at, seen, .. } => {
                self.redriven += 1;
                let as_seen = before.attempt == seen.attempt && before.lock == 0;
                self.check(self.redriven == 1 && as_seen, Violation::RedriveMisapplied);
                self.retry = 0;
                self.freed_at = clocks_agree.then_some(sent_at);
            }
            Request::Create { .. } => {}
        }
        self.check(after.retry == self.retry && after.history == self.failures, Violation::FailureMiscounted);
        // After the harm that comes of it.
        self.check(before.lock_time <= after.lock_time, Violation::OldLease);
    }

    fn count_failure(&mut self) {
        self.retry += 1;
        self.failures += 1;
    }

    fn written(&mut self, before: Row, data: Option<Data>) {
        if let Some(data) = data {
            let older = before.data.lock == data.lock && data.version < before.data.version;
            self.check(!older, Violation::OldData);
            let lock = self.lock(data.lock);
            lock.saved = lock.saved.max(data.version);
        }
    }

    pub(super) fn told_refused(&mut self, lock_id: u8) {
        self.lock(lock_id).refused = true;
    }

    pub(super) fn told_started(&mut self, lock_id: u8, attempt: u8) {
        let lock = *self.lock(lock_id);
        self.check(lock.attempt == attempt, Violation::FalseStarted);
    }

    pub(super) fn told_saved(&mut self, data: Data) {
        let saved = self.lock(data.lock).saved;
        self.check(saved >= data.version, Violation::FalseSaved);
    }

    pub(super) fn told_done(&mut self, lock_id: u8, status: u8) {
        let finished = self.lock(lock_id).finished;
        self.check(finished == status, Violation::FalseDone);
    }

    /// A refusal, or an outcome that cannot be known, in view of this task.
    pub(super) fn told_nothing(&mut self, lock_id: u8, found: Option<Row>) {
        let ours = found.is_some_and(|found| found.lock == lock_id || found.last_lock == lock_id);
        self.check(!ours, Violation::KnownButNotTold);
    }

    pub(super) fn told_lost(&mut self, lock_id: u8) {
        let lock = self.lock(lock_id);
        lock.lost = true;
        let finished = lock.finished;
        self.check(finished == 0, Violation::FalseLost);
    }

    pub(super) fn told_created(&mut self, create_time: Time, created: bool) {
        self.check((self.created == Some(create_time)) == created, Violation::FalseCreated);
    }

    pub(super) fn told_redriven(&mut self) {
        self.check(self.redriven > 0, Violation::FalseRedriven);
    }
}

/// Whether a task in this role needs nobody any more.
pub(super) fn has_ended(role: Option<Role>) -> bool {
    matches!(role, Some(Role::Succeeded | Role::Ignored))
}
