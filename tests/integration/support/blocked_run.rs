//! A run whose body waits, and the heartbeats that renew its lease.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracker_core::{Error, Failure, Tracker};

use super::{Document, World, number};

/// A run of `doc-1` whose body waits until `unblock` is notified, and then succeeds with 7 pages.
pub struct BlockedRun {
    pub unblock: Arc<Notify>,
    pub run: tokio::task::JoinHandle<Result<(), Error>>,
}

impl BlockedRun {
    pub async fn start(world: &World, documents: Tracker<Document>) -> Self {
        let unblock = Arc::new(Notify::new());
        let unblocked = Arc::clone(&unblock);
        let (entered, in_body) = tokio::sync::oneshot::channel();
        let run = tokio::spawn(async move {
            let body = async |task: &mut tracker_core::Execution<Document>| -> Result<(), Failure> {
                task.data_mut().pages = 7;
                let _ = entered.send(());
                unblocked.notified().await;
                Ok(())
            };
            documents.run("doc-1", body).await
        });
        in_body.await.expect("a body that runs");
        assert_eq!(world.stored().await["status"], number(12));
        Self { unblock, run }
    }
}

/// Waits until a heartbeat sleeps and is due within some seconds. Its wait begins when it falls asleep.
pub async fn wait_until_heartbeat_sleeps(world: &World, seconds: u64) {
    let within = Duration::from_secs(seconds);
    world
        .wait_until("a heartbeat sleeps", || {
            std::future::ready(world.clock.next_wake().is_some_and(|wake| wake <= within))
        })
        .await;
}

/// Advances the clock by some seconds, and waits until the heartbeat that is due then has renewed the lease.
pub async fn advance_through_heartbeat(world: &World, seconds: u64) {
    wait_until_heartbeat_sleeps(world, seconds).await;
    let before = world.stored().await["lock_time"].clone();
    world.clock.advance(Duration::from_secs(seconds));
    world
        .wait_until("a heartbeat renews the lease", || async { world.stored().await["lock_time"] != before })
        .await;
}
