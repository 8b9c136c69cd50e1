//! The commands that change: redrive, run-now, cancel, delete, pause, resume.

use chrono::{TimeDelta, Utc};
use serde_json::json;

use crate::database::ExtractStatus::{Ignored, Pending, Succeeded};
use crate::database::{Document, on_each_database};

#[test]
fn ids_of_ls_are_redriven_through_a_pipe() {
    on_each_database(|database| {
        database.create_ignored(5);
        let ids = database.run(&["ls", "ignored", "--error", "timed out", "-o", "ids"]).with_code(0);
        let redriven = database.run_with(&["redrive", "-", "--reason", "the network is back"], &ids.stdout);
        let redriven = redriven.with_code(0);
        assert_eq!(redriven.json_lines().len(), 5);
        assert_eq!(redriven.json_lines()[0]["outcome"], "done");
        assert!(redriven.stderr.contains("5 done, 0 skipped, 0 failed"), "{redriven:#?}");
        let task = database.run(&["get", "doc-000", "-o", "json"]).json();
        assert_eq!(
            (&task["status"], &task["history"][1]["reason"]),
            (&json!("Pending"), &json!("the network is back"))
        );
        database.run_with(&["redrive", "-"], &ids.stdout).with_code(4);
    });
}

#[test]
fn many_are_changed_only_if_somebody_agrees() {
    on_each_database(|database| {
        database.create_ignored(5);
        let filter = ["redrive", "--status", "ignored", "--error", "timed out"];
        let asked = database.run(&filter).with_code(2);
        assert!(asked.stderr.contains("of 5 tasks of `extract`"), "{asked:#?}");
        assert!(asked.stderr.contains("--yes"), "{asked:#?}");
        let dry = database.run(&[&filter[..], &["--dry-run"]].concat()).with_code(0);
        assert!(dry.stderr.contains("5 would be done"), "{dry:#?}");
        assert_eq!(database.status_of("doc-000"), Some(Ignored));
        let some =
            database.run(&[&filter[..], &["--yes", "--limit", "2", "-o", "ids"]].concat()).with_code(0);
        assert_eq!(some.lines().len(), 2);
        database.run(&["redrive", "--all", "--yes"]).with_code(0);
        assert_eq!(database.status_of("doc-004"), Some(Pending));
        database.run(&["redrive", "--all", "--yes"]).with_code(3);
    });
}

#[test]
fn one_task_is_changed_by_its_id() {
    on_each_database(|database| {
        database.create_ignored(1);
        database.run(&["redrive", "doc-000"]).with_code(0);
        let again = database.run(&["redrive", "doc-000"]).with_code(4);
        assert!(again.stderr.contains("waiting for a worker already"), "{again:#?}");
        database.run(&["cancel", "doc-000"]).with_code(0);
        assert_eq!(database.status_of("doc-000"), Some(Ignored));
        database.run(&["delete", "doc-000"]).with_code(0);
        assert_eq!(database.status_of("doc-000"), None);
        let gone = database.run(&["delete", "doc-000"]).with_code(3);
        assert!(gone.stderr.contains("there is no such task"), "{gone:#?}");
    });
}

#[test]
fn task_that_waits_is_made_due() {
    on_each_database(|database| {
        database.create(|documents| async move {
            documents.create_at(Document::new("doc-1"), Utc::now() + TimeDelta::hours(1)).await.unwrap();
        });
        database.run(&["run-now", "doc-1"]).with_code(0);
        let task = database.run(&["get", "doc-1", "-o", "json"]).json();
        assert_eq!(
            (&task["run_at"], &task["history"][0]["error"]),
            (&json!(null), &json!("made due by hand"))
        );
        database.run(&["run-now", "doc-1"]).with_code(4);
    });
}

#[test]
fn some_of_many_that_fail_are_told_apart() {
    on_each_database(|database| {
        database.create_ignored(2);
        let long = "x".repeat(3000);
        let input = format!("doc-000\n{long}\n");
        let some = database.run_with(&["redrive", "-"], &input).with_code(5);
        assert!(some.stderr.contains("1 done, 0 skipped, 1 failed"), "{some:#?}");
        assert_eq!(database.status_of("doc-000"), Some(Pending));
    });
}

