//! A table with tasks, and the command line on it.

use std::future::Future;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tracker_core::aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use tracker_core::aws_sdk_dynamodb::{Client, Config};
use tracker_core::{Backoff, Failure, StatusTracker, Tracker, TrackerBuilder, TrackerStatus, embedded};

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtractStatus {
    #[status(pending, shards = 3)]
    Pending = 10,
    #[status(in_progress)]
    InProgress = 12,
    #[status(failed)]
    Failed = 14,
    #[status(succeeded)]
    Succeeded = 16,
    #[status(ignored, shards = 2)]
    Ignored = 18,
}

#[derive(StatusTracker, Debug, Clone, PartialEq, Default)]
#[tracker(use_case_id = "extract", status = ExtractStatus)]
pub struct Document {
    #[tracker(task_id)]
    pub id: String,
    pub pages: u32,
}

impl Document {
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), pages: 3 }
    }
}

/// Where the table of a test is.
pub struct Database {
    place: Place,
    pub table: String,
    pub folder: TempDir,
}

#[derive(Debug, Clone)]
enum Place {
    /// Only one process at a time may have the file open.
    File(PathBuf),
    Endpoint(String),
}

/// Runs a test on each database.
pub fn on_each_database(test: impl Fn(&Database)) {
    let folder = || tempfile::tempdir().expect("a folder");
    let file = folder();
    let place = Place::File(file.path().join("tasks.db"));
    println!("on the embedded database");
    test(&Database { place, table: "documents".to_owned(), folder: file });
    if let Some(database) = on_dynamodb_local() {
        test(&database);
    }
}

/// Returns a table on DynamoDB Local, if it runs.
pub fn on_dynamodb_local() -> Option<Database> {
    let Ok(endpoint) = std::env::var("TRACKER_DYNAMODB_ENDPOINT") else {
        println!("not on DynamoDB Local: TRACKER_DYNAMODB_ENDPOINT is not set");
        return None;
    };
    println!("on DynamoDB Local at {endpoint}");
    let folder = tempfile::tempdir().expect("a folder");
    let table = format!("tools-{:016x}", fastrand::u64(..));
    Some(Database { place: Place::Endpoint(endpoint), table, folder })
}

impl Database {
    /// Lets a program work on the table. The file is closed at its end.
    pub fn with<R, F: Future<Output = R>>(&self, work: impl FnOnce(Client) -> F) -> R {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = match &self.place {
                Place::File(file) => embedded::in_file(file).expect("a database"),
                Place::Endpoint(url) => {
                    let config = Config::builder()
                        .behavior_version(BehaviorVersion::v2026_01_12())
                        .region(Region::from_static("us-east-1"))
                        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
                        .endpoint_url(url)
                        .http_client(aws_smithy_http_client::Builder::new().build_http());
                    Client::from_conf(config.build())
                }
            };
            work(client).await
        })
    }

    pub fn builder(&self, client: &Client) -> TrackerBuilder<Document> {
        Document::tracker_builder(client)
            .table(&self.table)
            .owner("worker-1")
            .backoff(Backoff::None)
            .max_retry(1)
    }

    /// Creates the table, and lets a program work with its tracker.
    pub fn create<R, F: Future<Output = R>>(&self, work: impl FnOnce(Tracker<Document>) -> F) -> R {
        self.with(|client| async move {
            let documents = self.builder(&client).build().expect("a valid configuration");
            documents.create_table().await.expect("a table");
            work(documents).await
        })
    }

    /// Creates the table with tasks that are ignored, each with its own error.
    pub fn create_ignored(&self, tasks: usize) {
        self.create(|documents| async move {
            for nth in 0..tasks {
                ignore(
                    &documents,
                    &format!("doc-{nth:03}"),
                    &format!("doc-{nth:03} timed out after {nth} s"),
                )
                .await;
            }
        });
    }

    /// Returns a command on the table.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_on(&self.table, arguments)
    }

    fn command_on(&self, table: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tracker"));
        match &self.place {
            Place::File(file) => command.arg("--embedded").arg(file),
            Place::Endpoint(url) => command.args(["--endpoint-url", url]),
        };
        for name in ["TRACKER_TABLE", "TRACKER_USE_CASE", "TRACKER_ACTOR", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command.env("USER", "alice").args(["--table", table]).args(arguments);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(&mut self.command(arguments))
    }

    /// Runs a command on another table.
    pub fn run_on(&self, table: &str, arguments: &[&str]) -> Ended {
        Ended::of(&mut self.command_on(table, arguments))
    }

    /// Runs a command that names no table and no database of its own.
    pub fn run_alone(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tracker"));
        command
            .env_remove("TRACKER_TABLE")
            .current_dir(self.folder.path())
            .args(arguments)
            .stdin(Stdio::null());
        Ended::of(&mut command)
    }

    /// Runs a command with these lines on standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = assert_cmd::Command::from_std(self.command(arguments));
        let output = command.write_stdin(input).timeout(Duration::from_mins(5)).output().expect("a process");
        Ended::from(output)
    }

    /// Returns the stored status of a task.
    pub fn status_of(&self, id: &str) -> Option<ExtractStatus> {
        self.with(|client| async move {
            let documents = self.builder(&client).build().expect("a valid configuration");
            let head = documents.head(id).consistent().await.expect("an answer")?;
            head.status_in()
        })
    }
}

/// Waits for a condition.
pub fn until(holds: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_mins(5), "waited for five minutes");
    }
}

/// Creates a task that is ignored with an error.
pub async fn ignore(documents: &Tracker<Document>, id: &str, error: &str) {
    documents.create(Document::new(id)).await.expect("a new task");
    let execution = documents.start(id).await.expect("a ready task");
    execution.fail(Failure::fatal(error)).await.expect("a recorded failure");
}

/// What a process has left.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<std::process::Output> for Ended {
    fn from(output: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ended {
    pub fn of(command: &mut Command) -> Self {
        Self::from(command.output().expect("a process"))
    }

    /// Asserts on the code, and returns what is left.
    #[track_caller]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// Parses each line of standard output as JSON.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect(&self.stdout)
    }

    /// Asserts that nothing but one clear line was said.
    #[track_caller]
    pub fn said(self, text: &str) -> Self {
        assert_eq!(self.stdout, "", "{self:#?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:#?}");
        assert!(self.stderr.contains(text), "{self:#?}");
        self
    }
}
