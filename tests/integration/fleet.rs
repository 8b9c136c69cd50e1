//! The simulation of `benches/fleet` agrees with real workers on the embedded database, whose requests take simulated time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::{
    CancellationToken, Clock, ClockReading, Failure, Sleep, StatusTracker, Summary, TrackerStatus, embedded,
};
use tracker_fleet::{Arrivals, Cell, Figures, Setup, Spread};
use tracker_test_macros::database_test;

use crate::support::World;

const WORKERS: u32 = 8;
/// How long a request takes.
const LATENCY: Duration = Duration::from_millis(8);
/// For how long workers run before requests are counted, and for how long these are counted.
type Times = (Duration, Duration);
const SHORT: Times = (Duration::from_secs(4), Duration::from_secs(8));
/// Long enough for workers that learn to wait for up to 15 s.
const LONG: Times = (Duration::from_secs(10), Duration::from_secs(15));

#[derive(TrackerStatus, Debug, Clone, Copy)]
enum JobStatus {
    #[status(pending, shards = 2)]
    Pending = 10,
    #[status(in_progress, shards = 2)]
    InProgress = 12,
    #[status(failed)]
    Failed = 14,
    #[status(succeeded)]
    Succeeded = 16,
    #[status(ignored)]
    Ignored = 18,
}

