//! The tasks, the workers, and everything that goes wrong with them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinSet;
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::config::retry::RetryConfig;
use tracker_core::aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use tracker_core::aws_sdk_dynamodb::error::BuildError;
use tracker_core::aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use tracker_core::testing::{Fault, FaultyNetwork, Rates};
use tracker_core::{
    Error, ErrorKind, Execution, Failure, Layout, StatusCounts, StatusTracker, Tracker, TrackerStatus,
};

use super::clock::Alive;
use super::journal::{Behaviour, Journal, Verdict};

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    #[status(pending, shards = 3)]
    Pending = 10,
    #[status(in_progress, shards = 3)]
    InProgress = 12,
    #[status(failed, shards = 3)]
    Failed = 14,
    #[status(succeeded, shards = 3)]
    Succeeded = 16,
    #[status(ignored, shards = 3)]
    Ignored = 18,
}

#[derive(StatusTracker, Debug, Clone)]
#[tracker(use_case_id = "chaos", status = JobStatus, max_retry = 4, history_limit = 1000, backoff = "none")]
pub struct Job {
    #[tracker(task_id)]
    pub id: u32,
    /// The attempt whose body finished the task.
    pub done_by: Option<u64>,
    /// The last attempt that saved the data before its end.
    pub saved_by: Option<u64>,
}

/// The shortest and the longest lease. Each worker has its own length, as while a new length is deployed.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);
const LONGEST_LEASE: Duration = Duration::from_millis(1500);
pub const MAX_CLOCK_SKEW: Duration = Duration::from_millis(500);
/// Longer than the longest lease, the skew, and the difference of two clocks.
const HANG: Duration = Duration::from_millis(2700);
/// How often an idle connection of each pool dies.
const CONNECTIONS_DIE: Duration = Duration::from_secs(5);

/// The size of a run, and its seed.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub tasks: u32,
    pub workers: u32,
    pub seed: u64,
    /// Whether each success counts up a counter of its task, in one transaction.
    pub effects: bool,
}

impl Plan {
    /// Draws a number below `limit` that depends only on the seed and on its purpose `what`.
    fn draw(&self, what: impl Hash, limit: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, what).hash(&mut hasher);
        hasher.finish() % limit
    }

    /// Returns true if a task kills every worker that starts it.
    pub fn is_poison(&self, task: u32) -> bool {
        self.draw(("poison", task), 50) == 0
    }

    fn behaviour(&self, task: u32, attempt: u64) -> Behaviour {
        if self.is_poison(task) {
            return Behaviour::Vanish;
        }
        match self.draw(("behaviour", task, attempt), 100) {
            0..8 => Behaviour::Fail,
            8..14 => Behaviour::Panic,
            14..18 => Behaviour::Hang,
            18..22 => Behaviour::Vanish,
            22..26 => Behaviour::Release,
            26..30 => Behaviour::Cancel,
            30..32 => Behaviour::Block,
            32..36 if self.effects => Behaviour::Refuse,
            32..50 => Behaviour::Save,
            _ => Behaviour::Work,
        }
    }
}

#[derive(Debug)]
pub struct Chaos {
    pub plan: Plan,
    pub network: FaultyNetwork,
    pub journal: Journal,
    /// A tracker without faults, to create the table and to check it.
    pub calm: Tracker<Job>,
    calm_client: Client,
    client: Client,
    table: String,
    layout: Layout,
}

/// Returns how many tasks have ended.
pub fn ended(counts: &StatusCounts<JobStatus>) -> u64 {
    counts.get(JobStatus::Succeeded) + counts.get(JobStatus::Ignored)
}

