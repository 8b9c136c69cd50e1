//! Finding tasks by status: all shards at once, merged in time order.

pub(crate) mod count;
pub(crate) mod cursor;
pub(crate) mod entry;
pub(crate) mod merge;
pub(crate) mod refresh;
pub(crate) mod statuses;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

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

/// How many pages are read at the same time.
const READERS: usize = 16;

/// A query of the index, to be narrowed and then read: as a [`stream`](Self::stream), [`all`](Self::all) at once, or
/// [page by page](Self::page).
///
/// Its rows are what the index holds, and that may be a moment old: a start decides, never a query.
/// [`refresh`](Self::refresh) makes tasks of them.
#[must_use = "a query is read with `stream`, `all` or `page`"]
pub struct Query<T> {
    cx: Arc<Context>,
    plan: Plan,
    statuses: Vec<Status>,
    /// Of tasks in progress, only those whose lease has expired.
    expired_only: bool,
    /// Why it cannot be run.
    invalid: Option<String>,
    cursor: Option<Cursor>,
    of: PhantomData<fn() -> T>,
}

/// A page of a query.
#[non_exhaustive]
pub struct Page<T> {
    /// Its rows, in the order of the query.
    pub entries: Vec<IndexEntry<T>>,
    /// The errors of rows that cannot be read.
    pub errors: Vec<Error>,
    /// Where to go on; none where the query ends.
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
            format!("`{of}::{name}` has the code {code}, which is another status of this step; use the enum of a step of this pipeline")
        });
        Self {
            cx: Arc::clone(cx),
            plan: Plan { ranges, ..Plan::default() },
            statuses: statuses.to_vec(),
            expired_only: false,
            invalid,
            cursor: None,
            of: PhantomData,
        }
    }

    /// Of tasks in progress, only those that can be taken over. The index tells when a task was started; whether
    /// its lease was renewed since is read from the item, for those that are old enough.
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

    /// At most this many rows in all.
    pub fn limit(mut self, rows: usize) -> Self {
        self.plan.limit = Some(rows);
        self
    }

    /// At most this many rows of each status.
    pub fn limit_per_status(mut self, rows: usize) -> Self {
        self.plan.limit_per_status = Some(rows);
        self
    }

    /// The tasks whose status changed last come first, instead of those that have waited longest.
    pub fn newest_first(mut self) -> Self {
        self.plan.newest_first = true;
        self
    }

    /// Goes on after a [page](Self::page) of the same query.
    pub fn after(mut self, cursor: &Cursor) -> Self {
        self.cursor = Some(cursor.clone());
        self
    }

    /// Reads the tasks themselves, 100 in a request, instead of what the index holds of them.
    pub fn refresh(self) -> TaskQuery<T> {
        TaskQuery::new(self)
    }

    /// The rows, as they are read: a few hundred of each shard are held at a time, or all those of one shard that have
    /// the same time.
    ///
    /// A row that cannot be read is an `Err`, and the stream goes on; where DynamoDB refuses a request, the stream
    /// ends with its error. A wrong limit or cursor is its only element.
    pub fn stream(self) -> impl Stream<Item = Result<IndexEntry<T>, Error>> + Send + Unpin + use<T> {
        let cx = Arc::clone(&self.cx);
        let statuses = self.statuses.clone();
        self.rows().map(move |row| IndexEntry::new(row?, &cx.use_case, &statuses))
    }

    /// The rows, not yet made entries.
    pub(crate) fn rows(self) -> BoxStream<'static, Result<Row, Error>> {
        if let Some(reason) = self.invalid {
            let invalid = Error::new(ErrorKind::InvalidQuery { reason });
            return stream::once(std::future::ready(Err(invalid))).boxed();
        }
        rows(self.cx, self.plan, self.expired_only, self.cursor)
    }

    /// Only the rows up to now, by the fastest clock, so that what changes while it is read does not come up for ever.
    pub(crate) fn until_now(mut self) -> Self {
        let now = Timestamp::from(self.cx.now()).plus(self.cx.config.max_clock_skew).to_string();
        for (_, range) in &mut self.plan.ranges {
            range.until = Some(now.clone());
        }
        self
    }

    /// All the rows.
    ///
    /// # Errors
    ///
    /// The first of the [`stream`](Self::stream).
    pub async fn all(self) -> Result<Vec<IndexEntry<T>>, Error> {
        self.stream().try_collect().await
    }

    /// The first rows, as many as the [`limit`](Self::limit) says (100 if none does), and where to go on.
    ///
    /// # Errors
    ///
    /// The first of the [`stream`](Self::stream).
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Cursor, Error, IndexEntry, Role, StatusTracker, Tracker, TrackerStatus};
    /// # async fn page<T: StatusTracker>(documents: &Tracker<T>, failed: T::Status) -> Result<(), Error> {
    /// let first = documents.query_by_status(failed).limit(20).page().await?;
    /// if let Some(next) = first.next {
    ///     let link = next.to_string(); // in a web page, and back
    ///     let cursor = Cursor::from_text(link);
    ///     let second = documents.query_by_status(failed).limit(20).after(&cursor).page().await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn page(mut self) -> Result<Page<T>, Error> {
        let limit = self.plan.limit.unwrap_or(100);
        if limit > 0 {
            // One more tells whether there is a next page.
            self.plan.limit = Some(limit.saturating_add(1));
        }
        let (plan, expired_only, statuses) = (self.plan.clone(), self.expired_only, self.statuses.clone());
        let cx = Arc::clone(&self.cx);
        let mut rows: Vec<_> = self.rows().try_collect().await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next = last.and_then(|last| Cursor::new(&plan, expired_only, last.position()));
        let (mut entries, mut errors) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            match IndexEntry::new(row, &cx.use_case, &statuses) {
                Ok(entry) => entries.push(entry),
                Err(error) => errors.push(error),
            }
        }
        Ok(Page { entries, errors, next })
    }
}

impl<T> fmt::Debug for Page<T> {
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

/// The rows of a plan, in order.
pub(crate) fn rows(
    cx: Arc<Context>,
    mut plan: Plan,
    expired_only: bool,
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
    // What has not expired does not count, so the limits are applied to what is left.
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
    let expired = refresh::only_expired(Arc::clone(&cx), merged(cx, Merge::new(plan)), limit);
    expired.filter(within).take(limit).boxed()
}

fn check(plan: &Plan, goes_on: bool) -> Result<(), Error> {
    let reason = if plan.ranges.is_empty() {
        "it names no status; give it at least one"
    } else if goes_on && plan.limit_per_status.is_some() {
        "`limit_per_status` cannot be kept over several pages; leave it out"
    } else if plan.limit == Some(0) {
        "`limit` is 0; use 1 or more, or no limit"
    } else if plan.limit_per_status == Some(0) {
        "`limit_per_status` is 0; use 1 or more, or no limit"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::InvalidQuery { reason: reason.to_owned() }))
}

/// Drives a merge: reads the pages that it asks for, several at a time.
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
                // Nothing that follows could be known to be in order.
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

/// A row of the index: its keys are strings, or it would not be there. The merge knows its partition.
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
