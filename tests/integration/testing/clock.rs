//! Timeouts by a `ManualClock`, with and without `auto_advancing`.

use std::time::Duration;

use tracker_core::{Clock, Execution, Failure};
use tracker_test_macros::database_test;

use crate::support::{Document, World, history};

#[database_test]
async fn timeout_by_an_auto_advancing_clock_fires_once_the_body_waits_for_anything_but_requests(
    world: World,
) {
    world.create_document().await;
    let timeout = Duration::from_mins(1);
    let documents = world.builder::<Document>().timeout(timeout).build().unwrap();
    // A start in the same moment as the last finish waits for a microsecond or two.
    let began = world.clock.now().monotonic;
    let passed = || world.clock.now().monotonic.saturating_sub(began).as_secs();
    documents
        .run("doc-1", async |task| -> Result<(), Failure> {
            task.save().await?;
            Err("no".into())
        })
        .await
        .unwrap_err();
    assert_eq!(passed(), 0, "a body that waits for nothing but requests takes no time");

    let waits = async |_: &mut Execution<Document>| -> Result<(), Failure> { std::future::pending().await };
    documents.run("doc-1", waits).await.unwrap_err();
    let item = world.stored().await;
    let errors = history(&item).iter().map(|entry| entry.as_m().unwrap()["error"].as_s().unwrap());
    assert!(errors.eq(["no", "the body did not end within 60s"]), "{item:?}");
    assert_eq!(passed(), 60);

    world.clock.advance(Duration::from_secs(1));
    let documents = world.builder_with_heartbeat().timeout(timeout).build().unwrap();
    let yields = async |_: &mut Execution<Document>| {
        tokio::task::yield_now().await;
        Ok(())
    };
    documents.run("doc-1", yields).await.expect("the timeout does not advance this clock");
    assert_eq!(passed(), 61);
}
