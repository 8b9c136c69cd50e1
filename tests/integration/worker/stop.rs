//! How a worker stops, and how it leaves its tasks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Barrier, Notify};
use tracker_core::testing::{FaultyNetwork, Rates};
use tracker_core::{CancellationToken, Clock, ErrorKind, Execution};
use tracker_test_macros::database_test;

use super::{counts, create_documents, stored_counts};
use crate::support::ExtractStatus::{Failed, Pending, Succeeded};
use crate::support::{Document, Fault, World};

#[database_test]
async fn shutdown_lets_bodies_finish_within_the_grace_period(world: World) {
    let documents = create_documents(world.builder_with_heartbeat(), 5).await;
    let stop = CancellationToken::new();
    let token = stop.clone();
    let clock = world.clock.manual();
    let worker = documents.worker().concurrency(2).shutdown(stop).grace(Duration::from_secs(20));
    let both = Arc::new(Barrier::new(2));
    let worker = worker.run(async move |_| {
        both.wait().await;
        token.cancel();
        clock.sleep(Duration::from_secs(10)).await;
        Ok(())
    });
    let summary = world.run_while_advancing_clock(worker).await.unwrap();
    assert_eq!((summary.succeeded, summary.attempts()), (2, 2), "{summary}");
    assert_eq!(stored_counts(&world, 5).await, counts([(Pending, 3), (Succeeded, 2)]));
}

#[database_test]
async fn shutdown_releases_bodies_that_outlast_the_grace_period(world: World) {
    let documents = create_documents(world.builder_with_heartbeat(), 5).await;
    let stop = CancellationToken::new();
    let token = stop.clone();
    let worker = documents.worker().concurrency(2).shutdown(stop).grace(Duration::from_secs(20));
    let both = Arc::new(Barrier::new(2));
    let worker = worker.run(async move |_| {
        both.wait().await;
        token.cancel();
        std::future::pending().await
    });
    let summary = world.run_while_advancing_clock(worker).await.unwrap();
    assert_eq!((summary.released, summary.attempts()), (2, 2), "{summary}");
    assert_eq!(stored_counts(&world, 5).await, counts([(Pending, 5)]));
    for nth in 0..5 {
        let task = documents.get(&format!("doc-{nth}")).consistent().await.unwrap().unwrap();
        assert_eq!((task.failed_attempts(), task.errors().len()), (0, 0), "no failed attempt is counted");
    }
}

#[database_test(reads_at_once)]
async fn worker_claims_nothing_in_the_margin_of_its_deadline(world: World) {
    let documents = create_documents(world.builder_with_heartbeat(), 3).await;
    let clock = world.clock.manual();
    let body = async move |_: &mut Execution<Document>| {
        clock.advance(Duration::from_secs(20));
        Ok(())
    };
    let worker = || documents.worker().concurrency(1).margin(Duration::from_secs(30));
    // Two bodies begin before the last 30 s: at 0 s and at 20 s.
    let worker_of_60 = worker().deadline(Duration::from_mins(1)).run(body.clone());
    let summary = worker_of_60.await.unwrap();
    assert_eq!((summary.succeeded, summary.attempts()), (2, 2), "{summary}");
    assert!(summary.elapsed <= Duration::from_mins(1), "{summary}");
    assert_eq!(stored_counts(&world, 3).await, counts([(Pending, 1), (Succeeded, 2)]));
    for seconds in [0, 10, 30] {
        let summary = worker().deadline(Duration::from_secs(seconds)).run(body.clone()).await.unwrap();
        assert_eq!((summary.attempts(), summary.refused), (0, 0), "{summary}");
    }
}

#[database_test(reads_at_once)]
async fn deadline_releases_bodies_that_still_run(world: World) {
    let documents = create_documents(world.builder_with_heartbeat(), 2).await;
    let begun = Arc::new(Barrier::new(3));
    let began = Arc::clone(&begun);
    let worker = documents.worker().deadline(Duration::from_mins(1));
    let worker = tokio::spawn(worker.run(async move |_| {
        began.wait().await;
        std::future::pending().await
    }));
    // No time passes until both bodies have begun.
    begun.wait().await;
    let summary = world.run_while_advancing_clock(worker).await.unwrap().unwrap();
    assert_eq!((summary.released, summary.attempts()), (2, 2), "{summary}");
    assert!(summary.elapsed < Duration::from_mins(1), "{summary}");
    assert_eq!(stored_counts(&world, 2).await, counts([(Pending, 2)]));
}

