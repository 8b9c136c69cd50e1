//! What a worker may do next.

use super::bounds::Bounds;
use super::how::How;
use super::mutant::Mutant;
use super::python::Python;
use super::request::{Change, Seen};
use super::steps::ready;
use super::worker::{Attempt, Phase, Saving, Wait, Worker};
use super::world::World;

/// What a worker may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Create,
    Delete,
    Cancel {
        step: u8,
    },
    Release {
        step: u8,
    },
    Change {
        change: Change,
        step: u8,
    },
    Start {
        step: u8,
        expects: Option<Seen>,
    },
    StartInPython,
    FinishInPython(bool),
    WriteInPython(Python),
    /// The future of a start is dropped. The start goes on, and a task that it acquires is released.
    DropStart,
    Heartbeat,
    Save,
    Finish(How),
    /// The worker notices that its deadline has passed.
    Lose,
    /// The worker reads the task.
    Read,
    /// The worker takes the answer to its request.
    Receive,
    ReceiveHeartbeat,
    ReceiveSave,
    /// The worker stops waiting for the answer to its start.
    Abandon,
    /// The worker stops waiting for the answer to its finish.
    StopWaiting,
    StopWaitingForHeartbeat,
    StopWaitingForSave,
    /// The worker loses everything that it knows. Its requests stay in the network.
    Crash,
}

impl Worker {
    /// Returns everything that the worker may do next.
    pub(super) fn events(&self, world: &World, nth: usize, bounds: &Bounds, mutant: Mutant) -> Vec<Event> {
        let mut events = Vec::new();
        let mut add = |event, may: bool| {
            if may {
                events.push(event);
            }
        };
        let received = |wait: &Wait| wait.answer.is_some();
        if !matches!(self.phase, Phase::Idle) {
            add(Event::Crash, true);
        }
        match &self.phase {
            Phase::Idle => {
                add(Event::Create, world.spent.creates < bounds.creates);
                add(Event::Delete, world.spent.deletes < bounds.deletes && self.clock_is_right());
                add(Event::StartInPython, world.spent.python_starts < bounds.python_starts);
                if let Some(read) = world.row {
                    let may_write = world.spent.python_writes < bounds.python_saves + bounds.python_resets;
                    let write = if bounds.python_saves > 0 { Python::Save { read } } else { Python::Reset };
                    add(Event::WriteInPython(write), may_write);
                }
                for step in 0..=u8::from(bounds.two_steps) {
                    self.events_of_step(step, world, bounds, &mut add);
                }
            }
            Phase::Python { holds: true, .. } => {
                for succeeded in [true, false] {
                    add(Event::FinishInPython(succeeded), world.spent.finishes < bounds.finishes);
                }
            }
            Phase::Python { wait, .. } | Phase::Creating { wait } | Phase::Operating { wait, .. } => {
                add(Event::Receive, received(wait));
            }
            Phase::Starting { wait, starting } => {
                add(Event::Receive, received(wait));
                add(Event::DropStart, bounds.releases && !starting.dropped);
                add(Event::Abandon, bounds.releases);
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
                for how in ends(held, bounds) {
                    add(Event::Finish(*how), may_finish);
                }
            }
            Phase::Finishing { wait, .. } => {
                add(Event::Receive, received(wait));
                add(Event::StopWaiting, true);
            }
            Phase::Abandoning { read, .. } | Phase::Settling { read, .. } => {
                add(Event::Read, read.is_none());
                add(Event::Receive, read.is_some());
            }
        }
        events
    }

    /// Adds what an idle worker may begin in one step of the pipeline.
    fn events_of_step(&self, step: u8, world: &World, bounds: &Bounds, add: &mut impl FnMut(Event, bool)) {
        let Bounds { redrives, run_nows, .. } = *bounds;
        let starts = world.ghost.starts() - usize::from(world.spent.python_starts);
        let may_start = starts < bounds.starts && self.clock_is_right();
        let has_waits = bounds.waits || bounds.run_at > 0;
        add(Event::Start { step, expects: None }, may_start && !bounds.shares);
        for status in ready(step) {
            for has_run_at in [false, true] {
                let expects = Some(Seen { status, has_run_at });
                add(Event::Start { step, expects }, may_start && bounds.shares && (has_waits || !has_run_at));
            }
        }
        for (change, most) in [(Change::Redrive, redrives), (Change::RunNow, run_nows)] {
            add(Event::Change { change, step }, world.ghost.changes_sent(change) < most);
        }
        let may_release = world.spent.hand_releases < bounds.hand_releases;
        add(Event::Release { step }, may_release && self.clock_is_right());
        add(Event::Cancel { step }, world.spent.cancels < bounds.cancels && self.clock_is_right());
    }
}

/// Returns how an attempt may end.
fn ends(held: &Attempt, bounds: &Bounds) -> &'static [How] {
    match (held.is_asked, bounds.waits, bounds.releases) {
        (true, ..) => &[How::Cancelled],
        (_, true, false) => &[How::Succeeded, How::FailedToWait, How::Snoozed],
        (_, true, true) => &[How::Succeeded, How::FailedToWait, How::Snoozed, How::Released],
        (_, false, true) => &[How::Succeeded, How::Failed, How::Released],
        (_, false, false) => &[How::Succeeded, How::Failed],
    }
}
