//! The commands about the table: doctor, describe, export, completions; and options of all commands.

use std::fs;

use serde_json::json;
use tracker_core::{Description, StatusTracker};

use crate::database::{Document, on_each_database};

#[test]
fn doctor_finds_nothing_in_a_healthy_table() {
    on_each_database(|database| {
        database.create_ignored(3);
        let findings = database.run(&["doctor"]).with_code(0).json_lines();
        assert!(findings.iter().all(|finding| finding["severity"] == "ok"), "{findings:#?}");
        assert!(findings.iter().any(|finding| finding["check"] == "permission UpdateItem"));
    });
}

#[test]
fn description_goes_through_a_file() {
    on_each_database(|database| {
        database.create_ignored(1);
        let described = database.run(&["describe"]).with_code(0);
        let description: Description = serde_json::from_str(&described.stdout).unwrap();
        assert_eq!(description.hash(), Document::describe().hash());
        assert!(described.stderr.contains("the same as in the table"), "{described:#?}");
        let file = database.folder.path().join("extract.json");
        fs::write(&file, &described.stdout).unwrap();
        let file = file.to_str().unwrap();
        let asked = database.run(&["--describe", file, "describe", "--publish"]).with_code(2);
        assert!(asked.stderr.contains("store the description of `extract` (Document)"), "{asked:#?}");
        database.run(&["--describe", file, "describe", "--publish", "--yes"]).with_code(0);
        database.run(&["describe", "--publish"]).with_code(2).said("nothing to publish");

        let permuted = described.stdout.replace("\"code\": 14", "\"code\": 15");
        fs::write(file, permuted).unwrap();
        database.run(&["--describe", file, "redrive", "doc-000"]).with_code(4).said("nothing may be written");
        let shown = database.run(&["--describe", file, "ls", "-o", "ids"]).with_code(0);
        assert!(shown.stderr.contains("what is shown may be wrong: "), "{shown:#?}");
        database
            .run(&["--describe", file, "describe", "--publish"])
            .with_code(4)
            .said("nothing may be written");
        fs::write(file, "{}").unwrap();
        database.run(&["--describe", file, "ls"]).with_code(2).said("is no description");
    });
}

#[test]
fn export_prints_all_tasks() {
    on_each_database(|database| {
        database.create_ignored(130);
        let exported = database.run(&["export"]).with_code(0);
        let tasks = exported.json_lines();
        assert_eq!(tasks.len(), 130);
        assert!(tasks.iter().all(|task| task["data"] == json!({ "pages": 3 }) && task["v"] == 1));
        assert_eq!(
            database.run(&["export", "ignored", "--prefix", "doc-12"]).with_code(0).json_lines().len(),
            10
        );
        database.run(&["export", "pending"]).with_code(3);
    });
}

#[test]
fn units_are_told() {
    on_each_database(|database| {
        database.create_ignored(3);
        let listed = database.run(&["ls", "--units"]).with_code(0);
        assert!(listed.stderr.contains(" read units, 0.0 write units, "), "{listed:#?}");
        let read: f64 = listed.stderr.split(' ').next().unwrap().parse().unwrap();
        assert!((1.0..20.0).contains(&read), "{listed:#?}");
        let redriven = database.run(&["redrive", "doc-000", "--units"]).with_code(0);
        // The item, and its rows of the index: one is deleted, and one is put.
        assert!(redriven.stderr.contains(" 3.0 write units"), "{redriven:#?}");
    });
}

#[test]
fn reader_that_has_enough_ends_the_command() {
    on_each_database(|database| {
        database.create_ignored(200);
        let mut command = database.command(&["export"]);
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "a closed pipe is no error");
    });
}

#[test]
fn completions_and_help_need_no_table() {
    for (arguments, part) in [
        (&["completions", "bash"][..], "_tracker"),
        (&["--help"], "Exit codes: 0 done"),
        (&["redrive", "--help"], "--per-second"),
        (&["--version"], "tracker 0.1.0"),
    ] {
        let output = std::process::Command::new(assert_cmd::cargo::cargo_bin!("tracker"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains(part), "{arguments:?}");
    }
}
