//! Starting a task: the start itself, and the takeover of an expired lease.

use std::borrow::Borrow;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use uuid::Uuid;

use super::attempt::Attempt;
use super::execution::Execution;
use super::race::{Race, Round, race};
use super::shared_lease::SharedLease;
use crate::declare::status::Role;
use crate::dynamodb::{self, Context, SENDS, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, LOCK, LOCK_TIME, STARTED_FROM, string};
use crate::item::head::TaskHead;
use crate::observe::{EventDraft, EventKind};
use crate::protocol::classify::{self, Start};
use crate::protocol::lease::{Lease, Reading};
use crate::runtime::detached::detached;
use crate::time::Timestamp;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

/// A start waits for a clock that is behind by no more than this.
const WAIT: Duration = Duration::from_millis(250);

impl<T: StatusTracker> Tracker<T> {
    /// Starts a task: acquires its lease, so that no other worker can start it until the lease expires.
    ///
    /// If the lease of the task's holder has expired, the task is taken over, which counts as a failed attempt of that
    /// holder. If the future is dropped, a task that was started by then is released.
    ///
    /// # Errors
    ///
    /// - A [refusal](Error::is_refusal), with the task as it was found: [`NotFound`](ErrorKind::NotFound),
    ///   [`Locked`](ErrorKind::Locked), [`ClockBehind`](ErrorKind::ClockBehind),
    ///   [`AlreadySucceeded`](ErrorKind::AlreadySucceeded), [`Ignored`](ErrorKind::Ignored),
    ///   [`NotReady`](ErrorKind::NotReady) or [`NotDue`](ErrorKind::NotDue).
    /// - [`Contended`](ErrorKind::Contended) if other writers were faster several times in a row: try again.
    /// - [`Decode`](ErrorKind::Decode) if the item cannot be read into `T`. The task is then released.
    /// - [`ClockOff`](ErrorKind::ClockOff) if this machine's clock is known to be wrong.
    /// - [`Unavailable`](ErrorKind::Unavailable) or [`Throttled`](ErrorKind::Throttled) if no answer came. The task may
    ///   then be held until its lease expires.
    pub async fn start<Q>(&self, task_id: &Q) -> Result<Execution<T>, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        self.start_key(self.cx().key(task_id)?).await
    }

    pub(crate) async fn start_key(&self, key: String) -> Result<Execution<T>, Error> {
        let started =
            detached(self.cx().ticker.as_ref(), start(Arc::clone(self.shared_cx()), key.clone())).await;
        let shutting_down = || Error::new(ErrorKind::Unavailable).with_source("the runtime is shutting down");
        let execution = match started.unwrap_or_else(|| Err(shutting_down())) {
            // The caller may have asked for the result long after the start.
            Ok((attempt, _)) if attempt.has_passed(self.cx().now()) => {
                // Boxed, because the SDK's future would make the future of every start large.
                Err(Box::pin(attempt.release_unused(Error::new(ErrorKind::LeaseLost))).await)
            }
            Ok((attempt, item)) => Execution::decode(attempt, item).await,
            Err(error) => Err(error),
        };
        execution.map_err(|error| error.with_key(&key))
    }
}

/// Starts the task of a key. Returns the attempt, and the whole item.
async fn start(cx: Arc<Context>, key: String) -> Result<(Attempt, Item), Error> {
    cx.known_clock(&key).await?;
    let request = StartRequest::new(Arc::clone(&cx), key.clone());
    let started = Box::pin(race(request, Next::Start)).await;
    if let Err(refusal) = &started
        && refusal.is_refusal()
    {
        cx.emit(EventDraft::left(EventKind::Refused, &key, refusal));
    }
    started
}

/// What a round of a start sends.
enum Next {
    Start,
    /// A takeover, of the task as it was found.
    TakeOver(Box<TaskHead>),
}

/// One start, with the lock that it sets, whatever requests it takes.
struct StartRequest {
    cx: Arc<Context>,
    key: String,
    lock_id: String,
    /// The times that were sent, each with the monotonic clock that was read with it.
    sent: Vec<Reading>,
    /// Whether a start that only the clock had refused was sent again.
    repeated: bool,
    /// Whether the last request was a takeover.
    takes_over: bool,
}

impl Race for StartRequest {
    type Done = (Attempt, Item);
    type Next = Next;

    async fn round(&mut self, next: Next) -> Result<Round<(Attempt, Item), Next>, Error> {
        // Each answer says more about the clock, which decides whether a lease has expired.
        self.cx.check_clock()?;
        self.takes_over = matches!(next, Next::TakeOver(_));
        let sent = match next {
            Next::Start => self.send_start().await,
            Next::TakeOver(seen) => self.send_takeover(&seen).await,
        };
        let mut image = match sent {
            Ok(Some(mut item)) => {
                let head = self.cx.head(&mut item);
                return Ok(Round::Done(self.started(head, item).await?));
            }
            Ok(None) => None,
            Err(WriteError::Condition(image)) => image,
            Err(WriteError::Unknown(error) | WriteError::Refused(error)) => return Err(error),
        };
        let head = match image.as_mut().map(|item| self.cx.head(item)).transpose() {
            Ok(head) => head,
            Err(error) => match image {
                // The lock is ours, although the item cannot be read: release it.
                Some(item) if item.get(LOCK) == Some(&string(&*self.lock_id)) => {
                    return Ok(Round::Done(self.started(Err(error), item).await?));
                }
                _ => return Err(error),
            },
        };
        self.classify(head, image).await
    }
}

impl StartRequest {
    fn new(cx: Arc<Context>, key: String) -> Self {
        let lock_id = Uuid::new_v4().simple().to_string();
        Self { cx, key, lock_id, sent: Vec::new(), repeated: false, takes_over: false }
    }

