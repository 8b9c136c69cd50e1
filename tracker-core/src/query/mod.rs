//! Queries of the index: tasks by status, with all shards merged in the order of time.

pub(crate) mod alive;
pub(crate) mod count;
pub(crate) mod cursor;
pub(crate) mod entry;
mod find;
#[cfg(feature = "metrics")]
pub(crate) mod gauges;
pub(crate) mod merge;
pub(crate) mod refresh;
pub(crate) mod statuses;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use self::alive::AliveLeases;
use self::cursor::Cursor;
use self::entry::IndexEntry;
use self::merge::{Merge, Next, Plan, Row};
use self::refresh::TaskQuery;
use crate::declare::status::Role;
use crate::dynamodb::Context;
use crate::dynamodb::query::{Range, query};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{self, Item};
use crate::item::use_case::Status;
use crate::time::Timestamp;
use crate::tracker::status_tracker::StatusTracker;

/// How many pages one query reads at the same time.
const READERS: usize = 16;

/// A query of the index. Narrow the query first, then read it: as a [`stream`](Self::stream), [`all`](Self::all) at
/// once, or [page by page](Self::page).
///
/// A query returns entries of the index, which have neither data nor errors. An entry may also be stale, because the
/// index is eventually consistent: only a start decides. Use [`refresh`](Self::refresh) to read the tasks themselves.
#[must_use = "a query reads nothing until `stream`, `all` or `page` is called"]
pub struct Query<T> {
    cx: Arc<Context>,
    plan: Plan,
    statuses: Vec<Status>,
    /// Whether tasks in progress are left out unless their lease has expired.
    expired_only: bool,
    /// The leases that need not be read again.
    alive: Option<Arc<AliveLeases>>,
    /// Where the query ends.
    until: Option<Timestamp>,
    /// Why the query cannot be run.
    invalid: Option<String>,
    cursor: Option<Cursor>,
    of: PhantomData<fn() -> T>,
}

/// One page of a query.
#[non_exhaustive]
pub struct Page<T: StatusTracker> {
    /// The entries of the page, in the order of the query.
    pub entries: Vec<IndexEntry<T>>,
    /// The errors of entries that cannot be read. They count towards the limit of the page.
    pub errors: Vec<Error>,
    /// The cursor of the next page, or `None` if this page is the last.
    pub next: Option<Cursor>,
}

impl<T: StatusTracker> Query<T> {
    pub(crate) fn new(cx: &Arc<Context>, statuses: &[Status]) -> Self {
        let partition = |status: &Status| {
            let code = status.code();
            let values = cx.use_case.partitions(*status, cx.config.read_shards);
            values.into_iter().map(move |value| (code, Range { value, ..Range::default() }))
        };
        let ranges = statuses.iter().flat_map(partition).collect();
        let foreign = statuses.iter().find(|status| cx.use_case.means_another(**status));
        let invalid = foreign.map(|Status { table, row }| {
            let (of, name, code) = (table.type_name, row.name, row.code);
            format!("`{of}::{name}` has the code {code}, which belongs to another status of this step; use a status of a step of this pipeline")
        });
        Self {
            cx: Arc::clone(cx),
            plan: Plan { ranges, ..Plan::default() },
            statuses: statuses.to_vec(),
            expired_only: false,
            alive: None,
            until: None,
            invalid,
            cursor: None,
            of: PhantomData,
        }
    }

    /// Leaves out tasks in progress unless their lease has expired, and other tasks until they are due, if the index
    /// projects `run_at`.
    ///
    /// The index shows when a task was started. Whether its lease was renewed since then is in the item, so the items
    /// of tasks that were started longer than a lease ago are read.
    pub(crate) fn expired_only(mut self) -> Self {
        let now = Timestamp::from(self.cx.now());
        let until = self.cx.rules().stale_before(now);
        let in_progress = self.cx.use_case.status_of(Role::InProgress).code();
        for (code, range) in &mut self.plan.ranges {
            if *code == in_progress {
                range.until = Some(until.to_string());
            } else {
                range.due_by = Some(now.to_string());
            }
        }
        self.expired_only = true;
        self
    }

    /// Remembers the leases that are alive, and leaves out those that an earlier query has found alive.
    pub(crate) fn remembering(mut self, alive: &Arc<AliveLeases>) -> Self {
        self.alive = Some(Arc::clone(alive));
        self
    }

    /// Sets the largest number of entries in all: at least 1. By default, there is no limit.
    pub fn limit(mut self, entries: usize) -> Self {
        self.plan.limit = Some(entries);
        self
    }

    /// Sets the largest number of entries of each status: at least 1. This limit does not work together with
    /// [`after`](Self::after).
    pub fn limit_per_status(mut self, entries: usize) -> Self {
        self.plan.limit_per_status = Some(entries);
        self
    }

    /// Reverses the order: the tasks whose status changed last come first.
    pub fn newest_first(mut self) -> Self {
        self.plan.newest_first = true;
        self
    }

