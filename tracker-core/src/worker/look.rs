//! Reading the tasks that can be started, as far as a tour goes.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::claims::{ENOUGH, Found, Tour, WINDOW};
use crate::engine::Engine;
use crate::error::Error;
use crate::item::KEY;
use crate::op::query::{Range, query};
use crate::query::Query;
use crate::spec::Takeover;
use crate::status::Role;
use crate::time::Timestamp;
use crate::tracker::StatusTracker;

/// How many places of a group are read at the same time.
const READERS: usize = 8;
/// The most rows of a page: where most tasks are not due, smaller ones would be many.
const MOST_ROWS: usize = 2000;

/// A place where tasks are that can be started.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A partition of the index of a status from which this step starts.
    Ready(String),
    /// All tasks in progress whose lease has expired.
    Expired,
}

/// All places of a tracker.
pub(crate) fn places(engine: &Engine) -> Vec<Place> {
    let ready = engine.format.ready().filter_map(|code| engine.format.status(code));
    let partitions = ready.flat_map(|status| engine.format.partitions(status, engine.config.read_shards));
    let expired = (engine.config.takeover == Takeover::Expired).then_some(Place::Expired);
    partitions.map(Place::Ready).chain(expired).collect()
}

/// What was found, and the errors of tasks that cannot be read.
pub(crate) type Looked = Result<(Found, Vec<Error>), Error>;

/// Goes on a tour, until there is enough to choose from.
pub(crate) async fn look<T: StatusTracker>(engine: Arc<Engine>, places: Arc<[Place]>, tour: Tour) -> Looked {
    let (mut found, mut unreadable) = (Found::default(), Vec::new());
    for group in tour.groups {
        if found.keys.len() >= ENOUGH {
            return Ok((found, unreadable));
        }
        let reads = group.into_iter().filter_map(|nth| Some((nth, places.get(nth)?.clone())));
        let reads = reads.map(|(nth, place)| {
            let engine = &engine;
            async move {
                Ok::<_, Error>(match place {
                    Place::Ready(value) => (nth, ready(engine, value).await?, Vec::new()),
                    Place::Expired => {
                        let (keys, unreadable) = expired::<T>(engine).await?;
                        (nth, keys, unreadable)
                    }
                })
            }
        });
        let read: Vec<_> = stream::iter(reads).buffer_unordered(READERS).try_collect().await?;
        for (nth, keys, errors) in read {
            found.places.push((nth, !keys.is_empty()));
            found.keys.extend(keys);
            unreadable.extend(errors);
        }
    }
    found.whole = true;
    Ok((found, unreadable))
}

/// The tasks of a partition that have waited longest, of those that are due.
async fn ready(engine: &Engine, value: String) -> Result<Vec<String>, Error> {
    let due_by = Some(Timestamp::from(engine.now()).to_string());
    let range = Range { value, due_by, ..Range::default() };
    let (mut keys, mut start, mut rows) = (Vec::new(), None, WINDOW);
    loop {
        let limit = i32::try_from(rows).unwrap_or(i32::MAX);
        let page = query(engine, &range, false, limit, start).await?;
        let key = |mut item: crate::item::Item| match item.remove(KEY) {
            Some(aws_sdk_dynamodb::types::AttributeValue::S(key)) => Some(key),
            _ => None,
        };
        keys.extend(page.items.into_iter().filter_map(key));
        if keys.len() >= WINDOW || page.next.is_none() {
            return Ok(keys);
        }
        start = page.next;
        rows = (rows * 4).min(MOST_ROWS);
    }
}

/// The tasks in progress whose lease has expired.
async fn expired<T: StatusTracker>(engine: &Arc<Engine>) -> Result<(Vec<String>, Vec<Error>), Error> {
    let in_progress = engine.format.own(Role::InProgress);
    let mut rows = Query::<T>::new(engine, &[in_progress]).expired_only().limit(WINDOW).rows();
    let (mut keys, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(row) = rows.try_next().await? {
        match row.unreadable {
            None => keys.push(row.key),
            Some((attribute, why)) => {
                let kind = crate::error::ErrorKind::Decode { attribute };
                unreadable.push(Error::new(kind).with_source(why).with_key(&row.key));
            }
        }
    }
    Ok((keys, unreadable))
}
