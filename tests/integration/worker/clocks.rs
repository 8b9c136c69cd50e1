//! Workers with a clock that advances by itself.

use std::time::Duration;

use tracker_core::Clock;
use tracker_test_macros::database_test;

use crate::support::{Document, World};

#[database_test]
async fn no_time_passes_while_a_body_waits_for_a_request(world: World) {
    let clock = world.clock.auto_advancing();
    let documents = world.builder::<Document>().clock(clock.clone()).heartbeat(false).build().unwrap();
    for id in ["a", "b", "c"] {
        documents.create(Document::new(id)).await.unwrap();
    }
    let before = clock.now().monotonic;
    // The deadline sleeps beside the worker, for much longer than the worker needs.
    let worker = documents.worker().concurrency(2).drain().deadline(Duration::from_mins(10));
    let summary = worker
        .run(async |task| {
            task.data_mut().pages += 1;
            task.save().await?;
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!((summary.succeeded, summary.failed), (3, 0), "{summary}");
    let passed = clock.now().monotonic.saturating_sub(before);
    assert!(passed < Duration::from_mins(1), "{passed:?} have passed");
    for id in ["a", "b", "c"] {
        let task = documents.get(id).await.unwrap().unwrap();
        assert_eq!((task.is_succeeded(), task.attempt(), task.data().pages), (true, 1, 1));
    }
}
