//! One task from its creation to its end.

pub(crate) mod attempt;
pub(crate) mod cancel;
pub(crate) mod create;
pub(crate) mod execution;
pub(crate) mod failure;
pub(crate) mod heartbeat;
pub(crate) mod redrive;
pub(crate) mod run;
pub(crate) mod start;
