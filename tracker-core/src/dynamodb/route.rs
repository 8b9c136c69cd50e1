//! How an update is sent.

/// How an update is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// Whether it is sent as a heartbeat: tried once, for a short time, on connections of its own.
    pub(crate) is_heartbeat: bool,
    /// Whether it may share a request with other updates.
    pub(crate) shares: bool,
    /// Whether others are likely due at the same time, so that it lets them come first. Nobody else may be made to wait: another
    /// task of the thread may compute for long.
    pub(crate) gathers: bool,
}

impl Route {
    /// A request of its own.
    pub(crate) const ALONE: Self = Self { is_heartbeat: false, shares: false, gathers: false };
}
