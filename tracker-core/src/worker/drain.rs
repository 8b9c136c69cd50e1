//! How a drain ends: once nothing is left, as far as the index tells.

use std::sync::Arc;
use std::time::Duration;

use super::run_loop::RunLoop;
use super::search::any_unfinished;
use crate::tracker::status_tracker::StatusTracker;

/// For how long after the end of an attempt the index may not show the task, or the tasks that its body has created.
const SETTLED: Duration = Duration::from_secs(1);

impl<T: StatusTracker> RunLoop<T> {
    /// Asks whether any task has not ended.
    pub(super) fn look_for_unfinished(&mut self) {
        let cx = Arc::clone(self.tracker.shared_cx());
        self.search = Some(Box::pin(any_unfinished(cx, self.claims.ended(self.now()))));
    }

    /// Ends a drain until all have ended, if no task is left.
    pub(super) fn on_last_look(&mut self, any_unfinished: bool, now: Duration) {
        if any_unfinished {
            self.empty_look = None;
            return self.pause_idle();
        }
        // A task may be between two partitions of the index, so two looks must find nothing.
        let first = *self.empty_look.get_or_insert(now);
        if now >= first.saturating_add(SETTLED) {
            self.end_drain(now);
        } else {
            self.pause = Some(self.sleep(SETTLED));
        }
    }

    /// Ends a drain that has found nothing and runs nothing. If the index may not show everything yet, it waits and
    /// searches again.
    pub(super) fn end_drain(&mut self, now: Duration) {
        let settled = self.last_end.map(|ended| ended.saturating_add(SETTLED));
        match settled.filter(|settled| self.search_began < *settled) {
            None => self.drained = true,
            Some(settled) => self.pause = Some(self.sleep(settled.saturating_sub(now))),
        }
    }
}
