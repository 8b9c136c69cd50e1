//! The input of `expand`. These types cannot hold a mistake that the derives can detect.

use proc_macro2::Ident;
use syn::{Generics, Type, TypePath};

use crate::keys::{self, Key};

/// A status enum.
pub(crate) struct Status {
    pub(crate) krate: Option<TypePath>,
    pub(crate) ident: Ident,
    pub(crate) code_pad: u8,
    pub(crate) shard_pad: u8,
    /// Whether the enum has a `Display` and a `FromStr` of its own.
    pub(crate) without_display: bool,
    pub(crate) variants: Vec<Variant>,
}

/// One status.
pub(crate) struct Variant {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) code: u32,
    pub(crate) role: &'static Role,
    pub(crate) shards: u32,
}

/// The meaning of a status to the tracker.
pub(crate) struct Role {
    /// The key that gives a variant this role.
    pub(crate) key: &'static Key,
    /// The variant of `tracker_core::Role`.
    pub(crate) variant: &'static str,
    /// Whether exactly one status has this role.
    pub(crate) single: bool,
}

pub(crate) static ROLES: [Role; 6] = [
    role(&keys::PENDING, "Pending", true),
    role(&keys::IN_PROGRESS, "InProgress", true),
    role(&keys::FAILED, "Failed", true),
    role(&keys::SUCCEEDED, "Succeeded", true),
    role(&keys::IGNORED, "Ignored", true),
    role(&keys::MORE_PENDING, "MorePending", false),
];

const fn role(key: &'static Key, variant: &'static str, single: bool) -> Role {
    Role { key, variant, single }
}

/// A tracker struct.
pub(crate) struct Tracker {
    pub(crate) krate: Option<TypePath>,
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    /// The type parameters that occur in stored fields: each must be storable itself.
    pub(crate) stored_params: Vec<Ident>,
    pub(crate) use_case_id: String,
    pub(crate) status: TypePath,
    /// The previous step.
    pub(crate) after: Option<TypePath>,
    /// The statuses of other steps from which this step may start.
    pub(crate) more_pending: Vec<TypePath>,
    /// The settings that were written. All others have the defaults of the tracker's crate.
    pub(crate) settings: Vec<Setting>,
    pub(crate) has_table: bool,
    /// The layout, if something of it was written.
    pub(crate) layout: Option<Layout>,
    pub(crate) task_id: TaskId,
    pub(crate) fields: Vec<Field>,
}

/// How the attributes are named in the table, and its sort key.
#[derive(Default)]
pub(crate) struct Layout {
    pub(crate) prefix: String,
    /// The names that were written, each after the tracker's own, in the order of the latter.
    pub(crate) names: Vec<(String, String)>,
    /// The name of the sort key, and its constant, unless it is the task id.
    pub(crate) sort_key: Option<(String, Option<String>)>,
}

impl Layout {
    /// Returns the name that an attribute of the tracker has in the table.
    pub(crate) fn name_of(&self, own: &str) -> String {
        let written = self.names.iter().find(|(written, _)| written == own);
        written.map_or_else(|| format!("{}{own}", self.prefix), |(_, name)| name.clone())
    }
}

/// A field of `TrackerSpec`, which has the name of its key.
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) value: SettingValue,
}

pub(crate) enum SettingValue {
    Number(u32),
    Text(String),
    OptionalNumber(u32),
    OptionalText(String),
    /// A variant of an enum of the tracker's crate.
    Variant(&'static str, &'static str),
}

pub(crate) struct TaskId {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// Whether the type depends on a type parameter, so that the impl needs the bound of a task id.
    pub(crate) generic: bool,
}

pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) store: Store,
}

/// The place where a field is stored.
pub(crate) enum Store {
    Attribute(Stored),
    Member(Stored),
    Skip,
}

pub(crate) struct Stored {
    pub(crate) name: String,
    /// Whether an absent value reads as its type's default.
    pub(crate) or_default: bool,
    /// The module whose functions encode and decode the field, instead of its type.
    pub(crate) with: Option<TypePath>,
}
