//! What is true, seen from outside. The model compares it with what the workers are told.

use super::bounds::SENDS;
use super::how::How;
use super::python::Python;
use super::request::{Change, Request};
use super::row::{Data, Row, Time};
use super::steps::{MAX_SNOOZES, SKEW_TICKS, WAIT, ready};
use super::violation::Violation;
use crate::declare::status::Role;

/// What has become of one request of a start, and of its attempt.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Lock {
    /// Whether a start or takeover with this lock was granted.
    granted: bool,
    pub(super) attempt: u8,
    /// The task that the start was sent for, by the token of its create; 0 if there was none.
    sent_for: u8,
    /// Whether its worker was told that the start is refused.
    pub(super) refused: bool,
    /// The status that its finish has set; 0 before.
    pub(super) finished: u8,
    /// Whether its worker was told, after its finish, that the lease was lost.
    pub(super) lost: bool,
    /// Whether a request to cancel has reached it.
    pub(super) asked: bool,
    /// The latest version of the data that was written under this lock.
    pub(super) saved: u8,
    /// How often its effect was written.
    effects: u8,
    /// Whether its success was to have an effect.
    has_effect: bool,
}

/// What is true.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Ghost {
    /// The locks of all starts: each has one for each request that it may send.
    locks: Vec<Lock>,
    /// The failed and lost attempts in a row.
    retry: u8,
    /// All failed, lost and cancelled attempts, and the cancels of a free task.
    failures: u8,
    /// When the last write that freed the task was sent; not known once a clock was off.
    freed_at: Option<u16>,
    /// How many changes by hand of each kind were sent, and how many were applied.
    pub(super) changes_sent: [u8; 3],
    pub(super) changes: [u8; 3],
    /// The token of the create that made the present task, or the last one; 0 before.
    pub(super) born: u8,
    /// The tokens of all creates that were applied, one bit for each.
    pub(super) created: u8,
    /// The tokens of all creates whose workers were told a result, one bit for each.
    pub(super) creates_told: u8,
    /// The lost attempts in a row.
    losses: u8,
    snoozes: u8,
    /// The time before which the task is not started.
    run_at: Time,
    /// Whether a worker was told what has become of its delete.
    pub(super) delete_told: bool,
    /// How often the task was deleted, by hand or because its time was over.
    pub(super) deletions: u8,
    /// How many takeovers were applied.
    pub(super) taken_over: u8,
    /// Whether a takeover has ignored the task.
    pub(super) ignored_by_takeover: bool,
    /// Whether a release by hand has freed the task.
    pub(super) freed_by_hand: bool,
    /// Whether an attempt has ended in a snooze.
    pub(super) was_snoozed: bool,
    /// Whether an attempt has ended because it was asked to.
    pub(super) ended_on_request: bool,
    /// Whether only what workers are told is checked.
    only_told: bool,
    /// The first promise that was broken.
    pub(super) violation: Option<Violation>,
}

/// A request that was applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) request: Request,
    /// Whether a worker waits for its answer.
    pub(super) is_awaited: bool,
    pub(super) clocks_agree: bool,
}

impl Ghost {
    /// Returns what is true in the beginning.
    pub(super) fn new(row: Option<Row>, only_told: bool) -> Self {
        let (born, run_at) = row.map_or((0, Time::NEVER), |row| (row.born, row.run_at));
        Self { born, run_at, only_told, ..Self::default() }
    }

    /// Counts a start, or a release by hand. Returns the first of its locks: it has one for each request, and the others follow.
    pub(super) fn begin_start(&mut self) -> u8 {
        self.locks.extend([Lock::default(); SENDS]);
        u8::try_from(self.locks.len() - SENDS).expect("few starts") + 1
    }

    /// A start sends a request with this lock.
    pub(super) fn start_sent(&mut self, lock: u8) {
        self.lock(lock).sent_for = self.born;
    }

    /// Returns how many starts there were.
    pub(super) fn starts(&self) -> usize {
        self.locks.len() / SENDS
    }

    /// Returns whether the worker of a create was told a result.
    pub(super) fn was_told_of_create(&self, token: u8) -> bool {
        self.creates_told & (1 << (token % 8)) != 0
    }

    /// Returns whether a start was sent for a task that was deleted since.
    pub(super) fn is_for_old_task(&self, lock: u8) -> bool {
        let sent_for = self.locks[usize::from(lock) - 1].sent_for;
        sent_for != 0 && sent_for != self.born
    }

