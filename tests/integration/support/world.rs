//! What a test works with: a client on a table of its own, with a clock and a network that it controls.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::types::AttributeValue;
use tracker_core::testing::{AwsLike, FaultyNetwork};
use tracker_core::{Backoff, Clock, IndexEntry, Layout, StatusTracker, SystemClock, Tracker, TrackerBuilder};

use super::{Document, Gateway, Probe, Summary, TestClock};

/// An item as it is stored.
pub type Item = HashMap<String, AttributeValue>;

#[derive(Clone)]
pub struct World {
    pub client: Client,
    pub network: FaultyNetwork,
    pub probe: Probe,
    pub clock: TestClock,
    pub table: String,
    pub layout: Layout,
    /// The address of the database, if it has one.
    pub endpoint: Option<String>,
    /// What serves the database at this address, if the database itself has none.
    pub gateway: Option<Arc<Gateway>>,
    /// What lets the database behave like AWS, if it does.
    pub aws: Option<AwsLike>,
}

impl World {
    /// The builder of a tracker on this world's table and clock, without heartbeats.
    pub fn builder<T: StatusTracker>(&self) -> TrackerBuilder<T> {
        T::tracker_builder(&self.client)
            .table(&self.table)
            .layout(self.layout.clone())
            .clock(self.clock.clone())
            .owner("worker-1")
            // Most tests start a failed task again at once.
            .backoff(Backoff::None)
            // A heartbeat sleeps again and again, and every sleep advances this clock.
            .heartbeat(false)
    }

    /// The builder of a tracker with heartbeats, on a clock that only the test advances.
    pub fn builder_with_heartbeat(&self) -> TrackerBuilder<Document> {
        self.builder().heartbeat(true).clock(self.clock.manual())
    }

    pub fn documents(&self) -> Tracker<Document> {
        self.builder().build().expect("a valid configuration")
    }

    /// Another worker's tracker.
    pub fn rival(&self) -> Tracker<Document> {
        self.builder().owner("worker-2").build().expect("a valid configuration")
    }

    pub fn summaries(&self) -> Tracker<Summary> {
        Summary::tracker_builder(&self.client)
            .like(&self.documents())
            .backoff(Backoff::None)
            .build()
            .expect("a valid configuration")
    }

    /// Creates `doc-1`; returns its tracker.
    pub async fn create_document(&self) -> Tracker<Document> {
        let documents = self.documents();
        documents.create(Document::new("doc-1")).await.expect("a new task");
        documents
    }

    pub fn in_one_hour(&self) -> DateTime<Utc> {
        self.clock.now().wall + TimeDelta::hours(1)
    }

