//! The decisions of the protocol: what the image of an item says about a write whose condition failed.
//!
//! They are pure functions of the image, and of the time as read when the answer arrived.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::config::TrackerConfig;
use crate::declare::spec::Takeover;
use crate::declare::status::Role;
use crate::error::{ErrorKind, NotReadyCause};
use crate::item::attribute::{ATTEMPT, CREATE_TIME, Item, LOST_LOCK, number};
use crate::item::head::TaskHead;
use crate::time::Timestamp;

/// The settings that decide whether a lease has expired, and whether its task can be taken over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) lock_expire: Duration,
    pub(crate) max_clock_skew: Duration,
    pub(crate) takeover: Takeover,
}

impl Rules {
    /// Returns the time after which a held task can be taken over: the end of its lease plus `max_clock_skew`.
    ///
    /// The lease is as long as its holder has stored it. A worker of another program has stored no length.
    pub(crate) fn takeover_at(&self, head: &TaskHead) -> Timestamp {
        head.lock_time.plus(head.lease.unwrap_or(self.lock_expire)).plus(self.max_clock_skew)
    }

    /// Returns whether the lease of a held task has expired, `max_clock_skew` included.
    pub(crate) fn is_expired(&self, head: &TaskHead, now: Timestamp) -> bool {
        self.takeover_at(head) < now
    }

    /// Returns whether this tracker may take a held task over.
    pub(crate) fn can_take_over(&self, head: &TaskHead, now: Timestamp) -> bool {
        self.takeover == Takeover::Expired && self.is_expired(head, now)
    }

    /// Returns the bound for `lock_time`: a lease without a stored length that was last renewed before this time has
    /// expired by now.
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
    /// An earlier send of this start or takeover was applied, and its answer was lost: the task is ours.
    Started,
    /// An earlier send of our takeover was applied and ignored the task.
    Ignored,
    /// The lease of another holder has expired: take the task over.
    TakeOver,
    /// The task is free and can be started now: send the start again, with a later time.
    Again,
    /// The state of the task does not allow a start.
    Refused(ErrorKind),
}

/// Classifies the image of a start or a takeover whose condition failed. `lock_ids` are the locks that the requests of this start
/// would have set, one for each.
pub(crate) fn classify_start(
    image: Option<&TaskHead>,
    lock_ids: &[String],
    now: Timestamp,
    rules: &Rules,
) -> Start {
    let Some(image) = image else {
        return Start::Refused(ErrorKind::NotFound);
    };
    let is_ours = |lock: &Option<String>| lock.as_ref().is_some_and(|lock| lock_ids.contains(lock));
    if is_ours(&image.lock) {
        return Start::Started;
    }
    if is_ours(&image.last_lock) {
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
                // The clock must pass the stored time, not only reach it.
                let by = image.lock_time.since(now) + Duration::from_micros(1);
                Start::Refused(ErrorKind::ClockBehind { by })
            }
        }
        // Another program has changed the status of a task that a worker of this crate held.
        Some(role) if role.is_ready() && image.lease.is_some() => {
            if rules.is_expired(image, now) {
                return Start::TakeOver;
            }
            Start::Refused(locked(image, rules))
        }
        _ => Start::Refused(not_ready(image)),
    }
}

/// Returns the refusal of a task that a worker holds, with the time at which the task can be taken over.
pub(crate) fn locked(image: &TaskHead, rules: &Rules) -> ErrorKind {
    ErrorKind::Locked {
        by_this_tracker: false,
        owner: image.owner.clone(),
        until: rules.takeover_at(image).utc(),
    }
}

/// Returns the refusal of a task whose status does not allow a start or a cancel.
pub(crate) fn not_ready(image: &TaskHead) -> ErrorKind {
    let cause = match image.role {
        Some(_) => NotReadyCause::ChangedElsewhere,
        None if image.is_in_later_step => NotReadyCause::LaterStep,
        None if image.is_known_status => NotReadyCause::EarlierStep,
        None => NotReadyCause::UnknownCode,
    };
    ErrorKind::NotReady { status: image.status_name.clone().into_owned(), cause }
}

/// A finish that was sent, with what its holder knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finish<'f> {
    pub(crate) lock_id: &'f str,
    /// When the task was created. Another task may have taken its key since.
    pub(crate) create_time: Timestamp,
    /// The `update_time` that the finish would have set.
    pub(crate) update_time: Timestamp,
    pub(crate) attempt: u64,
    /// The status that the finish would have set.
    pub(crate) status: u32,
    /// The `lost_lock` that the start found: it changes with every takeover.
    pub(crate) lost_lock: Option<&'f str>,
    /// Whether no answer came, so that a copy of the finish may still be applied.
    pub(crate) unanswered: bool,
    /// If a failure is sent instead of a success: the time of the other one, which may have been applied.
    pub(crate) other: Option<Timestamp>,
}

/// What became of a finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// The finish was recorded.
    Done,
    /// Not this finish was recorded, but the success that it was to replace, or the failure that was to replace it.
    Other,
    /// The finish was not recorded, and will not be: the lease was lost.
    LeaseLost,
    /// The image does not tell whether the finish was recorded.
    Unknown,
}

