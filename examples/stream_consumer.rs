//! Follows the stream of a table, and prints each transition of its tasks.
//!
//! It teaches `TaskHead::from_item` and `Transition::between`, with which a consumer of a stream sees what the workers see. It
//! makes its own table, with a stream, and its own tasks. It runs on the embedded database, which needs no set-up:
//!
//! ```text
//! cargo run --example stream_consumer
//! cargo run --example stream_consumer -- --tasks 20
//! tests/dynamodb-local sh -c 'cargo run --example stream_consumer -- --endpoint-url $TRACKER_DYNAMODB_ENDPOINT'
//! ```
//!
//! On AWS, an event source mapping of a Lambda function does what `Follower` does here. With the feature `lambda`,
//! `TaskHead::from_item` reads the images of its records as well.

mod common;

use std::collections::{HashMap, HashSet};
use std::process::ExitCode;
use std::time::Duration;

use aws_sdk_dynamodbstreams::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodbstreams::types::{AttributeValue, Record, ShardIteratorType};
use aws_sdk_dynamodbstreams::{Client as StreamsClient, Config};
use clap::Parser;
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::types::{StreamSpecification, StreamViewType, TableDescription};
use tracker_core::{Error, ErrorKind, Failure, StatusTracker, TaskHead, TrackerStatus, Transition};

use common::{AnyError, Database};

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
enum JobStatus {
    #[status(pending)]
    Pending = 10,
    #[status(in_progress)]
    InProgress = 12,
    #[status(failed)]
    Failed = 14,
    #[status(succeeded)]
    Succeeded = 16,
    #[status(ignored)]
    Ignored = 18,
}

#[derive(StatusTracker, Debug)]
#[tracker(use_case_id = "jobs", status = JobStatus, table = "stream-consumer", max_retry = 2, backoff = "none")]
struct Job {
    #[tracker(task_id)]
    id: String,
    number: u32,
}

/// Runs some tasks, and prints their transitions as the stream of the table tells them.
#[derive(Parser)]
#[command(
    name = "stream_consumer",
    version,
    after_help = "Exit status: 0 done, 1 an error, 2 wrong arguments, 130 stopped."
)]
struct Arguments {
    /// How many tasks to run
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    tasks: u32,
    #[command(flatten)]
    database: Database,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return common::print_usage(&error),
    };
    let stopped = common::stop_signal();
    let result = tokio::select! {
        result = run(&arguments) => result,
        _ = stopped => return ExitCode::from(130),
    };
    common::exit_code(result.map(|()| ExitCode::SUCCESS))
}

