//! Reports events: to `tracing`, to the `metrics` crate, and to an observer.

mod draft;
#[cfg(feature = "metrics")]
pub(crate) mod metric;
pub(crate) mod transition;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use crate::declare::status::Role;
use crate::error::Error;
use crate::escaped::Escaped;
use crate::item::head::TaskHead;

pub(crate) use self::draft::{EventDraft, Teller};

/// The kinds of [`Event`].
///
/// [`overwrite_many`](crate::Tracker::overwrite_many) and the deletions emit no events.
///
/// # Tracing
///
/// Every event is a `tracing` event with the target `tracker_core::task`. Its message is the
/// [name](Self::name) of the kind. The level is `DEBUG` for [`Refused`](Self::Refused) and
/// [`Heartbeat`](Self::Heartbeat), `WARN` for [`LeaseLost`](Self::LeaseLost),
/// [`OutcomeUnknown`](Self::OutcomeUnknown), [`Unresponsive`](Self::Unresponsive), [`Ignored`](Self::Ignored),
/// [`Unreadable`](Self::Unreadable) and [`SlowedDown`](Self::SlowedDown), and `INFO` for the others.
///
/// The fields are `step`, `use_case_id`, `task_id`, `from`, `to`, `attempt`, `owner`, `duration` in seconds, `error` and
/// `reason`: those of [`Event`]. A field without a value is left out. While a body runs, its span is `task`, with the fields
/// `step`, `use_case_id`, `task_id`, `attempt` and `owner`, at the level `INFO`.
///
/// # Metrics
///
/// With the feature `metrics`, events update these metrics of the `metrics` crate. Each has the labels `use_case_id` and
/// `step`. Building a tracker describes them, with their units, to the recorder that is installed then.
///
/// | metric | type | unit | what it measures |
/// |---|---|---|---|
/// | `tracker_created_total` | counter | events | [`Created`](Self::Created) |
/// | `tracker_started_total` | counter | events | [`Started`](Self::Started) |
/// | `tracker_taken_over_total` | counter | events | [`TakenOver`](Self::TakenOver) |
/// | `tracker_refused_total` | counter | events | [`Refused`](Self::Refused) |
/// | `tracker_succeeded_total` | counter | events | [`Succeeded`](Self::Succeeded) |
/// | `tracker_failed_total` | counter | events | [`Failed`](Self::Failed) |
/// | `tracker_ignored_total` | counter | events | [`Ignored`](Self::Ignored) |
/// | `tracker_released_total` | counter | events | [`Released`](Self::Released) |
/// | `tracker_snoozed_total` | counter | events | [`Snoozed`](Self::Snoozed) |
/// | `tracker_lease_lost_total` | counter | events | [`LeaseLost`](Self::LeaseLost) |
/// | `tracker_outcome_unknown_total` | counter | events | [`OutcomeUnknown`](Self::OutcomeUnknown) |
/// | `tracker_unresponsive_total` | counter | events | [`Unresponsive`](Self::Unresponsive) |
/// | `tracker_cancel_requested_total` | counter | events | [`CancelRequested`](Self::CancelRequested) |
/// | `tracker_redriven_total` | counter | events | [`Redriven`](Self::Redriven) |
/// | `tracker_unreadable_total` | counter | events | [`Unreadable`](Self::Unreadable) |
/// | `tracker_slowed_down_total` | counter | events | [`SlowedDown`](Self::SlowedDown) |
/// | `tracker_paused_total` | counter | events | [`Paused`](Self::Paused) |
/// | `tracker_resumed_total` | counter | events | [`Resumed`](Self::Resumed) |
/// | `tracker_body_duration_seconds` | histogram | seconds | an attempt, from its start to the end of its finish |
/// | `tracker_heartbeat_latency_seconds` | histogram | seconds | a heartbeat, from its request to its response |
/// | `tracker_gauge_reads_total` | counter | reads | the reads of the gauges that succeeded |
/// | `tracker_up` | gauge | 1 or 0 | whether the last read of the gauges succeeded |
/// | `tracker_tasks` | gauge | tasks | the tasks in a status |
/// | `tracker_tasks_capped` | gauge | 1 or 0 | whether there are more of them than were counted |
/// | `tracker_oldest_task_age_seconds` | gauge | seconds | how long the oldest task of a status has been in it; 0 if there is none |
/// | `tracker_wait_seconds` | gauge | seconds | how long a task has waited since it could be started, or since its lease expired: the longest time of any; 0 if none waits |
///
/// The gauges have values in a process that runs `Tracker::gauges`. Those of a status have the labels `status`, its name, and `role`, such as
/// `in_progress`.
///
/// `tracker_body_duration_seconds` covers the whole attempt, with its saves and its finish, not the body
/// alone. It has no value for an attempt that ends without a finish, for example because a heartbeat has
/// found the lease lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A task was created.
    Created,
    /// An attempt began.
    Started,
    /// An attempt began on a task whose lease had expired.
    TakenOver,
    /// A start was refused.
    Refused,
    /// The attempt succeeded.
    Succeeded,
    /// The attempt failed. The task can be retried.
    Failed,
    /// The task was ignored: it ran out of attempts, failed fatally or was cancelled.
    Ignored,
    /// The task was released. No failed attempt was counted.
    Released,
    /// The body snoozed the task. No failed attempt was counted.
    Snoozed,
    /// A heartbeat or a finish found the lease lost.
    LeaseLost,
    /// It is unknown whether the end of an attempt was recorded.
    OutcomeUnknown,
    /// A body has not ended within one lease after its timeout or after a request to cancel. It may hang, so the
    /// heartbeats stop, and the lease expires.
    Unresponsive,
    /// A running attempt was asked to end.
    CancelRequested,
    /// The task was set back to pending.
    Redriven,
    /// A heartbeat renewed the lease.
    Heartbeat,
    /// A worker found a task that it cannot read, or that DynamoDB refuses to start, for example because the
    /// item is too large. The worker leaves the task alone for ten minutes.
    Unreadable,
    /// A worker claims less for a while: DynamoDB throttled it, did not answer or refused its credentials, this machine's clock
    /// is off, or many tasks in a row cannot be read. The event is about no task. Its error is that of an example.
    SlowedDown,
    /// A worker has seen that its step is [paused](crate::Operator::pause), and claims nothing. The event is about no task.
    Paused,
    /// A worker claims tasks again after a pause. The event is about no task.
    Resumed,
}