    pub(super) fn lock(&mut self, lock: u8) -> &mut Lock {
        &mut self.locks[usize::from(lock) - 1]
    }

    /// Records a violation, unless the promise holds or another violation came first.
    pub(super) fn check(&mut self, holds: bool, violation: Violation) {
        let counts = violation.is_about_told() || !self.only_told;
        if !holds && counts && self.violation.is_none() {
            self.violation = Some(violation);
        }
    }

    /// Takes note of a request that was applied.
    pub(super) fn applied(&mut self, before: Option<Row>, after: Row, written: &Written) {
        let Written { request, is_awaited, clocks_agree } = *written;
        if let Request::Create { token, .. } = request {
            return self.put(before, after, token, is_awaited);
        }
        let Some(before) = before else {
            return self.check(false, Violation::Revived);
        };
        self.check_task(&before, &request, is_awaited);
        self.check_asked(&before, &after, &request);
        let lock_id = request.lock_id();
        let is_granted =
            after.lock == lock_id && matches!(request, Request::Start { .. } | Request::TakeOver { .. });
        self.check(after.attempt == before.attempt + u8::from(is_granted), Violation::AttemptMiscounted);
        if is_granted {
            let lock = self.lock(lock_id);
            lock.attempt = after.attempt;
            // A finish is recognised by its lock.
            let once = !std::mem::replace(&mut lock.granted, true);
            self.check(once, Violation::GrantedTwice);
        }
        match request {
            Request::Start { step, sent_at, now, .. } => {
                let was_ready = ready(step).contains(&before.status);
                self.check(was_ready && after.started_from == before.status, Violation::UnreadyStarted);
                self.check(before.run_at <= now, Violation::StartedEarly);
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
                self.snoozes = 0;
                self.taken_over += 1;
                if after.lock == 0 {
                    self.ignored_by_takeover |= !frees;
                    self.freed_at = clocks_agree.then_some(sent_at);
                }
            }
            Request::Save { data, .. } => {
                self.check(before.lock == lock_id, Violation::ForeignWrite);
                self.written(before, data);
            }
            Request::Finish { how, now, data, sent_at, effect, .. } => {
                let lock = self.lock(lock_id);
                let (first, lost) = (lock.finished == 0, lock.lost);
                lock.finished = after.status;
                lock.effects += u8::from(effect);
                self.check_effect(lock_id);
                self.check(first, Violation::TwoFinishes);
                self.check(!lost, Violation::FalseLost);
                self.losses = 0;
                self.freed_at = clocks_agree.then_some(sent_at);
                self.ended(how, now, &after);
                if how == How::Succeeded {
                    self.written(before, Some(data));
                }
            }
            Request::Change { change, sent_at, seen, .. } => {
                self.changes[change as usize] += 1;
                let once = self.changes[change as usize] <= self.changes_sent[change as usize];
                let as_seen = before.attempt == seen.attempt && before.lock == 0;
                let as_waiting = change != Change::RunNow || before.run_at == seen.run_at;
                self.check(once && as_seen && as_waiting, Violation::ChangeMisapplied);
                self.run_at = Time::NEVER;
                self.freed_at = clocks_agree.then_some(sent_at);
                if change != Change::RunNow {
                    self.retry = if change == Change::Redrive { 0 } else { self.retry };
                    self.failures += u8::from(change == Change::Cancel);
                    (self.losses, self.snoozes) = (0, 0);
                }
            }
            Request::Ask { lock, .. } => self.lock(lock).asked = true,
            Request::Python { write, lock } => self.python_wrote(write, lock, &after),
            Request::Create { .. } | Request::Delete { .. } | Request::Effect { .. } => {}
        }
        self.check(after.retry == self.retry && after.history == self.failures, Violation::FailureMiscounted);
        self.check(after.lost_attempts == self.losses, Violation::LossMiscounted);
        self.check(after.snoozes == self.snoozes, Violation::SnoozeMiscounted);
        self.check(after.run_at == self.run_at, Violation::WaitMisset);
        if let Request::Python { .. } = request {
            return;
        }
        // Checked last: if the older lease does harm at once, the harm is the violation.
        self.check(before.lock_time <= after.lock_time, Violation::OldLease);
    }

