//! A worker of `pynamodb_mate`. It knows no deadline: it works until it finishes.

use super::act::Act;
use super::python::Python;
use super::request::Request;
use super::row::Time;
use super::worker::{Phase, Wait};

impl Act<'_> {
    /// Sends a start of Python's.
    pub(super) fn start_in_python(&mut self) -> Phase {
        self.world.spent.python_starts += 1;
        let lock = self.world.ghost.begin_start();
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