#[database_test(reads_at_once)]
async fn shutdown_is_honoured_in_the_margin_of_a_deadline(world: World) {
    let documents = create_documents(world.builder_with_heartbeat(), 1).await;
    let stop = CancellationToken::new();
    let token = stop.clone();
    let clock = world.clock.manual();
    let (margin, grace) = (Duration::from_mins(5), Duration::from_secs(5));
    let worker = documents.worker().deadline(Duration::from_mins(10)).margin(margin).grace(grace);
    let begun = Arc::new(Barrier::new(2));
    let began = Arc::clone(&begun);
    let worker = tokio::spawn(worker.shutdown(stop).run(async move |_| {
        began.wait().await;
        // Sleep into the margin, in which nothing more is claimed.
        clock.sleep(Duration::from_secs(310)).await;
        token.cancel();
        std::future::pending().await
    }));
    begun.wait().await;
    let summary = world.run_while_advancing_clock(worker).await.unwrap().unwrap();
    assert_eq!((summary.released, summary.attempts()), (1, 1), "{summary}");
    assert!(summary.elapsed < Duration::from_secs(320), "{summary}");
    assert_eq!(stored_counts(&world, 1).await, counts([(Pending, 1)]));
}

#[database_test]
async fn grace_period_and_deadline_may_end_together(world: World) {
    let documents = create_documents(world.builder_with_heartbeat(), 1).await;
    let (stop, clock) = (CancellationToken::new(), world.clock.manual());
    let token = stop.clone();
    let secs = Duration::from_secs;
    let worker = documents.worker().deadline(secs(10)).margin(secs(2)).shutdown(stop).grace(secs(5));
    let worker = worker.run(async move |_| {
        clock.sleep(secs(5)).await;
        token.cancel();
        std::future::pending().await
    });
    let summary = world.run_while_advancing_clock(worker).await.unwrap();
    assert_eq!((summary.released, summary.left, summary.attempts()), (1, 0, 1), "{summary}");
    assert!(summary.elapsed <= secs(10), "{summary}");
    assert_eq!(stored_counts(&world, 1).await, counts([(Pending, 1)]));
}

#[database_test]
async fn dropped_worker_records_its_tasks_as_failed(world: World) {
    let documents = create_documents(world.builder(), 1).await;
    let begun = Arc::new(Notify::new());
    let began = Arc::clone(&begun);
    let worker = documents.worker().run(async move |_| {
        began.notify_one();
        std::future::pending().await
    });
    tokio::select! {
        _ = worker => unreachable!("the worker runs for ever"),
        () = begun.notified() => {}
    }
    world.wait_until_unlocked_under("extract____doc-0").await;
    assert_eq!(stored_counts(&world, 1).await, counts([(Failed, 1)]));
}

#[database_test]
async fn drain_does_not_wait_for_locked_or_scheduled_tasks(world: World) {
    let documents = create_documents(world.builder().clock(world.clock.manual()), 3).await;
    let held = world.rival().start("doc-0").await.unwrap();
    let tomorrow = world.clock.now().wall + chrono::TimeDelta::days(1);
    documents.create_at(Document::new("later"), tomorrow).await.unwrap();
    let summary =
        world.run_while_advancing_clock(documents.worker().drain().run(async |_| Ok(()))).await.unwrap();
    assert_eq!((summary.succeeded, summary.refused), (2, 0), "{summary}");
    assert!(summary.elapsed < Duration::from_secs(10), "{summary}");
    held.release().await.unwrap();
    assert_eq!(stored_counts(&world, 3).await, counts([(Pending, 1), (Succeeded, 2)]));
}

#[database_test]
async fn worker_fails_without_its_table_or_index(world: World) {
    let nowhere = world.builder::<Document>().table("nowhere").build().unwrap();
    let error = nowhere.worker().run(async |_| Ok(())).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TableNotFound { .. }), "{error}");
    let other = world.builder::<Document>().index("another-index").build().unwrap();
    let error = other.worker().run(async |_| Ok(())).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TableMismatch { .. }), "{error}");
}

#[database_test]
async fn worker_refuses_invalid_options(world: World) {
    let documents = world.documents();
    let second = Duration::from_secs(1);
    for (worker, what) in [
        (documents.worker().concurrency(0), "concurrency"),
        (documents.worker().poll(Duration::ZERO, second), "poll"),
        (documents.worker().poll(second, second / 2), "poll"),
    ] {
        let error = worker.run(async |_| Ok(())).await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidConfig { reason } if reason.contains(what)),
            "{error}"
        );
    }
    let worker = documents.worker();
    let ran = std::thread::spawn(move || futures_util::FutureExt::now_or_never(worker.run(async |_| Ok(()))));
    let error = ran.join().unwrap().expect("an error at once").unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::InvalidConfig { reason } if reason.contains("Tokio")),
        "{error}"
    );
}

/// What DynamoDB does not answer when the worker has to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    TableCheck,
    Search,
    Start,
    Finish,
    Release,
}

