//! What each operation costs: its requests, and the capacity units of the table and of the index.
//!
//! As the database reports them for `ReturnConsumedCapacity`. The embedded database and DynamoDB Local agree on all that
//! is here but for pages of the index without rows; what DynamoDB charges for a failed condition, neither reports.

use std::time::Duration;

use tracker_core::{CancelOutcome, ErrorKind, Failure, StatusTracker, Tracker};

use crate::support::{Document, Spent, Units, World};

crate::tests![
    create,
    start_and_each_finish,
    save_and_heartbeat,
    refused_starts,
    takeover,
    redrive_and_cancel,
    reads_and_deletes,
    the_first_start_by_a_real_clock,
    larger_items,
    query_for_unfinished,
    many_tasks,
];

/// The requests since it was last asked, as `UpdateItem 1+2`: the units of the table and of the index. `?` is for
/// those that were refused.
fn spent(world: &World) -> Vec<String> {
    let text = |Spent { operation, units }| match units {
        Some(Units { table, index }) => format!("{operation} {table}+{index}"),
        None => format!("{operation} ?"),
    };
    world.probe.spent().into_iter().map(text).collect()
}

/// `doc-1`, created before anything is measured. Each call is in a moment of its own, as a start within the microsecond of
/// the last write is sent twice.
async fn measured(world: &World) -> Tracker<Document> {
    let documents = world.document().await;
    world.clock.advance(Duration::from_secs(1));
    world.probe.measure();
    documents
}

async fn create(world: World) {
    let documents = measured(&world).await;
    documents.create(Document::new("doc-2")).await.unwrap();
    assert_eq!(spent(&world), ["PutItem 1+1"]);
    documents.create(Document::new("doc-2")).await.unwrap_err();
    assert_eq!(spent(&world), ["PutItem ?"]);
    documents.ensure(Document::new("doc-2")).await.unwrap();
    assert_eq!(spent(&world), ["PutItem ?"], "what is there comes with the refusal");
    documents.overwrite_many((0..25).map(|nth| Document::new(&format!("new-{nth}")))).await.unwrap();
    assert_eq!(spent(&world), ["BatchWriteItem 25+25"]);
}

async fn start_and_each_finish(world: World) {
    let documents = measured(&world).await;
    // Two of the index: the row of the old status is deleted, and that of the new one is put.
    let one = ["UpdateItem 1+2"];
    for nth in 0..5 {
        let mut execution = documents.start("doc-1").await.unwrap();
        assert_eq!(spent(&world), one, "start {nth}");
        execution.data_mut().pages = nth;
        let ended = match nth {
            0 => execution.release().await,
            1 => execution.fail(Failure::snooze(Duration::from_secs(1))).await,
            2 => execution.fail("once").await,
            3 => execution.fail(Failure::fatal("no")).await,
            _ => execution.succeed().await,
        };
        assert_eq!(ended.unwrap().is_ignored(), nth == 3);
        assert_eq!(spent(&world), one, "finish {nth}");
        if nth == 3 {
            documents.redrive("doc-1").await.unwrap();
            world.probe.spent();
        }
        world.clock.advance(Duration::from_secs(2));
    }
    documents.create(Document::new("doc-2")).await.unwrap();
    world.probe.spent();
    documents.run("doc-2", async |_| Ok::<_, Failure>(())).await.unwrap();
    assert_eq!(spent(&world), ["UpdateItem 1+2", "UpdateItem 1+2"], "a run is no more than both");
}

async fn save_and_heartbeat(world: World) {
    let documents = measured(&world).await;
    let mut execution = documents.start("doc-1").await.unwrap();
    world.probe.spent();
    world.clock.advance(Duration::from_secs(1));
    execution.heartbeat().await.unwrap();
    assert_eq!(spent(&world), ["UpdateItem 1+0"]);
    execution.data_mut().pages = 3;
    execution.save().await.unwrap();
    assert_eq!(spent(&world), ["UpdateItem 1+0"]);
    execution.release().await.unwrap();
}

