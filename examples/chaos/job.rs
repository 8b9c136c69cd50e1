//! The tasks, and what the seed decides about them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracker_core::{StatusTracker, TrackerStatus};

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    #[status(pending, shards = 3)]
    Pending = 10,
    #[status(in_progress, shards = 3)]
    InProgress = 12,
    #[status(failed, shards = 3)]
    Failed = 14,
    #[status(succeeded, shards = 3)]
    Succeeded = 16,
    #[status(ignored, shards = 3)]
    Ignored = 18,
}

#[derive(StatusTracker, Debug, Clone)]
#[tracker(use_case_id = "chaos", status = JobStatus, max_retry = 4, history_limit = 1000, backoff = "none")]
pub struct Job {
    #[tracker(task_id)]
    pub id: u32,
    /// The attempt whose body finished the task.
    pub done_by: Option<u64>,
    /// The last attempt that saved the data before its end.
    pub saved_by: Option<u64>,
}

/// The shortest and the longest lease. Each worker has its own length, as while a new length is deployed.
pub const SHORTEST_LEASE: Duration = Duration::from_secs(1);
pub const LONGEST_LEASE: Duration = Duration::from_millis(1500);
pub const MAX_CLOCK_SKEW: Duration = Duration::from_millis(500);
/// Longer than the longest lease, the skew, and the difference of two clocks.
pub const HANG: Duration = Duration::from_millis(2700);

/// The way in which a body behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Behaviour {
    Work,
    Save,
    Fail,
    Panic,
    /// Sleeps until its lease has expired unless a heartbeat renews it, then continues normally.
    Hang,
    /// Blocks a thread of the runtime, and then one of its own until its lease has expired unless a heartbeat renews
    /// it. Then it continues normally.
    Block,
    /// Stops its worker and the heartbeat, without ending the attempt. A worker in a process of its own ends the process.
    Vanish,
    /// Works, then is released, or succeeds under `run`.
    Release,
    /// Works, then its execution is dropped, or succeeds under `run`.
    Cancel,
    /// Works, and adds an effect whose condition never holds.
    Refuse,
}

impl Behaviour {
    pub fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Save => "save",
            Self::Fail => "fail",
            Self::Panic => "panic",
            Self::Hang => "hang",
            Self::Block => "block",
            Self::Vanish => "vanish",
            Self::Release => "release",
            Self::Cancel => "cancel",
            Self::Refuse => "refuse",
        }
    }
}

/// The size of a run, and its seed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Plan {
    /// How many workers run at the same time in one process.
    pub workers: u32,
    pub seed: u64,
    /// Whether each success counts up a counter of its task, in one transaction.
    pub effects: bool,
    /// Whether every third worker is one of `Tracker::worker`.
    pub serves: bool,
}

impl Plan {
    /// Draws a number below `limit` that depends only on the seed and on its purpose `what`.
    pub fn draw(&self, what: impl Hash, limit: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, what).hash(&mut hasher);
        hasher.finish() % limit
    }

    /// Returns true if a task kills every worker that starts it.
    pub fn is_poison(&self, task: u32) -> bool {
        self.draw(("poison", task), 50) == 0
    }

    pub fn behaviour(&self, task: u32, attempt: u64) -> Behaviour {
        if self.is_poison(task) {
            return Behaviour::Vanish;
        }
        match self.draw(("behaviour", task, attempt), 100) {
            0..8 => Behaviour::Fail,
            8..14 => Behaviour::Panic,
            14..18 => Behaviour::Hang,
            18..22 => Behaviour::Vanish,
            22..26 => Behaviour::Release,
            26..30 => Behaviour::Cancel,
            30..32 => Behaviour::Block,
            32..36 if self.effects => Behaviour::Refuse,
            32..50 => Behaviour::Save,
            _ => Behaviour::Work,
        }
    }
}
