//! A worker: what it knows, and what may happen to it next.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::act::Starting;
use super::bounds::Bounds;
use super::mutant::Mutant;
use super::row::{Data, Row, Time};
use super::table::{EXPIRE, How, Request};
use super::world::World;
use crate::protocol::lease::{Lease, Reading};
use crate::time::ClockReading;

/// The task after a request, or the one that its condition did not hold for.
type Answer = Result<Row, Option<Row>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Worker {
    /// How many ticks its clock is ahead.
    pub(super) offset: i16,
    /// How many ticks its monotonic clock has missed.
    pub(super) lag: u16,
    pub(super) phase: Phase,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Idle,
    Creating {
        wait: Wait,
        create_time: Time,
    },
    Redriving {
        wait: Wait,
        step: u8,
        seen: Row,
        now: Time,
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
        wait: Wait,
    },
    /// A read after a finish without an answer; of a task that may be gone.
    Settling {
        held: Attempt,
        how: How,
        read: Option<Result<Row, ()>>,
    },
}

/// A request whose answer is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wait {
    pub(super) request: Request,
    pub(super) answer: Option<Answer>,
}

/// A save whose answer is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Saving {
    pub(super) wait: Wait,
    pub(super) written: Reading,
    pub(super) data: Data,
}

/// A lease, as its holder knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    pub(super) step: u8,
    pub(super) lock_id: u8,
    /// The task as it was started.
    pub(super) head: Row,
    pub(super) lease: Lease,
    /// The last write that was acknowledged, for a mutant.
    pub(super) acknowledged: Option<Reading>,
    /// How many versions of the data there are.
    pub(super) version: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Create,
    Redrive {
        step: u8,
    },
    Start {
        step: u8,
    },
    /// The future of a start is dropped; it goes on, and releases what it gets.
    DropStart,
    Heartbeat,
    Save,
    Finish(How),
    /// The deadline is noticed.
    Lose,
    Read,
    Receive,
    ReceiveHeartbeat,
    ReceiveSave,
    /// No answer is waited for any longer.
    StopWaiting,
    StopWaitingForHeartbeat,
    StopWaitingForSave,
    /// All is forgotten, but not what is on its way.
    Crash,
}

impl Attempt {
    pub(super) fn has_passed(&self, mut now: ClockReading, mutant: Mutant) -> bool {
        match (mutant, self.acknowledged) {
            (Mutant::MonotonicOnly, Some(last)) => return now.monotonic >= last.monotonic + EXPIRE,
            (Mutant::WallOnly, _) => now.monotonic = std::time::Duration::ZERO,
            _ => {}
        }
        self.lease.has_passed(now)
    }

    pub(super) fn acknowledge(&mut self, written: Reading, mutant: Mutant) {
        self.lease.acknowledge(written);
        self.acknowledged = (mutant == Mutant::MonotonicOnly).then_some(written);
    }

    pub(super) fn next(&mut self, now: ClockReading, mutant: Mutant) -> Reading {
        let next = self.lease.next(now);
        if mutant == Mutant::DeadlineFromLastSend {
            self.lease.acknowledge(next);
        }
        next
    }

    pub(super) fn next_data(&mut self) -> Data {
        self.version += 1;
        Data { lock: self.lock_id, version: self.version }
    }
}

impl Worker {
    pub(super) fn new(offset: i16) -> Self {
        Self { offset, lag: 0, phase: Phase::Idle }
    }

    /// Within the skew; a worker that knows better starts nothing.
    pub(super) fn clock_is_right(&self) -> bool {
        self.offset >= 0
    }

    pub(super) fn is_holding(&self) -> bool {
        matches!(self.phase, Phase::Holding { .. })
    }

    /// The lock that it holds, by its own deadline.
    pub(super) fn holds(&self, now: ClockReading, mutant: Mutant) -> Option<u8> {
        match &self.phase {
            Phase::Holding { held, .. } if !held.has_passed(now, mutant) => Some(held.lock_id),
            _ => None,
        }
    }

