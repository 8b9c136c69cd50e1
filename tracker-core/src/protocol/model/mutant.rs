//! Mutants: the protocol without one of its guards. The search must find what each guard is for.

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
    /// A save that a heartbeat overtook counts as refused because the lease is lost.
    OvertakenSaveIsLost,
    /// A write of a holder has the time of its clock, even if that is earlier than its last write.
    WritesGoByClock,
    /// A save does not compare `lock_time`.
    SaveWithoutTime,
    /// A redrive asks only for a free lock.
    RedriveUnpinned,
    /// A redrive sets `lock_time` to its own clock, even if that is earlier.
    RedriveSetsLockTimeBack,
    /// A create counts any item that it finds as its own.
    CreateBelievesItem,
    /// A create that finds its token replaced counts the task as another's.
    CreateWithoutTraceIsOther,
    /// A create replaces a task that counts as deleted, whatever has become of the task since it was read.
    ReplaceUnpinned,
    /// A copy of a create arrives after its task was deleted.
    OldCreatesStay,
    /// A copy of a start arrives after its task was deleted and created again.
    OldStartsStay,
    /// A delete pins nothing that was read.
    DeleteUnpinned,
    /// A delete goes by the length of its own lease, although the holder has stored the length of its lease.
    DeleteJudgesByOwnLease,
    /// A delete pins the lock alone.
    DeletePinsLockAlone,
    /// A delete does not pin `lock_time`.
    DeleteWithoutTime,
    /// A finish that finds its own attempt number counts as not recorded, although a Python `save` may have dropped it.
    SameAttemptIsLost,
    /// A finish that finds the next attempt held counts as not recorded, although Python may hold it.
    PythonIsSuccessor,
    /// A redrive that finds its status and its time counts as applied, although another task may have followed.
    RedriveBelievesTime,
    /// A run now leaves `lock_time`.
    RunNowLeavesLockTime,
    /// All requests of a start have the same lock. What a worker is then told wrongly needs four leases: a test of
    /// `late_requests.rs` shows it.
    RequestsShareLock,
    /// A start that finds a held task counts the attempt as its own.
    StartBelievesItem,
    /// A takeover counts no attempt.
    TakeoverLeavesAttempt,
    /// A failure does not count itself.
    FailureUncounted,
    /// A failure leaves the history.
    FailureLeavesHistory,
    /// A delete that is refused counts as applied if another write has changed `update_time` since the task was read.
    DeleteBelievesChange,
    /// A request to cancel that is refused counts as recorded.
    AskBelievesRefusal,
    /// A cancel of a free task that is refused counts as applied.
    CancelBelievesRefusal,
    /// A run now that is refused counts as applied if the task has no `run_at` any more.
    RunNowBelievesDue,
    /// A release by hand that is refused counts as applied if the task is free.
    ReleaseBelievesFree,
    /// A finish does not compare `create_time`.
    FinishIgnoresCreateTime,
    /// A finish that finds no task counts as not recorded.
    FinishLostIfGone,
    /// A save or a heartbeat does not ask for its lock.
    SaveWithoutLock,
    /// A request to cancel does not ask for the lock that it names.
    AskWithoutLock,
    /// A heartbeat does not ask whether its attempt was asked to cancel.
    HeartbeatOverlooksCancel,
    /// A takeover runs a task again whose lost attempt was asked to cancel.
    TakeoverOverlooksCancel,
    /// A takeover does not ask whether the attempt was asked to cancel since it was seen.
    TakeoverMissesCancel,
    /// A start leaves the request to cancel of an earlier attempt.
    StartKeepsCancel,
    /// A cancel of a free task asks only for a free lock.
    CancelUnpinned,
    /// A cancel of a free task sets `lock_time` to its own clock, even if that is earlier.
    CancelSetsLockTimeBack,
    /// A start does not compare `run_at`.
    StartBeforeDue,
    /// A start that expects a status does not ask for `run_at`.
    StartExpectedBeforeDue,
    /// A finish leaves `run_at` as the start found it.
    FinishKeepsRunAt,
    /// A finish leaves the number of snoozes.
    FinishKeepsSnoozes,
    /// A takeover leaves the number of snoozes.
    TakeoverKeepsSnoozes,
    /// A snooze does not count itself.
    SnoozeUncounted,
    /// A run now asks only for a free lock.
    RunNowUnpinned,
    /// A start leaves `expires_at`.
    StartKeepsExpiry,
    /// A redrive leaves `expires_at`.
    RedriveKeepsExpiry,
    /// This crate takes tasks over from Python.
    PythonTakenOver,
    /// A start asks for a free lock, although a script may have set the status of a held task back.
    StartWithoutStale,
    /// A start does not ask for a free lock.
    StartIgnoresLock,
    /// A start that expects a status does not ask for a free lock.
    StartExpectedIgnoresLock,
    /// A finish does not store its lock in `last_lock`.
    FinishLeavesNoTrace,
    /// A start goes by the length of its own lease, although the holder has stored the length of its lease.
    StartJudgesByOwnLease,
    /// A finish that finds an earlier attempt counts as not recorded.
    EarlierAttemptIsLost,
    /// A finish whose condition failed is unknown, whatever the image shows.
    AlwaysUnknown,
    /// A finish without an answer is unknown, whatever a read shows.
    SettledIsUnknown,
    /// A start that finds its own lock is refused.
    RefusesOwnStart,
    /// The protocol of `pynamodb_mate`: no takeover, and a start that compares no `lock_time` and does not recognise
    /// its own write.
    PynamodbMate,
}

