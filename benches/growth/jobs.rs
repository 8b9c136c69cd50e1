//! The measured tasks. Each number of shards needs its own status enum and its own task type.

use tracker_core::StatusTracker;

/// A task of any of these types.
pub(crate) trait Job: StatusTracker<TaskId = u32> {
    const PENDING: Self::Status;

    fn new(id: u32) -> Self;
}

macro_rules! jobs {
    ($($module:ident: $shards:literal),* $(,)?) => {
        $(pub(crate) mod $module {
            use tracker_core::{StatusTracker, TrackerStatus};

            #[derive(TrackerStatus, Clone, Copy)]
            pub(crate) enum Status {
                #[status(pending, shards = $shards)]
                Pending = 10,
                #[status(in_progress, shards = $shards)]
                InProgress = 12,
                #[status(failed, shards = $shards)]
                Failed = 14,
                #[status(succeeded, shards = $shards)]
                Succeeded = 16,
                #[status(ignored, shards = $shards)]
                Ignored = 18,
            }

            #[derive(StatusTracker)]
            #[tracker(use_case_id = "growth", status = Status)]
            pub(crate) struct Job {
                #[tracker(task_id)]
                id: u32,
                pages: u32,
                uri: Option<String>,
            }

            impl super::Job for Job {
                const PENDING: Status = Status::Pending;

                fn new(id: u32) -> Self {
                    Self { id, pages: 12, uri: Some("s3://bucket/key".to_owned()) }
                }
            }
        })*

        pub(crate) const DECLARED_SHARDS: [u32; [$($shards),*].len()] = [$($shards),*];

        /// Opens a table of the task type with this number of shards, if there is one.
        pub(crate) async fn open(
            shards: u32,
            database: &super::database::Database,
            table: String,
        ) -> Result<Box<dyn super::table::Table>, super::common::local::AnyError> {
            match shards {
                $($shards => Ok(Box::new(super::table::Filled::<$module::Job>::open(database, table).await?)),)*
                _ => Err(format!("no enum has {shards} shards").into()),
            }
        }
    };
}

jobs!(one: 1, two: 2, five: 5, ten: 10, twenty: 20, fifty: 50);
