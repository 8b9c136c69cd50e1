//! Creates single tasks.

use std::time::Duration;

use tracker_core::{Ensured, ErrorKind};
use tracker_test_macros::database_test;

use crate::support::{Document, ExtractStatus, Fault, World, data_member, history, number, text};

#[database_test]
async fn create_stores_a_complete_item(world: World) {
    let documents = world.documents();
    let task = documents
        .create(Document { customer: Some("acme".to_owned()), pages: 3, ..Document::new("doc-1") })
        .await
        .unwrap();
    assert_eq!(task.status(), Some(ExtractStatus::Pending));

    let item = world.stored().await;
    let mut names: Vec<_> = item.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "attempt",
            "create_time",
            "customer",
            "data",
            "errors",
            "key",
            "lock",
            "lock_time",
            "lost_lock",
            "retry",
            "status",
            "update_time",
            "value"
        ]
    );
    assert_eq!(item["key"], text("extract____doc-1"));
    // The shard of the documented test vector.
    assert_eq!(item["value"], text("extract____010____001"));
    assert_eq!(item["status"], number(10));
    assert_eq!((&item["retry"], &item["attempt"]), (&number(0), &number(0)));
    assert_eq!(item["create_time"], text("2026-11-24T02:17:26.355394+0000"));
    assert_eq!(item["update_time"], text("2026-11-24T02:17:26.355394+0000"));
    assert_eq!(item["lock"], text("__not_locked__"));
    assert_eq!(item["lock_time"], text("1970-01-01T00:00:00.000000+0000"));
    assert_eq!(item["customer"], text("acme"));
    assert_eq!(data_member(&item, "pages"), Some(&number(3)));
    assert!(
        data_member(&item, "text_uri")
            .is_some_and(tracker_core::aws_sdk_dynamodb::types::AttributeValue::is_null)
    );
    assert!(history(&item).is_empty());
}

#[database_test]
async fn create_refuses_an_existing_task(world: World) {
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let before = world.stored().await;
    world.clock.advance(Duration::from_secs(1));
    let error = documents.create(Document { pages: 9, ..Document::new("doc-1") }).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert!(error.task().unwrap().is_succeeded());
    assert!(!error.is_refusal());
    assert_eq!(world.stored().await, before);
}

#[database_test]
async fn create_refuses_a_task_created_in_the_same_microsecond(world: World) {
    let documents = world.create_document().await;
    let before = world.stored().await;
    let error = documents.create(Document { pages: 9, ..Document::new("doc-1") }).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(world.stored().await, before);
}

/// Two processes may read the same microsecond, and each create must recognise its own item alone.
#[database_test]
async fn only_one_of_two_trackers_creates_a_task_in_the_same_microsecond(world: World) {
    let (ours, rival) = (world.documents(), world.rival());
    ours.create(Document { pages: 1, ..Document::new("doc-1") }).await.unwrap();
    let before = world.stored().await;
    let error = rival.create(Document { pages: 2, ..Document::new("doc-1") }).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    let ensured = rival.ensure(Document { pages: 3, ..Document::new("doc-1") }).await.unwrap();
    let Ensured::Existing(task) = ensured else { panic!("{ensured:?}") };
    assert_eq!((task.head().create_time(), task.data().pages), (error.task().unwrap().create_time(), 1));
    // The response is lost, and the create is sent again: it does not take the item for its own either.
    world.network.next("PutItem", [Fault::DropResponse]);
    let error = rival.create(Document { pages: 4, ..Document::new("doc-1") }).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    let execution = rival.start_or_create(Document { pages: 5, ..Document::new("doc-1") }).await.unwrap();
    assert_eq!(execution.data().pages, 1);
    assert_eq!(world.stored().await["data"], before["data"]);
}

#[database_test]
async fn one_of_many_racing_creates_is_told_that_it_has_created_the_task(world: World) {
    for round in 0..10 {
        let id = format!("doc-{round}");
        let creates = (0..16).map(|pages| {
            let documents = world.documents();
            let data = Document { pages, ..Document::new(&id) };
            async move { documents.create(data).await.map(|task| task.data().pages) }
        });
        let created: Vec<_> =
            futures_util::future::join_all(creates).await.into_iter().filter_map(Result::ok).collect();
        let stored = world.stored_under(&format!("extract____{id}")).await.unwrap();
        let stored = data_member(&stored, "pages").cloned();
        assert_eq!(created.iter().map(|pages| Some(number((*pages).into()))).collect::<Vec<_>>(), [stored]);
    }
}

