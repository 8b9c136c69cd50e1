//! What is true, seen from outside. The model compares it with what the workers are told.

use super::row::{Data, Row, Time};
use super::table::{self, How, Request, SKEW_TICKS};
use crate::declare::status::Role;

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Violation {
    /// Two workers hold the task, each by its own deadline.
    TwoHolders,
    /// A worker holds the task by its own deadline, and the table has another lock.
    HolderNotInTable,
    /// A start was granted twice.
    StartedTwice,
    /// A start was granted although the task was not ready, or did not note the status that the task had.
    UnreadyStarted,
    /// A start that was refused was granted later, although the task was freed after the copy was sent, by more than
    /// the skew.
    LateStart,
    /// The end of an attempt was recorded twice.
    TwoFinishes,
    /// A worker was told of a start that was not granted, or of a wrong attempt number.
    FalseStarted,
    /// A worker was told that its finish is recorded, and it is not.
    FalseDone,
    /// A worker was told that its finish was not recorded, and it was recorded, before or later.
    FalseLost,
    /// A worker was told that its data is saved, and it was not.
    FalseSaved,
    /// `lost_attempts` does not count the attempts that were lost in a row.
    LossMiscounted,
    /// A worker was told that it has created the task, and another worker has; or the other way round.
    FalseCreated,
    /// A worker was told that it has redriven the task, and no redrive was applied.
    FalseRedriven,
    /// A worker was told that it has released the task by hand, and no such release was applied.
    FalseReleased,
    /// A late write put older data back.
    OldData,
    /// A write set `lock_time` back.
    OldLease,
    /// `attempt` did not grow by one with a start or a takeover, or changed with another write.
    AttemptMiscounted,
    /// `retry` or the history does not count each failed or lost attempt once.
    FailureMiscounted,
    /// A redrive was applied twice, or to a task that was started since it was seen.
    RedriveMisapplied,
    /// The effect of an attempt was not written exactly once if the attempt has succeeded, or was written although it has not.
    EffectMiscounted,
    /// The task cannot end.
    Stuck,
    /// A task that kills its workers is never ignored.
    Endless,
    /// A worker was refused, or told that its outcome is unknown, although the image shows its own lock.
    KnownButNotTold,
}

/// What has become of one start and its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Lock {
    /// The time of the last start or takeover that was granted.
    granted_at: Time,
    attempt: u8,
    /// Whether its worker was told that the start is refused.
    refused: bool,
    /// The status that its finish has set; 0 before.
    finished: u8,
    /// Whether its worker was told, after its finish, that the lease was lost.
    lost: bool,
    /// The latest version of the data that was written under this lock.
    saved: u8,
    /// How often its effect was written.
    effects: u8,
    /// Whether its success was to have an effect.
    has_effect: bool,
}

/// What is true.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Ghost {
    locks: Vec<Lock>,
    /// The failed and lost attempts in a row.
    retry: u8,
    /// All failed and lost attempts.
    failures: u8,
    /// When the last write that freed the task was sent; not known once a clock was off.
    freed_at: Option<u16>,
    /// How many redrives were applied.
    redriven: u8,
    /// The token of the create that was applied.
    created: Option<u8>,
    /// The lost attempts in a row.
    losses: u8,
    /// How many takeovers were applied.
    pub(super) taken_over: u8,
    /// Whether a takeover has ignored the task.
    pub(super) ignored_by_takeover: bool,
    /// Whether a release by hand has freed the task.
    pub(super) freed_by_hand: bool,
    /// The first promise that was broken.
    pub(super) violation: Option<Violation>,
}

impl Ghost {
    /// Returns the lock of a new start.
    pub(super) fn new_lock(&mut self) -> u8 {
        self.locks.push(Lock::default());
        self.locks.len().try_into().expect("few starts")
    }

    /// Returns how many starts there were.
    pub(super) fn starts(&self) -> usize {
        self.locks.len()
    }

    fn lock(&mut self, lock: u8) -> &mut Lock {
        &mut self.locks[usize::from(lock) - 1]
    }

    /// Records a violation, unless the promise holds or another violation came first.
    pub(super) fn check(&mut self, holds: bool, violation: Violation) {
        if !holds && self.violation.is_none() {
            self.violation = Some(violation);
        }
    }

