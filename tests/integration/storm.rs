//! Many tasks, two workers for each, and a network in which three requests of ten meet a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::task::JoinSet;
use tracker_core::testing::Rates;
use tracker_core::{Clock, Error, ErrorKind, Execution, Failure, Tracker};
use tracker_test_macros::database_test;

use crate::support::{Document, Fault, World, number, text};

const TASKS: usize = 50;
const MAX_RETRY: u32 = 5;
/// How often a worker tries one task before the storm is over.
const TRIES: u32 = 12;
/// The owner that ends the remaining tasks after the storm.
const LAST: &str = "worker-3";

#[database_test]
async fn storm_of_seeds_1_and_2_breaks_no_promise(world: World) {
    for seed in [1, 2] {
        storm(&world, seed, false).await;
    }
}

#[database_test]
async fn storm_of_seed_3_breaks_no_promise(world: World) {
    storm(&world, 3, false).await;
}

#[database_test]
async fn storm_with_heartbeats_breaks_no_promise(world: World) {
    storm(&world, 4, true).await;
}

/// What the bodies of one task have seen.
#[derive(Debug, Default)]
struct Seen {
    /// The attempts that reached the body, in order.
    runs: Vec<u64>,
    /// The attempt whose body runs now, and its deadline.
    inside: Option<(u64, Duration)>,
    /// The attempts that are known to be recorded as failed.
    failed: BTreeSet<u64>,
    /// The attempts of which nothing is recorded, because their leases were lost.
    lost: BTreeSet<u64>,
    succeeded: Option<u64>,
}

type AllSeen = Arc<Mutex<BTreeMap<String, Seen>>>;

/// A worker on one task.
#[derive(Clone)]
struct Worker {
    documents: Tracker<Document>,
    clock: Arc<dyn Clock>,
    id: String,
    nth: usize,
    /// Whether the worker dies at its first try. Not with heartbeats: a forgotten execution would keep its own.
    dies: bool,
    seen: AllSeen,
}

impl Worker {
    fn seen(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.seen.lock().unwrap()
    }

    async fn create(&self) {
        while let Err(error) = self.documents.create(Document::new(&self.id)).await {
            if *error.kind() == ErrorKind::AlreadyExists {
                return;
            }
            assert!(is_transient(&error), "{}: {error:?}", self.id);
            self.clock.sleep(Duration::from_secs(1)).await;
        }
    }

    /// Works on the task until it has ended, or `tries` times.
    async fn work(&self, tries: u32) {
        if self.dies {
            // A worker that dies leaves its lock behind.
            std::mem::forget(self.documents.start(&self.id).await);
        }
        for nth in 0..tries {
            let mut entered = None;
            let body = async |task: &mut Execution<Document>| {
                entered = Some(task.attempt());
                self.body(task).await
            };
            let wait = match self.documents.run(&self.id, body).await {
                Ok(()) => {
                    let before =
                        self.seen().entry(self.id.clone()).or_default().succeeded.replace(entered.unwrap());
                    assert_eq!(before, None, "{}: the task has succeeded twice", self.id);
                    return;
                }
                Err(error) => match error.kind() {
                    ErrorKind::LeaseLost => {
                        self.seen().entry(self.id.clone()).or_default().lost.extend(entered);
                        Duration::from_secs(1)
                    }
                    ErrorKind::AlreadySucceeded | ErrorKind::Ignored => return,
                    ErrorKind::BodyFailed { .. } => {
                        let attempt = error.task().unwrap().attempt();
                        let new = self.seen().entry(self.id.clone()).or_default().failed.insert(attempt);
                        assert!(new, "{}: attempt {attempt} has failed twice", self.id);
                        Duration::ZERO
                    }
                    ErrorKind::Locked { .. } | ErrorKind::NotFound => Duration::from_secs(20),
                    _ if is_transient(&error) => Duration::from_secs(1),
                    _ => panic!("{}: {error:?}", self.id),
                },
            };
            self.clock.sleep(wait + Duration::from_secs(u64::from(nth * 13) % 40)).await;
        }
    }

    async fn body(&self, task: &mut Execution<Document>) -> Result<(), Failure> {
        let attempt = task.attempt();
        let ran = self.enter(attempt, task.remaining());
        task.data_mut().pages = u32::try_from(attempt).unwrap();
        let saved = task.save().await;
        // Only an answered save has extended the lease.
        self.renewed(attempt, task.remaining());
        if saved.is_ok() {
            self.clock.sleep(Duration::from_secs((self.nth as u64 * 7) % 60)).await;
        }
        self.leave(attempt);
        saved.map_err(|error| format!("attempt {attempt}: {error}"))?;
        let fails = if self.nth % 10 == 9 { usize::MAX } else { self.nth % 4 };
        if ran < fails { Err(format!("attempt {attempt}: run {ran}").into()) } else { Ok(()) }
    }

    /// Asserts that no other body runs under a live lease. Returns how often the body has run before.
    fn enter(&self, attempt: u64, remaining: Duration) -> usize {
        let now = self.clock.now().monotonic;
        let mut all = self.seen();
        let seen = all.entry(self.id.clone()).or_default();
        if let Some((other, deadline)) = seen.inside {
            assert!(deadline <= now, "{}: attempts {other} and {attempt} at once", self.id);
        }
        assert!(seen.runs.iter().all(|before| *before < attempt), "{}: {:?}, {attempt}", self.id, seen.runs);
        seen.runs.push(attempt);
        seen.inside = Some((attempt, now + remaining));
        seen.runs.len() - 1
    }

