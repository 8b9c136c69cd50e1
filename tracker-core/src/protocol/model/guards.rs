//! The writes of each mutant: without the guard that it lacks.

use std::rc::Rc;

use super::evaluate::Sent;
use super::how::How;
use super::mutant::Mutant;
use super::request::Change;
use crate::item::attribute::time;
use crate::item::head::TaskHead;
use crate::time::Timestamp;

/// The clause of a start about the lock.
const STALE_LOCK: &str = "(#lock = :free OR (#lock_time < :stale AND attribute_not_exists(#lease_ms)))";

impl Mutant {
    /// Returns whether a finish, a save and a request to cancel ask for their lock.
    pub(super) fn asks_for_lock(self) -> bool {
        !matches!(
            self,
            Self::FinishWithoutLock
                | Self::TransactionWithoutLock
                | Self::SaveWithoutLock
                | Self::AskWithoutLock
        )
    }

    /// Returns whether a change by hand asks only for a free lock.
    pub(super) fn change_is_unpinned(self) -> bool {
        matches!(self, Self::RedriveUnpinned | Self::CancelUnpinned | Self::RunNowUnpinned)
    }

    /// Returns a start without the guard.
    pub(super) fn start(self, mut sent: Sent) -> Sent {
        match self {
            Self::StartWithoutTime | Self::PynamodbMate => sent.without_condition("#lock_time <"),
            Self::StartOrOwnLock => {
                sent.condition = format!("({}) OR #lock = {}", sent.condition, sent.value_set("#lock"));
            }
            Self::StartBeforeDue => sent.without_condition("(attribute_not_exists(#run_at)"),
            Self::StartWithoutStale => sent.replace_condition(STALE_LOCK, "#lock = :free"),
            Self::StartIgnoresLock => sent.replace_condition(STALE_LOCK, "attribute_exists(#lock)"),
            Self::StartJudgesByOwnLease => {
                sent.replace_condition(STALE_LOCK, "(#lock = :free OR #lock_time < :stale)");
            }
            Self::StartKeepsExpiry => sent.without_removal("#expires_at"),
            Self::StartKeepsCancel => sent.without_removal("#cancel"),
            _ => {}
        }
        sent
    }

    /// Returns a start that expects a status, without the guard.
    pub(super) fn start_expected(self, mut sent: Sent, has_run_at: bool) -> Sent {
        match self {
            Self::StartWithoutTime | Self::PynamodbMate => sent.without_condition("#lock_time <"),
            Self::StartTrustsIndex => sent.without_condition("#status ="),
            Self::StartExpectedIgnoresLock => sent.without_condition("#lock ="),
            Self::StartExpectedBeforeDue if has_run_at => sent.without_condition("#run_at <="),
            Self::StartExpectedBeforeDue => sent.without_condition("attribute_not_exists(#run_at)"),
            _ => {}
        }
        sent
    }

    /// Returns the task that a takeover has seen, without what the mutant overlooks.
    pub(super) fn lost(self, seen: &Rc<TaskHead>) -> Rc<TaskHead> {
        match self {
            Self::TakeoverOverlooksCancel => Rc::new(TaskHead { cancel: None, ..TaskHead::clone(seen) }),
            _ => Rc::clone(seen),
        }
    }

    /// Returns a takeover without the guard.
    pub(super) fn take_over(self, mut sent: Sent) -> Sent {
        match self {
            Self::TakeoverPinsLockAlone => sent.without_condition("#lock_time ="),
            Self::TakeoverPinsTimeAlone => sent.without_condition("#lock ="),
            Self::TakeoverOverlooksCancel | Self::TakeoverMissesCancel
                if sent.condition.contains("#cancel") =>
            {
                sent.without_condition("NOT #cancel =");
            }
            Self::TakeoverUncounted => sent.without_assignment("#retry"),
            Self::TakeoverLeavesAttempt if sent.update.contains("ADD") => sent.without_addition("#attempt"),
            Self::TakeoverLeavesNoTrace => sent.without_assignment("#lost_lock"),
            Self::TakeoverKeepsSnoozes if sent.removes("#snoozes") => sent.without_removal("#snoozes"),
            _ => {}
        }
        sent
    }

