//! Uses types that a declaration cannot have. Each gets one error, which points at the type and says what to do.

use tracker_core::{StatusTracker, TrackerStatus};

#[derive(TrackerStatus, Clone, Copy)]
enum Status {
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

#[derive(Default)]
struct NotSerde;

#[derive(Clone, Copy)]
enum NoStatus {
    A = 1,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "field", status = Status)]
struct Field {
    #[tracker(task_id)]
    id: String,
    member: NotSerde,
    #[tracker(attribute, default)]
    attribute: Option<NotSerde>,
    #[tracker(skip)]
    skipped: NotSerde,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "id", status = Status)]
struct Id {
    #[tracker(task_id)]
    id: Vec<u8>,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "status", status = NoStatus)]
struct OfNoStatus {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "after", status = Status, after = NotSerde)]
struct AfterNothing {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "more", status = Status, more_pending_status = [NoStatus::A])]
struct MorePending {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "default", status = Status)]
struct NoDefault {
    #[tracker(task_id)]
    id: String,
    #[tracker(default)]
    at: std::time::SystemTime,
}

fn main() {}
