//! The Rust side of `tests/interop`: this binary, driven by commands, on a table that Python uses as well.
//!
//! Each command is a line of JSON on the standard input, and its answer a line of JSON on the standard output.

mod commands;
mod race;
mod types;

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::Duration;

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::{Error, ErrorKind, Operator, StatusTracker, Takeover, TaskFilter, Tracker};

use self::commands::Commands;
use self::types::{Blind, Job, Mail, Native};
use crate::support::local_config;

/// The variable that makes this binary a driver instead of the suite. It holds the endpoint.
const ENDPOINT: &str = "TRACKER_TEST_INTEROP";

/// One line of input. Members that the operation does not need are left out.
#[derive(Debug, Deserialize)]
pub struct Command {
    #[serde(rename = "do")]
    operation: String,
    /// The struct of the task: see [`types`].
    #[serde(default)]
    kind: String,
    #[serde(default)]
    id: String,
    /// Fields to set.
    data: Option<Box<RawValue>>,
    /// The text that an attempt fails with.
    #[serde(default)]
    error: String,
    #[serde(default)]
    fatal: bool,
    #[serde(default)]
    codes: Vec<u32>,
    #[serde(default)]
    open: Settings,
    #[serde(default)]
    workers: usize,
    #[serde(default)]
    tasks: usize,
}

/// The settings of every tracker from then on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Settings {
    table: String,
    lock_expire_ms: Option<u64>,
    max_clock_skew_ms: Option<u64>,
    history_limit: Option<u32>,
    no_takeover: bool,
}

impl Settings {
    fn build<T: StatusTracker>(&self, client: &Client) -> Result<Tracker<T>, Error> {
        let mut builder = T::tracker_builder(client).table(self.table.clone()).owner("rust");
        if let Some(millis) = self.lock_expire_ms {
            builder = builder.lock_expire(Duration::from_millis(millis));
        }
        if let Some(millis) = self.max_clock_skew_ms {
            builder = builder.max_clock_skew(Duration::from_millis(millis));
        }
        if let Some(entries) = self.history_limit {
            builder = builder.history_limit(entries);
        }
        if self.no_takeover {
            builder = builder.takeover(Takeover::Never);
        }
        builder.build()
    }
}

struct Driver {
    client: Client,
    job: Commands<Job>,
    blind: Commands<Blind>,
    mail: Commands<Mail>,
    native: Commands<Native>,
}

impl Driver {
    fn open(client: Client, open: &Settings) -> Result<Self, Error> {
        Ok(Self {
            job: Commands::new(open.build(&client)?),
            blind: Commands::new(open.build(&client)?),
            mail: Commands::new(open.build(&client)?),
            native: Commands::new(open.build(&client)?),
            client,
        })
    }

    /// Does something by hand, by the description of a type: the table keeps none.
    async fn operate(&self, command: &Command) -> Result<Value, Error> {
        let operator = Operator::builder(&self.client).table(&*self.job.tracker.config().table);
        let operator = operator.description(self.job.tracker.describe()).actor("alice").reason("by hand");
        let operator = operator.open().await?;
        let id = command.id.as_str();
        let acted = match command.operation.as_str() {
            "operator_get" => return Ok(json!(operator.get(id).await?)),
            "operator_errors" => return Ok(json!(operator.errors(&TaskFilter::new(), None).await?)),
            "operator_pause" => {
                return Ok(json!(operator.pause("Job", operator.now() + TimeDelta::hours(1)).await?));
            }
            "operator_resume" => return Ok(json!(operator.resume("Job").await?)),
            "operator_drain" => {
                let worker = self.job.tracker.worker().drain();
                return Ok(json!(worker.run_local(async |_| Ok(())).await?));
            }
            "operator_redrive_all" => operator.redrive(TaskFilter::new()).await?,
            "operator_cancel" => operator.cancel(id).await?,
            "operator_release" => operator.release_expired(id).await?,
            other => panic!("unknown command {other}"),
        };
        Ok(json!(acted))
    }

    async fn answer(&mut self, command: Command) -> Result<Value, Error> {
        if command.operation == "open" {
            *self = Self::open(self.client.clone(), &command.open)?;
            return Ok(Value::Null);
        }
        if command.operation == "race" {
            return Ok(race::race(&self.job.tracker, command.workers, command.tasks).await);
        }
        if command.operation.starts_with("operator_") {
            return self.operate(&command).await;
        }
        match command.kind.as_str() {
            "blind" => self.blind.answer(command).await,
            "mail" => self.mail.answer(command).await,
            "native" => self.native.answer(command).await,
            _ => self.job.answer(command).await,
        }
    }
}

/// Answers commands until the input ends, if this process was started as a driver.
pub fn main() -> Option<ExitCode> {
    let endpoint = std::env::var(ENDPOINT).ok()?;
    let runtime = tokio::runtime::Runtime::new().expect("a Tokio runtime");
    let client = Client::from_conf(local_config(&endpoint));
    let open = Settings { table: "interop".to_owned(), ..Settings::default() };
    let mut driver = Driver::open(client, &open).expect("a valid configuration");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line of UTF-8");
        let command: Command = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let answer = match runtime.block_on(driver.answer(command)) {
            Ok(answer) => json!({ "ok": answer }),
            Err(error) => error_answer(&error),
        };
        let mut output = std::io::stdout().lock();
        writeln!(output, "{answer}").and_then(|()| output.flush()).expect("a reader of the answers");
    }
    Some(ExitCode::SUCCESS)
}

/// The name of the kind of an error, its text with all causes, and the task that it carries.
fn error_answer(error: &Error) -> Value {
    let kind = format!("{:?}", error.kind());
    let name: String = kind.chars().take_while(char::is_ascii_alphanumeric).collect();
    let attribute = match error.kind() {
        ErrorKind::Decode { attribute } | ErrorKind::Encode { attribute } => Some(attribute),
        _ => None,
    };
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    json!({ "error": name, "attribute": attribute, "text": text, "head": error.task().map(commands::head) })
}
