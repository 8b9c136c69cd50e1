//! The commands that look: status, ls, get, errors, stuck, watch, wait, check.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tracker_core::testing::ManualClock;

use crate::database::{Document, ignore, on_each_database, until};

/// Replaces the values that differ from run to run, and returns the text.
fn without_times(mut value: Value) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let is_time = name.ends_with("_time")
                        || ["oldest", "first", "last", "seconds"].contains(&name.as_str());
                    if is_time && !value.is_null() {
                        *value = json!("..");
                    } else {
                        walk(value);
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(walk),
            _ => {}
        }
    }
    walk(&mut value);
    value
}

#[test]
fn status_counts_each_status() {
    on_each_database(|database| {
        database.create_ignored(3);
        let status = database.run(&["status", "-o", "json"]).with_code(0).json();
        assert_eq!(status["v"], 1);
        assert_eq!((&status["use_case_id"], &status["table"]), (&json!("extract"), &json!(database.table)));
        assert_eq!(
            without_times(status["counts"][4].clone()),
            json!({"step": "Document", "status": "Ignored", "role": "ignored", "tasks": 3, "is_exact": true, "oldest": ".."})
        );
        assert_eq!(status["rates"][1]["tasks"], 3);
        let lines = database.run(&["status"]).with_code(0).json_lines();
        assert_eq!(lines.len(), 1, "a snapshot in a line");
        assert_eq!(lines[0]["counts"].as_array().unwrap().len(), 5);
        assert_eq!(lines[0]["pauses"], json!([]));
        let table = database.run(&["status", "-o", "table"]).with_code(0);
        assert!(table.lines()[0].starts_with("STEP"), "{table:#?}");
        assert!(!table.stdout.contains('\u{1b}'), "no colour without a terminal: {table:#?}");
        let watched = database.run(&["watch", "--times", "2", "--every", "1ms"]).with_code(0);
        assert_eq!(watched.json_lines().len(), 2);
    });
}

#[test]
fn ls_prints_stable_json_ids_and_tables() {
    on_each_database(|database| {
        database.create_ignored(3);
        let lines = database.run(&["ls", "ignored", "--error", "timed out"]).with_code(0).json_lines();
        assert_eq!(
            without_times(lines[0].clone()),
            json!({
                "v": 1, "task_id": "doc-000", "step": "Document", "status": "Ignored", "role": "ignored",
                "update_time": "..", "create_time": "..", "error": "doc-000 timed out after 0 s",
                "failed_attempts": 1, "owner": "worker-1",
            })
        );
        let ids = database.run(&["ls", "-o", "ids", "--newest"]).with_code(0);
        assert_eq!(ids.lines(), ["doc-002", "doc-001", "doc-000"]);
        assert_eq!(
            database.run(&["ls", "--since", "1h", "--all", "-o", "ids"]).with_code(0).lines().len(),
            3
        );
        database.run(&["ls", "--since", "1h", "--until", "30m"]).with_code(3).said("no task matches");
        let page = database.run(&["ls", "-n", "2", "-o", "json"]).with_code(0).json();
        assert_eq!(page["tasks"].as_array().unwrap().len(), 2);
        let next = page["next"].as_str().unwrap();
        let rest = database.run(&["ls", "-n", "2", "-o", "ids", "--after", next]).with_code(0);
        assert_eq!(rest.lines(), ["doc-002"]);
        let table = database.run(&["ls", "-o", "table", "--errors", "--prefix", "doc-001"]).with_code(0);
        assert_eq!(table.lines().len(), 2);
        assert!(table.lines()[1].contains("doc-001 timed out after 1 s"), "{table:#?}");
    });
}

#[test]
fn text_of_users_cannot_change_the_terminal() {
    on_each_database(|database| {
        database.create(|documents| async move {
            ignore(&documents, "a\u{1b}[31m\n\u{202e}b", "red \u{1b}[31m\nalert").await;
        });
        for command in [&["ls", "-o", "table", "--errors"][..], &["errors", "-o", "table"]] {
            let shown = database.run(command).with_code(0);
            assert!(!shown.stdout.contains(['\u{1b}', '\u{202e}']), "{shown:#?}");
            assert_eq!(shown.lines().len(), 2, "{shown:#?}");
            assert!(shown.stdout.contains("a\\u{1b}[31m\\n\\u{202e}b"), "{shown:#?}");
        }
        let ids = database.run(&["ls", "-o", "ids"]).with_code(1);
        ids.said("has control characters: use -o jsonl");
        let shown = database.run(&["get", "a\u{1b}[31m\n\u{202e}b", "-o", "table"]).with_code(0);
        assert!(!shown.stdout.contains(['\u{1b}', '\u{202e}']), "{shown:#?}");
    });
}

