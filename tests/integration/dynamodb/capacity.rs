//! What each operation costs: its requests, and the capacity units of the table and of the index.
//!
//! The units are those that the database reports for `ReturnConsumedCapacity`. The embedded database and DynamoDB Local
//! agree, except for index pages without rows. Neither reports what DynamoDB charges for a failed condition.

use std::time::Duration;

use tracker_core::{CancelOutcome, ErrorKind, Failure, StatusTracker, Tracker, Unsuccessful};
use tracker_test_macros::database_test;

use crate::support::{Document, Spent, Units, World};

/// The requests since the last call, as `UpdateItem 1+2`: the units of the table and of the index. A refused request
/// has `?` instead.
fn costs(world: &World) -> Vec<String> {
    let text = |Spent { operation, units }| match units {
        Some(Units { table, index }) => format!("{operation} {table}+{index}"),
        None => format!("{operation} ?"),
    };
    world.probe.spent().into_iter().map(text).collect()
}

/// Creates `doc-1`, and measures all further requests. The clock advances between the calls of a test, because a start
/// in the same microsecond as the last write is sent twice.
async fn start_measuring(world: &World) -> Tracker<Document> {
    let documents = world.create_document().await;
    world.clock.advance(Duration::from_secs(1));
    world.probe.measure();
    documents
}

#[database_test]
async fn create_costs_one_write(world: World) {
    let documents = start_measuring(&world).await;
    documents.create(Document::new("doc-2")).await.unwrap();
    assert_eq!(costs(&world), ["PutItem 1+1"]);
    documents.create(Document::new("doc-2")).await.unwrap_err();
    assert_eq!(costs(&world), ["PutItem ?"]);
    documents.ensure(Document::new("doc-2")).await.unwrap();
    assert_eq!(costs(&world), ["PutItem ?"], "the refusal carries the existing item");
    documents.overwrite_many((0..25).map(|nth| Document::new(&format!("new-{nth}")))).await.unwrap();
    assert_eq!(costs(&world), ["BatchWriteItem 25+25"]);
}

#[database_test]
async fn start_and_each_finish_cost_one_write(world: World) {
    let documents = start_measuring(&world).await;
    // The index is written twice: the row of the old status is deleted, and a row of the new status is put.
    let one = ["UpdateItem 1+2"];
    for nth in 0..5 {
        let mut execution = documents.start("doc-1").await.unwrap();
        assert_eq!(costs(&world), one, "start {nth}");
        execution.data_mut().pages = nth;
        let ended = match nth {
            0 => execution.release().await.map(Unsuccessful::into_task),
            1 => execution.fail(Failure::snooze(Duration::from_secs(1))).await.map(Unsuccessful::into_task),
            2 => execution.fail("once").await.map(Unsuccessful::into_task),
            3 => execution.fail(Failure::fatal("no")).await.map(Unsuccessful::into_task),
            _ => execution.succeed().await,
        };
        assert_eq!(ended.unwrap().is_ignored(), nth == 3);
        assert_eq!(costs(&world), one, "finish {nth}");
        if nth == 3 {
            documents.redrive("doc-1").await.unwrap();
            world.probe.spent();
        }
        world.clock.advance(Duration::from_secs(2));
    }
    documents.create(Document::new("doc-2")).await.unwrap();
    world.probe.spent();
    documents.run("doc-2", async |_| Ok::<_, Failure>(())).await.unwrap();
    assert_eq!(
        costs(&world),
        ["UpdateItem 1+2", "UpdateItem 1+2"],
        "a run costs as much as a start and a finish"
    );
}

/// A transaction costs twice the units of the table, for each of its items. Those of the index stay the same, as on AWS; DynamoDB
/// Local doubles them, too.
#[database_test]
async fn transactions_cost_twice_the_units_of_the_table(world: World) {
    let documents = start_measuring(&world).await;
    documents.create_with(Document::new("doc-2"), [world.count("a")]).await.unwrap();
    // 2 for the task, and 2 for the counter.
    let is_local = world.endpoint.is_some();
    assert_eq!(costs(&world), [if is_local { "TransactWriteItems 4+2" } else { "TransactWriteItems 4+1" }]);
    let mut execution = documents.start("doc-2").await.unwrap();
    world.probe.spent();
    execution.on_success(world.count("a")).unwrap();
    execution.succeed().await.unwrap();
    assert_eq!(costs(&world), [if is_local { "TransactWriteItems 4+4" } else { "TransactWriteItems 4+2" }]);
}

