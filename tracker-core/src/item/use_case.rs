//! The names of one use case: its keys, its values, its statuses and those of the steps around it.

use std::borrow::Cow;
use std::fmt::Display;

use crate::declare::spec::{self, TrackerSpec};
use crate::declare::status::{Role, StatusRow, StatusTable};
use crate::item::error::ItemError;
use crate::item::key::{self, shard_of};

/// What it takes to encode and decode the parts of an item that name something.
#[derive(Debug, Clone)]
pub(crate) struct UseCase {
    use_case_id: Cow<'static, str>,
    spec: &'static TrackerSpec,
}

impl UseCase {
    pub(crate) fn new(spec: &'static TrackerSpec, use_case_id: impl Into<Cow<'static, str>>) -> Self {
        Self { use_case_id: use_case_id.into(), spec }
    }

    /// Returns the use case's id.
    pub(crate) fn id(&self) -> &str {
        &self.use_case_id
    }

    pub(crate) fn sep(&self) -> &'static str {
        self.spec.sep
    }

    pub(crate) fn key<Q: Display + ?Sized>(&self, task_id: &Q) -> Result<String, ItemError> {
        key::encode_key(&self.use_case_id, self.sep(), task_id)
    }

    /// What every key of the use case begins with, and no key of another one does.
    pub(crate) fn prefix(&self) -> String {
        format!("{}{}", self.use_case_id, self.sep())
    }

    pub(crate) fn split_key<'k>(&self, key: &'k str) -> Option<(&'k str, &'k str)> {
        key::split_key(key, self.sep())
    }

    /// The `value` of a task that is in a status, in the shard of its key.
    pub(crate) fn value(&self, status: Status, key: &str) -> String {
        self.value_in_shard(status, shard_of(key, status.row.shards))
    }

    pub(crate) fn value_in_shard(&self, status: Status, shard: u32) -> String {
        let Status { table, row } = status;
        key::encode_value(&self.use_case_id, self.sep(), (row.code, table.code_pad), (shard, table.shard_pad))
    }

    /// The partitions of a status: all that are written, and at least `least`.
    pub(crate) fn partitions(&self, status: Status, least: u32) -> Vec<String> {
        (1..=status.row.shards.max(least)).map(|shard| self.value_in_shard(status, shard)).collect()
    }

    pub(crate) fn shard_of_value(&self, value: &str) -> Option<u32> {
        key::shard_of_value(value, self.sep())
    }

    /// A status of this step, of `more_pending_status`, or of a step before it; at last, for its name, any of an
    /// enum that `more_pending_status` has a status of.
    pub(crate) fn status(&self, code: u32) -> Option<Status> {
        let others = self.spec.more_pending;
        let given = others.iter().filter(|other| other.code == code);
        let earlier = std::iter::successors(self.spec.after, |step| step.after).map(|step| step.status);
        std::iter::once(self.spec.status)
            .chain(given.map(|other| other.table))
            .chain(earlier)
            .chain(others.iter().map(|other| other.table))
            .find_map(|table| Some(Status { table, row: table.row(code)? }))
    }

    /// This step's own status of a role.
    pub(crate) fn status_of(&self, role: Role) -> Status {
        let table = self.spec.status;
        // The derive refuses an enum without one of these roles.
        let row = table.of_role(role).unwrap_or(&MISSING);
        Status { table, row }
    }

    /// Whether this is the table of this step's own enum. Not by its address: a constant may have several.
    fn is_own(&self, table: &StatusTable) -> bool {
        table.type_name == self.spec.status.type_name && table.rows == self.spec.status.rows
    }

    /// Whether a status of another enum has a code that means something else to this step.
    pub(crate) fn means_another(&self, status: Status) -> bool {
        !self.is_own(status.table) && self.spec.status.row(status.code()).is_some()
    }

    /// What a code means to this step: `None` where it is another step's business.
    pub(crate) fn role(&self, code: u32) -> Option<Role> {
        match self.spec.status.row(code) {
            Some(row) => Some(row.role),
            None => self.ready().any(|ready| ready == code).then_some(Role::MorePending),
        }
    }

    /// The codes from which this step starts.
    pub(crate) fn ready(&self) -> impl Iterator<Item = u32> + use<> {
        spec::ready_rows(self.spec).map(|row| row.code)
    }

    /// The name of this step's own status, or of another step's with its type before it.
    pub(crate) fn status_name(&self, code: u32) -> Option<Cow<'static, str>> {
        let Status { table, row } = self.status(code)?;
        if self.is_own(table) {
            return Some(Cow::Borrowed(row.name));
        }
        Some(Cow::Owned(format!("{}::{}", table.type_name, row.name)))
    }
}

static MISSING: StatusRow = StatusRow { code: 0, name: "", role: Role::Pending, shards: 1 };

/// A status, with the pads of its enum.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    pub(crate) table: &'static StatusTable,
    pub(crate) row: &'static StatusRow,
}

impl Status {
    pub(crate) fn code(self) -> u32 {
        self.row.code
    }
}