impl EventKind {
    /// Returns the name of the kind, such as `taken_over`, as `tracing` and the names of the metrics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Started => "started",
            Self::TakenOver => "taken_over",
            Self::Refused => "refused",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Ignored => "ignored",
            Self::Released => "released",
            Self::Snoozed => "snoozed",
            Self::LeaseLost => "lease_lost",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Unresponsive => "unresponsive",
            Self::CancelRequested => "cancel_requested",
            Self::Redriven => "redriven",
            Self::Heartbeat => "heartbeat",
            Self::Unreadable => "unreadable",
            Self::SlowedDown => "slowed_down",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
        }
    }

    /// Returns the level of the `tracing` event.
    fn level(self) -> tracing::Level {
        match self {
            Self::Ignored
            | Self::LeaseLost
            | Self::OutcomeUnknown
            | Self::Unresponsive
            | Self::Unreadable
            | Self::SlowedDown => tracing::Level::WARN,
            Self::Refused | Self::Heartbeat => tracing::Level::DEBUG,
            _ => tracing::Level::INFO,
        }
    }
}

/// An event: something that happened to a task. It contains no data of the task, and the text of the body's error only if
/// [`error_text_in_events`](crate::TrackerBuilder::error_text_in_events) asks for it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Event<'e> {
    /// The kind of the event.
    pub kind: EventKind,
    /// The step of the tracker: the name of its type, unless [`step`](crate::TrackerBuilder::step) sets another.
    pub step: &'e str,
    /// The use case of the task.
    pub use_case_id: &'e str,
    /// The id of the task. Empty if the event is about no task.
    pub task_id: &'e str,
    /// The name of the status before the event, if known.
    pub from: Option<&'e str>,
    /// The name of the status after the event. `None` for a refused start, a heartbeat, and the events of a
    /// worker.
    pub to: Option<&'e str>,
    /// The number of the attempt: its fencing token.
    pub attempt: Option<u64>,
    /// The owner of the lease, or its last owner.
    pub owner: Option<&'e str>,
    /// For the end of an attempt, the time from its start to the end of its finish. For a heartbeat, the time
    /// from its request to its response. `None` for other events.
    pub duration: Option<Duration>,
    /// The error, if something was refused or went wrong. The text of its [kind](Error::kind) contains no data of the task. Its
    /// own text and its sources may quote a value that cannot be read or stored.
    pub error: Option<&'e Error>,
    /// Why the task failed or was ignored: the text of the error that its history has. `None` for other events, and unless
    /// [`error_text_in_events`](crate::TrackerBuilder::error_text_in_events) asks for it, because it may contain data.
    pub reason: Option<&'e str>,
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("kind", &self.kind)
            .field("step", &self.step)
            .field("use_case_id", &self.use_case_id)
            .field("task_id", &self.task_id)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// Receives the events of a tracker, each after the tracker knows that it has happened.
