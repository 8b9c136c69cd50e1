//! The table of an attack on heartbeats, by the machine's clock: bodies that wait, block or compute, on runtimes with
//! few threads, with leases of 6 and 30 s, and on connections that die silently.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::{CancellationToken, Execution, Failure, StatusTracker, SystemClock, Tracker};
use tracker_test_macros::database_test;

use super::{current_thread, multi_thread, own_client};
use crate::support::{Document, Proxy, World, local_config, number};

/// What a body does for longer than its lease.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Body {
    Waits,
    BlocksItsThread,
    SpawnsBlocking,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// 0 for a current-thread runtime.
    threads: usize,
    bodies: usize,
    body: Body,
    lease: Duration,
    /// Whether all connections die silently while the bodies run.
    dead_connections: bool,
    /// Without heartbeats, the other worker must take the tasks over.
    heartbeat: bool,
}

impl Row {
    /// How many bodies run at the same time at least.
    fn at_once(&self) -> usize {
        match self.body {
            // The thread that waits for sockets may be the one that is blocked: then the other starts wait for it.
            Body::BlocksItsThread => 1,
            Body::Waits | Body::SpawnsBlocking => self.bodies,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { threads, bodies, body, lease, dead_connections, heartbeat } = self;
        write!(f, "{threads:>2} threads, {bodies:>2} bodies, {body:?}, lease {lease:?}")?;
        write!(f, ", dead connections: {dead_connections}, heartbeats: {heartbeat}")
    }
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for lease in [6, 30].map(Duration::from_secs) {
        // The control: it shows that the other worker takes a task over whose lease nobody renews.
        let control = Row {
            threads: 1,
            bodies: 1,
            body: Body::Waits,
            lease,
            dead_connections: false,
            heartbeat: false,
        };
        rows.push(control);
        for body in [Body::Waits, Body::BlocksItsThread, Body::SpawnsBlocking] {
            for (threads, bodies) in [(0, 1), (1, 1), (2, 2), (16, 16), (16, 20)] {
                for dead_connections in [false, true] {
                    rows.push(Row { threads, bodies, body, dead_connections, heartbeat: true, ..control });
                }
            }
        }
    }
    rows
}

/// How often the body of each task has begun and ended, in both workers.
type Runs = Arc<Mutex<BTreeMap<String, (u32, u32)>>>;

async fn body(row: Row, runs: Runs, execution: &mut Execution<Document>) -> Result<(), Failure> {
    let id = execution.task_id().clone();
    runs.lock().unwrap().entry(id.clone()).or_default().0 += 1;
    // A lease can be taken over once the skew of 5 s has passed, too.
    let long = row.lease * 3 / 2 + Duration::from_secs(6);
    match row.body {
        Body::Waits => tokio::time::sleep(long).await,
        Body::BlocksItsThread => thread::sleep(long),
        Body::SpawnsBlocking => execution.spawn_blocking(move |_| thread::sleep(long)).await,
    }
    runs.lock().unwrap().entry(id).or_default().1 += 1;
    Ok(())
}

fn tracker(world: &World, endpoint: &str, owner: &str, nth: usize, row: Row) -> Tracker<Document> {
    Document::tracker_builder(&Client::from_conf(local_config(endpoint)))
        .table(&world.table)
        .use_case_id(format!("row-{nth}"))
        .owner(owner)
        .lock_expire(row.lease)
        .heartbeat(row.heartbeat)
        .clock(SystemClock)
        .build()
        .unwrap()
}

/// Runs the bodies of a row on a runtime of their own, while another worker tries to take the tasks over.
fn run_row(world: &World, nth: usize, row: Row) -> Result<(), String> {
    let own = current_thread();
    let database = world.endpoint.clone().unwrap();
    let proxy = own.block_on(Proxy::start(&database));
    let ids: Vec<_> = (0..row.bodies).map(|body| format!("{nth}-{body}")).collect();
    let documents = tracker(world, &proxy.endpoint, "worker-1", nth, row);
    let rival = tracker(world, &database, "worker-2", nth, Row { heartbeat: true, ..row });
    own.block_on(async {
        for id in &ids {
            documents.create(Document::new(id)).await.unwrap();
        }
    });
    let (runs, stop) = (Runs::default(), CancellationToken::new());
    let begun = |runs: &Runs| runs.lock().unwrap().len();
    let (first_runs, bodies) = (Arc::clone(&runs), ids.clone());
    let first = thread::spawn(move || {
        let runtime = match row.threads {
            0 => current_thread(),
            threads => multi_thread(threads),
        };
        let run = |id: String| {
            let (documents, runs) = (documents.clone(), Arc::clone(&first_runs));
            let run = async move { documents.run(&id, async |task| body(row, runs, task).await).await };
            runtime.spawn(run)
        };
        let handles: Vec<_> = bodies.into_iter().map(run).collect();
        let ended = handles.into_iter().map(|handle| runtime.block_on(handle).unwrap());
        ended.flatten().count()
    });
    // The other worker begins when as many bodies run as can run at once.
    while begun(&runs) < row.at_once() && !first.is_finished() {
        thread::sleep(Duration::from_millis(10));
    }
    let (rivals_runs, rivals_stop) = (Arc::clone(&runs), stop.clone());
    let rival = thread::spawn(move || {
        let worker = rival.worker().concurrency(64).shutdown(rivals_stop).grace(row.lease * 3);
        let waits = Row { body: Body::Waits, ..row };
        current_thread()
            .block_on(worker.run(async move |task| body(waits, Arc::clone(&rivals_runs), task).await))
    });
    if row.dead_connections {
        thread::sleep(row.lease / 2);
        proxy.silence_connections();
    }
    let kept = first.join().unwrap();
    let all_have_ended = || runs.lock().unwrap().values().filter(|run| run.1 > 0).count() == row.bodies;
    let began = Instant::now();
    while !all_have_ended() && began.elapsed() < row.lease * 10 {
        thread::sleep(Duration::from_millis(100));
    }
    stop.cancel();
    rival.join().unwrap().unwrap();
    own.block_on(async {
        for id in &ids {
            let item = world.stored_under(&format!("row-{nth}____{id}")).await.unwrap();
            if item["status"] != number(16) {
                return Err(format!("{id} has not succeeded: {item:?}"));
            }
        }
        Ok(())
    })?;
    if row.dead_connections && proxy.swallowed() == 0 {
        return Err("nothing was sent on a dead connection".to_owned());
    }
    let runs = runs.lock().unwrap();
    let wrong: Vec<_> = runs.iter().filter(|(_, run)| **run != (1, 1)).collect();
    if kept < row.at_once() || runs.len() != row.bodies || !wrong.is_empty() {
        return Err(format!(
            "{kept} of {} leases were kept, and these bodies have not run once: {wrong:?}",
            row.bodies
        ));
    }
    Ok(())
}

/// `tests/dynamodb-local cargo test --workspace --all-features --test integration attack -- --ignored`
#[database_test(endpoint, real_time)]
async fn no_body_loses_its_lease(world: World) {
    let mut broken = 0;
    let rows: Vec<_> = rows().into_iter().enumerate().collect();
    // Some at a time, so that two processors can send the heartbeats of short leases.
    for some in rows.chunks(6) {
        let running: Vec<_> = some
            .iter()
            .map(|&(nth, row)| {
                let world = World { client: own_client(&world), ..world.clone() };
                (row, thread::spawn(move || run_row(&world, nth, row)))
            })
            .collect();
        for (row, ended) in running {
            let ended = tokio::task::spawn_blocking(move || ended.join()).await.unwrap();
            let verdict = match ended {
                Ok(Ok(())) => "kept".to_owned(),
                Ok(Err(wrong)) => wrong,
                Err(_) => "panicked".to_owned(),
            };
            broken += usize::from((verdict == "kept") != row.heartbeat);
            println!("{row}: {verdict}");
        }
    }
    assert_eq!(broken, 0, "rows with another verdict than theirs");
}