    /// Decides what the image of a failed condition means.
    async fn classify(
        &mut self,
        head: Option<TaskHead>,
        image: Option<Item>,
    ) -> Result<Round<(Attempt, Item), Next>, Error> {
        let now = Timestamp::from(self.cx.now());
        let verdict = classify::classify_start(head.as_ref(), &self.lock_id, now, &self.cx.rules());
        let again = |found: Option<TaskHead>| Round::Lost { found: found.map(Box::new), next: Next::Start };
        match (verdict, head, image) {
            (Start::Started, Some(head), Some(item)) => Ok(Round::Done(self.started(Ok(head), item).await?)),
            (Start::Ignored, head, _) => Err(self.ignored(head)),
            (Start::TakeOver, Some(head), _) => {
                let head = Box::new(head);
                Ok(Round::Lost { found: Some(head.clone()), next: Next::TakeOver(head) })
            }
            // Another writer freed the task during the takeover.
            (Start::Again, head, _) if self.takes_over => Ok(again(head)),
            (Start::Again, head, _) if self.repeated => {
                Err(refused(ErrorKind::ClockBehind { by: Duration::ZERO }, head))
            }
            (Start::Refused(ErrorKind::ClockBehind { by }), head, _) if by <= WAIT && !self.repeated => {
                self.repeated = true;
                self.cx.clock.sleep(by).await;
                Ok(again(head))
            }
            (Start::Refused(kind), head, _) => Err(refused(kind, head)),
            // Only `Again` comes here: the other two verdicts have an image.
            (Start::Again | Start::Started | Start::TakeOver, head, _) => {
                self.repeated = true;
                Ok(again(head))
            }
        }
    }

    /// Returns the time to send: later than every time that this start has sent before.
    fn next_time(&mut self) -> Timestamp {
        let reading = Reading::after_all(&self.sent, self.cx.now());
        self.sent.push(reading);
        reading.time
    }

    async fn send_start(&mut self) -> Result<Option<Item>, WriteError> {
        let now = self.next_time();
        dynamodb::settle(&*self.cx.clock, SENDS, || {
            let write = self.cx.writes(&self.lock_id, now).start(&self.key);
            dynamodb::update(&self.cx, &self.key, write, ReturnValue::AllNew)
        })
        .await
    }

    /// Takes the task over, or ignores it.
    async fn send_takeover(&mut self, seen: &TaskHead) -> Result<Option<Item>, WriteError> {
        let now = self.next_time();
        let write = |detail| self.cx.writes(&self.lock_id, now).take_over(seen, detail);
        dynamodb::settle_history(&self.cx, &self.key, write).await
    }

    /// Returns the attempt, once the write is known to be applied. A takeover that ignored the task is a refusal.
    async fn started(&self, head: Result<TaskHead, Error>, item: Item) -> Result<(Attempt, Item), Error> {
        let stored = item.get(LOCK_TIME).and_then(|time| Timestamp::parse(time.as_s().ok()?));
        let Some(lease) = Lease::granted(&self.sent, stored, self.cx.config.lock_expire) else {
            return Err(Error::new(ErrorKind::LeaseLost));
        };
        let head = match head {
            Ok(head) => head,
            Err(error) => return Err(self.release_unreadable(&item, &lease, error).await),
        };
        if head.lock.as_deref() != Some(&self.lock_id) {
            return Err(self.ignored(Some(head)));
        }
        let lease = SharedLease::new(self.lock_id.clone(), head, lease);
        let attempt = Attempt::new(Arc::clone(&self.cx), lease);
        let why = match self.cx.check_clock() {
            // Other workers would see another lease than we do.
            Err(off) => off,
            Ok(()) if attempt.has_passed(self.cx.now()) => Error::new(ErrorKind::LeaseLost),
            Ok(()) => {
                self.emit_started(attempt.head());
                return Ok((attempt, item));
            }
        };
        Err(attempt.release_unused(why).await)
    }

    fn emit_started(&self, head: &TaskHead) {
        let cx = &self.cx;
        if self.takes_over {
            let from = Some(head.status_name());
            cx.emit(EventDraft::of(EventKind::TakenOver, head).from(from));
        } else {
            let from = head.started_from.and_then(|code| cx.use_case.status_name(code));
            cx.emit(EventDraft::of(EventKind::Started, head).from(from.as_deref()));
        }
    }

    /// Releases a task that this start holds and cannot read. A release needs only what the start itself wrote.
    async fn release_unreadable(&self, item: &Item, lease: &Lease, error: Error) -> Error {
        let started_from = item.get(STARTED_FROM).and_then(|code| code.as_n().ok()?.parse().ok());
        let now = Timestamp::from(self.cx.now()).after(lease.sent());
        let write = self.cx.writes(&self.lock_id, now).release(&self.key, started_from);
        let released = dynamodb::settle(&*self.cx.clock, SENDS, || {
            dynamodb::update(&self.cx, &self.key, write.clone(), ReturnValue::None)
        });
        if released.await.is_err() {
            tracing::warn!(
                target: "tracker_core::start",
                key = self.key,
                "a task that cannot be read could not be released: its lease has to expire"
            );
        }
        error
    }

    /// Reports that a takeover of ours ignored the task.
    fn ignored(&self, after: Option<TaskHead>) -> Error {
        if let Some(after) = &after {
            let from = self.cx.use_case.status_of(Role::InProgress).row.name;
            self.cx.emit(EventDraft::of(EventKind::Ignored, after).from(Some(from)));
        }
        refused(ErrorKind::Ignored, after)
    }
}

fn refused(kind: ErrorKind, found: Option<TaskHead>) -> Error {
    Error::new(kind).with_found(found)
}
