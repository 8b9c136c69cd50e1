//! Threads of the process: one that sends heartbeats, and one that calls observers.

pub(crate) mod background;
pub(crate) mod events;
pub(crate) mod held_locks;
pub(crate) mod on_drop;