    /// Takes note of a write of Python's.
    fn python_wrote(&mut self, write: Python, lock: u8, after: &Row) {
        match write {
            Python::Start { .. } => self.lock(lock).granted = true,
            Python::Finish { succeeded, .. } => {
                // Python leaves `lock_time`, so a late copy of a start may fit.
                self.freed_at = None;
                self.lock(lock).finished = after.status;
                if succeeded {
                    self.retry = 0;
                } else {
                    self.count_failure();
                }
            }
            Python::Save { .. } | Python::Reset => {}
        }
    }

    /// Takes note of a task that was created.
    fn put(&mut self, before: Option<Row>, after: Row, token: u8, is_awaited: bool) {
        let bit = 1 << (token % 8);
        // A create may be late if its worker has crashed. One that was applied or answered must not come back.
        let is_new = (self.created | self.creates_told) & bit == 0;
        self.check(is_new || is_awaited, Violation::Revived);
        if let Some(before) = before {
            self.removed(before);
        }
        self.created |= bit;
        self.born = token;
        (self.retry, self.failures, self.losses, self.snoozes) = (0, 0, 0, 0);
        self.run_at = after.run_at;
        self.freed_at = None;
    }

    /// Checks that a request changes the task that it was made for, and no later task with the same id.
    fn check_task(&mut self, before: &Row, request: &Request, is_awaited: bool) {
        let is_meant = match request {
            // A start that its worker still sends may get the new task.
            Request::Start { lock_id, .. } => {
                let lock = self.lock(*lock_id);
                if is_awaited && lock.sent_for != before.born {
                    *lock = Lock { sent_for: before.born, ..Lock::default() };
                }
                lock.sent_for == 0 || lock.sent_for == before.born
            }
            Request::Save { lock_id, .. } => self.lock(*lock_id).sent_for == before.born,
            _ => request.meant_for().is_none_or(|seen| seen.born == before.born),
        };
        self.check(is_meant, Violation::ForeignTask);
    }

    /// Checks that a request to cancel reaches the attempt that it names, and lasts until that attempt ends.
    fn check_asked(&mut self, before: &Row, after: &Row, request: &Request) {
        if let Request::Ask { lock, .. } = request {
            self.check(before.lock == *lock, Violation::CancelMisdirected);
        }
        if before.lock == 0 || before.cancel != before.lock {
            return;
        }
        let is_renewed = matches!(request, Request::Save { asks: true, .. });
        let is_kept = after.lock == before.lock && after.cancel == before.cancel && !is_renewed;
        let runs_on = after.lock != 0;
        self.check(is_kept || !runs_on, Violation::CancelForgotten);
    }

    /// Takes note of the end of an attempt.
    fn ended(&mut self, how: How, now: Time, after: &Row) {
        let is_ignored = matches!(after.status, 18 | 28);
        let snoozes = self.snoozes;
        let waits = now.later(WAIT.into());
        match how {
            How::Released => return,
            How::Snoozed if snoozes < MAX_SNOOZES => {
                (self.snoozes, self.run_at) = (snoozes + 1, waits);
                self.was_snoozed = true;
                return;
            }
            How::Succeeded => self.retry = 0,
            How::Failed | How::FailedToWait | How::Snoozed => self.count_failure(),
            How::Cancelled => {
                self.failures += 1;
                self.ended_on_request = true;
            }
        }
        let has_wait = matches!(how, How::FailedToWait | How::Snoozed) && !is_ignored;
        self.snoozes = 0;
        self.run_at = if has_wait { waits } else { Time::NEVER };
    }

    /// Takes note of a task that DynamoDB has deleted, or that a create has replaced.
    pub(super) fn removed(&mut self, row: Row) {
        self.deletions += 1;
        let has_ended = row.lock == 0 && matches!(row.status, 16 | 18 | 26 | 28);
        self.check(has_ended, Violation::RemovedUnfinished);
    }

    /// Takes note of a delete that was applied.
    pub(super) fn deleted(&mut self, before: &Row, request: &Request, is_awaited: bool) {
        self.deletions += 1;
        self.check_task(before, request, is_awaited);
        self.check(is_awaited || !self.delete_told, Violation::LateDelete);
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
}

/// Returns whether a task in this role has ended.
pub(super) fn has_ended(role: Option<Role>) -> bool {
    matches!(role, Some(Role::Succeeded | Role::Ignored))
}
