//! Deletes the tasks of a use case.

use std::sync::{Arc, Mutex};

use tracker_core::ErrorKind;
use tracker_test_macros::database_test;

use crate::support::{Document, World, ids, number, text};

#[database_test(reads_at_once)]
async fn delete_by_use_case_spares_other_use_cases_and_live_leases(world: World) {
    let named = |id: &str| world.builder::<Document>().use_case_id(id).build().unwrap();
    for other in ["test2", "testing", "tes", "a-test"] {
        named(other).create(Document::new("keep")).await.unwrap();
    }
    // No use case ends with a prefix of the separator, but a key of another program may look as if it did.
    let mut item = world.stored_under("test2____keep").await.unwrap();
    item.insert("key".to_owned(), text("test_____keep"));
    item.insert("value".to_owned(), text("test_____010____001"));
    world.put_item(item).await;
    let test = named("test");
    for id in ids(40) {
        test.create(Document::new(&id)).await.unwrap();
    }
    let running = test.start("doc-007").await.unwrap();
    assert_eq!(test.count_tasks_by_use_case_id().await.unwrap(), 40);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let last = Arc::clone(&seen);
    let deleted = test.delete_tasks_by_use_case_id().on_progress(move |progress| {
        last.lock().unwrap().push((progress.done, progress.skipped));
    });
    let deleted = deleted.await.unwrap();
    assert_eq!((deleted.done, deleted.skipped), (39, 1));
    let seen = seen.lock().unwrap().clone();
    assert_eq!((seen.len(), seen.last()), (40, Some(&(39, 1))));
    assert!(world.stored_under("test_____keep").await.is_some());
    for other in ["test2", "testing", "tes", "a-test"] {
        assert_eq!(named(other).count_tasks_by_use_case_id().await.unwrap(), 1, "{other}");
        assert!(world.stored_under(&format!("{other}____keep")).await.is_some());
    }
    assert_eq!(test.count_tasks_by_use_case_id().await.unwrap(), 1);
    running.succeed().await.unwrap();
    assert_eq!(world.stored_under("test____doc-007").await.unwrap()["status"], number(16));
}

#[database_test]
async fn delete_with_live_leases_deletes_running_tasks(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let deleted = documents.delete_tasks_by_use_case_id().with_live_leases().await.unwrap();
    assert_eq!((deleted.done, deleted.skipped), (1, 0));
    assert_eq!(world.stored_under("extract____doc-1").await, None);
    assert_eq!(*execution.succeed().await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored_under("extract____doc-1").await, None);
}
