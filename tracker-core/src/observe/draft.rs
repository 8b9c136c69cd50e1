//! Events before they are reported.

use std::borrow::Cow;
use std::time::Duration;

use super::{Event, EventKind};
use crate::config::TrackerConfig;
use crate::error::Error;
use crate::item::head::TaskHead;
use crate::item::use_case::UseCase;

/// Who tells of events: a tracker.
#[derive(Debug, Clone)]
pub(crate) struct Teller {
    use_case: UseCase,
    step: Cow<'static, str>,
    /// Whether events have the text of the body's error.
    with_reasons: bool,
    /// The labels of the metrics.
    #[cfg(feature = "metrics")]
    pub(super) labels: super::metric::Labels,
}

impl Teller {
    pub(crate) fn new(use_case: &UseCase, config: &TrackerConfig) -> Self {
        Self {
            use_case: use_case.clone(),
            step: config.step.clone(),
            with_reasons: config.error_text_in_events,
            #[cfg(feature = "metrics")]
            labels: super::metric::of_step(use_case.id(), &config.step),
        }
    }
}

/// An event about the task of a key, before it is completed and reported.
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
    /// Returns an event about a task of which only the key is known.
    pub(crate) fn of_key(kind: EventKind, key: &'e str) -> Self {
        Self { kind, key, head: None, from: None, to: None, duration: None, error: None }
    }

    /// Returns an event that left the task as this head.
    pub(crate) fn of(kind: EventKind, head: &'e TaskHead) -> Self {
        Self { head: Some(head), to: Some(head.status_name()), ..Self::of_key(kind, &head.key) }
    }

    /// Returns an event about a task that an error left unchanged. The error may have the task as it was
    /// found.
    pub(crate) fn left(kind: EventKind, key: &'e str, error: &'e Error) -> Self {
        let head = error.task();
        let from = head.map(TaskHead::status_name);
        Self { head, from, error: Some(error), ..Self::of_key(kind, key) }
    }

    /// Sets the name of the status before the event.
    pub(crate) fn from(self, from: Option<&'e str>) -> Self {
        Self { from, ..self }
    }

    /// Sets the duration.
    pub(crate) fn with_duration(self, duration: Duration) -> Self {
        Self { duration: Some(duration), ..self }
    }

    /// Sets the error.
    pub(crate) fn with_error(self, error: &'e Error) -> Self {
        Self { error: Some(error), ..self }
    }

    /// Returns the event with everything that it borrows.
    pub(crate) fn to_owned(self) -> OwnedDraft {
        let Self { kind, key, head, from, to, duration, error } = self;
        OwnedDraft {
            kind,
            key: key.to_owned(),
            head: head.cloned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            duration,
            error: error.map(Error::copied),
        }
    }

    /// Completes the event with the step, and with the use case and the id of the task.
    pub(super) fn complete(self, teller: &'e Teller) -> Event<'e> {
        let Teller { use_case, step, with_reasons, .. } = teller;
        let Self { kind, key, head, from, to, duration, error } = self;
        let (use_case_id, task_id) = match head {
            Some(head) => (head.use_case_id(), head.task_id()),
            None => use_case.split_key(key).unwrap_or((use_case.id(), key)),
        };
        let attempt = head.map(TaskHead::attempt);
        let owner = head.and_then(TaskHead::owner);
        let failed = matches!(kind, EventKind::Failed | EventKind::Ignored) && *with_reasons;
        let last = head.filter(|_| failed).and_then(|head| head.errors().last());
        let reason = last.map(|entry| entry.error.as_str());
        Event { kind, step, use_case_id, task_id, from, to, attempt, owner, duration, error, reason }
    }
}

/// A draft that can be sent to another thread.
#[derive(Debug)]
pub(crate) struct OwnedDraft {
    kind: EventKind,
    key: String,
    head: Option<TaskHead>,
    from: Option<String>,
    to: Option<String>,
    duration: Option<Duration>,
    error: Option<Error>,
}

impl OwnedDraft {
    pub(crate) fn draft(&self) -> EventDraft<'_> {
        EventDraft {
            kind: self.kind,
            key: &self.key,
            head: self.head.as_ref(),
            from: self.from.as_deref(),
            to: self.to.as_deref(),
            duration: self.duration,
            error: self.error.as_ref(),
        }
    }
}
