//! The metrics: a counter for each kind of event, two histograms, and the gauges of a step.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use metrics::Unit;

use super::{Event, EventKind};
use crate::declare::status::Role;

const BODY_DURATION: &str = "tracker_body_duration_seconds";
const HEARTBEAT_LATENCY: &str = "tracker_heartbeat_latency_seconds";
const GAUGE_READS: &str = "tracker_gauge_reads_total";
const UP: &str = "tracker_up";
const TASKS: &str = "tracker_tasks";
const TASKS_CAPPED: &str = "tracker_tasks_capped";
const OLDEST_TASK_AGE: &str = "tracker_oldest_task_age_seconds";
const WAIT: &str = "tracker_wait_seconds";

/// The kinds that are counted, each with the counter and its description. Heartbeats have a histogram instead.
const COUNTERS: [(EventKind, &str, &str); 18] = [
    (EventKind::Created, "tracker_created_total", "tasks that were created"),
    (EventKind::Started, "tracker_started_total", "attempts that began"),
    (
        EventKind::TakenOver,
        "tracker_taken_over_total",
        "attempts that began on a task whose lease had expired",
    ),
    (EventKind::Refused, "tracker_refused_total", "starts that were refused"),
    (EventKind::Succeeded, "tracker_succeeded_total", "attempts that succeeded"),
    (EventKind::Failed, "tracker_failed_total", "attempts that failed, of tasks that can be retried"),
    (EventKind::Ignored, "tracker_ignored_total", "tasks that were ignored"),
    (EventKind::Released, "tracker_released_total", "tasks that were released, without a failed attempt"),
    (EventKind::Snoozed, "tracker_snoozed_total", "tasks that their body snoozed"),
    (EventKind::LeaseLost, "tracker_lease_lost_total", "leases that were lost"),
    (
        EventKind::OutcomeUnknown,
        "tracker_outcome_unknown_total",
        "attempts of which it is unknown whether their end was recorded",
    ),
    (
        EventKind::Unresponsive,
        "tracker_unresponsive_total",
        "bodies that did not end after a timeout, a deadline or a request to cancel",
    ),
    (EventKind::CancelRequested, "tracker_cancel_requested_total", "attempts that were asked to end"),
    (EventKind::Redriven, "tracker_redriven_total", "tasks that were set back to pending"),
    (EventKind::Unreadable, "tracker_unreadable_total", "tasks that a worker could not read"),
    (EventKind::SlowedDown, "tracker_slowed_down_total", "times that a worker began to claim less"),
    (EventKind::Paused, "tracker_paused_total", "times that a worker saw its step paused"),
    (EventKind::Resumed, "tracker_resumed_total", "times that a worker saw a pause end"),
];

const HISTOGRAMS: [(&str, &str); 2] = [
    (BODY_DURATION, "an attempt, from its start to the end of its finish"),
    (HEARTBEAT_LATENCY, "a heartbeat, from its request to its response"),
];

/// How often the gauges were read. Its rate tells a reader that is gone, or whose reads fail, from one that finds the same.
const GAUGE_READS_WHAT: &str = "reads of the gauges that succeeded";

const GAUGES: [(&str, Unit, &str); 5] = [
    (UP, Unit::Count, "whether the last read of the gauges succeeded: 1 or 0"),
    (TASKS, Unit::Count, "tasks in a status; at least that many if tracker_tasks_capped is 1"),
    (TASKS_CAPPED, Unit::Count, "whether there are more tasks than were counted: 1 or 0"),
    (OLDEST_TASK_AGE, Unit::Seconds, "how long the oldest task of a status has been in it"),
    (WAIT, Unit::Seconds, "how long a task that could be started waits: the longest time of any"),
];

/// The gauges of one status.
pub(crate) struct GaugesOfStatus {
    pub(crate) status: &'static str,
    pub(crate) role: Role,
    pub(crate) tasks: u64,
    pub(crate) is_exact: bool,
    pub(crate) oldest_age: Duration,
}

/// The labels that all metrics of a step have. Shared, because each event has them.
pub(crate) type Labels = [(&'static str, Arc<str>); 2];

/// Describes the metrics to the recorder.
pub(crate) fn describe() {
    for (_, name, what) in COUNTERS {
        metrics::describe_counter!(name, Unit::Count, what);
    }
    metrics::describe_counter!(GAUGE_READS, Unit::Count, GAUGE_READS_WHAT);
    for (name, what) in HISTOGRAMS {
        metrics::describe_histogram!(name, Unit::Seconds, what);
    }
    for (name, unit, what) in GAUGES {
        metrics::describe_gauge!(name, unit, what);
    }
}

/// Sets the counters of a step to zero, so that the first event is seen as a change.
pub(crate) fn begin(use_case_id: &str, step: &str) {
    let labels = of_step(use_case_id, step);
    for (_, name, _) in COUNTERS {
        metrics::counter!(name, &labels).increment(0);
    }
}

/// Counts an event, and records its duration.
pub(super) fn count(event: &Event<'_>, labels: &Labels) {
    let histogram = match COUNTERS.iter().find(|(kind, ..)| *kind == event.kind) {
        Some((_, name, _)) => {
            metrics::counter!(*name, labels).increment(1);
            BODY_DURATION
        }
        None => HEARTBEAT_LATENCY,
    };
    if let Some(duration) = event.duration {
        metrics::histogram!(histogram, labels).record(duration);
    }
}

/// Says whether the gauges of a step could be read.
pub(crate) fn set_up(use_case_id: &str, step: &str, is_up: bool) {
    let labels = of_step(use_case_id, step);
    metrics::gauge!(UP, &labels).set(u8::from(is_up));
    metrics::counter!(GAUGE_READS, &labels).increment(u64::from(is_up));
}

/// Sets the gauges of a status.
#[allow(clippy::cast_precision_loss, reason = "a gauge needs no more digits")]
pub(crate) fn set_status(use_case_id: &str, step: &str, read: &GaugesOfStatus) {
    let [use_case_id, step] = of_step(use_case_id, step);
    let labels = [use_case_id, step, ("status", read.status.into()), ("role", role_name(read.role).into())];
    metrics::gauge!(TASKS, &labels).set(read.tasks as f64);
    metrics::gauge!(TASKS_CAPPED, &labels).set(u8::from(!read.is_exact));
    metrics::gauge!(OLDEST_TASK_AGE, &labels).set(read.oldest_age);
}

/// Sets how long a task of a step waits.
pub(crate) fn set_wait(use_case_id: &str, step: &str, wait: Duration) {
    metrics::gauge!(WAIT, &of_step(use_case_id, step)).set(wait);
}

/// Returns the name of a role, as a declaration writes it.
fn role_name(role: Role) -> &'static str {
    match role {
        Role::Pending => "pending",
        Role::MorePending => "more_pending",
        Role::InProgress => "in_progress",
        Role::Failed => "failed",
        Role::Succeeded => "succeeded",
        Role::Ignored => "ignored",
    }
}

/// Returns the labels that all metrics of a step have.
pub(crate) fn of_step(use_case_id: &str, step: &str) -> Labels {
    [("use_case_id", use_case_id.into()), ("step", step.into())]
}
