//! Protocols that lack one guard each: the checker must find out what each guard is for.

use super::evaluate::Sent;
use crate::item::attribute::time;
use crate::time::Timestamp;

/// The protocol, or it without one of its guards.
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
    /// The deadline of a start counts from when its answer came.
    DeadlineFromAnswer,
    /// A finish frees the lock and leaves `lock_time` as it is.
    FinishLeavesLockTime,
    /// A finish does not ask for its lock.
    FinishWithoutLock,
    /// A finish that finds neither its lock nor a trace counts as done, whatever the time.
    DoneAfterDeadline,
    /// A read after an unanswered finish that shows our lock says that it was not applied.
    SettledByOwnLock,
    /// A takeover asks for the lock that was seen, and not for its time.
    TakeoverPinsLockAlone,
    /// A takeover asks for the time that was seen, and not for its lock.
    TakeoverPinsTimeAlone,
    /// A lease is taken over as soon as it has expired by the thief's clock.
    TakeoverWithoutSkew,
    /// A takeover does not count as a failed attempt.
    TakeoverUncounted,
    /// A start does not ask for `lock_time` to be earlier.
    StartWithoutTime,
    /// A start asks for a free lock, or its own.
    StartOrOwnLock,
    /// A save that a heartbeat overtook counts as saved.
    SaveSuperseded,
    /// A save does not ask for `lock_time` to be earlier.
    SaveWithoutTime,
    /// A redrive asks for a free lock alone.
    RedriveUnpinned,
    /// A redrive moves `lock_time` back to its own clock's.
    RedriveSetsLockTimeBack,
    /// A create that finds an item believes that it is its own.
    CreateBelievesItem,
    /// A finish that is refused says that its outcome is not known, whatever it found.
    AlwaysUnknown,
    /// A start that finds its own lock says that somebody holds the task.
    RefusesOwnStart,
    /// As `pynamodb_mate` has it: nothing is taken over, a finish is not conditional, a start does not look at
    /// `lock_time`, and one that is refused not at what it found.
    PynamodbMate,
}

impl Mutant {
    /// All but the protocol itself.
    pub(super) const ALL: [Self; 22] = [
        Self::DeadlineFromLastSend,
        Self::MonotonicOnly,
        Self::WallOnly,
        Self::DeadlineFromAnswer,
        Self::FinishLeavesLockTime,
        Self::FinishWithoutLock,
        Self::DoneAfterDeadline,
        Self::SettledByOwnLock,
        Self::TakeoverPinsLockAlone,
        Self::TakeoverPinsTimeAlone,
        Self::TakeoverWithoutSkew,
        Self::TakeoverUncounted,
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

    pub(super) fn starts_go_by_time(self) -> bool {
        !matches!(self, Self::StartWithoutTime | Self::StartOrOwnLock | Self::PynamodbMate)
    }

    pub(super) fn knows_its_own_start(self) -> bool {
        !matches!(self, Self::RefusesOwnStart | Self::PynamodbMate)
    }

    pub(super) fn finishes_go_by_lock(self) -> bool {
        !matches!(self, Self::FinishWithoutLock | Self::PynamodbMate)
    }

    pub(super) fn start(self, mut sent: Sent) -> Sent {
        match self {
            Self::StartWithoutTime | Self::PynamodbMate => sent.without("#lock_time <"),
            Self::StartOrOwnLock => {
                sent.condition = format!("({}) OR #lock = {}", sent.condition, sent.value_set("#lock"));
            }
            _ => {}
        }
        sent
    }

    pub(super) fn take_over(self, mut sent: Sent) -> Sent {
        match self {
            Self::TakeoverPinsLockAlone => sent.without("#lock_time ="),
            Self::TakeoverPinsTimeAlone => sent.without("#lock ="),
            Self::TakeoverUncounted => sent.leaves("#retry"),
            _ => {}
        }
        sent
    }

    pub(super) fn save(self, mut sent: Sent) -> Sent {
        if self == Self::SaveWithoutTime {
            sent.without("#lock_time <");
        }
        sent
    }

    pub(super) fn finish(self, mut sent: Sent) -> Sent {
        match self {
            Self::FinishLeavesLockTime => sent.leaves("#lock_time"),
            Self::FinishWithoutLock | Self::PynamodbMate => sent.without("#lock ="),
            _ => {}
        }
        sent
    }

    pub(super) fn redrive(self, mut sent: Sent, now: Timestamp) -> Sent {
        match self {
            Self::RedriveUnpinned => {
                sent.without("#status =");
                sent.without("#update_time =");
                sent.without("#attempt =");
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

/// Edits of what is sent. One that finds nothing to edit fails: a mutant must be one.
impl Sent {
    /// Drops a part of the condition.
    fn without(&mut self, part: &str) {
        let parts: Vec<_> = self.condition.split(" AND ").collect();
        let kept: Vec<_> = parts.iter().copied().filter(|kept| !kept.starts_with(part)).collect();
        assert_eq!(kept.len() + 1, parts.len(), "{part} in {}", self.condition);
        self.condition = kept.join(" AND ");
    }

    /// Drops an assignment.
    fn leaves(&mut self, name: &str) {
        let assignment = format!("{name} = {}", self.value_set(name));
        let without = self.update.replace(&format!(", {assignment}"), "");
        let without = without.replace(&format!("SET {assignment}, "), "SET ");
        assert_ne!(without, self.update);
        self.update = without;
    }

    /// The placeholder of the value that is assigned.
    fn value_set(&self, name: &str) -> String {
        let assignment = format!("{name} = ");
        let mut after = self.update.split([',']).map(|part| part.trim_start_matches("SET").trim());
        let value = after.find_map(|part| part.strip_prefix(&*assignment));
        let value = value.and_then(|value| value.split(' ').next());
        value.expect("an assignment").to_owned()
    }
}
