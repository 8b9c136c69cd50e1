//! Tools for tests: a network that injects faults, a service that behaves like AWS, and a clock that a test advances.
//!
//! [`FaultyNetwork`] wraps the HTTP client of an SDK client and drops, delays, duplicates, throttles or truncates
//! traffic, by script or from a seed. The database may be the embedded one, DynamoDB Local or DynamoDB.
//! `AwsLike` (with the feature `embedded`) makes an emulator behave like DynamoDB on AWS: its indexes lag, members of its batches come
//! back, and its partitions throttle. [`ManualClock`] lets leases expire without waiting. Together they show what a program does if its worker is cut
//! off, and that the next run finishes the work.
//!
//! # Examples
//!
//! A response is lost, and a worker dies. The next run takes the task over:
//!
//! ```
//! # #[cfg(not(all(feature = "embedded", feature = "derive")))] fn main() {}
//! # #[cfg(all(feature = "embedded", feature = "derive"))]
//! # mod example {
//! use std::time::Duration;
//! use tracker_core::testing::{Fault, FaultyNetwork, ManualClock};
//! use tracker_core::{StatusTracker, TrackerStatus, embedded};
//!
//! #[derive(TrackerStatus, Clone, Copy)]
//! enum CountStatus {
//!     #[status(pending)]     Pending = 10,
//!     #[status(in_progress)] InProgress = 12,
//!     #[status(failed)]      Failed = 14,
//!     #[status(succeeded)]   Succeeded = 16,
//!     #[status(ignored)]     Ignored = 18,
//! }
//!
//! #[derive(StatusTracker)]
//! #[tracker(use_case_id = "count", status = CountStatus, table = "documents")]
//! struct Document { #[tracker(task_id)] id: String }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn test() -> Result<(), Box<dyn std::error::Error>> {
//! let (client, network) = FaultyNetwork::around(&embedded::in_memory()?)?;
//! let clock = ManualClock::new();
//! let documents = Document::tracker_builder(&client)
//!     .table("documents")
//!     .clock(clock.auto_advancing()) // a sleep advances the clock instead of waiting
//!     .heartbeat(false)              // a heartbeat would advance it without end
//!     .build()?;
//! documents.create_table().await?;
//! documents.create(Document { id: "a".into() }).await?;
//!
//! network.next("UpdateItem", [Fault::DropResponse]); // the start is applied, its response is lost
//! let task = documents.start("a").await?;
//! assert_eq!((network.count("UpdateItem"), task.attempt()), (2, 1)); // sent twice, started once
//!
//! std::mem::forget(task); // a worker that dies
//! clock.advance(Duration::from_secs(300 + 5 + 1)); // the lease, `max_clock_skew`, and a second
//! documents.run("a", async |task| {
//!     assert_eq!((task.attempt(), task.failed_attempts()), (2, 1)); // taken over
//!     Ok(())
//! }).await?;
//! # Ok(()) }
//! # }
//! # #[cfg(all(feature = "embedded", feature = "derive"))]
//! # fn main() { example::test().unwrap() }
//! ```
//!
//! A storm draws faults from a seed. It is reproducible if one worker at a time touches each key and the SDK's
//! retries are disabled (`RetryConfig::disabled()`); see [`FaultyNetwork::seed`]:
//!
//! ```
//! # use tracker_core::testing::{FaultyNetwork, Rates};
//! # async fn test(network: FaultyNetwork) {
//! network.seed(42, Rates::stormy());
//! // Run many tasks.
//! network.calm();
//! // Finish what is left, and check the table.
//! println!("{:?}", network.injected());
//! # }
//! ```

#[cfg(feature = "embedded")]
mod aws_like;
mod clock;
mod connector;
mod fault;
mod http;
mod network;
mod network_error;
mod pools;
mod rates;
mod values;

#[cfg(feature = "embedded")]
pub use self::aws_like::{AwsLike, Conditions, Spread, Throughput};
pub use self::clock::ManualClock;
pub use self::fault::Fault;
pub use self::network::FaultyNetwork;
pub use self::network_error::NetworkError;
pub use self::rates::Rates;
pub use self::values::{error, head, task};
