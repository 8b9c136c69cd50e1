//! Counts of tasks: in each status, and in the whole use case.

use std::fmt;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Serialize, Serializer};

use crate::declare::status::TrackerStatus;
use crate::dynamodb;
use crate::dynamodb::Context;
use crate::dynamodb::query::Range;
use crate::dynamodb::scan::{Segment, scan};
use crate::error::Error;
use crate::item::attribute::UPDATE_TIME;
use crate::time::Timestamp;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::{StatusTracker, declared_status};

/// How many partitions of the index, or segments of the table, are read at the same time.
pub(crate) const READERS: i32 = 8;
/// The most rows of one request of a count with a limit: about 110 bytes a row, and a page of 1 MB costs 128 units.
const ROWS: i32 = 1000;
/// The fewest rows of one request, if as many are to be counted: fewer would not cost less, as a unit has about 70 rows.
const FEW: u64 = 100;

impl<T: StatusTracker> Tracker<T> {
    /// Counts the tasks in each status of this step, in the index. The index is eventually consistent, so the counts
    /// may be a moment old. They cost as much as reading all entries of the step.
    ///
    /// # Errors
    ///
    /// The error of a request that DynamoDB refused or did not answer, such as
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
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

    /// Counts the tasks of the use case, of every step, with a parallel scan of the table. The count costs as much as
    /// reading the whole table.
    ///
    /// # Errors
    ///
    /// The error of a request that DynamoDB refused or did not answer, such as
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
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

/// Counts the rows of some partitions, up to a cap. Returns whether all were counted.
pub(crate) async fn counted(
    cx: &Context,
    ranges: Vec<Range>,
    cap: Option<u64>,
) -> Result<(u64, bool), Error> {
    // Several partitions are read at the same time, and all that they read is paid.
    let shards = u64::try_from(ranges.len()).unwrap_or(1).max(1);
    let most = cap.map(|cap| (cap / shards + 1).max(cap.min(FEW)));
    let most = most.map(|most| i32::try_from(most).map_or(ROWS, |most| most.clamp(1, ROWS)));
    let pages = ranges.into_iter().map(|range| {
        let first = Some((range, None));
        stream::try_unfold(first, move |state| async move {
            let Some((range, start)) = state else { return Ok::<_, Error>(None) };
            let (rows, next) = dynamodb::query::count(cx, &range, most, start).await?;
            Ok(Some((rows, next.map(|next| (range, Some(next))))))
        })
        .boxed()
    });
    let mut pages = stream::iter(pages).flatten_unordered(READERS as usize);
    let mut tasks = 0;
    while let Some(rows) = pages.try_next().await? {
        tasks += rows;
        if let Some(cap) = cap.filter(|cap| tasks > *cap) {
            return Ok((cap, false));
        }
    }
    Ok((tasks, true))
}

/// Returns since when the oldest task of some partitions has been there.
pub(crate) async fn oldest(cx: &Context, ranges: Vec<Range>) -> Result<Option<Timestamp>, Error> {
    let firsts = ranges.into_iter().map(|range| async move {
        // The first rows may be those of other kinds of items.
        let (mut rows, mut start) = (1, None);
        loop {
            let page = dynamodb::query::query(cx, &range, false, rows, start).await?;
            let first = page.items.first();
            if first.is_some() || page.next.is_none() {
                let time = first.and_then(|item| Timestamp::parse(item.get(UPDATE_TIME)?.as_s().ok()?));
                return Ok::<_, Error>(time);
            }
            (rows, start) = (ROWS, page.next);
        }
    });
    let firsts: Vec<_> = stream::iter(firsts).buffer_unordered(READERS as usize).try_collect().await?;
    Ok(firsts.into_iter().flatten().min())
}

/// Counts the rows of a range, page by page.
async fn count(cx: &Context, range: &Range) -> Result<u64, Error> {
    let (mut total, mut start) = (0, None);
    loop {
        let (tasks, next) = dynamodb::query::count(cx, range, None, start).await?;
        total += tasks;
        match next {
            Some(next) => start = Some(next),
            None => return Ok(total),
        }
    }
}

/// The number of tasks in each status of an enum, zeros included.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusCounts<S> {
    counts: Vec<(S, u64)>,
}

impl<S: TrackerStatus> StatusCounts<S> {
    /// Returns the number of tasks in one status.
    #[must_use]
    pub fn get(&self, status: S) -> u64 {
        let found = self.counts.iter().find(|(other, _)| other.code() == status.code());
        found.map_or(0, |(_, tasks)| *tasks)
    }

    /// Returns every status with its number of tasks, in the order of the enum.
    pub fn iter(&self) -> impl Iterator<Item = (S, u64)> + '_ {
        self.counts.iter().copied()
    }

    /// Returns the number of tasks in all statuses together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, tasks)| tasks).sum()
    }
}

/// A map of the names of the statuses to their numbers of tasks.
impl<S: TrackerStatus> Serialize for StatusCounts<S> {
    fn serialize<R: Serializer>(&self, serializer: R) -> Result<R::Ok, R::Error> {
        serializer.collect_map(self.iter().map(|(status, tasks)| (status.name(), tasks)))
    }
}

impl<S: TrackerStatus> fmt::Debug for StatusCounts<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(status, tasks)| (status.name(), tasks))).finish()
    }
}
