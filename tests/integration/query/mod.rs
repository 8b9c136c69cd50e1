//! Finds tasks: by status, unfinished, expired; as rows of the index or as whole tasks.

mod errors;
mod refresh;
mod scale;
mod status;
mod unfinished;
mod until;

use std::time::Duration;

use tracker_core::Tracker;

use crate::support::{Document, World};

/// Creates tasks one second apart.
async fn create_one_second_apart(world: &World, ids: impl IntoIterator<Item = String>) -> Tracker<Document> {
    let documents = world.documents();
    for id in ids {
        documents.create(Document::new(&id)).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
    }
    documents
}
