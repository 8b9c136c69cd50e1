//! The table, the clients, and everything that goes wrong between them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, RwLockReadGuard};
use tokio::task::AbortHandle;
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::config::retry::RetryConfig;
use tracker_core::aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use tracker_core::aws_sdk_dynamodb::error::BuildError;
use tracker_core::aws_sdk_dynamodb::types::{
    AttributeValue, DeleteRequest, TransactWriteItem, Update, WriteRequest,
};
use tracker_core::testing::{AwsLike, Conditions, Fault, FaultyNetwork, Rates};
use tracker_core::{
    Advice, CancellationToken, Error, ErrorKind, Layout, StatusTracker, Tracker, TrackerBuilder,
};

use super::clock::Alive;
use super::job::{Job, JobStatus, LONGEST_LEASE, MAX_CLOCK_SKEW, Plan, SHORTEST_LEASE};
use super::journal::Journal;

/// How often an idle connection of each pool dies.
const CONNECTIONS_DIE: Duration = Duration::from_secs(5);
/// How long the coordinator waits for an answer.
const PATIENCE: Duration = Duration::from_mins(1);
/// The most items that one `BatchWriteItem` deletes.
const BATCH: usize = 25;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What a worker has left behind that has vanished.
#[derive(Debug)]
struct Vanished {
    clock: Alive,
    abort: AbortHandle,
}

/// Keeps the gate open.
#[derive(Debug)]
pub struct Working<'c> {
    chaos: &'c Chaos,
    worker: String,
    _gate: RwLockReadGuard<'c, ()>,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.chaos.workers().remove(&self.worker);
    }
}

#[derive(Debug)]
pub struct Chaos {
    pub plan: Plan,
    pub network: FaultyNetwork,
    pub journal: Journal,
    /// Whether the worker runs in a process of its own.
    pub is_process: bool,
    /// A tracker without faults, to create the table and to check it.
    pub calm: Tracker<Job>,
    /// Workers hold it for reading while they work. Whoever holds it for writing has no worker between start and end.
    pub gate: Arc<RwLock<()>>,
    /// Who holds the gate.
    working: Mutex<BTreeSet<String>>,
    /// Ends the workers of `Tracker::worker` that run, which hold the gate.
    pause: Mutex<CancellationToken>,
    aws: Option<AwsLike>,
    calm_client: Client,
    client: Client,
    table: String,
    layout: Layout,
    vanished: Mutex<Vec<Vanished>>,
}

