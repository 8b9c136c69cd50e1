//! Many tasks at once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tracker_core::{Created, Ensured, ErrorKind};

use crate::support::Fault::DropResponse;
use crate::support::{Document, ExtractStatus, World, number, text};

crate::tests![
    creating_many,
    ensuring,
    starting_or_creating,
    overwriting,
    deleting_a_use_case_alone,
    deleting_live_leases_too,
    redriving,
    redriving_all,
    redriving_what_changes,
    what_cannot_be_read_blocks_nothing,
    clocks_that_are_off_delete_nothing,
    two_redrives_at_once,
];

fn ids(count: usize) -> impl Iterator<Item = String> + Send {
    (0..count).map(|nth| format!("doc-{nth:03}"))
}

async fn creating_many(world: World) {
    let documents = world.document().await;
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
    assert!(world.stored_as("extract____last").await.is_some());
    assert_eq!(documents.count_by_status().await.unwrap().total(), 32);

    let again: Vec<_> = documents.create_many_from(stream::iter([Document::new("doc-1")])).collect().await;
    assert!(matches!(again[..], [Created::Existing { .. }]));
}

async fn ensuring(world: World) {
    let documents = world.documents();
    let ensured = documents.ensure(Document { pages: 3, ..Document::new("doc-1") }).await.unwrap();
    assert!(matches!(ensured, Ensured::Created(_)));
    let before = world.stored().await;
    let ensured = documents.ensure(Document { pages: 4, ..Document::new("doc-1") }).await.unwrap();
    assert!(matches!(ensured, Ensured::Existing(_)));
    assert_eq!(ensured.into_task().data().pages, 3, "what is there");
    assert_eq!(world.stored().await, before);
    world.set("data", text("no JSON")).await;
    let error = documents.ensure(Document::new("doc-1")).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Decode { .. }), "{error}");
}

async fn starting_or_creating(world: World) {
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
    assert_eq!(world.stored_as("extract____doc-2").await.unwrap()["attempt"], number(1));
    won.pop().unwrap().succeed().await.unwrap();
}

async fn overwriting(world: World) {
    let documents = world.document().await;
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

    // Its holder learns that the task is another one now.
    let execution = documents.start("doc-000").await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    documents.overwrite_many([Document::new("doc-000")]).await.unwrap();
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored_as("extract____doc-000").await.unwrap()["status"], number(10));
}

async fn deleting_a_use_case_alone(world: World) {
    let named = |id: &str| world.builder::<Document>().use_case_id(id).build().unwrap();
    for other in ["test2", "testing", "tes", "a-test"] {
        named(other).create(Document::new("keep")).await.unwrap();
    }
    // A use case cannot end as the separator begins, but another program's key can.
    let mut item = world.stored_as("test2____keep").await.unwrap();
    item.insert("key".to_owned(), text("test_____keep"));
    item.insert("value".to_owned(), text("test_____010____001"));
    world.put(item).await;
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
    assert!(world.stored_as("test_____keep").await.is_some());
    for other in ["test2", "testing", "tes", "a-test"] {
        assert_eq!(named(other).count_tasks_by_use_case_id().await.unwrap(), 1, "{other}");
        assert!(world.stored_as(&format!("{other}____keep")).await.is_some());
    }
    assert_eq!(test.count_tasks_by_use_case_id().await.unwrap(), 1);
    running.succeed().await.unwrap();
    assert_eq!(world.stored_as("test____doc-007").await.unwrap()["status"], number(16));
}

async fn deleting_live_leases_too(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let deleted = documents.delete_tasks_by_use_case_id().with_live_leases().await.unwrap();
    assert_eq!((deleted.done, deleted.skipped), (1, 0));
    assert_eq!(world.stored_as("extract____doc-1").await, None);
    assert_eq!(*execution.succeed().await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored_as("extract____doc-1").await, None);
}

async fn redriving(world: World) {
    let documents = world.document().await;
    let refused = async |kind: ErrorKind| {
        let before = world.stored().await;
        let error = documents.redrive("doc-1").await.unwrap_err();
        assert_eq!(*error.kind(), kind);
        assert!(error.task().is_some());
        assert_eq!(world.stored().await, before);
    };
    refused(ErrorKind::NotReady { status: "Pending".to_owned() }).await;
    let execution = documents.start("doc-1").await.unwrap();
    let error = documents.redrive("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    execution.fail("first").await.unwrap();
    for nth in ["second", "third"] {
        documents.start("doc-1").await.unwrap().fail(nth).await.unwrap();
    }
    world.clock.advance(Duration::from_mins(1));
    let head = documents.redrive("doc-1").await.unwrap();
    assert!(head.is_pending());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"], &item["attempt"]), (&number(10), &number(0), &number(3)));
    assert_eq!(item["value"], text("extract____010____001"));
    assert_eq!(item["lock"], text("__not_locked__"));
    assert_eq!(item["update_time"], item["lock_time"]);
    assert_eq!(item["errors"].as_m().unwrap()["history"].as_l().unwrap().len(), 3, "kept");
    world.clock.advance(Duration::from_secs(1));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    refused(ErrorKind::AlreadySucceeded).await;
    let error = documents.redrive("doc-2").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound);
}

