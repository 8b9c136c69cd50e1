//! Giving a task up from outside: at once where nobody works on it, and else by a request to the attempt that does.

use uuid::Uuid;

use crate::declare::spec::Takeover;
use crate::declare::status::Role;
use crate::dynamodb::Context;
use crate::dynamodb::{self, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::item::head::TaskHead;
use crate::item::history::HistoryDetail;
use crate::observe::{EventDraft, EventKind};
use crate::protocol::classify;
use crate::protocol::expression::Expression;
use crate::protocol::writes;
use crate::time::Timestamp;

/// How often the task may change under our hands.
const ROUNDS: u32 = 6;

/// What a [`cancel`](crate::Tracker::cancel) came to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CancelOutcome {
    /// The task was given up: it is ignored now, as it stands here.
    Ignored(TaskHead),
    /// An attempt is under way, and asked to end: as the task was found.
    Requested(TaskHead),
}

/// Cancels a task, pinned to what was read of it each time.
pub(crate) async fn cancel(cx: &Context, key: &str) -> Result<CancelOutcome, Error> {
    cx.known_clock(key).await?;
    let mut found = dynamodb::get(cx, key, true, true).await?;
    // A takeover that gives the task up leaves it as its trace.
    let lock_id = Uuid::new_v4().simple().to_string();
    let mut last = None;
    for _ in 0..ROUNDS {
        let Some(mut item) = found.take() else {
            return Err(Error::new(ErrorKind::NotFound).with_key(key));
        };
        let seen = cx.head(&mut item)?;
        last = Some(seen.clone());
        let now = Timestamp::from(cx.now());
        match round(cx, &seen, &lock_id, now).await? {
            Round::Is(cancelled) => {
                let (kind, head) = match &*cancelled {
                    CancelOutcome::Ignored(head) => (EventKind::Ignored, head),
                    CancelOutcome::Requested(head) => (EventKind::CancelRequested, head),
                };
                cx.emit(EventDraft::of(kind, head).from(Some(seen.status_name())));
                return Ok(*cancelled);
            }
            Round::Refused(kind) => return Err(Error::new(kind).with_key(key).with_task(seen)),
            Round::Changed(image) => found = image,
        }
    }
    let status = last.as_ref().map_or_else(String::new, |seen| seen.status_name().to_owned());
    Err(Error::new(ErrorKind::NotReady { status }).with_key(key).with_found(last))
}

enum Round {
    Is(Box<CancelOutcome>),
    Refused(ErrorKind),
    /// Others were faster: what they made of it.
    Changed(Option<Item>),
}

async fn round(cx: &Context, seen: &TaskHead, lock_id: &str, now: Timestamp) -> Result<Round, Error> {
    let rules = cx.rules();
    let expired = seen.takeover_time(rules.lock_expire, rules.max_clock_skew) < now;
    match (&seen.lock, seen.role) {
        (None, Some(Role::Succeeded)) => Ok(Round::Refused(ErrorKind::AlreadySucceeded)),
        (None, Some(Role::Ignored)) => Ok(Round::Refused(ErrorKind::Ignored)),
        (None, Some(role)) if role.is_ready() => give_up(cx, seen, now).await,
        (Some(lock), Some(Role::InProgress)) => {
            if expired && rules.takeover == Takeover::Expired {
                take_over(cx, seen, lock_id, now).await
            } else {
                request(cx, seen, lock).await
            }
        }
        _ => Ok(Round::Refused(ErrorKind::NotReady { status: seen.status_name.clone().into_owned() })),
    }
}

/// Sends a write: the item as it left it, or what others were faster to make of it.
async fn send(
    cx: &Context,
    key: &str,
    write: impl Fn(HistoryDetail) -> Expression,
) -> Result<Result<Option<Item>, Option<Item>>, Error> {
    match dynamodb::settle_history(cx, key, write).await {
        Ok(item) => Ok(Ok(item)),
        Err(WriteError::Condition(image)) => Ok(Err(image)),
        Err(WriteError::Unknown(error)) => Err(WriteError::unknown_outcome(error).with_key(key)),
        Err(WriteError::Refused(error)) => Err(error.with_key(key)),
    }
}

/// Gives a free task up.
async fn give_up(cx: &Context, seen: &TaskHead, now: Timestamp) -> Result<Round, Error> {
    let Context { use_case, config, owner, .. } = cx;
    let write = |keep| writes::cancel(use_case, config, seen, owner, now, keep);
    let (after, _) = write(HistoryDetail::All);
    match send(cx, &seen.key, |keep| write(keep).1).await? {
        Ok(item) => Ok(Round::Is(Box::new(CancelOutcome::Ignored(stored(cx, item, after)?)))),
        Err(Some(image)) => {
            let is_there = cx.head(&mut image.clone())?;
            // Ours, whose answer was lost.
            if classify::was_set_by_operator(&is_there, &after) {
                return Ok(Round::Is(Box::new(CancelOutcome::Ignored(is_there))));
            }
            Ok(Round::Changed(Some(image)))
        }
        Err(None) => Ok(Round::Changed(None)),
    }
}

/// Takes the expired lease of a lost holder over, to give its task up.
async fn take_over(cx: &Context, seen: &TaskHead, lock_id: &str, now: Timestamp) -> Result<Round, Error> {
    let Context { use_case, config, owner, .. } = cx;
    let asked = TaskHead { cancel: seen.lock.clone(), ..seen.clone() };
    let write = |keep| writes::take_over(use_case, config, &asked, lock_id, owner, now, keep);
    match send(cx, &seen.key, write).await? {
        Ok(item) => Ok(Round::Is(Box::new(CancelOutcome::Ignored(stored(cx, item, asked)?)))),
        Err(Some(image)) => {
            let is_there = cx.head(&mut image.clone())?;
            if is_there.last_lock.as_deref() == Some(lock_id) {
                return Ok(Round::Is(Box::new(CancelOutcome::Ignored(is_there))));
            }
            Ok(Round::Changed(Some(image)))
        }
        Err(None) => Ok(Round::Changed(None)),
    }
}

/// Asks the attempt of a lock to end, and no other: a copy that comes later fits no other lock.
async fn request(cx: &Context, seen: &TaskHead, lock: &str) -> Result<Round, Error> {
    if seen.is_cancel_requested() {
        return Ok(Round::Is(Box::new(CancelOutcome::Requested(seen.clone()))));
    }
    match send(cx, &seen.key, |_| writes::request_cancel(lock)).await? {
        Ok(item) => Ok(Round::Is(Box::new(CancelOutcome::Requested(stored(cx, item, seen.clone())?)))),
        Err(image) => Ok(Round::Changed(image)),
    }
}

/// The task as a write left it.
fn stored(cx: &Context, item: Option<Item>, otherwise: TaskHead) -> Result<TaskHead, Error> {
    item.map_or(Ok(otherwise), |mut item| cx.head(&mut item))
}
