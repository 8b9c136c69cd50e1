//! Reads the tasks of rows of the index, 100 in a request.

use std::collections::{HashMap, HashSet};
use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::alive::AliveLeases;
use super::cursor::Cursor;
use super::merge::Row;
use super::{IndexEntry, Query};
use crate::declare::status::Role;
use crate::dynamodb::Context;
use crate::dynamodb::batch::{KEYS_PER_GET, batch_get, until_processed};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{ERRORS, HEAD, Item, KEY, status_code};
use crate::time::Timestamp;
use crate::tracker::codec::read_task;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

/// How many requests are in flight at the same time.
const READERS: usize = 4;

/// A query that returns tasks with their data and their history, instead of entries of the index.
///
/// The query leaves out tasks that were deleted meanwhile, and tasks that have moved to another status;
/// [`with_moved_tasks`](Self::with_moved_tasks) keeps the tasks that have moved. It needs the permission for `BatchGetItem`.
#[doc(alias = "Refreshed")]
#[must_use = "a query reads nothing until `stream` or `all` is called"]
pub struct TaskQuery<T> {
    query: Query<T>,
    with_moved: bool,
}

impl<T: StatusTracker> TaskQuery<T> {
    pub(super) fn new(query: Query<T>) -> Self {
        Self { query, with_moved: false }
    }

    /// Keeps tasks that have moved to another status than the index shows. A task that the index shows twice for a
    /// moment may then be returned twice.
    pub fn with_moved_tasks(mut self) -> Self {
        self.with_moved = true;
        self
    }

    /// Returns the tasks one by one, in the order of the query. If the index shows a task twice for a moment, in its
    /// old and in its new status, the stream keeps the entry whose status the item has.
    ///
    /// # Errors
    ///
    /// - [`Decode`](ErrorKind::Decode) for a task that cannot be read. The stream goes on.
    /// - [`InvalidQuery`](ErrorKind::InvalidQuery) or [`InvalidCursor`](ErrorKind::InvalidCursor), as the only
    ///   element, if the query cannot be run.
    /// - The error of a request that DynamoDB refused or did not answer, such as
    ///   [`Unavailable`](ErrorKind::Unavailable). The stream ends.
    pub fn stream(self) -> impl Stream<Item = Result<Task<T>, Error>> + Send + Unpin + use<T> {
        // One request at a time: a second one would run into its timeout while a slow consumer does not poll it.
        self.read(1)
    }

    /// Returns the tasks, with several requests in flight at the same time.
    fn read(self, readers: usize) -> impl Stream<Item = Result<Task<T>, Error>> + Send + Unpin + use<T> {
        let cx = Arc::clone(&self.query.cx);
        let with_moved = self.with_moved;
        let chunks = self.query.rows().chunks(KEYS_PER_GET).map(move |rows| {
            let cx = Arc::clone(&cx);
            async move { read_tasks(&cx, rows, with_moved).await }
        });
        until_refused(chunks.buffered(readers)).boxed()
    }

    /// Returns the first page: the tasks of at most [`limit`](Query::limit) entries, 100 by default, and the cursor of the
    /// next page. A page may have fewer tasks than entries, because some have moved or were deleted meanwhile.
    ///
    /// # Errors
    ///
    /// The errors of [`Query::page`]. A task that cannot be read is no error of the page: it is in [`TaskPage::errors`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, StatusTracker, TaskPage, Tracker};
    /// # async fn page<T: StatusTracker>(documents: &Tracker<T>, failed: T::Status) -> Result<(), Error> {
    /// let TaskPage { tasks, next, .. } = documents.query_by_status(failed).limit(20).refresh().page().await?;
    /// # Ok(()) }
    /// ```
    pub async fn page(self) -> Result<TaskPage<T>, Error> {
        let (cx, with_moved) = (Arc::clone(&self.query.cx), self.with_moved);
        let (rows, next) = self.query.page_of_rows().await?;
        let mut page = TaskPage { tasks: Vec::new(), errors: Vec::new(), next };
        for rows in rows.chunks(KEYS_PER_GET) {
            let rows = rows.iter().cloned().map(Ok).collect();
            for task in read_tasks(&cx, rows, with_moved).await? {
                match task {
                    Ok(task) => page.tasks.push(task),
                    Err(error) => page.errors.push(error),
                }
            }
        }
        Ok(page)
    }

    /// Returns all tasks at once.
    ///
    /// # Errors
    ///
    /// The first error of the [`stream`](Self::stream).
    pub async fn all(self) -> Result<Vec<Task<T>>, Error> {
        self.read(READERS).try_collect().await
    }
}

/// One page of a query for tasks.
#[derive(Debug)]
#[non_exhaustive]
pub struct TaskPage<T: StatusTracker> {
    /// The tasks of the page, in the order of the query.
    pub tasks: Vec<Task<T>>,
    /// The errors of tasks that cannot be read.
    pub errors: Vec<Error>,
    /// The cursor of the next page, or `None` if this page is the last.
    pub next: Option<Cursor>,
}

impl<T> fmt::Debug for TaskQuery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskQuery").field("query", &self.query).finish_non_exhaustive()
    }
}

/// Reads the tasks of entries, in the order of the entries. Leaves out the same tasks as [`TaskQuery`].
pub(crate) async fn refresh<T: StatusTracker>(
    cx: &Context,
    entries: &[IndexEntry<T>],
    with_moved: bool,
) -> Result<Vec<Task<T>>, Error> {
    let mut requests = Vec::new();
    for entries in entries.chunks(KEYS_PER_GET) {
        let rows = entries.iter().map(|entry| Ok(entry.row.clone())).collect();
        requests.push(read_tasks::<T>(cx, rows, with_moved));
    }
    let tasks: Vec<Vec<_>> = stream::iter(requests).buffered(READERS).try_collect().await?;
    tasks.into_iter().flatten().collect()
}

