//! Operations on many tasks: create, overwrite, start, end, delete, redrive.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod end;
pub(crate) mod progress;
pub(crate) mod redrive;
mod start;
