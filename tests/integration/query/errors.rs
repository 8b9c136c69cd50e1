//! Queries that are invalid, and rows that cannot be read.

use futures_util::StreamExt;
use tracker_core::{Cursor, Error, ErrorKind};
use tracker_test_macros::database_test;

use super::create_one_second_apart;
use crate::support::Fault::Throttle;
use crate::support::{Document, ExtractStatus, World, ids, task_ids, text};

#[database_test(own_layout, reads_at_once)]
async fn query_reports_unreadable_rows_and_goes_on(world: World) {
    let documents = create_one_second_apart(&world, ids(2)).await;
    let mut odd = world.stored_under("extract____doc-000").await.unwrap();
    odd.insert("key".to_owned(), text("no separator"));
    world.put_item(odd.clone()).await;
    odd.insert("key".to_owned(), text("extract____odd"));
    odd.insert("update_time".to_owned(), text("yesterday"));
    world.put_item(odd).await;
    // The odd time is later than any other.
    let query = || documents.query_by_status(ExtractStatus::Pending).newest_first();
    let outcomes: Vec<_> = query().stream().collect().await;
    let errors: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!((outcomes.len(), errors.len()), (4, 2));
    for error in errors {
        assert!(matches!(error.kind(), ErrorKind::Decode { .. }), "{error}");
        assert!(error.key().is_some());
    }
    let page = query().limit(4).page().await.unwrap();
    assert_eq!((task_ids(&page.entries), page.errors.len()), (vec!["doc-001", "doc-000"], 2));
    assert!(query().all().await.is_err());
}

#[database_test]
async fn query_refuses_invalid_options(world: World) {
    let documents = create_one_second_apart(&world, ids(3)).await;
    let query = || documents.query_by_status(ExtractStatus::Pending);
    let invalid = |error: Error, says: &str| {
        assert!(error.to_string().contains(says), "{error}");
        matches!(error.kind(), ErrorKind::InvalidQuery { .. } | ErrorKind::InvalidCursor { .. })
    };
    let sent = world.network.count_all();
    assert!(invalid(query().limit(0).all().await.unwrap_err(), "`limit` is 0"));
    assert!(invalid(query().limit_per_status(0).all().await.unwrap_err(), "`limit_per_status` is 0"));
    let none: [ExtractStatus; 0] = [];
    assert!(invalid(documents.query_by_status(none).all().await.unwrap_err(), "no status"));
    let garbage = Cursor::from_text("garbage");
    assert!(invalid(query().after(&garbage).all().await.unwrap_err(), "its text is damaged, or no page"));
    assert_eq!(world.network.count_all(), sent, "no request was sent");
    let cursor = query().limit(1).page().await.unwrap().next.unwrap();
    let other = documents.query_by_status(ExtractStatus::Failed).after(&cursor);
    assert!(invalid(other.all().await.unwrap_err(), "other statuses"));
    let capped = query().limit_per_status(1).after(&cursor);
    assert!(invalid(capped.all().await.unwrap_err(), "over several pages"));
    assert!(invalid(query().newest_first().after(&cursor).all().await.unwrap_err(), "another order"));
    let error = documents.redrive_all(ExtractStatus::Pending).await.unwrap_err();
    assert!(invalid(error, "neither ignored nor failed"));
}

#[database_test]
async fn query_reports_a_missing_index(world: World) {
    let documents = world.builder::<Document>().index("another-index").build().unwrap();
    for error in [
        documents.query_by_status(ExtractStatus::Pending).all().await.unwrap_err(),
        documents.query_for_unfinished().refresh().all().await.unwrap_err(),
        documents.count_by_status().await.unwrap_err(),
    ] {
        assert!(matches!(error.kind(), ErrorKind::TableMismatch { .. }), "{error:?}");
    }
}

#[database_test]
async fn stream_ends_with_the_error_of_a_throttled_query(world: World) {
    let documents = create_one_second_apart(&world, ids(3)).await;
    world.network.next("Query", [Throttle]);
    let outcomes: Vec<_> = documents.query_by_status(ExtractStatus::Pending).stream().collect().await;
    assert!(matches!(outcomes[0].as_ref().unwrap_err().kind(), ErrorKind::Throttled { .. }));
    assert_eq!(outcomes.len(), 1, "without this page the order of later rows is unknown");
    assert_eq!(documents.query_by_status(ExtractStatus::Pending).all().await.unwrap().len(), 3);
}
