//! Starts and ends many tasks in few requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tracker_core::testing::Fault;
use tracker_core::{End, Ended, Error, ErrorKind, Event, EventKind, Execution, Failure, Tracker};
use tracker_test_macros::database_test;

use crate::support::{Document, Units, World, entry, ids, number, text};

const BATCH: &str = "BatchExecuteStatement";

/// Creates `doc-000`, `doc-001` and so on.
async fn create(world: &World, tasks: usize) -> (Tracker<Document>, Vec<String>) {
    let documents = world.documents();
    let overwritten = documents.overwrite_many(ids(tasks).map(|id| Document::new(&id))).await.unwrap();
    assert_eq!(overwritten.written, tasks as u64);
    world.clock.advance(Duration::from_secs(1));
    (documents, ids(tasks).collect())
}

/// Starts tasks, all of which can be started.
async fn start_all(documents: &Tracker<Document>, ids: &[String]) -> Vec<Execution<Document>> {
    documents.start_many(ids).await.into_iter().collect::<Result<_, _>>().unwrap()
}

/// Counts stored tasks by status and attempt, and asserts that nobody holds any of them.
async fn stored_counts(world: &World, ids: &[String]) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for id in ids {
        let item = world.stored_under(&format!("extract____{id}")).await.expect("an item");
        assert_eq!(item["lock"], text("__not_locked__"), "{id} is held");
        let number = |name: &str| item[name].as_n().unwrap().clone();
        *counts.entry((number("status"), number("attempt"))).or_default() += 1;
    }
    counts
}

fn all(status: &str, attempt: &str, tasks: usize) -> BTreeMap<(String, String), usize> {
    BTreeMap::from([((status.to_owned(), attempt.to_owned()), tasks)])
}

#[database_test(whole_batches)]
async fn lifecycles_of_many_tasks_take_few_requests_and_cost_the_same(world: World) {
    let (documents, ids) = create(&world, 60).await;
    world.probe.measure();
    // DynamoDB Local reports no units for statements.
    let units = match world.endpoint {
        Some(_) => Units::default(),
        None => Units { table: 60.0, index: 120.0 },
    };
    let mut started = start_all(&documents, &ids).await;
    // The index is written twice: the row of the old status is deleted, and a row of the new status is put.
    assert_eq!(world.probe.total_units(), units);
    for (nth, task) in started.iter_mut().enumerate() {
        assert_eq!((task.task_id(), task.attempt()), (&ids[nth], 1));
        task.data_mut().pages = u32::try_from(nth).unwrap();
    }
    let item = world.stored_under("extract____doc-059").await.unwrap();
    assert_eq!(
        (&item["status"], &item["attempt"], &item["started_from"]),
        (&number(12), &number(1), &number(10))
    );
    world.probe.spent();
    for (nth, result) in documents.succeed_many(started).await.into_iter().enumerate() {
        assert_eq!(result.unwrap().data().pages as usize, nth);
    }
    assert_eq!(world.probe.total_units(), units);
    assert_eq!(stored_counts(&world, &ids).await, all("16", "1", 60));
    assert_eq!(
        world.stored_under("extract____doc-059").await.unwrap()["data"].as_m().unwrap()["pages"],
        number(59)
    );
    assert_eq!(
        (world.network.count(BATCH), world.network.count("UpdateItem")),
        (6, 0),
        "25, 25 and 10, twice"
    );
}

#[database_test(whole_batches)]
async fn a_thousand_starts_have_a_thousand_results(world: World) {
    let (documents, ids) = create(&world, 1000).await;
    let started = start_all(&documents, &ids).await;
    assert_eq!(started.len(), 1000);
    let ended = documents.succeed_many(started).await;
    assert!(ended.iter().all(Result::is_ok));
    assert_eq!(stored_counts(&world, &ids).await, all("16", "1", 1000));
    let requests = world.network.count(BATCH) + world.network.count("UpdateItem");
    assert!((80..=160).contains(&requests), "{requests} requests");
}

