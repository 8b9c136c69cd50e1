//! A struct with a field of each kind, written as the derive would write it. The crate builds without the derive.

use serde_json::Value;

use crate::declare::spec::{TrackerSpec, spec};
use crate::declare::status::{Role, StatusRow, StatusTable, TrackerStatus};
use crate::item::fields::Fields;
#[cfg(test)]
use crate::item::translation::Translation;
use crate::tracker::status_tracker::StatusTracker;
#[cfg(test)]
use crate::{
    item::attribute::{STATUS, number},
    item::head::TaskHead,
    item::use_case::UseCase,
    time::Timestamp,
    tracker::new_item::NewItem,
};

/// The statuses of [`Sample`].
#[derive(Clone, Copy)]
pub(crate) enum SampleStatus {
    Pending = 10,
    InProgress = 12,
    Failed = 14,
    Succeeded = 16,
    Ignored = 18,
}

const fn row(code: u32, name: &'static str, role: Role) -> StatusRow {
    StatusRow { code, name, role, shards: 5 }
}

static STATUSES: StatusTable = StatusTable {
    type_name: "SampleStatus",
    rows: &[
        row(10, "Pending", Role::Pending),
        row(12, "InProgress", Role::InProgress),
        row(14, "Failed", Role::Failed),
        row(16, "Succeeded", Role::Succeeded),
        row(18, "Ignored", Role::Ignored),
    ],
    code_pad: 3,
    shard_pad: 3,
};

/// The declaration of [`Sample`].
pub(crate) static SPEC: TrackerSpec =
    TrackerSpec { table: Some("documents"), ..spec("Sample", "extract", &STATUSES) };

impl TrackerStatus for SampleStatus {
    const ALL: &'static [Self] =
        &[Self::Pending, Self::InProgress, Self::Failed, Self::Succeeded, Self::Ignored];
    const __TABLE: &'static StatusTable = &STATUSES;

    fn code(self) -> u32 {
        self as u32
    }
}

/// A task with a field of each kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    id: String,
    customer: Option<String>,
    pub(super) pages: u32,
    pub(super) score: f64,
    pub(super) tags: Vec<String>,
    pub(super) note: Option<String>,
    any: Value,
}

/// Returns the metadata of a task in a status.
#[cfg(test)]
pub(crate) fn head(status: SampleStatus) -> TaskHead {
    let use_case = UseCase::new(&SPEC, SPEC.use_case_id);
    let item = NewItem {
        use_case: &use_case,
        names: &Translation::default(),
        wire: SPEC.wire,
        create_time: Timestamp::EPOCH,
        checks_round_trip: true,
    };
    let mut item = item.of(&Sample::new("a", 1)).expect("an item");
    item.insert(STATUS.to_owned(), number(status.code()));
    TaskHead::from_item::<Sample>(item).expect("a task")
}

#[cfg(test)]
impl Sample {
    /// Returns a task with this id and number of pages.
    pub(crate) fn new(id: &str, pages: u32) -> Self {
        let (customer, note) = (Some("customer-1".to_owned()), None);
        Self { id: id.to_owned(), customer, pages, score: 0.5, tags: Vec::new(), note, any: Value::Null }
    }
}

/// The attributes and members that an error of decoding or encoding may name.
pub(super) const FIELDS: [&str; 7] =
    ["key", "customer", "data.pages", "data.score", "data.tags", "data.note", "data.any"];

impl StatusTracker for Sample {
    type Status = SampleStatus;
    type TaskId = String;

    const __SPEC: TrackerSpec = SPEC;

    fn task_id(&self) -> &String {
        &self.id
    }

    fn __fields(from: Option<&Self>, fields: &mut Fields<'_>) -> Option<Self> {
        let id = fields.task_id::<Self>(from.map(|sample| &sample.id));
        let customer = fields.attribute("customer", from.map(|sample| &sample.customer));
        let pages = fields.member("pages", from.map(|sample| &sample.pages));
        let score = fields.member_or_default("score", from.map(|sample| &sample.score));
        let tags = fields.member_or_default("tags", from.map(|sample| &sample.tags));
        let note = fields.member("note", from.map(|sample| &sample.note));
        let any = fields.member_or_default("any", from.map(|sample| &sample.any));
        Some(Self {
            id: id?,
            customer: customer?,
            pages: pages?,
            score: score?,
            tags: tags?,
            note: note?,
            any: any?,
        })
    }
}
