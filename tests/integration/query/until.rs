//! Queries that end although their tasks change, and deletes that are sent twice.

use std::time::Duration;

use tracker_core::Clock;
use tracker_test_macros::database_test;

use crate::support::ExtractStatus::Pending;
use crate::support::Fault::DropResponse;
use crate::support::{Document, World, ids, task_ids};

/// Each task of a page is started and released, so that it comes up again at the end of the query.
#[database_test]
async fn query_over_tasks_that_change_meanwhile_ends(world: World) {
    let documents = world.documents();
    for id in ids(25) {
        documents.create(Document::new(&id)).await.unwrap();
    }
    world.clock.advance(Duration::from_mins(1));
    let (mut seen, mut cursor) = (Vec::new(), None);
    for _ in 0..10 {
        let query = documents.query_by_status(Pending).limit(5);
        let query = match &cursor {
            Some(cursor) => query.after(cursor),
            None => query,
        };
        let page = query.page().await.unwrap();
        world.clock.advance(Duration::from_secs(10));
        for entry in &page.entries {
            seen.push(entry.task_id().clone());
            documents.start(entry.task_id()).await.unwrap().release().await.unwrap();
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(cursor.is_none(), "the query has ended");
    seen.sort();
    assert_eq!(seen, ids(25).collect::<Vec<_>>(), "each task once");
}

#[database_test(reads_at_once)]
async fn until_leaves_out_what_changed_later(world: World) {
    let documents = world.documents();
    documents.create(Document::new("old")).await.unwrap();
    let between = world.clock.now().wall;
    world.clock.advance(Duration::from_secs(1));
    documents.create(Document::new("new")).await.unwrap();
    let old = documents.query_by_status(Pending).until(between).all().await.unwrap();
    assert_eq!(task_ids(&old), ["old"]);
    assert_eq!(documents.query_by_status(Pending).all().await.unwrap().len(), 2);
}

#[database_test]
async fn delete_whose_first_answer_was_lost_returns_the_task(world: World) {
    let documents = world.create_document().await;
    world.network.next("DeleteItem", [DropResponse]);
    let deleted = documents.delete("doc-1").await.unwrap();
    assert!(deleted.is_some_and(|task| task.is_pending()));
    assert_eq!(world.network.count("DeleteItem"), 2);
    assert_eq!(world.stored_under("extract____doc-1").await, None);
    assert!(documents.delete("doc-1").await.unwrap().is_none());
}