/// Classifies the image of a finish whose condition failed, or the image that was read after a finish without an
/// answer.
pub(crate) fn classify_finish(image: Option<&TaskHead>, finish: &Finish<'_>) -> Written {
    let Some(image) = image else {
        return Written::Unknown;
    };
    match (classify_end(image, finish), finish.other) {
        // Either was recorded. Each has a time of its own.
        (Written::Done, Some(other)) if image.update_time == other => Written::Other,
        (Written::Done, Some(_)) if image.update_time != finish.update_time => Written::Unknown,
        (verdict, _) => verdict,
    }
}

/// Tells whether the attempt of a finish has ended with it, or with the success that it was to replace.
fn classify_end(image: &TaskHead, finish: &Finish<'_>) -> Written {
    if image.create_time != finish.create_time {
        return Written::Unknown;
    }
    if finish.unanswered && image.lock.as_deref() == Some(finish.lock_id) {
        return Written::Unknown;
    }
    // After its start, only our finish sets `last_lock` to our lock. A redrive leaves it, and so do starts and
    // finishes of Python.
    if image.last_lock.as_deref() == Some(finish.lock_id) {
        return Written::Done;
    }
    // A takeover stores the lock that it took.
    if image.lost_lock.as_deref() == Some(finish.lock_id) {
        return Written::LeaseLost;
    }
    if image.attempt == finish.attempt {
        // Only a Python `save` drops `lost_lock`, and with it our finish. The next attempt has our number then.
        let was_dropped = image.lost_lock.is_none() && finish.lost_lock.is_some();
        return if was_dropped { Written::Unknown } else { Written::LeaseLost };
    }
    if finish.attempt.checked_add(1) == Some(image.attempt) && image.lock.is_some() {
        // An item without room, or one that an older version of this crate took over, has no trace of the takeover. Python counts
        // no attempt and stores no length: it may hold the task after our finish and another attempt.
        return if image.lease.is_some() { Written::LeaseLost } else { Written::Unknown };
    }
    if image.attempt < finish.attempt {
        // A Python `save` has dropped `attempt` and both locks, and may have put back the item as it was before our
        // start. Only the exact time and status of our finish show that the finish is still there.
        let is_there = image.update_time == finish.update_time && image.status_code == finish.status;
        return if is_there { Written::Done } else { Written::Unknown };
    }
    // Later attempts followed. If no lease was taken over since our start, only our finish can have freed the lock.
    if finish.lost_lock.is_some() && image.lost_lock.as_deref() == finish.lost_lock {
        return Written::Done;
    }
    Written::Unknown
}

/// Who created the item that a create has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creator {
    /// This create: an earlier send of it was applied.
    Ours,
    /// Somebody else.
    Other,
    /// The item does not tell.
    Unknown,
}

/// Tells who created the item that a create has found. `is_first_send` says that no send of this create came before.
///
/// Two creates may have the same `create_time`, so each has a token of its own. The token stays until the first
/// takeover, or until a Python `save`.
pub(crate) fn classify_create(found: &Item, created: &Item, is_first_send: bool) -> Creator {
    let same = |name| found.get(name) == created.get(name);
    if same(CREATE_TIME) && same(LOST_LOCK) {
        Creator::Ours
    } else if is_first_send || !same(CREATE_TIME) || is_untouched(found) {
        Creator::Other
    } else {
        Creator::Unknown
    }
}

/// Returns whether no worker has started a task since its create.
fn is_untouched(item: &Item) -> bool {
    let never_started = item.get(ATTEMPT).is_none_or(|attempt| *attempt == number(0_u32));
    never_started && item.contains_key(LOST_LOCK)
}

/// Returns whether a redrive or a cancel of a free task whose condition failed had been applied before. `after` is
/// the task as the write would have made it.
pub(crate) fn was_set_by_operator(image: &TaskHead, after: &TaskHead) -> bool {
    let is_same = image.status_code == after.status_code && image.update_time == after.update_time;
    // A create may have replaced the task in the same microsecond.
    is_same && image.create_time == after.create_time
}

/// Returns whether a run now whose condition failed had been applied before. `after` is the task as the write would have made
/// it.
pub(crate) fn was_made_due(image: &TaskHead, after: &TaskHead) -> bool {
    image.run_at.is_none() && image.lock.is_none() && was_set_by_operator(image, after)
}

/// Returns whether a write that ends a lost attempt, and whose condition failed, had been applied before. `lock_id` is that of the
/// write.
pub(crate) fn was_released(image: &TaskHead, lock_id: &str) -> bool {
    image.last_lock.as_deref() == Some(lock_id)
}

/// Returns whether the task that a delete has read is still there: one with another `create_time` has followed on it.
pub(crate) fn is_same_task(image: &Item, create_time: Option<&AttributeValue>) -> bool {
    image.get(CREATE_TIME) == create_time
}

/// Returns whether the attempt that holds this lock was asked to cancel.
pub(crate) fn is_cancelled(image: &TaskHead, lock_id: &str) -> bool {
    image.lock.as_deref() == Some(lock_id) && image.is_cancel_requested()
}

/// What to do after a save whose condition failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Save {
    /// An earlier send was applied.
    Saved,
    /// A later write of this attempt overtook the save: send the same data with a new time.
    Again,
    /// Another worker holds the task, or nobody does.
    LeaseLost,
}

/// Classifies the image of a save or a heartbeat whose condition failed. `sent` is the `lock_time` that the write
/// would have set.
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
