//! A pipeline of two steps: `Extract` counts the words of each text file in a folder, and `Summarise` writes a summary
//! from the counts. Both steps work on the same DynamoDB item.
//!
//! It teaches how to declare a task and a second step with the derives, create tasks with `create_many`, run a worker for
//! each step, and read statuses and errors back. It runs on the embedded database, which needs no set-up:
//!
//! ```text
//! cargo run --example document_pipeline                              # the text files of this repository
//! cargo run --example document_pipeline -- examples/documents       # a few texts, one of them not UTF-8
//! cargo run --example document_pipeline -- --serve                 # then shows the tasks in a browser
//! cargo run --example document_pipeline -- FOLDER --db tasks.db      # a second run skips finished documents
//! cargo run --example document_pipeline -- FOLDER --endpoint-url http://127.0.0.1:8000
//! cargo run --example document_pipeline --features aws -- FOLDER --aws
//! ```
//!
//! A worker processes every task of its use case in the table. If the table is kept, these include the tasks that an
//! earlier run created for another folder.

mod common;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use futures_util::{Stream, StreamExt, TryStreamExt, future, stream};
use indicatif::{ProgressBar, ProgressStyle};
use tracker_core::{
    CancellationToken, Created, Event, EventKind, Operator, StatusTracker, Summary, TaskHead, Tracker,
    TrackerStatus,
};

use common::{AnyError, Database};

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ExtractStatus {
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

/// The first step: counts the lines and words of a document.
#[derive(StatusTracker, Debug, Default)]
#[tracker(use_case_id = "documents", status = ExtractStatus, table = "document-pipeline", max_retry = 3)]
// A short wait, because a person looks on. By default it is 15 s, twice as long each time.
#[tracker(backoff_base_seconds = 1)]
struct Extract {
    #[tracker(task_id)]
    path: String,
    lines: usize,
    words: usize,
    bytes: usize,
    frequent: Vec<(String, usize)>,
}

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum SummariseStatus {
    #[status(pending)]
    Pending = 20,
    #[status(in_progress, shards = 5)]
    InProgress = 22,
    #[status(failed, shards = 5)]
    Failed = 24,
    #[status(succeeded, shards = 10)]
    Succeeded = 26,
    #[status(ignored, shards = 5)]
    Ignored = 28,
}

/// The second step, on the same item: declares the fields of the first step that it reads, and one of its own.
#[derive(StatusTracker, Debug)]
#[tracker(use_case_id = "documents", status = SummariseStatus, table = "document-pipeline", after = Extract)]
struct Summarise {
    #[tracker(task_id)]
    path: String,
    lines: usize,
    words: usize,
    frequent: Vec<(String, usize)>,
    summary: Option<String>,
}

/// Summarises the text files of a folder in two steps, and tracks the status of each file in DynamoDB.
#[derive(Parser)]
#[command(name = "document_pipeline", version)]
struct Arguments {
    /// The folder to read, without `target` and names that begin with a dot [default: this repository]
    folder: Option<PathBuf>,
    /// How many documents are processed at the same time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    workers: u16,
    /// Serve a page about the tasks at the end, until Ctrl-C
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:8080")]
    serve: Option<SocketAddr>,
    #[command(flatten)]
    database: Database,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return common::print_usage(&error),
    };
    common::exit_code(run(&arguments).await)
}