#[database_test]
async fn each_id_has_a_result_of_its_own(world: World) {
    let (documents, _) = create(&world, 6).await;
    documents.run("doc-000", async |_| Ok(())).await.unwrap();
    documents.start("doc-001").await.unwrap().fail("once").await.unwrap();
    let held = world.rival().start("doc-002").await.unwrap();
    documents.create_at(Document::new("later"), world.in_one_hour()).await.unwrap();
    // As Python writes an item.
    let mut python = world.stored_under("extract____doc-005").await.unwrap();
    python.remove("attempt");
    world.put_item(python).await;
    world.clock.advance(Duration::from_secs(1));
    let long = "x".repeat(2048);
    let asked = [
        "", "doc-000", "doc-001", "doc-002", "doc-003", "doc-003", "later", "missing", "doc-004", "doc-005",
        &long,
    ];
    let before = world.network.count("BatchGetItem");
    let results = documents.start_many(asked).await;
    assert_eq!(world.network.count("BatchGetItem") - before, 1, "one read for all failed members");
    assert_eq!(results.len(), asked.len());
    let kind =
        |nth: usize| results[nth].as_ref().map_err(|error| error.kind().clone()).map(Execution::attempt);
    assert!(matches!(kind(0), Err(ErrorKind::InvalidTaskId { .. })), "{:?}", kind(0));
    assert_eq!(kind(1), Err(ErrorKind::AlreadySucceeded));
    assert_eq!(kind(2), Ok(2), "a failed task is started as well");
    assert!(
        matches!(kind(3), Err(ErrorKind::Locked { by_this_tracker: false, owner: Some(owner), .. }) if owner == "worker-2"),
        "{:?}",
        kind(3)
    );
    assert_eq!(kind(4), Ok(1));
    assert!(matches!(kind(5), Err(ErrorKind::Locked { by_this_tracker: true, .. })), "{:?}", kind(5));
    assert!(matches!(kind(6), Err(ErrorKind::NotDue { .. })), "{:?}", kind(6));
    assert_eq!(kind(7), Err(ErrorKind::NotFound));
    assert_eq!(kind(8), Ok(1));
    assert_eq!(kind(9), Ok(1), "an item of Python has no `attempt`");
    assert!(matches!(kind(10), Err(ErrorKind::InvalidTaskId { .. })), "{:?}", kind(10));
    for (asked, result) in asked.iter().zip(&results) {
        if let Err(error) = result
            && !matches!(error.kind(), ErrorKind::InvalidTaskId { .. })
        {
            assert_eq!(error.key(), Some(&*format!("extract____{asked}")));
        }
    }
    let started = results.into_iter().flatten();
    assert!(documents.succeed_many(started).await.iter().all(Result::is_ok));
    held.release().await.unwrap();
    assert!(documents.start_many::<str>([]).await.is_empty());
}

#[database_test]
async fn each_execution_ends_in_its_own_way(world: World) {
    let (documents, ids) = create(&world, 6).await;
    let mut started = start_all(&documents, &ids).await;
    let taken = started.pop().unwrap();
    let mut item = world.stored_under("extract____doc-005").await.unwrap();
    item.insert("lock".to_owned(), text("somebody else"));
    world.put_item(item.clone()).await;
    started[0].data_mut().pages = 7;
    let ends = [
        End::Succeed,
        End::Fail(Failure::retry("once")),
        End::Fail(Failure::fatal("never")),
        End::Fail(Failure::snooze(Duration::from_mins(1))),
        End::Release,
    ];
    let ends: Vec<_> = started.into_iter().zip(ends).chain([(taken, End::Succeed)]).collect();
    let results = documents.end_many(ends).await;
    let ended = |result: &Result<Ended<Document>, Error>| match result {
        Ok(Ended::Succeeded(task)) => task.data().pages.to_string(),
        Ok(Ended::Unsuccessful(task)) => format!("{:?}", task.status().unwrap()),
        Ok(other) => panic!("{other:?}"),
        Err(error) => format!("{:?}", error.kind()),
    };
    let ended: Vec<_> = results.iter().map(ended).collect();
    assert_eq!(ended, ["7", "Failed", "Ignored", "Pending", "Pending", "LeaseLost"]);
    let mut statuses = Vec::new();
    for id in &ids {
        let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        statuses.push(item["status"].as_n().unwrap().clone());
        if id == "doc-002" {
            assert_eq!(entry(&item, 0, "error"), "never");
        }
        assert_eq!(item.contains_key("run_at"), id == "doc-003");
    }
    assert_eq!(statuses, ["16", "14", "18", "10", "10", "12"]);
    assert_eq!(
        world.stored_under("extract____doc-005").await.unwrap(),
        item,
        "nothing is written to a lost task"
    );
}

/// A result becomes an end.
#[database_test]
async fn results_become_ends() {
    assert!(matches!(Ok::<(), Failure>(()).into(), End::Succeed));
    assert!(matches!(Err::<(), _>(std::io::Error::other("no")).into(), End::Fail(_)));
}

const FAULTS: [Fault; 12] = [
    Fault::DropRequest,
    Fault::DropResponse,
    Fault::Delay(Duration::from_millis(10)),
    Fault::DuplicateLate(Duration::from_secs(5)),
    Fault::Throttle,
    Fault::InternalError,
    Fault::InternalErrorAfterApplying,
    Fault::CutBody,
    Fault::ForeignResponse,
    Fault::ThrottleMembers,
    Fault::RefuseMember,
    Fault::Deny,
];

