//! What outcomes and errors mean for a worker: they are counted, reported, and passed on to the claims.

use std::time::Duration;

use super::pace::MOMENT;
use super::run_loop::RunLoop;
use super::task::TaskOutcome;
use super::trouble::{AccessRefused, MAX_ACCESS_REFUSED, passes_by_itself};
use crate::dynamodb;
use crate::error::{Error, ErrorKind};
use crate::observe::{EventDraft, EventKind};
use crate::time::Timestamp;
use crate::tracker::status_tracker::StatusTracker;

/// How many tasks in a row may be unreadable before the worker slows down, or its drain ends.
const MAX_UNREADABLE: u32 = 500;
/// How long a task that cannot be read is left alone.
const UNREADABLE: Duration = Duration::from_mins(10);

impl<T: StatusTracker> RunLoop<T> {
    /// Counts the outcome of a claim. So many tasks run now.
    pub(super) fn on_outcome(&mut self, key: &str, outcome: TaskOutcome, tasks: usize) {
        self.summary.running = tasks + self.starts.len();
        self.count(key, outcome);
        if self.summary.running == 0 && self.options.drain && !self.pace.is_slow() {
            self.pause = None;
        }
    }

    fn count(&mut self, key: &str, outcome: TaskOutcome) {
        if let TaskOutcome::NotStarted(error) = outcome {
            return self.on_not_started(key, error);
        }
        let now = self.now();
        self.on_answer(now);
        self.unreadable_in_a_row = 0;
        self.last_end = Some(now);
        self.claims.granted(key, matches!(outcome, TaskOutcome::Succeeded | TaskOutcome::Ignored), now);
        match outcome {
            TaskOutcome::Succeeded => self.summary.succeeded += 1,
            TaskOutcome::Failed => self.summary.failed += 1,
            TaskOutcome::Ignored => self.summary.ignored += 1,
            TaskOutcome::Snoozed => self.summary.snoozed += 1,
            TaskOutcome::Lost => self.summary.lost += 1,
            TaskOutcome::Released => self.summary.released += 1,
            TaskOutcome::Unknown | TaskOutcome::NotStarted(_) => self.summary.unknown += 1,
        }
    }

    /// DynamoDB has answered.
    fn on_answer(&mut self, now: Duration) {
        self.access_refused.starts = 0;
        self.pace.on_answer(now);
    }

    fn on_not_started(&mut self, key: &str, error: Error) {
        let cx = self.tracker.cx();
        let (wall, now) = (Timestamp::from(cx.now()), cx.now().monotonic);
        match error.kind() {
            ErrorKind::NotDue { run_at } => {
                self.summary.refused += 1;
                // A redrive may make the task due before that.
                let wait = Timestamp::new(*run_at).since(wall).min(UNREADABLE);
                self.claims.defer_until(key, now.saturating_add(wait), false, now);
            }
            ErrorKind::ClockBehind { by } => {
                self.summary.refused += 1;
                let awaited = *by <= cx.config.max_clock_skew;
                let wait = (*by).min(UNREADABLE).max(MOMENT);
                self.claims.defer_until(key, now.saturating_add(wait), awaited, now);
            }
            kind if error.is_refusal() || *kind == ErrorKind::Contended => {
                self.summary.refused += 1;
                self.claims.refused(key, now);
                self.pace.on_start(true, now);
                self.on_answer(now);
            }
            _ if matches!(error.kind(), ErrorKind::Decode { .. }) || dynamodb::is_about_data(&error) => {
                self.on_unreadable(&error.with_key(key), now);
            }
            ErrorKind::LeaseLost | ErrorKind::OutcomeUnknown => {
                self.claims.on_transient_error(key, now);
                self.summary.lost += 1;
            }
            _ => {
                self.claims.on_transient_error(key, now);
                self.on_service_error(error, |refused| &mut refused.starts);
            }
        }
    }

    /// Defers a task that cannot be read, and reports it unless it is deferred already.
    pub(super) fn on_unreadable(&mut self, error: &Error, now: Duration) {
        let key = error.key().unwrap_or_default();
        if self.claims.is_deferred(key, now) {
            return;
        }
        self.claims.defer_unreadable(key, now.saturating_add(UNREADABLE), now);
        self.summary.unreadable += 1;
        self.unreadable_in_a_row += 1;
        self.tracker.cx().emit(EventDraft::left(EventKind::Unreadable, key, error));
        if self.unreadable_in_a_row >= MAX_UNREADABLE {
            // Every one of them costs a start and a release. An item and the type do not fit, so this does not pass.
            if self.options.drain {
                self.fatal.get_or_insert_with(|| error.copied());
            }
            self.slow_down(error);
        }
    }

    /// Slows the worker down for a while if a retry may help. Otherwise the error ends the worker. `count` selects the count
    /// of refusals in a row.
    pub(super) fn on_service_error(
        &mut self,
        error: Error,
        count: impl FnOnce(&mut AccessRefused) -> &mut u32,
    ) {
        self.claims.drop_found();
        let waits = self.pace.is_slow() && self.pause.is_some();
        let refused = count(&mut self.access_refused);
        let passes = if dynamodb::is_access_refused(&error) {
            // What was sent before a wait counts as one refusal.
            *refused += u32::from(!waits);
            *refused < MAX_ACCESS_REFUSED
        } else {
            // Only refusals in a row say that the credentials do not come back.
            *refused = 0;
            passes_by_itself(&error)
        };
        if passes {
            self.slow_down(&error);
        } else {
            self.fatal.get_or_insert(error);
        }
    }

    /// Claims less for a while, longer each time.
    fn slow_down(&mut self, error: &Error) {
        self.claims.drop_found();
        let now = self.now();
        if !self.pace.is_slow() {
            self.tracker.cx().emit(EventDraft::of_key(EventKind::SlowedDown, "").with_error(error));
        }
        // None if the worker waits already: this request was sent before the wait began.
        if let Some(wait) = self.pace.slow_down(self.pause.is_some(), now) {
            self.search = None;
            self.pause_for(wait);
        }
    }
}
