//! Durable task status on Amazon DynamoDB: a lease per task, bounded retries, and a scoped runner that records the outcome.
//!
//! ```
//! use tracker_core::{Failure, StatusTracker, TrackerStatus, embedded};
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
//! struct Document {
//!     #[tracker(task_id)]
//!     id: String,
//!     text: String,
//!     words: usize,
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = embedded::in_memory()?; // or any `aws_sdk_dynamodb::Client`
//!     let documents = Document::tracker(&client);
//!     documents.create_table().await?;
//!     documents.create(Document { id: "a".into(), text: "hello world".into(), words: 0 }).await?;
//!
//!     documents
//!         .run("a", async |task| {
//!             let words = task.data().text.split_whitespace().count();
//!             if words == 0 {
//!                 return Err(Failure::fatal("the document is empty")); // recorded; the task is ignored
//!             }
//!             task.data_mut().words = words; // stored when the body succeeds
//!             Ok(())
//!         })
//!         .await?;
//!
//!     assert!(documents.get("a").await?.is_some_and(|task| task.is_succeeded()));
//!     Ok(())
//! }
//! ```
//!
//! # What you call
//!
//! | to | use |
//! |---|---|
//! | declare tasks and their statuses | the derives [`StatusTracker`](derive@StatusTracker) and [`TrackerStatus`](derive@TrackerStatus) |
//! | get a tracker | [`StatusTracker::tracker`], or [`StatusTracker::tracker_builder`] to change what is declared |
//! | create the table by CloudFormation, Terraform or the CDK, and the permissions | [`TableDefinition`], [`iam_policy`] |
//! | create tasks | [`Tracker::create`], [`create_at`](Tracker::create_at), [`ensure`](Tracker::ensure), [`create_many`](Tracker::create_many) |
//! | start and end many tasks in few requests | [`start_many`](Tracker::start_many), [`succeed_many`](Tracker::succeed_many), [`end_many`](Tracker::end_many) |
//! | run a task | [`Tracker::run`]; or [`Tracker::start`], which returns an [`Execution`] to end by hand |
//! | run all tasks, on many machines | [`Tracker::worker`] |
//! | say what a failure means | [`Failure`], [`FailureExt`]: retry, retry later, snooze, or fatal |
//! | write data of your own in one commit with the status | [`Tracker::create_with`], [`Execution::on_success`] |
//! | read a task | [`Tracker::get`], [`head`](Tracker::head) |
//! | read items that others hand over, such as those of a stream | [`Task::from_item`], [`TaskHead::from_item`], [`Transition::between`] |
//! | find tasks | [`Tracker::query_by_status`], [`query_for_unfinished`](Tracker::query_for_unfinished), [`count_by_status`](Tracker::count_by_status) |
//! | run ignored tasks again | [`Tracker::redrive`], [`redrive_all`](Tracker::redrive_all) |
//! | end a task from outside | [`Tracker::cancel`], [`delete`](Tracker::delete) |
//! | free a task whose worker is lost; start one before its time | [`release_expired`](Tracker::release_expired), [`run_now`](Tracker::run_now) |
//! | tell how far a task is | [`Execution::progress`], [`TaskHead::progress`] |
//! | work on tasks without their types | [`Operator`], by a [`Description`]; the command line `tracker` of the crate `tracker-tools` |
//! | react to an error | [`Error::advice`], [`Advice`]; [`Error::kind`], [`ErrorKind`] |
//! | name a status | [`TrackerStatus::name`], [`from_name`](TrackerStatus::from_name); `Display` and `FromStr` of the enum |
//! | watch | [`Observer`], [`Event`]; `tracing` events with the target `tracker_core::task`; the feature `metrics`, with `Tracker::gauges` |
//! | test | the features `embedded`, a DynamoDB in the process, and `testing`: faults, and a clock that a test advances |
//!
//! # Statuses
//!
//! | a task that is | becomes | by |
//! |---|---|---|
//! | new | pending | [`create`](Tracker::create) |
//! | succeeded in the previous step | more pending in this step | a step declared with `after` |
//! | pending, more pending or failed | in progress | [`start`](Tracker::start) |
//! | in progress, with an expired lease | in progress; ignored if that was its last attempt | a takeover, by the next start |
//! | in progress | succeeded | [`succeed`](Execution::succeed) |
//! | in progress | failed; ignored after `max_retry` failed attempts in a row, or if the failure is fatal | [`fail`](Execution::fail) |
//! | in progress | what it was before the start | [`release`](Execution::release), [`snooze`](Failure::snooze) |
//! | waiting or in progress | ignored | [`cancel`](Tracker::cancel) |
//! | failed or ignored | pending | [`redrive`](Tracker::redrive) |
//! | in progress, with an expired lease | failed; ignored if that was its last attempt | [`release_expired`](Tracker::release_expired) |
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `derive` (default) | the two derives |
//! | `embedded` | [`embedded`](mod@embedded): a DynamoDB in the process, over SQLite, for tests and first steps. It needs a C compiler |
//! | `testing` | [`testing`](mod@testing): an HTTP client that injects faults, and a clock that a test advances |
//! | `streams` | [`Task::from_item`] reads the images of `aws-sdk-dynamodbstreams` |
//! | `lambda` | [`Task::from_item`] reads the images of `aws_lambda_events` |
//! | `metrics` | counters and histograms of the `metrics` crate, and gauges that a process reads; [`EventKind`] lists them |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod bulk;
mod config;
mod declare;
mod dynamodb;
mod error;
mod escaped;
mod item;
mod lifecycle;
mod observe;
mod operator;
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

