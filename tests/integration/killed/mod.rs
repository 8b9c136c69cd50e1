//! Workers that are killed at random moments, each in a process of its own.
//!
//! They share DynamoDB Local. The embedded database cannot be had by several processes at once, not even in a file.

mod journal;
mod random;
mod verdict;
mod worker;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use self::random::Random;
use self::worker::{Kind, ORDERS, Orders};
use crate::support::{Document, World};

pub use self::worker::main;

crate::tests![every_attempt_of_a_killed_worker_is_known];

const TASKS: usize = 40;
const WORKERS: usize = 4;
const KILLS: usize = 25;
const MAX_RETRY: u32 = 4;
/// How long the whole may take on a slow machine: some ten times as long as on a fast one.
const IN_VAIN: Duration = Duration::from_mins(3);

/// A worker that was killed, and when it was surely gone.
#[derive(Debug)]
pub struct Kill {
    pub worker: String,
    pub at: u64,
}

/// The processes of the workers. Those that are left are killed when it is dropped, so also when the test fails.
#[derive(Debug)]
struct Crew {
    table: String,
    endpoint: String,
    journal: PathBuf,
    random: Random,
    hired: usize,
    at_work: Vec<(String, Child)>,
    kills: Vec<Kill>,
}

impl Crew {
    fn hire(&mut self) {
        let name = format!("worker-{}", self.hired);
        self.hired += 1;
        let orders = Orders {
            endpoint: self.endpoint.clone(),
            table: self.table.clone(),
            name: name.clone(),
            seed: self.random.next(),
            journal: self.journal.clone(),
        };
        let child = Command::new(std::env::current_exe().expect("the path of this binary"))
            .env(ORDERS, serde_json::to_string(&orders).expect("JSON"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        self.at_work.push((name, child.expect("a process")));
    }

    /// Kills one with SIGKILL, whatever it is doing.
    fn kill(&mut self, nth: usize) {
        let (worker, mut child) = self.at_work.swap_remove(nth);
        child.kill().expect("a signal");
        let status = child.wait().expect("its end");
        // It may have ended itself just before.
        assert!(status.code().is_none(), "{worker} ended with {status}");
        self.kills.push(Kill { worker, at: journal::now() });
    }

    /// Forgets those that have ended, and tells how many of them a task has ended.
    fn bury(&mut self) -> usize {
        let mut aborted = 0;
        self.at_work.retain_mut(|(worker, child)| match child.try_wait().expect("a status") {
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

impl Drop for Crew {
    fn drop(&mut self) {
        for (_, child) in &mut self.at_work {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn every_attempt_of_a_killed_worker_is_known(world: World) {
    let seed = journal::now();
    let mut random = Random::new(seed);
    let begun = Instant::now();
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
    let mut crew = Crew {
        table: world.table.clone(),
        endpoint,
        journal: journal.clone(),
        random: Random::new(random.next()),
        hired: 0,
        at_work: Vec::new(),
        kills: Vec::new(),
    };
    (0..WORKERS).for_each(|_| crew.hire());
    while crew.kills.len() < KILLS {
        tokio::time::sleep(Duration::from_millis(random.between(50, 500))).await;
        crew.bury();
        if !crew.at_work.is_empty() {
            crew.kill(random.below(crew.at_work.len()));
        }
        while crew.at_work.len() < WORKERS {
            crew.hire();
        }
    }
    while crew.at_work.len() > 1 {
        crew.kill(0);
    }
    // The last one ends by itself, when everything else has; tasks that end their worker need another one.
    while !crew.at_work.is_empty() {
        crew.at_work.iter_mut().for_each(|(_, child)| drop(child.stdin.take()));
        tokio::time::sleep(Duration::from_millis(20)).await;
        for _ in 0..crew.bury() {
            crew.hire();
        }
        assert!(begun.elapsed() < IN_VAIN, "the tasks never come to an end");
    }

    let journal_of_all = journal::read(&journal);
    let mut total = verdict::Total::default();
    for id in &ids {
        let item = world.stored_as(&format!("extract____{id}")).await.expect("an item");
        total += verdict::judge(id, &item, &journal_of_all, &crew.kills);
    }
    assert!(total.lost_in_kills > 0, "no kill came while a task was held: {total:?}");
    println!(
        "killed: {} kills, {} of them while a task was held; {} attempts, {} taken over or given up, {} failed, \
         {} tasks succeeded, in {:.1} s",
        crew.kills.len(),
        total.lost_in_kills,
        total.attempts,
        total.lost,
        total.failed,
        total.succeeded,
        begun.elapsed().as_secs_f64()
    );
    let _ = std::fs::remove_file(&journal);
}