impl Mutant {
    /// All mutants.
    pub(super) const ALL: [Self; 83] = [
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
        Self::OvertakenSaveIsLost,
        Self::WritesGoByClock,
        Self::SaveWithoutTime,
        Self::RedriveUnpinned,
        Self::RedriveSetsLockTimeBack,
        Self::CreateBelievesItem,
        Self::CreateWithoutTraceIsOther,
        Self::ReplaceUnpinned,
        Self::OldCreatesStay,
        Self::OldStartsStay,
        Self::DeleteUnpinned,
        Self::DeleteJudgesByOwnLease,
        Self::DeletePinsLockAlone,
        Self::DeleteWithoutTime,
        Self::SameAttemptIsLost,
        Self::PythonIsSuccessor,
        Self::RedriveBelievesTime,
        Self::RunNowLeavesLockTime,
        Self::RequestsShareLock,
        Self::StartBelievesItem,
        Self::TakeoverLeavesAttempt,
        Self::FailureUncounted,
        Self::FailureLeavesHistory,
        Self::DeleteBelievesChange,
        Self::AskBelievesRefusal,
        Self::CancelBelievesRefusal,
        Self::RunNowBelievesDue,
        Self::ReleaseBelievesFree,
        Self::FinishIgnoresCreateTime,
        Self::FinishLostIfGone,
        Self::SaveWithoutLock,
        Self::AskWithoutLock,
        Self::HeartbeatOverlooksCancel,
        Self::TakeoverOverlooksCancel,
        Self::TakeoverMissesCancel,
        Self::StartKeepsCancel,
        Self::CancelUnpinned,
        Self::CancelSetsLockTimeBack,
        Self::StartBeforeDue,
        Self::StartExpectedBeforeDue,
        Self::FinishKeepsRunAt,
        Self::FinishKeepsSnoozes,
        Self::TakeoverKeepsSnoozes,
        Self::SnoozeUncounted,
        Self::RunNowUnpinned,
        Self::StartKeepsExpiry,
        Self::RedriveKeepsExpiry,
        Self::PythonTakenOver,
        Self::StartWithoutStale,
        Self::StartIgnoresLock,
        Self::StartExpectedIgnoresLock,
        Self::FinishLeavesNoTrace,
        Self::StartJudgesByOwnLease,
        Self::EarlierAttemptIsLost,
        Self::AlwaysUnknown,
        Self::SettledIsUnknown,
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
}
