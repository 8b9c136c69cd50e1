//! The description of the statuses that the table keeps, and deploys that change codes.

use tracker_core::{ErrorKind, StatusTracker, Tracker};
use tracker_test_macros::database_test;

use crate::support::Fault::Deny;
use crate::support::{Document, ExtractStatus, World, number, text};

const KEY: &str = "__tracker______extract";

macro_rules! deploys {
    ($($module:ident: $pending:literal $failed:literal $succeeded:literal $ignored:literal, shards $shards:literal;)*) => {
        $(
            /// A later version of the enum `ExtractStatus`.
            mod $module {
                use tracker_core::{StatusTracker, TrackerStatus};

                #[derive(TrackerStatus, Clone, Copy)]
                pub enum ExtractStatus {
                    #[status(pending, shards = $shards)]
                    Pending = $pending,
                    #[status(in_progress, shards = 5)]
                    InProgress = 12,
                    #[status(failed, shards = 5)]
                    Failed = $failed,
                    #[status(succeeded, shards = 10)]
                    Succeeded = $succeeded,
                    #[status(ignored, shards = 5)]
                    Ignored = $ignored,
                }

                #[derive(StatusTracker)]
                #[tracker(use_case_id = "extract", status = ExtractStatus)]
                pub struct Document {
                    #[tracker(task_id)]
                    pub id: String,
                }
            }
        )*
    };
}

pub(crate) use deploys;

deploys! {
    permuted: 10 16 14 18, shards 5;
    renumbered: 11 14 16 18, shards 5;
    wider: 10 14 16 18, shards 9;
    narrower: 10 14 16 18, shards 2;
}

/// A later version of `Document`, with another separator.
mod separated {
    use super::{ExtractStatus, StatusTracker};

    #[derive(StatusTracker)]
    #[tracker(use_case_id = "extract", sep = "##", status = ExtractStatus)]
    pub struct Document {
        #[tracker(task_id)]
        pub id: String,
    }
}

fn tracker<T: StatusTracker>(world: &World) -> Tracker<T> {
    world.builder().build().unwrap()
}

async fn mismatch<T: StatusTracker>(documents: &Tracker<T>) -> String {
    let error = documents.verify_table().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TableMismatch { .. }), "{error}");
    let worker = documents.worker().drain().run_local(async |_| Ok(())).await.unwrap_err();
    assert_eq!(worker.to_string(), error.to_string());
    error.to_string()
}

