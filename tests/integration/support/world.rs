//! What a test sees: a client on a table of its own, with a clock and a network that it controls.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::types::AttributeValue;
use tracker_core::testing::FaultyNetwork;
use tracker_core::{Clock, StatusTracker, Tracker, TrackerBuilder};

use super::{Document, Probe, Summary, TestClock};

/// An item as it is stored.
pub type Item = HashMap<String, AttributeValue>;

#[derive(Clone)]
pub struct World {
    pub client: Client,
    pub network: FaultyNetwork,
    pub probe: Probe,
    pub clock: TestClock,
    pub table: String,
    /// Where other processes find the table, if they can.
    pub endpoint: Option<String>,
}

impl World {
    /// A tracker on this world's table and clock, to be changed further.
    pub fn builder<T: StatusTracker>(&self) -> TrackerBuilder<T> {
        T::tracker_builder(&self.client)
            .table(&self.table)
            .clock(self.clock.clone())
            .owner("worker-1")
            // Sleeping sets this clock forward, which a heartbeat does without end.
            .heartbeat(false)
    }

    /// A tracker with heartbeats, on a clock that only the test sets forward.
    pub fn beating(&self) -> TrackerBuilder<Document> {
        self.builder().heartbeat(true).clock(self.clock.waiting())
    }

    pub fn documents(&self) -> Tracker<Document> {
        self.builder().build().expect("a valid configuration")
    }

    /// Another worker's tracker.
    pub fn rival(&self) -> Tracker<Document> {
        self.builder().owner("worker-2").build().expect("a valid configuration")
    }

    pub fn summaries(&self) -> Tracker<Summary> {
        Summary::tracker_builder(&self.client).like(&self.documents()).build().expect("a valid configuration")
    }

    /// Creates `doc-1`.
    pub async fn document(&self) -> Tracker<Document> {
        let documents = self.documents();
        documents.create(Document::new("doc-1")).await.expect("a new task");
        documents
    }

    /// Waits until something holds, while other tasks run. One that never holds fails the test, instead of hanging.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        let waiting = async {
            while !holds().await {
                tokio::task::yield_now().await;
            }
        };
        let in_vain = Duration::from_mins(1);
        assert!(tokio::time::timeout(in_vain, waiting).await.is_ok(), "it never came to this: {what}");
    }

    /// Runs a future. Whenever nothing is done any more, the clock is set forward to when the next sleeper wakes up.
    pub async fn driven<F: Future>(&self, future: F) -> F::Output {
        let clock = self.clock.waiting();
        let driver = async {
            let mut idle = 0;
            loop {
                tokio::task::yield_now().await;
                // Others compute between two requests; where that takes long, the time passes all the same.
                idle = if self.network.in_flight() == 0 { idle + 1 } else { 0 };
                if idle > 200
                    && let Some(wait) = clock.next_wake()
                {
                    clock.advance(wait);
                    idle = 0;
                }
            }
        };
        tokio::select! {
            biased;
            output = future => output,
            () = driver => unreachable!("it drives for ever"),
        }
    }

    /// Sets the clock forward until all requests that are late have been delivered.
    pub async fn all_arrives(&self) {
        self.clock.advance(Duration::from_hours(24));
        self.until("all that was late", || std::future::ready(self.network.late() == 0)).await;
    }

    /// Past the end of a lease, and the skew.
    pub fn expire_lease(&self) {
        self.clock.advance(Duration::from_secs(306));
    }

    /// The item of `doc-1`, read by the SDK alone.
    pub async fn stored(&self) -> Item {
        self.stored_as("extract____doc-1").await.expect("an item")
    }

    /// The item of `doc-1` once its lock is free, which a drop leaves to a task of its own.
    pub async fn freed(&self) -> Item {
        let is_free = |item: &Item| item.contains_key("attempt") && item["lock"] == text("__not_locked__");
        self.until("`doc-1` is free", || async { is_free(&self.stored().await) }).await;
        self.stored().await
    }

    /// Sets the clock forward to when `doc-1` may be started again.
    pub async fn due(&self) {
        let run_at = read_time(&self.stored().await["run_at"]);
        self.clock.advance((run_at - self.clock.now().wall).to_std().expect("later"));
    }

    pub async fn stored_as(&self, key: &str) -> Option<Item> {
        self.client
            .get_item()
            .table_name(&self.table)
            .key("key", text(key))
            .consistent_read(true)
            .send()
            .await
            .expect("an answer")
            .item
    }

    /// Puts an item as another program would.
    pub async fn put(&self, item: Item) {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        put.send().await.expect("an answer");
    }

    /// Changes one attribute of `doc-1` as another program would.
    pub async fn set(&self, name: &str, value: AttributeValue) {
        let mut item = self.stored().await;
        item.insert(name.to_owned(), value);
        self.put(item).await;
    }

    /// Removes attributes of `doc-1`, as a Python `save` does with those it does not know.
    pub async fn remove(&self, names: &[&str]) {
        let mut item = self.stored().await;
        item.retain(|name, _| !names.contains(&name.as_str()));
        self.put(item).await;
    }
}

pub fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A time as it is stored.
pub fn time(time: DateTime<Utc>) -> AttributeValue {
    AttributeValue::S(time.format("%Y-%m-%dT%H:%M:%S%.6f+0000").to_string())
}

/// What is stored of the history.
pub fn history(item: &Item) -> &[AttributeValue] {
    item["errors"].as_m().expect("a map")["history"].as_l().expect("a list")
}

/// A text or a number of one of its entries.
pub fn entry<'i>(item: &'i Item, nth: usize, member: &str) -> &'i str {
    let value = &history(item)[nth].as_m().expect("a map")[member];
    value.as_s().or_else(|_| value.as_n()).expect("a text or a number")
}

/// How long after the last change of its status the task may be started again.
pub fn wait_of(item: &Item) -> Option<Duration> {
    let wait = read_time(item.get("run_at")?) - read_time(&item["update_time"]);
    Some(wait.to_std().expect("later"))
}

fn read_time(stored: &AttributeValue) -> DateTime<Utc> {
    let text = stored.as_s().expect("a text");
    DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.6f%z").expect("a time").to_utc()
}
