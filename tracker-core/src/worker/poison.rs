//! Simulates a task that kills its process, together with healthy tasks.

use std::time::Duration;

use super::claims::{Chosen, Claims, Found, SearchResult};
use super::search::is_suspect;
use crate::time::Timestamp;

/// How a task of [`deaths`] stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Open { lost: u32 },
    Succeeded,
    Ignored,
}

/// Runs tasks in one process after the other. A task that is a poison kills its process, and all tasks that run there
/// are lost. Returns what becomes of the tasks.
fn deaths(tasks: usize, poison: usize, concurrency: usize, seed: u64) -> Vec<Fate> {
    const MAX_RETRY: u32 = 3;
    let mut fates = vec![Fate::Open { lost: 0 }; tasks];
    for process in 0..100 {
        let mut claims = Claims::new(1, concurrency, seed * 1000 + process);
        let (mut running, mut now) = (Vec::new(), Duration::from_secs(1000));
        loop {
            let seen = fates.clone();
            let lost = |task: usize| match seen[task] {
                Fate::Open { lost } => Some(lost),
                _ => None,
            };
            let open: Vec<_> = (0..tasks).filter(|task| lost(*task).is_some()).collect();
            if open.is_empty() {
                return fates;
            }
            let found = Found {
                suspects: open
                    .iter()
                    .filter(|task| lost(**task).is_some_and(|lost| lost > 0 && is_suspect(lost - 1)))
                    .map(ToString::to_string)
                    .collect(),
                keys: open.iter().map(ToString::to_string).collect(),
                is_complete: true,
                ..Found::default()
            };
            now += Duration::from_millis(100);
            let result = claims.take_found(found, Timestamp::EPOCH, now);
            while running.len() < concurrency
                && let Some(Chosen { key, .. }) = claims.next(now)
            {
                let task: usize = key.parse().unwrap();
                // The takeover ignores a task that is out of attempts.
                if lost(task) >= Some(MAX_RETRY) {
                    fates[task] = Fate::Ignored;
                    claims.refused(&key, now);
                } else {
                    running.push(task);
                }
            }
            if running.len() == concurrency || running.len() == open.len() || result == SearchResult::Later {
                break;
            }
        }
        // Nothing ends before the poison kills the process.
        if running.contains(&poison) {
            for task in running {
                if let Fate::Open { lost } = &mut fates[task] {
                    *lost += 1;
                }
            }
        } else {
            for task in running {
                fates[task] = Fate::Succeeded;
            }
        }
    }
    fates
}

#[test]
fn task_that_kills_its_process_ends_alone() {
    for seed in 0..50 {
        for (tasks, concurrency) in [(6, 6), (20, 8), (40, 16)] {
            let fates = deaths(tasks, 2, concurrency, seed);
            let ended = |task| if task == 2 { Fate::Ignored } else { Fate::Succeeded };
            let expected: Vec<_> = (0..tasks).map(ended).collect();
            assert_eq!(fates, expected, "seed {seed}, {tasks} tasks, {concurrency} at once");
        }
    }
}
