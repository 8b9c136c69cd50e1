//! What is told of every transition of a task: to `tracing`, to the `metrics` facade, and to an observer.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use crate::declare::status::Role;
use crate::error::Error;
use crate::item::head::TaskHead;
use crate::item::use_case::UseCase;

/// Something that happened to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// It was created.
    Created,
    /// An attempt began.
    Started,
    /// An attempt began, on a task whose holder had let its lease expire.
    TakenOver,
    /// A start was refused.
    Refused,
    /// The attempt succeeded.
    Succeeded,
    /// The attempt failed, and the task can be tried again.
    Failed,
    /// The task was given up: after its last attempt, a fatal failure, or on request.
    Ignored,
    /// The task was given back, uncounted.
    Released,
    /// The body put the task off.
    Snoozed,
    /// The holder lost its lease.
    LeaseLost,
    /// It cannot be told whether the end of an attempt was recorded.
    OutcomeUnknown,
    /// The attempt under way was asked to end.
    CancelRequested,
    /// The task was set back to pending.
    Redriven,
    /// A heartbeat renewed the lease.
    Heartbeat,
    /// A worker found a task that cannot be read, and leaves it alone.
    Unreadable,
    /// A worker claims less for a while, as DynamoDB throttled it or did not answer.
    SlowedDown,
}

impl EventKind {
    /// In words, as in `tracing` and in the names of the metrics.
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
            Self::CancelRequested => "cancel_requested",
            Self::Redriven => "redriven",
            Self::Heartbeat => "heartbeat",
            Self::Unreadable => "unreadable",
            Self::SlowedDown => "slowed_down",
        }
    }

    fn level(self) -> tracing::Level {
        match self {
            Self::LeaseLost | Self::OutcomeUnknown | Self::Unreadable | Self::SlowedDown => {
                tracing::Level::WARN
            }
            Self::Refused | Self::Heartbeat => tracing::Level::DEBUG,
            _ => tracing::Level::INFO,
        }
    }
}

/// One thing that happened, with what is known of it. Never the task's data, nor what its body said.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Event<'e> {
    /// What happened.
    pub kind: EventKind,
    /// The use case of the task.
    pub use_case_id: &'e str,
    /// The id of the task; empty where it is about none.
    pub task_id: &'e str,
    /// The name of the status before.
    pub from: Option<&'e str>,
    /// The name of the status since.
    pub to: Option<&'e str>,
    /// The fencing token of the attempt.
    pub attempt: Option<u64>,
    /// Who holds the lease, or held it.
    pub owner: Option<&'e str>,
    /// How long the attempt took that ends with it; of a heartbeat, how long the answer took.
    pub duration: Option<Duration>,
    /// Why, where something was refused or went wrong. Its text has no data of the task; its sources may quote some.
    pub error: Option<&'e Error>,
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("kind", &self.kind)
            .field("use_case_id", &self.use_case_id)
            .field("task_id", &self.task_id)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// Is told of what happens to the tasks of a tracker, once it is known to have happened.
///
/// Any `Fn(&Event)` is one. It is called in the middle of the work: it should be quick, and send what takes longer elsewhere.
/// One that panics is not told of that event; the work goes on.
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
    /// Something has happened.
    fn on_event(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Observer for F {
    fn on_event(&self, event: &Event<'_>) {
        self(event);
    }
}

/// An event about the task of a key, to be told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventDraft<'e> {
    kind: EventKind,
    key: &'e str,
    head: Option<&'e TaskHead>,
    from: Option<&'e str>,
    to: Option<&'e str>,
    duration: Option<Duration>,
    error: Option<&'e Error>,
}

impl<'e> EventDraft<'e> {
    pub(crate) fn of_key(kind: EventKind, key: &'e str) -> Self {
        Self { kind, key, head: None, from: None, to: None, duration: None, error: None }
    }

    pub(crate) fn of(kind: EventKind, head: &'e TaskHead) -> Self {
        Self { head: Some(head), to: Some(head.status_name()), ..Self::of_key(kind, &head.key) }
    }

    /// Of a task that was left as it is, for an error, which may tell how it was found.
    pub(crate) fn left(kind: EventKind, key: &'e str, error: &'e Error) -> Self {
        let head = error.task();
        let from = head.map(TaskHead::status_name);
        Self { head, from, error: Some(error), ..Self::of_key(kind, key) }
    }

