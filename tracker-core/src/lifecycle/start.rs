//! Starting a task: the start itself, and the takeover of an expired lease.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use uuid::Uuid;

use crate::declare::status::Role;
use crate::dynamodb::context::Engine;
use crate::dynamodb::{self, SENDS, Unwritten};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, LOCK, LOCK_TIME, STARTED_FROM, string};
use crate::item::head::TaskHead;
use crate::lifecycle::attempt::Held;
use crate::lifecycle::heartbeat::Keeper;
use crate::observe::{EventKind, Told};
use crate::protocol::classify::{self, Start};
use crate::protocol::lease::{Lease, Reading};
use crate::protocol::writes;
use crate::time::Timestamp;

/// How many requests one start may take, when other workers race with it.
const ROUNDS: u32 = 6;
/// A clock that is behind by no more than this is waited for.
const WAIT: Duration = Duration::from_millis(250);

/// Starts the task with this key, and gives what is held, with the whole item.
pub(crate) async fn start(engine: Arc<Engine>, key: String) -> Result<(Held, Item), Error> {
    engine.known_clock(&key).await?;
    let started = Box::pin(attempt(Arc::clone(&engine), key.clone())).await;
    if let Err(refusal) = &started
        && refusal.is_refusal()
    {
        engine.tell(Told::left(EventKind::Refused, &key, refusal));
    }
    started
}

async fn attempt(engine: Arc<Engine>, key: String) -> Result<(Held, Item), Error> {
    let me = Uuid::new_v4().simple().to_string();
    let mut attempt = Attempt { me, engine, key, sent: Vec::new(), repeated: false, takes_over: false };
    let mut taken_over: Option<TaskHead> = None;
    let mut found = None;
    for _ in 0..ROUNDS {
        // Each answer tells more of the clock, which decides what is expired.
        attempt.engine.check_clock().map_err(|error| error.with_key(&attempt.key))?;
        let raced = taken_over.is_some();
        attempt.takes_over = raced;
        let result = match taken_over.take() {
            None => attempt.send_start().await,
            Some(seen) => attempt.send_takeover(&seen).await,
        };
        let mut image = match result {
            Ok(Some(mut item)) => {
                let head = attempt.engine.head(&mut item);
                return attempt.started(head, item).await;
            }
            Ok(None) => None,
            Err(Unwritten::Condition(image)) => image,
            Err(Unwritten::Unknown(error) | Unwritten::Refused(error)) => {
                return Err(error.with_key(&attempt.key));
            }
        };
        let head = match image.as_mut().map(|item| attempt.engine.head(item)).transpose() {
            Ok(head) => head,
            Err(error) => match image {
                // Ours all the same, and to be released.
                Some(item) if item.get(LOCK) == Some(&string(&*attempt.me)) => {
                    return attempt.started(Err(error), item).await;
                }
                _ => return Err(error),
            },
        };
        let now = Timestamp::from(attempt.engine.now());
        let verdict = classify::classify_start(head.as_ref(), &attempt.me, now, &attempt.engine.rules());
        found.clone_from(&head);
        match verdict {
            Start::Started => {
                if let (Some(head), Some(item)) = (head, image) {
                    return attempt.started(Ok(head), item).await;
                }
            }
            Start::GaveUp => return Err(attempt.gave_up(head)),
            Start::TakeOver => taken_over = head,
            // The task was freed while we were taking it over.
            Start::Again if raced => {}
            Start::Again if !attempt.repeated => attempt.repeated = true,
            Start::Again => {
                let kind = ErrorKind::ClockBehind { by: Duration::ZERO };
                return Err(attempt.refused(kind, head));
            }
            Start::Refused(ErrorKind::ClockBehind { by }) if by <= WAIT && !attempt.repeated => {
                attempt.repeated = true;
                attempt.engine.clock.sleep(by).await;
            }
            Start::Refused(kind) => return Err(attempt.refused(kind, head)),
        }
    }
    // Others were faster each time.
    let status = found.as_ref().map_or_else(String::new, |head| head.status_name().to_owned());
    Err(attempt.refused(ErrorKind::NotReady { status }, found))
}

