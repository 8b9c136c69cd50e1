//! An imaginary pipeline in two steps: documents are extracted, then summarised.

use tracker_core::{StatusTracker, TrackerStatus};

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtractStatus {
    #[status(pending, shards = 5)]
    Pending = 10,
    #[status(in_progress, shards = 5)]
    InProgress = 12,
    #[status(failed, shards = 5)]
    Failed = 14,
    #[status(succeeded, shards = 10)]
    Succeeded = 16,
    #[status(ignored, shards = 5)]
    Ignored = 18,
}

#[derive(StatusTracker, Debug, Clone, PartialEq, Default)]
#[tracker(use_case_id = "extract", status = ExtractStatus, table = "documents", max_retry = 3)]
pub struct Document {
    #[tracker(task_id)]
    pub id: String,
    #[tracker(attribute)]
    pub customer: Option<String>,
    pub pages: u32,
    pub text_uri: Option<String>,
}

impl Document {
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), ..Self::default() }
    }
}

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SummaryStatus {
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

/// The second step. Of the data that the first step stores, it declares only `pages`.
#[derive(StatusTracker, Debug, Clone, PartialEq, Default)]
#[tracker(use_case_id = "extract", status = SummaryStatus, table = "documents", after = Document)]
pub struct Summary {
    #[tracker(task_id)]
    pub id: String,
    pub pages: u32,
    pub text: Option<String>,
}
