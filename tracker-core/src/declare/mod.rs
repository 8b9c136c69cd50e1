//! What the derives emit.

pub(crate) mod checks;
pub(crate) mod spec;
pub(crate) mod status;
