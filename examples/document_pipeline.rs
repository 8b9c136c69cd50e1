//! A pipeline in two steps on one item: `Extract` reads the documents of a folder, and `Summarise` works from
//! what `Extract` stored.
//!
//! It teaches: annotating a struct and an enum, a second step with `after`, `create_many`, a `worker` for each step, what
//! a failing body becomes, and reading statuses back. A worker works on all tasks of its use case in the table: with `--db`,
//! also on what an earlier run has left of another folder. It runs on the embedded database, which needs no set-up:
//!
//! ```text
//! cargo run --example document_pipeline                              # the text files of this repository
//! cargo run --example document_pipeline -- examples/documents       # a few texts, one of them not UTF-8
//! cargo run --example document_pipeline -- FOLDER --db tasks.db      # kept: a second run does nothing again
//! cargo run --example document_pipeline -- FOLDER --endpoint-url http://127.0.0.1:8000
//! cargo run --example document_pipeline --features aws -- FOLDER --aws
//! ```

use std::collections::HashMap;
use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use futures_util::{Stream, StreamExt, TryStreamExt, future, stream};
use indicatif::{ProgressBar, ProgressStyle};
use tracker_core::aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use tracker_core::aws_sdk_dynamodb::{Client, Config};
use tracker_core::{
    CancellationToken, Created, Event, EventKind, StatusTracker, Summary, TaskHead, Tracker, TrackerStatus,
    embedded,
};

type AnyError = Box<dyn StdError + Send + Sync>;

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

/// The first step: what a document holds.
#[derive(StatusTracker, Debug, Default)]
#[tracker(use_case_id = "documents", status = ExtractStatus, table = "document-pipeline", max_retry = 3)]
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

/// The second step, on the same item: of what the first stored it knows what it needs, and adds its own.
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

/// Extracts and summarises the text files of a folder, with the status of each tracked in DynamoDB.
#[derive(Parser)]
#[command(name = "document_pipeline", version)]
struct Arguments {
    /// The folder; `target` and what begins with a dot are left out [default: this repository]
    folder: Option<PathBuf>,
    /// How many documents are worked on at a time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    workers: u16,
    /// Keep the embedded database in a file, so that a second run does no finished work again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["endpoint_url", "aws"])]
    db: Option<PathBuf>,
    /// Use the DynamoDB at this address, such as DynamoDB Local at `http://127.0.0.1:8000`
    #[arg(long, value_name = "URL", conflicts_with = "aws", value_parser = endpoint)]
    endpoint_url: Option<String>,
    /// Use DynamoDB on AWS, with the usual environment (needs `--features aws`)
    #[arg(long)]
    aws: bool,
}