async fn run(arguments: &Arguments) -> Result<ExitCode, AnyError> {
    let folder = arguments.folder.as_deref().unwrap_or(Path::new(env!("CARGO_MANIFEST_DIR")));
    let found = text_files(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let client = arguments.database.client().await?;
    let style =
        ProgressStyle::with_template("{msg:9} {bar:40} {pos}/{len} documents, {per_sec}, {eta} left")?;
    let progress = ProgressBar::new(found.len() as u64).with_style(style);
    let bar = progress.clone();
    // A worker slows down if DynamoDB throttles it or does not answer; the event says why.
    let slowed_down = move |event: &Event<'_>| {
        if let (EventKind::SlowedDown, Some(error)) = (event.kind, event.error) {
            bar.suspend(|| eprintln!("slowed down: {error}"));
        }
    };
    let extract = Extract::tracker_builder(&client).observer(slowed_down).build()?;
    let summarise = Summarise::tracker_builder(&client).like(&extract).build()?;
    extract.create_table().await?;
    // Adds the second step to the description of the table, so that `tracker` knows it.
    summarise.verify_table().await?;

    println!("{} documents in {}", found.len(), folder.display());
    let stop = CancellationToken::new();
    common::cancel_on_signal(stop.clone(), progress.clone());

    let new: Vec<_> = found.iter().map(|path| Extract { path: path.clone(), ..Extract::default() }).collect();
    // Tasks of an earlier run keep their status, so the workers continue where that run stopped.
    let created: Vec<_> = extract.create_many(new).take_until(stop.cancelled()).collect().await;
    let (mut done_before, mut failed) = (0, Vec::new());
    for created in &created {
        match created {
            Created::Existing { found: Some(head), .. } if has_ended(head) => done_before += 1,
            Created::Failed { task_id, error } => failed.push((task_id, error)),
            _ => {}
        }
    }
    progress.set_length((found.len() - done_before) as u64);

    // A failed task is retried up to `max_retry` times, so the worker also waits for the retries. Ctrl-C stops both early.
    let worker = extract.worker().drain().until_all_ended();
    let worker = worker.concurrency(arguments.workers.into()).shutdown(stop.clone());
    show(&progress, "Extract", worker.progress());
    worker
        .run(async |task| {
            let text = tokio::fs::read(task.task_id()).await?;
            count(task.data_mut(), str::from_utf8(&text)?);
            Ok(())
        })
        .await?;
    let worker = summarise.worker().drain().until_all_ended();
    let worker = worker.concurrency(arguments.workers.into()).shutdown(stop.clone());
    show(&progress, "Summarise", worker.progress());
    worker
        .run(async |task| {
            let summary = summary(task.data());
            task.data_mut().summary = Some(summary);
            Ok(())
        })
        .await?;
    progress.finish_and_clear();
    if done_before > 0 {
        println!("{done_before} documents had ended in an earlier run and were skipped");
    }
    let left = report(&extract, &found, arguments.workers).await?;
    let (held, left): (Vec<_>, Vec<_>) = left.into_iter().partition(TaskHead::is_locked);
    for head in &held {
        let until = head.lock_time() + extract.config().lock_expire + extract.config().max_clock_skew;
        println!("locked by another run: {}; try again after {until}", head.task_id());
    }
    for (path, error) in &failed {
        println!("not created: {path}: {error}");
    }
    if stop.is_cancelled() {
        let not_reached = left.len() + found.len() - created.len();
        println!("stopped: {not_reached} documents are not finished; run the example again to continue");
        return Ok(ExitCode::from(130));
    }
    for head in &left {
        println!("not finished: {}: the status is {}", head.task_id(), head.status_name());
    }
    arguments.database.print_how_to_look(&extract.config().table);
    if let Some(address) = arguments.serve {
        let operator = Operator::builder(&client).description(Summarise::describe()).open().await?;
        common::serve(operator, address, &stop).await?;
    }
    let all_ended = held.is_empty() && left.is_empty() && failed.is_empty();
    Ok(if all_ended { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Shows how many documents a step has finished.
fn show(progress: &ProgressBar, step: &'static str, summaries: impl Stream<Item = Summary> + Send + 'static) {
    progress.reset();
    progress.set_message(step);
    let progress = progress.clone();
    tokio::spawn(summaries.for_each(move |so_far| {
        progress.set_position(so_far.succeeded + so_far.ignored);
        future::ready(())
    }));
}

fn has_ended(head: &TaskHead) -> bool {
    match head.status_in::<SummariseStatus>() {
        Some(status) => matches!(status, SummariseStatus::Succeeded | SummariseStatus::Ignored),
        None => head.status_in::<ExtractStatus>() == Some(ExtractStatus::Ignored),
    }
}

fn count(document: &mut Extract, text: &str) {
    let words = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut times = HashMap::new();
    for word in words().filter(|word| word.chars().count() > 3) {
        *times.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    let mut frequent: Vec<(String, usize)> = times.into_iter().collect();
    frequent.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
    frequent.truncate(5);
    document.lines = text.lines().count();
    document.words = words().count();
    document.bytes = text.len();
    document.frequent = frequent;
}

fn summary(document: &Summarise) -> String {
    let words: Vec<_> = document.frequent.iter().map(|(word, _)| word.as_str()).collect();
    let about = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
    let minutes = document.words.div_ceil(200);
    format!("{} lines, {minutes} min to read, mostly about {about}", document.lines)
}

/// Returns the sorted paths of all text files below a folder. Like git, it takes a file for text if its first kilobytes
/// contain no NUL. A file that cannot be opened is included, and its task fails later.
fn text_files(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut found = Vec::new();
    let root = folder.canonicalize()?;
    let mut folders = vec![(root.clone(), std::fs::read_dir(&root)?)];
    while let Some((folder, entries)) = folders.pop() {
        for entry in entries.filter_map(Result::ok) {
            let path = folder.join(entry.file_name());
            let name = entry.file_name();
            let Ok(kind) = entry.file_type() else { continue };
            if name == "target" || name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if kind.is_dir() {
                match std::fs::read_dir(&path) {
                    Ok(entries) => folders.push((path, entries)),
                    Err(error) => eprintln!("skipped: {}: {error}", path.display()),
                }
            } else if kind.is_file() && is_text(&path).unwrap_or(true) {
                match path.into_os_string().into_string() {
                    Ok(path) => found.push(path),
                    Err(odd) => eprintln!("skipped because the name is not UTF-8: {}", odd.display()),
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_text(path: &Path) -> std::io::Result<bool> {
    use std::io::Read;
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(8192).read_to_end(&mut head)?;
    Ok(!head.contains(&0))
}

/// Prints the number of documents for each step and status, and the last error of each ignored document. Returns the
/// documents that have not ended.
async fn report(
    extract: &Tracker<Extract>,
    found: &[String],
    readers: u16,
) -> Result<Vec<TaskHead>, AnyError> {
    let heads: Vec<_> = stream::iter(found)
        .map(async |path| extract.head(path).consistent().await)
        .buffered(readers.into())
        .try_collect()
        .await?;
    let mut extracts: HashMap<ExtractStatus, usize> = HashMap::new();
    let mut summaries: HashMap<SummariseStatus, usize> = HashMap::new();
    let mut ignored = Vec::new();
    for head in heads.iter().flatten() {
        let first = head.status_in::<ExtractStatus>();
        let second = head.status_in::<SummariseStatus>();
        // A task in the second step has succeeded in the first; after the first, a task is pending in the second.
        *extracts.entry(first.unwrap_or(ExtractStatus::Succeeded)).or_default() += 1;
        if let Some(status) =
            second.or((first == Some(ExtractStatus::Succeeded)).then_some(SummariseStatus::Pending))
        {
            *summaries.entry(status).or_default() += 1;
        }
        if first == Some(ExtractStatus::Ignored) || second == Some(SummariseStatus::Ignored) {
            ignored.push(head);
        }
    }
    println!(
        "{:<10} {:>8} {:>12} {:>7} {:>10} {:>8}",
        "step", "pending", "in progress", "failed", "succeeded", "ignored"
    );
    row("Extract", ExtractStatus::ALL, &extracts);
    row("Summarise", SummariseStatus::ALL, &summaries);
    for head in ignored {
        let last = head.errors().last().map_or("no error is recorded", |entry| &entry.error);
        println!("ignored after {} failed attempts: {}: {last}", head.failed_attempts(), head.task_id());
    }
    Ok(heads.into_iter().flatten().filter(|head| !has_ended(head)).collect())
}

fn row<S: Copy + Eq + std::hash::Hash>(step: &str, statuses: &[S], tasks: &HashMap<S, usize>) {
    let [pending, in_progress, failed, succeeded, ignored] =
        [0, 1, 2, 3, 4].map(|nth| statuses.get(nth).and_then(|status| tasks.get(status)).unwrap_or(&0));
    println!("{step:<10} {pending:>8} {in_progress:>12} {failed:>7} {succeeded:>10} {ignored:>8}");
}
