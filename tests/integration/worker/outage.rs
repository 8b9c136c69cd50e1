//! Outages: of DynamoDB when a worker begins, of its credentials, and of what the bodies depend on.

use std::collections::BTreeSet;
use std::time::Duration;

use tracker_core::aws_sdk_dynamodb::types::AttributeValue;
use tracker_core::{Backoff, Clock, ErrorKind, Failure, StatusTracker};
use tracker_test_macros::database_test;

use super::{counts, create_documents, stored_counts};
use crate::support::ExtractStatus::{Ignored, Pending, Succeeded};
use crate::support::Fault::{Deny, DropRequest, Throttle};
use crate::support::{Document, World, number};

/// Runs a drain over tasks whose dependency is down for 20 s. Returns how many were ignored.
async fn ignored_in_an_outage(world: &World, backoff: Option<Backoff>) -> u32 {
    const TASKS: u32 = 30;
    let mut builder = Document::tracker_builder(&world.client)
        .table(&world.table)
        .layout(world.layout.clone())
        .heartbeat(false);
    builder = builder.clock(world.clock.clone());
    if let Some(backoff) = backoff {
        builder = builder.backoff(backoff);
    }
    let documents = create_documents(builder, TASKS).await;
    let back_at = world.clock.now().monotonic + Duration::from_secs(20);
    let clock = world.clock.clone();
    let summary = documents
        .worker()
        .drain()
        .until_all_ended()
        // The control counts exactly. An update that waits for others advances this clock, and shortens the outage.
        .batching(backoff.is_none())
        .run_local(async |_| {
            clock.sleep(Duration::from_millis(200)).await;
            if clock.now().monotonic < back_at { Err(Failure::retry("the service is down")) } else { Ok(()) }
        })
        .await
        .unwrap();
    let ignored = u32::try_from(summary.ignored).unwrap();
    let stored = stored_counts(world, TASKS).await;
    let ended = [(Succeeded, TASKS - ignored), (Ignored, ignored)];
    let expected = counts(ended).into_iter().filter(|(_, tasks)| *tasks > 0).collect();
    assert_eq!(stored, expected, "{summary}");
    ignored
}

#[database_test]
async fn outage_of_20_seconds_loses_nothing_with_the_default_backoff(world: World) {
    assert_eq!(ignored_in_an_outage(&world, None).await, 0);
}

/// The control: at once repeated, three attempts are over before the service is back.
#[database_test]
async fn outage_of_20_seconds_loses_tasks_without_a_backoff(world: World) {
    assert_eq!(ignored_in_an_outage(&world, Some(Backoff::None)).await, 30);
}

#[database_test]
async fn drain_until_all_ended_waits_for_due_times_and_for_other_holders(world: World) {
    let documents = create_documents(world.builder(), 2).await;
    // Later than the end of the other holder's lease, and than the 10 minutes for which a worker puts off a task at most.
    let due = world.clock.now().wall + Duration::from_mins(11);
    documents.create_at(Document::new("doc-2"), due).await.unwrap();
    std::mem::forget(world.rival().start("doc-1").await.unwrap());
    let summary = documents.worker().drain().until_all_ended().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 3, "{summary}");
    assert!(world.clock.now().wall >= due);
    assert_eq!(stored_counts(&world, 3).await, counts([(Succeeded, 3)]));
    let item = world.stored().await;
    assert_eq!(item["retry"], number(0), "the takeover succeeded");
}

#[database_test]
async fn drain_alone_leaves_tasks_that_are_not_due(world: World) {
    let documents = create_documents(world.builder(), 2).await;
    documents.create_at(Document::new("doc-2"), world.in_one_hour()).await.unwrap();
    let summary = documents.worker().drain().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 2, "{summary}");
    assert_eq!(stored_counts(&world, 3).await, counts([(Pending, 1), (Succeeded, 2)]));
}

#[database_test]
async fn worker_that_begins_in_an_outage_waits(world: World) {
    let documents = create_documents(world.builder(), 3).await;
    let faults = [DropRequest; 20].into_iter().chain([Throttle; 20]).chain([DropRequest; 3]);
    world.network.next("DescribeTable", faults);
    world.network.next("Query", [DropRequest; 10]);
    let summary = documents.worker().drain().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, world.network.faults_left()), (3, 0), "{summary}");
    assert_eq!(stored_counts(&world, 3).await, counts([(Succeeded, 3)]));
}

#[database_test]
async fn worker_on_a_wrong_table_ends_at_once(world: World) {
    let documents = world.builder::<Document>().table("there-is-none").build().unwrap();
    let error = documents.worker().run_local(async |_| Ok(())).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TableNotFound { .. }), "{error}");
}