#[derive(StatusTracker, Debug)]
#[tracker(use_case_id = "fleet", status = JobStatus, table = "fleet")]
struct Job {
    #[tracker(task_id)]
    id: u32,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
struct Measured {
    requests_per_task: f64,
    /// Which part of the starts was refused.
    refused: f64,
}

/// How far the two may differ: chance makes some percent. Both have seeds and simulated time, so each run has the same figures.
const TOLERANCE: std::ops::RangeInclusive<f64> = 0.8..=1.25;

#[database_test(own_layout, wraps_database)]
async fn simulation_agrees_with_real_workers(world: World) {
    if world.endpoint.is_some() {
        println!("skipped: only the requests of a database in the process can take simulated time");
        return;
    }
    for (rate, body, (warm_up, counted)) in [(100.0, 0.01, SHORT), (40.0, 1.0, LONG), (200.0, 1.0, SHORT)] {
        let cell = Cell { workers: WORKERS, rate, body };
        let mut setup = cell.setup(counted.as_secs_f64(), 1).unwrap();
        setup.settings.shards = [2, 2, 1, 1, 1];
        setup.latency = Spread::always(micros(LATENCY));
        setup.lag = Spread::always(0);
        let begins = micros(warm_up);
        setup.measured = (begins, begins + micros(counted));
        setup.ends = setup.measured.1;
        let simulated = measured(&tracker_fleet::run(setup.clone(), |_| {}));
        let thread = std::thread::spawn(move || {
            // Its time stands still while there is something to do.
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
            runtime.unwrap().block_on(real(setup))
        });
        let real = thread.join().unwrap();
        println!("{rate} tasks/s, bodies of {body} s: simulated {simulated:?}, real {real:?}");
        let refused = simulated.refused - real.refused;
        assert!(refused.abs() <= 0.15, "{rate} tasks/s, bodies of {body} s: {simulated:?} and {real:?}");
        let ratio = simulated.requests_per_task / real.requests_per_task;
        assert!(TOLERANCE.contains(&ratio), "{rate} tasks/s, bodies of {body} s: {simulated:?} and {real:?}");
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

fn measured(figures: &Figures) -> Measured {
    Measured { requests_per_task: figures.requests_per_task(), refused: figures.refused_part() }
}

/// Tokio's clock.
#[derive(Debug, Clone, Copy)]
struct TokioClock(tokio::time::Instant);

impl Clock for TokioClock {
    fn now(&self) -> ClockReading {
        let monotonic = self.0.elapsed();
        let origin = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default();
        ClockReading { wall: origin + monotonic, monotonic }
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }

    fn is_simulated(&self) -> bool {
        true
    }
}

/// Counts the requests of the workers.
#[derive(Debug, Default)]
struct Counted {
    counts: AtomicBool,
    requests: AtomicU64,
    ended: AtomicU64,
}

impl Counted {
    fn add(&self, to: &AtomicU64) {
        to.fetch_add(self.counts.load(Ordering::Relaxed).into(), Ordering::Relaxed);
    }
}

/// Each request arrives after half of the latency, and its response after the other half.
#[derive(Debug)]
struct Late {
    inner: SharedHttpConnector,
    counted: Arc<Counted>,
}

impl HttpConnector for Late {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (inner, counted) = (self.inner.clone(), Arc::clone(&self.counted));
        HttpConnectorFuture::new(async move {
            counted.add(&counted.requests);
            tokio::time::sleep(LATENCY / 2).await;
            let response = inner.call(request).await;
            tokio::time::sleep(LATENCY / 2).await;
            response
        })
    }
}

fn late(inner: SharedHttpClient, counted: &Arc<Counted>) -> SharedHttpClient {
    use aws_smithy_runtime_api::client::http::HttpClient;
    let counted = Arc::clone(counted);
    http_client_fn(move |settings, components| {
        let inner = inner.http_connector(settings, components);
        SharedHttpConnector::new(Late { inner, counted: Arc::clone(&counted) })
    })
}

async fn real(setup: Setup) -> Measured {
    let database = embedded::in_memory().unwrap();
    let clock = TokioClock(tokio::time::Instant::now());
    let creator = Job::tracker_builder(&database).clock(clock).build().unwrap();
    creator.create_table().await.unwrap();
    let (counted, stop) = (Arc::new(Counted::default()), CancellationToken::new());
    let http = late(database.config().http_client().unwrap(), &counted);
    let mut workers = Vec::new();
    for nth in 0..WORKERS {
        let client = Client::from_conf(database.config().to_builder().http_client(http.clone()).build());
        let tracker =
            Job::tracker_builder(&client).clock(clock).owner(format!("worker-{nth}")).heartbeat(false);
        let worker = tracker.build().unwrap().worker();
        let worker = worker.concurrency(setup.settings.concurrency).seed(nth.into()).shutdown(stop.clone());
        let (body, of_body) = (setup.body, Arc::clone(&counted));
        let rng = Arc::new(Mutex::new(fastrand::Rng::with_seed(100 + u64::from(nth))));
        workers.push(tokio::spawn(worker.run(async move |_| {
            let body = rng.lock().unwrap().u64(body.0..=body.1);
            tokio::time::sleep(Duration::from_micros(body)).await;
            of_body.add(&of_body.ended);
            Ok::<_, Failure>(())
        })));
    }
    let Arrivals::Rate(rate) = setup.arrivals else { unreachable!("a rate") };
    let creating = tokio::spawn(async move {
        let mut rng = fastrand::Rng::with_seed(1);
        for id in 0.. {
            tokio::time::sleep(Duration::from_secs_f64(-(1.0 - rng.f64()).ln() / rate)).await;
            creator.create(Job { id }).await.unwrap();
        }
    });
    let (begins, ends) = setup.measured;
    tokio::time::sleep(Duration::from_micros(begins)).await;
    counted.counts.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_micros(ends - begins)).await;
    counted.counts.store(false, Ordering::Relaxed);
    creating.abort();
    stop.cancel();
    let mut all = Summary::default();
    for worker in workers {
        all += worker.await.unwrap().unwrap();
    }
    let [requests, ended, refused, attempts] = [
        counted.requests.load(Ordering::Relaxed),
        counted.ended.load(Ordering::Relaxed),
        all.refused,
        all.attempts(),
    ]
    .map(|count| f64::from(u32::try_from(count).unwrap()));
    Measured { requests_per_task: requests / ended, refused: refused / (refused + attempts) }
}
