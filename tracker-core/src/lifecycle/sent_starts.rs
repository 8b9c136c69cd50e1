//! The requests that one start has sent, by which the start recognises that it was granted.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::item::attribute::{Item, LOCK};
use crate::item::head::TaskHead;
use crate::protocol::classify::{self, Rules, Start};
use crate::protocol::lease::{Lease, Reading};
use crate::time::{ClockReading, Timestamp};

/// The requests that one start has sent. Each has a time and a lock of its own.
///
/// A start may be granted without knowing it, lose that lease, and be granted again. A finish is recognised by locks, so the second
/// lease must not have the lock of the first.
#[derive(Default)]
pub(super) struct SentStarts(Mutex<State>);

#[derive(Default)]
struct State {
    /// The times, each with the monotonic time that was read together with it.
    readings: Vec<Reading>,
    lock_ids: Vec<String>,
}

impl SentStarts {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether nothing was sent.
    pub(super) fn is_empty(&self) -> bool {
        self.state().readings.is_empty()
    }

    /// Returns the time and the lock of the next request: a time later than those of all before, and a new lock.
    pub(super) fn next(&self, now: ClockReading) -> (Timestamp, String) {
        let lock_id = Uuid::new_v4().simple().to_string();
        let mut state = self.state();
        let reading = Reading::after_all(&state.readings, now);
        state.readings.push(reading);
        state.lock_ids.push(lock_id.clone());
        (reading.time, lock_id)
    }

    /// Returns the lock of an item, if one of the requests has set it.
    pub(super) fn own_lock(&self, item: &Item) -> Option<String> {
        let lock = item.get(LOCK)?.as_s().ok()?;
        self.state().lock_ids.contains(lock).then(|| lock.clone())
    }

    /// Returns the lease that a request has acquired, by the `lock_time` that is stored; none if nothing was sent.
    pub(super) fn granted(&self, stored: Option<Timestamp>, expire: Duration) -> Option<Lease> {
        Lease::granted(&self.state().readings, stored, expire)
    }

    /// Classifies the image of a request whose condition failed.
    pub(super) fn classify(&self, image: Option<&TaskHead>, now: Timestamp, rules: &Rules) -> Start {
        classify::classify_start(image, &self.state().lock_ids, now, rules)
    }
}
