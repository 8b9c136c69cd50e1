//! What came of each task, and what is in the way: counted, told, and what it means for the claims.

use std::time::Duration;

use super::run_loop::{Drive, MOMENT};
use super::slot::Slot;
use crate::dynamodb;
use crate::error::{Error, ErrorKind};
use crate::observe::{EventKind, Told};
use crate::time::Timestamp;
use crate::tracker::status_tracker::StatusTracker;

/// How long a task that cannot be read is left alone.
const UNREADABLE: Duration = Duration::from_mins(10);

impl<T: StatusTracker> Drive<T> {
    /// Counts what came of a task.
    pub(super) fn ended(&mut self, key: &str, slot: Slot) {
        if let Slot::NotStarted(error) = slot {
            return self.not_started(key, error);
        }
        let now = self.now();
        self.answered(now);
        self.ended = Some(now);
        self.claims.granted(key, matches!(slot, Slot::Succeeded | Slot::Ignored), now);
        match slot {
            Slot::Succeeded => self.summary.succeeded += 1,
            Slot::Failed => self.summary.failed += 1,
            Slot::Ignored => self.summary.ignored += 1,
            Slot::Snoozed => self.summary.snoozed += 1,
            Slot::Lost => self.summary.lost += 1,
            Slot::Released => self.summary.released += 1,
            Slot::Unknown | Slot::NotStarted(_) => self.summary.unknown += 1,
        }
    }

    /// DynamoDB answers: it is in the way no more, if it was not for a while.
    fn answered(&mut self, now: Duration) {
        if now.saturating_sub(self.troubled) > self.options.poll.1 {
            self.slow = None;
        }
    }

    fn not_started(&mut self, key: &str, error: Error) {
        let engine = self.tracker.engine();
        let (wall, now) = (Timestamp::from(engine.now()), engine.now().monotonic);
        match error.kind() {
            ErrorKind::NotDue { run_at } => {
                self.summary.refused += 1;
                // It may be redriven before that.
                let wait = Timestamp::new(*run_at).since(wall).min(UNREADABLE);
                self.claims.set_aside(key, now.saturating_add(wait), false, now);
            }
            ErrorKind::ClockBehind { by } => {
                self.summary.refused += 1;
                let awaited = *by <= engine.config.max_clock_skew;
                let wait = (*by).min(UNREADABLE).max(MOMENT);
                self.claims.set_aside(key, now.saturating_add(wait), awaited, now);
            }
            _ if error.is_refusal() => {
                self.summary.refused += 1;
                self.claims.refused(key, now);
                self.answered(now);
            }
            _ if matches!(error.kind(), ErrorKind::Decode { .. }) || dynamodb::is_about_data(&error) => {
                self.unreadable(&error.with_key(key), now);
            }
            ErrorKind::LeaseLost | ErrorKind::OutcomeUnknown => {
                self.claims.troubled(key, now);
                self.summary.lost += 1;
            }
            _ => {
                self.claims.troubled(key, now);
                self.hindered(error);
            }
        }
    }

    /// Reports a task that cannot be read, once in a while.
    pub(super) fn unreadable(&mut self, error: &Error, now: Duration) {
        let key = error.key().unwrap_or_default();
        if self.claims.is_aside(key, now) {
            return;
        }
        self.claims.set_aside(key, now.saturating_add(UNREADABLE), false, now);
        self.summary.unreadable += 1;
        self.tracker.engine().tell(Told::left(EventKind::Unreadable, key, error));
    }

    /// DynamoDB is in the way: for a while, where a retry may help, or for good.
    pub(super) fn hindered(&mut self, error: Error) {
        let passes = dynamodb::is_transient(&error) || matches!(error.kind(), ErrorKind::ClockOff { .. });
        self.claims.drop_found();
        if !passes {
            self.fatal.get_or_insert(error);
            return;
        }
        self.troubled = self.now();
        if self.slow.is_none() {
            self.tracker.engine().tell(Told::of_key(EventKind::SlowedDown, "").because(&error));
        } else if self.waiting.is_some() {
            // One of those that were under way together.
            return;
        }
        let wait = self.slow.unwrap_or(self.options.poll.0);
        self.slow = Some(wait.saturating_mul(2).min(self.options.poll.1));
        self.looking = None;
        self.wait(wait);
    }
}