    /// Tells workers apart that are not the same.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    fn waits(&self) -> [Option<&Wait>; 2] {
        match &self.phase {
            Phase::Idle | Phase::Settling { .. } => [None, None],
            Phase::Creating { wait, .. }
            | Phase::Redriving { wait, .. }
            | Phase::Starting { wait, .. }
            | Phase::Finishing { wait, .. } => [Some(wait), None],
            Phase::Holding { heartbeat, save, .. } => {
                [heartbeat.as_ref().map(|(wait, _)| wait), save.as_ref().map(|save| &save.wait)]
            }
        }
    }

    pub(super) fn awaited(&self) -> impl Iterator<Item = Request> {
        self.waits().into_iter().flatten().map(|wait| wait.request)
    }

    pub(super) fn has_answer(&self, request: &Request) -> bool {
        self.waits().into_iter().flatten().any(|wait| wait.request == *request && wait.answer.is_some())
    }

    pub(super) fn answer(&mut self, request: &Request, answer: Answer) {
        let waits = match &mut self.phase {
            Phase::Idle | Phase::Settling { .. } => [None, None],
            Phase::Creating { wait, .. }
            | Phase::Redriving { wait, .. }
            | Phase::Starting { wait, .. }
            | Phase::Finishing { wait, .. } => [Some(wait), None],
            Phase::Holding { heartbeat, save, .. } => {
                [heartbeat.as_mut().map(|(wait, _)| wait), save.as_mut().map(|save| &mut save.wait)]
            }
        };
        for wait in waits.into_iter().flatten().filter(|wait| wait.request == *request) {
            wait.answer = Some(answer);
        }
    }

    /// What this worker may do next.
    pub(super) fn events(&self, world: &World, nth: usize, bounds: &Bounds, mutant: Mutant) -> Vec<Event> {
        let mut events = Vec::new();
        let mut add = |event, may: bool| may.then(|| events.push(event));
        let received = |wait: &Wait| wait.answer.is_some();
        if !matches!(self.phase, Phase::Idle) {
            add(Event::Crash, true);
        }
        match &self.phase {
            Phase::Idle => {
                let may_start = world.ghost.starts() < bounds.starts && self.clock_is_right();
                add(Event::Create, world.spent.creates < bounds.creates);
                for step in 0..=u8::from(bounds.two_steps) {
                    add(Event::Start { step }, may_start);
                    add(Event::Redrive { step }, world.spent.redrives < bounds.redrives);
                }
            }
            Phase::Creating { wait, .. } | Phase::Redriving { wait, .. } => {
                add(Event::Receive, received(wait));
            }
            Phase::Starting { wait, starting } => {
                add(Event::Receive, received(wait));
                add(Event::DropStart, bounds.releases && !starting.dropped);
            }
            Phase::Holding { held, heartbeat, save } => {
                let passed = held.has_passed(world.now(nth), mutant);
                add(Event::Lose, passed);
                add(
                    Event::Heartbeat,
                    !passed && heartbeat.is_none() && world.spent.heartbeats < bounds.heartbeats,
                );
                add(Event::Save, !passed && save.is_none() && world.spent.saves < bounds.saves);
                if let Some((wait, _)) = heartbeat {
                    add(Event::ReceiveHeartbeat, received(wait));
                    add(Event::StopWaitingForHeartbeat, true);
                }
                if let Some(Saving { wait, .. }) = save {
                    add(Event::ReceiveSave, received(wait));
                    add(Event::StopWaitingForSave, true);
                }
                let may_finish = save.is_none() && world.spent.finishes < bounds.finishes;
                for how in [How::Succeeded, How::Failed, How::Released] {
                    add(Event::Finish(how), may_finish && (bounds.releases || how != How::Released));
                }
            }
            Phase::Finishing { wait, .. } => {
                add(Event::Receive, received(wait));
                add(Event::StopWaiting, true);
            }
            Phase::Settling { read, .. } => {
                add(Event::Read, read.is_none());
                add(Event::Receive, read.is_some());
            }
        }
        events
    }
}
