//! Workers that are killed at random moments, each in a process of its own.
//!
//! They share DynamoDB Local. Several processes cannot share the embedded database, not even as a file.

mod check;
mod journal;
mod poison;
mod random;
mod worker;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use self::random::Random;
use self::worker::{CONFIG_VARIABLE, Kind, WorkerConfig};
use tracker_test_macros::database_test;

use crate::support::{Document, World};

/// Runs a worker of one of these tests, if this process was started as one.
pub fn main() -> Option<std::process::ExitCode> {
    worker::main().or_else(poison::main)
}

const TASKS: usize = 40;
const WORKERS: usize = 4;
const KILLS: usize = 25;
const MAX_RETRY: u32 = 4;
/// The time limit of the test, many times what a fast machine needs.
const TIMEOUT: Duration = Duration::from_mins(15);

/// A worker that was killed, and a time at which it was surely gone.
#[derive(Debug)]
pub struct Kill {
    pub worker: String,
    pub at: u64,
}

/// The worker processes. Dropping it kills the processes that are left, also when the test fails.
#[derive(Debug)]
struct WorkerProcesses {
    table: String,
    endpoint: String,
    journal: PathBuf,
    random: Random,
    spawned: usize,
    running: Vec<(String, Child)>,
    kills: Vec<Kill>,
}

impl WorkerProcesses {
    fn spawn(&mut self) {
        let name = format!("worker-{}", self.spawned);
        self.spawned += 1;
        let config = WorkerConfig {
            endpoint: self.endpoint.clone(),
            table: self.table.clone(),
            name: name.clone(),
            seed: self.random.next(),
            journal: self.journal.clone(),
        };
        let child = Command::new(std::env::current_exe().expect("the path of this binary"))
            .env(CONFIG_VARIABLE, serde_json::to_string(&config).expect("JSON"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        self.running.push((name, child.expect("a process")));
    }

    /// Kills the nth process with SIGKILL, whatever it is doing.
    fn kill(&mut self, nth: usize) {
        let (worker, mut child) = self.running.swap_remove(nth);
        child.kill().expect("a signal");
        let status = child.wait().expect("its end");
        // Its own abort may have come just before.
        assert!(status.code().is_none(), "{worker} ended with {status}");
        self.kills.push(Kill { worker, at: journal::now() });
    }

    /// Removes the processes that have ended. Returns how many of them their task has aborted.
    fn reap(&mut self) -> usize {
        let mut aborted = 0;
        self.running.retain_mut(|(worker, child)| match child.try_wait().expect("a status") {
            None => true,
            Some(status) => {
                assert!(status.success() || status.code().is_none(), "{worker} ended with {status}");
                aborted += usize::from(!status.success());
                false
            }
        });
        aborted
    }
}

impl Drop for WorkerProcesses {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[database_test(endpoint)]
async fn every_attempt_of_a_killed_worker_is_accounted_for(world: World) {
    let seed = journal::now();
    let mut random = Random::new(seed);
    let began = Instant::now();
    let tracker = worker::tracker(&world.client, &world.table, "parent");
    let kinds = [Kind::Works; 8].into_iter().chain([Kind::Fails, Kind::Aborts]).cycle();
    let ids: Vec<_> = kinds.enumerate().take(TASKS).map(|(nth, kind)| kind.id(nth)).collect();
    for id in &ids {
        tracker.create(Document::new(id)).await.unwrap();
    }
    let journal = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.journal", world.table));
    let _ = std::fs::remove_file(&journal);
    println!("killed: seed {seed}, journal {}", journal.display());

    let endpoint = world.endpoint.clone().expect("DynamoDB Local");
    let mut workers = WorkerProcesses {
        table: world.table.clone(),
        endpoint,
        journal: journal.clone(),
        random: Random::new(random.next()),
        spawned: 0,
        running: Vec::new(),
        kills: Vec::new(),
    };
    (0..WORKERS).for_each(|_| workers.spawn());
    while workers.kills.len() < KILLS {
        tokio::time::sleep(Duration::from_millis(random.between(50, 500))).await;
        workers.reap();
        if !workers.running.is_empty() {
            workers.kill(random.below(workers.running.len()));
        }
        while workers.running.len() < WORKERS {
            workers.spawn();
        }
    }
    while workers.running.len() > 1 {
        workers.kill(0);
    }
    // The last worker ends once all tasks have ended. A task that aborts its worker needs another one.
    while !workers.running.is_empty() {
        workers.running.iter_mut().for_each(|(_, child)| drop(child.stdin.take()));
        tokio::time::sleep(Duration::from_millis(20)).await;
        for _ in 0..workers.reap() {
            workers.spawn();
        }
        assert!(began.elapsed() < TIMEOUT, "the tasks have not ended in time");
    }

    let journal_of_all = journal::read(&journal);
    let mut totals = check::Totals::default();
    for id in &ids {
        let item = world.stored_under(&format!("extract____{id}")).await.expect("an item");
        totals += check::check_task(id, &item, &journal_of_all, &workers.kills);
    }
    assert!(totals.lost_in_kills > 0, "no kill came while a task was held: {totals:?}");
    println!(
        "killed: {} kills, {} of them while a task was held; {} attempts, {} of them lost, {} failed, \
         {} tasks succeeded, in {:.1} s",
        workers.kills.len(),
        totals.lost_in_kills,
        totals.attempts,
        totals.lost,
        totals.failed,
        totals.succeeded,
        began.elapsed().as_secs_f64()
    );
    let _ = std::fs::remove_file(&journal);
}
