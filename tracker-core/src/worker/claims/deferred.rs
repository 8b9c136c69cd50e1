//! The tasks that a worker does not claim for a while. Pure.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long it is remembered how often a task was refused, after it may be claimed again. A task whose trouble goes on is met
/// again by then, because the longest deferral is shorter.
pub(super) const REMEMBERED: Duration = Duration::from_mins(10);
/// Up to how many deferred tasks none is forgotten.
pub(super) const FEW_DEFERRED: usize = 64;
/// How many tasks are deferred at most.
pub(super) const MAX_DEFERRED: usize = 10_000;

/// A task that is not claimed for a while.
#[derive(Debug)]
pub(super) struct Deferred {
    pub(super) until: Duration,
    /// How often in a row the task was refused or met an error.
    pub(super) times: u32,
    /// Whether a drain waits for the task.
    pub(super) awaited: bool,
    /// Whether the task has ended here, or cannot be read: no drain has to wait for it.
    pub(super) has_ended: bool,
}

impl Deferred {
    pub(super) fn is_active(&self, now: Duration) -> bool {
        self.until > now
    }

    fn is_remembered(&self, now: Duration) -> bool {
        let more = if self.times > 0 { REMEMBERED } else { Duration::ZERO };
        self.until.saturating_add(more) > now
    }
}

/// The deferred tasks of a worker, by key.
#[derive(Debug)]
pub(super) struct DeferredTasks {
    tasks: HashMap<Arc<str>, Deferred>,
    /// At how many tasks those are forgotten that need not be remembered.
    forgets_at: usize,
}

impl Default for DeferredTasks {
    fn default() -> Self {
        Self { tasks: HashMap::new(), forgets_at: FEW_DEFERRED }
    }
}

impl DeferredTasks {
    /// Returns a task that is or was deferred.
    pub(super) fn get(&self, key: &str) -> Option<&Deferred> {
        self.tasks.get(key)
    }

    /// Returns the tasks that are deferred now.
    pub(super) fn active(&self, now: Duration) -> impl Iterator<Item = (&Arc<str>, &Deferred)> {
        self.tasks.iter().filter(move |(_, deferred)| deferred.is_active(now))
    }

    /// Forgets a task.
    pub(super) fn remove(&mut self, key: &str) {
        self.tasks.remove(key);
    }

    /// Defers a task.
    pub(super) fn insert(&mut self, key: &str, deferred: Deferred, now: Duration) {
        if self.tasks.len() >= self.forgets_at {
            self.tasks.retain(|_, deferred| deferred.is_remembered(now));
            if self.tasks.len() > MAX_DEFERRED / 2 {
                self.tasks.retain(|_, deferred| deferred.is_active(now));
            }
            if self.tasks.len() >= MAX_DEFERRED {
                self.tasks.clear();
            }
            // When they have doubled, so that forgetting costs little for each task.
            self.forgets_at = (2 * self.tasks.len()).clamp(FEW_DEFERRED, MAX_DEFERRED);
        }
        self.tasks.insert(key.into(), deferred);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }
}