#[database_test]
async fn every_fault_of_a_shared_request_leaves_each_task_done_once(world: World) {
    let (documents, ids) = create(&world, 10).await;
    for (nth, fault) in FAULTS.into_iter().enumerate() {
        documents.overwrite_many(ids.iter().map(|id| Document::new(id))).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        // The tracker that was refused shares nothing any more.
        let documents = world.documents();
        world.network.keep_copies(50);
        let before = world.network.count(BATCH);
        world.network.next(BATCH, [fault]);
        let started = start_all(&documents, &ids).await;
        world.network.next(BATCH, [fault]);
        let ended = documents.succeed_many(started).await;
        assert!(ended.iter().all(Result::is_ok), "{fault:?}: {ended:?}");
        assert_eq!(stored_counts(&world, &ids).await, all("16", "1", 10), "{fault:?}");
        let injected = world.network.injected()[fault.name()];
        assert_eq!(injected, if fault == Fault::Deny { 1 } else { 2 }, "{fault:?}");
        world.network.calm();
        // Copies of every shared request, late and in the wrong order, change nothing.
        world.deliver_late_requests().await;
        let sent = world.network.count(BATCH) - before;
        assert!(sent >= 1, "{nth}");
        for copy in (before..before + sent).rev() {
            world.network.deliver_again(BATCH, copy).await.unwrap();
        }
        assert_eq!(stored_counts(&world, &ids).await, all("16", "1", 10), "{fault:?}: after the copies");
    }
}

#[database_test]
async fn without_the_permission_each_write_is_a_request_of_its_own(world: World) {
    let (documents, ids) = create(&world, 30).await;
    world.network.next(BATCH, [Fault::Deny, Fault::Deny]);
    let started = start_all(&documents, &ids).await;
    assert!(documents.succeed_many(started).await.iter().all(Result::is_ok));
    assert_eq!(stored_counts(&world, &ids).await, all("16", "1", 30));
    assert_eq!((world.network.count(BATCH), world.network.count("UpdateItem")), (2, 60));
}

#[database_test]
async fn dropped_start_of_many_releases_the_tasks(world: World) {
    let (documents, ids) = create(&world, 10).await;
    let delay = Duration::from_secs(1);
    world.network.next(BATCH, [Fault::Delay(delay)]);
    let is_sent = async || world.network.count(BATCH) == 1;
    world.run_until("the starts are sent", documents.start_many(&ids), is_sent).await;
    world.clock.advance(delay);
    for id in &ids {
        let item = world.wait_until_unlocked_under(&format!("extract____{id}")).await;
        assert_eq!((&item["status"], &item["retry"]), (&number(10), &number(0)));
    }
}

#[database_test]
async fn dropped_start_of_many_releases_what_has_started(world: World) {
    let (_, ids) = create(&world, 50).await;
    let started = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&started);
    let observer = move |event: &Event<'_>| {
        counter.fetch_add(usize::from(event.kind == EventKind::Started), Ordering::Relaxed);
    };
    let documents = world.builder::<Document>().observer(observer).build().unwrap();
    let delay = Duration::from_secs(1);
    // The first group is answered; the second waits.
    world.network.next(BATCH, [Fault::Delay(Duration::ZERO), Fault::Delay(delay)]);
    let has_started = async || started.load(Ordering::Relaxed) == 25;
    world.run_until("a group has started", documents.start_many(&ids), has_started).await;
    assert_eq!(world.network.count(BATCH), 2);
    world.clock.advance(delay);
    for id in &ids {
        let item = world.wait_until_unlocked_under(&format!("extract____{id}")).await;
        let all = [&item["status"], &item["retry"], &item["attempt"]];
        assert_eq!(all, [&number(10), &number(0), &number(1)], "{id}");
    }
    assert_eq!(started.load(Ordering::Relaxed), 50);
}

/// The first of two ends that share a request is not polled again, as in a thread that computes.
#[database_test]
async fn end_that_stalls_keeps_no_answer_from_others(world: World) {
    let (documents, ids) = create(&world, 2).await;
    let mut started = start_all(&documents, &ids).await;
    let mut second = Box::pin(documents.succeed_many(started.pop()));
    let mut first = Box::pin(documents.succeed_many(started.pop()));
    // Both wait to share a request. Then the first one lets the request be sent.
    assert!(futures_util::poll!(first.as_mut()).is_pending());
    assert!(futures_util::poll!(second.as_mut()).is_pending());
    assert!(futures_util::poll!(first.as_mut()).is_pending());
    second.await.pop().unwrap().unwrap();
    assert_eq!(stored_counts(&world, &ids).await, all("16", "1", 2));
    first.await.pop().unwrap().unwrap();
    assert_eq!(world.network.count(BATCH), 2, "a request for the starts, and one for the ends");
}