#[test]
fn get_shows_all_that_is_stored() {
    on_each_database(|database| {
        database.create_ignored(1);
        let task = without_times(database.run(&["get", "doc-000", "-o", "json"]).with_code(0).json());
        let history = json!([{
            "nth_retry": 1, "update_time": "..", "error": "doc-000 timed out after 0 s",
            "traceback": "doc-000 timed out after 0 s", "attempt": 1, "owner": "worker-1", "seconds": "..",
        }]);
        for (name, value) in [
            ("v", json!(1)),
            ("task_id", json!("doc-000")),
            ("status", json!("Ignored")),
            ("role", json!("ignored")),
            ("attempt", json!(1)),
            ("locked", json!(false)),
            ("owner", json!("worker-1")),
            ("history", history),
            ("data", json!({ "pages": 3 })),
            ("attributes", json!({})),
        ] {
            assert_eq!(task[name], value, "{name}");
        }
        let shown = database.run(&["get", "doc-000", "-o", "table"]).with_code(0);
        assert!(shown.stdout.contains("attempt 1"), "{shown:#?}");
        let some = database.run_with(&["get", "-"], "doc-000\nnobody\n\n");
        assert_eq!((some.code, some.json_lines().len()), (Some(5), 1), "{some:#?}");
        assert!(some.stderr.contains("nobody: there is no such task"), "{some:#?}");
    });
}

#[test]
fn errors_are_grouped() {
    on_each_database(|database| {
        database.create_ignored(3);
        let groups = database.run(&["errors"]).with_code(0).json_lines();
        assert_eq!(
            groups.into_iter().map(without_times).collect::<Vec<_>>(),
            [json!({
                "v": 1, "error": "{id} timed out after # s", "tasks": 3, "ignored": 3, "first": "..", "last": "..",
                "example": "doc-002",
            })]
        );
        database.run(&["errors", "failed"]).with_code(3).said("no task matches");
    });
}

#[test]
fn stuck_tasks_are_found_and_released() {
    on_each_database(|database| {
        database.with(|client| async move {
            // The command line has the configuration of the table's description.
            let builder = || database.builder(&client).max_retry(3);
            builder().build().unwrap().create_table().await.unwrap();
            // By this clock, the lease of five minutes has ended by now.
            let long_ago = ManualClock::at(Utc::now() - TimeDelta::minutes(30));
            let worker = builder()
                .clock(long_ago)
                .max_clock_skew(Duration::from_hours(2))
                .heartbeat(false)
                .build()
                .unwrap();
            worker.create(Document::new("doc-1")).await.unwrap();
            std::mem::forget(worker.start("doc-1").await.unwrap());
        });
        assert_eq!(database.run(&["stuck", "-o", "ids"]).lines(), ["doc-1"]);
        let stuck = database.run(&["stuck", "--longer-than", "1ms"]).with_code(0).json_lines();
        assert_eq!((&stuck[0]["task_id"], &stuck[0]["lease_expired"]), (&json!("doc-1"), &json!(true)));
        database.run(&["stuck", "--longer-than", "1h"]).with_code(3).said("no task is stuck");
        let doctor = database.run(&["doctor"]).with_code(0);
        assert!(doctor.stdout.contains("have lost their worker, such as doc-1"), "{doctor:#?}");
        database.run(&["release", "doc-1"]).with_code(0);
        let task = database.run(&["get", "doc-1", "-o", "json"]).with_code(0).json();
        assert_eq!(
            (&task["status"], &task["locked"], &task["failed_attempts"]),
            (&json!("Failed"), &json!(false), &json!(1))
        );
        assert!(task["history"][0]["by"].as_str().unwrap().starts_with("alice@"), "{task}");
        database.run(&["release", "doc-1"]).with_code(4);
    });
}

#[test]
fn wait_ends_with_the_end_of_the_task() {
    on_each_database(|database| {
        database.create(|documents| async move {
            ignore(&documents, "ignored", "no").await;
            for id in ["waiting", "done"] {
                documents.create(Document::new(id)).await.unwrap();
            }
            documents.start("done").await.unwrap().succeed().await.unwrap();
        });
        let done = database.run(&["wait", "done", "--timeout", "1m"]).with_code(0).json_lines();
        assert_eq!(done[0]["status"], "Succeeded");
        database.run(&["wait", "ignored"]).with_code(6);
        database.run(&["wait", "waiting", "--timeout", "10ms"]).with_code(7).said("the time is up");
        database.run(&["wait", "nobody"]).with_code(3).said("there is no such task");
    });
}

#[test]
fn check_speaks_like_nagios() {
    on_each_database(|database| {
        database.create_ignored(3);
        for (arguments, code, said) in [
            (&["--max", "ignored=5", "--max-age", "pending=15m"][..], 0, "OK - no pending, ignored 3"),
            (&["--max", "ignored=2"], 2, "CRITICAL - ignored 3 > 2"),
            (&["--max", "ignored=0"], 2, "CRITICAL - ignored more than 0"),
            (&["--max", "ignored=9", "--warn", "ignored=2"], 1, "WARNING - ignored 3 > 2"),
            (&["--max", "nope=1"], 3, "UNKNOWN - the query cannot be run: there is no status `nope`"),
            (&[], 3, "UNKNOWN - name a limit"),
        ] {
            let checked = database.run(&[&["check"], arguments].concat()).with_code(code);
            assert!(checked.stdout.starts_with(said), "{checked:#?}");
            assert_eq!(checked.lines().len(), 1, "{checked:#?}");
        }
        until(|| database.run(&["check", "--max-age", "ignored=1ms"]).code == Some(2));
    });
}
