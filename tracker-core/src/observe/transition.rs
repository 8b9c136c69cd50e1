//! Tells from two images of a task what has happened to it.

use crate::declare::status::Role;
use crate::item::head::TaskHead;

/// What has happened to a task between two images of it, such as those of a stream record. The names are those of
/// [`EventKind`](super::EventKind); `MadeDue` and `Deleted` have no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transition {
    /// The task was created, or replaced by a new one.
    Created,
    /// An attempt began.
    Started,
    /// An attempt began on a task whose lease had expired.
    TakenOver,
    /// The lease was renewed, by a heartbeat or a save. A save may have changed the data.
    Heartbeat,
    /// The attempt succeeded.
    Succeeded,
    /// The attempt failed, or its lease expired and [`release_expired`](crate::Tracker::release_expired) freed the task. The task can be
    /// retried.
    Failed,
    /// The task was ignored: it ran out of attempts, failed fatally or was cancelled.
    Ignored,
    /// The task was released. No failed attempt was counted.
    Released,
    /// The body snoozed the task. No failed attempt was counted.
    Snoozed,
    /// A running attempt was asked to end.
    CancelRequested,
    /// The task was set back to pending.
    Redriven,
    /// A task that waited for its time was made due.
    MadeDue,
    /// The task was deleted, by an operation or by its time to live.
    Deleted,
}

impl Transition {
    /// Tells what has happened between two images. An image is missing before the creation, and after the deletion.
    ///
    /// Returns `None` if nothing has happened that has a name: an attribute changed that is not the tracker's, the attempt is one of
    /// another step, or the images are of two tasks. Read the images with the type of the step whose transitions you want.
    ///
    /// Streams leave out images that follow each other unchanged, and no others. If you compare images that are further apart, several
    /// things may have happened in between, and this returns one of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use tracker_core::{Error, IntoItem, StatusTracker, TaskHead, Transition};
    ///
    /// fn what_happened<T: StatusTracker>(
    ///     old: Option<impl IntoItem>,
    ///     new: Option<impl IntoItem>,
    /// ) -> Result<Option<Transition>, Error> {
    ///     let old = old.map(TaskHead::from_item::<T>).transpose()?;
    ///     let new = new.map(TaskHead::from_item::<T>).transpose()?;
    ///     Ok(Transition::between(old.as_ref(), new.as_ref()))
    /// }
    /// ```
    #[must_use]
    pub fn between(old: Option<&TaskHead>, new: Option<&TaskHead>) -> Option<Self> {
        match (old, new) {
            (None, None) => None,
            (None, Some(_)) => Some(Self::Created),
            (Some(_), None) => Some(Self::Deleted),
            (Some(old), Some(new)) if old.key != new.key => None,
            (Some(old), Some(new)) if old.create_time != new.create_time => Some(Self::Created),
            (Some(old), Some(new)) => match (&old.lock, &new.lock) {
                (_, Some(_)) if old.lock != new.lock => Self::begun(old, new),
                (Some(_), Some(_)) => Self::held(old, new),
                (Some(_), None) => Self::ended(old, new),
                (None, _) => Self::free(old, new),
            },
        }
    }

    /// Returns the name, such as `taken_over`: that of the [event](super::EventKind::name), if there is one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Started => "started",
            Self::TakenOver => "taken_over",
            Self::Heartbeat => "heartbeat",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Ignored => "ignored",
            Self::Released => "released",
            Self::Snoozed => "snoozed",
            Self::CancelRequested => "cancel_requested",
            Self::Redriven => "redriven",
            Self::MadeDue => "made_due",
            Self::Deleted => "deleted",
        }
    }

    /// Another attempt holds the lock.
    fn begun(old: &TaskHead, new: &TaskHead) -> Option<Self> {
        (new.role == Some(Role::InProgress)).then_some(if old.lock.is_some() {
            Self::TakenOver
        } else {
            Self::Started
        })
    }

    /// The same attempt holds the lock.
    fn held(old: &TaskHead, new: &TaskHead) -> Option<Self> {
        is_attempt(old).then_some(())?;
        if new.is_cancel_requested() && !old.is_cancel_requested() {
            return Some(Self::CancelRequested);
        }
        (old.lock_time < new.lock_time).then_some(Self::Heartbeat)
    }

    /// The lock was freed.
    fn ended(old: &TaskHead, new: &TaskHead) -> Option<Self> {
        is_attempt(old).then_some(())?;
        match new.role? {
            Role::Succeeded => Some(Self::Succeeded),
            Role::Ignored => Some(Self::Ignored),
            _ if new.retry > old.retry => Some(Self::Failed),
            _ if new.snoozes > old.snoozes => Some(Self::Snoozed),
            Role::InProgress => None,
            _ => Some(Self::Released),
        }
    }

    /// The task was free, and is free.
    fn free(old: &TaskHead, new: &TaskHead) -> Option<Self> {
        let was = |role| old.role == Some(role);
        match new.role? {
            Role::Ignored if !was(Role::Ignored) => Some(Self::Ignored),
            Role::Pending if was(Role::Ignored) || was(Role::Failed) => Some(Self::Redriven),
            role if role.is_ready()
                && old.status_code == new.status_code
                && old.run_at.is_some()
                && new.run_at.is_none() =>
            {
                Some(Self::MadeDue)
            }
            _ => None,
        }
    }
}

/// Returns whether an attempt of this step holds the task.
fn is_attempt(head: &TaskHead) -> bool {
    head.role == Some(Role::InProgress)
}
