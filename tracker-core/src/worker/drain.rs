//! How a drain ends: once nothing is left, as far as the index tells.

use std::sync::Arc;
use std::time::Duration;

use super::claims::INDEX_LAG;
use super::run_loop::RunLoop;
use super::search::any_unfinished;
use crate::tracker::status_tracker::StatusTracker;

/// For how long after the end of an attempt the index may not show the task, or the tasks that its body has created. The same holds
/// for the tasks that were created just before the drain.
const SETTLED: Duration = Duration::from_secs(1);
/// How long a drain until all have ended must see no task. It promises more than a plain drain, so it waits for an index that lags
/// as on a bad day.
const SETTLED_FOR_ALL: Duration = INDEX_LAG;

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
        // What ended after that look may have created tasks, or failed.
        let first = first.max(self.last_end.unwrap_or_default());
        let settled = first.saturating_add(SETTLED_FOR_ALL);
        if now >= settled {
            self.end_drain(now);
        } else {
            self.pause = Some(self.sleep(SETTLED.min(settled.saturating_sub(now))));
        }
    }

    /// Ends a drain that has found nothing and runs nothing. If the index may not show everything yet, it waits and
    /// searches again.
    pub(super) fn end_drain(&mut self, now: Duration) {
        let settled = self.last_end.unwrap_or(self.began).saturating_add(SETTLED);
        if self.pace.search_began() < settled {
            self.pause = Some(self.sleep(settled.saturating_sub(now)));
        } else {
            self.drained = true;
        }
    }
}
