//! Starting a task: the start itself, and the takeover of an expired lease.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use uuid::Uuid;

use crate::declare::status::Role;
use crate::dynamodb::Context;
use crate::dynamodb::{self, SENDS, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, LOCK, LOCK_TIME, STARTED_FROM, string};
use crate::item::head::TaskHead;
use crate::lifecycle::attempt::Attempt;
use crate::lifecycle::heartbeat::SharedLease;
use crate::observe::{EventDraft, EventKind};
use crate::protocol::classify::{self, Start};
use crate::protocol::lease::{Lease, Reading};
use crate::protocol::writes;
use crate::time::Timestamp;

/// How many requests one start may take, when other workers race with it.
const ROUNDS: u32 = 6;
/// A clock that is behind by no more than this is waited for.
const WAIT: Duration = Duration::from_millis(250);

/// Starts the task with this key, and gives what is held, with the whole item.
pub(crate) async fn start(cx: Arc<Context>, key: String) -> Result<(Attempt, Item), Error> {
    cx.known_clock(&key).await?;
    let started = Box::pin(attempt(Arc::clone(&cx), key.clone())).await;
    if let Err(refusal) = &started
        && refusal.is_refusal()
    {
        cx.emit(EventDraft::left(EventKind::Refused, &key, refusal));
    }
    started
}

async fn attempt(cx: Arc<Context>, key: String) -> Result<(Attempt, Item), Error> {
    let lock_id = Uuid::new_v4().simple().to_string();
    let mut attempt = StartRequest { lock_id, cx, key, sent: Vec::new(), repeated: false, takes_over: false };
    let mut taken_over: Option<TaskHead> = None;
    let mut found = None;
    for _ in 0..ROUNDS {
        // Each answer tells more of the clock, which decides what is expired.
        attempt.cx.check_clock().map_err(|error| error.with_key(&attempt.key))?;
        let raced = taken_over.is_some();
        attempt.takes_over = raced;
        let result = match taken_over.take() {
            None => attempt.send_start().await,
            Some(seen) => attempt.send_takeover(&seen).await,
        };
        let mut image = match result {
            Ok(Some(mut item)) => {
                let head = attempt.cx.head(&mut item);
                return attempt.started(head, item).await;
            }
            Ok(None) => None,
            Err(WriteError::Condition(image)) => image,
            Err(WriteError::Unknown(error) | WriteError::Refused(error)) => {
                return Err(error.with_key(&attempt.key));
            }
        };
        let head = match image.as_mut().map(|item| attempt.cx.head(item)).transpose() {
            Ok(head) => head,
            Err(error) => match image {
                // Ours all the same, and to be released.
                Some(item) if item.get(LOCK) == Some(&string(&*attempt.lock_id)) => {
                    return attempt.started(Err(error), item).await;
                }
                _ => return Err(error),
            },
        };
        let now = Timestamp::from(attempt.cx.now());
        let verdict = classify::classify_start(head.as_ref(), &attempt.lock_id, now, &attempt.cx.rules());
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
                attempt.cx.clock.sleep(by).await;
            }
            Start::Refused(kind) => return Err(attempt.refused(kind, head)),
        }
    }
    // Others were faster each time.
    let status = found.as_ref().map_or_else(String::new, |head| head.status_name().to_owned());
    Err(attempt.refused(ErrorKind::NotReady { status }, found))
}

/// One start, with the lock that it sets, whatever requests it takes.
struct StartRequest {
    cx: Arc<Context>,
    key: String,
    lock_id: String,
    /// The times that were sent, with the monotonic clock as read with each.
    sent: Vec<Reading>,
    /// Whether a start that the clock alone had refused was sent again.
    repeated: bool,
    /// Whether what was sent last is a takeover.
    takes_over: bool,
}

impl StartRequest {
    /// The time to send: later than what this start has sent before.
    fn next(&mut self) -> Timestamp {
        let reading = Reading::after_all(&self.sent, self.cx.now());
        self.sent.push(reading);
        reading.time
    }

    async fn send_start(&mut self) -> Result<Option<Item>, WriteError> {
        let now = self.next();
        let Context { use_case, config, owner, .. } = &*self.cx;
        dynamodb::settle(&*self.cx.clock, SENDS, || {
            let write = writes::start(use_case, config, &self.key, &self.lock_id, owner, now);
            dynamodb::update(&self.cx, &self.key, write, ReturnValue::AllNew)
        })
        .await
    }

    /// Takes the task over, or gives it up.
    async fn send_takeover(&mut self, seen: &TaskHead) -> Result<Option<Item>, WriteError> {
        let now = self.next();
        let Context { use_case, config, owner, .. } = &*self.cx;
        let write = |keep| writes::take_over(use_case, config, seen, &self.lock_id, owner, now, keep);
        dynamodb::settle_history(&self.cx, &self.key, write).await
    }

    /// The write was applied. Where it has given the task up, that is a refusal.
    async fn started(self, head: Result<TaskHead, Error>, item: Item) -> Result<(Attempt, Item), Error> {
        let now = self.cx.now();
        let stored = item.get(LOCK_TIME).and_then(|time| Timestamp::parse(time.as_s().ok()?));
        let Some(lease) = Lease::granted(&self.sent, stored, self.cx.config.lock_expire) else {
            return Err(Error::new(ErrorKind::LeaseLost).with_key(&self.key));
        };
        let started_from = item.get(STARTED_FROM).and_then(|code| code.as_n().ok()?.parse().ok());
        if let Ok(head) = &head
            && head.lock.as_deref() != Some(&self.lock_id)
        {
            return Err(self.gave_up(Some(head.clone())));
        }
        match head {
            Ok(head) => {
                let held = Attempt::new(self.cx, SharedLease::new(self.lock_id, head, lease));
                let why = match held.cx.check_clock() {
                    // Others would see another lease than we do.
                    Err(off) => off,
                    Ok(()) if held.has_passed(now) => Error::new(ErrorKind::LeaseLost),
                    Ok(()) => {
                        let kind = if self.takes_over { EventKind::TakenOver } else { EventKind::Started };
                        let from =
                            held.head().started_from.and_then(|code| held.cx.use_case.status_name(code));
                        let from =
                            if self.takes_over { Some(held.head().status_name()) } else { from.as_deref() };
                        held.cx.emit(EventDraft::of(kind, held.head()).from(from));
                        return Ok((held, item));
                    }
                };
                Err(held.release_unused(why).await)
            }
            // What the start wrote is all that a release needs.
            Err(error) => {
                let now = Timestamp::from(now).after(lease.sent());
                let write = writes::release(&self.cx.use_case, &self.key, started_from, &self.lock_id, now);
                let cx = &self.cx;
                let released = dynamodb::settle(&*cx.clock, SENDS, || {
                    dynamodb::update(cx, &self.key, write.clone(), ReturnValue::None)
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
            let from = self.cx.use_case.status_of(Role::InProgress).row.name;
            self.cx.emit(EventDraft::of(EventKind::Ignored, after).from(Some(from)));
        }
        self.refused(ErrorKind::Ignored, after)
    }

    fn refused(&self, kind: ErrorKind, found: Option<TaskHead>) -> Error {
        Error::new(kind).with_key(&self.key).with_found(found)
    }
}
