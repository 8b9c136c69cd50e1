//! A holder at work: a run that waits, and the heartbeats that keep its lease.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracker_core::{Error, Failure, Tracker};

use super::{Document, World, number};

/// A run whose body waits, and fails the test if it goes on after its lease was lost.
pub struct Running {
    pub go_on: Arc<Notify>,
    pub run: tokio::task::JoinHandle<Result<(), Error>>,
}

impl Running {
    pub async fn start(world: &World, documents: Tracker<Document>) -> Self {
        let go_on = Arc::new(Notify::new());
        let waited = Arc::clone(&go_on);
        let (entered, in_body) = tokio::sync::oneshot::channel();
        let run = tokio::spawn(async move {
            let body = async |task: &mut tracker_core::Execution<Document>| -> Result<(), Failure> {
                task.data_mut().pages = 7;
                let _ = entered.send(());
                waited.notified().await;
                Ok(())
            };
            documents.run("doc-1", body).await
        });
        in_body.await.expect("a body that runs");
        assert_eq!(world.stored().await["status"], number(12));
        Self { go_on, run }
    }
}

/// Lets the other tasks run for a while, to see that nothing comes of it.
pub async fn others_run() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Waits until a heartbeat is due within some seconds: it counts from when it falls asleep.
pub async fn asleep(world: &World, seconds: u64) {
    let within = Duration::from_secs(seconds);
    world
        .until("a heartbeat asleep", || {
            std::future::ready(world.clock.next_wake().is_some_and(|wake| wake <= within))
        })
        .await;
}

/// Sets the clock forward by some seconds, and waits for the heartbeat that is due then.
pub async fn beat(world: &World, seconds: u64) {
    asleep(world, seconds).await;
    let before = world.stored().await["lock_time"].clone();
    world.clock.advance(Duration::from_secs(seconds));
    world.until("a heartbeat", || async { world.stored().await["lock_time"] != before }).await;
}