/// DynamoDB charges for a failed condition as for the write, in the table alone.
async fn refused_starts(world: World) {
    let documents = measured(&world).await;
    let rival = world.rival();
    let refused = async |id: &str, what: &str| {
        let error = rival.start(id).await.unwrap_err();
        assert!(error.is_refusal(), "{what}: {error}");
        assert_eq!(spent(&world), ["UpdateItem ?"], "{what}");
    };
    refused("doc-2", "not there").await;
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

async fn takeover(world: World) {
    let documents = measured(&world).await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    world.probe.spent();
    let execution = world.rival().start("doc-1").await.unwrap();
    assert_eq!(spent(&world), ["UpdateItem ?", "UpdateItem 1+2"]);
    std::mem::forget(execution);
    world.expire_lease();
    std::mem::forget(world.rival().start("doc-1").await.unwrap());
    world.expire_lease();
    world.probe.spent();
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);
    assert_eq!(spent(&world), ["UpdateItem ?", "UpdateItem 1+2"], "given up instead");
}

async fn redrive_and_cancel(world: World) {
    let documents = measured(&world).await;
    let cancelled = documents.cancel("doc-1").await.unwrap();
    assert!(matches!(cancelled, CancelOutcome::Ignored(_)));
    assert_eq!(spent(&world), ["GetItem 1+0", "UpdateItem 1+2"]);
    documents.cancel("doc-1").await.unwrap_err();
    assert_eq!(spent(&world), ["GetItem 1+0"], "refused");
    documents.redrive("doc-1").await.unwrap();
    assert_eq!(spent(&world), ["GetItem 1+0", "UpdateItem 1+2"]);
    documents.redrive("doc-1").await.unwrap_err();
    assert_eq!(spent(&world), ["GetItem 1+0"], "refused");
    world.clock.advance(Duration::from_secs(1));
    let execution = documents.start("doc-1").await.unwrap();
    world.probe.spent();
    let cancelled = documents.cancel("doc-1").await.unwrap();
    assert!(matches!(cancelled, CancelOutcome::Requested(_)));
    assert_eq!(spent(&world), ["GetItem 1+0", "UpdateItem 1+0"]);
    execution.release().await.unwrap();
}

async fn reads_and_deletes(world: World) {
    let documents = measured(&world).await;
    for id in ["doc-1", "doc-2"] {
        documents.get(id).await.unwrap();
        assert_eq!(spent(&world), ["GetItem 0.5+0"]);
        documents.get(id).consistent().await.unwrap();
        assert_eq!(spent(&world), ["GetItem 1+0"]);
        documents.head(id).await.unwrap();
        assert_eq!(spent(&world), ["GetItem 0.5+0"]);
        documents.head(id).consistent().await.unwrap();
        assert_eq!(spent(&world), ["GetItem 1+0"]);
    }
    documents.delete("doc-1").await.unwrap();
    assert_eq!(spent(&world), ["DeleteItem 1+1"]);
    documents.delete("doc-1").await.unwrap();
    assert_eq!(spent(&world), ["DeleteItem 1+0"], "there was none");
}

/// It compares the clock first, by a read where this tracker has heard nothing from the service yet.
async fn the_first_start_by_a_real_clock(world: World) {
    let tracker = || Document::tracker_builder(&world.client).table(&world.table).build().unwrap();
    let creator = tracker();
    for nth in 1..=3 {
        creator.create(Document::new(&format!("doc-{nth}"))).await.unwrap();
    }
    world.probe.measure();
    let worker = tracker();
    let execution = worker.start("doc-1").await.unwrap();
    assert_eq!(spent(&world), ["GetItem 0.5+0", "UpdateItem 1+2"]);
    execution.succeed().await.unwrap();
    assert_eq!(spent(&world), ["UpdateItem 1+2"]);
    let execution = worker.start("doc-2").await.unwrap();
    assert_eq!(spent(&world), ["UpdateItem 1+2"]);
    execution.succeed().await.unwrap();
    world.probe.spent();
    creator.start("doc-3").await.unwrap().succeed().await.unwrap();
    assert_eq!(spent(&world), ["UpdateItem 1+2"; 2], "its creations have told it");
    tracker().delete("doc-3").await.unwrap();
    assert_eq!(spent(&world), ["GetItem 0.5+0", "DeleteItem 1+1"], "so do a first delete and a first cancel");
}

