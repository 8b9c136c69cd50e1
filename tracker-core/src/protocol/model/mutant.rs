//! Mutants: the protocol without one of its guards. The search must find what each guard is for.

use super::evaluate::Sent;
use crate::item::attribute::time;
use crate::time::Timestamp;

/// The protocol, or the protocol without one of its guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Mutant {
    /// The protocol as it is.
    None,
    /// The deadline counts from the last send, acknowledged or not.
    DeadlineFromLastSend,
    /// The holder goes by its monotonic clock alone.
    MonotonicOnly,
    /// The holder goes by its wall clock alone.
    WallOnly,
    /// The deadline of a start counts from its answer.
    DeadlineFromAnswer,
    /// A finish frees the lock and leaves `lock_time` as it is.
    FinishLeavesLockTime,
    /// A finish does not ask for its lock.
    FinishWithoutLock,
    /// A finish that finds no trace of itself counts as done within its own deadline.
    DoneWithinDeadline,
    /// A takeover does not store the lock that it took.
    TakeoverLeavesNoTrace,
    /// Whoever judges a lease goes by the length of its own lease.
    JudgedByOwnLease,
    /// A finish leaves the number of lost attempts as it is.
    FinishKeepsLosses,
    /// A start without an answer releases whatever attempt it finds.
    ReleasesAnyAttempt,
    /// A create counts an item with its `create_time` as its own.
    CreateComparesTimeAlone,
    /// A transaction of a success and its effect does not ask for the lock.
    TransactionWithoutLock,
    /// A success and its effect are two requests.
    EffectApart,
    /// A copy of the transaction has the success alone.
    EffectLeftOut,
    /// A failure that is recorded instead of a refused success counts as recorded, whichever of the two is stored.
    FailureBelievesItself,
    /// If the read after an unanswered finish shows our lock, the finish counts as not applied.
    SettledByOwnLock,
    /// A takeover pins the lock that was seen, but not its time.
    TakeoverPinsLockAlone,
    /// A takeover pins the time that was seen, but not its lock.
    TakeoverPinsTimeAlone,
    /// A lease is taken over without waiting for the skew.
    TakeoverWithoutSkew,
    /// A takeover does not count as a failed attempt.
    TakeoverUncounted,
    /// A start that expects a status does not ask for that status.
    StartTrustsIndex,
    /// A start does not compare `lock_time`.
    StartWithoutTime,
    /// A start also accepts its own lock, in any status and at any time.
    StartOrOwnLock,
    /// A save that a heartbeat overtook counts as saved.
    SaveSuperseded,
    /// A save does not compare `lock_time`.
    SaveWithoutTime,
    /// A redrive asks only for a free lock.
    RedriveUnpinned,
    /// A redrive sets `lock_time` to its own clock, even if that is earlier.
    RedriveSetsLockTimeBack,
    /// A create counts any item that it finds as its own.
    CreateBelievesItem,
    /// A finish whose condition failed is unknown, whatever the image shows.
    AlwaysUnknown,
    /// A start that finds its own lock is refused.
    RefusesOwnStart,
    /// The protocol of `pynamodb_mate`: no takeover, a finish without a condition, and a start that compares no
    /// `lock_time` and does not recognise its own write.
    PynamodbMate,
}

impl Mutant {
    /// All mutants.
    pub(super) const ALL: [Self; 32] = [
        Self::DeadlineFromLastSend,
        Self::MonotonicOnly,
        Self::WallOnly,
        Self::DeadlineFromAnswer,
        Self::FinishLeavesLockTime,
        Self::FinishWithoutLock,
        Self::DoneWithinDeadline,
        Self::TakeoverLeavesNoTrace,
        Self::JudgedByOwnLease,
        Self::FinishKeepsLosses,
        Self::ReleasesAnyAttempt,
        Self::CreateComparesTimeAlone,
        Self::TransactionWithoutLock,
        Self::EffectApart,
        Self::EffectLeftOut,
        Self::FailureBelievesItself,
        Self::SettledByOwnLock,
        Self::TakeoverPinsLockAlone,
        Self::TakeoverPinsTimeAlone,
        Self::TakeoverWithoutSkew,
        Self::TakeoverUncounted,
        Self::StartTrustsIndex,
        Self::StartWithoutTime,
        Self::StartOrOwnLock,
        Self::SaveSuperseded,
        Self::SaveWithoutTime,
        Self::RedriveUnpinned,
        Self::RedriveSetsLockTimeBack,
        Self::CreateBelievesItem,
        Self::AlwaysUnknown,
        Self::RefusesOwnStart,
        Self::PynamodbMate,
    ];

