//! How an operator is opened: by which description, and whether it may write.

use tracker_core::{Description, ErrorKind, StatusTracker};
use tracker_test_macros::database_test;

use super::{builder, create_ignored, operator};
use crate::description::deploys;
use crate::support::{Document, Summary, World, ids, number, text};

const KEY: &str = "__tracker______extract";

deploys! {
    // Other numbers of shards.
    wider: 10 14 16 18, shards 50;
    // A code belongs to another status.
    permuted: 10 18 16 14, shards 5;
}

/// Returns how many shards a stored description writes and reads for a status.
fn shards(description: &Description, code: u32) -> (u32, u32) {
    let status = description.steps["Document"].statuses.iter().find(|status| status.code == code);
    status.map(|status| (status.shards, status.most_shards)).expect("a status")
}

#[database_test]
async fn description_is_what_the_table_keeps(world: World) {
    let stored = world.stored_under(KEY).await.unwrap();
    let stored: Description = serde_json::from_str(stored["description"].as_s().unwrap()).unwrap();
    let operator = builder(&world).open().await.unwrap();
    assert_eq!(operator.stored_description(), Some(&stored));
    assert_eq!(stored.hash(), world.describe::<Document>().hash());
    assert_eq!((stored.v, &*stored.use_case_id, &*stored.sep), (1, "extract", "____"));
    let step = &stored.steps["Document"];
    assert_eq!((step.max_retry, &*step.task_id), (3, "id"));
    let fields: Vec<_> = step.fields.iter().map(|field| (&*field.name, field.attribute)).collect();
    assert_eq!(fields, [("customer", true), ("pages", false), ("text_uri", false)]);
    assert!(operator.why_read_only().is_empty());
}

#[database_test]
async fn later_step_describes_the_steps_before_it(world: World) {
    let summaries = Summary::describe();
    assert_eq!(summaries.steps["Summary"].after.as_deref(), Some("Document"));
    assert_eq!(summaries.steps["Document"], Document::describe().steps["Document"]);
    world.summaries().verify_table().await.unwrap();
    let operator = builder(&world).open().await.unwrap();
    let steps: Vec<_> = operator.description().unwrap().steps.keys().collect();
    assert_eq!(steps, ["Document", "Summary"]);
}

#[database_test]
async fn only_use_case_of_a_table_needs_no_name(world: World) {
    let open = || tracker_core::Operator::builder(&world.client).table(&world.table).open();
    assert_eq!(open().await.unwrap().use_case_id(), "extract");
    let other = world.builder::<Document>().use_case_id("other");
    other.build().unwrap().verify_table().await.unwrap();
    let error = open().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotDescribed { .. }), "{error}");
    assert!(error.to_string().contains("name one: extract, other"), "{error}");
}

#[database_test]
async fn without_a_description_tasks_are_read_and_not_written(world: World) {
    create_ignored(&world, ids(1)).await;
    world.client.delete_item().table_name(&world.table).set_key(Some(world.key(KEY))).send().await.unwrap();
    let operator = builder(&world).open().await.unwrap();
    let task = operator.get("doc-000").await.unwrap().unwrap();
    assert_eq!((task.status_code, &*task.status, task.role), (18, "18", None));
    assert_eq!(task.history.len(), 1);
    let before = world.stored_under("extract____doc-000").await;
    let error = operator.redrive("doc-000").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotDescribed { .. }), "{error}");
    assert_eq!(world.stored_under("extract____doc-000").await, before);
}

#[database_test(reads_at_once)]
async fn without_a_description_in_the_table_tasks_are_written_to_one_shard(world: World) {
    create_ignored(&world, ids(20)).await;
    world.client.delete_item().table_name(&world.table).set_key(Some(world.key(KEY))).send().await.unwrap();
    let operator = builder(&world).description(wider::Document::describe()).open().await.unwrap();
    let all = tracker_core::TaskFilter::new().status("ignored");
    assert_eq!(operator.redrive(all).await.unwrap().done, 20);
    for id in ids(20) {
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert_eq!(item["value"], text("extract____010____001"), "every program reads the first shard");
    }
}