    /// Continues after the [page](Self::page) that returned this cursor. The query must have the same statuses in the
    /// same order; the limit may differ.
    pub fn after(mut self, cursor: &Cursor) -> Self {
        self.cursor = Some(cursor.clone());
        self
    }

    /// Turns the query into a query of the tasks themselves, with their data and their history. It reads 100 tasks in a
    /// request.
    pub fn refresh(self) -> TaskQuery<T> {
        TaskQuery::new(self)
    }

    /// Returns the entries one by one. The stream reads page by page, and usually holds a few hundred entries of each
    /// shard in memory.
    ///
    /// # Errors
    ///
    /// - [`Decode`](ErrorKind::Decode) for an entry that cannot be read. The stream goes on.
    /// - [`InvalidQuery`](ErrorKind::InvalidQuery) or [`InvalidCursor`](ErrorKind::InvalidCursor), as the only
    ///   element, if the query cannot be run.
    /// - The error of a request that DynamoDB refused or did not answer, such as
    ///   [`Unavailable`](ErrorKind::Unavailable). The stream ends.
    pub fn stream(self) -> impl Stream<Item = Result<IndexEntry<T>, Error>> + Send + Unpin + use<T> {
        let cx = Arc::clone(&self.cx);
        let statuses = self.statuses.clone();
        self.rows().map(move |row| IndexEntry::new(row?, &cx.use_case, &cx.names, &statuses))
    }

    /// Returns the rows of the index, which are not parsed yet.
    pub(crate) fn rows(self) -> BoxStream<'static, Result<Row, Error>> {
        self.bounded().bounded_rows()
    }

    fn bounded_rows(self) -> BoxStream<'static, Result<Row, Error>> {
        if let Some(reason) = self.invalid {
            let invalid = Error::new(ErrorKind::InvalidQuery { reason });
            return stream::once(std::future::ready(Err(invalid))).boxed();
        }
        rows(self.cx, self.plan, self.expired_only, self.alive, self.cursor)
    }

    /// Leaves out tasks whose status changed after this time.
    ///
    /// By default, that is the time at which the first page is read, plus `max_clock_skew`, unless the newest tasks come first. So a query ends also if its tasks
    /// change as fast as they are read. The cursor of a page keeps the time for the next page.
    pub fn until(mut self, time: DateTime<Utc>) -> Self {
        self.until = Some(Timestamp::new(time));
        self
    }

    /// Sets where the query ends, unless that is set: where the query of the cursor ends, or now.
    fn bounded(mut self) -> Self {
        let of_cursor = || self.cursor.as_ref().and_then(Cursor::until);
        let now = || Timestamp::from(self.cx.now()).plus(self.cx.config.max_clock_skew);
        // From the newest to the oldest, no task can come up again.
        let default = || (!self.plan.newest_first).then(now);
        let Some(until) = self.until.or_else(of_cursor).or_else(default) else { return self };
        self.until = Some(until);
        let until = until.to_string();
        for (_, range) in &mut self.plan.ranges {
            // The order of the texts is that of the times.
            range.until = Some(range.until.take().map_or(until.clone(), |other| other.min(until.clone())));
        }
        self
    }

    /// Returns all entries at once.
    ///
    /// # Errors
    ///
    /// The first error of the [`stream`](Self::stream).
    pub async fn all(self) -> Result<Vec<IndexEntry<T>>, Error> {
        self.stream().try_collect().await
    }

    /// Returns the first page: at most [`limit`](Self::limit) entries, 100 by default, and the cursor of the next page.
    ///
    /// # Errors
    ///
    /// - [`InvalidQuery`](ErrorKind::InvalidQuery) or [`InvalidCursor`](ErrorKind::InvalidCursor) if the query cannot
    ///   be run.
    /// - The error of a request that DynamoDB refused or did not answer, such as
    ///   [`Unavailable`](ErrorKind::Unavailable).
    ///
    /// An entry that cannot be read is no error of the page: it is in [`Page::errors`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Cursor, Error, IndexEntry, Role, StatusTracker, Tracker, TrackerStatus};
    /// # async fn page<T: StatusTracker>(documents: &Tracker<T>, failed: T::Status) -> Result<(), Error> {
    /// let first = documents.query_by_status(failed).limit(20).page().await?;
    /// if let Some(next) = first.next {
    ///     let link = next.to_string(); // for a link in a web page
    ///     let cursor = Cursor::from_text(link);
    ///     let second = documents.query_by_status(failed).limit(20).after(&cursor).page().await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn page(self) -> Result<Page<T>, Error> {
        let (cx, statuses) = (Arc::clone(&self.cx), self.statuses.clone());
        let (rows, next) = self.page_of_rows().await?;
        let (mut entries, mut errors) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            match IndexEntry::new(row, &cx.use_case, &cx.names, &statuses) {
                Ok(entry) => entries.push(entry),
                Err(error) => errors.push(error),
            }
        }
        Ok(Page { entries, errors, next })
    }

    /// Returns the rows of the first page, and the cursor of the next one.
    async fn page_of_rows(mut self) -> Result<(Vec<Row>, Option<Cursor>), Error> {
        let limit = self.plan.limit.unwrap_or(100);
        if limit > 0 {
            // One row more shows whether there is a next page.
            self.plan.limit = Some(limit.saturating_add(1));
        }
        let query = self.bounded();
        let (plan, expired_only, until) = (query.plan.clone(), query.expired_only, query.until);
        let mut rows: Vec<_> = query.bounded_rows().try_collect().await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next = last.and_then(|last| Cursor::new(&plan, expired_only, until, last.position()));
        Ok((rows, next))
    }
}

