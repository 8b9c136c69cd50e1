//! Cancels a task from outside: at once if nobody holds it, otherwise by a request to its attempt.

use std::borrow::Borrow;
use std::fmt::Display;

use uuid::Uuid;

use super::by_hand::ByHand;
use super::free_task;
use super::race::{Race, Round, race};
use crate::declare::status::Role;
use crate::dynamodb::{self, Context, Route};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::item::head::TaskHead;
use crate::item::history::{HistoryDetail, Note};
use crate::observe::{EventDraft, EventKind};
use crate::protocol::classify;
use crate::protocol::expression::Expression;
use crate::protocol::operator;
use crate::protocol::writes::Writes;
use crate::time::Timestamp;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

/// The result of a [`cancel`](crate::Tracker::cancel).
#[doc(alias = "Cancel")]
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CancelOutcome {
    /// The task is ignored now, because nobody held it or its lease had expired. This is the task as it is
    /// stored.
    #[doc(alias = "GivenUp")]
    Ignored(TaskHead),
    /// A running attempt was asked to end, by this call or before. This is the task with the request.
    Requested(TaskHead),
}

impl<T: StatusTracker> Tracker<T> {
    /// Cancels a task, so that it ends ignored, with an entry in its history. A [`redrive`](Self::redrive)
    /// sets the task back to pending.
    ///
    /// A task that nobody holds is ignored at once. So is a task whose lease has expired, unless
    /// [`takeover`](crate::TrackerBuilder::takeover) is [`Never`](crate::Takeover::Never), because its holder
    /// may still work on it.
    ///
    /// A running attempt is asked to end. Its next heartbeat sees the request, within a third of the lease.
    /// [`run`](Self::run) and a worker then drop the body's future and ignore the task. If the task was
    /// [started](Self::start) by hand, [`cancelled`](crate::Execution::cancelled) completes. The request
    /// applies only to the attempt that holds the lease now. If that attempt ends first, its end stands.
    /// Python workers do not see a request. A worker whose heartbeat is off sees one only if it calls
    /// [`heartbeat`](crate::Execution::heartbeat) itself.
    ///
    /// # Errors
    ///
    /// - A [refusal](Error::is_refusal), with the task as it was found: [`NotFound`](ErrorKind::NotFound)
    ///   (without a task), [`AlreadySucceeded`](ErrorKind::AlreadySucceeded),
    ///   [`Ignored`](ErrorKind::Ignored), or [`NotReady`](ErrorKind::NotReady) in any other state, such as a
    ///   status of another step.
    /// - [`Contended`](ErrorKind::Contended) if other writers were faster several times in a row: cancel
    ///   again.
    /// - [`ClockOff`](ErrorKind::ClockOff) if this machine's clock differs from DynamoDB's by more than
    ///   half of `max_clock_skew`.
    /// - [`Decode`](ErrorKind::Decode) if the task's metadata cannot be read.
    /// - [`ItemTooLarge`](ErrorKind::ItemTooLarge) if the item is so close to 400 KB that it has no room for
    ///   the write. Nothing is changed.
    /// - [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) if no response arrived: cancel again.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{CancelOutcome, Error, StatusTracker, Tracker};
    /// # async fn stop<T: StatusTracker<TaskId = String>>(documents: &Tracker<T>) -> Result<(), Error> {
    /// match documents.cancel("doc-1").await? {
    ///     CancelOutcome::Ignored(task) => println!("{} is {}", task.task_id(), task.status_name()),
    ///     CancelOutcome::Requested(task) => println!("{:?} was asked to end it", task.owner()),
    ///     _ => {}
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn cancel<Q>(&self, task_id: &Q) -> Result<CancelOutcome, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        let key = self.cx().key(task_id)?;
        cancel(self.cx(), &key, &ByHand::default()).await
    }
}

/// Cancels a task. The write of each round is pinned to the task that the round has seen.
pub(crate) async fn cancel(cx: &Context, key: &str, by: &ByHand) -> Result<CancelOutcome, Error> {
    let cancelled = async {
        cx.known_clock(key).await?;
        let found = free_task::read(cx, key, by).await?;
        let lock_id = Uuid::new_v4().simple().to_string();
        race(Cancel { cx, by, lock_id }, found).await
    };
    cancelled.await.map_err(|error| error.with_key(key))
}

/// The cancel of one task.
struct Cancel<'a> {
    cx: &'a Context,
    by: &'a ByHand,
    /// The lock id of a takeover that ignores the task. The takeover leaves it in `last_lock`.
    lock_id: String,
}

impl Race for Cancel<'_> {
    type Done = CancelOutcome;
    type Next = Option<Item>;

    async fn round(&mut self, found: Option<Item>) -> Result<CancelRound, Error> {
        let cx = self.cx;
        let mut item = found.ok_or_else(|| Error::new(ErrorKind::NotFound))?;
        let seen = cx.head(&mut item)?;
        self.by.check(&seen)?;
        let now = Timestamp::from(cx.now());
        let way = match way(&seen, cx.rules().can_take_over(&seen, now)) {
            Ok(way) => way,
            Err(refusal) => return Err(Error::new(refusal).with_task(seen)),
        };
        if self.by.dry_run {
            return Ok(Round::Done(way.outcome(seen)));
        }
        let (writes, note) = (cx.writes(&self.lock_id, now), &self.by.note);
        let round = match way {
            Way::Ignore => ignore(cx, writes, &seen, note).await?,
            Way::TakeOver => take_over(cx, writes, &seen, note).await?,
            Way::Request { ref lock } => request(cx, &seen, lock, note).await?,
        };
        if let Round::Done(outcome) = &round {
            let (kind, head) = match outcome {
                CancelOutcome::Ignored(head) => (EventKind::Ignored, head),
                CancelOutcome::Requested(head) => (EventKind::CancelRequested, head),
            };
            cx.emit(EventDraft::of(kind, head).from(Some(seen.status_name())));
        }
        Ok(round)
    }
}

