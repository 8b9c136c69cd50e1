//! What the tracker costs over hand-written SDK code that sends the same requests: create, start, succeed.
//!
//! ```text
//! cargo bench --bench lifecycle                                  # on the embedded database, where the client is the cost
//! tests/dynamodb-local cargo bench --bench lifecycle             # on DynamoDB Local, too
//! cargo bench --bench lifecycle -- --tasks 200 --rounds 21
//! ```
//!
//! The two run in turns within one process, and what counts is the ratio of their times in the same round: a machine that
//! is busy with something else slows both.

use std::borrow::Cow;
use std::error::Error;
use std::time::Instant;

use clap::Parser;
use futures_util::{StreamExt, stream};
use tracker_core::aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use tracker_core::aws_sdk_dynamodb::types::{
    AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure,
};
use tracker_core::aws_sdk_dynamodb::{Client, Config};
use tracker_core::{StatusTracker, Tracker, TrackerStatus, embedded};

type AnyError = Box<dyn Error + Send + Sync>;

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

/// Measures lifecycles of the tracker against hand-written SDK code.
#[derive(Parser)]
struct Arguments {
    /// Tasks in each round
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    tasks: u32,
    /// Rounds, of which the median counts
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many tasks are under way at the same time
    #[arg(long, default_values_t = [1, 16, 64], value_delimiter = ',')]
    concurrency: Vec<usize>,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let arguments = Arguments::parse();
    let mut backends = vec![("embedded", embedded::in_memory()?)];
    match std::env::var("TRACKER_DYNAMODB_ENDPOINT") {
        Ok(endpoint) => backends.push(("DynamoDB Local", local(&endpoint))),
        Err(_) => println!(
            "not on DynamoDB Local: start it with `tests/dynamodb-local cargo bench --bench lifecycle`"
        ),
    }
    for (name, client) in backends {
        let table = format!("bench-{}", std::process::id());
        let tracker = Document::tracker_builder(&client).table(&table).build()?;
        tracker.create_table().await?;
        for &concurrency in &arguments.concurrency {
            let row = row(&client, &tracker, concurrency.max(1), &arguments).await?;
            let [raw, ours, ratio] = row;
            let micros = |seconds: f64| seconds * 1e6;
            println!(
                "{name:<15} {concurrency:>3} at a time: raw {:>7.0} us, tracker {:>7.0} us a task   tracker/raw wall: {ratio:.2}",
                micros(raw),
                micros(ours),
            );
        }
        tracker.delete_table().await?;
    }
    Ok(())
}

