//! Status tracking for business-critical tasks on Amazon DynamoDB: one item per task, a lock with expiry,
//! retries that end, and a context manager that records how the work went.
//!
//! # Where things are
//!
//! | | |
//! |---|---|
//! | what a user annotates | [`TrackerStatus`], [`StatusTracker`], with their derives |
//! | what a user calls | [`Tracker`] → [`Execution`] → [`Task`]; [`Worker`] for all of them |
//! | what goes wrong | [`Error`], [`ErrorKind`]; [`Failure`] for the body of a task |
//! | what can be replaced | [`TrackerBuilder`], [`TrackerConfig`], [`Clock`] |
//! | what is told | [`Observer`], [`Event`]; `tracing`, with the target `tracker_core::task`; the feature `metrics` |
//! | what tests stand on | the features `embedded`, a DynamoDB in the process, and `testing`, faults and a clock set by hand |
//!
//! Inside, data flows one way: the derives emit constants (`spec`, `status`, compared in `checks`); `key`, `shard`, `format`, `item`,
//! `document` and `history` encode and decode an item; `update` builds the writes of the protocol and `lock`,
//! `lease` and `retry` decide, all of them pure; `start`, `heartbeat`, `held`, `execution` and `run` act on one task, and `worker` on all of them, over and over;
//! `cancel` and `redrive` set a task to another status by hand, `query` and `find` look for tasks, `create_many` and `sweep` work on many; `event` tells what happened; through one function of `op` per
//! DynamoDB operation.

mod bulk;
mod config;
mod declare;
mod dynamodb;
mod error;
mod item;
mod lifecycle;
mod observe;
mod protocol;
mod query;
mod runtime;
mod table;
mod time;
mod tracker;
mod worker;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
#[cfg(any(test, bench_internals))]
#[doc(hidden)]
pub mod bench_internals;
#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
#[cfg(doctest)]
#[doc = include_str!("../../docs/from-pynamodb-mate.md")]
struct FromPynamodbMate;
#[cfg(doctest)]
#[doc = include_str!("../../tracker-derive/docs/status.md")]
struct StatusPage;
#[cfg(doctest)]
#[doc = include_str!("../../tracker-derive/docs/tracker.md")]
struct TrackerPage;

pub use aws_sdk_dynamodb;
pub use tokio_util::sync::CancellationToken;
#[cfg(feature = "derive")]
pub use tracker_derive::{StatusTracker, TrackerStatus};

pub use self::bulk::create::{Created, Overwritten};
pub use self::bulk::delete::DeleteTasks;
pub use self::bulk::progress::Progress;
pub use self::bulk::redrive::RedriveAll;
pub use self::config::{Backoff, TrackerConfig};
pub use self::declare::spec::Takeover;
pub use self::declare::status::{Role, TrackerStatus};
pub use self::error::{Error, ErrorKind};
pub use self::item::fields::TaskId;
pub use self::item::head::TaskHead;
pub use self::item::history::HistoryEntry;
pub use self::lifecycle::cancel::CancelOutcome;
pub use self::lifecycle::ensure::Ensured;
pub use self::lifecycle::execution::Execution;
pub use self::lifecycle::failure::{Failure, FailureExt};
pub use self::lifecycle::read::GetTask;
pub use self::observe::{Event, EventKind, Observer};
pub use self::query::count::StatusCounts;
pub use self::query::cursor::Cursor;
pub use self::query::entry::IndexEntry;
pub use self::query::refresh::TaskQuery;
pub use self::query::statuses::Statuses;
pub use self::query::{Page, Query};
pub use self::table::CreateTable;
pub use self::time::{Clock, ClockReading, Sleep, SystemClock};
pub use self::tracker::Tracker;
pub use self::tracker::builder::TrackerBuilder;
pub use self::tracker::status_tracker::{HasTable, StatusTracker};
pub use self::tracker::task::Task;
pub use self::worker::{Handler, Summary, Worker};
