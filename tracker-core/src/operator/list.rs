//! Lists tasks, and reads one with all that is stored of it.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::filter::{TaskFilter, last_error};
use super::view::{TaskDetail, TaskList, TaskSummary};
use super::{Operator, Step};
use crate::dynamodb;
use crate::dynamodb::batch::KEYS_PER_GET;
use crate::error::Error;
use crate::item::attribute::{HEAD, Item, status_code};
use crate::item::head::TaskHead;
use crate::query::cursor::Cursor;
use crate::query::merge::{Position, Row};
use crate::query::refresh::read_items;
use crate::query::rows;
use crate::time::Timestamp;

/// How many rows a list with an error reads at most before the page ends.
const MOST_READ: usize = 10_000;

impl Operator {
    /// Lists the tasks that a filter means, at most `limit` of them, after the page that returned a cursor.
    ///
    /// The statuses are merged by time. The index may show a task a moment late. If the filter names an error, the items are
    /// read, and tasks that have moved on are left out; a page then ends after 10,000 entries at the latest, with a cursor.
    ///
    /// # Errors
    ///
    /// - [`NotDescribed`](crate::ErrorKind::NotDescribed), or [`InvalidQuery`](crate::ErrorKind::InvalidQuery) for a step or a
    ///   status that does not exist.
    /// - [`InvalidCursor`](crate::ErrorKind::InvalidCursor) if the cursor belongs to another filter.
    /// - The error of a request that DynamoDB refused or did not answer.
    pub async fn list(
        &self,
        filter: &TaskFilter,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<TaskList, Error> {
        let of_filter = filter.until.map(Timestamp::new);
        let until = of_filter.or_else(|| after?.until()).unwrap_or_else(|| self.latest());
        let plan = self.plan(filter, until)?;
        let rows = rows(Arc::clone(&self.cx), plan.clone(), false, None, after.cloned());
        let mut found = std::pin::pin!(self.matching(rows, filter).take(MOST_READ));
        let (mut tasks, mut last) = (Vec::new(), None::<Position>);
        let mut read = 0;
        while let Some(found) = found.try_next().await? {
            read += 1;
            if tasks.len() == limit {
                let next = last.and_then(|last| Cursor::new(&plan, false, Some(until), last));
                return Ok(TaskList { tasks, next });
            }
            last = Some(found.position);
            tasks.extend(found.task);
        }
        let next = last.filter(|_| read == MOST_READ);
        Ok(TaskList { tasks, next: next.and_then(|last| Cursor::new(&plan, false, Some(until), last)) })
    }

    /// Returns all tasks that a filter means, one by one.
    ///
    /// # Errors
    ///
    /// The same as those of [`list`](Self::list). The stream ends after an error.
    pub fn stream(
        &self,
        filter: &TaskFilter,
    ) -> Result<impl Stream<Item = Result<TaskSummary, Error>> + Send, Error> {
        let until = filter.until.map_or_else(|| self.latest(), Timestamp::new);
        let found = self.found(filter, until)?;
        Ok(found.try_filter_map(|found| std::future::ready(Ok(found.task))))
    }

    /// Returns all tasks that a filter means, one by one, each with all that is stored of it. Tasks that were deleted meanwhile
    /// are left out.
    ///
    /// # Errors
    ///
    /// The same as those of [`list`](Self::list). A task that cannot be read is an error, after which the stream goes on.
    pub fn details(
        &self,
        filter: &TaskFilter,
    ) -> Result<impl Stream<Item = Result<TaskDetail, Error>> + Send, Error> {
        let tasks = self.stream(filter)?;
        let chunks = tasks.chunks(KEYS_PER_GET).map(|tasks| async {
            let tasks: Vec<TaskSummary> = tasks.into_iter().collect::<Result<_, _>>()?;
            let keys = unique(tasks.iter().map(TaskSummary::key));
            let mut items = read_items(&self.cx, keys, &[]).await?;
            let tasks = tasks.into_iter().filter_map(|task| items.remove(task.key()));
            Ok::<_, Error>(tasks.map(|item| self.detail(item)).collect::<Vec<_>>())
        });
        Ok(chunks.buffered(2).flat_map(|chunk| match chunk {
            Ok(tasks) => stream::iter(tasks).left_stream(),
            Err(error) => stream::iter([Err(error)]).right_stream(),
        }))
    }

    /// Reads a task with all that is stored of it, or `None` if there is no task with this id. The read is strongly consistent.
    ///
    /// # Errors
    ///
    /// - [`InvalidTaskId`](crate::ErrorKind::InvalidTaskId) if the id is empty or too long.
    /// - [`Decode`](crate::ErrorKind::Decode) if one of the tracker's own attributes cannot be read.
    /// - The error of a request that DynamoDB refused or did not answer.
    pub async fn get(&self, task_id: &str) -> Result<Option<TaskDetail>, Error> {
        let key = self.cx.key(task_id)?;
        let item = dynamodb::get(&self.cx, &key, true, false).await?;
        item.map(|item| self.detail(item)).transpose()
    }

    fn detail(&self, item: Item) -> Result<TaskDetail, Error> {
        let step = status_code(&item).and_then(|code| self.step_of(code));
        let cx = step.map_or(&self.cx, |step| &step.cx);
        TaskDetail::new(item, step.map(|step| &*step.name), cx, self.timestamp())
    }

    /// Returns the rows that a filter means, up to a time.
    pub(super) fn found(
        &self,
        filter: &TaskFilter,
        until: Timestamp,
    ) -> Result<impl Stream<Item = Result<Found, Error>> + Send + use<'_>, Error> {
        let plan = self.plan(filter, until)?;
        let rows = rows(Arc::clone(&self.cx), plan, false, None, None);
        Ok(self.matching(rows, filter))
    }

