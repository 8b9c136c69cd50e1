//! Workers: what they record, what disturbs them, how they compete, and how they stop.

mod batching;
mod clocks;
mod contention;
mod obstacles;
mod outage;
mod outcomes;
mod stop;

use std::collections::BTreeMap;

use futures_util::StreamExt;
use tracker_core::{Created, Tracker, TrackerBuilder};

use crate::support::{Document, ExtractStatus, World};

/// Creates `doc-0`, `doc-1` and so on.
async fn create_documents(builder: TrackerBuilder<Document>, tasks: u32) -> Tracker<Document> {
    let documents = builder.build().expect("a valid configuration");
    let new: Vec<_> = (0..tasks).map(|nth| Document::new(&format!("doc-{nth}"))).collect();
    let created: Vec<_> = documents.create_many(new).collect().await;
    assert!(created.iter().all(|created| matches!(created, Created::New(_))), "{created:?}");
    documents
}

/// Counts the stored tasks by status, and asserts that nobody holds any of them.
async fn stored_counts(world: &World, tasks: u32) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for nth in 0..tasks {
        let item = world.stored_under(&format!("extract____doc-{nth}")).await.expect("an item");
        assert_eq!(item["lock"].as_s().unwrap(), "__not_locked__", "doc-{nth} is held");
        *counts.entry(item["status"].as_n().unwrap().clone()).or_default() += 1;
    }
    counts
}

/// The expected counts, by the code of the status.
fn counts<const N: usize>(counts: [(ExtractStatus, u32); N]) -> BTreeMap<String, u32> {
    counts.into_iter().map(|(status, tasks)| ((status as u32).to_string(), tasks)).collect()
}