#[database_test]
async fn save_and_heartbeat_cost_no_index_write(world: World) {
    let documents = start_measuring(&world).await;
    let mut execution = documents.start("doc-1").await.unwrap();
    world.probe.spent();
    world.clock.advance(Duration::from_secs(1));
    execution.heartbeat().await.unwrap();
    assert_eq!(costs(&world), ["UpdateItem 1+0"]);
    execution.data_mut().pages = 3;
    execution.save().await.unwrap();
    assert_eq!(costs(&world), ["UpdateItem 1+0"]);
    execution.release().await.unwrap();
}

/// DynamoDB charges a failed condition like the write, but only in the table.
#[database_test]
async fn refused_start_costs_one_request(world: World) {
    let documents = start_measuring(&world).await;
    let rival = world.rival();
    let refused = async |id: &str, what: &str| {
        let error = rival.start(id).await.unwrap_err();
        assert!(error.is_refusal(), "{what}: {error}");
        // A read decides that there is no item, because some servers do not send it with the refusal.
        let read = if what == "missing" { vec!["UpdateItem ?", "GetItem 1+0"] } else { vec!["UpdateItem ?"] };
        assert_eq!(costs(&world), read, "{what}");
    };
    refused("doc-2", "missing").await;
    let execution = documents.start("doc-1").await.unwrap();
    world.probe.spent();
    refused("doc-1", "locked").await;
    execution.fail(Failure::snooze(Duration::from_secs(10))).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.probe.spent();
    refused("doc-1", "not due").await;
    world.clock.advance(Duration::from_secs(10));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.probe.spent();
    refused("doc-1", "succeeded").await;
    documents.create(Document::new("doc-2")).await.unwrap();
    documents.cancel("doc-2").await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.probe.spent();
    refused("doc-2", "ignored").await;
}

#[database_test]
async fn takeover_costs_two_requests(world: World) {
    let documents = start_measuring(&world).await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    world.probe.spent();
    let execution = world.rival().start("doc-1").await.unwrap();
    assert_eq!(costs(&world), ["UpdateItem ?", "UpdateItem 1+2"]);
    std::mem::forget(execution);
    world.expire_lease();
    std::mem::forget(world.rival().start("doc-1").await.unwrap());
    world.expire_lease();
    world.probe.spent();
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);
    // Two entries of the history and the new one make the item larger than 1 KB.
    assert_eq!(costs(&world), ["UpdateItem ?", "UpdateItem 2+2"], "the takeover ignores the task");
}

#[database_test]
async fn redrive_and_cancel_cost_a_read_and_a_write(world: World) {
    let documents = start_measuring(&world).await;
    let cancelled = documents.cancel("doc-1").await.unwrap();
    assert!(matches!(cancelled, CancelOutcome::Ignored(_)));
    assert_eq!(costs(&world), ["GetItem 1+0", "UpdateItem 1+2"]);
    documents.cancel("doc-1").await.unwrap_err();
    assert_eq!(costs(&world), ["GetItem 1+0"], "refused");
    documents.redrive("doc-1").await.unwrap();
    assert_eq!(costs(&world), ["GetItem 1+0", "UpdateItem 1+2"]);
    documents.redrive("doc-1").await.unwrap_err();
    assert_eq!(costs(&world), ["GetItem 1+0"], "refused");
    world.clock.advance(Duration::from_secs(1));
    let execution = documents.start("doc-1").await.unwrap();
    world.probe.spent();
    let cancelled = documents.cancel("doc-1").await.unwrap();
    assert!(matches!(cancelled, CancelOutcome::Requested(_)));
    assert_eq!(costs(&world), ["GetItem 1+0", "UpdateItem 1+0"]);
    execution.release().await.unwrap();
}

#[database_test]
async fn read_costs_one_request_and_delete_two(world: World) {
    let documents = start_measuring(&world).await;
    for id in ["doc-1", "doc-2"] {
        documents.get(id).await.unwrap();
        assert_eq!(costs(&world), ["GetItem 0.5+0"]);
        documents.get(id).consistent().await.unwrap();
        assert_eq!(costs(&world), ["GetItem 1+0"]);
        documents.head(id).await.unwrap();
        assert_eq!(costs(&world), ["GetItem 0.5+0"]);
        documents.head(id).consistent().await.unwrap();
        assert_eq!(costs(&world), ["GetItem 1+0"]);
    }
    documents.delete("doc-1").await.unwrap();
    assert_eq!(costs(&world), ["GetItem 1+0", "DeleteItem 1+1"], "the task is read first, to return it");
    documents.delete("doc-1").await.unwrap();
    assert_eq!(costs(&world), ["GetItem 1+0"], "there was no task");
}

