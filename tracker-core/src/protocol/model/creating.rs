//! How a task is created.

use super::act::Act;
use super::mutant::Mutant;
use super::request::Request;
use super::row::{Row, Time};
use super::steps::SKEW_TICKS;
use super::worker::{Phase, Wait};
use super::world::FIRST_TOKEN;
use crate::protocol::classify::{self, Creator};

impl Act<'_> {
    /// Sends a create.
    pub(super) fn create(&mut self) -> Phase {
        self.world.spent.creates += 1;
        let token = FIRST_TOKEN + self.world.spent.creates;
        // First creates happen within one microsecond. Each has a token of its own.
        let may_be_gone = self.bounds.deletes > 0 || self.bounds.retention;
        let create_time = if may_be_gone { Time::of(self.now().into()) } else { Time::at(1) };
        let run_at = if self.bounds.run_at > 0 { create_time.later(self.bounds.run_at) } else { Time::NEVER };
        let request = Request::Create { create_time, token, run_at, replaces: None };
        Phase::Creating { wait: self.send(request) }
    }

    /// Decides what a create does after an answer.
    pub(super) fn created(&mut self, wait: &Wait) -> Phase {
        let Request::Create { create_time, token, run_at, replaces } = wait.request else {
            return Phase::Idle;
        };
        let found = wait.answer.and_then(Result::err);
        if found == Some(None) && replaces.is_some() {
            // The task was deleted before it could be replaced.
            let request = Request::Create { create_time, token, run_at, replaces: None };
            return Phase::Creating { wait: self.send(request) };
        }
        let found = found.flatten();
        let creator = found.map_or(Creator::Ours, |found| match self.mutant {
            Mutant::CreateBelievesItem => Creator::Ours,
            Mutant::CreateComparesTimeAlone if found.create_time == create_time => Creator::Ours,
            _ => {
                let ours = Row::new(create_time, token, run_at).item();
                classify::classify_create(&found.item(), &ours, false)
            }
        });
        match creator {
            Creator::Ours => self.world.ghost.told_created(token, true),
            Creator::Other if replaces.is_none() && found.is_some_and(|found| self.is_past(&found)) => {
                let request = Request::Create { create_time, token, run_at, replaces: found };
                return Phase::Creating { wait: self.send(request) };
            }
            Creator::Unknown if self.mutant != Mutant::CreateWithoutTraceIsOther => {}
            Creator::Other | Creator::Unknown => self.world.ghost.told_created(token, false),
        }
        Phase::Idle
    }

    /// Returns whether the task counts as deleted, although DynamoDB has not deleted it yet.
    fn is_past(&self, found: &Row) -> bool {
        let now = Time::of(self.now().into());
        let expires_at = Time::at(found.expires_at + SKEW_TICKS);
        self.bounds.retention && found.lock == 0 && found.expires_at != 0 && expires_at < now
    }
}
