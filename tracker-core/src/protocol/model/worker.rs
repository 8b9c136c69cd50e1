//! A worker: what it knows, and what it may do next.

use std::hash::Hash;

use super::how::How;
use super::mutant::Mutant;
use super::request::Request;
use super::row::{Data, Row, Time};
use super::steps::ticks;
use crate::protocol::lease::{Lease, Reading};
use crate::time::ClockReading;

/// The task after a request, or the image if its condition failed.
pub(super) type Answer = Result<Row, Option<Row>>;

/// A worker, with its clocks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Worker {
    /// How many ticks its wall clock is ahead.
    pub(super) offset: i16,
    /// How many ticks its monotonic clock has missed.
    pub(super) lag: u16,
    /// How many ticks its leases last.
    pub(super) lease: u8,
    pub(super) phase: Phase,
}

/// What a worker is doing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Idle,
    Creating {
        wait: Wait,
    },
    Operating {
        wait: Wait,
        operation: Operation,
    },
    /// A worker of Python's.
    Python {
        wait: Wait,
        /// Whether it works on the task.
        holds: bool,
    },
    Starting {
        wait: Wait,
        starting: Starting,
    },
    Holding {
        held: Attempt,
        heartbeat: Option<(Wait, Reading)>,
        save: Option<Saving>,
    },
    Finishing {
        held: Attempt,
        how: How,
        /// The time of the success with an effect that this failure replaces.
        instead_of: Option<Time>,
        wait: Wait,
    },
    /// Reads the task after a start without an answer.
    Abandoning {
        starting: Starting,
        read: Option<Result<Row, ()>>,
    },
    /// Reads the task after a finish without an answer.
    Settling {
        held: Attempt,
        how: How,
        instead_of: Option<Time>,
        read: Option<Result<Row, ()>>,
    },
}

/// What the worker that waits for an answer has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Change,
    /// A release by hand, or the cancel of a task whose lease has expired.
    Release,
    /// A request to cancel.
    Ask,
    Delete {
        /// The task that was read before.
        born: u8,
        /// How many requests were sent.
        sent: u8,
    },
}

/// A start that has no result yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Starting {
    pub(super) step: u8,
    /// The lock of the first request. The locks of the next ones follow.
    pub(super) first_lock: u8,
    pub(super) sent: Vec<Reading>,
    /// Whether the future of the start was dropped.
    pub(super) dropped: bool,
}

/// A request for whose answer a worker waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wait {
    pub(super) request: Request,
    pub(super) answer: Option<Answer>,
    /// Whether the answer says that the effect was refused.
    pub(super) effect_refused: bool,
}

/// A save for whose answer a worker waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Saving {
    pub(super) wait: Wait,
    /// The time that the save sends.
    pub(super) written: Reading,
    pub(super) data: Data,
}

/// An attempt, as its worker knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    pub(super) step: u8,
    pub(super) lock_id: u8,
    /// The task as it was started.
    pub(super) head: Row,
    pub(super) lease: Lease,
    /// The last acknowledged write, for the mutant that needs it.
    pub(super) acknowledged: Option<Reading>,
    /// How many versions of the data this attempt has made.
    pub(super) version: u8,
    /// Whether a heartbeat has seen a request to cancel.
    pub(super) is_asked: bool,
}

impl Starting {
    /// Returns the locks that were sent, one for each request; for a mutant, always the first.
    pub(super) fn lock_ids(&self, mutant: Mutant) -> Vec<u8> {
        let nth = |nth| if mutant == Mutant::RequestsShareLock { 0 } else { nth };
        (0_u8..).take(self.sent.len()).map(|sent| self.first_lock + nth(sent)).collect()
    }

    /// Returns the time of the next request.
    pub(super) fn next(&mut self, now: ClockReading) -> Reading {
        let reading = Reading::after_all(&self.sent, now);
        self.sent.push(reading);
        reading
    }
}

impl Attempt {
    /// Returns whether the deadline has passed, as a mutant sees it.
    pub(super) fn has_passed(&self, mut now: ClockReading, mutant: Mutant) -> bool {
        match (mutant, self.acknowledged) {
            (Mutant::MonotonicOnly, Some(last)) => {
                return now.monotonic >= last.monotonic + ticks(self.head.lease);
            }
            (Mutant::WallOnly, _) => now.monotonic = std::time::Duration::ZERO,
            _ => {}
        }
        self.lease.has_passed(now)
    }

    /// Counts the deadline from an acknowledged write.
    pub(super) fn acknowledge(&mut self, written: Reading, mutant: Mutant) {
        self.lease.acknowledge(written);
        self.acknowledged = (mutant == Mutant::MonotonicOnly).then_some(written);
    }

