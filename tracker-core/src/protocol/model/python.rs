//! The writes of `pynamodb_mate`. They are no expressions of this crate, so they are written down here, as that library sends them.

use super::row::{Row, Time};
use super::steps::{LEASE, MAX_RETRY};

/// What Python writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Python {
    /// Sets `status`, `lock` and `lock_time`, and nothing else.
    Start { now: Time },
    /// Frees the lock, and leaves `lock_time`.
    Finish { succeeded: bool, now: Time },
    /// Puts back a task that was read before, without the attributes that Python does not know, and without a condition.
    Save { read: Row },
    /// A script sets the status of the task back to pending, whoever holds it.
    Reset,
}

impl Python {
    /// Returns the task after the write, or none if its condition does not hold.
    pub(super) fn apply(self, row: Row, lock: u8) -> Option<Row> {
        match self {
            Self::Start { now } => {
                let is_free = row.lock == 0 || row.lock == lock || row.lock_time.later(LEASE.into()) < now;
                let is_ready = matches!(row.status, 10 | 14);
                (is_free && is_ready).then_some(Row { status: 12, lock, lock_time: now, ..row })
            }
            Self::Finish { .. } if row.lock != lock => None,
            Self::Finish { succeeded: true, now } => {
                Some(Row { status: 16, retry: 0, lock: 0, update_time: now, ..row })
            }
            Self::Finish { succeeded: false, now } => {
                let (retry, history) = (row.retry + 1, row.history + 1);
                let status = if retry >= MAX_RETRY { 18 } else { 14 };
                Some(Row { status, retry, history, lock: 0, update_time: now, ..row })
            }
            Self::Save { read } => Some(Row {
                attempt: 0,
                last_lock: 0,
                lost_lock: 0,
                lost_attempts: 0,
                lease: 0,
                started_from: 0,
                run_at: Time::NEVER,
                snoozes: 0,
                cancel: 0,
                expires_at: 0,
                ..read
            }),
            Self::Reset => Some(Row { status: 10, ..row }),
        }
    }
}
