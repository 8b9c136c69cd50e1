//! Makes many mistakes in each declaration. One compile reports all of them, and reports nothing about their uses.

use tracker_core::{StatusTracker, TrackerStatus};

#[derive(TrackerStatus, Clone, Copy)]
#[status(status_zero_pad = 2, pad = 3)]
enum CountStatus {
    #[status(pending, shard = 5)]
    Pending = 10,
    #[status(in_progress, shards = 0)]
    InProgress = 120,
    #[status(failed, failed)]
    Failed = -1,
    #[status(succeeded)]
    Succeeded,
    #[status(succeeded, shards = "10")]
    Done = 16,
}

#[derive(TrackerStatus, Clone, Copy)]
enum GoodStatus {
    #[status(pending)]
    Pending = 20,
    #[status(in_progress)]
    InProgress = 22,
    #[status(failed)]
    Failed = 24,
    #[status(succeeded)]
    Succeeded = 26,
    #[status(ignored)]
    Ignored = 28,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "a____b", status = GoodStatus, tabel = "documents", max_retry = "3")]
#[tracker(lock_expire_seconds = 0, wire = "python", use_case_id = "twice")]
struct Document {
    id: String,
    #[tracker(attribute)]
    status: String,
    #[tracker(skip, rename = "x")]
    cache: u32,
    #[tracker(rename = "pages")]
    n_pages: u32,
    pages: u32,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "waits", status = GoodStatus, backoff_max_seconds = 60, max_snoozes = 0)]
#[tracker(retain_seconds = "30 days", retain_ignored_seconds = 0)]
struct WithoutBackoff {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "waits", status = GoodStatus, backoff = "none", backoff_base_seconds = 10)]
struct NoBackoff {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "waits", status = GoodStatus, backoff = "exponential")]
#[tracker(backoff_base_seconds = 60, backoff_max_seconds = 10)]
struct Backwards {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "waits", status = GoodStatus, backoff = "exponential", backoff_base_seconds = 7200)]
struct BeyondTheDefault {
    #[tracker(task_id)]
    id: String,
}

// The stubs of the declarations above compile, so nothing is reported here.
async fn uses(client: &tracker_core::aws_sdk_dynamodb::Client) -> Result<(), tracker_core::Error> {
    let documents = Document::tracker_builder(client).build()?;
    let execution = documents.start("a").await?;
    let _pages: u32 = execution.data().pages;
    let _status: Option<GoodStatus> = execution.succeed().await?.status();
    let _code = CountStatus::Done.code();
    Ok(())
}

fn main() {}