impl<T: StatusTracker> fmt::Debug for Page<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("entries", &self.entries)
            .field("errors", &self.errors)
            .field("next", &self.next)
            .finish()
    }
}

impl<T> fmt::Debug for Query<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// Returns the rows of a plan, in order.
pub(crate) fn rows(
    cx: Arc<Context>,
    mut plan: Plan,
    expired_only: bool,
    alive: Option<Arc<AliveLeases>>,
    cursor: Option<Cursor>,
) -> BoxStream<'static, Result<Row, Error>> {
    let after = check(&plan, cursor.is_some())
        .and_then(|()| cursor.map(|cursor| cursor.position(&plan, expired_only)).transpose());
    match after {
        Ok(after) => plan.after = after,
        Err(error) => return stream::once(std::future::ready(Err(error))).boxed(),
    }
    if !expired_only {
        return merged(cx, Merge::new(plan)).boxed();
    }
    // Rows whose lease has not expired do not count, so the limits apply after the filter.
    let in_progress = cx.use_case.status_of(Role::InProgress).code();
    plan.uncounted = Some(in_progress);
    plan.hint = plan.limit.take();
    let mut limit = plan.hint.unwrap_or(usize::MAX);
    let mut left = plan.limit_per_status.unwrap_or(usize::MAX);
    if plan.ranges.iter().all(|(code, _)| *code == in_progress) {
        limit = limit.min(left);
        plan.hint = Some(limit);
    }
    let within = move |row: &Result<Row, Error>| {
        let counts = row.as_ref().is_ok_and(|row| row.code == in_progress);
        let within = !counts || left > 0;
        left -= usize::from(counts && within);
        std::future::ready(within)
    };
    let expired = refresh::only_expired(Arc::clone(&cx), alive, merged(cx, Merge::new(plan)), limit);
    expired.filter(within).take(limit).boxed()
}

/// Refuses a plan that cannot be run.
fn check(plan: &Plan, has_cursor: bool) -> Result<(), Error> {
    let reason = if plan.ranges.is_empty() {
        "it names no status; give it at least one"
    } else if has_cursor && plan.limit_per_status.is_some() {
        "`limit_per_status` cannot be kept over several pages; leave out either `limit_per_status` or `after`"
    } else if plan.limit == Some(0) {
        "`limit` is 0; use 1 or more, or no limit"
    } else if plan.limit_per_status == Some(0) {
        "`limit_per_status` is 0; use 1 or more, or no limit"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::InvalidQuery { reason: reason.to_owned() }))
}

/// Returns the rows of a merge. Reads the pages that the merge asks for, several at a time.
fn merged(cx: Arc<Context>, merge: Merge) -> impl Stream<Item = Result<Row, Error>> + Send {
    let state = Some((cx, merge));
    stream::unfold(state, async |state| {
        let (cx, mut merge) = state?;
        loop {
            let reads = match merge.next() {
                Next::End => return None,
                Next::Row(row) => return Some((Ok(row), Some((cx, merge)))),
                Next::Read(reads) => reads,
            };
            let newest_first = merge.is_newest_first();
            let pages = stream::iter(reads).map(|read| {
                let cx = &cx;
                async move {
                    let page = query(cx, &read.range, newest_first, read.rows, read.start).await?;
                    Ok::<_, Error>((read.nth, page))
                }
            });
            let pages: Result<Vec<_>, Error> = pages.buffer_unordered(READERS).try_collect().await;
            match pages {
                // Without this page, the order of the rows that follow is unknown.
                Err(error) => return Some((Err(error), None)),
                Ok(pages) => {
                    for (nth, page) in pages {
                        let rows = page.items.into_iter().filter_map(read_row).collect();
                        merge.take_in(nth, rows, page.next);
                    }
                }
            }
        }
    })
}

/// Reads a row of the index. Its keys are strings, because DynamoDB indexes no others. The merge adds the partition.
fn read_row(mut item: Item) -> Option<Row> {
    let mut text = |name| match item.remove(name) {
        Some(AttributeValue::S(text)) => Some(text),
        _ => None,
    };
    Some(Row {
        update_time: text(attribute::UPDATE_TIME)?,
        key: text(attribute::KEY)?,
        create_time: text(attribute::CREATE_TIME),
        ..Row::default()
    })
}
