//! Compares the tracker with hand-written SDK code that sends the same requests: create, start, succeed. Then compares
//! starts and successes that share requests with the same code.
//!
//! ```text
//! cargo bench --bench lifecycle                                  # on the embedded database
//! tests/dynamodb-local cargo bench --bench lifecycle             # also on DynamoDB Local
//! cargo bench --bench lifecycle -- --tasks 100 --rounds 21
//! ```
//!
//! The two run in turns within one process, and the result is the ratio of their times in the same round. Other work on
//! the machine then slows both.

use std::borrow::Cow;
use std::time::Instant;

use clap::Parser;
use futures_util::{StreamExt, stream};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use tracker_core::{StatusTracker, Tracker, TrackerStatus, embedded};

mod batched;
mod batched_by_hand;
#[path = "../common/mod.rs"]
mod common;

use common::local::{AnyError, dynamodb_local};
use common::median::median;
use common::requests::{new_lock, now, number, start, success, text};

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
#[tracker(use_case_id = "bench", status = Status)]
struct Document {
    #[tracker(task_id)]
    id: String,
    pages: u32,
    uri: Option<String>,
}

/// Measures the lifecycle of a task with the tracker and with hand-written SDK code.
///
/// Runs on the embedded database and, if `tests/dynamodb-local` starts it, on DynamoDB Local.
#[derive(Parser)]
#[command(bin_name = "cargo bench --bench lifecycle --")]
struct Arguments {
    /// How many tasks a turn has; a round has two turns of each side
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    tasks: u32,
    /// How many rounds to measure; the result is their median
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many rounds of a row to run before the measured ones: the JVM of a server that has just started still compiles its code
    #[arg(long, default_value_t = 5)]
    warm_up: u32,
    /// How many tasks run at the same time, separated by commas [default: 1,16,64]
    #[arg(long, value_name = "N,..", default_values_t = [1, 16, 64], hide_default_value = true, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: Vec<u16>,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let arguments = Arguments::parse();
    if let Some(most) = arguments.concurrency.iter().find(|most| u32::from(**most) > arguments.tasks) {
        return Err(format!("--concurrency {most} needs --tasks {most} or more").into());
    }
    let mut backends = vec![("embedded", embedded::in_memory()?)];
    match dynamodb_local() {
        Some(client) => backends.push(("DynamoDB Local", client)),
        None => println!(
            "not measured on DynamoDB Local; to include it, run `tests/dynamodb-local cargo bench --bench lifecycle`"
        ),
    }
    for (name, client) in backends {
        let table = format!("bench-{}", std::process::id());
        let tracker = Document::tracker_builder(&client).table(&table).build()?;
        tracker.create_table().await?;
        for &concurrency in &arguments.concurrency {
            let row = row(&client, &tracker, concurrency.into(), &arguments).await?;
            let [raw, ours, ratio] = row;
            let micros = |seconds: f64| seconds * 1e6;
            println!(
                "{name:<15} {concurrency:>3} at a time: raw {:>7.0} us, tracker {:>7.0} us a task   tracker/raw wall: {ratio:.2}",
                micros(raw),
                micros(ours),
            );
        }
        // Without heartbeats, whose CPU would count for every later turn.
        let holder = Document::tracker_builder(&client).table(&table).heartbeat(false).build()?;
        batched::rows(name, &client, &tracker, &holder, &arguments).await?;
        tracker.delete_table().await?;
    }
    Ok(())
}

