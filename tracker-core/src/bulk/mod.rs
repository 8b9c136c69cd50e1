//! Operations on many tasks: create, overwrite, delete, redrive.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod progress;
pub(crate) mod redrive;