    /// Takes note of a request that was applied.
    pub(super) fn applied(&mut self, before: Option<Row>, after: Row, request: &Request, clocks_agree: bool) {
        let Some(before) = before else {
            self.created = Some(after.lost_lock);
            return;
        };
        let lock_id = request.lock_id();
        let is_granted =
            after.lock == lock_id && matches!(request, Request::Start { .. } | Request::TakeOver { .. });
        self.check(after.attempt == before.attempt + u8::from(is_granted), Violation::AttemptMiscounted);
        if is_granted {
            let lock = self.lock(lock_id);
            lock.attempt = after.attempt;
            // A start may be sent again, with a later time, after its worker has seen that the task is free.
            let once = lock.granted_at < after.lock_time && before.lock != lock_id;
            lock.granted_at = after.lock_time;
            self.check(once, Violation::StartedTwice);
        }
        match *request {
            Request::Start { step, sent_at, .. } => {
                let was_ready = table::ready(step).contains(&before.status);
                self.check(was_ready && after.started_from == before.status, Violation::UnreadyStarted);
                let late = self.freed_at.is_some_and(|freed_at| freed_at > sent_at + SKEW_TICKS);
                let refused = self.lock(lock_id).refused;
                self.check(!(refused && late), Violation::LateStart);
            }
            Request::TakeOver { sent_at, frees, .. } => {
                if frees {
                    let lock = self.lock(lock_id);
                    let first = lock.finished == 0;
                    lock.finished = after.status;
                    self.freed_by_hand = true;
                    self.check(first && after.lock == 0, Violation::TwoFinishes);
                }
                self.count_failure();
                self.losses += 1;
                self.taken_over += 1;
                if after.lock == 0 {
                    self.ignored_by_takeover = true;
                    self.freed_at = clocks_agree.then_some(sent_at);
                }
            }
            Request::Save { data, .. } => self.written(before, data),
            Request::Finish { how, data, sent_at, effect, .. } => {
                let lock = self.lock(lock_id);
                let (first, lost) = (lock.finished == 0, lock.lost);
                lock.finished = after.status;
                lock.effects += u8::from(effect);
                self.check_effect(lock_id);
                self.check(first, Violation::TwoFinishes);
                self.check(!lost, Violation::FalseLost);
                self.losses = 0;
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
                self.losses = 0;
                self.freed_at = clocks_agree.then_some(sent_at);
            }
            Request::Create { .. } | Request::Effect { .. } => {}
        }
        self.check(after.retry == self.retry && after.history == self.failures, Violation::FailureMiscounted);
        self.check(after.lost_attempts == self.losses, Violation::LossMiscounted);
        // Checked last: if the older lease does harm at once, the harm is the violation.
        self.check(before.lock_time <= after.lock_time, Violation::OldLease);
    }

    /// Takes note of an effect that was written alone.
    pub(super) fn effect_applied(&mut self, lock_id: u8) {
        self.lock(lock_id).effects += 1;
        self.check_effect(lock_id);
    }

    /// A worker decides that its attempt succeeds, with an effect.
    pub(super) fn effect_decided(&mut self, lock_id: u8) {
        self.lock(lock_id).has_effect = true;
    }

    /// Checks that the effect of an attempt is written once if the attempt has succeeded, and else not at all.
    fn check_effect(&mut self, lock_id: u8) {
        let Lock { finished, effects, has_effect, .. } = *self.lock(lock_id);
        let expected = u8::from(has_effect && matches!(finished, 16 | 26));
        self.check(effects == expected, Violation::EffectMiscounted);
    }

    /// Counts a failed or lost attempt.
    fn count_failure(&mut self) {
        self.retry += 1;
        self.failures += 1;
    }

    /// Takes note of data that was written.
    fn written(&mut self, before: Row, data: Option<Data>) {
        if let Some(data) = data {
            let older = before.data.lock == data.lock && data.version < before.data.version;
            self.check(!older, Violation::OldData);
            let lock = self.lock(data.lock);
            lock.saved = lock.saved.max(data.version);
        }
    }

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

    /// A worker is told whether it has created the task.
    pub(super) fn told_created(&mut self, token: u8, created: bool) {
        self.check((self.created == Some(token)) == created, Violation::FalseCreated);
    }

    /// A worker is told that it has released the task by hand.
    pub(super) fn told_released(&mut self, lock_id: u8) {
        let released = self.lock(lock_id).finished != 0;
        self.check(released, Violation::FalseReleased);
    }

    /// A worker is told that it has redriven the task.
    pub(super) fn told_redriven(&mut self) {
        self.check(self.redriven > 0, Violation::FalseRedriven);
    }
}

/// Returns whether a task in this role has ended.
pub(super) fn has_ended(role: Option<Role>) -> bool {
    matches!(role, Some(Role::Succeeded | Role::Ignored))
}