    /// Returns a save without the guard, or a heartbeat if it `asks` for a request to cancel.
    pub(super) fn save(self, mut sent: Sent, asks: bool) -> Sent {
        match self {
            Self::SaveWithoutTime => sent.without_condition("#lock_time <"),
            Self::SaveWithoutLock => sent.without_condition("#lock ="),
            Self::HeartbeatOverlooksCancel if asks => sent.without_condition("NOT #cancel ="),
            _ => {}
        }
        sent
    }

    /// Returns a finish without the guard.
    pub(super) fn finish(self, mut sent: Sent, has_effect: bool, how: How) -> Sent {
        match self {
            Self::TransactionWithoutLock if has_effect => sent.without_condition("#lock ="),
            Self::FinishLeavesNoTrace => sent.without_assignment("#last_lock"),
            Self::FinishLeavesLockTime => sent.without_assignment("#lock_time"),
            Self::FailureUncounted if how == How::Failed => sent.without_assignment("#retry"),
            Self::FailureLeavesHistory if how == How::Failed => sent.without_assignment("#errors"),
            Self::FinishKeepsLosses => sent.without_removal("#lost_attempts"),
            Self::FinishWithoutLock => sent.without_condition("#lock ="),
            Self::FinishKeepsRunAt if sent.removes("#run_at") => sent.without_removal("#run_at"),
            Self::FinishKeepsSnoozes if sent.removes("#snoozes") => sent.without_removal("#snoozes"),
            Self::SnoozeUncounted if how == How::Snoozed && sent.update.contains("#snoozes =") => {
                sent.without_assignment("#snoozes");
            }
            _ => {}
        }
        sent
    }

    /// Returns a change by hand without the guard.
    pub(super) fn change(self, mut sent: Sent, change: Change, now: Timestamp) -> Sent {
        match (self, change) {
            (Self::RedriveUnpinned, Change::Redrive) | (Self::CancelUnpinned, Change::Cancel) => {
                sent.without_condition("#status =");
                sent.without_condition("#update_time =");
                let is_first = sent.condition.contains("(attribute_not_exists(#attempt)");
                sent.without_condition(if is_first { "(attribute_not" } else { "#attempt =" });
            }
            (Self::RunNowUnpinned, Change::RunNow) => {
                sent.without_condition("#status =");
                sent.without_condition("#update_time =");
                sent.without_condition("#run_at =");
            }
            (Self::RunNowLeavesLockTime, Change::RunNow) => sent.without_assignment("#lock_time"),
            (Self::RedriveSetsLockTimeBack, Change::Redrive)
            | (Self::CancelSetsLockTimeBack, Change::Cancel) => {
                let value = sent.value_set("#lock_time");
                sent.values.insert(value, time(now));
            }
            (Self::RedriveKeepsExpiry, Change::Redrive) if sent.removes("#expires_at") => {
                sent.without_removal("#expires_at");
            }
            _ => {}
        }
        sent
    }

    /// Returns a request to cancel without the guard.
    pub(super) fn ask(self, mut sent: Sent) -> Sent {
        if self == Self::AskWithoutLock {
            sent.without_condition("#lock =");
        }
        sent
    }

    /// Returns the condition of a delete without the guard.
    pub(super) fn delete(self, mut sent: Sent) -> Sent {
        match self {
            Self::DeleteUnpinned => {
                sent.without_condition("#lock =");
                sent.without_condition("#status =");
                sent.without_condition("#lock_time =");
                sent.without_condition("#update_time =");
            }
            Self::DeletePinsLockAlone => {
                sent.without_condition("#status =");
                sent.without_condition("#lock_time =");
                sent.without_condition("#update_time =");
            }
            Self::DeleteWithoutTime => sent.without_condition("#lock_time ="),
            _ => {}
        }
        sent
    }

    /// Returns the condition of a create that replaces a task, without the guard.
    pub(super) fn replace(self, mut sent: Sent) -> Sent {
        if self == Self::ReplaceUnpinned {
            sent.without_condition("#update_time =");
            sent.without_condition("#lock =");
            sent.without_condition("#expires_at =");
        }
        sent
    }
}
