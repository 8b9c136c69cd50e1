//! A task that kills its process must not take along the healthy tasks that run beside it.

use std::io::Read;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::{ErrorKind, StatusTracker, Tracker, TrackerStatus};
use tracker_test_macros::database_test;

use crate::support::{World, local_config, number};

/// The variable that makes this binary a worker of this test. It holds the configuration, as JSON.
const CONFIG_VARIABLE: &str = "TRACKER_TEST_POISON";
const ROUNDS: usize = 10;
const HEALTHY: usize = 5;
/// On a busy machine a healthy task may lose an attempt without the poison too. Two losses with the poison leave it two more.
const MAX_RETRY: u32 = 5;
/// The time limit of the test, many times what a fast machine needs.
const TIMEOUT: Duration = Duration::from_mins(15);

/// One shard each: all workers and counts of this test share one database, which must answer within a lease.
#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
enum JobStatus {
    #[status(pending, shards = 1)]
    Pending = 10,
    #[status(in_progress, shards = 1)]
    InProgress = 12,
    #[status(failed, shards = 1)]
    Failed = 14,
    #[status(succeeded, shards = 1)]
    Succeeded = 16,
    #[status(ignored, shards = 1)]
    Ignored = 18,
}

#[derive(StatusTracker, Debug, Clone, PartialEq, Default)]
#[tracker(use_case_id = "killed", status = JobStatus, table = "jobs")]
struct Job {
    #[tracker(task_id)]
    id: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Config {
    endpoint: String,
    table: String,
    round: usize,
}

fn tracker(client: &Client, table: &str, round: usize) -> Tracker<Job> {
    Job::tracker_builder(client)
        .table(table)
        .layout(crate::support::layout())
        .use_case_id(format!("round-{round}"))
        .max_retry(MAX_RETRY)
        // Long enough for a heartbeat on a busy machine.
        .lock_expire(Duration::from_secs(6))
        .max_clock_skew(Duration::from_millis(200))
        .build()
        .expect("a valid configuration")
}

/// Runs a worker, if this process was started as one. The worker ends when its parent closes its input.
pub fn main() -> Option<ExitCode> {
    let config: Config =
        serde_json::from_str(&std::env::var(CONFIG_VARIABLE).ok()?).expect("a configuration");
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a Tokio runtime");
    runtime.block_on(async {
        let jobs = tracker(&Client::from_conf(local_config(&config.endpoint)), &config.table, config.round);
        let worker = jobs.worker().concurrency(HEALTHY + 1);
        let worker = worker.poll(Duration::from_millis(100), Duration::from_secs(1));
        let ended = worker.run(async |task| {
            if task.task_id() == "poison" {
                // The tasks beside it run now, and are not done yet.
                tokio::time::sleep(Duration::from_millis(200)).await;
                std::process::abort();
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            Ok(())
        });
        ended.await.expect("a worker that runs until it is killed");
    });
    Some(ExitCode::SUCCESS)
}

/// Starts one worker after the other, until all tasks of a round have ended. Returns how many were killed.
///
/// All rounds share one thread, so none may block it.
async fn run_round(world: &World, round: usize) -> usize {
    let jobs = tracker(&world.client, &world.table, round);
    let endpoint = world.endpoint.clone().expect("DynamoDB Local");
    let config = Config { endpoint, table: world.table.clone(), round };
    let config = serde_json::to_string(&config).expect("JSON");
    let mut killed = 0;
    loop {
        let mut worker = spawn_worker(config.clone()).await;
        loop {
            if let Some(status) = worker.try_wait().expect("a status") {
                killed += usize::from(!status.success());
                break;
            }
            if have_ended(&jobs).await {
                // Closing its input ends the worker.
                drop(worker.stdin.take());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        if have_ended(&jobs).await {
            return killed;
        }
    }
}

async fn spawn_worker(config: String) -> Child {
    let spawn = move || {
        Command::new(std::env::current_exe().expect("the path of this binary"))
            .env(CONFIG_VARIABLE, config)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    tokio::task::spawn_blocking(spawn).await.expect("no panic").expect("a process")
}

/// Returns whether all tasks of a round are known to have ended. On a busy machine a request may take longer than it may;
/// then the caller asks again.
async fn have_ended(jobs: &Tracker<Job>) -> bool {
    match jobs.count_by_status().await {
        Ok(counts) => {
            let ended = counts.get(JobStatus::Succeeded) + counts.get(JobStatus::Ignored);
            ended == HEALTHY as u64 + 1
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::NotSent), "{error:?}");
            false
        }
    }
}

#[database_test(endpoint)]
async fn task_that_kills_its_process_ends_ignored_and_the_others_succeed(world: World) {
    // Before any worker makes the machine busy.
    for round in 0..ROUNDS {
        let jobs = tracker(&world.client, &world.table, round);
        jobs.create(Job { id: "poison".to_owned() }).await.unwrap();
        for nth in 0..HEALTHY {
            jobs.create(Job { id: format!("healthy-{nth}") }).await.unwrap();
        }
    }
    let rounds = futures_util::future::join_all((0..ROUNDS).map(|round| run_round(&world, round)));
    let killed = tokio::time::timeout(TIMEOUT, rounds).await.expect("the tasks end in time");
    for (round, killed) in killed.into_iter().enumerate() {
        let stored = async |id: &str| world.stored_under(&format!("round-{round}____{id}")).await.unwrap();
        let poison = stored("poison").await;
        assert_eq!(
            (&poison["status"], &poison["retry"]),
            (&number(18), &number(MAX_RETRY.into())),
            "round {round}"
        );
        // On a busy machine, an attempt may also be lost before its body begins.
        assert!((1..=MAX_RETRY as usize).contains(&killed), "round {round}: {killed} were killed");
        for nth in 0..HEALTHY {
            let healthy = stored(&format!("healthy-{nth}")).await;
            assert_eq!(healthy["status"], number(16), "round {round}: {healthy:?}");
        }
    }
}