/// Makes DynamoDB silent in one phase of a worker, and stops the worker. Asserts that the worker is back in time.
async fn assert_stops_in_time(world: &World, phase: Phase, fault: Fault, by_deadline: bool) {
    let what = format!("{phase:?}, {fault:?}, by deadline: {by_deadline}");
    let limit = Duration::from_secs(8);
    let id = format!("doc-{phase:?}-{}-{by_deadline}", fault.name());
    let documents =
        world.builder_with_heartbeat().use_case_id(format!("stop-{}", id.replace('-', ""))).build();
    let documents = documents.unwrap();
    documents.create(Document::new(&id)).await.unwrap();
    let (network, clock, stop) = (world.network.clone(), world.clock.manual(), CancellationToken::new());
    let silence = move |network: &FaultyNetwork, operation: &str| {
        network.rates_of(operation, Rates::none().with(fault, 1.0));
    };
    match phase {
        Phase::TableCheck => silence(&network, "DescribeTable"),
        Phase::Search => silence(&network, "Query"),
        Phase::Start => silence(&network, "UpdateItem"),
        Phase::Finish | Phase::Release => {}
    }
    let worker = documents.worker().poll(Duration::from_millis(500), Duration::from_secs(1));
    let worker = if by_deadline {
        worker.deadline(limit).margin(Duration::from_secs(2))
    } else {
        worker.shutdown(stop.clone()).grace(Duration::from_secs(1))
    };
    let worker = worker.run(async move |_| {
        silence(&network, "UpdateItem");
        match phase {
            Phase::Release => std::future::pending().await,
            _ => Ok(()),
        }
    });
    let began = clock.now().monotonic;
    let worker = async {
        // The end by shutdown: at 7 s, with a grace period of 1 s.
        let stop = async {
            clock.sleep(limit.saturating_sub(Duration::from_secs(1))).await;
            stop.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = worker => ended,
            () = stop => unreachable!("it waits for ever"),
        }
    };
    let ended = world.run_while_advancing_clock(worker).await;
    let took = clock.now().monotonic.saturating_sub(began);
    assert!(took <= limit + Duration::from_secs(1), "{what}: {took:?}");
    match ended {
        Ok(summary) => {
            let held = matches!(phase, Phase::Finish | Phase::Release);
            assert_eq!(
                summary.left + summary.unknown > 0,
                held || phase == Phase::Start && summary.left > 0,
                "{what}: {summary}"
            );
            assert_eq!(summary.succeeded, 0, "{what}: {summary}");
        }
        Err(error) => {
            assert_eq!((phase, error.kind()), (Phase::TableCheck, &ErrorKind::Unavailable), "{what}");
        }
    }
    world.network.calm();
}

#[database_test]
async fn worker_stops_in_time_although_dynamodb_does_not_answer(world: World) {
    for phase in [Phase::TableCheck, Phase::Search, Phase::Start, Phase::Finish, Phase::Release] {
        for fault in [Fault::Delay(Duration::from_hours(24)), Fault::DropRequest, Fault::InternalError] {
            for by_deadline in [true, false] {
                assert_stops_in_time(&world, phase, fault, by_deadline).await;
            }
        }
    }
}

/// The body blocks its thread, so that nothing can interrupt it. The worker leaves it behind.
#[database_test(reads_at_once)]
async fn body_that_blocks_its_thread_does_not_delay_the_worker(world: World) {
    let documents = create_documents(world.builder_with_heartbeat(), 1).await;
    let (stop, clock) = (CancellationToken::new(), world.clock.manual());
    let (entered, in_body) = tokio::sync::oneshot::channel();
    let (unblock, blocked) = std::sync::mpsc::channel::<()>();
    let entered = Arc::new(std::sync::Mutex::new(Some(entered)));
    let blocked = Arc::new(std::sync::Mutex::new(blocked));
    let worker = documents.worker().shutdown(stop.clone()).grace(Duration::from_secs(1));
    let thread = std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let summary = runtime.block_on(worker.run(async move |_| {
            entered.lock().unwrap().take().unwrap().send(()).unwrap();
            while blocked.lock().unwrap().recv().is_ok() {}
            Ok(())
        }));
        // The blocked thread is left behind, too.
        runtime.shutdown_background();
        summary
    });
    in_body.await.unwrap();
    stop.cancel();
    world
        .wait_until("the worker has ended", || {
            clock.advance(Duration::from_millis(100));
            std::future::ready(thread.is_finished())
        })
        .await;
    let summary = thread.join().unwrap().unwrap();
    assert_eq!((summary.left, summary.attempts()), (1, 0), "{summary}");
    drop(unblock);
}
