//! What is to be generated. These types cannot hold a mistake that the macro is able to see.

use proc_macro2::Ident;
use syn::{Generics, Type, TypePath};

use crate::keys::{self, Key};

/// A status enum.
pub(crate) struct Status {
    pub(crate) krate: Option<TypePath>,
    pub(crate) ident: Ident,
    pub(crate) code_pad: u8,
    pub(crate) shard_pad: u8,
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

/// What a status means to the tracker.
pub(crate) struct Role {
    /// The key by which a variant takes it.
    pub(crate) key: &'static Key,
    /// The variant of the tracker's own enum.
    pub(crate) variant: &'static str,
    /// Whether exactly one status has it.
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
    /// Type parameters in stored fields: each must be storable itself.
    pub(crate) stored_params: Vec<Ident>,
    pub(crate) use_case_id: String,
    pub(crate) status: TypePath,
    /// The previous step.
    pub(crate) after: Option<TypePath>,
    /// Statuses of other steps from which this one may start.
    pub(crate) more_pending: Vec<TypePath>,
    /// What else was written; the other settings have the defaults of the tracker's own crate.
    pub(crate) settings: Vec<Setting>,
    pub(crate) has_table: bool,
    pub(crate) task_id: TaskId,
    pub(crate) fields: Vec<Field>,
}

/// A field of the tracker's settings, named as its key.
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) value: SettingValue,
}

pub(crate) enum SettingValue {
    Number(u32),
    Text(String),
    OptionalNumber(u32),
    OptionalText(String),
    /// A variant of one of the tracker's own enums.
    Variant(&'static str, &'static str),
}

pub(crate) struct TaskId {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// The type depends on a type parameter, so the impl has to ask for what a task id needs.
    pub(crate) generic: bool,
}

pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) store: Store,
}

/// Where a field goes.
pub(crate) enum Store {
    Attribute(Stored),
    Member(Stored),
    Skip,
}

pub(crate) struct Stored {
    pub(crate) name: String,
    /// An absent value reads as its default.
    pub(crate) or_default: bool,
}
