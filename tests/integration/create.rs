//! Creating, reading and deleting single tasks.

use std::time::Duration;

use tracker_core::{Backoff, ErrorKind, StatusTracker};

use crate::support::{Document, ExtractStatus, World, number, text};

crate::tests![
    an_existing_task_is_left_as_it_is,
    a_task_created_in_the_same_moment_is_another,
    a_running_task_is_not_created_again,
    task_ids_of_every_kind,
    an_item_that_is_too_large_is_refused,
    reading_what_is_not_there,
    deleting,
    the_pure_encoders,
    a_declaration_and_its_defaults_are_what_a_tracker_works_with,
    wrong_configurations_are_refused,
];

async fn an_existing_task_is_left_as_it_is(world: World) {
    let documents = world.document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let before = world.stored().await;
    world.clock.advance(Duration::from_secs(1));
    let error = documents.create(Document { pages: 9, ..Document::new("doc-1") }).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert!(error.task().unwrap().is_succeeded());
    assert!(!error.is_refusal());
    assert_eq!(world.stored().await, before);
}

async fn a_task_created_in_the_same_moment_is_another(world: World) {
    let documents = world.document().await;
    let before = world.stored().await;
    let error = documents.create(Document { pages: 9, ..Document::new("doc-1") }).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(world.stored().await, before);
}

async fn a_running_task_is_not_created_again(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let before = world.stored().await;
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(error.task().unwrap().owner(), Some("worker-1"));
    assert_eq!(world.stored().await, before);
    execution.succeed().await.unwrap();
}

async fn task_ids_of_every_kind(world: World) {
    let documents = world.documents();
    let longest = "x".repeat(2048 - "extract____".len());
    for id in ["a____b", "____", "_", "é漢😀 \n\t\"#:", "000", longest.as_str()] {
        documents.create(Document::new(id)).await.unwrap();
        documents.start(id).await.unwrap().succeed().await.unwrap();
        let item = world.stored_as(&format!("extract____{id}")).await.unwrap();
        assert_eq!(item["status"], number(16));
        let task = documents.get(id).consistent().await.unwrap().unwrap();
        assert_eq!(task.task_id(), id);
        assert_eq!(task.use_case_id(), "extract");
    }
    for (id, says) in [(String::new(), "it is empty"), (format!("{longest}y"), "use at most 2037 bytes")] {
        let sent = world.network.count_all();
        let errors = [
            documents.create(Document::new(&id)).await.unwrap_err(),
            documents.start(&id).await.unwrap_err(),
            documents.get(&id).await.unwrap_err(),
            documents.head(&id).await.unwrap_err(),
            documents.delete(&id).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error.kind(), ErrorKind::InvalidTaskId { .. }), "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
        assert_eq!(world.network.count_all(), sent, "nothing was sent");
    }
}

async fn an_item_that_is_too_large_is_refused(world: World) {
    let documents = world.documents();
    let large = Document { text_uri: Some("x".repeat(410_000)), ..Document::new("doc-1") };
    let error = documents.create(large).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::ItemTooLarge);
    assert_eq!(error.key(), Some("extract____doc-1"));
    assert_eq!(world.stored_as("extract____doc-1").await, None);
}

async fn reading_what_is_not_there(world: World) {
    let documents = world.documents();
    assert!(documents.get("doc-1").await.unwrap().is_none());
    assert!(documents.head("doc-1").consistent().await.unwrap().is_none());
    assert!(documents.delete("doc-1").await.unwrap().is_none());
}

