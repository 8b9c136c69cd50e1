//! For tests: a network with faults, by script or by seed, and a clock that is set by hand.
//!
//! A [`FaultyNetwork`] wraps the HTTP client of any client, whichever database that talks to: the embedded one, DynamoDB
//! Local or DynamoDB. It loses requests and answers, delays them, delivers them twice, throttles, fails and cuts answers
//! short. A [`ManualClock`] lets leases expire without waiting. Together they show what a program does when its worker
//! is cut off, and that it can be run again.
//!
//! # Examples
//!
//! A lost answer, a worker that dies, and the next one, which takes its task over:
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
//!     .clock(clock.auto_advancing()) // who waits before a second try sets the clock forward
//!     .heartbeat(false)
//!     .build()?;
//! documents.create_table().await?;
//! documents.create(Document { id: "a".into() }).await?;
//!
//! network.next("UpdateItem", [Fault::DropResponse]);
//! let task = documents.start("a").await?; // sent twice, started once
//! assert_eq!((network.count("UpdateItem"), task.attempt()), (2, 1));
//!
//! std::mem::forget(task); // a worker that dies
//! clock.advance(Duration::from_secs(306)); // its lease, and the difference that clocks may have
//! documents.run("a", async |task| {
//!     assert_eq!((task.attempt(), task.failed_attempts()), (2, 1));
//!     Ok(())
//! }).await?;
//! # Ok(()) }
//! # }
//! # #[cfg(all(feature = "embedded", feature = "derive"))]
//! # fn main() { example::test().unwrap() }
//! ```
//!
//! A storm. For each operation and key the nth request meets the same fault again, so that it is repeated where one worker
//! at a time works on each key and the SDK sends nothing by itself (`RetryConfig::disabled()`); [`FaultyNetwork::seed`] says
//! more:
//!
//! ```
//! # use tracker_core::testing::{FaultyNetwork, Rates};
//! # async fn test(network: FaultyNetwork) {
//! network.seed(42, Rates::stormy());
//! // the work of many tasks
//! network.calm();
//! // what is left of it, and then look at what is stored
//! println!("{:?}", network.injected());
//! # }
//! ```

mod clock;
mod connector;
mod fault;
mod http;
mod network;
mod rates;

pub use self::clock::ManualClock;
pub use self::fault::Fault;
pub use self::network::{FaultyNetwork, NetworkError};
pub use self::rates::Rates;
#[doc(hidden)]
pub use crate::runtime::ticker::ManualTicker;