/// The programs of the pages, which `cargo test` runs.
#[cfg(doctest)]
mod pages {
    macro_rules! pages {
        ($($name:ident: $path:literal,)*) => {
            $(
                #[doc = include_str!(concat!("../../", $path))]
                mod $name {}
            )*
        };
    }
    pages! {
        readme: "README.md",
        changing_a_declaration: "docs/changing-a-declaration.md",
        errors: "docs/errors.md",
        faq: "docs/faq.md",
        finding_tasks: "docs/finding-tasks.md",
        infrastructure: "docs/infrastructure.md",
        integrations: "docs/integrations.md",
        item_format: "docs/item-format.md",
        from_pynamodb_mate: "docs/from-pynamodb-mate.md",
        observability: "docs/observability.md",
        operating: "docs/operating.md",
        pipelines: "docs/pipelines.md",
        running_a_task: "docs/running-a-task.md",
        testing: "docs/testing.md",
        transactions: "docs/transactions.md",
        workers: "docs/workers.md",
        your_table: "docs/your-table.md",
        status: "tracker-derive/docs/status.md",
        tracker: "tracker-derive/docs/tracker.md",
    }
}

pub use aws_sdk_dynamodb;
pub use tokio_util::sync::CancellationToken;
#[cfg(feature = "derive")]
pub use tracker_derive::{StatusTracker, TrackerStatus};

pub use self::bulk::create::{Created, Overwritten};
pub use self::bulk::delete::DeleteTasks;
pub use self::bulk::end::{End, Ended};
pub use self::bulk::progress::Progress;
pub use self::bulk::redrive::RedriveAll;
pub use self::config::{Backoff, TrackerConfig};
pub use self::declare::description::{
    Description, FieldDescription, MorePendingDescription, StatusDescription, StepDescription,
};
pub use self::declare::layout::Layout;
pub use self::declare::spec::{Takeover, Wire};
pub use self::declare::status::{Role, TrackerStatus, UnknownStatus};
pub use self::error::{Advice, Error, ErrorKind, NotReadyCause};
pub use self::escaped::Escaped;
pub use self::item::definition::{DefinitionError, TableDefinition};
pub use self::item::fields::TaskId;
pub use self::item::head::{TaskHead, TaskProgress};
pub use self::item::history::HistoryEntry;
pub use self::item::image::IntoItem;
pub use self::lifecycle::blocking::StopToken;
pub use self::lifecycle::cancel::CancelOutcome;
pub use self::lifecycle::deadline::{Run, Start};
pub use self::lifecycle::ensure::Ensured;
pub use self::lifecycle::execution::Execution;
pub use self::lifecycle::failure::{Failure, FailureExt};
pub use self::lifecycle::read::GetTask;
pub use self::lifecycle::shared_lease::StopReason;
pub use self::observe::transition::Transition;
pub use self::observe::{Event, EventKind, Observer};
pub use self::operator::Operator;
pub use self::operator::act::Act;
pub use self::operator::action::{Action, ActionOutcome, ActionResult, ActionSummary, Selection};
pub use self::operator::builder::OperatorBuilder;
pub use self::operator::count::{StatusCount, StatusRate};
pub use self::operator::doctor::{Finding, Severity};
pub use self::operator::errors::{ErrorGroup, ErrorGroups};
pub use self::operator::filter::TaskFilter;
pub use self::operator::stuck::StuckTask;
pub use self::operator::view::{TaskDetail, TaskList, TaskSummary};
pub use self::query::count::StatusCounts;
pub use self::query::cursor::Cursor;
pub use self::query::entry::IndexEntry;
#[cfg(feature = "metrics")]
pub use self::query::gauges::Gauges;
pub use self::query::refresh::{TaskPage, TaskQuery};
pub use self::query::statuses::Statuses;
pub use self::query::{Page, Query};
pub use self::table::CreateTable;
pub use self::table::access::{Access, iam_policy};
pub use self::table::pause::Pause;
pub use self::time::{Clock, ClockReading, Sleep, SystemClock};
pub use self::tracker::Tracker;
pub use self::tracker::builder::TrackerBuilder;
pub use self::tracker::status_tracker::{HasTable, StatusTracker};
pub use self::tracker::task::Task;
pub use self::tracker::unsuccessful::Unsuccessful;
pub use self::worker::{Handler, Summary, Worker};

#[cfg(test)]
mod tests {
    /// Returns the names at the beginnings of the lines between two texts.
    fn names<'t>(text: &'t str, from: &str, to: &str, prefix: &str, end: &str) -> Vec<&'t str> {
        let part = text.split_once(from).unwrap().1.split_once(to).unwrap().0;
        let lines = part.lines().filter_map(|line| line.strip_prefix(prefix)?.split_once(end));
        let mut names: Vec<_> = lines.map(|(name, _)| name.trim()).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn each_feature_is_documented() {
        let declared = names(include_str!("../Cargo.toml"), "[features]", "\n[", "", " =");
        let declared: Vec<_> =
            declared.into_iter().filter(|name| !name.starts_with('#') && *name != "default").collect();
        let documented = names(include_str!("lib.rs"), "//! # Features", "\nmod bulk", "//! | `", "`");
        assert_eq!(declared, documented);
        assert!(declared.len() >= 6, "{declared:?}");
    }
}