async fn redriving_all(world: World) {
    let documents = world.builder::<Document>().max_retry(1).build().unwrap();
    world.documents();
    for id in ids(30) {
        documents.create(Document::new(&id)).await.unwrap();
        documents.start(&id).await.unwrap().fail("no").await.unwrap();
    }
    assert_eq!(documents.count_by_status().await.unwrap().get(ExtractStatus::Ignored), 30);
    let mut last = 0;
    let redriven = documents.redrive_all(ExtractStatus::Ignored).on_progress(|progress| last = progress.done);
    let redriven = redriven.await.unwrap();
    assert_eq!((redriven.done, redriven.skipped, last), (30, 0, 30));
    let counts = documents.count_by_status().await.unwrap();
    assert_eq!((counts.get(ExtractStatus::Pending), counts.total()), (30, 30));
}

async fn redriving_what_changes(world: World) {
    let documents = world.document().await;
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.network.next("UpdateItem", [DropResponse]);
    documents.redrive("doc-1").await.expect("our own write, whose answer was lost");
    assert_eq!(world.stored().await["status"], number(10));

    // A late copy of it must not set back what came after.
    let redrive = world.network.count("UpdateItem") - 1;
    world.clock.advance(Duration::from_secs(1));
    documents.start("doc-1").await.unwrap().fail("again").await.unwrap();
    let failed = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", redrive).await.unwrap(), 400);
    assert_eq!(world.stored().await, failed);

    // A Python `save` has dropped `attempt`.
    world.remove(&["attempt", "last_lock", "started_from", "owner"]).await;
    documents.redrive("doc-1").await.unwrap();
    assert_eq!(world.stored().await["status"], number(10));
}

async fn what_cannot_be_read_blocks_nothing(world: World) {
    let documents = world.builder::<Document>().max_retry(1).build().unwrap();
    for id in ids(5) {
        documents.create(Document::new(&id)).await.unwrap();
        documents.start(&id).await.unwrap().fail("no").await.unwrap();
    }
    let mut odd = world.stored_as("extract____doc-000").await.unwrap();
    odd.insert("lock_time".to_owned(), text("odd"));
    world.put(odd.clone()).await;
    let mut errors = Vec::new();
    let redriven = documents.redrive_all(ExtractStatus::Ignored).on_error(|error| errors.push(error));
    let redriven = redriven.await.unwrap();
    assert_eq!((redriven.done, redriven.skipped, redriven.failed), (4, 0, 1));
    assert_eq!(errors[0].key(), Some("extract____doc-000"));
    odd.remove("lock");
    odd.remove("lock_time");
    world.put(odd).await;
    let deleted = documents.delete_tasks_by_use_case_id().await.unwrap();
    assert_eq!((deleted.done, deleted.failed), (5, 0), "nobody holds what has no lock");
    assert_eq!(world.stored_as("extract____doc-000").await, None);
}

async fn clocks_that_are_off_delete_nothing(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.probe.date(tracker_core::Clock::now(&world.clock).wall);
    let fast = world.clock.ahead_by(Duration::from_hours(1));
    let fast = world.builder::<Document>().clock(fast.compared_with_service()).build().unwrap();
    let deleted = fast.delete_tasks_by_use_case_id().await.unwrap();
    assert_eq!((deleted.done, deleted.failed), (0, 1));
    let error = fast.delete("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ClockOff { .. }), "{error}");
    let error = fast.redrive("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ClockOff { .. }), "{error}");
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

async fn two_redrives_at_once(world: World) {
    let documents = world.builder::<Document>().max_retry(1).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    let redrives: Vec<_> = (0..8)
        .map(|_| {
            let rival = world.rival();
            tokio::spawn(async move { rival.redrive("doc-1").await })
        })
        .collect();
    let mut redriven = 0;
    for redrive in redrives {
        match redrive.await.unwrap() {
            Ok(_) => redriven += 1,
            Err(error) => assert!(error.is_refusal(), "{error}"),
        }
    }
    assert!(redriven >= 1);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"], &item["attempt"]), (&number(10), &number(0), &number(1)));
}
