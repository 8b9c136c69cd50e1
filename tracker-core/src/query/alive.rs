//! Which leases were found alive, so that a worker does not read the same items again and again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::merge::Row;
use crate::time::Timestamp;

/// How many leases are remembered at most.
const MOST: usize = 100_000;

/// The leases that were found alive, each with the time until which nobody can take the task over.
#[derive(Debug, Default)]
pub(crate) struct AliveLeases(Mutex<HashMap<String, Alive>>);

#[derive(Debug)]
struct Alive {
    /// When the attempt began, as the index shows it. Another attempt may have a shorter lease.
    update_time: String,
    until: Timestamp,
}

impl AliveLeases {
    fn leases(&self) -> MutexGuard<'_, HashMap<String, Alive>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the lease of a row was found alive until a later time than now.
    pub(crate) fn has(&self, row: &Row, now: Timestamp) -> bool {
        let leases = self.leases();
        leases.get(&row.key).is_some_and(|alive| alive.until > now && alive.update_time == row.update_time)
    }

    /// Remembers that nobody can take a task over before a time. A renewal only moves that time further.
    pub(crate) fn insert(&self, row: &Row, until: Timestamp, now: Timestamp) {
        let mut leases = self.leases();
        if leases.len() >= MOST {
            leases.retain(|_, alive| alive.until > now);
            if leases.len() >= MOST {
                return;
            }
        }
        leases.insert(row.key.clone(), Alive { update_time: row.update_time.clone(), until });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lease_is_remembered_until_its_end_and_for_its_attempt_alone() {
        let alive = AliveLeases::default();
        let (now, end) = (Timestamp::EPOCH, Timestamp::EPOCH.plus(Duration::from_mins(5)));
        let row = |update_time: &str| Row {
            key: "a".to_owned(),
            update_time: update_time.to_owned(),
            ..Row::default()
        };
        assert!(!alive.has(&row("1"), now));
        alive.insert(&row("1"), end, now);
        assert!(alive.has(&row("1"), now));
        assert!(!alive.has(&row("2"), now), "another attempt");
        assert!(!alive.has(&row("1"), end));
    }
}