#[database_test]
async fn permuted_codes_are_refused_before_a_succeeded_task_runs_again(world: World) {
    let documents = world.create_document().await;
    documents.run("doc-1", async |_| Ok(())).await.unwrap();
    let before = world.stored().await;
    let text = mismatch(&tracker::<permuted::Document>(&world)).await;
    for part in
        ["code 14 was `ExtractStatus::Failed`, failed", "is `ExtractStatus::Succeeded`, succeeded, now", KEY]
    {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(world.stored().await, before);
}

#[database_test]
async fn renumbered_codes_are_refused(world: World) {
    let text = mismatch(&tracker::<renumbered::Document>(&world)).await;
    assert!(
        text.contains(
            "`ExtractStatus::Pending`, pending, had the code 10, and `Pending` has the code 11 now"
        ),
        "{text}"
    );
}

#[database_test]
async fn another_separator_is_refused(world: World) {
    let described = world.stored_under(KEY).await.unwrap();
    let error = mismatch(&tracker::<separated::Document>(&world)).await;
    assert!(error.contains("the separator was `____`, and is `##` now"), "{error}");
    assert!(error.contains(KEY), "{error}");
    assert_eq!(world.stored_under(KEY).await.unwrap(), described);

    world.client.delete_item().table_name(&world.table).set_key(Some(world.key(KEY))).send().await.unwrap();
    for _ in 0..2 {
        tracker::<separated::Document>(&world).verify_table().await.unwrap();
    }
    let described = world.stored_under(KEY).await.unwrap();
    assert!(described["description"].as_s().unwrap().contains(r###""sep":"##""###), "{described:?}");
    let error = mismatch(&tracker::<Document>(&world)).await;
    assert!(error.contains("the separator was `##`, and is `____` now"), "{error}");
}

/// A later version may describe what this version does not know. It must not be overwritten, and is no reason to stop.
#[database_test]
async fn description_that_cannot_be_read_stays(world: World) {
    let mut item = world.stored_under(KEY).await.unwrap();
    item.insert("description".to_owned(), text("{\"steps\":1}"));
    world
        .client
        .put_item()
        .table_name(&world.table)
        .set_item(Some(world.to_table(item.clone())))
        .send()
        .await
        .unwrap();
    world.documents().verify_table().await.unwrap();
    tracker::<permuted::Document>(&world).verify_table().await.unwrap();
    assert_eq!(world.stored_under(KEY).await.unwrap(), item);
}

#[database_test]
async fn more_shards_are_taken_over_and_fewer_are_no_error(world: World) {
    let described = async || world.stored_under(KEY).await.unwrap();
    let first = described().await;
    assert_eq!(first["revision"], number(1));
    tracker::<wider::Document>(&world).verify_table().await.unwrap();
    let wider = described().await;
    assert_eq!(wider["revision"], number(2));
    let shards = |item: &crate::support::Item, least: u32, most: u32| {
        let text = format!("\"shards\":{least},\"most_shards\":{most}");
        item["description"].as_s().unwrap().contains(&text)
    };
    assert!(shards(&wider, 5, 9), "{wider:?}");
    tracker::<narrower::Document>(&world).verify_table().await.unwrap();
    assert!(shards(&described().await, 2, 9), "the most shards stay, and an operator writes to the least");
    tracker::<Document>(&world).verify_table().await.unwrap();
    assert!(shards(&described().await, 2, 9), "{wider:?}");

    // After a rollback, a program that only runs workers says so, too.
    let operator = tracker_core::Operator::builder(&world.client).table(&world.table).open().await.unwrap();
    operator.publish(&world.describe::<wider::Document>()).await.unwrap();
    assert!(shards(&described().await, 9, 9));
    tracker::<narrower::Document>(&world).worker().drain().run_local(async |_| Ok(())).await.unwrap();
    assert!(shards(&described().await, 2, 9));
    let read = world.builder::<narrower::Document>().read_shards(9).build().unwrap();
    operator.publish(&world.describe::<wider::Document>()).await.unwrap();
    read.worker().drain().run_local(async |_| Ok(())).await.unwrap();
    assert!(shards(&described().await, 9, 9), "it reads them all");
}

#[database_test(reads_at_once)]
async fn description_is_no_task(world: World) {
    let documents = world.create_document().await;
    let item = world.stored_under(KEY).await.unwrap();
    assert!(!item.contains_key("value") && !item.contains_key("update_time"));
    assert_eq!(documents.count_tasks_by_use_case_id().await.unwrap(), 1);
    assert_eq!(documents.query_for_unfinished().all().await.unwrap().len(), 1);
    documents.delete_tasks_by_use_case_id().await.unwrap();
    assert_eq!(world.stored_under("extract____doc-1").await, None);
    assert_eq!(world.stored_under(KEY).await, Some(item));
    let error = world.builder::<Document>().use_case_id("__tracker__x").build().unwrap_err();
    assert!(error.to_string().contains("reserved"), "{error}");
    // With the separator, its keys begin like that of a description.
    let error = world.builder::<Document>().use_case_id("__tracker").build().unwrap_err();
    assert!(error.to_string().contains("reserved"), "{error}");
}

#[database_test]
async fn without_permission_the_table_can_be_used(world: World) {
    world.client.delete_item().table_name(&world.table).set_key(Some(world.key(KEY))).send().await.unwrap();
    let documents = world.documents();
    world.network.next("GetItem", [Deny]);
    documents.verify_table().await.unwrap();
    world.network.next("PutItem", [Deny]);
    documents.verify_table().await.unwrap();
    assert_eq!(world.stored_under(KEY).await, None);
    world.network.next("GetItem", [Deny]);
    documents.worker().drain().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!(world.stored_under(KEY).await, None, "what cannot be read is not written");
    documents.verify_table().await.unwrap();
    assert!(world.stored_under(KEY).await.is_some());
}

/// Each worker adds its own step, whichever begins first.
#[database_test]
async fn workers_of_two_steps_describe_both(world: World) {
    for first in [true, false] {
        world
            .client
            .delete_item()
            .table_name(&world.table)
            .set_key(Some(world.key(KEY)))
            .send()
            .await
            .unwrap();
        let documents =
            async || world.documents().worker().drain().run_local(async |_| Ok(())).await.unwrap();
        let summaries =
            async || world.summaries().worker().drain().run_local(async |_| Ok(())).await.unwrap();
        if first {
            documents().await;
            summaries().await;
        } else {
            summaries().await;
            documents().await;
        }
        let operator =
            tracker_core::Operator::builder(&world.client).table(&world.table).open().await.unwrap();
        let steps: Vec<_> = operator.description().unwrap().steps.keys().cloned().collect();
        assert_eq!(steps, ["Document", "Summary"]);
    }
}

/// Of a table that a template has made, workers may be the only programs. The command line needs the description.
#[database_test]
async fn worker_describes_a_table_without_a_description(world: World) {
    world.client.delete_item().table_name(&world.table).set_key(Some(world.key(KEY))).send().await.unwrap();
    let documents = world.documents();
    documents.worker().drain().run_local(async |_| Ok(())).await.unwrap();
    let described = world.stored_under(KEY).await.unwrap();
    assert_eq!(described["revision"], number(1));
    let operator = tracker_core::Operator::builder(&world.client).table(&world.table).open().await.unwrap();
    assert_eq!(operator.use_case_id(), "extract");
    documents.worker().drain().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!(world.stored_under(KEY).await.unwrap(), described);
}

#[database_test]
async fn description_can_be_switched_off(world: World) {
    let codes = world.builder::<permuted::Document>().description(false).build().unwrap();
    codes.verify_table().await.unwrap();
    let _ = ExtractStatus::Pending;
}

/// Two deploys at the same time, each with another step of the use case: both steps are in the one item, whoever was first.
#[database_test]
async fn two_deploys_at_the_same_time_are_both_described(world: World) {
    for round in 0..10 {
        let delete = world.client.delete_item().table_name(&world.table).set_key(Some(world.key(KEY)));
        delete.send().await.unwrap();
        let (documents, summaries) = (world.documents(), world.summaries());
        let deploys = (0..8).map(|nth| {
            let (documents, summaries) = (documents.clone(), summaries.clone());
            tokio::spawn(async move {
                if nth % 2 == 0 { documents.verify_table().await } else { summaries.verify_table().await }
            })
        });
        for deployed in deploys.collect::<Vec<_>>() {
            deployed.await.unwrap().unwrap();
        }
        let stored = format!("{:?}", world.stored_under(KEY).await.unwrap());
        for step in ["Document", "Summary"] {
            assert!(stored.contains(step), "round {round}: {step} in {stored}");
        }
        // A later permuted deploy of either step is still refused.
        mismatch(&tracker::<permuted::Document>(&world)).await;
    }
}