/// A unit for each KB of the table, for the larger of before and after; the index has none of the data.
async fn larger_items(world: World) {
    let documents = measured(&world).await;
    let large = |bytes: usize| Some("x".repeat(bytes));
    documents.create(Document { text_uri: large(2000), ..Document::new("doc-2") }).await.unwrap();
    assert_eq!(spent(&world), ["PutItem 3+1"]);
    let mut execution = documents.start("doc-2").await.unwrap();
    assert_eq!(spent(&world), ["UpdateItem 3+2"]);
    world.clock.advance(Duration::from_secs(1));
    execution.heartbeat().await.unwrap();
    assert_eq!(spent(&world), ["UpdateItem 3+0"]);
    execution.data_mut().text_uri = large(4000);
    execution.save().await.unwrap();
    assert_eq!(spent(&world), ["UpdateItem 5+0"]);
    execution.data_mut().text_uri = None;
    execution.succeed().await.unwrap();
    assert_eq!(spent(&world), ["UpdateItem 5+2"]);
}

async fn query_for_unfinished(world: World) {
    let documents = measured(&world).await;
    documents.create(Document::new("doc-2")).await.unwrap();
    std::mem::forget(documents.start("doc-2").await.unwrap());
    world.probe.spent();
    let is_page_of_index = |spent: &Spent| {
        // DynamoDB Local reports nothing for a page without rows, for which the embedded database has half a unit.
        let within = |units: Units| units.table == 0.0 && units.index <= 0.5;
        spent.operation == "Query" && spent.units.is_some_and(within)
    };
    // A page of each shard: 5 of pending, 5 of failed, 5 of in progress.
    let entries = documents.query_for_unfinished().all().await.unwrap();
    assert_eq!(entries.len(), 1);
    let spent = world.probe.spent();
    assert!(spent.len() == 15 && spent.iter().all(is_page_of_index), "{spent:?}");
    // An item is read only where the lease may have expired, which the index does not tell.
    world.expire_lease();
    let entries = documents.query_for_unfinished().all().await.unwrap();
    assert_eq!(entries.len(), 2);
    let mut spent = world.probe.spent();
    let last = spent.pop().unwrap();
    assert!(spent.len() == 15 && spent.iter().all(is_page_of_index), "{spent:?}");
    let half = Units { table: 0.5, index: 0.0 };
    assert_eq!(last, Spent { operation: "BatchGetItem".to_owned(), units: Some(half) });
}

async fn many_tasks(world: World) {
    let documents = measured(&world).await;
    documents.overwrite_many((1..=100).map(|nth| Document::new(&format!("doc-{nth}")))).await.unwrap();
    let mut writes = spent(&world);
    writes.sort();
    // `doc-1` was there, in the index under another time: one row is deleted, and one is put.
    let put = "BatchWriteItem 25+25";
    assert_eq!(writes, [put, put, put, "BatchWriteItem 25+26"]);
    let entries = documents.query_for_unfinished().all().await.unwrap();
    assert_eq!(entries.len(), 100);
    world.probe.spent();
    let tasks = documents.refresh(&entries).await.unwrap();
    assert_eq!(tasks.len(), 100);
    assert_eq!(spent(&world), ["BatchGetItem 50+0"], "half a unit for each");
}
