//! Tables with other names and a sort key. The command line finds the layout by itself.

use tracker_core::Layout;
use tracker_core::aws_sdk_dynamodb::Client;

use crate::database::{ExtractStatus, ignore, on_each_database};

fn layouts() -> [Layout; 3] {
    let named = Layout::new().attribute_prefix("task_").name("key", "pk").name("value", "gsi1pk");
    [
        Layout::new().name("key", "pk"),
        named.clone().sort_key("sk", "TASK"),
        named.name("update_time", "gsi1sk").sort_key_of_task_id("sk"),
    ]
}

#[test]
fn every_layout_is_found_and_worked_on() {
    on_each_database(|database| {
        for (nth, layout) in layouts().into_iter().enumerate() {
            let table = format!("{}-{nth}", database.table);
            let builder = |client: &Client| database.builder(client).table(&table).layout(layout.clone());
            database.with(|client| {
                let documents = builder(&client).build().unwrap();
                async move {
                    documents.create_table().await.unwrap();
                    for id in ["a", "b"] {
                        ignore(&documents, id, "it timed out").await;
                    }
                }
            });
            let run = |arguments: &[&str]| database.run_on(&table, arguments);
            let status = run(&["status"]).with_code(0).stdout;
            assert!(status.contains("\"Ignored\"") && status.contains("\"tasks\":2"), "{layout}: {status}");
            let shown = run(&["get", "a"]).with_code(0).stdout;
            assert!(
                shown.contains("it timed out") && shown.contains("\"attributes\":{}"),
                "{layout}: {shown}"
            );
            assert_eq!(run(&["errors"]).with_code(0).json_lines().len(), 1);
            run(&["redrive", "a"]).with_code(0);
            run(&["pause", "--for", "1h"]).with_code(0);
            run(&["resume"]).with_code(0);
            let export = run(&["export"]).with_code(0).stdout;
            assert!(export.contains("\"task_id\":\"b\""), "{layout}: {export}");
            let text = run(&["infra", "terraform"]).with_code(0).stdout;
            assert!(text.contains("hash_key                    = \"pk\""), "{layout}: {text}");
            run(&["doctor"]).with_code(0);
            let stored = database.with(|client| {
                let documents = builder(&client).build().unwrap();
                async move {
                    let mut all = Vec::new();
                    for id in ["a", "b"] {
                        all.push(documents.head(id).consistent().await.unwrap().unwrap().status_in());
                    }
                    all
                }
            });
            assert_eq!(stored, [Some(ExtractStatus::Pending), Some(ExtractStatus::Ignored)], "{layout}");
        }
    });
}
