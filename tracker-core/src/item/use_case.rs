//! The keys, index values and statuses of one use case, and the statuses of the steps around it.

use std::borrow::Cow;
use std::fmt::Display;

use crate::declare::spec::{self, TrackerSpec};
use crate::declare::status::{Role, StatusRow, StatusTable};
use crate::item::error::ItemError;
use crate::item::key::{self, shard_of};

/// Encodes and decodes the keys, index values and status codes of a use case.
#[derive(Debug, Clone)]
pub(crate) struct UseCase {
    use_case_id: Cow<'static, str>,
    spec: &'static TrackerSpec,
}

impl UseCase {
    pub(crate) fn new(spec: &'static TrackerSpec, use_case_id: impl Into<Cow<'static, str>>) -> Self {
        Self { use_case_id: use_case_id.into(), spec }
    }

    /// Returns the name of the tracked type.
    pub(crate) fn type_name(&self) -> &'static str {
        self.spec.type_name
    }

    /// Returns the declaration of the step.
    pub(crate) fn spec(&self) -> &'static TrackerSpec {
        self.spec
    }

    /// Returns the use case's id.
    pub(crate) fn id(&self) -> &str {
        &self.use_case_id
    }

    pub(crate) fn sep(&self) -> &'static str {
        self.spec.sep
    }

    /// Returns the key of a task.
    pub(crate) fn key<Q: Display + ?Sized>(&self, task_id: &Q) -> Result<String, ItemError> {
        key::encode_key(&self.use_case_id, self.sep(), task_id)
    }

    /// Returns the prefix of all keys of the use case. No key of another valid use case begins with
    /// it.
    pub(crate) fn prefix(&self) -> String {
        format!("{}{}", self.use_case_id, self.sep())
    }

    /// Returns the use case and the task id of a key.
    pub(crate) fn split_key<'k>(&self, key: &'k str) -> Option<(&'k str, &'k str)> {
        key::split_key(key, self.sep())
    }

    /// Returns the `value` of a task in a status: its partition of the index, in the shard of its key.
    pub(crate) fn value(&self, status: Status, key: &str) -> String {
        self.value_in_shard(status, shard_of(key, status.row.shards))
    }

    /// Returns the `value` of a status in a shard.
    pub(crate) fn value_in_shard(&self, status: Status, shard: u32) -> String {
        let Status { table, row } = status;
        key::encode_value(&self.use_case_id, self.sep(), (row.code, table.code_pad), (shard, table.shard_pad))
    }

    /// Returns the index partitions of a status: one for each of its shards, and at least `least`.
    pub(crate) fn partitions(&self, status: Status, least: u32) -> Vec<String> {
        (1..=status.row.shards.max(least)).map(|shard| self.value_in_shard(status, shard)).collect()
    }

    /// Returns the shard at the end of a `value`.
    pub(crate) fn shard_of_value(&self, value: &str) -> Option<u32> {
        key::shard_of_value(value, self.sep())
    }

    /// Returns the status with this code.
    ///
    /// The order is: this step's statuses, `more_pending_status`, the steps before this step. At last, so
    /// that it has a name, come all statuses of an enum of which `more_pending_status` lists a status.
    pub(crate) fn status(&self, code: u32) -> Option<Status> {
        let others = self.spec.more_pending;
        let listed = others.iter().filter(|other| other.code == code);
        let earlier = std::iter::successors(self.spec.after, |step| step.after).map(|step| step.status);
        std::iter::once(self.spec.status)
            .chain(listed.map(|other| other.table))
            .chain(earlier)
            .chain(others.iter().map(|other| other.table))
            .find_map(|table| Some(Status { table, row: table.row(code)? }))
    }

    /// Returns this step's own status with this role.
    pub(crate) fn status_of(&self, role: Role) -> Status {
        let table = self.spec.status;
        // The derive refuses an enum without one of these roles.
        let row = table.of_role(role).unwrap_or(&MISSING);
        Status { table, row }
    }

    /// Returns whether this is the table of this step's own enum. It compares no addresses: a constant may
    /// have several.
    fn is_own(&self, table: &StatusTable) -> bool {
        table.type_name == self.spec.status.type_name && table.rows == self.spec.status.rows
    }

    /// Returns whether a status belongs to another enum, and this step's own enum has a status with the same
    /// code.
    pub(crate) fn means_another(&self, status: Status) -> bool {
        !self.is_own(status.table) && self.spec.status.row(status.code()).is_some()
    }

    /// Returns what a code means to this step, or `None` if this step neither has the status nor starts from
    /// it.
    pub(crate) fn role(&self, code: u32) -> Option<Role> {
        match self.spec.status.row(code) {
            Some(row) => Some(row.role),
            None => self.ready().any(|ready| ready == code).then_some(Role::MorePending),
        }
    }

    /// Returns the codes of the statuses from which this step starts.
    pub(crate) fn ready(&self) -> impl Iterator<Item = u32> + use<> {
        spec::ready_rows(self.spec).map(|row| row.code)
    }

    /// Returns the code of the status from which most tasks of this step are started: the succeeded status of the previous
    /// step, or the own pending status.
    pub(crate) fn usual_start(&self) -> u32 {
        let previous = self.spec.after.and_then(|previous| previous.status.of_role(Role::Succeeded));
        previous.map_or_else(|| self.status_of(Role::Pending).code(), |row| row.code)
    }

    /// Returns the name of a status: `Name` for this step, `Type::Name` for another step, `None` for an
    /// unknown code.
    pub(crate) fn status_name(&self, code: u32) -> Option<Cow<'static, str>> {
        let Status { table, row } = self.status(code)?;
        if self.is_own(table) {
            return Some(Cow::Borrowed(row.name));
        }
        Some(Cow::Owned(format!("{}::{}", table.type_name, row.name)))
    }
}

/// Stands in for a status that the derive guarantees.
static MISSING: StatusRow = StatusRow { code: 0, name: "", role: Role::Pending, shards: 1 };

/// A status, and the table of its enum, which has the zero pads.
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
