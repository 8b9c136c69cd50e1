//! How a worker ends, and what it leaves.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Barrier, Notify};
use tracker_core::{CancellationToken, Clock, ErrorKind, Execution};

use super::{documents, so_many, stored};
use crate::support::ExtractStatus::{Failed, Pending, Succeeded};
use crate::support::{Document, World};

crate::tests![
    bodies_may_finish_within_the_grace_period,
    what_runs_after_it_is_given_back,
    nothing_is_claimed_in_the_margin_of_a_deadline,
    a_deadline_gives_back_what_still_runs,
    a_shutdown_is_heard_after_a_deadline_has_closed_it,
    a_worker_that_is_dropped_leaves_failures,
    a_drain_waits_for_nobody,
    without_a_table_there_is_one_error,
    options_that_make_no_sense,
];

async fn bodies_may_finish_within_the_grace_period(world: World) {
    let documents = documents(world.beating(), 5).await;
    let stop = CancellationToken::new();
    let token = stop.clone();
    let clock = world.clock.waiting();
    let worker = documents.worker().concurrency(2).shutdown(stop).grace(Duration::from_secs(20));
    let both = Arc::new(Barrier::new(2));
    let worker = worker.run(async move |_| {
        both.wait().await;
        token.cancel();
        clock.sleep(Duration::from_secs(10)).await;
        Ok(())
    });
    let summary = world.driven(worker).await.unwrap();
    assert_eq!((summary.succeeded, summary.attempts()), (2, 2), "{summary}");
    assert_eq!(stored(&world, 5).await, so_many([(Pending, 3), (Succeeded, 2)]));
}

async fn what_runs_after_it_is_given_back(world: World) {
    let documents = documents(world.beating(), 5).await;
    let stop = CancellationToken::new();
    let token = stop.clone();
    let worker = documents.worker().concurrency(2).shutdown(stop).grace(Duration::from_secs(20));
    let both = Arc::new(Barrier::new(2));
    let worker = worker.run(async move |_| {
        both.wait().await;
        token.cancel();
        std::future::pending().await
    });
    let summary = world.driven(worker).await.unwrap();
    assert_eq!((summary.released, summary.attempts()), (2, 2), "{summary}");
    assert_eq!(stored(&world, 5).await, so_many([(Pending, 5)]));
    for nth in 0..5 {
        let task = documents.get(&format!("doc-{nth}")).consistent().await.unwrap().unwrap();
        assert_eq!((task.failed_attempts(), task.errors().len()), (0, 0), "not counted");
    }
}

async fn nothing_is_claimed_in_the_margin_of_a_deadline(world: World) {
    let documents = documents(world.beating(), 3).await;
    let clock = world.clock.waiting();
    let body = async move |_: &mut Execution<Document>| {
        clock.advance(Duration::from_secs(20));
        Ok(())
    };
    let worker = || documents.worker().concurrency(1).margin(Duration::from_secs(30));
    // Two begin before the last 30 s: at 0 and at 20.
    let worker_of_60 = worker().deadline(Duration::from_mins(1)).run(body.clone());
    let summary = worker_of_60.await.unwrap();
    assert_eq!((summary.succeeded, summary.attempts()), (2, 2), "{summary}");
    assert!(summary.elapsed <= Duration::from_mins(1), "{summary}");
    assert_eq!(stored(&world, 3).await, so_many([(Pending, 1), (Succeeded, 2)]));
    for seconds in [0, 10, 30] {
        let summary = worker().deadline(Duration::from_secs(seconds)).run(body.clone()).await.unwrap();
        assert_eq!((summary.attempts(), summary.refused), (0, 0), "{summary}");
    }
}

async fn a_deadline_gives_back_what_still_runs(world: World) {
    let documents = documents(world.beating(), 2).await;
    let begun = Arc::new(Barrier::new(3));
    let began = Arc::clone(&begun);
    let worker = documents.worker().deadline(Duration::from_mins(1));
    let worker = tokio::spawn(worker.run(async move |_| {
        began.wait().await;
        std::future::pending().await
    }));
    // Until both have begun, no time passes.
    begun.wait().await;
    let summary = world.driven(worker).await.unwrap().unwrap();
    assert_eq!((summary.released, summary.attempts()), (2, 2), "{summary}");
    assert!(summary.elapsed < Duration::from_mins(1), "{summary}");
    assert_eq!(stored(&world, 2).await, so_many([(Pending, 2)]));
}

async fn a_shutdown_is_heard_after_a_deadline_has_closed_it(world: World) {
    let documents = documents(world.beating(), 1).await;
    let stop = CancellationToken::new();
    let token = stop.clone();
    let clock = world.clock.waiting();
    let (margin, grace) = (Duration::from_mins(5), Duration::from_secs(5));
    let worker = documents.worker().deadline(Duration::from_mins(10)).margin(margin).grace(grace);
    let begun = Arc::new(Barrier::new(2));
    let began = Arc::clone(&begun);
    let worker = tokio::spawn(worker.shutdown(stop).run(async move |_| {
        began.wait().await;
        // Past the time at which nothing more is claimed.
        clock.sleep(Duration::from_secs(310)).await;
        token.cancel();
        std::future::pending().await
    }));
    begun.wait().await;
    let summary = world.driven(worker).await.unwrap().unwrap();
    assert_eq!((summary.released, summary.attempts()), (1, 1), "{summary}");
    assert!(summary.elapsed < Duration::from_secs(320), "{summary}");
    assert_eq!(stored(&world, 1).await, so_many([(Pending, 1)]));
}

async fn a_worker_that_is_dropped_leaves_failures(world: World) {
    let documents = documents(world.builder(), 1).await;
    let begun = Arc::new(Notify::new());
    let began = Arc::clone(&begun);
    let worker = documents.worker().run(async move |_| {
        began.notify_one();
        std::future::pending().await
    });
    tokio::select! {
        _ = worker => unreachable!("it goes on for ever"),
        () = begun.notified() => {}
    }
    let is_free = || async {
        world.stored_as("extract____doc-0").await.unwrap()["lock"].as_s().unwrap() == "__not_locked__"
    };
    world.until("it is recorded", is_free).await;
    assert_eq!(stored(&world, 1).await, so_many([(Failed, 1)]));
}

async fn a_drain_waits_for_nobody(world: World) {
    let documents = documents(world.builder().clock(world.clock.waiting()), 3).await;
    let held = world.rival().start("doc-0").await.unwrap();
    let tomorrow = world.clock.now().wall + chrono::TimeDelta::days(1);
    documents.create_at(Document::new("later"), tomorrow).await.unwrap();
    let summary = world.driven(documents.worker().drain().run(async |_| Ok(()))).await.unwrap();
    assert_eq!((summary.succeeded, summary.refused), (2, 0), "{summary}");
    assert!(summary.elapsed < Duration::from_secs(10), "{summary}");
    held.release().await.unwrap();
    assert_eq!(stored(&world, 3).await, so_many([(Pending, 1), (Succeeded, 2)]));
}

async fn without_a_table_there_is_one_error(world: World) {
    let nowhere = world.builder::<Document>().table("nowhere").build().unwrap();
    let error = nowhere.worker().run(async |_| Ok(())).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TableNotFound { .. }), "{error}");
    let other = world.builder::<Document>().index("another-index").build().unwrap();
    let error = other.worker().run(async |_| Ok(())).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TableMismatch { .. }), "{error}");
}

async fn options_that_make_no_sense(world: World) {
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