#[test]
fn id_that_does_not_exist_is_told_apart() {
    on_each_database(|database| {
        database.create_ignored(1);
        let none = database.run(&["redrive", "nope", "nobody"]).with_code(3);
        assert!(none.stderr.contains("0 done, 2 skipped"), "{none:#?}");
        let lines = none.json_lines();
        let of_nope = lines.iter().find(|line| line["task_id"] == "nope").unwrap();
        assert_eq!(of_nope["error"], "task `nope`: there is no such task; check the id and the use case");
        database.run(&["redrive", "doc-000", "doc-000", "nope"]).with_code(5);
        let refused = database.run(&["redrive", "doc-000", "nope"]).with_code(5);
        assert!(refused.stderr.contains("0 done, 2 skipped"), "{refused:#?}");
        assert_eq!(database.status_of("doc-000"), Some(Pending));
        database.run(&["get", "doc-000", "nope"]).with_code(5);
        database.run(&["get", "nope"]).with_code(3);
    });
}

#[test]
fn held_task_is_judged_by_a_dry_run_and_asked_to_end() {
    on_each_database(|database| {
        database.create(|documents| async move {
            documents.create(Document::new("doc-1")).await.unwrap();
            // The process that holds the task is gone.
            std::mem::forget(documents.start("doc-1").await.unwrap());
        });
        for arguments in [&["release", "doc-1"][..], &["release", "--all"]] {
            let dry = database.run(&[arguments, &["--dry-run"]].concat()).with_code(4);
            let is_all = arguments.contains(&"--all");
            let said = if is_all { "0 would be done, 1 skipped" } else { "held by worker-1 until" };
            assert!(dry.stderr.contains(said), "{dry:#?}");
        }
        let held = database.run(&["redrive", "doc-1"]).with_code(4);
        assert!(held.stderr.contains("ask the attempt to end: `tracker cancel`"), "{held:#?}");
        let stuck = database.run(&["stuck"]).with_code(3);
        assert!(stuck.stderr.contains("1 in progress, and a lease of them ends in "), "{stuck:#?}");
        let dry = database.run(&["cancel", "doc-1", "--dry-run"]).with_code(0);
        assert!(dry.stderr.contains("1 would be asked to end"), "{dry:#?}");
        assert_eq!(database.run(&["get", "doc-1", "-o", "json"]).json()["cancel_requested"], false);
        let asked = database.run(&["cancel", "doc-1", "--reason", "wrong file"]).with_code(0);
        assert!(asked.stderr.contains("0 done, 1 asked to end"), "{asked:#?}");
        let task = database.run(&["get", "doc-1", "-o", "json"]).json();
        assert_eq!([&task["cancel_requested"], &task["cancel_reason"]], [&json!(true), &json!("wrong file")]);
        assert!(task["cancel_requested_by"].as_str().unwrap().starts_with("alice@"), "{task}");
    });
}

#[test]
fn text_that_errors_prints_is_a_filter() {
    on_each_database(|database| {
        database.create_ignored(3);
        let groups = database.run(&["errors"]).with_code(0).json_lines();
        assert_eq!(groups[0]["error"], "{id} timed out after # s");
        let text = groups[0]["error"].as_str().unwrap();
        let dry =
            database.run(&["redrive", "--status", "ignored", "--error", text, "--dry-run"]).with_code(0);
        assert!(dry.stderr.contains("3 would be done"), "{dry:#?}");
        for nothing in ["# minutes", "…", "{", ""] {
            database.run(&["ls", "--error", nothing]).with_code(3);
        }
        database.run(&["redrive", "--error", text, "--yes", "-n", "2"]).with_code(0);
        assert_eq!(
            [0, 1, 2].map(|nth| database.status_of(&format!("doc-{nth:03}"))),
            [Some(Pending), Some(Pending), Some(Ignored)]
        );
    });
}

#[test]
fn paused_step_is_seen_by_status_and_by_a_worker() {
    on_each_database(|database| {
        database.create(|documents| async move { documents.create(Document::new("doc-1")).await.unwrap() });
        let paused = database.run(&["pause", "--for", "30m", "--reason", "the disk is full"]).with_code(0);
        assert_eq!(paused.json_lines()[0]["step"], "Document");
        let status = database.run(&["status", "-o", "table"]).with_code(0);
        assert!(status.stdout.contains("Document is paused for"), "{status:#?}");
        assert!(status.stdout.contains(": the disk is full"), "{status:#?}");
        let drain = || {
            database.with(|client| async move {
                let documents = database.builder(&client).build().unwrap();
                documents.worker().drain().run_local(async |_| Ok(())).await.unwrap()
            })
        };
        assert_eq!((drain().attempts(), database.status_of("doc-1")), (0, Some(Pending)));
        database.run(&["resume", "document"]).with_code(0);
        assert_eq!((drain().succeeded, database.status_of("doc-1")), (1, Some(Succeeded)));
        database.run(&["resume"]).with_code(3).said("Document is not paused");
        database.run(&["pause", "Nope", "--for", "1m"]).with_code(2).said("no step `Nope`");
        database.run(&["pause", "--until", "1h"]).with_code(2).said("would have ended already");
    });
}
