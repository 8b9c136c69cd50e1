//! Giving a task up from outside: at once where nobody works on it, and else by a request to the attempt that does.

use uuid::Uuid;

use crate::declare::spec::Takeover;
use crate::declare::status::Role;
use crate::dynamodb::context::Engine;
use crate::dynamodb::{self, Unwritten};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::item::head::TaskHead;
use crate::item::history::Keep;
use crate::observe::{EventKind, Told};
use crate::protocol::classify;
use crate::protocol::expression::Expression;
use crate::protocol::writes;
use crate::time::Timestamp;

/// How often the task may change under our hands.
const ROUNDS: u32 = 6;

/// What a [`cancel`](crate::Tracker::cancel) came to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Cancel {
    /// The task was given up: it is ignored now, as it stands here.
    GivenUp(TaskHead),
    /// An attempt is under way, and asked to end: as the task was found.
    Requested(TaskHead),
}

/// Cancels a task, pinned to what was read of it each time.
pub(crate) async fn cancel(engine: &Engine, key: &str) -> Result<Cancel, Error> {
    engine.known_clock(key).await?;
    let mut found = dynamodb::get(engine, key, true, true).await?;
    // A takeover that gives the task up leaves it as its trace.
    let me = Uuid::new_v4().simple().to_string();
    let mut last = None;
    for _ in 0..ROUNDS {
        let Some(mut item) = found.take() else {
            return Err(Error::new(ErrorKind::NotInitialized).with_key(key));
        };
        let seen = engine.head(&mut item)?;
        last = Some(seen.clone());
        let now = Timestamp::from(engine.now());
        match round(engine, &seen, &me, now).await? {
            Round::Is(cancelled) => {
                let (kind, head) = match &*cancelled {
                    Cancel::GivenUp(head) => (EventKind::Ignored, head),
                    Cancel::Requested(head) => (EventKind::CancelRequested, head),
                };
                engine.tell(Told::of(kind, head).from(Some(seen.status_name())));
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
    Is(Box<Cancel>),
    Refused(ErrorKind),
    /// Others were faster: what they made of it.
    Changed(Option<Item>),
}

async fn round(engine: &Engine, seen: &TaskHead, me: &str, now: Timestamp) -> Result<Round, Error> {
    let rules = engine.rules();
    let expired = seen.takeover_time(rules.lock_expire, rules.max_clock_skew) < now;
    match (&seen.lock, seen.role) {
        (None, Some(Role::Succeeded)) => Ok(Round::Refused(ErrorKind::AlreadySucceeded)),
        (None, Some(Role::Ignored)) => Ok(Round::Refused(ErrorKind::Ignored)),
        (None, Some(role)) if role.is_ready() => give_up(engine, seen, now).await,
        (Some(lock), Some(Role::InProgress)) => {
            if expired && rules.takeover == Takeover::Expired {
                take_over(engine, seen, me, now).await
            } else {
                request(engine, seen, lock).await
            }
        }
        _ => Ok(Round::Refused(ErrorKind::NotReady { status: seen.status_name.clone().into_owned() })),
    }
}

/// Sends a write: the item as it left it, or what others were faster to make of it.
async fn send(
    engine: &Engine,
    key: &str,
    write: impl Fn(Keep) -> Expression,
) -> Result<Result<Option<Item>, Option<Item>>, Error> {
    match dynamodb::settle_history(engine, key, write).await {
        Ok(item) => Ok(Ok(item)),
        Err(Unwritten::Condition(image)) => Ok(Err(image)),
        Err(Unwritten::Unknown(error)) => Err(Unwritten::unknown_outcome(error).with_key(key)),
        Err(Unwritten::Refused(error)) => Err(error.with_key(key)),
    }
}

/// Gives a free task up.
async fn give_up(engine: &Engine, seen: &TaskHead, now: Timestamp) -> Result<Round, Error> {
    let Engine { format, config, owner, .. } = engine;
    let write = |keep| writes::cancel(format, config, seen, owner, now, keep);
    let (after, _) = write(Keep::All);
    match send(engine, &seen.key, |keep| write(keep).1).await? {
        Ok(item) => Ok(Round::Is(Box::new(Cancel::GivenUp(stored(engine, item, after)?)))),
        Err(Some(image)) => {
            let is_there = engine.head(&mut image.clone())?;
            // Ours, whose answer was lost.
            if classify::was_set_by_hand(&is_there, &after) {
                return Ok(Round::Is(Box::new(Cancel::GivenUp(is_there))));
            }
            Ok(Round::Changed(Some(image)))
        }
        Err(None) => Ok(Round::Changed(None)),
    }
}

/// Takes the expired lease of a lost holder over, to give its task up.
async fn take_over(engine: &Engine, seen: &TaskHead, me: &str, now: Timestamp) -> Result<Round, Error> {
    let Engine { format, config, owner, .. } = engine;
    let asked = TaskHead { cancel: seen.lock.clone(), ..seen.clone() };
    let write = |keep| writes::take_over(format, config, &asked, me, owner, now, keep);
    match send(engine, &seen.key, write).await? {
        Ok(item) => Ok(Round::Is(Box::new(Cancel::GivenUp(stored(engine, item, asked)?)))),
        Err(Some(image)) => {
            let is_there = engine.head(&mut image.clone())?;
            if is_there.last_lock.as_deref() == Some(me) {
                return Ok(Round::Is(Box::new(Cancel::GivenUp(is_there))));
            }
            Ok(Round::Changed(Some(image)))
        }
        Err(None) => Ok(Round::Changed(None)),
    }
}

/// Asks the attempt of a lock to end, and no other: a copy that comes later fits no other lock.
async fn request(engine: &Engine, seen: &TaskHead, lock: &str) -> Result<Round, Error> {
    if seen.is_cancel_requested() {
        return Ok(Round::Is(Box::new(Cancel::Requested(seen.clone()))));
    }
    match send(engine, &seen.key, |_| writes::request_cancel(lock)).await? {
        Ok(item) => Ok(Round::Is(Box::new(Cancel::Requested(stored(engine, item, seen.clone())?)))),
        Err(image) => Ok(Round::Changed(image)),
    }
}

/// The task as a write left it.
fn stored(engine: &Engine, item: Option<Item>, otherwise: TaskHead) -> Result<TaskHead, Error> {
    item.map_or(Ok(otherwise), |mut item| engine.head(&mut item))
}
