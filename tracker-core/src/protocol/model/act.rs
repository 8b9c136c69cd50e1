//! What a worker does, and how it treats an answer. The crate's own functions take every decision.

use super::bounds::{Bounds, SENDS};
use super::events::Event;
use super::mutant::Mutant;
use super::request::Request;
use super::steps::rules;
use super::worker::{Phase, Starting, Wait};
use super::world::World;
use crate::declare::spec::Takeover;
use crate::protocol::classify::Rules;
use crate::time::ClockReading;

/// The turn of one worker.
pub(super) struct Act<'w> {
    pub(super) world: &'w mut World,
    /// The number of the worker.
    pub(super) nth: usize,
    pub(super) mutant: Mutant,
    pub(super) bounds: &'w Bounds,
}

impl Act<'_> {
    /// Lets the worker do something.
    pub(super) fn on(&mut self, event: Event) {
        let phase = std::mem::replace(&mut self.world.workers[self.nth].phase, Phase::Idle);
        let next = match (phase, event) {
            (_, Event::Crash | Event::Lose) => Phase::Idle,
            (Phase::Idle, event) => self.begin(event),
            (Phase::Holding { held, heartbeat, save }, event) => self.hold(held, heartbeat, save, event),
            (
                Phase::Python { wait: Wait { request: Request::Python { lock, .. }, .. }, .. },
                Event::FinishInPython(succeeded),
            ) => self.finish_in_python(lock, succeeded),
            (Phase::Starting { starting, .. }, Event::DropStart) if starting.sent.len() < SENDS => {
                self.start(Starting { dropped: true, ..starting }, None)
            }
            (Phase::Starting { wait, starting }, Event::DropStart) => {
                Phase::Starting { wait, starting: Starting { dropped: true, ..starting } }
            }
            (Phase::Finishing { held, how, instead_of, .. }, Event::StopWaiting) => {
                Phase::Settling { held, how, instead_of, read: None }
            }
            (Phase::Settling { held, how, instead_of, .. }, Event::Read) => {
                Phase::Settling { held, how, instead_of, read: Some(self.world.row.ok_or(())) }
            }
            (Phase::Starting { starting, .. }, Event::Abandon) => Phase::Abandoning { starting, read: None },
            (Phase::Abandoning { starting, .. }, Event::Read) => {
                Phase::Abandoning { starting, read: Some(self.world.row.ok_or(())) }
            }
            (phase, Event::Receive) => self.receive(phase),
            (phase, event) => unreachable!("{event:?} in {phase:?}"),
        };
        self.world.workers[self.nth].phase = next;
    }

    pub(super) fn now(&self) -> ClockReading {
        self.world.now(self.nth)
    }

    /// Returns how many ticks the worker's leases last.
    pub(super) fn lease(&self) -> u8 {
        self.world.workers[self.nth].lease
    }

    /// Returns the rules of expiry and takeover of the worker.
    pub(super) fn rules(&self) -> Rules {
        let rules = rules(self.lease(), self.mutant);
        let never = self.bounds.python_starts > 0 && self.mutant != Mutant::PythonTakenOver;
        Rules { takeover: if never { Takeover::Never } else { rules.takeover }, ..rules }
    }

    /// Sends a request, and waits for its answer.
    pub(super) fn send(&mut self, request: Request) -> Wait {
        self.world.send(request);
        Wait { request, answer: None, effect_refused: false }
    }

    /// Lets an idle worker begin an operation.
    fn begin(&mut self, event: Event) -> Phase {
        match event {
            Event::Create => self.create(),
            Event::Delete => self.delete(),
            Event::Cancel { step } => self.cancel(step),
            Event::Change { change, step } => self.change(change, step),
            Event::StartInPython => self.start_in_python(),
            Event::WriteInPython(write) => self.write_in_python(write),
            Event::Release { step } => self.release(step),
            Event::Start { step, expects } => {
                let first_lock = self.world.ghost.begin_start();
                self.start(Starting { step, first_lock, sent: Vec::new(), dropped: false }, expects)
            }
            other => unreachable!("{other:?} of an idle worker"),
        }
    }

    /// Takes the answer that a worker has waited for.
    fn receive(&mut self, phase: Phase) -> Phase {
        match phase {
            Phase::Creating { wait } => return self.created(&wait),
            Phase::Python { wait, .. } => return self.python_answered(wait),
            Phase::Operating { wait, operation } => return self.operated(&wait, operation),
            Phase::Starting { wait, starting } => {
                return match wait.answer {
                    Some(Ok(row)) => self.started(&starting, row),
                    Some(Err(image)) => self.refused(starting, wait.request, image),
                    None => Phase::Idle,
                };
            }
            Phase::Abandoning { starting, read: Some(Ok(row)) } => return self.abandoned(&starting, row),
            Phase::Abandoning { .. } => {}
            Phase::Finishing { held, wait, .. } if wait.effect_refused => return self.fail_instead(held),
            Phase::Finishing { held, how, instead_of, wait } => match wait.answer {
                Some(Ok(row)) => self.world.ghost.told_done(held.lock_id, row.status),
                Some(Err(image)) => self.finished(&held, how, instead_of, image, false),
                None => {}
            },
            Phase::Settling { held, how, instead_of, read } => {
                self.finished(&held, how, instead_of, read.and_then(Result::ok), true);
            }
            other => unreachable!("an answer in {other:?}"),
        }
        Phase::Idle
    }
}
