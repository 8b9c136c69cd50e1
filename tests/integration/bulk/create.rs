//! Creates or overwrites many tasks.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tracker_core::{Created, ErrorKind};
use tracker_test_macros::database_test;

use crate::support::{Document, ExtractStatus, World, ids, number};

#[database_test(whole_batches, reads_at_once)]
async fn create_many_reports_each_outcome(world: World) {
    let documents = world.create_document().await;
    let large = Document { text_uri: Some("x".repeat(410_000)), ..Document::new("large") };
    let odd = [Document::new("doc-1"), Document::new(""), large];
    let new = ids(30).map(|id| Document::new(&id)).chain(odd).chain([Document::new("last")]);
    let outcomes: Vec<_> = documents.create_many(new).collect().await;
    let (mut created, mut existing, mut failed) = (0, Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Created::New(task) => {
                assert!(task.is_pending());
                created += 1;
            }
            Created::Existing { task_id, found } => existing.push((task_id, found.unwrap().is_pending())),
            Created::Failed { task_id, error } => failed.push((task_id, error.kind().clone())),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((created, existing), (31, vec![("doc-1".to_owned(), true)]));
    failed.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(matches!(&failed[0], (id, ErrorKind::InvalidTaskId { .. }) if id.is_empty()), "{failed:?}");
    assert_eq!(failed[1], ("large".to_owned(), ErrorKind::ItemTooLarge));
    assert!(world.stored_under("extract____last").await.is_some());
    assert_eq!(documents.count_by_status().await.unwrap().total(), 32);

    let again: Vec<_> = documents.create_many_from(stream::iter([Document::new("doc-1")])).collect().await;
    assert!(matches!(again[..], [Created::Existing { .. }]));
}

#[database_test(whole_batches, reads_at_once)]
async fn overwrite_many_replaces_tasks(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let twice = [Document::new("doc-1"), Document { pages: 9, ..Document::new("doc-1") }];
    let bad = [Document::new("")];
    let new = ids(60).map(|id| Document::new(&id)).chain(bad).chain(twice);
    let overwritten = documents.overwrite_many(new).await.unwrap();
    assert_eq!((overwritten.written, overwritten.failed.len()), (61, 1));
    assert!(matches!(overwritten.failed[0].kind(), ErrorKind::InvalidTaskId { .. }));
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["data"].as_m().unwrap()["pages"]), (&number(10), &number(9)));
    assert_eq!(documents.count_by_status().await.unwrap().get(ExtractStatus::Pending), 61);

    // The holder of an overwritten task cannot finish it.
    let execution = documents.start("doc-000").await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    documents.overwrite_many([Document::new("doc-000")]).await.unwrap();
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored_under("extract____doc-000").await.unwrap()["status"], number(10));
}