/// The medians of one row: seconds for a task by hand and by the tracker, and of their ratios.
async fn row(
    client: &Client,
    tracker: &Tracker<Document>,
    concurrency: usize,
    arguments: &Arguments,
) -> Result<[f64; 3], AnyError> {
    let mut rounds = Vec::new();
    // The first is to warm up.
    for round in 0..=arguments.rounds {
        let id = |kind: &str, nth: u32| format!("{kind}-{concurrency}-{round}-{nth}");
        let table = &tracker.config().table;
        let by_hand = || {
            let task = |nth| by_hand(client.clone(), table.clone(), id("raw", nth));
            timed((0..arguments.tasks).map(task), concurrency, arguments.tasks)
        };
        let by_tracker = || {
            let task = |nth| by_tracker(tracker.clone(), id("tracker", nth));
            timed((0..arguments.tasks).map(task), concurrency, arguments.tasks)
        };
        let (raw, ours) = if round % 2 == 0 {
            let raw = by_hand().await?;
            (raw, by_tracker().await?)
        } else {
            let ours = by_tracker().await?;
            (by_hand().await?, ours)
        };
        if round > 0 {
            rounds.push([raw, ours, ours / raw]);
        }
    }
    Ok([0, 1, 2].map(|nth| median(rounds.iter().map(|round| round[nth]).collect())))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Seconds for each task, each in a task of the runtime's.
async fn timed<F>(tasks: impl Iterator<Item = F>, concurrency: usize, count: u32) -> Result<f64, AnyError>
where
    F: Future<Output = Result<(), AnyError>> + Send + 'static,
{
    let begin = Instant::now();
    let mut ended = stream::iter(tasks).map(tokio::spawn).buffer_unordered(concurrency);
    while let Some(ended) = ended.next().await {
        ended??;
    }
    Ok(begin.elapsed().as_secs_f64() / f64::from(count))
}

async fn by_tracker(tracker: Tracker<Document>, id: String) -> Result<(), AnyError> {
    tracker.create(Document { id: id.clone(), pages: 12, uri: Some("s3://bucket/key".to_owned()) }).await?;
    let mut task = tracker.start(&id).await?;
    task.data_mut().pages += 1;
    task.succeed().await?;
    Ok(())
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(number: u32) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn now() -> String {
    chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S%.6f+0000").to_string()
}

/// As one would write it for this task alone, with the same conditions.
async fn by_hand(client: Client, table: Cow<'static, str>, id: String) -> Result<(), AnyError> {
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

    let me = format!("{:032x}", fastrand::u128(..));
    let started = now();
    let stale = "2020-01-01T00:00:00.000000+0000";
    let output = client
        .update_item()
        .table_name(&*table)
        .key("key", text(&key))
        .update_expression(
            "SET #value = :value, #status = :status, #started_from = #status, #lock = :me, #lock_time = :now, \
             #update_time = :now, #owner = :owner REMOVE #cancel, #expires_at ADD #attempt :one",
        )
        .condition_expression(
            "#lock_time < :now AND (attribute_not_exists(#run_at) OR #run_at <= :now) AND #status IN (:pending, :failed) \
             AND (#lock = :free OR #lock_time < :stale)",
        )
        .expression_attribute_names("#value", "value")
        .expression_attribute_names("#status", "status")
        .expression_attribute_names("#started_from", "started_from")
        .expression_attribute_names("#lock", "lock")
        .expression_attribute_names("#lock_time", "lock_time")
        .expression_attribute_names("#update_time", "update_time")
        .expression_attribute_names("#owner", "owner")
        .expression_attribute_names("#cancel", "cancel")
        .expression_attribute_names("#expires_at", "expires_at")
        .expression_attribute_names("#attempt", "attempt")
        .expression_attribute_names("#run_at", "run_at")
        .expression_attribute_values(":value", text("bench____012____001"))
        .expression_attribute_values(":status", number(12))
        .expression_attribute_values(":me", text(&me))
        .expression_attribute_values(":now", text(started))
        .expression_attribute_values(":owner", text("host/1"))
        .expression_attribute_values(":one", number(1))
        .expression_attribute_values(":pending", number(10))
        .expression_attribute_values(":failed", number(14))
        .expression_attribute_values(":free", text("__not_locked__"))
        .expression_attribute_values(":stale", text(stale))
        .return_values(ReturnValue::AllNew)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await?;
    let item = output.attributes.ok_or("no item")?;
    let data = item.get("data").and_then(|data| data.as_m().ok()).ok_or("no data")?;
    let pages: u32 = data.get("pages").and_then(|pages| pages.as_n().ok()).ok_or("no pages")?.parse()?;

    client
        .update_item()
        .table_name(&*table)
        .key("key", text(&key))
        .update_expression(
            "SET #lock = :free, #lock_time = :now, #last_lock = :me, #value = :value, #status = :status, \
             #update_time = :now, #retry = :zero, #data.#pages = :pages",
        )
        .condition_expression("#lock = :me")
        .expression_attribute_names("#lock", "lock")
        .expression_attribute_names("#lock_time", "lock_time")
        .expression_attribute_names("#last_lock", "last_lock")
        .expression_attribute_names("#value", "value")
        .expression_attribute_names("#status", "status")
        .expression_attribute_names("#update_time", "update_time")
        .expression_attribute_names("#retry", "retry")
        .expression_attribute_names("#data", "data")
        .expression_attribute_names("#pages", "pages")
        .expression_attribute_values(":free", text("__not_locked__"))
        .expression_attribute_values(":now", text(now()))
        .expression_attribute_values(":me", text(me))
        .expression_attribute_values(":value", text("bench____016____001"))
        .expression_attribute_values(":status", number(16))
        .expression_attribute_values(":zero", number(0))
        .expression_attribute_values(":pages", number(pages + 1))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await?;
    Ok(())
}

/// A client of DynamoDB Local.
fn local(endpoint: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Client::from_conf(config.build())
}
