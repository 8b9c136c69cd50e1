//! The Rust side of `tests/interop`: this binary, told by lines of JSON what to do with a table that Python uses too.
//!
//! Each command has a line of its own on the standard input, and an answer on the standard output.

mod race;
mod side;
mod types;

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::{Error, ErrorKind, StatusTracker, Takeover, Tracker};

use self::side::Side;
use self::types::{Blind, Job, Mail, Native};
use crate::support::local;

/// What makes this binary a driver instead of the suite: the endpoint.
const ENDPOINT: &str = "TRACKER_TEST_INTEROP";

/// One line of input. What is not needed for `does` is left out.
#[derive(Debug, Deserialize)]
pub struct Command {
    #[serde(rename = "do")]
    does: String,
    /// Which struct: see [`types`].
    #[serde(default)]
    kind: String,
    #[serde(default)]
    id: String,
    /// Fields to set.
    data: Option<Box<RawValue>>,
    /// What an attempt fails with.
    #[serde(default)]
    error: String,
    #[serde(default)]
    fatal: bool,
    #[serde(default)]
    codes: Vec<u32>,
    #[serde(default)]
    open: Open,
    #[serde(default)]
    workers: usize,
    #[serde(default)]
    tasks: usize,
}

/// What every tracker is built with from then on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Open {
    table: String,
    lock_expire_ms: Option<u64>,
    max_clock_skew_ms: Option<u64>,
    history_limit: Option<u32>,
    no_takeover: bool,
}

impl Open {
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
    job: Side<Job>,
    blind: Side<Blind>,
    mail: Side<Mail>,
    native: Side<Native>,
}

impl Driver {
    fn open(client: Client, open: &Open) -> Result<Self, Error> {
        Ok(Self {
            job: Side::new(open.build(&client)?),
            blind: Side::new(open.build(&client)?),
            mail: Side::new(open.build(&client)?),
            native: Side::new(open.build(&client)?),
            client,
        })
    }

    async fn answer(&mut self, command: Command) -> Result<Value, Error> {
        if command.does == "open" {
            *self = Self::open(self.client.clone(), &command.open)?;
            return Ok(Value::Null);
        }
        if command.does == "race" {
            return Ok(race::race(&self.job.tracker, command.workers, command.tasks).await);
        }
        match command.kind.as_str() {
            "blind" => self.blind.answer(command).await,
            "mail" => self.mail.answer(command).await,
            "native" => self.native.answer(command).await,
            _ => self.job.answer(command).await,
        }
    }
}

/// Answers until the input ends, if this process was started as a driver.
pub fn main() -> Option<ExitCode> {
    let endpoint = std::env::var(ENDPOINT).ok()?;
    let runtime = tokio::runtime::Runtime::new().expect("a Tokio runtime");
    let client = Client::from_conf(local(&endpoint));
    let open = Open { table: "interop".to_owned(), ..Open::default() };
    let mut driver = Driver::open(client, &open).expect("a valid configuration");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line of UTF-8");
        let command: Command = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let answer = match runtime.block_on(driver.answer(command)) {
            Ok(answer) => json!({ "ok": answer }),
            Err(error) => refusal(&error),
        };
        let mut output = std::io::stdout().lock();
        writeln!(output, "{answer}").and_then(|()| output.flush()).expect("somebody who reads");
    }
    Some(ExitCode::SUCCESS)
}

/// The kind of the error by its name, and all that is said of it.
fn refusal(error: &Error) -> Value {
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
    json!({ "error": name, "attribute": attribute, "text": text, "head": error.task().map(side::head) })
}
