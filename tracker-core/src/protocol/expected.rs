//! What a start expects of a task. Pure.

/// What the index, or an earlier read, has shown of a free task. Only a task that is still like that is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) status: u32,
    /// Whether the task has a time before which it cannot be started.
    pub(crate) has_run_at: bool,
}
