//! What an operator does to a task, from outside.

use std::rc::Rc;

use super::act::Act;
use super::mutant::Mutant;
use super::request::{Change, Request};
use super::row::{Row, Time, lock_text};
use super::steps::{head, steps};
use super::worker::{Operation, Phase, Wait};
use crate::declare::status::Role;
use crate::item::attribute::CREATE_TIME;
use crate::item::head::TaskHead;
use crate::protocol::classify;

/// How many requests a delete sends at most. The tracker sends up to 6.
const DELETES: u8 = 2;

impl Act<'_> {
    /// Reads the task, and sends a redrive or a run now if the task allows it.
    pub(super) fn change(&mut self, change: Change, step: u8) -> Phase {
        let Some(seen) = self.world.row else {
            return Phase::Idle;
        };
        let now = Time::of(self.now().into());
        let role = head(steps(), step, &seen).role;
        let may = match change {
            Change::Redrive => matches!(role, Some(Role::Failed | Role::Ignored)),
            Change::RunNow => role.is_some_and(Role::is_ready) && seen.run_at > now,
            Change::Cancel => role.is_some_and(Role::is_ready),
        };
        if seen.lock != 0 || !may {
            return Phase::Idle;
        }
        self.world.ghost.change_sent(change);
        let request = Request::Change { change, step, seen, now, sent_at: self.world.tick };
        Phase::Operating { wait: self.send(request), operation: Operation::Change }
    }

    /// Reads the task, and sends a release by hand if its lease has expired.
    pub(super) fn release(&mut self, step: u8) -> Phase {
        match self.world.row {
            Some(seen) if self.is_expired(step, &seen) => {
                self.world.spent.hand_releases += 1;
                self.end_lost_attempt(step, seen)
            }
            _ => Phase::Idle,
        }
    }

    /// Reads the task, and cancels it: at once if nobody holds it, and otherwise by a request to its holder.
    pub(super) fn cancel(&mut self, step: u8) -> Phase {
        let Some(seen) = self.world.row else {
            return Phase::Idle;
        };
        self.world.spent.cancels += 1;
        if self.is_expired(step, &seen) {
            // The attempt counts as asked, so that the task is ignored.
            return self.end_lost_attempt(step, Row { cancel: seen.lock, ..seen });
        }
        if seen.lock == 0 {
            return self.change(Change::Cancel, step);
        }
        if head(steps(), step, &seen).role != Some(Role::InProgress) {
            return Phase::Idle;
        }
        if seen.cancel == seen.lock {
            self.world.ghost.told_asked(seen.lock);
            return Phase::Idle;
        }
        let wait = self.send(Request::Ask { lock: seen.lock, seen });
        Phase::Operating { wait, operation: Operation::Ask }
    }

    fn is_expired(&self, step: u8, seen: &Row) -> bool {
        let found = head(steps(), step, seen);
        let is_expired = self.rules().is_expired(&found, self.now().into());
        seen.lock != 0 && found.role == Some(Role::InProgress) && is_expired
    }

    /// Frees a task whose lease has expired.
    fn end_lost_attempt(&mut self, step: u8, seen: Row) -> Phase {
        let (lock_id, lease) = (self.world.ghost.begin_start(), self.lease());
        let (now, sent_at) = (Time::of(self.now().into()), self.world.tick);
        let request = Request::TakeOver { step, lock_id, frees: true, lease, seen, now, sent_at };
        Phase::Operating { wait: self.send(request), operation: Operation::Release }
    }

    /// Reads the task, and sends a delete if there is one.
    pub(super) fn delete(&mut self) -> Phase {
        let Some(seen) = self.world.row else {
            return Phase::Idle;
        };
        self.world.spent.deletes += 1;
        self.send_delete(seen, seen.born, 1)
    }

    /// Sends a delete of the task as it was read, unless a worker holds it.
    fn send_delete(&mut self, seen: Row, born: u8, sent: u8) -> Phase {
        let found = head(steps(), 0, &seen);
        let found = match self.mutant {
            Mutant::DeleteJudgesByOwnLease => Rc::new(TaskHead { lease: None, ..TaskHead::clone(&found) }),
            _ => found,
        };
        if found.is_locked() && !self.rules().can_take_over(&found, self.now().into()) {
            self.world.ghost.told_of_delete(born, false);
            return Phase::Idle;
        }
        let wait = self.send(Request::Delete { seen });
        Phase::Operating { wait, operation: Operation::Delete { born, sent } }
    }

    /// Takes the answer to an operation.
    pub(super) fn operated(&mut self, wait: &Wait, operation: Operation) -> Phase {
        let applied = matches!(wait.answer, Some(Ok(_)));
        let image = wait.answer.and_then(Result::err).flatten();
        match (operation, wait.request) {
            (Operation::Change, Request::Change { change, step, seen, now, .. }) => {
                let (after, _) = change.write(step, &seen, now);
                let is_ours = |image: Row| {
                    let found = head(steps(), step, &image);
                    match (self.mutant, change) {
                        (Mutant::RedriveBelievesTime, _) => {
                            let is_same = found.status_code == after.status_code;
                            is_same && found.update_time == after.update_time
                        }
                        (Mutant::RunNowBelievesDue, Change::RunNow) => found.run_at.is_none(),
                        (Mutant::CancelBelievesRefusal, Change::Cancel) => true,
                        (_, Change::RunNow) => classify::was_made_due(&found, &after),
                        _ => classify::was_set_by_operator(&found, &after),
                    }
                };
                if applied || image.is_some_and(is_ours) {
                    self.world.ghost.told_changed(change);
                }
            }
            (Operation::Ask, Request::Ask { lock, .. })
                if applied || self.mutant == Mutant::AskBelievesRefusal =>
            {
                self.world.ghost.told_asked(lock);
            }
            (Operation::Release, request) => {
                let lock_id = request.lock_id();
                let is_ours = |image: Row| {
                    let is_free = self.mutant == Mutant::ReleaseBelievesFree && image.lock == 0;
                    is_free || classify::was_released(&head(steps(), 0, &image), &lock_text(lock_id))
                };
                if applied || image.is_some_and(is_ours) {
                    self.world.ghost.told_released(lock_id);
                }
            }
            (Operation::Delete { born, sent }, Request::Delete { seen }) => {
                // Another create time is another task: the one that was read is gone.
                let image = image.filter(|image| match self.mutant {
                    Mutant::DeleteBelievesChange => image.update_time == seen.update_time,
                    _ => classify::is_same_task(&image.item(), seen.item().get(CREATE_TIME)),
                });
                return self.deleted(image, born, sent);
            }
            _ => {}
        }
        Phase::Idle
    }

    /// Decides what a delete does after an answer.
    fn deleted(&mut self, image: Option<Row>, born: u8, sent: u8) -> Phase {
        match image {
            None => self.world.ghost.told_of_delete(born, true),
            Some(found) if sent < DELETES => return self.send_delete(found, born, sent + 1),
            Some(_) => {}
        }
        Phase::Idle
    }
}