    /// Returns the time of the next write.
    pub(super) fn next(&mut self, now: ClockReading, mutant: Mutant) -> Reading {
        let next = self.lease.next(now);
        match mutant {
            Mutant::DeadlineFromLastSend => self.lease.acknowledge(next),
            Mutant::WritesGoByClock => return Reading::from(now),
            _ => {}
        }
        next
    }

    /// Returns the next version of the data.
    pub(super) fn next_data(&mut self) -> Data {
        self.version += 1;
        Data { lock: self.lock_id, version: self.version }
    }
}

impl Worker {
    /// Returns an idle worker.
    pub(super) fn new(offset: i16, lease: u8) -> Self {
        Self { offset, lag: 0, lease, phase: Phase::Idle }
    }

    /// Returns whether the clock is within the skew. If it is not, the worker starts nothing, because it compares its
    /// clock with DynamoDB's.
    pub(super) fn clock_is_right(&self) -> bool {
        self.offset >= 0
    }

    /// Returns whether the worker works on the task.
    pub(super) fn is_holding(&self) -> bool {
        matches!(self.phase, Phase::Holding { .. })
    }

    /// Returns the lock that the worker holds, if its deadline has not passed.
    pub(super) fn holds(&self, now: ClockReading, mutant: Mutant) -> Option<u8> {
        match &self.phase {
            Phase::Holding { held, .. } if !held.has_passed(now, mutant) => Some(held.lock_id),
            Phase::Python { wait: Wait { request: Request::Python { lock, .. }, .. }, holds: true } => {
                Some(*lock)
            }
            _ => None,
        }
    }

    /// Returns a hash of everything that the worker knows.
    pub(super) fn fingerprint(&self) -> u64 {
        // The seeds are constant, so that each search is the same.
        ahash::RandomState::with_seeds(1, 2, 3, 4).hash_one(self)
    }

    /// Returns what the worker waits for.
    fn waits(&self) -> [Option<&Wait>; 2] {
        match &self.phase {
            Phase::Idle | Phase::Abandoning { .. } | Phase::Settling { .. } => [None, None],
            Phase::Creating { wait }
            | Phase::Operating { wait, .. }
            | Phase::Python { wait, .. }
            | Phase::Starting { wait, .. }
            | Phase::Finishing { wait, .. } => [Some(wait), None],
            Phase::Holding { heartbeat, save, .. } => {
                [heartbeat.as_ref().map(|(wait, _)| wait), save.as_ref().map(|save| &save.wait)]
            }
        }
    }

    /// Returns the requests for whose answers the worker waits.
    pub(super) fn awaited(&self) -> impl Iterator<Item = Request> {
        self.waits().into_iter().flatten().map(|wait| wait.request)
    }

    /// Returns the requests for whose answers the worker waits, and that have no answer yet.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = Request> {
        self.waits().into_iter().flatten().filter(|wait| wait.answer.is_none()).map(|wait| wait.request)
    }

    /// Returns whether the worker waits with an answer to this request that it has not taken yet.
    pub(super) fn has_answer(&self, request: &Request) -> bool {
        self.waits().into_iter().flatten().any(|wait| wait.request == *request && wait.answer.is_some())
    }

    fn waits_mut(&mut self) -> [Option<&mut Wait>; 2] {
        match &mut self.phase {
            Phase::Idle | Phase::Abandoning { .. } | Phase::Settling { .. } => [None, None],
            Phase::Creating { wait }
            | Phase::Operating { wait, .. }
            | Phase::Python { wait, .. }
            | Phase::Starting { wait, .. }
            | Phase::Finishing { wait, .. } => [Some(wait), None],
            Phase::Holding { heartbeat, save, .. } => {
                [heartbeat.as_mut().map(|(wait, _)| wait), save.as_mut().map(|save| &mut save.wait)]
            }
        }
    }

    /// Answers a request, if the worker waits for its answer.
    pub(super) fn answer(&mut self, request: &Request, answer: Answer, effect_refused: bool) {
        for wait in self.waits_mut().into_iter().flatten().filter(|wait| wait.request == *request) {
            wait.answer = Some(answer);
            wait.effect_refused = effect_refused;
        }
    }

    /// Reads the task for every answer that came without an image. An event that takes no answer forgets what was read.
    pub(super) fn see(&mut self, row: Option<Row>) {
        for wait in self.waits_mut().into_iter().flatten().filter(|wait| wait.request.can_share()) {
            if let Some(Err(image)) = &mut wait.answer {
                *image = row;
            }
        }
    }

    /// Forgets what was read for answers that are not taken yet.
    pub(super) fn forget(&mut self) {
        for wait in self.waits_mut().into_iter().flatten().filter(|wait| wait.request.can_share()) {
            if let Some(Err(image)) = &mut wait.answer {
                *image = None;
            }
        }
    }
}
