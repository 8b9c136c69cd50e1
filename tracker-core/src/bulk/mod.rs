//! Many tasks at once.

pub(crate) mod create;
pub(crate) mod sweep;
