//! Declares steps that do not fit together. The evaluation of constants reports them, and names both types.

use tracker_core::{StatusTracker, TrackerStatus};

macro_rules! statuses {
    ($name:ident $(($pad:literal))?: $pending:literal $in_progress:literal $failed:literal $succeeded:literal $ignored:literal) => {
        #[derive(TrackerStatus, Clone, Copy)]
        #[status($(status_zero_pad = $pad)?)]
        enum $name {
            #[status(pending)]
            Pending = $pending,
            #[status(in_progress)]
            InProgress = $in_progress,
            #[status(failed)]
            Failed = $failed,
            #[status(succeeded)]
            Succeeded = $succeeded,
            #[status(ignored)]
            Ignored = $ignored,
        }
    };
}

statuses!(ExtractStatus: 10 12 14 16 18);
statuses!(ReviewStatus: 20 22 24 26 28);
statuses!(OtherStatus: 30 32 34 16 38);
statuses!(LastStatus: 50 52 54 56 58);
statuses!(WideStatus(4): 40 42 44 46 48);

#[derive(StatusTracker)]
#[tracker(use_case_id = "documents", status = ExtractStatus, table = "documents")]
struct Extract {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "documents", status = ReviewStatus, table = "documents", after = Extract)]
struct Review {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "pages", status = ReviewStatus, table = "documents", after = Extract)]
struct OtherUseCase {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "documents", status = ReviewStatus, table = "documents", sep = "--", after = Extract)]
struct OtherSeparator {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "documents", status = ReviewStatus, table = "reviews", after = Extract)]
struct OtherTable {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "documents", status = ReviewStatus, after = Extract)]
struct NoTable {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "documents", status = ReviewStatus, table = "documents", index = "other", after = Extract)]
struct OtherIndex {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "documents", status = WideStatus, table = "documents", after = Extract)]
struct OtherPad {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "documents", status = ExtractStatus, table = "documents", retain_seconds = 86400)]
struct Retained {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "documents", status = ReviewStatus, table = "documents", after = Retained)]
struct AfterRetained {
    #[tracker(task_id)]
    id: String,
}

// Only the step right after `Retained` is reported, so this step adds no report.
#[derive(StatusTracker)]
#[tracker(use_case_id = "documents", status = LastStatus, table = "documents", after = AfterRetained)]
struct AfterBoth {
    #[tracker(task_id)]
    id: String,
}

// Nothing is reported: the last step may retain its tasks, and ignored tasks wait for no step.
#[derive(StatusTracker)]
#[tracker(use_case_id = "documents", status = ExtractStatus, table = "documents", retain_ignored_seconds = 86400)]
struct RetainedIgnored {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(
    use_case_id = "documents",
    status = ReviewStatus,
    table = "documents",
    after = RetainedIgnored,
    retain_seconds = 86400
)]
struct Last {
    #[tracker(task_id)]
    id: String,
}

// Shares codes with the step before the previous step, in a generic struct that nobody uses.
#[derive(StatusTracker)]
#[tracker(use_case_id = "documents", status = OtherStatus, table = "documents", after = Review)]
struct SameCodes<T> {
    #[tracker(task_id)]
    id: String,
    data: T,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "other", status = ReviewStatus, more_pending_status = [ReviewStatus::Failed])]
struct OwnCode {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(
    use_case_id = "other",
    status = ReviewStatus,
    more_pending_status = [ExtractStatus::Succeeded, OtherStatus::Succeeded]
)]
struct SameCodeTwice {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(
    use_case_id = "documents",
    status = ReviewStatus,
    table = "documents",
    after = Extract,
    more_pending_status = [OtherStatus::Succeeded]
)]
struct CodeOfAnotherEnum {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "other", status = WideStatus, more_pending_status = [ExtractStatus::InProgress])]
struct InProgress {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "orders", status = ExtractStatus, names(key = "pk", value = "gsi1pk"), sort_key = ("sk", "TASK"))]
struct Order {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "orders", status = ReviewStatus, names(key = "pk", value = "gsi2pk"), sort_key = ("sk", "TASK"), after = Order)]
struct OtherName {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "orders", status = ReviewStatus, names(key = "pk"), sort_key = ("sk", "TASK"), after = Order)]
struct FewerNames {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "orders", status = ReviewStatus, names(key = "pk", value = "gsi1pk"), sort_key = ("sk", task_id), after = Order)]
struct OtherSortKey {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "documents", status = ReviewStatus, table = "documents", attribute_prefix = "t_", after = Extract)]
struct OtherPrefix {
    #[tracker(task_id)]
    id: String,
}

fn main() {}
