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
}

impl Sharing {
    /// Returns how a start or a finish is sent.
    pub(crate) fn route(self) -> Route {
        Route { is_heartbeat: false, shares: self == Self::Everything }
    }

    /// Returns how a heartbeat is sent.
    pub(crate) fn heartbeat_route(self) -> Route {
        Route { is_heartbeat: true, shares: self != Self::Nothing }
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
