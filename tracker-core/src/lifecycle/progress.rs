//! The progress of an attempt, which its next heartbeat or save stores.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::item::attribute::{ITEM_BYTES, PROGRESS, string};
use crate::item::head::{TaskHead, TaskProgress};
use crate::item::history::cut;
use crate::protocol::expression::Expression;

/// The most bytes of the words of a progress.
const NOTE_BYTES: usize = 100;
/// The largest item, at the start, whose progress is stored. A larger one may need its room for its data and its end.
const MOST_BYTES: usize = ITEM_BYTES / 4 * 3;

/// Returns the progress of an attempt, within its limits.
pub(super) fn of_attempt(attempt: u64, fraction: f64, note: &str, time: DateTime<Utc>) -> TaskProgress {
    let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
    // A control character would need six bytes.
    let note = note.replace(char::is_control, " ");
    TaskProgress { attempt, fraction, note: cut(&note, NOTE_BYTES), time }
}

/// The progress that is not stored yet.
#[derive(Debug, Default)]
pub(crate) struct PendingProgress {
    latest: Mutex<Option<TaskProgress>>,
    /// Whether the item had no room for one. It needs its room for its end.
    is_refused: AtomicBool,
}

impl PendingProgress {
    pub(super) fn set(&self, progress: TaskProgress) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    /// Returns the progress to store with the next write of the attempt that has started a task.
    pub(super) fn get(&self, started: &TaskHead) -> Option<TaskProgress> {
        let has_room = started.bytes_without_errors + started.errors_bytes < MOST_BYTES;
        let has_room = has_room && !self.is_refused.load(Ordering::Relaxed);
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(|_| has_room)
    }

    /// Notes that the item has no room for a progress: the attempt stores none any more.
    pub(super) fn refuse(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }

    /// Notes that a progress is stored.
    pub(super) fn done(&self, progress: Option<&TaskProgress>) {
        let mut pending = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.as_ref() == progress {
            *pending = None;
        }
    }
}

/// Adds a progress to a write.
pub(super) fn with_progress(write: Expression, progress: Option<&TaskProgress>) -> Expression {
    match progress.and_then(|progress| serde_json::to_string(progress).ok()) {
        Some(text) => write.set_to(PROGRESS, string(text)),
        None => write,
    }
}
