//! How a worker ends its attempt.

use super::act::Act;
use super::how::How;
use super::mutant::Mutant;
use super::request::Request;
use super::row::{Row, Time, lock_text};
use super::steps::{head, steps};
use super::table;
use super::worker::{Attempt, Phase};
use crate::item::head::TaskHead;
use crate::protocol::classify::{self, Written};

impl Act<'_> {
    /// Sends a finish.
    pub(super) fn finish(&mut self, mut held: Attempt, how: How) -> Phase {
        let now = Time::of(held.next(self.now(), self.mutant).time);
        let data = held.next_data();
        let Attempt { step, lock_id, head, .. } = held;
        let has_effect = self.bounds.effects && how == How::Succeeded;
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
    pub(super) fn fail_instead(&mut self, held: Attempt) -> Phase {
        let success = Time::of(held.lease.sent());
        match self.finish(held, How::Failed) {
            Phase::Finishing { held, how, wait, .. } => {
                Phase::Finishing { held, how, instead_of: Some(success), wait }
            }
            other => other,
        }
    }

    /// Decides whether a finish was recorded. `unanswered` is set if the image was read because no answer came.
    pub(super) fn finished(
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
        let is_ours = |found: &TaskHead| found.last_lock.as_deref() == Some(sent.lock_id);
        let verdict = match self.mutant {
            Mutant::EarlierAttemptIsLost
                if found.as_ref().is_some_and(|found| found.attempt < sent.attempt) =>
            {
                Written::LeaseLost
            }
            Mutant::SameAttemptIsLost
                if found.as_ref().is_some_and(|found| found.attempt == sent.attempt && !is_ours(found)) =>
            {
                Written::LeaseLost
            }
            Mutant::PythonIsSuccessor
                if found.as_ref().is_some_and(|found| {
                    found.lock.is_some() && found.attempt == sent.attempt + 1 && !is_ours(found)
                }) =>
            {
                Written::LeaseLost
            }
            Mutant::FinishLostIfGone if found.is_none() => Written::LeaseLost,
            Mutant::FinishIgnoresCreateTime => {
                let create_time = found.as_ref().map_or(sent.create_time, |found| found.create_time);
                classify::classify_finish(found.as_deref(), &classify::Finish { create_time, ..sent })
            }
            Mutant::AlwaysUnknown => Written::Unknown,
            Mutant::SettledIsUnknown if unanswered => Written::Unknown,
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
            // The task has gone on, so the image tells of the end of the attempt, and not which end that was.
            Written::Unknown
                if found.is_some_and(|found| {
                    let ends = [Some(sent.update_time), sent.other];
                    sent.other.is_some() && !ends.contains(&Some(found.update_time))
                }) => {}
            Written::Unknown if unanswered => self.world.ghost.told_unknown(held.lock_id, image),
            Written::Unknown => self.world.ghost.told_nothing(held.lock_id, image),
        }
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