///
/// Any `Fn(&Event)` is an observer. Set it with
/// [`TrackerBuilder::observer`](crate::TrackerBuilder::observer). It is called in the middle of the work, so
/// it should be quick: hand slow work to another task. If an observer panics, the panic is logged and the
/// work continues. The events of heartbeats, and of writes that go on in the background, come from a thread
/// of their own.
///
/// # Examples
///
/// ```
/// # use tracker_core::{Error, Event, EventKind, StatusTracker, TrackerBuilder};
/// # fn alarm(_: &str) {}
/// # fn observed<T: StatusTracker>(builder: TrackerBuilder<T>) -> TrackerBuilder<T> {
/// builder.observer(|event: &Event<'_>| {
///     if event.kind == EventKind::Ignored {
///         alarm(event.task_id);
///     }
/// })
/// # }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Receives an event.
    fn on_event(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Observer for F {
    fn on_event(&self, event: &Event<'_>) {
        self(event);
    }
}

/// Returns the kind of event for the end of an attempt that left the task as this head. `counted` says
/// whether the attempt counts as failed.
pub(crate) fn ended(snoozed: bool, after: &TaskHead, counted: bool) -> EventKind {
    match after.role {
        Some(Role::Succeeded) => EventKind::Succeeded,
        Some(Role::Ignored) => EventKind::Ignored,
        // A release may return the task to failed as well.
        Some(Role::Failed) if counted => EventKind::Failed,
        _ if snoozed => EventKind::Snoozed,
        _ => EventKind::Released,
    }
}

/// Reports an event to `tracing`, to the `metrics` crate and to an observer.
pub(crate) fn report(draft: EventDraft<'_>, teller: &Teller, observer: Option<&dyn Observer>) {
    let event = &draft.complete(teller);
    trace(event);
    // An observer that panics must not end the work.
    let reported = std::panic::catch_unwind(AssertUnwindSafe(|| {
        #[cfg(feature = "metrics")]
        metric::count(event, &teller.labels);
        if let Some(observer) = observer {
            observer.on_event(event);
        }
    }));
    if let Err(panic) = reported {
        // Dropping the payload could panic again.
        std::mem::forget(panic);
        let Event { kind, use_case_id, task_id, .. } = event;
        tracing::error!(
            target: "tracker_core::task",
            kind = kind.name(),
            use_case_id,
            task_id,
            "an observer or a metrics recorder panicked; the work continues"
        );
    }
}

/// Reports an event to `tracing`.
fn trace(event: &Event<'_>) {
    let Event { kind, step, use_case_id, task_id, from, to, attempt, owner, duration, error, reason } =
        *event;
    let name = kind.name();
    // A callsite of `tracing` has a fixed level, so each level needs its own.
    macro_rules! at {
        ($level:ident) => {
            tracing::event!(
                target: "tracker_core::task",
                tracing::Level::$level,
                step,
                use_case_id,
                task_id,
                from,
                to,
                attempt,
                owner,
                duration = duration.map(|duration| duration.as_secs_f64()),
                error = error.map(|error| tracing::field::display(error.text_without_data(task_id.is_empty()))),
                reason = reason.map(|reason| tracing::field::display(Escaped(reason))),
                "{name}"
            )
        };
    }
    match kind.level() {
        tracing::Level::WARN => at!(WARN),
        tracing::Level::DEBUG => at!(DEBUG),
        _ => at!(INFO),
    }
}