impl Chaos {
    pub fn new(
        client: &Client,
        table: &str,
        layout: Layout,
        plan: Plan,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (faulty, network) = FaultyNetwork::around(client)?;
        let rates = Rates::stormy()
            .with(Fault::Delay(Duration::from_millis(700)), 0.03)
            // Late enough to arrive after the lease of the first request has expired.
            .with(Fault::DuplicateLate(LONGEST_LEASE * 3), 0.06);
        network.seed(plan.seed, rates);
        // The SDK retries too; a short backoff and a short wait for a response keep the run short.
        let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(10));
        let timeouts = TimeoutConfig::builder().read_timeout(Duration::from_millis(300)).build();
        let client_config = faulty.config().to_builder().retry_config(retries).timeout_config(timeouts);
        let calm = Job::tracker_builder(client).table(table).layout(layout.clone()).build()?;
        let faulty = Client::from_conf(client_config.build());
        Ok(Self {
            plan,
            network,
            journal: Journal::default(),
            calm,
            calm_client: client.clone(),
            client: faulty,
            table: table.to_owned(),
            layout,
        })
    }

    /// Returns the effect of a success: it counts up the counter of its task. `condition` must hold for the counter.
    fn count(&self, task: u32, condition: Option<&str>) -> Result<TransactWriteItem, BuildError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(self.counter_key(task)))
            .update_expression("ADD successes :one")
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .set_condition_expression(condition.map(str::to_owned));
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }

    /// Returns the primary key of the counter of a task: that of the task, with another hash key.
    fn counter_key(&self, task: u32) -> HashMap<String, AttributeValue> {
        let mut key = self.calm.primary_key(&task).unwrap_or_default();
        key.insert(self.layout.name_of("key").to_owned(), AttributeValue::S(format!("counter-{task}")));
        key
    }

    /// Returns the counter of a task.
    pub async fn counted(&self, task: u32) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
        let counter = self
            .calm_client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(self.counter_key(task)))
            .consistent_read(true)
            .send()
            .await?;
        let successes = counter.item.and_then(|mut item| item.remove("successes"));
        Ok(match successes {
            Some(AttributeValue::N(successes)) => successes.parse()?,
            _ => 0,
        })
    }

    /// Creates the tasks and processes them until all have ended.
    pub async fn run(self: Arc<Self>) -> Result<(), Error> {
        let creator = &self.tracker("creator", Alive::new(Duration::ZERO), SHORTEST_LEASE, true)?;
        stream::iter(0..self.plan.tasks)
            .map(|id| async move {
                loop {
                    match creator.create(Job { id, done_by: None, saved_by: None }).await {
                        Ok(_) => return Ok(()),
                        Err(error) => match error.kind() {
                            ErrorKind::AlreadyExists => return Ok(()),
                            ErrorKind::OutcomeUnknown
                            | ErrorKind::Unavailable
                            | ErrorKind::Throttled { .. } => {}
                            _ => return Err(error),
                        },
                    }
                }
            })
            .buffer_unordered(16)
            .try_collect::<()>()
            .await?;
        let mut workers = JoinSet::new();
        for nth in 0..self.plan.workers {
            workers.spawn(Arc::clone(&self).work(nth));
        }
        let worked = async {
            while let Some(ended) = workers.join_next().await {
                match ended {
                    Ok(result) => result?,
                    Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
                }
            }
            Ok::<_, Error>(())
        };
        let connections_die = async {
            loop {
                self.network.kill_connections(1);
                tokio::time::sleep(CONNECTIONS_DIE).await;
            }
        };
        tokio::select! {
            worked = worked => worked?,
            () = connections_die => unreachable!("connections die without end"),
        }
        // All late requests must arrive before the check.
        while self.network.late() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn tracker(
        &self,
        owner: &str,
        clock: Alive,
        lease: Duration,
        heartbeat: bool,
    ) -> Result<Tracker<Job>, Error> {
        Job::tracker_builder(&self.client)
            .table(&self.table)
            .layout(self.layout.clone())
            .lock_expire(lease)
            .max_clock_skew(MAX_CLOCK_SKEW)
            .heartbeat(heartbeat)
            .clock(clock)
            .owner(owner)
            .build()
    }

    /// Runs one worker at a time, and replaces it when it vanishes.
    async fn work(self: Arc<Self>, nth: u32) -> Result<(), Error> {
        for life in 0_u32.. {
            let owner = format!("worker-{nth}.{life}");
            // The guarantees require that clocks differ by less than `MAX_CLOCK_SKEW`.
            let ahead = Duration::from_millis(self.plan.draw(("clock", nth, life), 480));
            let alive = Alive::new(ahead);
            let lease = SHORTEST_LEASE * (4 + nth % 3) / 4;
            let tracker = self.tracker(&owner, alive.clone(), lease, (nth + life).is_multiple_of(2))?;
            let worker = Worker { chaos: Arc::clone(&self), tracker, owner, alive };
            if worker.live().await {
                break;
            }
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Worker {
    chaos: Arc<Chaos>,
    tracker: Tracker<Job>,
    owner: String,
    alive: Alive,
}

impl Worker {
    /// Works until all tasks have ended and returns true, or returns false if the worker has vanished.
    async fn live(&self) -> bool {
        let plan = self.chaos.plan;
        for round in 0_u32.. {
            // Faults can make the query fail: repeat it.
            let Ok(found) = self.tracker.query_for_unfinished().limit(64).all().await else {
                continue;
            };
            if found.is_empty() {
                let counts = self.tracker.count_by_status().await;
                if counts.is_ok_and(|counts| ended(&counts) == u64::from(plan.tasks)) {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            for pick in 0..4_u32 {
                let nth = plan.draw((&self.owner, round, pick), found.len() as u64);
                let Some(task) = usize::try_from(nth).ok().map(|nth| *found[nth].task_id()) else {
                    continue;
                };
                let attempt =
                    tokio::spawn(self.clone().attempt(task, plan.draw((&self.owner, round, pick, "how"), 2)));
                tokio::select! {
                    biased;
                    () = self.alive.vanished.notified() => return false,
                    // The tracker records a panic; this worker ignores it.
                    _ = attempt => {}
                }
            }
        }
        true
    }

    /// Makes one attempt: with `run` if `how` is 0, otherwise with `start`.
    async fn attempt(self, task: u32, how: u64) {
        if how == 0 {
            let ended = self.tracker.run(&task, async |execution| self.body(execution).await).await;
            self.told(task, Verdict::of(&ended, Verdict::Succeeded));
            return;
        }
        let Ok(mut execution) = self.tracker.start(&task).await else {
            return;
        };
        let behaviour = self.chaos.plan.behaviour(task, execution.attempt());
        let body = self.body(&mut execution).await;
        let verdict = match (body, behaviour) {
            (_, Behaviour::Release) => Verdict::of(&execution.release().await, Verdict::Released),
            // Dropping the execution records the attempt as failed, best effort.
            (_, Behaviour::Cancel) => return drop(execution),
            (Ok(()), _) => Verdict::of(&execution.succeed().await, Verdict::Succeeded),
            (Err(failure), _) => Verdict::of(&execution.fail(failure).await, Verdict::Failed),
        };
        self.told(task, verdict);
    }

    fn told(&self, task: u32, verdict: Verdict) {
        self.chaos.journal.told(task, &self.owner, verdict);
    }

    async fn body(&self, task: &mut Execution<Job>) -> Result<(), Failure> {
        let plan = self.chaos.plan;
        let attempt = task.attempt();
        let behaviour = plan.behaviour(*task.task_id(), attempt);
        let inside = self.chaos.journal.begin(task, &self.owner, behaviour);
        let slices = 1 + plan.draw(("slices", task.task_id(), attempt), 3);
        for slice in 0..slices {
            tokio::time::sleep(Duration::from_millis(
                plan.draw(("slice", task.task_id(), attempt, slice), 8),
            ))
            .await;
            inside.still_here(task);
        }
        match behaviour {
            Behaviour::Work | Behaviour::Release | Behaviour::Cancel => {}
            Behaviour::Save => {
                task.data_mut().saved_by = Some(attempt);
                task.save().await?;
                inside.still_here(task);
            }
            Behaviour::Fail => return Err("this body fails on purpose".into()),
            // `resume_unwind` skips the panic hook, which would print every panic.
            Behaviour::Panic => std::panic::resume_unwind(Box::new("this body panics on purpose")),
            Behaviour::Hang => {
                tokio::time::sleep(HANG).await;
                inside.still_here(task);
            }
            Behaviour::Block => {
                std::thread::sleep(SHORTEST_LEASE / 2);
                task.spawn_blocking(|_| std::thread::sleep(HANG)).await;
                inside.still_here(task);
            }
            Behaviour::Refuse => {
                task.on_success(self.chaos.count(u32::MAX, Some("attribute_exists(successes)"))?)?;
            }
            Behaviour::Vanish => {
                drop(inside);
                self.alive.vanish();
                std::future::pending::<()>().await;
            }
        }
        task.data_mut().done_by = Some(attempt);
        if plan.effects {
            task.on_success(self.chaos.count(*task.task_id(), None)?)?;
        }
        Ok(())
    }
}
