//! Bad input: one clear line, the right code, and nothing written.

use tracker_core::StatusTracker;

use crate::database::ExtractStatus::Ignored;
use crate::database::{Document, Ended, on_each_database};

#[test]
fn bad_arguments_are_usage_errors() {
    on_each_database(|database| {
        database.create_ignored(1);
        for (arguments, said) in [
            (&["ls", "nope"][..], "there is no status `nope`; there are Pending, InProgress"),
            (&["ls", "--step", "Nope"], "no step `Nope`; it has Document"),
            (&["ls", "--after", "nonsense"], "cursor"),
            (&["get", ""], "empty"),
            (&["redrive"], "name ids, a filter such as --status ignored, or --all"),
            (&["redrive", "doc-000", "--all"], "name ids, or a filter, and not both"),
            (&["redrive", "--status", "succeeded", "--yes"], "`Succeeded`, succeeded"),
            (&["redrive", "doc-000", "--per-second", "0"], "above 0"),
            (&["redrive", "-", "doc-000"], "not both"),
            (&["redrive", "doc-000", "--step", "Document"], "--step works with a filter"),
        ] {
            let ended = database.run(arguments).with_code(2);
            assert!(ended.stderr.contains(said), "{ended:#?}");
            assert_eq!(ended.stdout, "", "{ended:#?}");
        }
        for arguments in
            [&["frobnicate"][..], &["ls", "--since", "yesterday"], &["pause"], &["status", "-o", "xml"]]
        {
            database.run(arguments).with_code(2);
        }
        let check = database.run(&["check", "--max", "ignored"]).with_code(3);
        assert!(check.stderr.contains("ignored=0"), "{check:#?}");
        assert!(check.stdout.starts_with("UNKNOWN - "), "{check:#?}");
        for (command, form) in
            [("status", "ids"), ("doctor", "ids"), ("export", "table"), ("describe", "jsonl")]
        {
            database
                .run(&[command, "-o", form])
                .with_code(2)
                .said(&format!("{command} has no output `{form}`"));
        }
        let wrong = database.run(&["ls", "check", "--bogus"]).with_code(2);
        assert_eq!(wrong.stdout, "");
        database.run_with(&["redrive", "-"], "").with_code(3).said("no ids on standard input");
        assert_eq!(database.status_of("doc-000"), Some(Ignored));
    });
}

#[test]
fn table_or_description_that_is_missing_is_one_line() {
    on_each_database(|database| {
        database.create_ignored(1);
        let mut wrong = database.command(&["status"]);
        wrong.env("TRACKER_TABLE", "no-such-table");
        let arguments: Vec<_> = wrong.get_args().map(ToOwned::to_owned).collect();
        let at = arguments.iter().position(|argument| argument == "--table").unwrap();
        let mut without = std::process::Command::new(wrong.get_program());
        without.args(&arguments[..at]).args(&arguments[at + 2..]);
        without.env_remove("TRACKER_TABLE");
        Ended::of(&mut without).with_code(2).said("no table is named");
        without.env("TRACKER_TABLE", "no-such-table");
        Ended::of(&mut without).with_code(1).said("no-such-table");

        database
            .run(&["--use-case", "nope", "status"])
            .with_code(2)
            .said("keeps no description of the use case `nope`");
        database.run(&["--use-case", "nope", "describe"]).with_code(3).said("keeps no description of `nope`");
        database.with(|client| async move {
            let other = Document::tracker_builder(&client).table(&database.table).use_case_id("other");
            other.build().unwrap().verify_table().await.unwrap();
        });
        database.run(&["status"]).with_code(2).said("describes several; name one: extract, other");
        database.run(&["-u", "extract", "status"]).with_code(0);
    });
}

#[test]
fn read_only_refuses_every_write() {
    on_each_database(|database| {
        database.create_ignored(1);
        for arguments in [
            &["redrive", "doc-000"][..],
            &["delete", "--all", "--yes"],
            &["cancel", "doc-000"],
            &["pause", "--for", "1m"],
            &["resume"],
        ] {
            let refused = database.run(&[&["--read-only"], arguments].concat()).with_code(4);
            refused.said("the operator is read-only");
        }
        database.run(&["--read-only", "get", "doc-000"]).with_code(0);
        assert_eq!(database.status_of("doc-000"), Some(Ignored));
    });
}

#[test]
fn file_that_is_not_there_is_not_created() {
    on_each_database(|database| {
        let file = database.folder.path().join("mistyped.db");
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("tracker"));
        command.args(["--table", "documents", "status", "--embedded"]).arg(&file);
        Ended::of(&mut command).with_code(1).said("there is no file");
        assert!(!file.exists());

        let folder = database.folder.path();
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("tracker"));
        command.args(["--table", "documents", "status", "--embedded"]).arg(folder);
        Ended::of(&mut command).with_code(1).said("is not a file");
    });
}
