//! Searches the sources of a plan for tasks that can be started.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::claims::{ENOUGH, Found, SearchPlan, SourceRead, WINDOW};
use crate::declare::spec::Takeover;
use crate::declare::status::Role;
use crate::dynamodb::Context;
use crate::dynamodb::query::{Range, query};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, KEY, RUN_AT, UPDATE_TIME};
use crate::protocol::writes::Expected;
use crate::query::Query;
use crate::query::alive::AliveLeases;
use crate::table::pause::Pause;
use crate::time::Timestamp;
use crate::tracker::status_tracker::StatusTracker;

/// How many sources of a group are read at the same time.
const READERS: usize = 8;
/// The most rows of a page. Pages grow up to it, because few rows of each may be due.
const MAX_ROWS: usize = 2000;

/// A source of tasks that can be started.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A partition of the index, of a status from which this step starts.
    Ready { value: String, status: u32 },
    /// All tasks in progress whose lease has expired.
    Expired,
}

/// Returns all sources of a tracker.
pub(crate) fn sources(cx: &Context) -> Vec<Source> {
    let ready = cx.use_case.ready().filter_map(|code| cx.use_case.status(code));
    let partitions = ready.flat_map(|status| {
        let partitions = cx.use_case.partitions(status, cx.config.read_shards);
        partitions.into_iter().map(move |value| Source::Ready { value, status: status.code() })
    });
    let expired = (cx.config.takeover == Takeover::Expired).then_some(Source::Expired);
    partitions.chain(expired).collect()
}

/// What a search has found.
pub(crate) enum SearchEnd {
    /// Tasks to claim, and the errors of tasks that cannot be read.
    Claimable(Found, Vec<Error>),
    /// Whether any task has not ended.
    AnyUnfinished(bool),
    /// The step is paused.
    Paused(Pause),
}

pub(crate) type SearchOutcome = Result<SearchEnd, Error>;

/// Reads the groups of a plan until there are enough tasks to choose from.
pub(crate) async fn search<T: StatusTracker>(
    cx: Arc<Context>,
    sources: Arc<[Source]>,
    plan: SearchPlan,
    alive: Arc<AliveLeases>,
) -> SearchOutcome {
    let SearchPlan { groups, from, excluded } = plan;
    let mut is_partial = false;
    let (mut found, mut unreadable, mut new) = (Found::default(), Vec::new(), 0);
    for group in groups {
        if new >= ENOUGH {
            return Ok(SearchEnd::Claimable(found, unreadable));
        }
        let reads = group.into_iter().filter_map(|nth| Some((nth, sources.get(nth)?.clone())));
        let reads = reads.map(|(nth, source)| {
            let (cx, excluded, alive, from) =
                (&cx, &excluded, &alive, from.get(&nth).cloned().unwrap_or_default());
            async move {
                let mut scan = SourceScan {
                    excluded,
                    keys: Vec::new(),
                    expected: HashMap::new(),
                    suspects: Vec::new(),
                    new: 0,
                    is_partial: false,
                    read: SourceRead { source: nth, ..SourceRead::default() },
                    unreadable: Vec::new(),
                };
                match source {
                    Source::Ready { value, status } => scan.read_ready(cx, value, status, from).await?,
                    Source::Expired => scan.read_expired::<T>(cx, alive).await?,
                }
                scan.read.has_tasks = scan.new > 0;
                Ok::<_, Error>(scan)
            }
        });
        let read: Vec<_> = stream::iter(reads).buffer_unordered(READERS).try_collect().await?;
        for scan in read {
            found.sources.push(scan.read);
            found.keys.extend(scan.keys);
            found.expected.extend(scan.expected);
            found.suspects.extend(scan.suspects);
            new += scan.new;
            is_partial |= scan.is_partial;
            unreadable.extend(scan.unreadable);
        }
    }
    found.is_complete = !is_partial;
    Ok(SearchEnd::Claimable(found, unreadable))
}

/// Finds a task that has not ended, if there is one: one that can be started, now or later, or is in progress.
pub(crate) async fn any_unfinished(cx: Arc<Context>, ended: HashSet<String>) -> SearchOutcome {
    let ready = cx.use_case.ready().filter_map(|code| cx.use_case.status(code));
    // In progress first and last: a task may be started, or may fail, while the other partitions are read.
    let in_progress = [cx.use_case.status_of(Role::InProgress)];
    let statuses = in_progress.into_iter().chain(ready).chain(in_progress);
    let partitions: Vec<_> =
        statuses.flat_map(|status| cx.use_case.partitions(status, cx.config.read_shards)).collect();
    for value in partitions {
        let (range, mut any) = (Range { value, ..Range::default() }, false);
        read_keys(&cx, &range, ENOUGH, |key, _| {
            any = !ended.contains(&key);
            any
        })
        .await?;
        if any {
            return Ok(SearchEnd::AnyUnfinished(true));
        }
    }
    Ok(SearchEnd::AnyUnfinished(false))
}

