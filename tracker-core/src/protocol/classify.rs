//! The decisions of the protocol: what the image of an item says about a write whose condition failed.
//!
//! Pure functions, on what came back and on the time as read when it came back.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::config::TrackerConfig;
use crate::declare::spec::Takeover;
use crate::declare::status::Role;
use crate::error::ErrorKind;
use crate::item::head::TaskHead;
use crate::time::Timestamp;

/// What all workers of a use case agree on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) lock_expire: Duration,
    pub(crate) max_clock_skew: Duration,
    pub(crate) takeover: Takeover,
}

impl Rules {
    /// Returns when a held task can be taken over: at the end of its lease plus `max_clock_skew`.
    pub(crate) fn takeover_at(&self, head: &TaskHead) -> Timestamp {
        head.lock_time.plus(self.lock_expire).plus(self.max_clock_skew)
    }

    /// Returns whether the lease of a held task has expired.
    pub(crate) fn is_expired(&self, head: &TaskHead, now: Timestamp) -> bool {
        self.takeover_at(head) < now
    }

    /// Returns whether this tracker may take a held task over.
    pub(crate) fn can_take_over(&self, head: &TaskHead, now: Timestamp) -> bool {
        self.takeover == Takeover::Expired && self.is_expired(head, now)
    }

    /// Returns the time before which a lease that was last renewed has expired by now.
    pub(crate) fn stale_before(&self, now: Timestamp) -> Timestamp {
        now.minus(self.lock_expire).minus(self.max_clock_skew)
    }
}

impl From<&TrackerConfig> for Rules {
    fn from(config: &TrackerConfig) -> Self {
        let TrackerConfig { lock_expire, max_clock_skew, takeover, .. } = *config;
        Self { lock_expire, max_clock_skew, takeover }
    }
}

/// What to do after a start or a takeover whose condition failed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Start {
    /// It was our own write, whose answer was lost: the task is ours.
    Started,
    /// It was our own takeover of a task that is given up with it.
    Ignored,
    /// The holder's lease has expired.
    TakeOver,
    /// The task is free, and the clock has moved on since the request was sent.
    Again,
    Refused(ErrorKind),
}

/// Classifies the image that a failed start or takeover came back with; `me` is the lock that it was to set.
pub(crate) fn classify_start(
    image: Option<&TaskHead>,
    lock_id: &str,
    now: Timestamp,
    rules: &Rules,
) -> Start {
    let Some(image) = image else {
        return Start::Refused(ErrorKind::NotFound);
    };
    if image.lock.as_deref() == Some(lock_id) {
        return Start::Started;
    }
    if image.last_lock.as_deref() == Some(lock_id) {
        return Start::Ignored;
    }
    match image.role {
        Some(Role::Succeeded) => Start::Refused(ErrorKind::AlreadySucceeded),
        Some(Role::Ignored) => Start::Refused(ErrorKind::Ignored),
        Some(Role::InProgress) => {
            if rules.can_take_over(image, now) {
                return Start::TakeOver;
            }
            Start::Refused(locked(image, rules))
        }
        Some(role) if role.is_ready() && image.lock.is_none() => {
            if let Some(run_at) = image.run_at.filter(|run_at| *run_at > now) {
                Start::Refused(ErrorKind::NotDue { run_at: run_at.utc() })
            } else if image.lock_time < now {
                Start::Again
            } else {
                // By that much later, the clock is past the time and not at it.
                let by = image.lock_time.since(now) + Duration::from_micros(1);
                Start::Refused(ErrorKind::ClockBehind { by })
            }
        }
        _ => Start::Refused(ErrorKind::NotReady { status: image.status_name.clone().into_owned() }),
    }
}

/// The refusal of a task that somebody holds: until it can be taken over.
pub(crate) fn locked(image: &TaskHead, rules: &Rules) -> ErrorKind {
    ErrorKind::Locked { owner: image.owner.clone(), until: rules.takeover_at(image).utc() }
}

/// The finish that was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finish<'f> {
    pub(crate) lock_id: &'f str,
    /// When the task was created: another one may have taken its key since.
    pub(crate) create_time: Timestamp,
    /// The `update_time` that it was to set.
    pub(crate) update_time: Timestamp,
    pub(crate) attempt: u64,
    /// The status that it was to set.
    pub(crate) status: u32,
    /// Whether the holder's deadline has passed by now.
    pub(crate) deadline_passed: bool,
    /// Whether no answer came, so that a copy of it may yet be applied.
    pub(crate) unanswered: bool,
}

/// What became of a write of the holder's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Done,
    LeaseLost,
    Unknown,
}

/// Classifies the image that a failed finish came back with, or that was read after one without an answer.
pub(crate) fn classify_finish(image: Option<&TaskHead>, finish: &Finish<'_>) -> Written {
    let Some(image) = image else {
        return Written::Unknown;
    };
    if image.create_time != finish.create_time {
        return Written::Unknown;
    }
    if finish.unanswered && image.lock.as_deref() == Some(finish.lock_id) {
        return Written::Unknown;
    }
    // Whatever became of the task since: nothing else of ours writes it once the task was started. A redrive, and what
    // Python starts and finishes, leave it as it is.
    if image.last_lock.as_deref() == Some(finish.lock_id) {
        return Written::Done;
    }
    let taken_over = finish.attempt.checked_add(1) == Some(image.attempt) && image.lock.is_some();
    if image.attempt == finish.attempt || taken_over {
        return Written::LeaseLost;
    }
    // A Python `save` has dropped what tells, and may have put back what it had read before we started the task: only the
    // very moment that we wrote shows that our finish is still there.
    let dropped = image.attempt < finish.attempt;
    let is_there = image.update_time == finish.update_time && image.status_code == finish.status;
    if finish.deadline_passed || (dropped && !is_there) {
        return Written::Unknown;
    }
    // Within the deadline nobody but our own finish can have freed the lock.
    Written::Done
}

/// Whether a create that found an item had written it: a worker may have started it since, and its time stays.
pub(crate) fn has_created(found: Option<&AttributeValue>, create_time: Option<&AttributeValue>) -> bool {
    found.is_some() && found == create_time
}

/// Whether a redrive or a cancel whose condition failed had been applied before, to what `after` is.
pub(crate) fn was_set_by_operator(image: &TaskHead, after: &TaskHead) -> bool {
    image.status_code == after.status_code && image.update_time == after.update_time
}

/// Whether the attempt of a lock was asked to end.
pub(crate) fn is_cancelled(image: &TaskHead, lock_id: &str) -> bool {
    image.lock.as_deref() == Some(lock_id) && image.is_cancel_requested()
}

/// What to do after a save whose condition failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Save {
    Saved,
    /// A later heartbeat of ours overtook it: send the same data with a new time.
    Again,
    LeaseLost,
}

/// Classifies the image that a failed save came back with; `sent` is the `lock_time` that it was to set.
pub(crate) fn classify_save(image: Option<&TaskHead>, lock_id: &str, sent: Timestamp) -> Save {
    match image {
        Some(image) if image.lock.as_deref() == Some(lock_id) => {
            if image.lock_time == sent {
                Save::Saved
            } else {
                Save::Again
            }
        }
        _ => Save::LeaseLost,
    }
}
