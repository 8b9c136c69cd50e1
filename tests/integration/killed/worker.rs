//! A worker in a process of its own, which works until it is killed, or until all tasks have ended.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::{Backoff, ErrorKind, Execution, Failure, StatusTracker, Tracker};

use super::MAX_RETRY;
use super::journal::{Journal, Step, micros, now};
use super::random::Random;
use crate::support::{Document, ExtractStatus, local_config};

/// The variable that makes this binary a worker instead of the suite. It holds the configuration, as JSON.
pub const CONFIG_VARIABLE: &str = "TRACKER_TEST_WORKER";

#[derive(Debug, Serialize, Deserialize)]
pub struct WorkerConfig {
    pub endpoint: String,
    pub table: String,
    pub name: String,
    pub seed: u64,
    pub journal: PathBuf,
}

/// What happens to a task. Its id begins with its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Succeeds, after a failure now and then.
    Works,
    /// Fails each time.
    Fails,
    /// Aborts its process each time.
    Aborts,
}

impl Kind {
    pub fn id(self, nth: usize) -> String {
        format!("{self:?}-{nth}")
    }

    pub fn of(id: &str) -> Self {
        let all = [Self::Works, Self::Fails, Self::Aborts];
        all.into_iter().find(|kind| id.starts_with(&format!("{kind:?}-"))).expect("a kind in the id")
    }
}

/// The tracker of one worker. Its lease is short, but long enough for a busy machine.
pub fn tracker(client: &Client, table: &str, name: &str) -> Tracker<Document> {
    Document::tracker_builder(client)
        .table(table)
        .layout(crate::support::layout())
        .owner(name)
        .max_retry(MAX_RETRY)
        // The test waits for the last attempt of each task.
        .backoff(Backoff::Exponential { base: Duration::from_millis(100), max: Duration::from_millis(400) })
        .history_limit(100)
        .lock_expire(Duration::from_millis(1500))
        .max_clock_skew(Duration::from_millis(100))
        .build()
        .expect("a valid configuration")
}

/// Runs a worker, if this process was started as one.
pub fn main() -> Option<ExitCode> {
    let config = std::env::var(CONFIG_VARIABLE).ok()?;
    let config: WorkerConfig = serde_json::from_str(&config).expect("a configuration");
    let may_end = Arc::new(AtomicBool::new(false));
    let signal = Arc::clone(&may_end);
    // The parent closes our input when the workers may end. The system closes it when the parent is gone.
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        signal.store(true, Ordering::Relaxed);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a Tokio runtime").block_on(Worker::new(config).work(&may_end));
    Some(ExitCode::SUCCESS)
}

struct Worker {
    name: String,
    tracker: Tracker<Document>,
    journal: Journal,
    random: Random,
}

impl Worker {
    fn new(config: WorkerConfig) -> Self {
        Self {
            tracker: tracker(&Client::from_conf(local_config(&config.endpoint)), &config.table, &config.name),
            journal: Journal::open(&config.journal, &config.name),
            random: Random::new(config.seed),
            name: config.name,
        }
    }

    async fn work(mut self, may_end: &AtomicBool) {
        loop {
            let may_end = may_end.load(Ordering::Relaxed);
            // If the query gets no answer, the next round sends it again.
            let mut tasks = self.tracker.query_for_unfinished().all().await.unwrap_or_default();
            if tasks.is_empty() {
                if may_end && self.is_all_done().await {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            self.random.shuffle(&mut tasks);
            for task in tasks.iter().take(3) {
                self.attempt(task.task_id()).await;
            }
        }
    }

    async fn is_all_done(&self) -> bool {
        self.tracker.count_by_status().await.is_ok_and(|counts| {
            counts.total() == counts.get(ExtractStatus::Succeeded) + counts.get(ExtractStatus::Ignored)
        })
    }

    async fn attempt(&mut self, id: &str) {
        self.journal.write(Step::Starting, id, 0, 0);
        let mut attempt = 0;
        let (name, journal, random) = (&self.name, &self.journal, &mut self.random);
        let body = async |task: &mut Execution<Document>| {
            attempt = task.attempt();
            journal.write(Step::Begin, id, attempt, until(task));
            task.data_mut().text_uri = Some(attempt_mark(name, attempt));
            let result = body(task, journal, random).await;
            let step = if result.is_ok() { Step::Succeeding } else { Step::Failing };
            journal.write(step, id, attempt, until(task));
            result.map_err(|why| Failure::retry(format!("{} failed: {why}", attempt_mark(name, attempt))))
        };
        let step = match Box::pin(self.tracker.run(id, body)).await {
            Ok(()) => Step::Done,
            Err(error) if matches!(error.kind(), ErrorKind::BodyFailed { .. }) => Step::Done,
            Err(error) if error.is_refusal() || *error.kind() == ErrorKind::Contended => Step::Refused,
            Err(_) => Step::Unsure,
        };
        self.journal.write(step, id, attempt, 0);
    }
}

/// The text that an attempt leaves in the task: in the data if it succeeds, in the history if it fails.
pub fn attempt_mark(worker: &str, attempt: u64) -> String {
    format!("{worker} attempt {attempt}")
}

fn until(task: &Execution<Document>) -> u64 {
    now() + micros(task.remaining())
}

/// Saves several times, and sleeps in between as if it worked.
async fn body(
    task: &mut Execution<Document>,
    journal: &Journal,
    random: &mut Random,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let id = task.task_id().clone();
    for _ in 0..random.between(4, 12) {
        tokio::time::sleep(Duration::from_millis(random.between(10, 80))).await;
        task.data_mut().pages += 1;
        match task.save().await {
            // The process of such a task must not survive the body, even if a save fails.
            Err(_) if Kind::of(&id) == Kind::Aborts => std::process::abort(),
            saved => saved?,
        }
        journal.write(Step::Renewed, &id, task.attempt(), until(task));
    }
    match Kind::of(&id) {
        Kind::Aborts => std::process::abort(),
        Kind::Fails => Err("as it always does".into()),
        Kind::Works if random.between(0, 100) < 15 => Err("as it does now and then".into()),
        Kind::Works => Ok(()),
    }
}
