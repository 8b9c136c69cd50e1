//! Connections that die silently while they are idle. Every call goes on over new ones.

use std::time::Duration;

use futures_util::future::join_all;
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::config::retry::RetryPartition;
use tracker_core::{StatusTracker, SystemClock, Tracker, TrackerBuilder};
use tracker_test_macros::database_test;

use crate::support::ExtractStatus::Succeeded;
use crate::support::{Document, Proxy, World, heartbeat_channel, ids, local_config, number};

/// How many connections are idle when they die.
const IDLE: usize = 16;

/// Returns a proxy, and the builder of a tracker behind the proxy with the retries that the SDK has by default.
async fn behind_proxy(world: &World) -> (Proxy, TrackerBuilder<Document>) {
    let proxy = Proxy::start(world.endpoint.as_deref().expect("a database with an address")).await;
    // The other tests must not use up the tokens for retries, which the clients of a partition share.
    let partition = RetryPartition::new(proxy.endpoint.clone());
    let config = local_config(&proxy.endpoint).to_builder().retry_partition(partition);
    let client = Client::from_conf(config.build());
    let builder = Document::tracker_builder(&client)
        .table(&world.table)
        .layout(world.layout.clone())
        .owner("worker-1")
        .clock(SystemClock);
    (proxy, builder)
}

/// Opens connections by reads at the same time.
async fn open_connections(proxy: &Proxy, documents: &Tracker<Document>) {
    while proxy.connections() < IDLE {
        for read in join_all((0..IDLE).map(|_| documents.head("doc-1").into_future())).await {
            read.unwrap();
        }
    }
}

/// One request waits for a dead connection. Its next try opens a new connection, and so does every later request,
/// although 15 dead connections are left.
#[database_test(endpoint)]
async fn calls_leave_dead_connections_after_one_try(world: World) {
    let (proxy, builder) = behind_proxy(&world).await;
    let documents = builder.heartbeat(false).build().unwrap();
    open_connections(&proxy, &documents).await;
    proxy.silence_connections();
    documents.create(Document::new("doc-1")).await.unwrap();
    assert_eq!(proxy.swallowed(), 1);
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 7;
    execution.save().await.unwrap();
    execution.succeed().await.unwrap();
    assert_eq!(documents.query_by_status([Succeeded]).all().await.unwrap().len(), 1);
    documents.verify_table().await.unwrap();
    assert_eq!(proxy.swallowed(), 1, "only the first try was sent on a dead connection");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(1)));
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(7));
}

/// A start, a finish and a query recover on their own, too: each of them meets dead connections first.
#[database_test(endpoint)]
async fn every_kind_of_call_recovers(world: World) {
    let (proxy, builder) = behind_proxy(&world).await;
    let documents = builder.heartbeat(false).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    proxy.silence_connections();
    let execution = documents.start("doc-1").await.unwrap();
    assert_eq!(proxy.swallowed(), 1);
    proxy.silence_connections();
    execution.succeed().await.unwrap();
    assert_eq!(proxy.swallowed(), 2);
    proxy.silence_connections();
    assert!(documents.head("doc-1").await.unwrap().unwrap().is_succeeded());
    assert_eq!(proxy.swallowed(), 3);
    // Queries have connections of their own.
    let query = async || documents.query_by_status([Succeeded]).all().await;
    query().await.unwrap();
    proxy.silence_connections();
    assert_eq!(query().await.unwrap().len(), 1);
    assert!(proxy.swallowed() > 3, "the queries of the shards are sent at once");
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(1)));
}

/// Heartbeats have connections of their own, which die as well. Every lease is kept.
#[database_test(endpoint)]
async fn heartbeats_leave_dead_connections_before_their_leases_end(world: World) {
    let (proxy, builder) = behind_proxy(&world).await;
    let (observer, mut heartbeats) = heartbeat_channel();
    let documents = builder.lock_expire(Duration::from_secs(6)).observer(observer).build().unwrap();
    let mut held = Vec::new();
    for id in ids(4) {
        documents.create(Document::new(&id)).await.unwrap();
        held.push(documents.start(&id).await.unwrap());
    }
    let mut every_lease_is_renewed = async || {
        let mut waiting: Vec<_> = ids(4).collect();
        let renewed = async {
            while !waiting.is_empty() {
                let (id, _) = heartbeats.recv().await.unwrap();
                waiting.retain(|other| *other != id);
            }
        };
        tokio::time::timeout(Duration::from_mins(1), renewed).await.expect("heartbeats within a minute");
    };
    every_lease_is_renewed().await;
    proxy.silence_connections();
    // Events that were under way may count once.
    every_lease_is_renewed().await;
    every_lease_is_renewed().await;
    assert!(proxy.swallowed() > 0, "a heartbeat was sent on a dead connection");
    for execution in held {
        let id = execution.task_id().clone();
        execution.succeed().await.unwrap();
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(1)), "{id}");
    }
}