async fn run(arguments: &Arguments) -> Result<(), AnyError> {
    let client = arguments.database.client().await?;
    // Before anything is created.
    let streams = streams_client(&arguments.database, &client)?;
    let jobs = Job::tracker(&client);
    jobs.create_table().await?;
    let stream = enable_stream(&client, &jobs.config().table).await?;
    let mut follower = Follower::new(streams, stream);

    let work = async {
        for number in 0..arguments.tasks {
            jobs.ensure(Job { id: format!("job-{number}"), number }).await?;
        }
        let worker = jobs.worker().drain().until_all_ended();
        let done = worker.run(async |task| {
            tokio::time::sleep(Duration::from_millis(20)).await;
            match task.data().number % 3 {
                1 => Err(Failure::from("every third job fails")),
                _ => Ok(()),
            }
        });
        done.await
    };
    let mut work = std::pin::pin!(work);
    let mut summary = None;
    // The stream is read until the work is done, and nothing new came after that.
    loop {
        tokio::select! {
            done = &mut work, if summary.is_none() => summary = Some(done?),
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
        let records = follower.next().await?;
        for record in &records {
            print(record)?;
        }
        if summary.is_some() && records.is_empty() {
            break;
        }
    }
    if let Some(summary) = summary {
        println!("{} succeeded, {} failed, {} ignored", summary.succeeded, summary.failed, summary.ignored);
    }
    Ok(())
}

/// Prints the transition of a record, unless the record is of something else in the table.
fn print(record: &Record) -> Result<(), AnyError> {
    let Some(change) = &record.dynamodb else { return Ok(()) };
    let (old, new) = (head(change.old_image())?, head(change.new_image())?);
    let Some(task) = new.as_ref().or(old.as_ref()) else { return Ok(()) };
    match Transition::between(old.as_ref(), new.as_ref()) {
        // A heartbeat is not worth a line.
        None | Some(Transition::Heartbeat) => {}
        Some(transition) => {
            println!(
                "{:<12} {:<10} {:<11} attempt {}",
                task.task_id(),
                transition.name(),
                task.status_name(),
                task.attempt()
            );
        }
    }
    Ok(())
}

/// Reads an image, if there is one and it is a task of this use case.
fn head(image: Option<&HashMap<String, AttributeValue>>) -> Result<Option<TaskHead>, Error> {
    let Some(image) = image else { return Ok(None) };
    match TaskHead::from_item::<Job>(image.clone()) {
        Ok(head) => Ok(Some(head)),
        // The description of the use case, for example, or another use case.
        Err(error) if matches!(error.kind(), ErrorKind::NotATask { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Switches the stream of a table on, with both images in each record. Returns its ARN.
async fn enable_stream(client: &Client, table: &str) -> Result<String, AnyError> {
    let described = client.describe_table().table_name(table).send().await?;
    let stream_of = |table: Option<TableDescription>| table.and_then(|table| table.latest_stream_arn);
    if let Some(stream) = stream_of(described.table) {
        return Ok(stream);
    }
    let specification = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages)
        .build()?;
    let updated = client.update_table().table_name(table).stream_specification(specification).send().await?;
    stream_of(updated.table_description).ok_or_else(|| "the table has no stream".into())
}

/// Returns a client of the streams of the same database.
fn streams_client(database: &Database, client: &Client) -> Result<StreamsClient, AnyError> {
    let endpoint = database.endpoint().ok_or("on AWS, let a Lambda function follow the stream")?;
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(endpoint);
    // The embedded database answers behind the HTTP client of its client.
    config.set_http_client(client.config().http_client());
    Ok(StreamsClient::from_conf(config.build()))
}

/// Reads all shards of a stream, each from its beginning.
struct Follower {
    client: StreamsClient,
    stream: String,
    /// The shards that were found.
    known: HashSet<String>,
    /// Where to go on in each shard that is still open.
    iterators: Vec<String>,
}

impl Follower {
    fn new(client: StreamsClient, stream: String) -> Self {
        Self { client, stream, known: HashSet::new(), iterators: Vec::new() }
    }

    /// Returns the records that have come since the last call.
    async fn next(&mut self) -> Result<Vec<Record>, AnyError> {
        self.find_shards().await?;
        let mut records = Vec::new();
        for iterator in std::mem::take(&mut self.iterators) {
            let page = self.client.get_records().shard_iterator(iterator).send().await?;
            records.extend(page.records.unwrap_or_default());
            // A shard that has ended has no next iterator; its children have the later records.
            self.iterators.extend(page.next_shard_iterator);
        }
        Ok(records)
    }

    /// Begins to read the shards that are new.
    async fn find_shards(&mut self) -> Result<(), AnyError> {
        let mut last = None;
        loop {
            let request = self.client.describe_stream().stream_arn(&self.stream);
            let page = request.set_exclusive_start_shard_id(last).send().await?.stream_description;
            let Some(page) = page else { return Ok(()) };
            for shard in page.shards.unwrap_or_default().into_iter().filter_map(|shard| shard.shard_id) {
                if self.known.insert(shard.clone()) {
                    let iterator = self
                        .client
                        .get_shard_iterator()
                        .stream_arn(&self.stream)
                        .shard_id(shard)
                        .shard_iterator_type(ShardIteratorType::TrimHorizon);
                    self.iterators.extend(iterator.send().await?.shard_iterator);
                }
            }
            last = page.last_evaluated_shard_id;
            if last.is_none() {
                return Ok(());
            }
        }
    }
}
