//! What a tracker finds and counts: the entry points of `query`, and counting.

use std::fmt;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::declare::spec::Takeover;
use crate::declare::status::{Role, TrackerStatus};
use crate::dynamodb;
use crate::dynamodb::Context;
use crate::dynamodb::query::Range;
use crate::dynamodb::scan::{Segment, scan};
use crate::error::Error;
use crate::query::Query;
use crate::query::entry::IndexEntry;
use crate::query::refresh::refresh;
use crate::query::statuses::Statuses;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::{StatusTracker, declared_status};
use crate::tracker::task::Task;

/// How many partitions or segments are read at the same time.
pub(crate) const READERS: i32 = 8;

impl<T: StatusTracker> Tracker<T> {
    /// The tasks in one status or in several, those that have waited longest first.
    ///
    /// The statuses may be of another step's enum: a second step can list what the first has finished.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # async fn list<T: StatusTracker>(documents: &Tracker<T>, failed: T::Status, ignored: T::Status) -> Result<(), Error> {
    /// for entry in documents.query_by_status([failed, ignored]).newest_first().limit(20).all().await? {
    ///     println!("{} is {} since {}", entry.task_id(), entry.status_name(), entry.update_time());
    /// }
    /// # Ok(()) }
    /// ```
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a status is a word, and callers write an array in place"
    )]
    pub fn query_by_status(&self, statuses: impl Statuses) -> Query<T> {
        Query::new(self.shared_cx(), &statuses.__rows())
    }

    /// All tasks that can be started now: pending, more pending and failed ones, and those in progress whose lease
    /// has expired (unless [`takeover`](crate::TrackerBuilder::takeover) is off); merged by time, so that none of them
    /// starves. Those that wait for a time of their own are left out until it comes, where the index projects `run_at`, as
    /// that of [`create_table`](Self::create_table) does; elsewhere their start is refused as
    /// [`NotDue`](crate::ErrorKind::NotDue). They are read all the same, so that many of them cost as much as many others.
    pub fn query_for_unfinished(&self) -> Query<T> {
        let cx = self.shared_cx();
        let ready = cx.use_case.ready().filter_map(|code| cx.use_case.status(code));
        let takes_over = cx.config.takeover == Takeover::Expired;
        let expired = takes_over.then(|| cx.use_case.status_of(Role::InProgress));
        let statuses: Vec<_> = ready.chain(expired).collect();
        Query::new(cx, &statuses).expired_only()
    }

    /// The tasks in progress whose lease has expired: their holders are lost, and they wait to be taken over.
    pub fn query_for_expired(&self) -> Query<T> {
        let cx = self.shared_cx();
        Query::new(cx, &[cx.use_case.status_of(Role::InProgress)]).expired_only()
    }

    /// Reads the tasks of rows that a query gave, 100 in a request, in their order. Tasks that are gone or have moved
    /// on to another status are left out; [`Query::refresh`] can keep the latter.
    ///
    /// # Errors
    ///
    /// [`Decode`](crate::ErrorKind::Decode) for the first that cannot be read; [`Query::refresh`] goes on after it.
    pub async fn refresh(&self, entries: &[IndexEntry<T>]) -> Result<Vec<Task<T>>, Error> {
        refresh(self.cx(), entries, false).await
    }

    /// How many tasks there are in each status of this step. Counted in the index, which may be a moment old; costs
    /// as much as reading it.
    ///
    /// # Errors
    ///
    /// Those of the service.
    pub async fn count_by_status(&self) -> Result<StatusCounts<T::Status>, Error> {
        let cx = self.cx();
        let statuses = T::Status::ALL.iter().filter_map(|status| declared_status::<T>(*status));
        let mut partitions = Vec::new();
        for (nth, status) in statuses.enumerate() {
            let values = cx.use_case.partitions(status, cx.config.read_shards);
            partitions.extend(values.into_iter().map(|value| (nth, value)));
        }
        let counts = stream::iter(partitions).map(|(nth, value)| async move {
            let range = Range { value, ..Range::default() };
            Ok::<_, Error>((nth, count(cx, &range).await?))
        });
        let mut counts = counts.buffer_unordered(READERS as usize);
        let mut all: Vec<_> = T::Status::ALL.iter().map(|status| (*status, 0)).collect();
        while let Some((nth, tasks)) = counts.try_next().await? {
            if let Some((_, total)) = all.get_mut(nth) {
                *total += tasks;
            }
        }
        Ok(StatusCounts { counts: all })
    }

    /// How many tasks the use case has, in whatever step: a parallel scan of the whole table, with its cost.
    ///
    /// # Errors
    ///
    /// Those of the service.
    pub async fn count_tasks_by_use_case_id(&self) -> Result<u64, Error> {
        let cx = self.cx();
        let prefix = cx.use_case.prefix();
        let segments = (0..READERS).map(|nth| {
            let prefix = &prefix;
            async move {
                let (mut total, mut start) = (0, None);
                loop {
                    let segment = Segment { nth, of: READERS };
                    let page = scan(cx, segment, prefix, true, start).await?;
                    total += page.count;
                    match page.next {
                        Some(next) => start = Some(next),
                        None => return Ok::<u64, Error>(total),
                    }
                }
            }
        });
        let counts: Vec<u64> =
            stream::iter(segments).buffer_unordered(READERS as usize).try_collect().await?;
        Ok(counts.into_iter().sum())
    }
}

async fn count(cx: &Context, range: &Range) -> Result<u64, Error> {
    let (mut total, mut start) = (0, None);
    loop {
        let (tasks, next) = dynamodb::query::count(cx, range, start).await?;
        total += tasks;
        match next {
            Some(next) => start = Some(next),
            None => return Ok(total),
        }
    }
}

/// How many tasks there are in each status of an enum, also where there are none.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusCounts<S> {
    counts: Vec<(S, u64)>,
}

impl<S: TrackerStatus> StatusCounts<S> {
    /// The tasks in one status.
    #[must_use]
    pub fn get(&self, status: S) -> u64 {
        let found = self.counts.iter().find(|(other, _)| other.code() == status.code());
        found.map_or(0, |(_, tasks)| *tasks)
    }

    /// Every status with its tasks, in the order of the enum.
    pub fn iter(&self) -> impl Iterator<Item = (S, u64)> + '_ {
        self.counts.iter().copied()
    }

    /// The tasks in all statuses together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, tasks)| tasks).sum()
    }
}

impl<S: TrackerStatus> fmt::Debug for StatusCounts<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(status, tasks)| (status.name(), tasks))).finish()
    }
}
