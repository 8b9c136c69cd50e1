//! The names that generated code uses. They are not public API: they change with the derives.

pub use core::option::Option::{self, None, Some};
pub use core::result::Result;

pub use serde::{Deserializer, Serializer};

pub use crate::declare::checks::{check_after, check_more_pending};
pub use crate::declare::layout::LayoutSpec;
pub use crate::declare::spec::{
    BackoffShape, FieldSpec, MorePending, Takeover, TrackerSpec, Wire, more_pending, spec,
};
pub use crate::declare::status::{
    NoTable, Role, StatusRow, StatusTable, TableOf, TrackerStatus, UnknownStatus, unknown_status,
};
pub use crate::item::fields::{Fields, Member, TaskId};
pub use crate::item::with::With;
pub use crate::tracker::status_tracker::{HasTable, StatusTracker, after};