    /// Returns whether a start compares `lock_time`.
    pub(super) fn start_compares_lock_time(self) -> bool {
        !matches!(self, Self::StartWithoutTime | Self::StartOrOwnLock | Self::PynamodbMate)
    }

    /// Returns whether a start recognises its own write.
    pub(super) fn start_recognises_itself(self) -> bool {
        !matches!(self, Self::RefusesOwnStart | Self::PynamodbMate)
    }

    /// Returns whether a finish asks for its lock.
    pub(super) fn finish_asks_for_lock(self) -> bool {
        !matches!(self, Self::FinishWithoutLock | Self::TransactionWithoutLock | Self::PynamodbMate)
    }

    /// Returns a start without the guard.
    pub(super) fn start(self, mut sent: Sent) -> Sent {
        match self {
            Self::StartWithoutTime | Self::PynamodbMate => sent.without_condition("#lock_time <"),
            Self::StartOrOwnLock => {
                sent.condition = format!("({}) OR #lock = {}", sent.condition, sent.value_set("#lock"));
            }
            _ => {}
        }
        sent
    }

    /// Returns a start that expects a status, without the guard.
    pub(super) fn start_expected(self, mut sent: Sent) -> Sent {
        match self {
            Self::StartWithoutTime | Self::PynamodbMate => sent.without_condition("#lock_time <"),
            Self::StartTrustsIndex => sent.without_condition("#status ="),
            _ => {}
        }
        sent
    }

    /// Returns a takeover without the guard.
    pub(super) fn take_over(self, mut sent: Sent) -> Sent {
        match self {
            Self::TakeoverPinsLockAlone => sent.without_condition("#lock_time ="),
            Self::TakeoverPinsTimeAlone => sent.without_condition("#lock ="),
            Self::TakeoverUncounted => sent.without_assignment("#retry"),
            Self::TakeoverLeavesNoTrace => sent.without_assignment("#lost_lock"),
            _ => {}
        }
        sent
    }

    /// Returns a save or a heartbeat without the guard.
    pub(super) fn save(self, mut sent: Sent) -> Sent {
        if self == Self::SaveWithoutTime {
            sent.without_condition("#lock_time <");
        }
        sent
    }

    /// Returns a finish without the guard.
    pub(super) fn finish(self, mut sent: Sent, has_effect: bool) -> Sent {
        match self {
            Self::TransactionWithoutLock if has_effect => sent.without_condition("#lock ="),
            Self::FinishLeavesLockTime => sent.without_assignment("#lock_time"),
            Self::FinishKeepsLosses => sent.without_removal("#lost_attempts"),
            Self::FinishWithoutLock | Self::PynamodbMate => sent.without_condition("#lock ="),
            _ => {}
        }
        sent
    }

    /// Returns a redrive without the guard.
    pub(super) fn redrive(self, mut sent: Sent, now: Timestamp) -> Sent {
        match self {
            Self::RedriveUnpinned => {
                sent.without_condition("#status =");
                sent.without_condition("#update_time =");
                sent.without_condition("#attempt =");
            }
            Self::RedriveSetsLockTimeBack => {
                let value = sent.value_set("#lock_time");
                sent.values.insert(value, time(now));
            }
            _ => {}
        }
        sent
    }
}

/// Edits of an update. An edit that finds nothing to change panics, because its mutant would be the protocol itself.
impl Sent {
    /// Removes the part of the condition that begins with this text.
    fn without_condition(&mut self, part: &str) {
        let parts: Vec<_> = self.condition.split(" AND ").collect();
        let kept: Vec<_> = parts.iter().copied().filter(|kept| !kept.starts_with(part)).collect();
        assert_eq!(kept.len() + 1, parts.len(), "{part} in {}", self.condition);
        self.condition = kept.join(" AND ");
    }

    /// Removes the assignment of an attribute.
    fn without_assignment(&mut self, name: &str) {
        let assignment = format!("{name} = {}", self.value_set(name));
        let without = self.update.replace(&format!(", {assignment}"), "");
        let without = without.replace(&format!("SET {assignment}, "), "SET ");
        assert_ne!(without, self.update);
        self.update = without;
    }

    /// Keeps an attribute that the update removes.
    fn without_removal(&mut self, name: &str) {
        let without = self.update.replace(&format!(", {name}"), "");
        assert_ne!(without, self.update);
        self.update = without;
    }

    /// Returns the placeholder that is assigned to an attribute.
    fn value_set(&self, name: &str) -> String {
        let assignment = format!("{name} = ");
        let mut after = self.update.split([',']).map(|part| part.trim_start_matches("SET").trim());
        let value = after.find_map(|part| part.strip_prefix(&*assignment));
        let value = value.and_then(|value| value.split(' ').next());
        value.expect("an assignment").to_owned()
    }
}