    /// Waits until a condition holds, while other tasks run. Fails the test, instead of hanging, if it never holds.
    pub async fn wait_until<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        let waiting = async {
            while !holds().await {
                // Other threads may need this processor.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let timeout = Duration::from_mins(1);
        assert!(tokio::time::timeout(timeout, waiting).await.is_ok(), "waited a minute until {what}");
    }

    /// Runs a future until a condition holds. Fails the test if the future ends before, or if the condition never holds.
    pub async fn run_until<T, F: Future<Output = bool>>(
        &self,
        what: &str,
        future: impl Future<Output = T>,
        holds: impl FnMut() -> F,
    ) {
        tokio::select! {
            biased;
            _ = future => panic!("the future ended before {what}"),
            () = self.wait_until(what, holds) => {}
        }
    }

    /// Runs a future. Whenever no task has work left, advances the clock to when the next sleeper wakes up.
    pub async fn run_while_advancing_clock<F: Future>(&self, future: F) -> F::Output {
        let clock = self.clock.manual();
        let advance = async {
            loop {
                clock.drive().await;
            }
        };
        tokio::select! {
            biased;
            output = future => output,
            () = advance => unreachable!("it advances for ever"),
        }
    }

    /// Advances the clock by a day, and waits until all late requests have been delivered.
    pub async fn deliver_late_requests(&self) {
        self.clock.advance(Duration::from_hours(24));
        self.wait_until("all late requests have arrived", || std::future::ready(self.network.late() == 0))
            .await;
    }

    /// Lets indexes lag by the machine's clock, for a test that lives by that clock.
    pub fn lag_by_machine_clock(&self) {
        if let Some(aws) = &self.aws {
            aws.set_clock(SystemClock);
        }
    }

    /// Advances the clock past the end of a lease and the skew.
    pub fn expire_lease(&self) {
        self.clock.advance(Duration::from_secs(306));
    }

    /// The item of `doc-1`, read with the SDK alone.
    pub async fn stored(&self) -> Item {
        self.stored_under("extract____doc-1").await.expect("an item")
    }

    /// The item under a key, read with the SDK alone.
    pub async fn stored_under(&self, key: &str) -> Option<Item> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(self.key(key)));
        let item = get.consistent_read(true).send().await.expect("an answer").item;
        item.map(|item| self.own_names(item))
    }

    /// The items of all documents, read with the SDK alone.
    pub async fn all_stored(&self) -> Vec<Item> {
        let scan = self.client.scan().table_name(&self.table).consistent_read(true);
        let items = scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let items = items.expect("an answer").into_iter().map(|item| self.own_names(item));
        items.filter(|item| item["key"].as_s().is_ok_and(|key| key.starts_with("extract____"))).collect()
    }

    /// The item of `doc-1` once it is unlocked: after a drop, the background unlocks it.
    pub async fn wait_until_unlocked(&self) -> Item {
        self.wait_until_unlocked_under("extract____doc-1").await
    }

    /// The item under a key, once it is unlocked after an attempt.
    pub async fn wait_until_unlocked_under(&self, key: &str) -> Item {
        let stored = async || self.stored_under(key).await.expect("an item");
        let is_unlocked =
            |item: &Item| item["attempt"] != number(0) && item["lock"] == text("__not_locked__");
        self.wait_until("the task is unlocked", || async { is_unlocked(&stored().await) }).await;
        stored().await
    }

    /// Advances the clock to the `run_at` of `doc-1`.
    pub async fn advance_until_due(&self) {
        let run_at = read_time(&self.stored().await["run_at"]);
        self.clock.advance((run_at - self.clock.now().wall).to_std().expect("later"));
    }

    /// Puts an item as another program would.
    pub async fn put_item(&self, item: Item) {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(self.to_table(item)));
        put.send().await.expect("an answer");
    }

    /// Changes one attribute of `doc-1` as another program would.
    pub async fn set_attribute(&self, name: &str, value: AttributeValue) {
        let mut item = self.stored().await;
        item.insert(name.to_owned(), value);
        self.put_item(item).await;
    }

    /// Removes attributes of `doc-1`, as a Python `save` does with attributes that its class does not declare.
    pub async fn remove_attributes(&self, names: &[&str]) {
        let mut item = self.stored().await;
        item.retain(|name, _| !names.contains(&name.as_str()));
        self.put_item(item).await;
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

/// A member of the stored data.
pub fn data_member<'i>(item: &'i Item, member: &str) -> Option<&'i AttributeValue> {
    item["data"].as_m().expect("a map").get(member)
}

/// The entries of the stored history.
pub fn history(item: &Item) -> &[AttributeValue] {
    item["errors"].as_m().expect("a map")["history"].as_l().expect("a list")
}

/// A text or a number of the nth entry of the stored history.
pub fn entry<'i>(item: &'i Item, nth: usize, member: &str) -> &'i str {
    let value = &history(item)[nth].as_m().expect("a map")[member];
    value.as_s().or_else(|_| value.as_n()).expect("a text or a number")
}

/// How long the task waits after the last change of its status: `run_at` less `update_time`.
pub fn stored_wait(item: &Item) -> Option<Duration> {
    let wait = read_time(item.get("run_at")?) - read_time(&item["update_time"]);
    Some(wait.to_std().expect("later"))
}

/// The ids `doc-000`, `doc-001` and so on.
pub fn ids(count: usize) -> impl Iterator<Item = String> + Send {
    (0..count).map(|nth| format!("doc-{nth:03}"))
}

pub fn task_ids(entries: &[IndexEntry<Document>]) -> Vec<&str> {
    entries.iter().map(|entry| entry.task_id().as_str()).collect()
}

fn read_time(stored: &AttributeValue) -> DateTime<Utc> {
    let text = stored.as_s().expect("a text");
    DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.6f%z").expect("a time").to_utc()
}
