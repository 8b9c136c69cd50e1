//! Which writes of an attempt share requests with those of other attempts.

use crate::dynamodb::Route;
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
    /// All of them, and the end is due together with that of others.
    Together,
}

impl Sharing {
    /// Returns how a start is sent.
    pub(crate) fn start_route(self) -> Route {
        Route { gathers: true, ..self.route() }
    }

    /// Returns how a save or a finish is sent.
    pub(crate) fn route(self) -> Route {
        let shares = matches!(self, Self::Everything | Self::Together);
        Route { is_heartbeat: false, shares, gathers: self == Self::Together }
    }

    /// Returns how a heartbeat is sent.
    pub(crate) fn heartbeat_route(self) -> Route {
        Route { is_heartbeat: true, shares: self != Self::Nothing, gathers: true }
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
