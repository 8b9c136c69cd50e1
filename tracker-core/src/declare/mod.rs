//! The declarations that the derives emit: statuses, trackers, and checks between steps.

pub(crate) mod checks;
pub(crate) mod spec;
pub(crate) mod status;
