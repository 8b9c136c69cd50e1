//! Which leases were found alive, so that a worker does not read the same items again and again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::merge::Row;
use crate::time::Timestamp;

/// Up to how many leases none is forgotten.
const FEW: usize = 1_000;
/// How many leases are remembered at most.
const MOST: usize = 100_000;

/// The leases that were found alive, each with the time until which nobody can take the task over.
#[derive(Debug, Default)]
pub(crate) struct AliveLeases(Mutex<Leases>);

#[derive(Debug, Default)]
struct Leases {
    of_tasks: HashMap<String, Alive>,
    /// How many were left when those that had ended were last forgotten.
    left: usize,
    /// When the first of them ends, if they are as many as can be remembered.
    full_until: Option<Timestamp>,
}

#[derive(Debug)]
struct Alive {
    /// When the attempt began, as the index shows it. Another attempt may have a shorter lease.
    update_time: String,
    until: Timestamp,
}

impl AliveLeases {
    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the lease of a row was found alive until a later time than now.
    pub(crate) fn has(&self, row: &Row, now: Timestamp) -> bool {
        let leases = self.leases();
        let alive = leases.of_tasks.get(&row.key);
        alive.is_some_and(|alive| alive.until > now && alive.update_time == row.update_time)
    }

    /// Remembers that nobody can take a task over before a time. A renewal only moves that time further.
    pub(crate) fn insert(&self, row: &Row, until: Timestamp, now: Timestamp) {
        let mut leases = self.leases();
        // When they have doubled, so that forgetting costs little for each lease.
        if leases.of_tasks.len() >= (2 * leases.left).clamp(FEW, MOST) {
            if leases.full_until.is_some_and(|until| now < until) {
                return;
            }
            leases.of_tasks.retain(|_, alive| alive.until > now);
            leases.left = leases.of_tasks.len();
            let is_full = leases.left >= MOST;
            leases.full_until = leases.of_tasks.values().map(|alive| alive.until).min().filter(|_| is_full);
            if is_full {
                return;
            }
        }
        leases.of_tasks.insert(row.key.clone(), Alive { update_time: row.update_time.clone(), until });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn leases_that_have_ended_are_forgotten() {
        let alive = AliveLeases::default();
        for nth in 0..10 * u32::try_from(FEW).unwrap() {
            let now = Timestamp::EPOCH.plus(Duration::from_secs(1) * nth);
            let row = Row { key: nth.to_string(), ..Row::default() };
            alive.insert(&row, now.plus(Duration::from_secs(5)), now);
            assert!(alive.has(&row, now), "{nth}");
        }
        let remembered = alive.leases().of_tasks.len();
        assert!(remembered <= FEW, "{remembered}");
    }

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
