//! The declarations that the derives emit: statuses, trackers, and checks between steps; and descriptions of them.

pub(crate) mod checks;
pub(crate) mod description;
pub(crate) mod layout;
pub(crate) mod names;
pub(crate) mod spec;
pub(crate) mod status;