/// Reads the keys of a range, the oldest first, each with the rest of its row, until `is_enough` says so. Pages grow, because
/// few rows of each may count.
async fn read_keys(
    cx: &Context,
    range: &Range,
    first_rows: usize,
    mut is_enough: impl FnMut(String, &Item) -> bool,
) -> Result<(), Error> {
    let (mut start, mut rows) = (None, first_rows);
    loop {
        let limit = i32::try_from(rows).unwrap_or(i32::MAX);
        let page = query(cx, range, false, limit, start).await?;
        for mut item in page.items {
            if let Some(AttributeValue::S(key)) = item.remove(KEY)
                && is_enough(key, &item)
            {
                return Ok(());
            }
        }
        if page.next.is_none() {
            return Ok(());
        }
        start = page.next;
        rows = (rows * 4).min(MAX_ROWS);
    }
}

/// Returns whether the last two attempts of an expired task were lost: this many before, and the expired one.
fn is_suspect(lost_before: u32) -> bool {
    lost_before >= 1
}

/// What one source has.
struct SourceScan<'w> {
    excluded: &'w HashSet<String>,
    keys: Vec<String>,
    expected: HashMap<String, Expected>,
    suspects: Vec<String>,
    /// How many of the keys are not excluded.
    new: usize,
    /// Whether the tasks before a place were not read.
    is_partial: bool,
    read: SourceRead,
    unreadable: Vec<Error>,
}

impl SourceScan<'_> {
    /// Adds a key. Returns whether there are enough now.
    fn add(&mut self, key: String) -> bool {
        self.new += usize::from(!self.excluded.contains(&key));
        self.keys.push(key);
        self.new >= WINDOW
    }

    /// Reads the due tasks of a partition, the oldest first: after the first of some places that has any, else from the
    /// beginning.
    async fn read_ready(
        &mut self,
        cx: &Context,
        value: String,
        status: u32,
        places: Vec<Timestamp>,
    ) -> Result<(), Error> {
        for place in places {
            self.read_from(cx, value.clone(), status, Some(place)).await?;
            if self.new > 0 {
                self.is_partial = true;
                return Ok(());
            }
            self.read.empty_from = Some(place);
        }
        if let Some(oldest) = self.read_from(cx, value, status, None).await? {
            self.read.deep_since = (self.new >= WINDOW).then_some(oldest);
        }
        Ok(())
    }

    /// Reads the due tasks of a partition, from a time on. Returns when the first one became ready.
    async fn read_from(
        &mut self,
        cx: &Context,
        value: String,
        status: u32,
        from: Option<Timestamp>,
    ) -> Result<Option<Timestamp>, Error> {
        let due_by = Some(Timestamp::from(cx.now()).to_string());
        let from = from.map(Timestamp::stored);
        let range = Range { value, from, due_by, ..Range::default() };
        let (mut first, mut rows) = (None, 0);
        let is_place = range.from.is_some();
        read_keys(cx, &range, WINDOW, |key, row| {
            rows += 1;
            let has_run_at = row.contains_key(RUN_AT);
            first = first.or_else(|| Timestamp::parse(row.get(UPDATE_TIME)?.as_s().ok()?));
            self.expected.insert(key.clone(), Expected { status, has_run_at });
            // A place is for a window of tasks, not for all the rest.
            self.add(key) || (is_place && rows >= WINDOW)
        })
        .await?;
        Ok(first)
    }

    /// Reads the tasks in progress whose lease has expired.
    async fn read_expired<T: StatusTracker>(
        &mut self,
        cx: &Arc<Context>,
        alive: &Arc<AliveLeases>,
    ) -> Result<(), Error> {
        let in_progress = cx.use_case.status_of(Role::InProgress);
        let mut rows = Query::<T>::new(cx, &[in_progress]).expired_only().remembering(alive).rows();
        while let Some(row) = rows.try_next().await? {
            if let Some((attribute, why)) = row.unreadable {
                let kind = ErrorKind::Decode { attribute };
                self.unreadable.push(Error::new(kind).because(why).with_key(&row.key));
                continue;
            }
            if is_suspect(row.lost_attempts) {
                self.suspects.push(row.key.clone());
            }
            if self.add(row.key) {
                return Ok(());
            }
        }
        Ok(())
    }
}
