//! Which writes of an attempt share requests with those of other attempts.

use std::time::Duration;

use crate::dynamodb::{Route, WaitsFor, may_wait};
use crate::protocol::writes::Expected;

/// Which writes of an attempt may share requests with those of other attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// None of them.
    Nothing,
    /// The heartbeats: nobody waits for them.
    Heartbeats,
    /// All of them.
    Everything,
    /// All of them. An end goes together with those of the same moment, and the end of a long attempt waits a little for others. The
    /// worker runs that many tasks at once.
    Patiently { slots: usize },
    /// All of them, and the end is due together with that of others.
    Together,
}

impl Sharing {
    /// Returns how a start is sent.
    pub(crate) fn start_route(self) -> Route {
        Route { waits_for: WaitsFor::DueNow, ..self.route() }
    }

    /// Returns how a save is sent.
    pub(crate) fn route(self) -> Route {
        let shares = matches!(self, Self::Everything | Self::Patiently { .. } | Self::Together);
        Route { shares, ..Route::ALONE }
    }

    /// Returns how the end of an attempt is sent that has run for this time. Nothing waits if the worker `is_ending`.
    pub(crate) fn end_route(self, ran: Duration, is_ending: bool) -> Route {
        let waits_for = match self {
            Self::Patiently { slots } if !is_ending && may_wait(ran, slots) => WaitsFor::DueSoon,
            // Several bodies of a worker may end in the same moment.
            Self::Patiently { .. } if !is_ending => WaitsFor::DueNow,
            Self::Together => WaitsFor::DueNow,
            _ => WaitsFor::Nobody,
        };
        Route { waits_for, ..self.route() }
    }

    /// Returns how a heartbeat is sent.
    pub(crate) fn heartbeat_route(self) -> Route {
        Route { is_heartbeat: true, shares: self != Self::Nothing, waits_for: WaitsFor::DueNow }
    }
}

/// How a task is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StartWith {
    pub(crate) sharing: Sharing,
    /// What the task is expected to be like. Without an expectation, the start is a request of its own.
    pub(crate) expected: Option<Expected>,
}

impl StartWith {
    /// A start that shares no request.
    pub(crate) const ALONE: Self = Self { sharing: Sharing::Heartbeats, expected: None };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_waits_if_its_attempt_was_long_and_others_end_meanwhile() {
        let waits = |slots, millis, is_ending| {
            let route = Sharing::Patiently { slots }.end_route(Duration::from_millis(millis), is_ending);
            assert!(route.shares);
            route.waits_for == WaitsFor::DueSoon
        };
        assert!(waits(100, 1_000, false) && waits(20, 1_000, false) && waits(100, 5_000, false));
        assert!(!waits(100, 999, false), "50 ms would be more than a twentieth");
        assert!(!waits(19, 1_000, false) && !waits(100, 5_001, false), "less than one other ends in 50 ms");
        assert!(!waits(100, 1_000, true), "a worker that must return has no time");
        let end = |is_ending| Sharing::Patiently { slots: 16 }.end_route(Duration::ZERO, is_ending).waits_for;
        assert_eq!(end(false), WaitsFor::DueNow, "with those that end in the same moment");
        assert_eq!(end(true), WaitsFor::Nobody);
        let alone = Sharing::Everything.end_route(Duration::from_secs(1), false);
        assert_eq!(alone.waits_for, WaitsFor::Nobody);
    }
}
