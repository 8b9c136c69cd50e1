//! A lease that is held, and how it ends: by a finish that is always sent, or recorded as dropped.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use tokio::runtime::Handle;

use crate::dynamodb::context::Engine;
use crate::dynamodb::{self, SENDS_OF_A_FINISH, Unwritten};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::item::document::Document;
use crate::item::fields::Encoded;
use crate::item::head::TaskHead;
use crate::item::history::Keep;
use crate::lifecycle::failure;
use crate::lifecycle::heartbeat::Keeper;
use crate::observe::{self, EventKind, Told};
use crate::protocol::classify::{self, Written};
use crate::protocol::expression::Expression;
use crate::protocol::lease::Reading;
use crate::protocol::writes::{self, Outcome, Then};
use crate::runtime::detached::detached;
use crate::time::{Now, Timestamp};

/// A task that was started and is not finished yet.
///
/// Dropped so, it is released while nobody has seen it, and recorded as failed afterwards: best effort, from
/// a task of its own. Where that cannot run, the lease expires.
pub(crate) struct Held {
    pub(crate) engine: Arc<Engine>,
    /// As it was started, but for what was saved since. Shared, as its history may be long.
    head: Arc<TaskHead>,
    pub(crate) keeper: Arc<Keeper>,
    when_dropped: WhenDropped,
    /// Where it was started, as it may be dropped on a thread that is not the runtime's.
    runtime: Option<Handle>,
    /// When it began, by the monotonic clock.
    begun: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenDropped {
    Release,
    Fail,
    Nothing,
}

/// What a finish writes of the data.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) document: Option<Document>,
    pub(crate) changed: Encoded,
}

/// A finish that was recorded.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) head: TaskHead,
    /// The item as stored, where it was asked for and there is one.
    pub(crate) item: Option<Item>,
}

impl Held {
    pub(crate) fn new(engine: Arc<Engine>, keeper: Keeper) -> Self {
        let runtime = Handle::try_current().ok();
        let begun = engine.now().monotonic;
        let head = Arc::clone(&keeper.head);
        Self { engine, head, keeper: Arc::new(keeper), when_dropped: WhenDropped::Release, runtime, begun }
    }

    pub(crate) fn head(&self) -> &TaskHead {
        &self.head
    }

    pub(crate) fn has_passed(&self, now: Now) -> bool {
        self.keeper.has_passed(now)
    }

    /// From here on, being dropped is a failure of the attempt.
    pub(crate) fn handed_over(&mut self) {
        self.when_dropped = WhenDropped::Fail;
    }

    /// From here on, the lease is kept by heartbeats.
    pub(crate) async fn keep(&self) {
        if let (true, Some(runtime)) = (self.engine.config.heartbeat, &self.runtime) {
            self.keeper.begin(&self.engine, runtime).await;
        }
    }

    /// The error of a lease that is lost; its source tells where that is because the service was not heard.
    pub(crate) fn lost(&self) -> Error {
        let lost = self.error(ErrorKind::LeaseLost);
        match self.keeper.unheard() {
            Some(unheard) => lost.with_source(unheard),
            None => lost,
        }
    }

    /// Leaves a lost lease to whoever has the task: nothing is written any more.
    pub(crate) fn abandon(mut self) -> Error {
        self.keeper.stop();
        self.when_dropped = WhenDropped::Nothing;
        self.lost()
    }

    /// A save was acknowledged, of values of about this size.
    pub(crate) fn saved(&mut self, written: Reading, bytes: usize) {
        self.keeper.acknowledge(written);
        Arc::make_mut(&mut self.head).bytes_without_errors += bytes;
    }

    /// Gives the task up, as it was asked to be.
    pub(crate) async fn cancel(self) -> Error {
        let recorded = self.finish(Outcome::Cancelled, Changes::default(), ReturnValue::None).await;
        match recorded {
            Ok(Finished { head, .. }) => {
                Error::new(ErrorKind::Cancelled).with_key(&head.key).with_task(head.clone())
            }
            Err(unrecorded) => unrecorded,
        }
    }