    pub(crate) fn from(self, from: Option<&'e str>) -> Self {
        Self { from, ..self }
    }

    pub(crate) fn with_duration(self, duration: Duration) -> Self {
        Self { duration: Some(duration), ..self }
    }

    pub(crate) fn with_error(self, error: &'e Error) -> Self {
        Self { error: Some(error), ..self }
    }

    /// Completes the event with the use case and the id of its key.
    pub(crate) fn complete(self, use_case: &'e UseCase) -> Event<'e> {
        let Self { kind, key, head, from, to, duration, error } = self;
        let (use_case_id, task_id) = use_case.split_key(key).unwrap_or((use_case.id(), key));
        let attempt = head.map(TaskHead::attempt);
        let owner = head.and_then(TaskHead::owner);
        Event { kind, use_case_id, task_id, from, to, attempt, owner, duration, error }
    }
}

/// How an attempt ended that left a task so.
pub(crate) fn ended(snoozed: bool, after: &TaskHead, counted: bool) -> EventKind {
    match after.role {
        Some(Role::Succeeded) => EventKind::Succeeded,
        Some(Role::Ignored) => EventKind::Ignored,
        // A release goes back there, too.
        Some(Role::Failed) if counted => EventKind::Failed,
        _ if snoozed => EventKind::Snoozed,
        _ => EventKind::Released,
    }
}

/// Reports an event to `tracing`, to the `metrics` crate and to an observer.
pub(crate) fn report(event: &Event<'_>, observer: Option<&dyn Observer>) {
    trace(event);
    // An observer that panics must not end the work.
    let reported = std::panic::catch_unwind(AssertUnwindSafe(|| {
        #[cfg(feature = "metrics")]
        count(event);
        if let Some(observer) = observer {
            observer.on_event(event);
        }
    }));
    if reported.is_err() {
        let Event { kind, use_case_id, task_id, .. } = event;
        tracing::error!(
            target: "tracker_core::task",
            kind = kind.name(),
            use_case_id,
            task_id,
            "an observer panicked"
        );
    }
}

fn trace(event: &Event<'_>) {
    let Event { kind, use_case_id, task_id, from, to, attempt, owner, duration, error } = *event;
    let name = kind.name();
    // The level of a callsite is fixed.
    macro_rules! at {
        ($level:ident) => {
            tracing::event!(
                target: "tracker_core::task",
                tracing::Level::$level,
                use_case_id,
                task_id,
                from,
                to,
                attempt,
                owner,
                duration = duration.map(|duration| duration.as_secs_f64()),
                error = error.map(|error| tracing::field::display(error.kind())),
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

/// Counts an event, and how long what ended with it took.
#[cfg(feature = "metrics")]
fn count(event: &Event<'_>) {
    let use_case_id = event.use_case_id.to_owned();
    let Some(counter) = counter(event.kind) else {
        if let Some(latency) = event.duration {
            metrics::histogram!("tracker_heartbeat_latency_seconds", "use_case_id" => use_case_id)
                .record(latency);
        }
        return;
    };
    metrics::counter!(counter, "use_case_id" => use_case_id.clone()).increment(1);
    if let Some(duration) = event.duration {
        metrics::histogram!("tracker_body_duration_seconds", "use_case_id" => use_case_id).record(duration);
    }
}

/// The counter of a kind; heartbeats have a histogram instead.
#[cfg(feature = "metrics")]
fn counter(kind: EventKind) -> Option<&'static str> {
    Some(match kind {
        EventKind::Created => "tracker_created_total",
        EventKind::Started => "tracker_started_total",
        EventKind::TakenOver => "tracker_taken_over_total",
        EventKind::Refused => "tracker_refused_total",
        EventKind::Succeeded => "tracker_succeeded_total",
        EventKind::Failed => "tracker_failed_total",
        EventKind::Ignored => "tracker_ignored_total",
        EventKind::Released => "tracker_released_total",
        EventKind::Snoozed => "tracker_snoozed_total",
        EventKind::LeaseLost => "tracker_lease_lost_total",
        EventKind::OutcomeUnknown => "tracker_outcome_unknown_total",
        EventKind::CancelRequested => "tracker_cancel_requested_total",
        EventKind::Redriven => "tracker_redriven_total",
        EventKind::Unreadable => "tracker_unreadable_total",
        EventKind::SlowedDown => "tracker_slowed_down_total",
        EventKind::Heartbeat => return None,
    })
}
