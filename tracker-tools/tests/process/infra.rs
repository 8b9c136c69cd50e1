//! `infra`: the table and the permissions as text.

use crate::database::on_each_database;

#[test]
fn infra_prints_the_table_that_is_described() {
    on_each_database(|database| {
        database.create_ignored(1);
        let text = database.run(&["infra", "cloudformation"]).with_code(0).stdout;
        for line in [
            format!("TableName: \"{}\"", database.table),
            "IndexName: \"status_and_update_time-index\"".to_owned(),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert!(!text.contains("TimeToLive"), "the declaration retains its tasks for ever: {text}");
        let cli = database.run(&["infra", "cli-json"]).with_code(0).json();
        assert_eq!(cli["TableName"], database.table);
        database.run(&["infra", "terraform"]).with_code(0);
        database.run(&["infra", "cdk"]).with_code(0);
    });
}

/// Neither a description of a file nor a role needs a database.
#[test]
fn infra_needs_no_table_if_it_has_a_description() {
    on_each_database(|database| {
        database.create_ignored(1);
        let described = database.run(&["describe", "-o", "json"]).with_code(0).stdout;
        let file = database.folder.path().join("extract.json");
        std::fs::write(&file, described).unwrap();
        let file = file.to_str().unwrap();
        // Also the description itself can be printed before there is a table.
        let printed = database.run_alone(&[
            "--describe",
            file,
            "-t",
            "tasks",
            "--endpoint-url",
            "http://127.0.0.1:1",
            "describe",
        ]);
        let printed = printed.with_code(0);
        assert!(printed.stderr.contains("it was not compared with that of the table"), "{printed:#?}");
        assert!(printed.stdout.contains("\"use_case_id\": \"extract\""), "{printed:#?}");
        let none =
            database.run_alone(&["-t", "tasks", "--endpoint-url", "http://127.0.0.1:1", "infra", "cdk"]);
        assert!(none.stderr.contains("give one with --describe"), "{none:#?}");
        let elsewhere = ["--describe", file, "--endpoint-url", "http://127.0.0.1:1"];
        let infra = |more: &[&str]| database.run_alone(&[&elsewhere[..], more].concat());
        let text = infra(&["-t", "tasks", "infra", "terraform"]).with_code(0).stdout;
        assert!(text.contains("name                        = \"tasks\""), "{text}");
        infra(&["infra", "terraform"]).with_code(2).said("no declaration names the table: use --table");
        infra(&["-t", "a b", "infra", "cdk"]).with_code(2).said("cannot be the name of a table");
        let policy = infra(&["-t", "tasks", "--region", "eu-west-1", "infra", "iam", "--for", "producer"]);
        let policy = policy.with_code(0).json();
        assert_eq!(policy["Statement"][0]["Resource"], "arn:aws:dynamodb:eu-west-1:*:table/tasks");
        assert_eq!(policy["Statement"][0]["Action"].as_array().unwrap().len(), 2);
        infra(&["-t", "tasks", "infra", "iam"])
            .with_code(2)
            .said("name the role with --for: producer, worker");
        infra(&["infra", "iam", "--for", "reader"])
            .with_code(2)
            .said("no table is named: use --table or --arn");
    });
}
