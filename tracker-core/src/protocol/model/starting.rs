//! How a worker starts the task: with a start, or with a takeover.

use std::rc::Rc;

use super::act::Act;
use super::bounds::SENDS;
use super::how::How;
use super::mutant::Mutant;
use super::request::{Request, Seen};
use super::row::{Row, Time, lock_text};
use super::steps::{head, steps, ticks};
use super::worker::{Attempt, Phase, Starting};
use crate::item::head::TaskHead;
use crate::protocol::classify::{self, Start};
use crate::protocol::lease::Lease;

impl Act<'_> {
    /// Sends a start.
    pub(super) fn start(&mut self, mut starting: Starting, expects: Option<Seen>) -> Phase {
        let (now, lock_id) = self.next(&mut starting);
        let (step, lease, sent_at) = (starting.step, self.lease(), self.world.tick);
        let request = Request::Start { step, lock_id, expects, lease, now, sent_at };
        Phase::Starting { wait: self.send(request), starting }
    }

    /// Returns the time and the lock of the next request.
    fn next(&mut self, starting: &mut Starting) -> (Time, u8) {
        let now = Time::of(starting.next(self.now()).time);
        let lock_id = starting.lock_ids(self.mutant).pop().unwrap_or(starting.first_lock);
        self.world.ghost.start_sent(lock_id);
        (now, lock_id)
    }

    /// Ends a start without an answer: releases the task, if the start was applied.
    pub(super) fn abandoned(&mut self, starting: &Starting, row: Row) -> Phase {
        let holds =
            starting.lock_ids(self.mutant).contains(&row.lock) || self.mutant == Mutant::ReleasesAnyAttempt;
        if row.lock == 0 || !holds {
            return Phase::Idle;
        }
        let starting = Starting { first_lock: row.lock, dropped: true, ..starting.clone() };
        self.started(&starting, row)
    }

    /// Decides what a start does after its condition has failed.
    pub(super) fn refused(&mut self, mut starting: Starting, sent: Request, image: Option<Row>) -> Phase {
        let step = starting.step;
        let found = image.map(|row| head(steps(), step, &row));
        let now = self.now();
        let rules = self.rules();
        let found = found.map(|found| match self.mutant {
            Mutant::JudgedByOwnLease => Rc::new(TaskHead { lease: None, ..TaskHead::clone(&found) }),
            _ => found,
        });
        let lock_ids: Vec<_> = starting.lock_ids(self.mutant).into_iter().map(lock_text).collect();
        let verdict = classify::classify_start(found.as_deref(), &lock_ids, now.into(), &rules);
        let may_send = starting.sent.len() < SENDS;
        match (verdict, image) {
            (Start::Started, Some(row)) if self.mutant.start_recognises_itself() => {
                return self.started(&starting, row);
            }
            (_, Some(row)) if self.mutant == Mutant::StartBelievesItem && row.lock != 0 => {
                return self.started(&starting, row);
            }
            (Start::TakeOver, Some(seen)) if may_send => {
                let (now, lock_id) = self.next(&mut starting);
                let (lease, sent_at) = (self.lease(), self.world.tick);
                let request = Request::TakeOver { step, lock_id, frees: false, lease, seen, now, sent_at };
                return Phase::Starting { wait: self.send(request), starting };
            }
            (Start::Again, Some(image)) if may_send => {
                let expects = match sent {
                    Request::Start { expects: Some(expected), .. } => {
                        Some(Seen::of(&image)).filter(|found| *found != expected)
                    }
                    _ => None,
                };
                return self.start(starting, expects);
            }
            (Start::Ignored, _) => {}
            (verdict, image) => {
                for lock_id in starting.lock_ids(self.mutant) {
                    // A start that is out of requests is contended, which says nothing about the task.
                    if !matches!(verdict, Start::TakeOver | Start::Again) {
                        self.world.ghost.told_nothing(lock_id, image);
                    }
                    self.world.ghost.told_refused(lock_id);
                }
            }
        }
        Phase::Idle
    }

    /// Ends a start that was applied: the worker holds the task, or releases it.
    pub(super) fn started(&mut self, starting: &Starting, row: Row) -> Phase {
        let Starting { step, sent, dropped, .. } = starting;
        let lock_ids = starting.lock_ids(self.mutant);
        let own = lock_ids.iter().find(|lock_id| **lock_id == row.lock);
        let believed = lock_ids.last().filter(|_| self.mutant == Mutant::StartBelievesItem);
        let Some(lock_id) = own.or(believed) else {
            // Our takeover has ignored the task.
            return Phase::Idle;
        };
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
            is_asked: false,
        };
        if *dropped || held.has_passed(now, self.mutant) {
            return self.finish(held, How::Released);
        }
        self.world.ghost.told_started(*lock_id, row.attempt);
        Phase::Holding { held, heartbeat: None, save: None }
    }
}