/// Measures one row: the median seconds per task by hand and by the tracker, and the median of their ratios.
async fn row(
    client: &Client,
    tracker: &Tracker<Document>,
    concurrency: usize,
    arguments: &Arguments,
) -> Result<[f64; 3], AnyError> {
    let mut rounds = Vec::new();
    for round in 0..arguments.warm_up + arguments.rounds {
        let table = &tracker.config().table;
        let by_hand = |turn: u32| {
            let id = move |nth| format!("raw-{concurrency}-{round}-{turn}-{nth}");
            let task = move |nth| written_by_hand(client.clone(), table.clone(), id(nth));
            timed((0..arguments.tasks).map(task), concurrency, arguments.tasks)
        };
        let by_tracker = |turn: u32| {
            let id = move |nth| format!("tracker-{concurrency}-{round}-{turn}-{nth}");
            let task = move |nth| by_tracker(tracker.clone(), id(nth));
            timed((0..arguments.tasks).map(task), concurrency, arguments.tasks)
        };
        // Later turns meet a larger table, so each side has an early and a late turn.
        let (raw_first, ours_second) = (by_hand(1).await?, by_tracker(1).await?);
        let (ours_third, raw_last) = (by_tracker(2).await?, by_hand(2).await?);
        let (raw, ours) = (raw_first + raw_last, ours_second + ours_third);
        if round >= arguments.warm_up {
            rounds.push([raw / 2.0, ours / 2.0, ours / raw]);
        }
    }
    Ok([0, 1, 2].map(|nth| median(rounds.iter().map(|round| round[nth]).collect())))
}

/// Runs each task in its own Tokio task, and returns the seconds per task.
async fn timed<F>(tasks: impl Iterator<Item = F>, concurrency: usize, count: u32) -> Result<f64, AnyError>
where
    F: Future<Output = Result<(), AnyError>> + Send + 'static,
{
    let begin = Instant::now();
    in_tasks(tasks, concurrency).await?;
    Ok(begin.elapsed().as_secs_f64() / f64::from(count))
}

/// Runs each task in its own Tokio task, so many at a time.
async fn in_tasks<F>(tasks: impl Iterator<Item = F>, concurrency: usize) -> Result<(), AnyError>
where
    F: Future<Output = Result<(), AnyError>> + Send + 'static,
{
    let mut ended = stream::iter(tasks).map(tokio::spawn).buffer_unordered(concurrency);
    while let Some(ended) = ended.next().await {
        ended??;
    }
    Ok(())
}

async fn by_tracker(tracker: Tracker<Document>, id: String) -> Result<(), AnyError> {
    tracker.create(Document { id: id.clone(), pages: 12, uri: Some("s3://bucket/key".to_owned()) }).await?;
    let mut task = tracker.start(&id).await?;
    task.data_mut().pages += 1;
    task.succeed().await?;
    Ok(())
}

/// Runs one lifecycle as one would write it with the SDK for this task alone, with the conditions of the tracker.
async fn written_by_hand(client: Client, table: Cow<'static, str>, id: String) -> Result<(), AnyError> {
    let key = format!("bench____{id}");
    let created = now();
    let data = [("pages".to_owned(), number(12)), ("uri".to_owned(), text("s3://bucket/key"))];
    client
        .put_item()
        .table_name(&*table)
        .item("key", text(&key))
        .item("value", text("bench____010____001"))
        .item("status", number(10))
        .item("retry", number(0))
        .item("attempt", number(0))
        .item("lost_lock", text(new_lock()))
        .item("create_time", text(&created))
        .item("update_time", text(&created))
        .item("lock", text("__not_locked__"))
        .item("lock_time", text("1970-01-01T00:00:00.000000+0000"))
        .item("data", AttributeValue::M(data.into()))
        .item("errors", AttributeValue::M([("history".to_owned(), AttributeValue::L(Vec::new()))].into()))
        .condition_expression("attribute_not_exists(#key)")
        .expression_attribute_names("#key", "key")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await?;

    let me = new_lock();
    let item = start(&client, &table, &key, "bench____012____001".to_owned(), &me).await?;
    let data = item.get("data").and_then(|data| data.as_m().ok()).ok_or("no data")?;
    let pages: u32 = data.get("pages").and_then(|pages| pages.as_n().ok()).ok_or("no pages")?.parse()?;
    success(&client, &table, &key, "bench____016____001".to_owned(), me, "#data.#pages = :pages")
        .expression_attribute_names("#pages", "pages")
        .expression_attribute_values(":pages", number(pages + 1))
        .send()
        .await?;
    Ok(())
}