/// Returns the elements of the chunks, up to the first chunk that was refused, and then the error of that chunk.
fn until_refused<R: Send + 'static>(
    chunks: impl Stream<Item = Result<Vec<Result<R, Error>>, Error>> + Send,
) -> impl Stream<Item = Result<R, Error>> + Send {
    let mut refused = false;
    let chunks = chunks.map(move |chunk| {
        if std::mem::replace(&mut refused, chunk.is_err()) {
            return None;
        }
        Some(chunk.unwrap_or_else(|error| vec![Err(error)]))
    });
    chunks
        .take_while(|chunk| std::future::ready(chunk.is_some()))
        .flat_map(|chunk| stream::iter(chunk.unwrap_or_default()))
}

/// Reads the tasks of one batch of rows, in the order of the rows.
async fn read_tasks<T: StatusTracker>(
    cx: &Context,
    rows: Vec<Result<Row, Error>>,
    with_moved: bool,
) -> Result<Vec<Result<Task<T>, Error>>, Error> {
    let readable = |row: &&Row| row.unreadable.is_none();
    let keys = unique_keys(rows.iter().filter_map(|row| row.as_ref().ok()).filter(readable));
    let mut items = read_items(cx, keys, &[]).await?;
    let task = |row: Result<Row, Error>| match row {
        Err(error) => Some(Err(error)),
        Ok(Row { unreadable: Some((attribute, why)), key, .. }) => {
            let error = Error::new(ErrorKind::Decode { attribute }).because(why).with_key(&key);
            Some(Err(error))
        }
        Ok(row) => {
            let moved = status_code(items.get(&row.key)?).is_some_and(|status| status != row.code);
            // A moved item stays in the map, because the index may show the task in its new status as well.
            if moved && !with_moved { None } else { Some(read_task(cx, items.remove(&row.key)?)) }
        }
    };
    Ok(rows.into_iter().filter_map(task).collect())
}

/// Leaves out rows in progress unless their lease has expired. Checks at most `limit` rows at a time, because no more
/// are wanted.
pub(super) fn only_expired(
    cx: Arc<Context>,
    alive: Option<Arc<AliveLeases>>,
    rows: impl Stream<Item = Result<Row, Error>> + Send,
    limit: usize,
) -> impl Stream<Item = Result<Row, Error>> + Send {
    let chunks = rows.chunks(limit.clamp(1, KEYS_PER_GET)).then(move |rows| {
        let (cx, alive) = (Arc::clone(&cx), alive.clone());
        async move { leave_out_live_leases(&cx, alive.as_deref(), rows).await }
    });
    until_refused(chunks)
}

/// Leaves out rows in progress unless the lease of their item has expired. An item that cannot be read makes its row
/// unreadable.
async fn leave_out_live_leases(
    cx: &Context,
    alive: Option<&AliveLeases>,
    mut rows: Vec<Result<Row, Error>>,
) -> Result<Vec<Result<Row, Error>>, Error> {
    let in_progress = cx.use_case.status_of(Role::InProgress).code();
    let now = Timestamp::from(cx.now());
    let is_alive = |row: &Row| row.code == in_progress && alive.is_some_and(|alive| alive.has(row, now));
    rows.retain(|row| !row.as_ref().is_ok_and(is_alive));
    let is_in_progress = |row: &&Row| row.code == in_progress;
    let keys = unique_keys(rows.iter().filter_map(|row| row.as_ref().ok()).filter(is_in_progress));
    if keys.is_empty() {
        return Ok(rows);
    }
    let head: Vec<_> = HEAD.into_iter().filter(|name| *name != ERRORS).collect();
    let mut items = read_items(cx, keys, &head).await?;
    let rules = cx.rules();
    let keep = |row: Result<Row, Error>| match row {
        Ok(row) if row.code == in_progress => match cx.head(&mut items.remove(&row.key)?) {
            Ok(head) => {
                let is_expired = head.is_in_progress() && rules.is_expired(&head, now);
                let free_since = rules.takeover_at(&head);
                if let Some(alive) = alive.filter(|_| head.is_in_progress() && !is_expired) {
                    alive.insert(&row, free_since, now);
                }
                let lost_attempts = head.lost_attempts();
                is_expired.then_some(Ok(Row { lost_attempts, free_since: Some(free_since), ..row }))
            }
            Err(error) => {
                let attribute = match error.kind() {
                    ErrorKind::Decode { attribute } => attribute.clone(),
                    _ => String::new(),
                };
                let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                Some(Ok(Row { unreadable: Some((attribute, why)), ..row }))
            }
        },
        row => Some(row),
    };
    Ok(rows.into_iter().filter_map(keep).collect())
}

/// Returns each key once, because a request must not have a key twice.
fn unique_keys<'r>(rows: impl Iterator<Item = &'r Row>) -> Vec<String> {
    let mut seen = HashSet::new();
    rows.filter(|row| seen.insert(&row.key)).map(|row| row.key.clone()).collect()
}

/// Reads items by their keys, at most 100. Keys that a request leaves unprocessed are sent again.
pub(crate) async fn read_items(
    cx: &Context,
    keys: Vec<String>,
    projection: &[&str],
) -> Result<HashMap<String, Item>, Error> {
    let items =
        until_processed(cx, keys, |keys| batch_get(cx, &cx.bulk_client, keys, projection, false)).await?;
    let keyed = items.into_iter().filter_map(|item| Some((item.get(KEY)?.as_s().ok()?.clone(), item)));
    Ok(keyed.collect())
}
