//! What a worker does, and how it treats an answer. The crate's own functions take every decision.

use std::rc::Rc;

use super::mutant::Mutant;
use super::row::{Data, Row, Time, lock_text};
use super::table::{self, How, Request, head, steps, ticks};
use super::worker::{Attempt, Event, Phase, Saving, Wait};
use super::world::{FIRST_TOKEN, World};
use crate::declare::status::Role;
use crate::item::head::TaskHead;
use crate::protocol::classify::{self, Creator, Save, Start, Written};
use crate::protocol::lease::{Lease, Reading};
use crate::time::ClockReading;

/// How many requests one start sends at most. The tracker sends up to 6; 3 keep the model small.
const SENDS: usize = 3;

/// The turn of one worker.
pub(super) struct Act<'w> {
    pub(super) world: &'w mut World,
    /// The number of the worker.
    pub(super) nth: usize,
    pub(super) mutant: Mutant,
    /// Whether a success has an effect.
    pub(super) effects: bool,
}

/// A start that has no result yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Starting {
    pub(super) step: u8,
    pub(super) lock_id: u8,
    sent: Vec<Reading>,
    /// Whether the future of the start was dropped.
    pub(super) dropped: bool,
}

impl Act<'_> {
    /// Lets the worker do something.
    pub(super) fn on(&mut self, event: Event) {
        let phase = std::mem::replace(&mut self.world.workers[self.nth].phase, Phase::Idle);
        let next = match (phase, event) {
            (_, Event::Crash | Event::Lose) => Phase::Idle,
            (Phase::Idle, event) => self.begin(event),
            (Phase::Holding { held, heartbeat, save }, event) => self.hold(held, heartbeat, save, event),
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

    fn now(&self) -> ClockReading {
        self.world.now(self.nth)
    }

    /// Returns how many ticks the worker's leases last.
    fn lease(&self) -> u8 {
        self.world.workers[self.nth].lease
    }

    /// Sends a request, and waits for its answer.
    fn send(&mut self, request: Request) -> Wait {
        self.world.send(request);
        Wait { request, answer: None, effect_refused: false }
    }

    /// Lets an idle worker begin an operation.
    fn begin(&mut self, event: Event) -> Phase {
        match event {
            Event::Create => {
                self.world.spent.creates += 1;
                // All creates happen within one microsecond. Each has a token of its own.
                let token = FIRST_TOKEN + self.world.spent.creates;
                Phase::Creating {
                    wait: self.send(Request::Create { create_time: Time::at(1), token }),
                    token,
                }
            }
            Event::Redrive { step } => self.redrive(step),
            Event::Release { step } => self.release(step),
            Event::Start { step, expects } => {
                let lock_id = self.world.ghost.new_lock();
                self.start(Starting { step, lock_id, sent: Vec::new(), dropped: false }, expects)
            }
            other => unreachable!("{other:?} of an idle worker"),
        }
    }

    /// Reads the task, and sends a redrive if the task can be redriven.
    fn redrive(&mut self, step: u8) -> Phase {
        let Some(seen) = self.world.row else {
            return Phase::Idle;
        };
        let role = head(steps(), step, &seen).role;
        if seen.lock != 0 || !matches!(role, Some(Role::Failed | Role::Ignored)) {
            return Phase::Idle;
        }
        self.world.spent.redrives += 1;
        let now = Time::of(self.now().into());
        let request = Request::Redrive { step, seen, now, sent_at: self.world.tick };
        Phase::Redriving { wait: self.send(request), step, seen, now }
    }

    /// Reads the task, and sends a release by hand if its lease has expired.
    fn release(&mut self, step: u8) -> Phase {
        let Some(seen) = self.world.row else {
            return Phase::Idle;
        };
        let (found, now, lease) = (head(steps(), step, &seen), self.now(), self.lease());
        let is_expired = table::rules(lease, self.mutant).is_expired(&found, now.into());
        if seen.lock == 0 || found.role != Some(Role::InProgress) || !is_expired {
            return Phase::Idle;
        }
        self.world.spent.hand_releases += 1;
        let lock_id = self.world.ghost.new_lock();
        let (now, sent_at) = (Time::of(now.into()), self.world.tick);
        let request = Request::TakeOver { step, lock_id, frees: true, lease, seen, now, sent_at };
        Phase::Releasing { wait: self.send(request) }
    }

    /// Ends a release by hand.
    fn released(&mut self, wait: &Wait) {
        let lock_id = wait.request.lock_id();
        let released = match wait.answer {
            Some(Err(Some(image))) => image.last_lock == lock_id,
            Some(Err(None)) | None => false,
            Some(Ok(_)) => true,
        };
        if released {
            self.world.ghost.told_released(lock_id);
        }
    }

    /// Sends a start.
    fn start(&mut self, mut starting: Starting, expects: u8) -> Phase {
        let reading = starting.next(self.now());
        let Starting { step, lock_id, .. } = starting;
        let now = Time::of(reading.time);
        let (lease, sent_at) = (self.lease(), self.world.tick);
        let request = Request::Start { step, lock_id, expects, lease, now, sent_at };
        Phase::Starting { wait: self.send(request), starting }
    }

    /// Takes the answer that a worker has waited for.
    fn receive(&mut self, phase: Phase) -> Phase {
        match phase {
            Phase::Creating { wait, token } => self.created(&wait, token),
            Phase::Redriving { wait, step, seen, now } => self.redriven(&wait, step, &seen, now),
            Phase::Releasing { wait } => self.released(&wait),
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

    /// Ends a create.
    fn created(&mut self, wait: &Wait, token: u8) {
        let creator = match (wait.answer, wait.request) {
            (Some(Err(Some(found))), Request::Create { create_time, .. }) => match self.mutant {
                Mutant::CreateBelievesItem => Creator::Ours,
                Mutant::CreateComparesTimeAlone if found.create_time == create_time => Creator::Ours,
                _ => {
                    let ours = Row::new(create_time, token).item();
                    classify::classify_create(&found.item(), &ours, false)
                }
            },
            _ => Creator::Ours,
        };
        match creator {
            Creator::Ours => self.world.ghost.told_created(token, true),
            Creator::Other => self.world.ghost.told_created(token, false),
            Creator::Unknown => {}
        }
    }

    /// Ends a start without an answer: releases the task, if the start was applied.
    fn abandoned(&mut self, starting: &Starting, row: Row) -> Phase {
        let holds = row.lock == starting.lock_id || self.mutant == Mutant::ReleasesAnyAttempt;
        if row.lock == 0 || !holds {
            return Phase::Idle;
        }
        let starting = Starting { lock_id: row.lock, dropped: true, ..starting.clone() };
        self.started(&starting, row)
    }

    /// Ends a redrive.
    fn redriven(&mut self, wait: &Wait, step: u8, seen: &Row, now: Time) {
        let after = table::redriven(step, seen, now);
        let redriven = match wait.answer {
            Some(Err(Some(image))) => classify::was_set_by_operator(&head(steps(), step, &image), &after),
            Some(Err(None)) | None => false,
            Some(Ok(_)) => true,
        };
        if redriven {
            self.world.ghost.told_redriven();
        }
    }

    /// Decides what a start does after its condition has failed.
    fn refused(&mut self, mut starting: Starting, sent: Request, image: Option<Row>) -> Phase {
        let Starting { step, lock_id, .. } = starting;
        let found = image.map(|row| head(steps(), step, &row));
        let now = self.now();
        let rules = table::rules(self.lease(), self.mutant);
        let found = found.map(|found| match self.mutant {
            Mutant::JudgedByOwnLease => Rc::new(TaskHead { lease: None, ..TaskHead::clone(&found) }),
            _ => found,
        });
        let verdict = classify::classify_start(found.as_deref(), &lock_text(lock_id), now.into(), &rules);
        let may_send = starting.sent.len() < SENDS;
        match (verdict, image) {
            (Start::Started, Some(row)) if self.mutant.start_recognises_itself() => {
                return self.started(&starting, row);
            }
            (Start::TakeOver, Some(seen)) if may_send => {
                let now = Time::of(starting.next(now).time);
                let (lease, sent_at) = (self.lease(), self.world.tick);
                let request = Request::TakeOver { step, lock_id, frees: false, lease, seen, now, sent_at };
                return Phase::Starting { wait: self.send(request), starting };
            }
            (Start::Again, Some(image)) if may_send => {
                let expects = match sent {
                    Request::Start { expects, .. } if expects != 0 && expects != image.status => image.status,
                    _ => 0,
                };
                return self.start(starting, expects);
            }
            (Start::Ignored, _) => {}
            (verdict, image) => {
                // A start that is out of requests is contended, which says nothing about the task.
                if !matches!(verdict, Start::TakeOver | Start::Again) {
                    self.world.ghost.told_nothing(lock_id, image);
                }
                self.world.ghost.told_refused(lock_id);
            }
        }
        Phase::Idle
    }

    /// Ends a start that was applied: the worker holds the task, or releases it.
    fn started(&mut self, starting: &Starting, row: Row) -> Phase {
        let Starting { step, lock_id, sent, dropped } = starting;
        if row.lock != *lock_id {
            // Our takeover has ignored the task.
            return Phase::Idle;
        }
        let now = self.now();
        let stored = Some(row.lock_time.stamp());
        let lease = match self.mutant {
            Mutant::DeadlineFromAnswer => Lease::granted(&[now.into()], None, ticks(self.lease())),
            _ => Lease::granted(sent, stored, ticks(self.lease())),
        };
        let applied = sent.iter().find(|reading| Some(reading.time) == stored);
        let held = Attempt {
            step: *step,
            lock_id: *lock_id,
            head: row,
            lease: lease.expect("a start that was sent"),
            acknowledged: applied.copied().filter(|_| self.mutant == Mutant::MonotonicOnly),
            version: 0,
        };
        if *dropped || held.has_passed(now, self.mutant) {
            return self.finish(held, How::Released);
        }
        self.world.ghost.told_started(*lock_id, row.attempt);
        Phase::Holding { held, heartbeat: None, save: None }
    }

    /// Lets a holder do something, or takes the answer to its heartbeat or save.
    fn hold(
        &mut self,
        mut held: Attempt,
        heartbeat: Option<(Wait, Reading)>,
        save: Option<Saving>,
        event: Event,
    ) -> Phase {
        match (event, heartbeat, save) {
            (Event::Finish(how), ..) => self.finish(held, how),
            (Event::Heartbeat, _, save) => {
                self.world.spent.heartbeats += 1;
                let next = held.next(self.now(), self.mutant);
                let request = Request::Save { lock_id: held.lock_id, now: Time::of(next.time), data: None };
                Phase::Holding { held, heartbeat: Some((self.send(request), next)), save }
            }
            (Event::Save, heartbeat, _) => {
                self.world.spent.saves += 1;
                let data = held.next_data();
                let save = Some(self.save(&mut held, data));
                Phase::Holding { held, heartbeat, save }
            }
            (Event::ReceiveHeartbeat, Some((wait, written)), save) => {
                match saved(&wait, &held, written) {
                    Save::Saved => held.acknowledge(written, self.mutant),
                    Save::Again => {}
                    Save::LeaseLost => return Phase::Idle,
                }
                Phase::Holding { held, heartbeat: None, save }
            }
            (Event::ReceiveSave, heartbeat, Some(Saving { wait, written, data })) => {
                let save = match saved(&wait, &held, written) {
                    Save::Again if self.mutant != Mutant::SaveSuperseded => {
                        if let Some(Err(Some(image))) = wait.answer {
                            held.lease.seen(image.lock_time.stamp());
                        }
                        let passed = held.has_passed(self.now(), self.mutant);
                        (!passed).then(|| self.save(&mut held, data))
                    }
                    Save::Saved | Save::Again => {
                        held.acknowledge(written, self.mutant);
                        self.world.ghost.told_saved(data);
                        None
                    }
                    Save::LeaseLost => None,
                };
                Phase::Holding { held, heartbeat, save }
            }
            (Event::StopWaitingForHeartbeat, _, save) => Phase::Holding { held, heartbeat: None, save },
            (Event::StopWaitingForSave, heartbeat, _) => Phase::Holding { held, heartbeat, save: None },
            (other, ..) => unreachable!("{other:?} of a holder"),
        }
    }

    /// Sends a save.
    fn save(&mut self, held: &mut Attempt, data: Data) -> Saving {
        let written = held.next(self.now(), self.mutant);
        let request = Request::Save { lock_id: held.lock_id, now: Time::of(written.time), data: Some(data) };
        Saving { wait: self.send(request), written, data }
    }

    /// Sends a finish.
    fn finish(&mut self, mut held: Attempt, how: How) -> Phase {
        let now = Time::of(held.next(self.now(), self.mutant).time);
        let data = held.next_data();
        let Attempt { step, lock_id, head, .. } = held;
        let has_effect = self.effects && how == How::Succeeded;
        let effect = has_effect && self.mutant != Mutant::EffectApart;
        if has_effect {
            self.world.ghost.effect_decided(lock_id);
        }
        if has_effect && !effect {
            self.world.send(Request::Effect { lock_id });
        }
        let sent_at = self.world.tick;
        let request = Request::Finish { step, lock_id, head, how, now, sent_at, data, effect };
        if has_effect && self.mutant == Mutant::EffectLeftOut {
            self.world.send(Request::Finish { step, lock_id, head, how, now, sent_at, data, effect: false });
        }
        Phase::Finishing { held, how, instead_of: None, wait: self.send(request) }
    }

    /// Records a success as failed whose effect was refused.
    fn fail_instead(&mut self, held: Attempt) -> Phase {
        let success = Time::of(held.lease.sent());
        match self.finish(held, How::Failed) {
            Phase::Finishing { held, how, wait, .. } => {
                Phase::Finishing { held, how, instead_of: Some(success), wait }
            }
            other => other,
        }
    }

    /// Decides whether a finish was recorded. `unanswered` is set if the image was read because no answer came.
    fn finished(
        &mut self,
        held: &Attempt,
        how: How,
        instead_of: Option<Time>,
        image: Option<Row>,
        unanswered: bool,
    ) {
        let found = image.map(|row| head(steps(), held.step, &row));
        let held_head = head(steps(), held.step, &held.head);
        let status = table::finished_as(held.step, &held.head, how);
        let sent = classify::Finish {
            lock_id: &lock_text(held.lock_id),
            create_time: held.head.create_time.stamp(),
            update_time: held.lease.sent(),
            attempt: held.head.attempt.into(),
            status: status.into(),
            lost_lock: held_head.lost_lock.as_deref(),
            unanswered: unanswered && self.mutant != Mutant::SettledByOwnLock,
            other: instead_of.map(Time::stamp).filter(|_| self.mutant != Mutant::FailureBelievesItself),
        };
        let verdict = match self.mutant {
            Mutant::AlwaysUnknown => Written::Unknown,
            Mutant::DoneWithinDeadline => {
                let passed = held.has_passed(self.now(), self.mutant);
                by_deadline(found.as_deref(), &sent, passed)
            }
            _ => classify::classify_finish(found.as_deref(), &sent),
        };
        match verdict {
            Written::Done => self.world.ghost.told_done(held.lock_id, status),
            Written::Other => {
                self.world.spent.successes_after_refusal = 1;
                let success = table::finished_as(held.step, &held.head, How::Succeeded);
                self.world.ghost.told_done(held.lock_id, success);
            }
            Written::LeaseLost => self.world.ghost.told_lost(held.lock_id),
            Written::Unknown if unanswered => {}
            // The task has gone on, so the image tells of the end of the attempt, and not which end that was.
            Written::Unknown
                if found.is_some_and(|found| {
                    let ends = [Some(sent.update_time), sent.other];
                    sent.other.is_some() && !ends.contains(&Some(found.update_time))
                }) => {}
            Written::Unknown => self.world.ghost.told_nothing(held.lock_id, image),
        }
    }
}

impl Starting {
    /// Returns the time of the next request.
    fn next(&mut self, now: ClockReading) -> Reading {
        let reading = Reading::after_all(&self.sent, now);
        self.sent.push(reading);
        reading
    }
}

/// Decides whether a finish was recorded by the holder's deadline instead of the lock that a takeover leaves.
fn by_deadline(found: Option<&TaskHead>, sent: &classify::Finish<'_>, passed: bool) -> Written {
    let found = found.map(|found| TaskHead { lost_lock: None, ..found.clone() });
    let has_later_attempts = found.as_ref().is_some_and(|found| found.attempt > sent.attempt);
    match classify::classify_finish(found.as_ref(), sent) {
        Written::Unknown if has_later_attempts && !passed => Written::Done,
        verdict => verdict,
    }
}

/// Decides what the answer to a heartbeat or a save means.
fn saved(wait: &Wait, held: &Attempt, written: Reading) -> Save {
    match wait.answer {
        Some(Err(image)) => {
            let found = image.map(|row| head(steps(), held.step, &row));
            classify::classify_save(found.as_deref(), &lock_text(held.lock_id), written.time)
        }
        _ => Save::Saved,
    }
}
