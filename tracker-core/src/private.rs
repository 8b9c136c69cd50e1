//! What generated code names. Not public API: it changes with the derives.

pub use core::option::Option::{self, None, Some};

pub use crate::checks::{check_after, check_more_pending};
pub use crate::fields::{Fields, Member};
pub use crate::spec::{BackoffShape, MorePending, Takeover, TrackerSpec, Wire, after, more_pending, spec};
pub use crate::status::{NoTable, Role, StatusRow, StatusTable, TableOf, TrackerStatus};
pub use crate::tracker::{StatusTracker, TaskId, WithTable};
