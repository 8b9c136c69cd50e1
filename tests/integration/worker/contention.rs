//! Many workers on the same tasks.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use tracker_core::CancellationToken;
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_test_macros::database_test;

use super::{counts, create_documents, stored_counts};
use crate::support::ExtractStatus::Succeeded;
use crate::support::{Document, World, number};

#[database_test]
async fn sixteen_workers_do_each_task_once(world: World) {
    const TASKS: u32 = 200;
    create_documents(world.builder(), TASKS).await;
    let workers = (0..16).map(|nth| {
        // Each worker has a client of its own.
        let client = Client::from_conf(world.client.config().clone());
        let own = World { client, ..world.clone() };
        let builder = own.builder::<Document>().owner(format!("worker-{nth}"));
        let documents = builder.clock(world.clock.manual()).build().unwrap();
        tokio::spawn(documents.worker().concurrency(2).seed(nth).drain().run(async |_| {
            tokio::task::yield_now().await;
            Ok(())
        }))
    });
    let mut succeeded = 0;
    for summary in world.run_while_advancing_clock(join_all(workers)).await {
        let summary = summary.unwrap().unwrap();
        succeeded += summary.succeeded;
        assert_eq!(summary.attempts(), summary.succeeded, "{summary}");
    }
    assert_eq!(succeeded, u64::from(TASKS));
    assert_eq!(stored_counts(&world, TASKS).await, counts([(Succeeded, TASKS)]));
    for nth in 0..TASKS {
        let item = world.stored_under(&format!("extract____doc-{nth}")).await.unwrap();
        assert_eq!(item["attempt"], number(1), "doc-{nth}");
    }
}

#[database_test]
async fn worker_starves_no_kind_of_task(world: World) {
    let documents = create_documents(world.builder(), 40).await;
    for nth in 0..10 {
        documents.start(&format!("doc-{nth}")).await.unwrap().fail("once").await.unwrap();
    }
    for nth in 10..20 {
        std::mem::forget(documents.start(&format!("doc-{nth}")).await.unwrap());
    }
    world.expire_lease();
    // After as many attempts as there are tasks of the largest kind, each kind has had its turn.
    let stop = CancellationToken::new();
    let token = stop.clone();
    let attempts = AtomicU32::new(0);
    let worker = documents.worker().concurrency(1).seed(3).shutdown(stop);
    let shared = Arc::new((attempts, Mutex::new(BTreeSet::new())));
    let seen = Arc::clone(&shared);
    worker
        .run(async move |task| {
            let kind = (task.attempt() > 1, task.errors().last().is_some_and(|last| last.error == "once"));
            seen.1.lock().unwrap().insert(kind);
            if seen.0.fetch_add(1, Ordering::Relaxed) == 19 {
                token.cancel();
            }
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(shared.1.lock().unwrap().len(), 3, "pending, failed and expired tasks: {shared:?}");
    documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(stored_counts(&world, 40).await, counts([(Succeeded, 40)]));
}