/// The response is lost, and before the create is sent again, a worker takes the task over: no token is left.
#[database_test]
async fn create_whose_token_is_gone_is_unknown(world: World) {
    let (documents, rival) = (world.documents(), world.rival());
    world.network.next("PutItem", [Fault::DropResponse]);
    let meanwhile = world.clone();
    world.clock.during_next_sleep(async move {
        drop(rival.start("doc-1").await.unwrap());
        meanwhile.wait_until_unlocked().await;
        let mut item = meanwhile.stored().await;
        item.insert("lost_lock".to_owned(), text("0123456789abcdef0123456789abcdef"));
        meanwhile.put_item(item).await;
    });
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored().await["attempt"], number(1));
}

#[database_test]
async fn create_refuses_a_running_task(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let before = world.stored().await;
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(error.task().unwrap().owner(), Some("worker-1"));
    assert_eq!(world.stored().await, before);
    execution.succeed().await.unwrap();
}

#[database_test]
async fn task_id_may_be_any_text_of_valid_length(world: World) {
    let documents = world.documents();
    let longest = "x".repeat(world.longest_id());
    for id in ["a____b", "____", "_", "é漢😀 \n\t\"#:", "000", longest.as_str()] {
        documents.create(Document::new(id)).await.unwrap();
        documents.start(id).await.unwrap().succeed().await.unwrap();
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        assert_eq!(item["status"], number(16));
        let task = documents.get(id).consistent().await.unwrap().unwrap();
        assert_eq!(task.task_id(), id);
        assert_eq!(task.use_case_id(), "extract");
    }
    for (id, says) in [
        (String::new(), "it is empty"),
        (format!("{longest}y"), if longest.len() == 1024 { "1024" } else { "use at most 2037 bytes" }),
    ] {
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
        assert_eq!(world.network.count_all(), sent, "no request was sent");
    }
}

#[database_test]
async fn create_refuses_an_item_that_is_too_large(world: World) {
    let documents = world.documents();
    let large = Document { text_uri: Some("x".repeat(410_000)), ..Document::new("doc-1") };
    let error = documents.create(large).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::ItemTooLarge);
    assert_eq!(error.key(), Some("extract____doc-1"));
    assert_eq!(world.stored_under("extract____doc-1").await, None);
}

#[database_test]
async fn create_refuses_an_unreadable_item(world: World) {
    let documents = world.create_document().await;
    world.set_attribute("retry", text("x")).await;
    let before = world.stored().await;
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(world.stored().await, before);
}

#[database_test]
async fn ensure_returns_an_existing_task(world: World) {
    let documents = world.documents();
    let ensured = documents.ensure(Document { pages: 3, ..Document::new("doc-1") }).await.unwrap();
    assert!(matches!(ensured, Ensured::Created(_)));
    let before = world.stored().await;
    let ensured = documents.ensure(Document { pages: 4, ..Document::new("doc-1") }).await.unwrap();
    assert!(matches!(ensured, Ensured::Existing(_)));
    assert_eq!(ensured.into_task().data().pages, 3, "the existing task is returned");
    assert_eq!(world.stored().await, before);
    world.set_attribute("data", text("no JSON")).await;
    let error = documents.ensure(Document::new("doc-1")).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Decode { .. }), "{error}");
}

#[database_test]
async fn start_or_create_creates_once_and_starts(world: World) {
    let documents = world.documents();
    let new = || Document { pages: 3, ..Document::new("doc-1") };
    let execution = documents.start_or_create(new()).await.unwrap();
    assert_eq!((execution.data().pages, execution.attempt()), (3, 1));
    let error = documents.start_or_create(new()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    execution.fail("no").await.unwrap();
    documents.start_or_create(new()).await.unwrap().succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
    let error = documents.start_or_create(new()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadySucceeded);

    let starts: Vec<_> = (0..16)
        .map(|_| {
            let rival = world.rival();
            tokio::spawn(async move { rival.start_or_create(Document::new("doc-2")).await })
        })
        .collect();
    let mut won = Vec::new();
    for start in starts {
        won.extend(start.await.unwrap().ok());
    }
    assert_eq!(won.len(), 1);
    assert_eq!(world.stored_under("extract____doc-2").await.unwrap()["attempt"], number(1));
    won.pop().unwrap().succeed().await.unwrap();
}
