//! Gauges of the `metrics` crate: how many tasks are in each status, since when, and how long tasks wait to be started.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::Query;
use super::alive::AliveLeases;
use super::count::{READERS, counted, oldest};
use super::refresh::read_items;
use crate::declare::spec::Takeover;
use crate::declare::status::{Role, TrackerStatus};
use crate::dynamodb::Context;
use crate::dynamodb::batch::KEYS_PER_GET;
use crate::dynamodb::query::{Range, query};
use crate::error::Error;
use crate::item::attribute::{Item, KEY, RUN_AT, UPDATE_TIME};
use crate::observe::metric::{self, GaugesOfStatus};
use crate::time::Timestamp;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::{StatusTracker, declared_status};

/// The shortest time between two reads.
const SHORTEST: Duration = Duration::from_secs(1);
/// How many tasks of a status are counted by default.
const CAP: u64 = 1000;
/// The rows of the first page and of the largest page, when the task that waits longest is looked for.
const FEWEST_ROWS: i32 = 16;
const MOST_ROWS: i32 = 2000;

impl<T: StatusTracker> Tracker<T> {
    /// Returns gauges of the tasks of this step, which are read from the index every so often, at least a second apart. One process
    /// of a fleet is enough.
    ///
    /// The gauges are those of the [table of metrics](crate::EventKind#metrics): how many tasks are in each status, how long the
    /// oldest of them is there, and how long a task that could be started waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tracker_core::{StatusTracker, Tracker};
    /// # async fn gauges<T: StatusTracker>(documents: &Tracker<T>) {
    /// let gauges = tokio::spawn(documents.gauges(Duration::from_secs(60)).run());
    /// // .. and when the program ends:
    /// gauges.abort();
    /// # }
    /// ```
    pub fn gauges(&self, every: Duration) -> Gauges<T> {
        let every = every.max(SHORTEST);
        Gauges { tracker: self.clone(), every, cap: CAP, alive: Arc::default() }
    }
}

/// Gauges of the tasks of a step, for whatever recorder of the `metrics` crate the program has installed. Made by
/// [`Tracker::gauges`].
///
/// # What a read costs
///
/// A count of 1,000 tasks costs about 14 read units, for each status. The longest wait costs what the rows before it cost: those of tasks
/// that are not due yet, 70 in a unit, and those of due tasks, up to the [cap](Self::cap) in each shard. Also an item for each task that
/// was started longer than a lease ago; [`run`](Self::run) reads it once in a lease. The actions of
/// [`Access::Reader`](crate::Access::Reader) are enough.
#[must_use = "gauges do nothing until `run` or `read` is called"]
pub struct Gauges<T: StatusTracker> {
    tracker: Tracker<T>,
    every: Duration,
    cap: u64,
    alive: Arc<AliveLeases>,
}

impl<T: StatusTracker> Gauges<T> {
    /// Sets how many tasks of a status are counted at most, and how many due tasks of a shard are looked at for the longest wait: 1,000
    /// by default. The gauge `tracker_tasks_capped` is 1 if a status has more.
    pub fn cap(mut self, tasks: u64) -> Self {
        self.cap = tasks.max(1);
        self
    }

    /// Reads and sets the gauges until the future is dropped: at once, and then every time that `every` has passed.
    ///
    /// A read that fails sets `tracker_up` to 0 and is logged. The other gauges keep their values, and the next read sets them again.
    /// `tracker_gauge_reads_total` counts the reads that succeed: it stands still if this future was dropped.
    pub async fn run(self) -> Infallible {
        let cx = Arc::clone(self.tracker.shared_cx());
        loop {
            if let Err(error) = self.read().await {
                tracing::warn!(
                    target: "tracker_core::gauges",
                    use_case_id = cx.use_case.id(),
                    step = &*cx.config.step,
                    error = &error as &dyn std::error::Error,
                    "the gauges could not be read and keep their values; they are read again in {:?}", self.every
                );
            }
            cx.clock.sleep(self.every).await;
        }
    }

    /// Reads and sets the gauges once, for a program that does not stay, such as a scheduled Lambda function.
    ///
    /// # Errors
    ///
    /// The error of a request that DynamoDB refused or did not answer, such as
    /// [`Unavailable`](crate::ErrorKind::Unavailable). Then `tracker_up` is 0, and the other gauges are as they were.
    pub async fn read(&self) -> Result<(), Error> {
        let cx = self.tracker.cx();
        let read = self.read_all().await;
        metric::set_up(cx.use_case.id(), &cx.config.step, read.is_ok());
        let (statuses, wait) = read?;
        for status in statuses {
            metric::set_status(cx.use_case.id(), &cx.config.step, &status);
        }
        metric::set_wait(cx.use_case.id(), &cx.config.step, wait);
        Ok(())
    }

