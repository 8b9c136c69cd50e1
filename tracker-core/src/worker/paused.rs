//! Pauses of the step: a worker that sees one claims nothing until it ends.

use std::time::Duration;

use super::pace::MOMENT;
use super::run_loop::RunLoop;
use crate::observe::{EventDraft, EventKind};
use crate::table::pause::Pause;
use crate::tracker::status_tracker::StatusTracker;

impl<T: StatusTracker> RunLoop<T> {
    /// Claims nothing until the next look, because the step is paused. A drain ends.
    pub(super) fn on_pause(&mut self, pause: &Pause, now: Duration) {
        self.claims.drop_found();
        if self.summary.paused_until.is_none() {
            self.tracker.cx().emit(EventDraft::of_key(EventKind::Paused, ""));
        }
        self.summary.paused_until = Some(pause.until);
        if self.options.drain && !self.options.until_all_ended && self.summary.running == 0 {
            return self.end_drain(now);
        }
        let left = pause.until.signed_duration_since(self.tracker.cx().now().wall).to_std().unwrap_or(MOMENT);
        self.pause_for(self.options.poll.1.min(left).max(MOMENT));
    }

    /// Notes that the step is not paused.
    pub(super) fn on_no_pause(&mut self) {
        if self.summary.paused_until.take().is_some() {
            self.tracker.cx().emit(EventDraft::of_key(EventKind::Resumed, ""));
        }
    }
}
