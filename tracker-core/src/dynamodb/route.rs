//! How an update is sent.

/// How an update is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// Whether it is sent as a heartbeat: tried once, for a short time, on connections of its own.
    pub(crate) is_heartbeat: bool,
    /// Whether it may share a request with other updates.
    pub(crate) shares: bool,
    pub(crate) waits_for: WaitsFor,
}

/// For which others an update waits before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    /// For none.
    Nobody,
    /// For those that are due now: others are likely due at the same time.
    DueNow,
    /// For those that are due soon: until another is sent, and not for longer than `LONGEST_WAIT`.
    DueSoon,
}

impl Route {
    /// A request of its own.
    pub(crate) const ALONE: Self = Self { is_heartbeat: false, shares: false, waits_for: WaitsFor::Nobody };
}