fn endpoint(url: &str) -> Result<String, &'static str> {
    let rest = url.strip_prefix("http://").ok_or("it has to begin with http://")?;
    let host = rest.split('/').next().unwrap_or_default();
    match host.rsplit_once(':') {
        _ if host.is_empty() => Err("it names no host"),
        Some((_, port)) if port.parse::<u16>().is_err() => Err("its port is not a number"),
        _ => Ok(url.to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and version are printed as they are, a mistake in one line.
        Err(asked) if !asked.use_stderr() => asked.exit(),
        Err(mistake) => {
            let text = mistake.to_string();
            let lines: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
            eprintln!("{} (try --help)", lines.join(" "));
            return ExitCode::from(2);
        }
    };
    match run(&arguments).await {
        Ok(code) => code,
        Err(error) => {
            let first: &(dyn StdError + 'static) = error.as_ref();
            let chain = std::iter::successors(Some(first), |&error| error.source());
            let chain: Vec<_> = chain.map(ToString::to_string).collect();
            eprintln!("error: {}", chain.join(": "));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<ExitCode, AnyError> {
    let folder = arguments.folder.as_deref().unwrap_or(Path::new(env!("CARGO_MANIFEST_DIR")));
    let found = text_files(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let client = client(arguments).await?;
    let style =
        ProgressStyle::with_template("{msg:9} {bar:40} {pos}/{len} documents, {per_sec}, {eta} left")?;
    let progress = ProgressBar::new(found.len() as u64).with_style(style);
    let bar = progress.clone();
    // A worker waits for a DynamoDB that does not answer, and tells.
    let slowed_down = move |event: &Event<'_>| {
        if let (EventKind::SlowedDown, Some(error)) = (event.kind, event.error) {
            bar.suspend(|| eprintln!("waiting: {error}"));
        }
    };
    let extract = Extract::tracker_builder(&client).observer(slowed_down).build()?;
    let summarise = Summarise::tracker_builder(&client).like(&extract).build()?;
    extract.create_table().await?;

    println!("{} documents in {}", found.len(), folder.display());
    let stop = CancellationToken::new();
    tokio::spawn(on_ctrl_c(stop.clone(), progress.clone()));

    let new: Vec<_> = found.iter().map(|path| Extract { path: path.clone(), ..Extract::default() }).collect();
    // Those of an earlier run are left as they are, and go on from there.
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

    // A body that fails is tried again, up to `max_retry`. On Ctrl-C both end early.
    let worker = extract.worker().concurrency(arguments.workers.into()).drain().shutdown(stop.clone());
    show(&progress, "Extract", worker.progress());
    worker
        .run(async |task| {
            let text = tokio::fs::read(task.task_id()).await?;
            count(task.data_mut(), str::from_utf8(&text)?);
            Ok(())
        })
        .await?;
    let worker = summarise.worker().concurrency(arguments.workers.into()).drain().shutdown(stop.clone());
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
        println!("{done_before} documents were done by an earlier run, and were not worked on again");
    }
    let left = report(&extract, &found, arguments.workers).await?;
    let (held, left): (Vec<_>, Vec<_>) = left.into_iter().partition(TaskHead::is_locked);
    for head in &held {
        let until = head.lock_time() + extract.config().lock_expire + extract.config().max_clock_skew;
        println!("held by another run: {}: try again after {until}", head.task_id());
    }
    for (path, error) in &failed {
        println!("not finished: {path}: {error}");
    }
    if stop.is_cancelled() {
        let not_reached = left.len() + found.len() - created.len();
        println!("stopped: {not_reached} documents were not reached; run it again to go on");
        return Ok(ExitCode::from(130));
    }
    for head in &left {
        println!("not finished: {}: it is {}", head.task_id(), head.status_name());
    }
    let all_ended = held.is_empty() && left.is_empty() && failed.is_empty();
    Ok(if all_ended { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Ctrl-C: no further document is begun, and those that were are finished.
async fn on_ctrl_c(stop: CancellationToken, progress: ProgressBar) {
    if tokio::signal::ctrl_c().await.is_ok() {
        progress.suspend(|| {
            println!("stopping: documents that were begun are finished (again Ctrl-C: at once)");
        });
        stop.cancel();
        let _ = tokio::signal::ctrl_c().await;
        std::process::exit(130);
    }
}

/// Shows how many documents a step has done.
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

/// The text files below a folder, sorted: those without a NUL in their first kilobytes, as git tells them. One that
/// cannot be opened is a document that will fail.
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
                    Err(error) => eprintln!("left out: {}: {error}", path.display()),
                }
            } else if kind.is_file() && is_text(&path).unwrap_or(true) {
                match path.into_os_string().into_string() {
                    Ok(path) => found.push(path),
                    Err(odd) => eprintln!("left out, as its name is not UTF-8: {}", odd.display()),
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

/// Prints the documents per step and status, as they are stored, and the last error of each that was given up. Those that
/// have not ended are returned.
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
        // What the second step has was finished by the first; what the first finished waits for the second.
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
        println!("ignored after {} attempts: {}: {last}", head.retry(), head.task_id());
    }
    Ok(heads.into_iter().flatten().filter(|head| !has_ended(head)).collect())
}

fn row<S: Copy + Eq + std::hash::Hash>(step: &str, statuses: &[S], tasks: &HashMap<S, usize>) {
    let [pending, in_progress, failed, succeeded, ignored] =
        [0, 1, 2, 3, 4].map(|nth| statuses.get(nth).and_then(|status| tasks.get(status)).unwrap_or(&0));
    println!("{step:<10} {pending:>8} {in_progress:>12} {failed:>7} {succeeded:>10} {ignored:>8}");
}

async fn client(arguments: &Arguments) -> Result<Client, AnyError> {
    if let Some(url) = &arguments.endpoint_url {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .endpoint_url(url)
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        return Ok(Client::from_conf(config.build()));
    }
    if arguments.aws {
        return on_aws().await;
    }
    Ok(match &arguments.db {
        Some(file) => embedded::in_file(file).map_err(|error| error.to_string())?,
        None => embedded::in_memory()?,
    })
}

#[cfg(feature = "aws")]
async fn on_aws() -> Result<Client, AnyError> {
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
    let https = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(https.build_https());
    Ok(Client::new(&config.load().await))
}

#[cfg(not(feature = "aws"))]
async fn on_aws() -> Result<Client, AnyError> {
    Err("--aws needs the feature `aws`: cargo run --example document_pipeline --features aws -- --aws".into())
}