/// One start, with the lock that it sets, whatever requests it takes.
struct Attempt {
    engine: Arc<Engine>,
    key: String,
    me: String,
    /// The times that were sent, with the monotonic clock as read with each.
    sent: Vec<Reading>,
    /// Whether a start that the clock alone had refused was sent again.
    repeated: bool,
    /// Whether what was sent last is a takeover.
    takes_over: bool,
}

impl Attempt {
    /// The time to send: later than what this start has sent before.
    fn next(&mut self) -> Timestamp {
        let reading = Reading::after_all(&self.sent, self.engine.now());
        self.sent.push(reading);
        reading.time
    }

    async fn send_start(&mut self) -> Result<Option<Item>, Unwritten> {
        let now = self.next();
        let Engine { format, config, owner, .. } = &*self.engine;
        dynamodb::settle(&*self.engine.clock, SENDS, || {
            let write = writes::start(format, config, &self.key, &self.me, owner, now);
            dynamodb::update(&self.engine, &self.key, write, ReturnValue::AllNew)
        })
        .await
    }

    /// Takes the task over, or gives it up.
    async fn send_takeover(&mut self, seen: &TaskHead) -> Result<Option<Item>, Unwritten> {
        let now = self.next();
        let Engine { format, config, owner, .. } = &*self.engine;
        let write = |keep| writes::take_over(format, config, seen, &self.me, owner, now, keep);
        dynamodb::settle_history(&self.engine, &self.key, write).await
    }

    /// The write was applied. Where it has given the task up, that is a refusal.
    async fn started(self, head: Result<TaskHead, Error>, item: Item) -> Result<(Held, Item), Error> {
        let now = self.engine.now();
        let stored = item.get(LOCK_TIME).and_then(|time| Timestamp::parse(time.as_s().ok()?));
        let Some(lease) = Lease::granted(&self.sent, stored, self.engine.config.lock_expire) else {
            return Err(Error::new(ErrorKind::LeaseLost).with_key(&self.key));
        };
        let started_from = item.get(STARTED_FROM).and_then(|code| code.as_n().ok()?.parse().ok());
        if let Ok(head) = &head
            && head.lock.as_deref() != Some(&self.me)
        {
            return Err(self.gave_up(Some(head.clone())));
        }
        match head {
            Ok(head) => {
                let held = Held::new(self.engine, Keeper::new(self.me, head, lease));
                let why = match held.engine.check_clock() {
                    // Others would see another lease than we do.
                    Err(off) => off,
                    Ok(()) if held.has_passed(now) => Error::new(ErrorKind::LeaseLost),
                    Ok(()) => {
                        let kind = if self.takes_over { EventKind::TakenOver } else { EventKind::Started };
                        let from =
                            held.head().started_from.and_then(|code| held.engine.format.status_name(code));
                        let from =
                            if self.takes_over { Some(held.head().status_name()) } else { from.as_deref() };
                        held.engine.tell(Told::of(kind, held.head()).from(from));
                        return Ok((held, item));
                    }
                };
                Err(held.in_vain(why).await)
            }
            // What the start wrote is all that a release needs.
            Err(error) => {
                let now = Timestamp::from(now).after(lease.sent());
                let write = writes::release(&self.engine.format, &self.key, started_from, &self.me, now);
                let engine = &self.engine;
                let released = dynamodb::settle(&*engine.clock, SENDS, || {
                    dynamodb::update(engine, &self.key, write.clone(), ReturnValue::None)
                });
                if released.await.is_err() {
                    tracing::warn!(
                        target: "tracker_core::start",
                        key = self.key,
                        "a task that cannot be read could not be released: its lease has to expire"
                    );
                }
                Err(error)
            }
        }
    }

    /// A takeover of ours has given the task up.
    fn gave_up(&self, after: Option<TaskHead>) -> Error {
        if let Some(after) = &after {
            let from = self.engine.format.own(Role::InProgress).row.name;
            self.engine.tell(Told::of(EventKind::Ignored, after).from(Some(from)));
        }
        self.refused(ErrorKind::Ignored, after)
    }

    fn refused(&self, kind: ErrorKind, found: Option<TaskHead>) -> Error {
        Error::new(kind).with_key(&self.key).with_found(found)
    }
}
