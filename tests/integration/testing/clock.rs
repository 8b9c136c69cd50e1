//! Timeouts by a `ManualClock`, with and without `auto_advancing`.

use std::time::Duration;

use tracker_core::{Clock, Execution};
use tracker_test_macros::database_test;

use crate::support::{Document, World, history};

#[database_test]
async fn timeout_fires_at_the_first_await_by_an_auto_advancing_clock(world: World) {
    world.create_document().await;
    let timeout = Duration::from_mins(1);
    let documents = world.builder::<Document>().timeout(timeout).build().unwrap();
    // A start in the same moment as the last finish waits for a microsecond or two.
    let began = world.clock.now().monotonic;
    let passed = || world.clock.now().monotonic.saturating_sub(began).as_secs();
    documents.run("doc-1", async |_| Err::<(), _>("no".into())).await.unwrap_err();
    assert_eq!(passed(), 0, "a body that awaits nothing takes no time");

    let waits = async |_: &mut Execution<Document>| {
        tokio::task::yield_now().await;
        Ok(())
    };
    documents.run("doc-1", waits).await.unwrap_err();
    let item = world.stored().await;
    let errors = history(&item).iter().map(|entry| entry.as_m().unwrap()["error"].as_s().unwrap());
    assert!(errors.eq(["no", "the body did not end within 60s"]), "{item:?}");
    assert_eq!(passed(), 60);

    world.clock.advance(Duration::from_secs(1));
    let documents = world.builder_with_heartbeat().timeout(timeout).build().unwrap();
    documents.run("doc-1", waits).await.expect("the timeout does not advance this clock");
    assert_eq!(passed(), 61);
}