    /// An error about this task as it was started.
    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind).with_key(&self.head.key).with_task(TaskHead::clone(&self.head))
    }

    /// Ends the attempt. Once polled it goes on, whoever drops its future or leaves it alone.
    pub(crate) async fn finish(
        mut self,
        outcome: Outcome,
        changes: Changes,
        returns: ReturnValue,
    ) -> Result<Finished, Error> {
        if self.keeper.is_lost() {
            return Err(self.abandon());
        }
        let finish = self.begin(outcome, changes, returns);
        let sent = detached(self.engine.lookout.as_ref(), finish.send()).await;
        sent.unwrap_or_else(|| Err(self.error(ErrorKind::OutcomeUnknown)))
    }

    /// Releases what was started in vain, and gives why. Where its lease has run out already, whoever took it is not
    /// disturbed.
    pub(crate) async fn in_vain(mut self, why: Error) -> Error {
        let why = why.with_key(&self.head.key).with_task(TaskHead::clone(&self.head));
        let finish = self.begin(Outcome::Released, Changes::default(), ReturnValue::None);
        finish.best_effort().await;
        why
    }

    fn begin(&mut self, outcome: Outcome, changes: Changes, returns: ReturnValue) -> Finish {
        // No heartbeat may come after the finish, nor take a later time.
        self.keeper.stop();
        let now = self.keeper.next(self.engine.now()).time;
        self.when_dropped = WhenDropped::Nothing;
        Finish {
            engine: Arc::clone(&self.engine),
            head: Arc::clone(&self.head),
            keeper: Arc::clone(&self.keeper),
            outcome,
            changes,
            returns,
            now,
            begun: self.begun,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.keeper.is_lost() {
            self.keeper.stop();
            return;
        }
        let outcome = match self.when_dropped {
            WhenDropped::Nothing => return,
            WhenDropped::Release => Outcome::Released,
            WhenDropped::Fail => Outcome::Failed {
                error: if std::thread::panicking() {
                    "the worker panicked".to_owned()
                } else {
                    "the attempt was dropped before it was finished: cancelled, or timed out".to_owned()
                },
                traceback: String::new(),
                then: Then::Retry,
            },
        };
        let finish = self.begin(outcome, Changes::default(), ReturnValue::None);
        if let Some(runtime) = Handle::try_current().ok().or(self.runtime.take()) {
            runtime.spawn(finish.best_effort());
        } else {
            tracing::warn!(
                target: "tracker_core::finish",
                key = self.head.key,
                "dropped outside of a Tokio runtime: the lease has to expire"
            );
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("head", &self.head).field("keeper", &self.keeper).finish_non_exhaustive()
    }
}

/// A finish on its way.
struct Finish {
    engine: Arc<Engine>,
    head: Arc<TaskHead>,
    keeper: Arc<Keeper>,
    outcome: Outcome,
    changes: Changes,
    returns: ReturnValue,
    now: Timestamp,
    begun: Duration,
}

impl Finish {
    async fn best_effort(self) {
        let key = self.head.key.clone();
        if let Err(error) = self.send().await {
            tracing::warn!(
                target: "tracker_core::finish",
                key,
                error = &error as &dyn std::error::Error,
                "an attempt that was dropped could not be recorded"
            );
        }
    }

    /// Sends it until it is settled. A history that makes the item too large is written in part. Data that
    /// cannot be stored is a failure of the attempt: else the task would stay locked for it.
    async fn send(mut self) -> Result<Finished, Error> {
        let mut keep = Keep::All;
        loop {
            let sent = match self.write(keep) {
                Ok((after, write)) => self.send_once(after, write).await,
                Err(error) => Err(error),
            };
            let error = match sent {
                Err(error) if dynamodb::is_about_data(&error) => error,
                result => return result,
            };
            let less = match self.outcome {
                Outcome::Failed { .. } | Outcome::Cancelled => keep.less(),
                // They write no history that could be less.
                Outcome::Succeeded | Outcome::Released | Outcome::Snoozed { .. } => {
                    (keep == Keep::All).then_some(Keep::AsStored)
                }
            };
            match less {
                Some(less) if *error.kind() == ErrorKind::ItemTooLarge => keep = less,
                _ if matches!(self.outcome, Outcome::Succeeded) => {
                    return Err(self.fail_instead(error).await);
                }
                _ => return Err(error),
            }
        }
    }

    fn write(&mut self, keep: Keep) -> Result<(TaskHead, Expression), Error> {
        let Engine { format, config, .. } = &*self.engine;
        let (after, write) =
            writes::finish(format, config, &self.head, &self.keeper.me, &self.outcome, self.now, keep);
        match &mut self.changes.document {
            None => Ok((after, write)),
            Some(document) => {
                let write = write.set_fields(document, self.changes.changed.clone());
                Ok((after, write.map_err(|error| error.with_key(&self.head.key))?))
            }
        }
    }

    async fn send_once(&self, after: TaskHead, write: Expression) -> Result<Finished, Error> {
        let Self { engine, head, .. } = self;
        let sent = dynamodb::settle(&*engine.clock, SENDS_OF_A_FINISH, || {
            dynamodb::update(engine, &head.key, write.clone(), self.returns.clone())
        });
        let (image, unanswered) = match sent.await {
            Ok(item) => return Ok(self.done(after, item)),
            Err(Unwritten::Refused(error)) => return Err(error.with_task(TaskHead::clone(head))),
            Err(Unwritten::Condition(image)) => (image, None),
            Err(Unwritten::Unknown(error)) => match dynamodb::get(engine, &head.key, true, false).await {
                Ok(image) => (image, Some(error)),
                Err(_) => return Err(self.unknown(Some(error))),
            },
        };
        let mut item = image;
        let found = item.as_mut().map(|item| engine.head(item));
        let found = found.transpose().map_err(|error| self.unknown(Some(error)))?;
        let sent = classify::Finish {
            me: &self.keeper.me,
            create_time: head.create_time,
            update_time: after.update_time,
            attempt: head.attempt,
            status: after.status_code,
            deadline_passed: self.keeper.has_passed(engine.now()),
            unanswered: unanswered.is_some(),
        };
        match classify::classify_finish(found.as_ref(), &sent) {
            Written::Done => Ok(self.done(after, item)),
            Written::LeaseLost => {
                let lost = Error::new(ErrorKind::LeaseLost).with_key(&head.key).with_found(found);
                self.tell(EventKind::LeaseLost, head, Some(&lost));
                Err(lost)
            }
            Written::Unknown => Err(self.unknown(unanswered).with_found(found)),
        }
    }

    fn done(&self, after: TaskHead, item: Option<Item>) -> Finished {
        let snoozed = matches!(self.outcome, Outcome::Snoozed { .. });
        self.tell(observe::ended(snoozed, &after, after.retry > self.head.retry), &after, None);
        Finished { head: after, item }
    }

    /// Tells how it ended, once.
    fn tell(&self, kind: EventKind, after: &TaskHead, error: Option<&Error>) {
        let took = self.engine.now().monotonic.saturating_sub(self.begun);
        let told = Told::of(kind, after).from(Some(self.head.status_name())).took(took);
        self.engine.tell(error.map_or(told, |error| told.because(error)));
    }

    /// Records that a success could not be written, and gives back why.
    async fn fail_instead(self, error: Error) -> Error {
        let fail = Self {
            outcome: failure::outcome(&error, self.engine.config.traceback_stack_limit as usize, Then::Retry),
            changes: Changes::default(),
            now: self.now.after(self.now),
            ..self
        };
        match Box::pin(fail.send()).await {
            Ok(finished) => error.with_task(finished.head),
            Err(unrecorded) => error.with_source(unrecorded),
        }
    }

    fn unknown(&self, error: Option<Error>) -> Error {
        let unknown = Error::new(ErrorKind::OutcomeUnknown)
            .with_key(&self.head.key)
            .with_task(TaskHead::clone(&self.head));
        let unknown = match error {
            Some(error) => unknown.with_source(error),
            None => unknown,
        };
        self.tell(EventKind::OutcomeUnknown, &self.head, Some(&unknown));
        unknown
    }
}
