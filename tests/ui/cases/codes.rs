//! Makes mistakes in a status enum that rustc reports, not the derive.

use tracker_core::TrackerStatus;

#[derive(TrackerStatus, Clone, Copy)]
enum TwoAlike {
    #[status(pending)]
    Pending = 10,
    #[status(in_progress)]
    InProgress = 10,
    #[status(failed)]
    Failed = 14,
    #[status(succeeded)]
    Succeeded = 16,
    #[status(ignored)]
    Ignored = 18,
}

#[derive(TrackerStatus)]
enum NotCopy {
    #[status(pending)]
    Pending = 10,
    #[status(in_progress)]
    InProgress = 12,
    #[status(failed)]
    Failed = 14,
    #[status(succeeded)]
    Succeeded = 16,
    #[status(ignored)]
    Ignored = 18,
}

fn main() {}