#[database_test(reads_at_once)]
async fn tasks_are_written_to_shards_that_every_program_reads(world: World) {
    create_ignored(&world, ids(40)).await;
    world.builder::<wider::Document>().build().unwrap().verify_table().await.unwrap();
    let operator = builder(&world).open().await.unwrap();
    assert_eq!(shards(operator.stored_description().unwrap(), 10), (5, 50));
    let all = tracker_core::TaskFilter::new().status("ignored");
    assert_eq!(operator.redrive(all).await.unwrap().done, 40);
    let ready = world.documents().query_for_unfinished().all().await.unwrap();
    assert_eq!(ready.len(), 40, "the older program sees every task");

    operator.publish(&world.describe::<wider::Document>()).await.unwrap();
    let operator = builder(&world).open().await.unwrap();
    assert_eq!(shards(operator.stored_description().unwrap(), 10), (50, 50));
}

#[database_test]
async fn other_codes_than_those_of_the_table_may_not_write(world: World) {
    create_ignored(&world, ids(1)).await;
    let operator = builder(&world).description(permuted::Document::describe()).open().await.unwrap();
    let before = world.stored_under("extract____doc-000").await.unwrap();
    assert_eq!(before["status"], number(18));
    for error in [
        operator.redrive("doc-000").await.unwrap_err(),
        operator.pause("Document", world.in_one_hour()).await.unwrap_err(),
        operator.publish(&world.describe::<permuted::Document>()).await.unwrap_err(),
    ] {
        assert!(matches!(error.kind(), ErrorKind::ReadOnly { .. }), "{error}");
        assert!(error.to_string().contains("code 18 was `ExtractStatus::Ignored`, ignored"), "{error}");
        assert!(error.to_string().contains("use the description of the table"), "{error}");
    }
    assert_eq!(world.stored_under("extract____doc-000").await.unwrap(), before);
}

#[database_test]
async fn read_only_operator_writes_nothing(world: World) {
    create_ignored(&world, ids(1)).await;
    let operator = builder(&world).read_only().open().await.unwrap();
    let before = world.stored_under("extract____doc-000").await;
    for action in ["redrive", "delete"] {
        let acted = match action {
            "redrive" => operator.redrive("doc-000").await,
            _ => operator.delete("doc-000").await,
        };
        assert!(matches!(acted.unwrap_err().kind(), ErrorKind::ReadOnly { .. }), "{action}");
    }
    assert_eq!(world.stored_under("extract____doc-000").await, before);
    assert_eq!(operator.redrive("doc-000").dry_run(true).await.unwrap().done, 1);
    assert_eq!(world.stored_under("extract____doc-000").await, before);
}

#[database_test]
async fn descriptions_that_no_program_could_declare_are_refused(world: World) {
    for (part, with, why) in [
        ("\"v\":1", "\"v\":2", "version 2"),
        ("\"code\":12", "\"code\":10", "two statuses have the code 10"),
        ("\"role\":\"ignored\"", "\"role\":\"pending\"", "no status is ignored"),
        ("\"shards\":5", "\"shards\":0", "shards"),
        ("\"code_pad\":3", "\"code_pad\":0", "digits"),
        ("\"sep\":\"____\"", "\"sep\":\"\"", "separator"),
        ("\"sep\":\"____\"", "\"sep\":\"_1_\"", "has digits"),
        ("\"max_retry\":3", "\"max_retry\":0", "max_retry"),
    ] {
        let text = serde_json::to_string(&Document::describe()).unwrap();
        assert!(text.contains(part), "{text}");
        let odd: Description = serde_json::from_str(&text.replacen(part, with, 1)).unwrap();
        let error = builder(&world).description(odd).open().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidConfig { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    let mut circle = Document::describe();
    circle.steps.get_mut("Document").unwrap().after = Some("Document".to_owned());
    let error = builder(&world).description(circle).open().await.unwrap_err();
    assert!(error.to_string().contains("comes after itself"), "{error}");
}

#[database_test]
async fn table_that_does_not_exist_is_an_error(world: World) {
    let error = builder(&world).table("no-such-table").open().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TableNotFound { .. }), "{error}");
    let error = operator(&world).await.list(&tracker_core::TaskFilter::new().step("Nope"), 1, None).await;
    assert!(error.unwrap_err().to_string().contains("no step `Nope`; it has Document"));
}
