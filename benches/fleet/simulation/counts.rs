//! What is counted.

use crate::events::Time;

/// Requests of one kind each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// Creates, which the producers send.
    pub creates: u64,
    /// Reads of whether the step is paused: one for each search.
    pub pauses: u64,
    /// Pages of the index, of ready tasks.
    pub queries: u64,
    /// Pages of the index, of tasks in progress.
    pub expired: u64,
    /// Starts and ends, of one task or of several.
    pub updates: u64,
    /// Heartbeats, of one task or of several.
    pub heartbeats: u64,
    /// Reads of items, after a refusal or of leases.
    pub reads: u64,
}

impl Requests {
    /// Returns all requests of the workers.
    #[must_use]
    pub fn of_workers(&self) -> u64 {
        self.pauses + self.queries + self.expired + self.updates + self.heartbeats + self.reads
    }
}

/// What has happened while it was measured.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    pub requests: Requests,
    /// Attempts that have ended.
    pub ended: u64,
    pub starts: u64,
    pub refused: u64,
    /// Requests, or members of them, that were throttled.
    pub throttled: u64,
    /// Requests and members of requests that could be throttled.
    pub throttleable: u64,
    pub read_units: f64,
    pub write_units: f64,
    /// From due to started, of first attempts.
    pub waits: Histogram,
    /// The same, second by second, also before and after it was measured.
    pub seconds: Vec<Second>,
    /// When the last task of a dead worker, or of one whose end was not recorded, was started again.
    pub last_takeover: Option<Time>,
    pub takeovers: u64,
    /// How many events were simulated in all.
    pub events: u64,
}

/// What has happened in one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Second {
    pub nth: u64,
    /// How many tasks were started for the first time.
    pub started: u64,
    pub p50: Time,
    pub p99: Time,
}

impl Figures {
    #[must_use]
    pub fn requests_per_task(&self) -> f64 {
        self.of_each(self.requests.of_workers() as f64)
    }

    #[must_use]
    pub fn of_each(&self, all: f64) -> f64 {
        all / (self.ended as f64).max(1.0)
    }

    /// Returns the fraction of the starts that were refused.
    #[must_use]
    pub fn refused_part(&self) -> f64 {
        self.refused as f64 / (self.starts as f64).max(1.0)
    }

    #[must_use]
    pub fn throttled_part(&self) -> f64 {
        self.throttled as f64 / (self.throttleable as f64).max(1.0)
    }

    /// Returns how many seconds after a time the p99 was last above a limit for most of `WINDOW` seconds; none if it still is at the
    /// end. A single slow second says nothing.
    #[must_use]
    pub fn recovery(&self, after: Time, limit: Time) -> Option<u64> {
        let began = after / 1_000_000;
        let seconds: Vec<_> = self.seconds.iter().filter(|second| second.nth >= began).collect();
        let is_slow = |window: &[&Second]| {
            let slow = window.iter().filter(|second| second.p99 > limit).count();
            slow > WINDOW / 2
        };
        match seconds.windows(WINDOW).rposition(is_slow) {
            None => Some(0),
            Some(last) if last + WINDOW == seconds.len() => None,
            Some(last) => Some(seconds[last + WINDOW / 2].nth + 1 - began),
        }
    }
}

/// How many seconds tell together whether tasks wait for too long.
const WINDOW: usize = 10;

/// How many buckets each doubling of a time has.
const STEPS: usize = 32;

/// Times, counted in buckets that are 3 % wide.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Histogram {
    pub(crate) fn add(&mut self, time: Time) {
        let bucket = ((time.max(1) as f64).log2() * STEPS as f64) as usize;
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
    }

    pub(crate) fn clear(&mut self) {
        self.buckets.fill(0);
        self.count = 0;
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the time that this part of the times does not exceed.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Time {
        let mut left = (self.count as f64 * part).ceil() as u64;
        for (nth, count) in self.buckets.iter().enumerate() {
            if *count >= left {
                return ((nth + 1) as f64 / STEPS as f64).exp2() as Time;
            }
            left -= count;
        }
        0
    }
}
