//! Starts a task: the start itself, and the takeover of an expired lease.

use std::borrow::{Borrow, Cow};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::attempt::Attempt;
use super::deadline::Start;
use super::execution::Execution;
use super::race::{Race, Round, race};
use super::sent_starts::SentStarts;
use super::sharing::{Sharing, StartWith};
use crate::declare::status::Role;
use crate::dynamodb::{self, Context, Route, SENDS, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::item::head::TaskHead;
use crate::observe::{EventDraft, EventKind};
use crate::protocol::classify::Start as Verdict;
use crate::protocol::writes::Expected;
use crate::runtime::on_drop::or_if_dropped;
use crate::time::Timestamp;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

/// The longest time for which a start waits until this machine's clock has passed the last write of the task.
const LONGEST_CLOCK_WAIT: Duration = Duration::from_millis(250);

impl<T: StatusTracker> Tracker<T> {
    /// Starts a task: acquires its lease, so that no other worker can start the task until the lease expires.
    ///
    /// The task is taken over if the lease of its holder has expired, unless
    /// [`takeover`](crate::TrackerBuilder::takeover) is [`Never`](crate::Takeover::Never). A takeover counts
    /// as a failed attempt of that holder. If it was the last attempt, or the holder was asked to cancel, the
    /// start ignores the task instead and returns [`Ignored`](ErrorKind::Ignored).
    ///
    /// If the future is dropped, the start goes on, and a task that it acquires is released.
    ///
    /// # Errors
    ///
    /// - A [refusal](Error::is_refusal), with the task as it was found: [`NotFound`](ErrorKind::NotFound)
    ///   (without a task), [`Locked`](ErrorKind::Locked), [`ClockBehind`](ErrorKind::ClockBehind),
    ///   [`AlreadySucceeded`](ErrorKind::AlreadySucceeded), [`Ignored`](ErrorKind::Ignored),
    ///   [`NotReady`](ErrorKind::NotReady) or [`NotDue`](ErrorKind::NotDue).
    /// - [`Contended`](ErrorKind::Contended) if other writers were faster several times in a row: try again.
    /// - [`Decode`](ErrorKind::Decode) if the item cannot be read into `T`. If it was started, the task is
    ///   released.
    /// - [`InvalidTaskId`](ErrorKind::InvalidTaskId) if the id is empty, or its key has more than 2,048
    ///   bytes.
    /// - [`ItemTooLarge`](ErrorKind::ItemTooLarge) if the item is so close to 400 KB that it has no room for
    ///   the start. Nothing is changed.
    /// - [`ClockOff`](ErrorKind::ClockOff) if this machine's clock differs from DynamoDB's by more than
    ///   half of `max_clock_skew`.
    /// - [`LeaseLost`](ErrorKind::LeaseLost) if the response arrived after the lease had expired: try again.
    /// - [`Unavailable`](ErrorKind::Unavailable) or [`Throttled`](ErrorKind::Throttled) if no response
    ///   arrived, or DynamoDB throttled the start. The tracker releases the task in the background if it acquired it. Only if
    ///   that fails, the task is held until its lease expires.
    /// - [`NotSent`](ErrorKind::NotSent) or [`Service`](ErrorKind::Service) if the start was not sent or was refused. After
    ///   several conflicts with transactions, the start is released as after `Unavailable`.
    /// - [`DeadlinePassed`](ErrorKind::DeadlinePassed) if DynamoDB did not answer before the
    ///   [`deadline`](Start::deadline).
    pub fn start<Q>(
        &self,
        task_id: &Q,
    ) -> Start<impl Future<Output = Result<Execution<T>, Error>> + use<'_, T, Q>>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        let key = self.cx().key(task_id);
        Start::new(|remaining| async move {
            let deadline = remaining.beginning_now(&*self.cx().clock);
            self.start_before(key?, deadline).await
        })
    }

    /// Starts the task of a key.
    pub(crate) async fn start_key(&self, key: String, with: StartWith) -> Result<Execution<T>, Error> {
        let key: Arc<str> = key.into();
        let request = StartRequest::new(Arc::clone(self.shared_cx()), Arc::clone(&key), with.sharing);
        let again = request.again();
        // Boxed, because the SDK's future would make the future of every body large.
        let started =
            or_if_dropped(Box::pin(start(request, with.expected)), || again.release_in_background()).await;
        let execution = match started {
            // The caller may poll for the result long after the start.
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

/// Starts the task of a key. Returns the attempt and the whole item.
async fn start(request: StartRequest, expected: Option<Expected>) -> Result<(Attempt, Item), Error> {
    let (cx, key) = (Arc::clone(&request.cx), Arc::clone(&request.key));
    cx.known_clock(&key).await?;
    let started = Box::pin(race(request, Next::Start(expected))).await.map_err(|error| error.with_key(&key));
    if let Err(refusal) = &started
        && refusal.is_refusal()
    {
        cx.emit(EventDraft::left(EventKind::Refused, &key, refusal));
    }
    started
}

/// The request of a round.
pub(super) enum Next {
    /// A start: of a task that is expected to be like this, or however it is.
    Start(Option<Expected>),
    /// A takeover of the task that was found.
    TakeOver(Box<TaskHead>),
}

/// One start.
pub(super) struct StartRequest {
    pub(super) cx: Arc<Context>,
    pub(super) key: Arc<str>,
    pub(super) sharing: Sharing,
    /// Shared with the copy that goes on if the caller drops the start.
    pub(super) sent: Arc<SentStarts>,
    /// Whether a start was sent again after only its time was too early. That happens once.
    repeated: bool,
    /// Whether the last request was a takeover.
    pub(super) takes_over: bool,
}

impl Race for StartRequest {
    type Done = (Attempt, Item);
    type Next = Next;

    async fn round(&mut self, next: Next) -> Result<Round<(Attempt, Item), Next>, Error> {
        // The last response may have shown that the clock is off, by which expired leases are judged.
        self.cx.check_clock()?;
        self.takes_over = matches!(next, Next::TakeOver(_));
        let expected = if let Next::Start(expected) = next { expected } else { None };
        let sent = match next {
            Next::Start(expected) => self.send_start(expected).await,
            Next::TakeOver(seen) => self.send_takeover(&seen).await,
        };
        let mut image = match sent {
            Ok(Some(mut item)) => {
                let head = self.cx.head(&mut item);
                return self.usable(self.granted(head, item)).await.map(Round::Done);
            }
            Ok(None) => None,
            Err(WriteError::Condition(failed)) => failed.image,
            Err(WriteError::Unknown(error)) => {
                self.again().release_if_applied();
                return Err(error);
            }
            Err(WriteError::Refused(error)) => return Err(error),
        };
        let head = match image.as_mut().map(|item| self.cx.head(item)).transpose() {
            Ok(head) => head,
            Err(error) => match image {
                // This start holds the task, although the item cannot be read: release the task.
                Some(item) if self.sent.own_lock(&item).is_some() => {
                    return self.usable(self.granted(Err(error), item)).await.map(Round::Done);
                }
                _ => return Err(error),
            },
        };
        Box::pin(self.classify(expected, head, image)).await
    }
}

impl StartRequest {
    fn new(cx: Arc<Context>, key: Arc<str>, sharing: Sharing) -> Self {
        Self { cx, key, sharing, sent: Arc::default(), repeated: false, takes_over: false }
    }

    /// Returns the same start, which knows the requests of this one.
    fn again(&self) -> Self {
        Self {
            cx: Arc::clone(&self.cx),
            key: Arc::clone(&self.key),
            sharing: self.sharing,
            sent: Arc::clone(&self.sent),
            repeated: false,
            takes_over: false,
        }
    }

    /// Sends the start again, if it was sent before, and releases the task that it acquires. The caller has dropped the
    /// start, so nobody knows what became of its last request.
    fn release_in_background(self) {
        if self.sent.is_empty() {
            return;
        }
        let cx = Arc::clone(&self.cx);
        let release = async move {
            let again = self.again();
            match start(self, None).await {
                Ok((attempt, _)) => drop(attempt.release_unused(Error::new(ErrorKind::LeaseLost)).await),
                Err(_) => again.release_if_applied(),
            }
        };
        cx.spawn(release.boxed());
    }

    /// Reads the task, and releases it if this start holds it. No response to the start has come.
    fn release_if_applied(self) {
        let cx = Arc::clone(&self.cx);
        let release = async move {
            if let Ok(Some(mut item)) = dynamodb::get(&self.cx, &self.key, true, false).await
                && self.sent.own_lock(&item).is_some()
            {
                let head = self.cx.head(&mut item);
                if let Ok((attempt, _)) = self.usable(self.granted(head, item)).await {
                    drop(attempt.release_unused(Error::new(ErrorKind::LeaseLost)).await);
                }
            }
        };
        cx.spawn(release.boxed());
    }

    /// Decides what to do next, by the item that came back with a failed condition.
    async fn classify(
        &mut self,
        expected: Option<Expected>,
        head: Option<TaskHead>,
        image: Option<Item>,
    ) -> Result<Round<(Attempt, Item), Next>, Error> {
        let now = Timestamp::from(self.cx.now());
        let verdict = self.sent.classify(head.as_ref(), now, &self.cx.rules());
        let again =
            |found: Option<TaskHead>| Round::Lost { found: found.map(Box::new), next: Next::Start(None) };
        match (verdict, head, image) {
            (Verdict::Started, Some(head), Some(item)) => {
                self.usable(self.granted(Ok(head), item)).await.map(Round::Done)
            }
            (Verdict::Ignored, head, _) => Err(self.ignored(head)),
            (Verdict::TakeOver, Some(head), _) => {
                let head = Box::new(head);
                Ok(Round::Lost { found: Some(head.clone()), next: Next::TakeOver(head) })
            }
            // Another writer freed the task before the takeover.
            (Verdict::Again, head, _) if self.takes_over => Ok(again(head)),
            // The task can be started, but is not as it was expected.
            (Verdict::Again, Some(head), Some(item)) if expected.is_some() => {
                let expected = Expected::of(&head, &item).filter(|now| Some(*now) != expected);
                Ok(Round::Lost { found: Some(Box::new(head)), next: Next::Start(expected) })
            }
            (Verdict::Again, head, _) if self.repeated => {
                Err(refused(ErrorKind::ClockBehind { by: Duration::ZERO }, head))
            }
            (Verdict::Refused(ErrorKind::ClockBehind { by }), head, _)
                if by <= LONGEST_CLOCK_WAIT && !self.repeated =>
            {
                self.repeated = true;
                self.cx.clock.sleep(by).await;
                Ok(again(head))
            }
            (Verdict::Refused(kind), head, _) => {
                let kind = match &head {
                    Some(head) => self.cx.with_holder(kind, head),
                    None => kind,
                };
                Err(refused(kind, head))
            }
            // Only `Again` reaches this arm: the other two verdicts come with an item.
            (Verdict::Again | Verdict::Started | Verdict::TakeOver, head, _) => {
                self.repeated = true;
                Ok(again(head))
            }
        }
    }

    /// Sends the start until its outcome is known.
    async fn send_start(&mut self, expected: Option<Expected>) -> Result<Option<Item>, WriteError> {
        let (now, lock_id) = self.sent.next(self.cx.now());
        dynamodb::settle(&*self.cx.clock, SENDS, || {
            let writes = self.cx.writes(&lock_id, now);
            let (route, write) = match expected {
                Some(expected) => (self.sharing.start_route(), writes.start_expected(&self.key, expected)),
                None => (Route::ALONE, writes.start(&self.key)),
            };
            dynamodb::update(&self.cx, route, &self.key, Cow::Owned(write), true)
        })
        .await
    }

    /// Sends the takeover until its outcome is known. It ignores the task if this was the last attempt, or if
    /// the lost attempt was asked to cancel.
    async fn send_takeover(&mut self, seen: &TaskHead) -> Result<Option<Item>, WriteError> {
        let (now, lock_id) = self.sent.next(self.cx.now());
        let write = |detail| self.cx.writes(&lock_id, now).take_over(seen, detail);
        dynamodb::settle_history(&self.cx, self.sharing.start_route(), &self.key, write).await
    }

    /// Reports that the takeover ignored the task, and returns the refusal.
    pub(super) fn ignored(&self, after: Option<TaskHead>) -> Error {
        if let Some(after) = &after {
            let from = self.cx.use_case.status_of(Role::InProgress).row.name;
            self.cx.emit(EventDraft::of(EventKind::Ignored, after).from(Some(from)));
        }
        refused(ErrorKind::Ignored, after)
    }
}

/// Returns a refusal, with the task as it was found.
fn refused(kind: ErrorKind, found: Option<TaskHead>) -> Error {
    Error::new(kind).with_found(found)
}