#[database_test]
async fn credentials_that_are_refused_for_a_while_do_not_end_a_worker(world: World) {
    let documents = create_documents(world.builder(), 3).await;
    world.network.next("Query", [Deny; 7]);
    world.network.next("UpdateItem", [Deny; 7]);
    let summary = documents.worker().concurrency(1).drain().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, world.network.faults_left()), (3, 0), "{summary}");
    assert_eq!(stored_counts(&world, 3).await, counts([(Succeeded, 3)]));
}

#[database_test]
async fn credentials_that_stay_refused_end_a_worker(world: World) {
    let documents = create_documents(world.builder(), 3).await;
    world.network.next("UpdateItem", [Deny; 8]);
    let error = documents.worker().concurrency(1).run_local(async |_| Ok(())).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Service { code: Some("AccessDeniedException".to_owned()) });
    assert_eq!(world.network.faults_left(), 0);
    assert_eq!(stored_counts(&world, 3).await, counts([(Pending, 3)]));
}

#[database_test]
async fn success_is_not_lost_to_refused_credentials(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 7;
    world.network.next("UpdateItem", [Deny; 5]);
    execution.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["data"].as_m().unwrap()["pages"]), (&number(16), &number(7)));
}

/// Puts tasks whose data cannot be read into a document.
async fn put_undecodable(world: &World, tasks: usize) {
    let documents = world.create_document().await;
    let template = world.stored().await;
    documents.delete("doc-1").await.unwrap();
    for nth in 0..tasks {
        let id = format!("bad-{nth}");
        let mut item = template.clone();
        item.insert("key".to_owned(), AttributeValue::S(format!("extract____{id}")));
        let shard = documents.shard_id(Pending, &id).unwrap();
        let value = documents.make_value(Pending, shard).unwrap();
        item.insert("value".to_owned(), AttributeValue::S(value));
        let data = [("pages".to_owned(), AttributeValue::S("many".to_owned()))];
        item.insert("data".to_owned(), AttributeValue::M(data.into()));
        world.put_item(item).await;
    }
}

#[database_test]
async fn drain_of_undecodable_tasks_ends_with_an_error_that_names_the_attribute(world: World) {
    put_undecodable(&world, 600).await;
    let documents = world.documents();
    let error = documents.worker().drain().run_local(async |_| Ok(())).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { attribute: world.name("data.pages") });
    assert!(error.to_string().contains("Expected num"), "{error}");
    assert!(error.key().is_some_and(|key| key.starts_with("extract____bad-")), "{error}");
    // The background may still release what the end of the drain has dropped.
    let all_free = async || {
        let items = world.all_stored().await;
        items.iter().all(|item| item["lock"].as_s().unwrap() == "__not_locked__")
    };
    world.wait_until("the tasks are free", all_free).await;
    let items = world.all_stored().await;
    let keys: BTreeSet<_> = items.iter().map(|item| item["key"].as_s().unwrap().clone()).collect();
    assert_eq!(keys, (0..600).map(|nth| format!("extract____bad-{nth}")).collect());
    let mut started = 0;
    for item in items {
        assert_eq!((&item["status"], &item["retry"]), (&number(10), &number(0)), "{:?}", item["key"]);
        started += u32::from(item["attempt"] != number(0));
        assert!([number(0), number(1)].contains(&item["attempt"]), "{:?} was started again", item["key"]);
    }
    assert!((500..600).contains(&started), "{started} tasks were started");
}

/// Searches of a worker whose colleagues hold many tasks for longer than their first lease.
#[database_test(whole_batches)]
async fn search_reads_the_items_of_live_leases_once(world: World) {
    const HELD: u32 = 250;
    let documents = create_documents(world.builder(), HELD).await;
    let mut held = Vec::new();
    for nth in 0..HELD {
        held.push(documents.start(&format!("doc-{nth}")).await.unwrap());
    }
    world.clock.advance(Duration::from_secs(290));
    for execution in &mut held {
        execution.heartbeat().await.unwrap();
    }
    world.clock.advance(Duration::from_secs(30));
    let before = world.network.count("BatchGetItem");
    let stop = tracker_core::CancellationToken::new();
    let began = world.clock.now().monotonic;
    // The clock advances by the worker's own sleeps; the leases live for 270 s more.
    let worker = world.rival().worker().shutdown(stop.clone()).run_local(async |_| Ok(()));
    let watch = async {
        while world.clock.now().monotonic.saturating_sub(began) < Duration::from_mins(4) {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (summary, ()) = tokio::join!(worker, watch);
    assert_eq!(summary.unwrap().attempts(), 0);
    let read = world.network.count("BatchGetItem") - before;
    assert_eq!(read, 3, "250 items in batches of 100, once");
    for execution in held {
        execution.release().await.unwrap();
    }
}
