//! The promises, by their violations.

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Violation {
    /// Two workers hold the task, each by its own deadline.
    TwoHolders,
    /// A worker holds the task by its own deadline, and the table has another lock.
    HolderNotInTable,
    /// A lock was granted twice.
    GrantedTwice,
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
    /// A worker was told that its finish was not recorded, and it was recorded, before or later; or that its lease was lost, and it
    /// still held the task.
    FalseLost,
    /// A worker was told that its data is saved, and it was not.
    FalseSaved,
    /// `lost_attempts` does not count the attempts that were lost in a row.
    LossMiscounted,
    /// A worker was told that it has created the task, and another worker has; or the other way round.
    FalseCreated,
    /// A deleted task came back, by a late request that is no new create.
    Revived,
    /// A request changed a task that was created after the one that it was made for.
    ForeignTask,
    /// A save or a heartbeat changed an attempt that is not its own.
    ForeignWrite,
    /// A delete was applied after its worker was told that the task is locked, or is deleted already.
    LateDelete,
    /// A worker was told that the task is deleted, and it was not.
    FalseDeleted,
    /// A task was deleted because its time was over, or was replaced, although it had not ended.
    RemovedUnfinished,
    /// A worker was told that a task is cancelled, or asked to end, and it was not.
    FalseCancelled,
    /// A request to cancel reached an attempt that it does not name.
    CancelMisdirected,
    /// A request to cancel was forgotten or overlooked, or its task was run again.
    CancelForgotten,
    /// A task was started before its time.
    StartedEarly,
    /// The time before which the task is not started is not that of the write that set the task's status last.
    WaitMisset,
    /// `snoozes` does not count the snoozes in a row.
    SnoozeMiscounted,
    /// A task that is snoozed every time is never ignored.
    EndlessSnoozes,
    /// A worker was told that it has made the task due, and it has not.
    FalseMadeDue,
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
    /// A redrive, a cancel or a run now was applied twice, or to a task that was started since it was seen.
    ChangeMisapplied,
    /// The effect of an attempt was not written exactly once if the attempt has succeeded, or was written although it has not.
    EffectMiscounted,
    /// The task cannot end.
    Stuck,
    /// A task that kills its workers is never ignored.
    Endless,
    /// A worker was refused, or told that its outcome is unknown, although the image shows its own lock.
    KnownButNotTold,
}

impl Violation {
    /// Returns whether the promise is about what a worker is told, but for the number of its attempt, which Python drops.
    pub(super) fn is_about_told(self) -> bool {
        matches!(
            self,
            Self::FalseDone
                | Self::FalseLost
                | Self::FalseSaved
                | Self::FalseCreated
                | Self::FalseRedriven
                | Self::FalseReleased
                | Self::FalseCancelled
                | Self::FalseDeleted
                | Self::FalseMadeDue
        )
    }
}