/// The first start compares the clock. It sends a read for this if the tracker has received no answer yet.
#[database_test]
async fn first_start_with_the_system_clock_costs_one_more_read(world: World) {
    let tracker = || {
        Document::tracker_builder(&world.client)
            .table(&world.table)
            .layout(world.layout.clone())
            .build()
            .unwrap()
    };
    let creator = tracker();
    for nth in 1..=3 {
        creator.create(Document::new(&format!("doc-{nth}"))).await.unwrap();
    }
    world.probe.measure();
    let worker = tracker();
    let execution = worker.start("doc-1").await.unwrap();
    assert_eq!(costs(&world), ["GetItem 0.5+0", "UpdateItem 1+2"]);
    execution.succeed().await.unwrap();
    assert_eq!(costs(&world), ["UpdateItem 1+2"]);
    let execution = worker.start("doc-2").await.unwrap();
    assert_eq!(costs(&world), ["UpdateItem 1+2"]);
    execution.succeed().await.unwrap();
    world.probe.spent();
    creator.start("doc-3").await.unwrap().succeed().await.unwrap();
    assert_eq!(costs(&world), ["UpdateItem 1+2"; 2], "the answers to its creates have told it the time");
    tracker().delete("doc-3").await.unwrap();
    assert_eq!(
        costs(&world),
        ["GetItem 1+0", "DeleteItem 1+1"],
        "the read of a first delete tells the time as well"
    );
}

/// The table costs a unit per KB of the item before or after the write, whichever is larger. The index holds no data.
#[database_test]
async fn write_costs_a_unit_per_kilobyte_of_the_larger_item(world: World) {
    let documents = start_measuring(&world).await;
    let large = |bytes: usize| Some("x".repeat(bytes));
    documents.create(Document { text_uri: large(2000), ..Document::new("doc-2") }).await.unwrap();
    assert_eq!(costs(&world), ["PutItem 3+1"]);
    let mut execution = documents.start("doc-2").await.unwrap();
    assert_eq!(costs(&world), ["UpdateItem 3+2"]);
    world.clock.advance(Duration::from_secs(1));
    execution.heartbeat().await.unwrap();
    assert_eq!(costs(&world), ["UpdateItem 3+0"]);
    execution.data_mut().text_uri = large(4000);
    execution.save().await.unwrap();
    assert_eq!(costs(&world), ["UpdateItem 5+0"]);
    execution.data_mut().text_uri = None;
    execution.succeed().await.unwrap();
    assert_eq!(costs(&world), ["UpdateItem 5+2"]);
}

#[database_test]
async fn unfinished_query_costs_a_page_of_each_shard(world: World) {
    let documents = start_measuring(&world).await;
    documents.create(Document::new("doc-2")).await.unwrap();
    std::mem::forget(documents.start("doc-2").await.unwrap());
    world.probe.spent();
    let is_page_of_index = |spent: &Spent| {
        // For a page without rows, DynamoDB Local reports nothing, and the embedded database half a unit.
        let within = |units: Units| units.table == 0.0 && units.index <= 0.5;
        spent.operation == "Query" && spent.units.is_some_and(within)
    };
    // One page of each shard: 5 pending, 5 failed, 5 in progress.
    let entries = documents.query_for_unfinished().all().await.unwrap();
    assert_eq!(entries.len(), 1);
    let spent = world.probe.spent();
    assert!(spent.len() == 15 && spent.iter().all(is_page_of_index), "{spent:?}");
    // An item is read only if its lease may have expired, because the index does not hold the lease.
    world.expire_lease();
    let entries = documents.query_for_unfinished().all().await.unwrap();
    assert_eq!(entries.len(), 2);
    let mut spent = world.probe.spent();
    let last = spent.pop().unwrap();
    assert!(spent.len() == 15 && spent.iter().all(is_page_of_index), "{spent:?}");
    let half = Units { table: 0.5, index: 0.0 };
    assert_eq!(last, Spent { operation: "BatchGetItem".to_owned(), units: Some(half) });
}

#[database_test(reads_at_once, whole_batches)]
async fn batches_cost_a_unit_per_write_and_half_a_unit_per_read(world: World) {
    let documents = start_measuring(&world).await;
    documents.overwrite_many((1..=100).map(|nth| Document::new(&format!("doc-{nth}")))).await.unwrap();
    let mut writes = costs(&world);
    writes.sort();
    // `doc-1` existed, in the index under another time: its old row is deleted, and a new row is put.
    let put = "BatchWriteItem 25+25";
    assert_eq!(writes, [put, put, put, "BatchWriteItem 25+26"]);
    let entries = documents.query_for_unfinished().all().await.unwrap();
    assert_eq!(entries.len(), 100);
    world.probe.spent();
    let tasks = documents.refresh(&entries).await.unwrap();
    assert_eq!(tasks.len(), 100);
    assert_eq!(costs(&world), ["BatchGetItem 50+0"], "half a unit for each task");
}