async fn deleting(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let before = world.stored().await;
    let error = documents.delete("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    assert_eq!(world.stored().await, before);
    execution.succeed().await.unwrap();
    let deleted = documents.delete("doc-1").await.unwrap().unwrap();
    assert!(deleted.is_succeeded());
    assert_eq!(world.stored_as("extract____doc-1").await, None);

    documents.create(Document::new("doc-2")).await.unwrap();
    std::mem::forget(documents.start("doc-2").await.unwrap());
    world.expire_lease();
    assert!(documents.delete("doc-2").await.unwrap().unwrap().is_in_progress());
    assert_eq!(world.stored_as("extract____doc-2").await, None);
}

async fn the_pure_encoders(world: World) {
    assert_eq!(Document::make_key("doc-1").unwrap(), "extract____doc-1");
    assert_eq!(Document::shard_id(ExtractStatus::Succeeded, "doc-1").unwrap(), 6);
    assert_eq!(Document::make_value(ExtractStatus::Succeeded, 6).unwrap(), "extract____016____006");
    assert_eq!(
        Document::index_partitions(ExtractStatus::Pending),
        [1, 2, 3, 4, 5].map(|shard| format!("extract____010____00{shard}"))
    );
    for shard in [0, 6] {
        let error = Document::make_value(ExtractStatus::Pending, shard).unwrap_err();
        assert!(error.to_string().contains("shards 1 to 5"), "{error}");
    }
    let elsewhere = world.builder::<Document>().use_case_id("eu").build().unwrap();
    assert_eq!(elsewhere.make_key("doc-1").unwrap(), "eu____doc-1");
    assert_eq!(elsewhere.make_value(ExtractStatus::Pending, 2).unwrap(), "eu____010____002");
    let task = elsewhere.create(Document::new("doc-1")).await.unwrap();
    let item = world.stored_as("eu____doc-1").await.unwrap();
    let shard = elsewhere.shard_id(ExtractStatus::Pending, "doc-1").unwrap();
    assert_eq!(task.shard_id(), Some(shard));
    assert_eq!(item["value"], text(&elsewhere.index_partitions(ExtractStatus::Pending)[shard as usize - 1]));
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "waits", status = ExtractStatus)]
#[tracker(backoff = "exponential", backoff_base_seconds = 10, backoff_max_seconds = 600, max_snoozes = 7)]
#[tracker(retain_seconds = 86_400, retain_ignored_seconds = 604_800)]
struct Declared {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "waits", status = ExtractStatus, backoff = "exponential")]
struct BackoffAlone {
    #[tracker(task_id)]
    id: String,
}

async fn a_declaration_and_its_defaults_are_what_a_tracker_works_with(world: World) {
    let backoff =
        |base, max| Backoff::Exponential { base: Duration::from_secs(base), max: Duration::from_secs(max) };
    let declared = world.builder::<Declared>().build().unwrap();
    let config = declared.config();
    assert_eq!((config.backoff, config.max_snoozes), (backoff(10, 600), 7));
    let days = |days: u64| Some(Duration::from_hours(24 * days));
    assert_eq!((config.retain, config.retain_ignored), (days(1), days(7)));
    // The derive knows these two defaults: no base is above the longest wait.
    assert_eq!(world.builder::<BackoffAlone>().build().unwrap().config().backoff, backoff(1, 3600));
    let plain = world.builder::<Document>().build().unwrap();
    let config = plain.config();
    assert_eq!((config.backoff, config.max_snoozes), (Backoff::None, 100));
    assert_eq!((config.retain, config.retain_ignored), (None, None));
}

async fn wrong_configurations_are_refused(world: World) {
    let builder = || world.builder::<Document>();
    let backoff =
        |base, max| Backoff::Exponential { base: Duration::from_secs(base), max: Duration::from_secs(max) };
    for (builder, says) in [
        (builder().max_retry(0), "`max_retry` is 0"),
        (builder().history_limit(0), "`history_limit` is 0"),
        (builder().traceback_stack_limit(0), "`traceback_stack_limit` is 0"),
        (builder().lock_expire(Duration::ZERO), "`lock_expire` is 0ns"),
        (builder().use_case_id(""), "`use_case_id` is empty"),
        (builder().use_case_id("a____b"), "runs into the separator"),
        (builder().use_case_id("a_"), "runs into the separator"),
        (builder().use_case_id("x".repeat(2023)), "longer than 2022 bytes"),
        (builder().table("no"), "`no` cannot be the name of a table"),
        (builder().table("a table"), "`a table` cannot be the name of a table"),
        (builder().max_snoozes(0), "`max_snoozes` is 0"),
        (builder().backoff(backoff(20, 10)), "`backoff` goes from 20s to 10s"),
        (builder().backoff(backoff(0, 10)), "`backoff` goes from 0ns to 10s"),
        (builder().retain(Duration::ZERO), "`retain` is 0"),
        (builder().retain_ignored(Duration::ZERO), "`retain` is 0"),
        (builder().index("#"), "`#` cannot be the name of an index"),
    ] {
        let error = builder.build().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidConfig { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}