    fn renewed(&self, attempt: u64, remaining: Duration) {
        let deadline = self.clock.now().monotonic + remaining;
        if let Some(Seen { inside: Some(inside), .. }) = self.seen().get_mut(&self.id)
            && inside.0 == attempt
        {
            inside.1 = deadline;
        }
    }

    fn leave(&self, attempt: u64) {
        if let Some(seen) = self.seen().get_mut(&self.id) {
            seen.inside = seen.inside.filter(|inside| inside.0 != attempt);
        }
    }
}

fn is_transient(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unavailable
            | ErrorKind::Throttled { .. }
            | ErrorKind::OutcomeUnknown
            | ErrorKind::ClockBehind { .. }
            | ErrorKind::Contended
    ) || matches!(error.kind(), ErrorKind::Service { code: Some(code) } if code == "TransactionConflictException")
}

async fn storm(world: &World, seed: u64, heartbeat: bool) {
    let clock = world.clock.manual();
    let worker = |nth: usize, owner: &str, seen: &AllSeen| Worker {
        documents: world
            .builder()
            .clock(clock.clone())
            .heartbeat(heartbeat)
            .max_retry(MAX_RETRY)
            .owner(owner)
            .build()
            .unwrap(),
        clock: Arc::new(clock.clone()),
        id: format!("seed-{seed}-{nth}"),
        nth,
        dies: owner != LAST && !heartbeat && nth.is_multiple_of(5),
        seen: Arc::clone(seen),
    };
    let seen = AllSeen::default();
    // Requests and copies may arrive after the lease of their sender.
    let rates = Rates::stormy()
        .with(Fault::Delay(Duration::from_secs(400)), 0.03)
        .with(Fault::DuplicateLate(Duration::from_secs(1000)), 0.08);
    world.network.seed(seed, rates);
    let mut workers = JoinSet::new();
    for nth in 0..TASKS {
        let (first, second) = (worker(nth, "worker-1", &seen), worker(nth, "worker-2", &seen));
        workers.spawn(async move {
            first.create().await;
            first.work(TRIES).await;
        });
        workers.spawn(async move { second.work(TRIES).await });
    }
    world.run_while_advancing_clock(workers.join_all()).await;

    world.network.calm();
    let mut workers = JoinSet::new();
    for nth in 0..TASKS {
        let worker = worker(nth, LAST, &seen);
        workers.spawn(async move { worker.work(1000).await });
    }
    world.run_while_advancing_clock(workers.join_all()).await;
    world.deliver_late_requests().await;

    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    let mut succeeded = 0;
    for nth in 0..TASKS {
        let id = format!("seed-{seed}-{nth}");
        succeeded += usize::from(assert_consistent(world, &id, &seen.remove(&id).unwrap_or_default()).await);
    }
    assert!((TASKS / 2..TASKS).contains(&succeeded), "{succeeded} have succeeded");
    let injected = world.network.injected();
    assert!(injected.len() >= 9, "{injected:?}");
}

/// Compares the stored task with what its bodies have seen. Returns whether the task has succeeded.
async fn assert_consistent(world: &World, id: &str, seen: &Seen) -> bool {
    let item = world.stored_under(&format!("extract____{id}")).await.unwrap();
    let case = format!("{id}: {item:?}, {seen:?}");
    assert_eq!(item["lock"], text("__not_locked__"), "{case}");
    let attempt: u64 = item["attempt"].as_n().unwrap().parse().unwrap();
    assert!(attempt >= seen.runs.len() as u64 && seen.runs.iter().all(|run| *run <= attempt), "{case}");

    // The history has one entry for each failed attempt, including every failure that a body knows of.
    let history = item["errors"].as_m().unwrap()["history"].as_l().unwrap();
    let mut failed = BTreeSet::new();
    for (nth, entry) in history.iter().enumerate() {
        let entry = entry.as_m().unwrap();
        assert_eq!(entry["nth_retry"], number(nth as u64 + 1), "{case}");
        let error = entry["error"].as_s().unwrap();
        if let Some((of, _)) = error.strip_prefix("attempt ").and_then(|error| error.split_once(':')) {
            assert!(failed.insert(of.parse().unwrap()), "{case}");
        }
    }
    assert!(failed.is_superset(&seen.failed) && failed.iter().all(|of| seen.runs.contains(of)), "{case}");

    assert!(failed.is_disjoint(&seen.lost), "{case}");

    let retry = history.len() as u64;
    if item["status"] == number(16) {
        assert_eq!(item["retry"], number(0), "{case}");
        assert!(retry < u64::from(MAX_RETRY) && seen.runs.last() == Some(&attempt), "{case}");
        assert!(!seen.lost.contains(&attempt) && seen.succeeded.is_none_or(|of| of == attempt), "{case}");
        assert_eq!(item["data"].as_m().unwrap()["pages"], number(attempt), "{case}");
        return true;
    }
    assert_eq!((&item["status"], &item["retry"]), (&number(18), &number(retry)), "{case}");
    assert_eq!((retry, seen.succeeded), (u64::from(MAX_RETRY), None), "{case}");
    false
}
