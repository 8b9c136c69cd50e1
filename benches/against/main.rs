//! One side of `benches/against-pynamodb-mate` in its own process: the tracker, or hand-written SDK code.
//!
//! Each line of standard input is a command, and each answer is one line. A measured command answers `WALL CPU` in seconds.
//!
//! ```text
//! table                                creates the table
//! create USE-CASE PREFIX COUNT         creates pending tasks PREFIX-0, PREFIX-1, ..
//! lifecycles PREFIX COUNT CONCURRENCY  starts these tasks and ends them as succeeded (measured)
//! query COUNT                          finds the pending tasks of the use case `waiting` (measured)
//! refresh COUNT                        finds the same tasks and reads them in full (measured)
//! ```

use std::time::Instant;

use clap::{Parser, ValueEnum};
use cpu_time::ProcessTime;
use futures_util::{StreamExt, stream};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::{Created, StatusTracker, Tracker, TrackerStatus};

mod by_hand;
#[path = "../common/mod.rs"]
mod common;

use common::local::{AnyError, dynamodb_local};

/// The same codes and shards as in `run.py`.
#[derive(TrackerStatus, Clone, Copy)]
enum Status {
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

#[derive(StatusTracker)]
#[tracker(use_case_id = "against", status = Status, wire = "pynamodb")]
struct Document {
    #[tracker(task_id)]
    id: String,
    pages: u32,
    uri: Option<String>,
}

/// A task that is only queried.
#[derive(StatusTracker)]
#[tracker(use_case_id = "waiting", status = Status, wire = "pynamodb")]
struct Waiting {
    #[tracker(task_id)]
    id: String,
    pages: u32,
    uri: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    Tracker,
    ByHand,
}

/// One side of `benches/against-pynamodb-mate`, which starts this program.
#[derive(Parser)]
struct Arguments {
    side: Side,
    #[arg(long, default_value = "against")]
    table: String,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

struct Bench {
    side: Side,
    client: Client,
    documents: Tracker<Document>,
    waiting: Tracker<Waiting>,
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let arguments = Arguments::parse();
    let client = dynamodb_local()
        .ok_or("TRACKER_DYNAMODB_ENDPOINT is not set; run `benches/against-pynamodb-mate`, which sets it")?;
    let documents = Document::tracker_builder(&client).table(&arguments.table).build()?;
    let waiting = Waiting::tracker_builder(&client).table(&arguments.table).build()?;
    let bench = Bench { side: arguments.side, client, documents, waiting };
    for line in std::io::stdin().lines() {
        println!("{}", bench.obey(line?.trim()).await?);
    }
    Ok(())
}

impl Bench {
    fn table(&self) -> &str {
        &self.documents.config().table
    }

    async fn obey(&self, line: &str) -> Result<String, AnyError> {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["table"] => {
                self.documents.create_table().await?;
                Ok("made".to_owned())
            }
            ["create", "against", prefix, count] => {
                let new = |id| Document { id, pages: 12, uri: Some("s3://bucket/key".to_owned()) };
                create(&self.documents, ids(prefix, count)?.map(new)).await
            }
            ["create", "waiting", prefix, count] => {
                let new = |id| Waiting { id, pages: 12, uri: Some("s3://bucket/key".to_owned()) };
                create(&self.waiting, ids(prefix, count)?.map(new)).await
            }
            ["lifecycles", prefix, count, concurrency] => {
                let ids = ids(prefix, count)?;
                let concurrency = concurrency.parse()?;
                let table = self.table().to_owned();
                measured(async {
                    match self.side {
                        Side::Tracker => {
                            let task = |id| by_tracker(self.documents.clone(), id);
                            finish(ids.map(task), concurrency).await
                        }
                        Side::ByHand => {
                            let task = |id| by_hand::lifecycle(self.client.clone(), table.clone(), id);
                            finish(ids.map(task), concurrency).await
                        }
                    }
                })
                .await
            }
            ["query", count] if self.side == Side::ByHand => {
                let count = count.parse()?;
                measured(async { same(by_hand::query(&self.client, self.table()).await?.len(), count) }).await
            }
            ["refresh", count] if self.side == Side::ByHand => {
                let count = count.parse()?;
                measured(async {
                    let tasks = by_hand::refresh(&self.client, self.table()).await?;
                    same(tasks.iter().filter(|data| data.pages == 12).count(), count)
                })
                .await
            }
            ["query", count] => {
                let count = count.parse()?;
                let query = self.waiting.query_by_status(Status::Pending).limit(count);
                measured(async { same(query.all().await?.len(), count) }).await
            }
            ["refresh", count] => {
                let count = count.parse()?;
                let query = self.waiting.query_by_status(Status::Pending).limit(count).refresh();
                measured(async {
                    let tasks = query.all().await?;
                    same(tasks.iter().filter(|task| task.data().pages == 12).count(), count)
                })
                .await
            }
            _ => Err(format!("unknown command: {line:?}").into()),
        }
    }
}

fn ids<'a>(prefix: &'a str, count: &str) -> Result<impl Iterator<Item = String> + use<'a>, AnyError> {
    let count: u32 = count.parse()?;
    Ok((0..count).map(move |nth| format!("{prefix}-{nth}")))
}

fn same(found: usize, wanted: usize) -> Result<(), AnyError> {
    if found == wanted { Ok(()) } else { Err(format!("found {found} of {wanted} tasks").into()) }
}

async fn create<T: StatusTracker>(
    tracker: &Tracker<T>,
    tasks: impl Iterator<Item = T>,
) -> Result<String, AnyError>
where
    T::TaskId: Clone,
{
    let mut created = tracker.create_many(tasks.collect::<Vec<_>>());
    while let Some(created) = created.next().await {
        if let Created::Failed { error, .. } = created {
            return Err(error.into());
        }
    }
    Ok("made".to_owned())
}

/// Measures the wall clock and the CPU time of the process, in seconds.
async fn measured(work: impl Future<Output = Result<(), AnyError>>) -> Result<String, AnyError> {
    let (wall, cpu) = (Instant::now(), ProcessTime::now());
    work.await?;
    Ok(format!("{} {}", wall.elapsed().as_secs_f64(), cpu.elapsed().as_secs_f64()))
}

/// Runs each task in its own Tokio task, `concurrency` of them at the same time.
async fn finish<F>(tasks: impl Iterator<Item = F>, concurrency: usize) -> Result<(), AnyError>
where
    F: Future<Output = Result<(), AnyError>> + Send + 'static,
{
    let mut ended = stream::iter(tasks).map(tokio::spawn).buffer_unordered(concurrency);
    while let Some(ended) = ended.next().await {
        ended??;
    }
    Ok(())
}

async fn by_tracker(documents: Tracker<Document>, id: String) -> Result<(), AnyError> {
    let mut task = documents.start(&id).await?;
    task.data_mut().pages += 1;
    task.succeed().await?;
    Ok(())
}
