//! A worker of `pynamodb_mate`, and its writes. They are no expressions of this crate, so they are written down here, as that
//! library sends them. A worker of it knows no deadline: it works until it finishes.

use super::act::Act;
use super::request::Request;
use super::row::{Row, Time};
use super::steps::{LEASE, MAX_RETRY};
use super::worker::{Phase, Wait};

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

impl Act<'_> {
    /// Sends a start of Python's.
    pub(super) fn start_in_python(&mut self) -> Phase {
        self.world.spent.python_starts += 1;
        let lock = self.world.ghost.new_lock();
        let write = Python::Start { now: Time::of(self.now().into()) };
        Phase::Python { wait: self.send(Request::Python { write, lock }), holds: false }
    }

    /// Sends a finish of Python's.
    pub(super) fn finish_in_python(&mut self, lock: u8, succeeded: bool) -> Phase {
        let write = Python::Finish { succeeded, now: Time::of(self.now().into()) };
        Phase::Python { wait: self.send(Request::Python { write, lock }), holds: false }
    }

    /// Sends a write of Python's for whose answer nobody waits.
    pub(super) fn write_in_python(&mut self, write: Python) -> Phase {
        self.world.spent.python_writes += 1;
        self.world.send(Request::Python { write, lock: 0 });
        Phase::Idle
    }

    /// Takes the answer to a write of Python's: a start that was granted makes a holder.
    pub(super) fn python_answered(&mut self, wait: Wait) -> Phase {
        let (Request::Python { write, lock }, Some(answer)) = (wait.request, wait.answer) else {
            return Phase::Idle;
        };
        match (write, answer) {
            (Python::Start { .. }, Ok(_)) => Phase::Python { wait, holds: true },
            (Python::Finish { .. }, Ok(row)) => {
                self.world.ghost.told_done(lock, row.status);
                self.world.spent.python_successes |= u8::from(row.status == 16);
                Phase::Idle
            }
            _ => Phase::Idle,
        }
    }
}