    async fn read_all(&self) -> Result<(Vec<GaugesOfStatus>, Duration), Error> {
        let cx = self.tracker.cx();
        let mut read = Vec::new();
        for status in T::Status::ALL.iter().filter_map(|status| declared_status::<T>(*status)) {
            let values = cx.use_case.partitions(status, cx.config.read_shards);
            let ranges: Vec<_> =
                values.into_iter().map(|value| Range { value, ..Range::default() }).collect();
            let (tasks, is_exact) = counted(cx, ranges.clone(), Some(self.cap)).await?;
            let oldest = if tasks == 0 { None } else { oldest(cx, ranges).await? };
            let oldest_age = self.until_now(oldest);
            read.push(GaugesOfStatus {
                status: status.row.name,
                role: status.row.role,
                tasks,
                is_exact,
                oldest_age,
            });
        }
        Ok((read, self.until_now(self.waits_since().await?)))
    }

    /// Returns how long ago a time was; nothing if there is no such time.
    fn until_now(&self, since: Option<Timestamp>) -> Duration {
        since.map_or(Duration::ZERO, |since| Timestamp::from(self.tracker.cx().now()).since(since))
    }

    /// Returns since when a task that could be started waits: the longest time of any.
    async fn waits_since(&self) -> Result<Option<Timestamp>, Error> {
        let cx = self.tracker.cx();
        let ready = cx.use_case.ready().filter_map(|code| cx.use_case.status(code));
        let partitions: Vec<_> =
            ready.flat_map(|status| cx.use_case.partitions(status, cx.config.read_shards)).collect();
        let ready = stream::iter(partitions).map(|value| due_since(cx, value, self.cap));
        let mut since: Vec<_> = ready.buffer_unordered(READERS as usize).try_collect().await?;
        if cx.config.takeover == Takeover::Expired {
            since.extend(self.expired_since().await?);
        }
        Ok(since.into_iter().flatten().min())
    }

    /// Returns since when tasks in progress could be taken over. Items are read by the hundred, so no more are looked at.
    async fn expired_since(&self) -> Result<Vec<Option<Timestamp>>, Error> {
        let cx = self.tracker.shared_cx();
        let in_progress = [cx.use_case.status_of(Role::InProgress)];
        let query = Query::<T>::new(cx, &in_progress).expired_only().remembering(&self.alive);
        let expired = query.limit(KEYS_PER_GET).rows();
        expired.map_ok(|row| row.free_since).try_collect().await
    }
}

/// Returns since when the task of a partition that waits longest has been due. Looks at `cap` due tasks at most, the first ones.
async fn due_since(cx: &Context, value: String, cap: u64) -> Result<Option<Timestamp>, Error> {
    let due_by = Some(Timestamp::from(cx.now()).to_string());
    let range = Range { value, due_by, ..Range::default() };
    let (mut since, mut start, mut rows, mut left) = (None, None, FEWEST_ROWS, cap);
    loop {
        let page = query(cx, &range, false, rows, start).await?;
        let due = if cx.index_lacks_run_at.load(Ordering::Relaxed) {
            only_due(cx, page.items).await?
        } else {
            page.items
        };
        for row in &due {
            let Some(in_status) = time_of(row, UPDATE_TIME) else { continue };
            // A task is due no earlier than it came into the status, and the rows are in that order.
            if since.is_some_and(|since| since <= in_status) {
                return Ok(since);
            }
            let due = time_of(row, RUN_AT).map_or(in_status, |run_at| run_at.max(in_status));
            since = Some(since.map_or(due, |since: Timestamp| since.min(due)));
        }
        left = left.saturating_sub(u64::try_from(due.len()).unwrap_or(u64::MAX));
        if page.next.is_none() || left == 0 {
            return Ok(since);
        }
        start = page.next;
        rows = (rows * 4).min(MOST_ROWS);
    }
}

/// Leaves out rows that are not due. Their index does not show that, so the items are read.
async fn only_due(cx: &Context, rows: Vec<Item>) -> Result<Vec<Item>, Error> {
    let keys: Vec<_> = rows.into_iter().filter_map(|mut row| row.remove(KEY)?.as_s().ok().cloned()).collect();
    let now = Timestamp::from(cx.now());
    let mut due = Vec::new();
    for keys in keys.chunks(KEYS_PER_GET) {
        let items = read_items(cx, keys.to_vec(), &[KEY, UPDATE_TIME, RUN_AT]).await?;
        due.extend(
            items.into_values().filter(|item| time_of(item, RUN_AT).is_none_or(|run_at| run_at <= now)),
        );
    }
    // The rows were in this order.
    due.sort_by_key(|item| time_of(item, UPDATE_TIME));
    Ok(due)
}

fn time_of(row: &Item, attribute: &str) -> Option<Timestamp> {
    match row.get(attribute)? {
        AttributeValue::S(text) => Timestamp::parse(text),
        _ => None,
    }
}

impl<T: StatusTracker> fmt::Debug for Gauges<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauges").field("every", &self.every).field("cap", &self.cap).finish_non_exhaustive()
    }
}
