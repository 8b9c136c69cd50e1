//! Work that runs beside the caller.

pub(crate) mod detached;
pub(crate) mod ticker;
