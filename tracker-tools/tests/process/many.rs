//! Many tasks: a bulk redrive that is stopped or killed, and run again. Only DynamoDB Local can be shared by processes.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use futures_util::StreamExt;

use crate::database::{Database, Document, on_dynamodb_local};
use tracker_core::Failure;

/// With ids this long, the results that the test has read, the 64 KiB of a pipe, and the 32 tasks that the command does at once are
/// fewer than all, so that the command is stopped before it has begun the last.
const TASKS: usize = 220;
const ID_LENGTH: usize = 1000;
/// How many results the test reads before it stops the command.
const FIRST: usize = 40;

/// Creates many ignored tasks.
fn create(database: &Database) {
    database.create(|documents| async move {
        let new: Vec<_> = (0..TASKS).map(|nth| Document::new(format!("doc-{nth:0ID_LENGTH$}"))).collect();
        let created = documents.create_many(new).collect::<Vec<_>>().await;
        assert_eq!(created.len(), TASKS);
        let worker = documents.worker().concurrency(32).drain();
        let summary = worker.run(async |_| Err(Failure::fatal("timed out"))).await.unwrap();
        assert_eq!(summary.ignored, TASKS as u64, "{summary}");
    });
}

/// Counts how often each task was redriven by hand, and asserts that all are pending.
fn assert_each_redriven_once(database: &Database) {
    let exported = database.run(&["export"]).with_code(0);
    let tasks = exported.json_lines();
    assert_eq!(tasks.len(), TASKS, "nothing is lost");
    for task in tasks {
        let history = task["history"].as_array().unwrap();
        let redriven = history.iter().filter(|entry| entry["error"] == "redriven by hand").count();
        assert_eq!((&task["status"], redriven), (&serde_json::json!("Pending"), 1), "{task}");
    }
}

const REDRIVE: [&str; 6] = ["redrive", "--status", "ignored", "--error", "timed out", "--yes"];

#[test]
fn redrive_that_is_killed_is_finished_by_a_second_run() {
    let Some(database) = on_dynamodb_local() else { return };
    create(&database);
    let mut child = database.command(&REDRIVE).stdout(Stdio::piped()).spawn().unwrap();
    let results = BufReader::new(child.stdout.take().unwrap()).lines().take(FIRST);
    assert_eq!(results.count(), FIRST);
    child.kill().unwrap();
    child.wait().unwrap();
    // The code says that some were left.
    database.run(&REDRIVE).with_code(0);
    assert_each_redriven_once(&database);
}

#[cfg(unix)]
#[test]
fn redrive_that_is_interrupted_ends_after_what_was_begun() {
    let Some(database) = on_dynamodb_local() else { return };
    create(&database);
    let mut command = database.command(&REDRIVE);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut results = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = results.by_ref().take(FIRST).count();
    let interrupt =
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let all = first + results.count();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    let is_cut = said.contains("stopped before the end");
    assert_eq!(ended.status.code(), Some(if is_cut { 130 } else { 0 }), "{said}");
    assert!(said.contains("stopping after what was begun"), "{said}");
    assert!(said.contains(&format!("{all} done, 0 skipped, 0 failed")), "{said}");
    if all < TASKS {
        assert!(is_cut, "{said}");
        database.run(&REDRIVE).with_code(0);
    }
    assert_each_redriven_once(&database);
}
