//! Runs one part of an operation's CPU work repeatedly. `benches/instructions/run` builds and starts this program.
//!
//! ```text
//! tracker-instructions                    lists the parts
//! tracker-instructions PART COUNT         runs the part COUNT times
//! tracker-instructions PART COUNT idle    prepares the inputs, but does not run the part
//! ```

#![forbid(unsafe_code)]

use std::error::Error;

use tracker_core::aws_sdk_dynamodb::config::BehaviorVersion;
use tracker_core::aws_sdk_dynamodb::{Client, Config};
use tracker_core::{StatusTracker, TrackerStatus, bench_internals};

#[cfg(feature = "allocations")]
#[global_allocator]
static COUNTED: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

#[derive(TrackerStatus, Clone, Copy)]
enum Status {
    #[status(pending, shards = 10)]
    Pending = 10,
    #[status(in_progress, shards = 10)]
    InProgress = 12,
    #[status(failed, shards = 10)]
    Failed = 14,
    #[status(succeeded, shards = 10)]
    Succeeded = 16,
    #[status(ignored, shards = 10)]
    Ignored = 18,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "extract", status = Status)]
struct Document {
    #[tracker(task_id)]
    id: String,
    #[tracker(attribute)]
    customer: String,
    pages: u32,
    uri: Option<String>,
}

fn document(pages: u32) -> Document {
    Document {
        id: "document-000001".to_owned(),
        customer: "customer-1".to_owned(),
        pages,
        uri: Some("s3://bucket/documents/000001.pdf".to_owned()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, count, idle @ ..] = &arguments[..] else {
        println!("{}", bench_internals::NAMES.join("\n"));
        return Ok(());
    };
    let count: usize = count.parse()?;
    // The client sends no requests.
    let client = Client::from_conf(Config::builder().behavior_version(BehaviorVersion::latest()).build());
    let part =
        bench_internals::prepare(&client, name, count, document(12), document(13))?.ok_or("unknown part")?;
    if !idle.is_empty() {
        std::mem::forget(part);
        return Ok(());
    }
    #[cfg(feature = "allocations")]
    {
        let counted = stats_alloc::Region::new(COUNTED);
        part();
        let counted = counted.change();
        let of_each = |sum: usize| (sum + count / 2) / count;
        // An allocation that grows counts again.
        let allocations = counted.allocations + counted.reallocations;
        println!("{} {}", of_each(allocations), of_each(counted.bytes_allocated));
    }
    #[cfg(not(feature = "allocations"))]
    part();
    Ok(())
}
