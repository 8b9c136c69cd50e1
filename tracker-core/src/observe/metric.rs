//! The metrics: a counter for each kind of event, and two histograms.

use metrics::Unit;

use super::{Event, EventKind};

const BODY_DURATION: &str = "tracker_body_duration_seconds";
const HEARTBEAT_LATENCY: &str = "tracker_heartbeat_latency_seconds";

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

/// Describes the metrics to the recorder.
pub(crate) fn describe() {
    for (_, name, what) in COUNTERS {
        metrics::describe_counter!(name, Unit::Count, what);
    }
    metrics::describe_histogram!(
        BODY_DURATION,
        Unit::Seconds,
        "an attempt, from its start to the end of its finish"
    );
    metrics::describe_histogram!(
        HEARTBEAT_LATENCY,
        Unit::Seconds,
        "a heartbeat, from its request to its response"
    );
}

/// Counts an event, and records its duration.
pub(super) fn count(event: &Event<'_>) {
    let labels = [("use_case_id", event.use_case_id.to_owned()), ("step", event.step.to_owned())];
    let histogram = match COUNTERS.iter().find(|(kind, ..)| *kind == event.kind) {
        Some((_, name, _)) => {
            metrics::counter!(*name, &labels).increment(1);
            BODY_DURATION
        }
        None => HEARTBEAT_LATENCY,
    };
    if let Some(duration) = event.duration {
        metrics::histogram!(histogram, &labels).record(duration);
    }
}
