//! Attributes that cannot be decoded, and data that cannot be encoded.

use tracker_core::{ErrorKind, StatusTracker};
use tracker_test_macros::database_test;

use crate::support::{ExtractStatus, World, number, text};

#[database_test]
async fn start_names_a_missing_member_and_releases_the_task(world: World) {
    let documents = world.create_document().await;
    let mut item = world.stored().await;
    item.remove("data");
    world.put_item(item).await;
    let error = documents.get("doc-1").consistent().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { attribute: world.name("data.pages") });
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("the field is not stored; give it `#[tracker(default)]`"), "{source}");

    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { attribute: world.name("data.pages") });
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(10), &number(0)));
    assert_eq!(item["lock"], text("__not_locked__"));
    assert!(!item.contains_key("data"));
}

#[database_test]
async fn get_names_an_attribute_of_another_type(world: World) {
    let documents = world.create_document().await;
    world.set_attribute("customer", number(3)).await;
    let error = documents.get("doc-1").consistent().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { attribute: world.name("customer") });
    assert_eq!(error.key(), Some("extract____doc-1"));
    world.set_attribute("data", text("not even JSON")).await;
    let error = documents.get("doc-1").consistent().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Decode { .. }), "{error}");
    assert!(documents.head("doc-1").consistent().await.unwrap().unwrap().is_pending());
}

#[database_test]
async fn operations_name_an_unreadable_attribute(world: World) {
    let documents = world.create_document().await;
    let good = world.stored().await;
    for (name, garbage) in [
        ("status", text("10")),
        ("retry", text("many")),
        ("retry", number(u64::MAX)),
        ("create_time", text("yesterday")),
        ("lock_time", text("2026-11-24T02:17:26Z")),
        ("lock", number(1)),
        ("attempt", text("x")),
        ("owner", number(1)),
    ] {
        world.put_item(good.clone()).await;
        world.set_attribute(name, garbage).await;
        for error in [
            documents.get("doc-1").consistent().await.unwrap_err(),
            documents.head("doc-1").consistent().await.unwrap_err(),
        ] {
            assert_eq!(*error.kind(), ErrorKind::Decode { attribute: world.name(name) });
            assert_eq!(error.key(), Some("extract____doc-1"));
        }
        if ["lock", "owner"].contains(&name) {
            // A start overwrites these two.
            documents.start("doc-1").await.unwrap().succeed().await.unwrap();
            assert_eq!(world.stored().await["status"], number(16), "{name}");
            continue;
        }
        let before = world.stored().await;
        let error = documents.start("doc-1").await.unwrap_err();
        assert_eq!(error.key(), Some("extract____doc-1"));
        let after = world.stored().await;
        assert_eq!((&after["status"], &after["lock"]), (&before["status"], &before["lock"]), "{name}");
        assert_eq!(after[name], before[name], "{name}");
    }
    for name in ["status", "lock", "lock_time", "create_time"] {
        world.put_item(good.clone()).await;
        world.remove_attributes(&[name]).await;
        let error = documents.head("doc-1").consistent().await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Decode { attribute: world.name(name) });
    }
    // The attributes that a Python `save` drops may be missing.
    world.put_item(good).await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    world.remove_attributes(&["attempt", "last_lock", "started_from", "owner"]).await;
    let task = documents.get("doc-1").consistent().await.unwrap().unwrap();
    assert_eq!((task.attempt(), task.owner()), (0, None));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(world.stored().await["attempt"], number(1));
}

#[database_test]
async fn save_and_finish_refuse_a_changed_task_id(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().id = "doc-2".to_owned();
    let error = execution.save().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidTaskId { .. }), "{error}");
    assert!(error.to_string().contains("\"doc-2\""), "{error}");
    execution.data_mut().id = "doc-1".to_owned();
    execution.save().await.unwrap();
    execution.data_mut().id = "doc-2".to_owned();
    let error = execution.succeed().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidTaskId { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!(item["status"], number(14), "the task is not left locked");
    assert!(error.task().unwrap().errors()[0].error.contains("doc-2"));
    assert_eq!(world.stored_under("extract____doc-2").await, None);
}

#[database_test]
async fn create_and_finish_refuse_a_field_that_cannot_be_encoded(world: World) {
    #[derive(StatusTracker)]
    #[tracker(use_case_id = "measures", status = ExtractStatus)]
    struct Measure {
        #[tracker(task_id)]
        id: String,
        value: f64,
    }
    let measures = world.builder::<Measure>().build().unwrap();
    let error = measures.create(Measure { id: "a".to_owned(), value: f64::NAN }).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Encode { attribute: world.name("data.value") });
    assert_eq!(error.key(), Some("measures____a"));
    assert_eq!(world.stored_under("measures____a").await, None);
    measures.create(Measure { id: "a".to_owned(), value: 1.0 }).await.unwrap();
    let mut execution = measures.start("a").await.unwrap();
    execution.data_mut().value = f64::INFINITY;
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Encode { attribute: world.name("data.value") });
    let item = world.stored_under("measures____a").await.unwrap();
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
}
