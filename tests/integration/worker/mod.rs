//! The worker's loop, on everything that it may meet.

mod ends;
mod hindered;
mod many;
mod outcomes;

use std::collections::BTreeMap;

use futures_util::StreamExt;
use tracker_core::{Created, Tracker, TrackerBuilder};

use crate::support::{Document, ExtractStatus, Test, World};

pub fn tests() -> Vec<Test> {
    let tests = [ends::tests(), hindered::tests(), many::tests(), outcomes::tests()].concat();
    tests.into_iter().map(|test| Test { name: format!("worker::{}", test.name), ..test }).collect()
}

/// So many tasks, `doc-0` and so on.
async fn documents(builder: TrackerBuilder<Document>, tasks: u32) -> Tracker<Document> {
    let documents = builder.build().expect("a valid configuration");
    let new: Vec<_> = (0..tasks).map(|nth| Document::new(&format!("doc-{nth}"))).collect();
    let created: Vec<_> = documents.create_many(new).collect().await;
    assert!(created.iter().all(|created| matches!(created, Created::New(_))), "{created:?}");
    documents
}

/// How many tasks are stored in each status, and that nobody holds any of them.
async fn stored(world: &World, tasks: u32) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for nth in 0..tasks {
        let item = world.stored_as(&format!("extract____doc-{nth}")).await.expect("an item");
        assert_eq!(item["lock"].as_s().unwrap(), "__not_locked__", "doc-{nth} is held");
        *counts.entry(item["status"].as_n().unwrap().clone()).or_default() += 1;
    }
    counts
}

/// The counts as they are expected.
fn so_many<const N: usize>(counts: [(ExtractStatus, u32); N]) -> BTreeMap<String, u32> {
    counts.into_iter().map(|(status, tasks)| ((status as u32).to_string(), tasks)).collect()
}
