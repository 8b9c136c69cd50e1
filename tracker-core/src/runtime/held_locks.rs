//! The locks that a tracker holds, so that a refused start can tell whether the tracker itself has the task.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The ids of the locks that a tracker and its clones hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldLocks(Arc<Mutex<HashSet<Arc<str>>>>);

/// The id of a lock, which counts as held until this is dropped.
#[derive(Debug)]
pub(crate) struct HeldLock {
    id: Arc<str>,
    all: HeldLocks,
}

impl HeldLocks {
    /// Adds a lock, until the returned value is dropped.
    pub(crate) fn hold(&self, id: impl Into<Arc<str>>) -> HeldLock {
        let id = id.into();
        self.ids().insert(Arc::clone(&id));
        HeldLock { id, all: self.clone() }
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.ids().contains(id)
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for HeldLock {
    type Target = str;

    fn deref(&self) -> &str {
        &self.id
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.all.ids().remove(&*self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_is_held_until_it_is_dropped() {
        let locks = HeldLocks::default();
        let (first, second) = (locks.hold("a"), locks.clone().hold("b"));
        assert!(locks.has("a") && locks.has("b") && !locks.has("c"));
        drop(first);
        assert!(!locks.has("a") && locks.has(&second));
    }
}
