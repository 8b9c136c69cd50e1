//! What came of each task, and what is in the way: counted, told, and what it means for the claims.

use std::time::Duration;

use super::run_loop::{Drive, MOMENT};
use super::slot::TaskOutcome;
use crate::dynamodb;
use crate::error::{Error, ErrorKind};
use crate::observe::{EventDraft, EventKind};
use crate::time::Timestamp;
use crate::tracker::status_tracker::StatusTracker;

/// How long a task that cannot be read is left alone.
const UNREADABLE: Duration = Duration::from_mins(10);

impl<T: StatusTracker> Drive<T> {
    /// Counts what came of a task.
    pub(super) fn ended(&mut self, key: &str, slot: TaskOutcome) {
        if let TaskOutcome::NotStarted(error) = slot {
            return self.not_started(key, error);
        }
        let now = self.now();
        self.answered(now);
        self.ended = Some(now);
        self.claims.granted(key, matches!(slot, TaskOutcome::Succeeded | TaskOutcome::Ignored), now);
        match slot {
            TaskOutcome::Succeeded => self.summary.succeeded += 1,
            TaskOutcome::Failed => self.summary.failed += 1,
            TaskOutcome::Ignored => self.summary.ignored += 1,
            TaskOutcome::Snoozed => self.summary.snoozed += 1,
            TaskOutcome::Lost => self.summary.lost += 1,
            TaskOutcome::Released => self.summary.released += 1,
            TaskOutcome::Unknown | TaskOutcome::NotStarted(_) => self.summary.unknown += 1,
        }
    }

    /// DynamoDB answers: it is in the way no more, if it was not for a while.
    fn answered(&mut self, now: Duration) {
        if now.saturating_sub(self.troubled) > self.options.poll.1 {
            self.slow = None;
        }
    }

    fn not_started(&mut self, key: &str, error: Error) {
        let cx = self.tracker.cx();
        let (wall, now) = (Timestamp::from(cx.now()), cx.now().monotonic);
        match error.kind() {
            ErrorKind::NotDue { run_at } => {
                self.summary.refused += 1;
                // It may be redriven before that.
                let wait = Timestamp::new(*run_at).since(wall).min(UNREADABLE);
                self.claims.set_aside(key, now.saturating_add(wait), false, now);
            }
            ErrorKind::ClockBehind { by } => {
                self.summary.refused += 1;
                let awaited = *by <= cx.config.max_clock_skew;
                let wait = (*by).min(UNREADABLE).max(MOMENT);
                self.claims.set_aside(key, now.saturating_add(wait), awaited, now);
            }
            kind if error.is_refusal() || *kind == ErrorKind::Contended => {
                self.summary.refused += 1;
                self.claims.refused(key, now);
                self.answered(now);
            }
            _ if matches!(error.kind(), ErrorKind::Decode { .. }) || dynamodb::is_about_data(&error) => {
                self.unreadable(&error.with_key(key), now);
            }
            ErrorKind::LeaseLost | ErrorKind::OutcomeUnknown => {
                self.claims.on_transient_error(key, now);
                self.summary.lost += 1;
            }
            _ => {
                self.claims.on_transient_error(key, now);
                self.on_service_error(error);
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
        self.tracker.cx().emit(EventDraft::left(EventKind::Unreadable, key, error));
    }

    /// DynamoDB is in the way: for a while, where a retry may help, or for good.
    pub(super) fn on_service_error(&mut self, error: Error) {
        let passes = dynamodb::is_transient(&error) || matches!(error.kind(), ErrorKind::ClockOff { .. });
        self.claims.drop_found();
        if !passes {
            self.fatal.get_or_insert(error);
            return;
        }
        self.troubled = self.now();
        if self.slow.is_none() {
            self.tracker.cx().emit(EventDraft::of_key(EventKind::SlowedDown, "").with_error(&error));
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