    /// Returns the rows with the tasks that a filter means, and those without.
    fn matching<'o>(
        &'o self,
        rows: impl Stream<Item = Result<Row, Error>> + Send + 'o,
        filter: &TaskFilter,
    ) -> BoxStream<'o, Result<Found, Error>> {
        let filter = filter.clone();
        if !filter.reads_items() {
            return rows.map_ok(move |row| self.summary(row, &filter)).boxed();
        }
        // With the error of a query, what was found before it is shown.
        let chunks = rows.chunks(KEYS_PER_GET).map(move |chunk| {
            let filter = filter.clone();
            async move {
                let (mut found, mut error) = (Vec::new(), None);
                for row in chunk {
                    match row {
                        Ok(row) => found.push(self.summary(row, &filter)),
                        Err(failed) => error = Some(failed),
                    }
                }
                match self.read_errors(&mut found, &filter).await {
                    Ok(()) => found.into_iter().map(Ok).chain(error.map(Err)).collect(),
                    Err(error) => vec![Err(error)],
                }
            }
        });
        chunks.buffered(2).flat_map(stream::iter).boxed()
    }

    fn summary(&self, row: Row, filter: &TaskFilter) -> Found {
        let position = row.position();
        let Some(step) = self.step_of(row.code) else { return Found { position, task: None } };
        let task = TaskSummary::new(row, &step.name, &step.cx);
        Found { position, task: filter.has_id(&task.task_id).then_some(task) }
    }

    /// Reads the errors of tasks, and leaves out the tasks with another error, and those that have moved on.
    async fn read_errors(&self, found: &mut [Found], filter: &TaskFilter) -> Result<(), Error> {
        let keys = unique(found.iter().filter_map(|found| Some(found.task.as_ref()?.key())));
        if keys.is_empty() {
            return Ok(());
        }
        let heads = self.heads(keys).await?;
        for Found { task: of_row, .. } in found {
            let Some(mut task) = of_row.take() else { continue };
            let head = heads.get(task.key()).filter(|head| head.status_code() == task.code);
            if let Some(head) = head.filter(|head| filter.has_error(head)) {
                task.error = last_error(head).map(|entry| entry.error.clone());
                task.failed_attempts = Some(head.failed_attempts());
                task.owner = head.owner().map(str::to_owned);
                *of_row = Some(task);
            }
        }
        Ok(())
    }

    /// Reads the metadata of tasks, each by its step. Leaves out tasks that cannot be read.
    pub(super) async fn heads(&self, keys: Vec<String>) -> Result<HashMap<String, TaskHead>, Error> {
        let items = read_items(&self.cx, keys, &HEAD).await?;
        let head = |(key, mut item): (String, Item)| {
            let code = status_code(&item)?;
            let cx = self.step_of(code).map_or(&self.cx, |step: &Step| &step.cx);
            Some((key, cx.head(&mut item).ok()?))
        };
        Ok(items.into_iter().filter_map(head).collect())
    }
}

/// A row of the index, with its task if the filter means it.
pub(super) struct Found {
    position: Position,
    pub(super) task: Option<TaskSummary>,
}

/// Returns each key once, because a request must not have a key twice.
pub(super) fn unique<'k>(keys: impl Iterator<Item = &'k str>) -> Vec<String> {
    let mut keys: Vec<_> = keys.map(str::to_owned).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
