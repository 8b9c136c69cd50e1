//! Reading the tasks that can be started, as far as a tour goes.

use std::collections::HashSet;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::claims::{ENOUGH, Found, SearchPlan, WINDOW};
use crate::declare::spec::Takeover;
use crate::declare::status::Role;
use crate::dynamodb::Context;
use crate::dynamodb::query::{Range, query};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::KEY;
use crate::query::Query;
use crate::time::Timestamp;
use crate::tracker::status_tracker::StatusTracker;

/// How many places of a group are read at the same time.
const READERS: usize = 8;
/// The most rows of a page: where most tasks are not due, smaller ones would be many.
const MOST_ROWS: usize = 2000;

/// A place where tasks are that can be started.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A partition of the index of a status from which this step starts.
    Ready(String),
    /// All tasks in progress whose lease has expired.
    Expired,
}

/// All places of a tracker.
pub(crate) fn places(cx: &Context) -> Vec<Source> {
    let ready = cx.use_case.ready().filter_map(|code| cx.use_case.status(code));
    let partitions = ready.flat_map(|status| cx.use_case.partitions(status, cx.config.read_shards));
    let expired = (cx.config.takeover == Takeover::Expired).then_some(Source::Expired);
    partitions.map(Source::Ready).chain(expired).collect()
}

/// What was found, and the errors of tasks that cannot be read.
pub(crate) type Looked = Result<(Found, Vec<Error>), Error>;

/// Goes on a tour, until there is enough to choose from.
pub(crate) async fn look<T: StatusTracker>(
    cx: Arc<Context>,
    places: Arc<[Source]>,
    tour: SearchPlan,
) -> Looked {
    let SearchPlan { groups, without } = tour;
    let (mut found, mut unreadable, mut fresh) = (Found::default(), Vec::new(), 0);
    for group in groups {
        if fresh >= ENOUGH {
            return Ok((found, unreadable));
        }
        let reads = group.into_iter().filter_map(|nth| Some((nth, places.get(nth)?.clone())));
        let reads = reads.map(|(nth, place)| {
            let (cx, without) = (&cx, &without);
            async move {
                let mut there = SourceScan { without, keys: Vec::new(), fresh: 0, unreadable: Vec::new() };
                match place {
                    Source::Ready(value) => there.read_ready(cx, value).await?,
                    Source::Expired => there.read_expired::<T>(cx).await?,
                }
                Ok::<_, Error>((nth, there))
            }
        });
        let read: Vec<_> = stream::iter(reads).buffer_unordered(READERS).try_collect().await?;
        for (nth, there) in read {
            found.places.push((nth, there.fresh > 0));
            found.keys.extend(there.keys);
            fresh += there.fresh;
            unreadable.extend(there.unreadable);
        }
    }
    found.whole = true;
    Ok((found, unreadable))
}

/// What there is in one place.
struct SourceScan<'w> {
    without: &'w HashSet<String>,
    keys: Vec<String>,
    /// How many of the keys count.
    fresh: usize,
    unreadable: Vec<Error>,
}

impl SourceScan<'_> {
    /// Takes a key in. Whether these are enough.
    fn take(&mut self, key: String) -> bool {
        self.fresh += usize::from(!self.without.contains(&key));
        self.keys.push(key);
        self.fresh >= WINDOW
    }

    /// The tasks of a partition that have waited longest, of those that are due.
    async fn read_ready(&mut self, cx: &Context, value: String) -> Result<(), Error> {
        let due_by = Some(Timestamp::from(cx.now()).to_string());
        let range = Range { value, due_by, ..Range::default() };
        let (mut start, mut rows) = (None, WINDOW);
        loop {
            let limit = i32::try_from(rows).unwrap_or(i32::MAX);
            let page = query(cx, &range, false, limit, start).await?;
            for mut item in page.items {
                if let Some(AttributeValue::S(key)) = item.remove(KEY)
                    && self.take(key)
                {
                    return Ok(());
                }
            }
            if page.next.is_none() {
                return Ok(());
            }
            start = page.next;
            rows = (rows * 4).min(MOST_ROWS);
        }
    }

    /// The tasks in progress whose lease has expired.
    async fn read_expired<T: StatusTracker>(&mut self, cx: &Arc<Context>) -> Result<(), Error> {
        let in_progress = cx.use_case.status_of(Role::InProgress);
        let mut rows = Query::<T>::new(cx, &[in_progress]).expired_only().rows();
        while let Some(row) = rows.try_next().await? {
            match row.unreadable {
                Some((attribute, why)) => {
                    let kind = ErrorKind::Decode { attribute };
                    self.unreadable.push(Error::new(kind).with_source(why).with_key(&row.key));
                }
                None if self.take(row.key) => return Ok(()),
                None => {}
            }
        }
        Ok(())
    }
}