impl Chaos {
    /// Creates nothing yet. Workers use the client over a network with faults. While they work, `aws` has a bad day.
    pub fn new(
        client: &Client,
        aws: Option<AwsLike>,
        table: &str,
        layout: Layout,
        plan: Plan,
    ) -> Result<Self, AnyError> {
        let (faulty, network) = FaultyNetwork::around(client)?;
        // The SDK retries too; a short backoff and a short wait for a response keep the run short.
        let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(10));
        let timeouts = TimeoutConfig::builder().read_timeout(Duration::from_millis(300)).build();
        let client_config = faulty.config().to_builder().retry_config(retries).timeout_config(timeouts);
        let chaos = Self {
            plan,
            network,
            journal: Journal::in_memory(),
            is_process: false,
            calm: Job::tracker_builder(client).table(table).layout(layout.clone()).build()?,
            gate: Arc::default(),
            working: Mutex::default(),
            pause: Mutex::default(),
            aws,
            calm_client: client.clone(),
            client: Client::from_conf(client_config.build()),
            table: table.to_owned(),
            layout,
            vanished: Mutex::default(),
        };
        chaos.storm(0);
        Ok(chaos)
    }

    /// Lets this process be one worker, with a journal in a file.
    pub fn in_process(self, journal: &Path, life: u64) -> Result<Self, AnyError> {
        self.storm(life);
        Ok(Self { journal: Journal::in_file(journal)?, is_process: true, ..self })
    }

    /// Begins another storm, which forgets how often each key of an earlier one was used.
    pub fn storm(&self, nth: u64) {
        let rates = Rates::stormy()
            .with(Fault::Delay(Duration::from_millis(700)), 0.03)
            // Late enough to arrive after the lease of the first request has expired.
            .with(Fault::DuplicateLate(LONGEST_LEASE * 3), 0.06);
        self.network.seed(self.plan.seed.wrapping_add(nth), rates);
    }

    /// Begins the bad day of a service like AWS.
    pub fn begin_bad_day(&self) -> Result<(), AnyError> {
        if let Some(aws) = &self.aws {
            let mut conditions = Conditions::bad_day();
            conditions.seed = self.plan.seed;
            aws.set_conditions(conditions)?;
        }
        Ok(())
    }

    /// Ends the bad day. Nothing lags any more.
    pub fn end_bad_day(&self) -> Result<(), AnyError> {
        if let Some(aws) = &self.aws {
            aws.set_conditions(Conditions::none())?;
            aws.catch_up()?;
        }
        Ok(())
    }

    /// Returns how often each fault has happened.
    pub fn faults(&self) -> BTreeMap<&'static str, usize> {
        let mut faults = self.network.injected();
        for (fault, count) in self.aws.iter().flat_map(AwsLike::counts) {
            *faults.entry(fault).or_default() += count;
        }
        faults
    }

    /// Lets idle connections die, without end.
    pub async fn kill_connections(&self) {
        loop {
            self.network.kill_connections(1);
            tokio::time::sleep(CONNECTIONS_DIE).await;
        }
    }

    /// Returns the effect of a success: it counts up the counter of its task. `condition` must hold for the counter.
    pub fn count(&self, task: u32, condition: Option<&str>) -> Result<TransactWriteItem, BuildError> {
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
    pub async fn counted(&self, task: u32) -> Result<u64, AnyError> {
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

    /// Returns how many tasks of the table have ended.
    pub async fn ended(&self) -> Result<u64, Error> {
        let counts = patiently(async || self.calm.count_by_status().await).await?;
        Ok(counts.get(JobStatus::Succeeded) + counts.get(JobStatus::Ignored))
    }

    /// Creates tasks through the faulty network.
    pub async fn create(&self, ids: impl Stream<Item = u32>) -> Result<(), Error> {
        let creator = &self.tracker("creator", Alive::new(Duration::ZERO), SHORTEST_LEASE).build()?;
        ids.map(|id| async move {
            let begin = Instant::now();
            loop {
                match creator.create(Job { id, done_by: None, saved_by: None }).await {
                    Ok(_) => return Ok(()),
                    Err(error) => match error.kind() {
                        ErrorKind::AlreadyExists => return Ok(()),
                        _ if begin.elapsed() > PATIENCE => return Err(error),
                        // On a bad day, a request is refused for its clock or its credentials now and then.
                        ErrorKind::Service { .. } if self.aws.is_some() => {}
                        _ if matches!(error.advice(), Advice::RetryLater { .. }) => {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        _ => return Err(error),
                    },
                }
            }
        })
        .buffer_unordered(16)
        .try_collect::<()>()
        .await
    }

    /// Deletes tasks and their counters.
    pub async fn delete(&self, ids: Range<u32>) -> Result<(), AnyError> {
        let keys: Vec<_> = ids
            .flat_map(|id| [self.calm.primary_key(&id).unwrap_or_default(), self.counter_key(id)])
            .collect();
        stream::iter(keys.chunks(BATCH).map(<[_]>::to_vec))
            .map(|keys| async move { patiently(async || self.delete_batch(keys.clone()).await).await })
            .buffer_unordered(4)
            .try_collect()
            .await
    }

    async fn delete_batch(&self, keys: Vec<HashMap<String, AttributeValue>>) -> Result<(), AnyError> {
        let request = |key| {
            let delete = DeleteRequest::builder().set_key(Some(key)).build()?;
            Ok::<_, BuildError>(WriteRequest::builder().delete_request(delete).build())
        };
        let mut left: Vec<_> = keys.into_iter().map(request).collect::<Result<_, _>>()?;
        while !left.is_empty() {
            let response =
                self.calm_client.batch_write_item().request_items(&self.table, left).send().await?;
            left = response.unprocessed_items.unwrap_or_default().remove(&self.table).unwrap_or_default();
        }
        Ok(())
    }

    fn pause_tokens(&self) -> MutexGuard<'_, CancellationToken> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the gate is open, and keeps it open for a worker.
    pub async fn enter(&self, worker: &str) -> Working<'_> {
        let gate = self.gate.read().await;
        self.workers().insert(worker.to_owned());
        Working { chaos: self, worker: worker.to_owned(), _gate: gate }
    }

    /// Returns the workers that hold the gate.
    pub fn workers(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a token that is cancelled when the workers are to pause.
    pub fn pause_token(&self) -> CancellationToken {
        self.pause_tokens().child_token()
    }

    /// Waits until no worker is between the start and the end of an attempt. They go on when the guard is dropped.
    pub async fn close_gate(&self) -> OwnedRwLockWriteGuard<()> {
        let mut closed = std::pin::pin!(Arc::clone(&self.gate).write_owned());
        // The gate is asked for first. Otherwise a worker that has paused could enter again, with the next token.
        let is_closed = futures_util::poll!(&mut closed);
        std::mem::take(&mut *self.pause_tokens()).cancel();
        match is_closed {
            Poll::Ready(closed) => closed,
            Poll::Pending => closed.await,
        }
    }

    /// Returns a tracker over the faulty network.
    pub fn tracker(&self, owner: &str, clock: Alive, lease: Duration) -> TrackerBuilder<Job> {
        Job::tracker_builder(&self.client)
            .table(&self.table)
            .layout(self.layout.clone())
            .lock_expire(lease)
            .max_clock_skew(MAX_CLOCK_SKEW)
            .clock(clock)
            .owner(owner)
    }

    /// Keeps the attempts of a worker that has vanished.
    pub fn keep_vanished(&self, clock: Alive, abort: AbortHandle) {
        self.vanished.lock().unwrap_or_else(PoisonError::into_inner).push(Vanished { clock, abort });
    }

    /// Lets everything arrive that is still under way. The gate must be closed.
    ///
    /// The attempts of vanished workers are dropped. Others have ended their tasks, so nothing of it may be recorded.
    pub async fn settle(&self) {
        let vanished = std::mem::take(&mut *self.vanished.lock().unwrap_or_else(PoisonError::into_inner));
        for Vanished { clock, abort } in vanished {
            abort.abort();
            while !abort.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            clock.wake();
        }
        let mut quiet = 0;
        while quiet < 10 {
            let before = self.network.count_all();
            tokio::time::sleep(Duration::from_millis(50)).await;
            let is_quiet = self.network.late() + self.network.in_flight() == 0;
            quiet = if is_quiet && self.network.count_all() == before { quiet + 1 } else { 0 };
        }
    }
}

/// Sends a request of the coordinator again until it succeeds, for a minute at most: a busy machine answers slowly.
pub async fn patiently<R, E>(request: impl AsyncFn() -> Result<R, E>) -> Result<R, E> {
    let begin = Instant::now();
    loop {
        match request().await {
            Err(_) if begin.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_secs(1)).await,
            result => return result,
        }
    }
}
