//! A table with tasks, and the operations that are measured on it.

use std::fmt::Display;
use std::time::Instant;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tracker_core::{Created, IndexEntry, Tracker};

use super::common::local::AnyError;
use super::common::median::median;
use super::database::Database;
use super::figures::Cost;
use super::jobs::Job;
use super::probe::Probe;

/// The number of tasks that a query reads.
const OLDEST: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Query,
    Refresh,
    Start,
    Count,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Query => "100 oldest pending",
            Self::Refresh => "refresh of 100",
            Self::Start => "start",
            Self::Count => "count by status",
        }
    }

    /// Returns how many times one visit repeats the operation.
    fn repeats(self) -> u32 {
        match self {
            Self::Query | Self::Refresh => 10,
            Self::Start => 30,
            Self::Count => 2,
        }
    }
}

/// A table of pending tasks of any type.
pub(crate) trait Table: Send + Sync {
    fn fill(&mut self, tasks: u32) -> BoxFuture<'_, Result<(), AnyError>>;
    /// Counts the requests and the capacity units of one operation.
    fn cost(&self, operation: Operation) -> BoxFuture<'_, Result<Cost, AnyError>>;
    /// Measures the median time of an operation, in seconds.
    fn visit(&self, operation: Operation) -> BoxFuture<'_, Result<f64, AnyError>>;
    fn delete(&self) -> BoxFuture<'_, Result<(), AnyError>>;
}

pub(crate) struct Filled<J> {
    timed: Tracker<J>,
    counted: Tracker<J>,
    probe: Probe,
    tasks: u32,
}

impl<J: Job> Filled<J> {
    pub(crate) async fn open(database: &Database, table: String) -> Result<Self, AnyError> {
        let (counting, probe) = database.counting()?;
        let timed = J::tracker_builder(&database.client).table(&table).build()?;
        let counted = J::tracker_builder(&counting).table(table).build()?;
        timed.create_table().await?;
        Ok(Self { timed, counted, probe, tasks: 0 })
    }

    async fn query(&self, tracker: &Tracker<J>) -> Result<Vec<IndexEntry<J>>, AnyError> {
        let entries = tracker.query_by_status(J::PENDING).limit(OLDEST).all().await?;
        same(entries.len(), OLDEST)?;
        Ok(entries)
    }

    /// Measures an operation between `begin` and `end`, and leaves the tasks pending.
    async fn measured<B, E>(
        &self,
        tracker: &Tracker<J>,
        operation: Operation,
        begin: impl Fn() -> B,
        end: impl Fn(B) -> E,
    ) -> Result<E, AnyError> {
        Ok(match operation {
            Operation::Query => {
                let begun = begin();
                self.query(tracker).await?;
                end(begun)
            }
            Operation::Refresh => {
                let entries = self.query(tracker).await?;
                let begun = begin();
                let tasks = tracker.refresh(&entries).await?;
                let measured = end(begun);
                same(tasks.len(), OLDEST)?;
                measured
            }
            Operation::Start => {
                let by_chance = fastrand::u32(..self.tasks);
                let begun = begin();
                let started = tracker.start(&by_chance).await?;
                let measured = end(begun);
                started.release().await?;
                measured
            }
            Operation::Count => {
                let begun = begin();
                let counts = tracker.count_by_status().await?;
                let measured = end(begun);
                same(counts.get(J::PENDING), u64::from(self.tasks))?;
                measured
            }
        })
    }
}

impl<J: Job> Table for Filled<J> {
    fn fill(&mut self, tasks: u32) -> BoxFuture<'_, Result<(), AnyError>> {
        async move {
            self.tasks = tasks;
            // Fills through the counted tracker: its first start would otherwise read the time of the service first.
            fill(&self.counted, tasks).await
        }
        .boxed()
    }

    fn cost(&self, operation: Operation) -> BoxFuture<'_, Result<Cost, AnyError>> {
        let end = |()| Cost::of(&self.probe.spent());
        self.measured(&self.counted, operation, || self.probe.measure(), end).boxed()
    }

    fn visit(&self, operation: Operation) -> BoxFuture<'_, Result<f64, AnyError>> {
        async move {
            let mut seconds = Vec::new();
            for _ in 0..operation.repeats() {
                let end = |begin: Instant| begin.elapsed().as_secs_f64();
                seconds.push(self.measured(&self.timed, operation, Instant::now, end).await?);
            }
            Ok(median(seconds))
        }
        .boxed()
    }

    fn delete(&self) -> BoxFuture<'_, Result<(), AnyError>> {
        async move { Ok(self.timed.delete_table().await?) }.boxed()
    }
}

/// Creates the tasks in an empty table.
pub(crate) async fn fill<J: Job>(tracker: &Tracker<J>, tasks: u32) -> Result<(), AnyError> {
    let mut created = tracker.create_many((0..tasks).map(J::new));
    while let Some(created) = created.next().await {
        match created {
            Created::New(_) => {}
            Created::Failed { error, .. } => return Err(error.into()),
            other => return Err(format!("the table was not empty: {other:?}").into()),
        }
    }
    Ok(())
}

fn same<N: Copy + PartialEq + Display>(found: N, wanted: N) -> Result<(), AnyError> {
    if found == wanted { Ok(()) } else { Err(format!("{found} tasks instead of {wanted}").into()) }
}
