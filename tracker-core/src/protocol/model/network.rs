//! The network, which keeps every request, and may deliver each one late and several times.

use super::bounds::Bounds;
use super::ghost::Written;
use super::mutant::Mutant;
use super::python::Python;
use super::request::Request;
use super::row::Row;
use super::table::{self, Applied};
use super::worker::Worker;
use super::world::World;
use crate::protocol::cancellation::{Cancelled, classify_cancellation};

impl World {
    /// Puts a request into the network.
    pub(super) fn send(&mut self, request: Request) {
        if let Err(place) = self.net.binary_search(&request) {
            self.net.insert(place, request);
        }
    }

    /// Applies a request to the task, and answers the workers that wait for it.
    pub(super) fn deliver(&mut self, nth: usize, keeps_answer: bool, bounds: &Bounds, mutant: Mutant) {
        let request = self.net[nth];
        let before = self.row;
        if let Request::Effect { lock_id } = request {
            return self.ghost.effect_applied(lock_id);
        }
        let is_transaction = matches!(request, Request::Finish { effect: true, .. });
        let token = 1_u32 << (request.lock_id() % 32);
        if is_transaction && self.tokens & token != 0 {
            return self.answer_by_token(&request, keeps_answer);
        }
        let applied = table::apply(before, request, mutant);
        let is_refused = is_transaction && {
            let code = |holds: bool| if holds { "None" } else { "ConditionalCheckFailed" };
            let codes = [code(applied != Applied::Refused), code(!self.refuses_effects)];
            classify_cancellation(&codes) == Cancelled::Effect(0)
        };
        // In a shared request the image does not come with the answer.
        let image = before.filter(|_| !(bounds.shares && request.can_share()));
        let applied = if is_refused { Applied::Refused } else { applied };
        let answer = match applied {
            Applied::Refused => Err(image),
            Applied::Stored(after) => Ok(after),
            Applied::Deleted => before.ok_or(None),
        };
        let is_awaited = self.workers.iter().flat_map(Worker::awaited).any(|awaited| awaited == request);
        for worker in &mut self.workers {
            if !(keeps_answer && worker.has_answer(&request)) {
                worker.answer(&request, answer, is_refused);
            }
        }
        if matches!(request, Request::Python { .. }) {
            // The copies of Python's requests harm Python, and are not of this protocol.
            self.drop_copies(&request);
        }
        self.spent.effects_refused |= u8::from(is_refused);
        match applied {
            Applied::Refused => {}
            Applied::Stored(after) => {
                if is_transaction {
                    self.tokens |= token;
                }
                if matches!(request, Request::Create { .. }) && self.ghost.born != 0 {
                    self.drop_old_copies(mutant);
                }
                let clocks_agree = self.spent.wild_clocks == 0 && !bounds.clocks_far_apart;
                let written = Written { request, is_awaited, clocks_agree };
                self.ghost.applied(before, after, &written);
                if matches!(request, Request::Python { write: Python::Start { .. }, .. }) {
                    // Python sets `lock_time` back, so that late copies of starts may fit.
                    self.drop_old_starts(mutant);
                }
                self.row = Some(after);
                if self.ghost.violation.is_none() && bounds.python_saves == 0 {
                    self.ghost.violation = super::end::check(after, bounds, mutant);
                }
            }
            Applied::Deleted => {
                if let Some(before) = before {
                    self.row = None;
                    self.drop_old_copies(mutant);
                    self.ghost.deleted(&before, &request, is_awaited);
                }
            }
        }
    }

    /// Drops the copies of a request.
    pub(super) fn drop_copies(&mut self, of: &Request) {
        self.net.retain(|request| request != of);
    }

    /// Drops the copies of creates and starts of an old task, unless they are the first and a worker waits for their
    /// answers. Whoever creates a deleted id again waits until no such copy is on its way.
    pub(super) fn drop_old_copies(&mut self, mutant: Mutant) {
        self.drop_old_starts(mutant);
        let unanswered: Vec<_> = self.workers.iter().flat_map(Worker::unanswered).collect();
        self.net.retain(|request| {
            let stays = match request {
                Request::Create { .. } => mutant == Mutant::OldCreatesStay,
                _ => true,
            };
            stays || unanswered.contains(request)
        });
    }

    fn drop_old_starts(&mut self, mutant: Mutant) {
        let unanswered: Vec<_> = self.workers.iter().flat_map(Worker::unanswered).collect();
        self.net.retain(|request| {
            let stays = !matches!(request, Request::Start { .. }) || mutant == Mutant::OldStartsStay;
            stays || unanswered.contains(request)
        });
    }

    /// Answers a transaction that was applied before: as applied, without a write.
    fn answer_by_token(&mut self, request: &Request, keeps_answer: bool) {
        let (Request::Finish { step, head, how, .. }, Some(row)) = (*request, self.row) else {
            return;
        };
        let answer = Row { status: table::finished_as(step, &head, how), ..row };
        for worker in &mut self.workers {
            if !(keeps_answer && worker.has_answer(request)) {
                worker.answer(request, Ok(answer), false);
            }
        }
        self.spent.answers_by_token = 1;
    }

    /// Drops the requests whose conditions can never hold again, unless a worker waits for their answers: `lock_time`
    /// and `attempt` never go back, and a lock that was freed never returns to the same task. The promises check each of these three.
    /// A save of Python's breaks them.
    pub(super) fn drop_dead_requests(&mut self, bounds: &Bounds, mutant: Mutant) {
        if bounds.python_saves > 0 {
            return;
        }
        let awaited: Vec<_> = self.workers.iter().flat_map(Worker::awaited).collect();
        let (row, ghost) = (self.row, &self.ghost);
        let is_dead = |request: &Request| {
            if let Request::Create { token, replaces, .. } = *request {
                let is_known = (row.is_some() && replaces.is_none()) || ghost.was_told_of_create(token);
                return is_known && mutant != Mutant::OldCreatesStay;
            }
            let Some(row) = row else { return false };
            match *request {
                Request::Start { .. } if mutant == Mutant::OldStartsStay => false,
                Request::Start { now, lock_id, .. } => {
                    let is_past = row.lock_time >= now && mutant.start_compares_lock_time();
                    is_past || ghost.is_for_old_task(lock_id)
                }
                Request::Save { now, .. } => {
                    let compares = !matches!(mutant, Mutant::SaveWithoutTime | Mutant::SaveWithoutLock);
                    row.lock_time >= now && compares
                }
                Request::TakeOver { seen, .. } => match mutant {
                    Mutant::TakeoverPinsLockAlone => row.lock != seen.lock,
                    _ => row.lock_time > seen.lock_time,
                },
                Request::Change { seen, .. } => row.attempt > seen.attempt && !mutant.change_is_unpinned(),
                _ => false,
            }
        };
        self.net.retain(|request| !is_dead(request) || awaited.contains(request));
        let granting: Vec<_> = self
            .net
            .iter()
            .filter(|request| matches!(request, Request::Start { .. } | Request::TakeOver { .. }))
            .filter(|request| !is_dead(request))
            .map(Request::lock_id)
            .collect();
        let held = row.map_or(0, |row| row.lock);
        self.net.retain(|request| {
            let (Request::Finish { lock_id: lock, .. }
            | Request::Save { lock_id: lock, .. }
            | Request::Ask { lock, .. }) = request
            else {
                return true;
            };
            let may_be_held = held == *lock || granting.contains(lock);
            may_be_held || !mutant.asks_for_lock() || awaited.contains(request)
        });
    }
}
