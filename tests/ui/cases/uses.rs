//! Uses trackers wrongly.

use tracker_core::aws_sdk_dynamodb::Client;
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

#[derive(StatusTracker)]
#[tracker(use_case_id = "a", status = Status)]
struct Document {
    #[tracker(task_id)]
    id: u64,
}

struct Untracked;

async fn uses(client: &Client) -> Result<(), tracker_core::Error> {
    let _no_table = Document::tracker(client);
    let documents = Document::tracker_builder(client).table("documents").build()?;
    let _id = documents.start("doc-1").await?;
    Untracked::tracker_builder(client);
    Ok(())
}

fn main() {}