type CancelRound = Round<CancelOutcome, Option<Item>>;

/// How a task is cancelled.
enum Way {
    /// Nobody holds the task.
    Ignore,
    /// The lease has expired.
    TakeOver,
    /// An attempt holds the task with this lock.
    Request { lock: String },
}

impl Way {
    /// Returns what the cancel comes to, with the task as it was seen.
    fn outcome(&self, seen: TaskHead) -> CancelOutcome {
        match self {
            Self::Ignore | Self::TakeOver => CancelOutcome::Ignored(seen),
            Self::Request { .. } => CancelOutcome::Requested(seen),
        }
    }
}

/// Returns how a task is cancelled as it was seen, or why it cannot be.
fn way(seen: &TaskHead, can_take_over: bool) -> Result<Way, ErrorKind> {
    match (&seen.lock, seen.role) {
        (None, Some(Role::Succeeded)) => Err(ErrorKind::AlreadySucceeded),
        (None, Some(Role::Ignored)) => Err(ErrorKind::Ignored),
        (None, Some(role)) if role.is_ready() => Ok(Way::Ignore),
        (Some(_), Some(Role::InProgress)) if can_take_over => Ok(Way::TakeOver),
        (Some(lock), Some(Role::InProgress)) => Ok(Way::Request { lock: lock.clone() }),
        _ => Err(classify::not_ready(seen)),
    }
}

/// Ignores a free task.
async fn ignore(
    cx: &Context,
    writes: Writes<'_>,
    seen: &TaskHead,
    note: &Note,
) -> Result<CancelRound, Error> {
    let (after, _) = writes.cancel(seen, note, HistoryDetail::All);
    let is_ours = |found: &TaskHead| classify::was_set_by_operator(found, &after);
    let sent = send(cx, seen, |detail| writes.cancel(seen, note, detail).1, is_ours).await?;
    Ok(sent.into_round(seen, |stored| CancelOutcome::Ignored(stored.unwrap_or(after))))
}

/// Takes over an expired lease, and ignores the task.
async fn take_over(
    cx: &Context,
    writes: Writes<'_>,
    seen: &TaskHead,
    note: &Note,
) -> Result<CancelRound, Error> {
    let mut asked = TaskHead { cancel: seen.lock.clone(), ..seen.clone() };
    if !seen.is_cancel_requested() {
        asked.cancel_note = Note::default();
    }
    let is_ours = |found: &TaskHead| classify::was_released(found, writes.lock_id);
    let sent = send(cx, seen, |detail| writes.release_expired(&asked, note, detail), is_ours).await?;
    Ok(sent.into_round(seen, |stored| CancelOutcome::Ignored(stored.unwrap_or(asked))))
}

/// Asks the attempt that holds this lock to cancel. A late copy of the request fits no other attempt.
async fn request(cx: &Context, seen: &TaskHead, lock: &str, note: &Note) -> Result<CancelRound, Error> {
    if seen.is_cancel_requested() {
        return Ok(Round::Done(CancelOutcome::Requested(seen.clone())));
    }
    let nobody = Note::default();
    // A request without room for the note is sent without it.
    let note = |detail| if detail == HistoryDetail::All { note } else { &nobody };
    let sent = send(cx, seen, |detail| operator::request_cancel(seen, lock, note(detail)), |_| false).await?;
    Ok(sent.into_round(seen, |stored| CancelOutcome::Requested(stored.unwrap_or_else(|| seen.clone()))))
}

/// The outcome of a write.
enum Sent {
    /// The write was applied. This is the task as it is stored, if the response has it.
    Applied(Option<Box<TaskHead>>),
    /// Another writer was faster. This is the item as it is now.
    Lost(Option<Item>),
}

impl Sent {
    /// Ends the operation with the outcome of an applied write, or begins the next round.
    fn into_round(
        self,
        seen: &TaskHead,
        outcome: impl FnOnce(Option<TaskHead>) -> CancelOutcome,
    ) -> CancelRound {
        match self {
            Self::Applied(stored) => Round::Done(outcome(stored.map(|stored| *stored))),
            Self::Lost(next) => Round::Lost { found: Some(Box::new(seen.clone())), next },
        }
    }
}

/// Sends a write, with less of the history if the item would be too large. If the response of an earlier send
/// was lost, `is_ours` recognises the write in the item.
async fn send(
    cx: &Context,
    seen: &TaskHead,
    write: impl Fn(HistoryDetail) -> Expression,
    is_ours: impl Fn(&TaskHead) -> bool,
) -> Result<Sent, Error> {
    match dynamodb::settle_history(cx, Route::ALONE, &seen.key, write).await {
        Ok(item) => Ok(Sent::Applied(item.map(|mut item| cx.head(&mut item)).transpose()?.map(Box::new))),
        Err(error) => {
            let Some(image) = error.condition()?.image else { return Ok(Sent::Lost(None)) };
            let found = cx.head(&mut image.clone())?;
            Ok(if is_ours(&found) { Sent::Applied(Some(Box::new(found))) } else { Sent::Lost(Some(image)) })
        }
    }
}
