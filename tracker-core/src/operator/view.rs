//! What an operator returns: plain data, with the same names in JSON.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::declare::status::Role;
use crate::dynamodb::Context;
use crate::error::Error;
use crate::item::attribute::{DATA, HEAD, Item, size_of_item};
use crate::item::head::TaskProgress;
use crate::item::history::{HistoryEntry, Note};
use crate::item::json::{as_json, document_as_json};
use crate::query::merge::Row;
use crate::time::Timestamp;

/// A task as the index shows it. It may be a moment old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TaskSummary {
    /// The id of the task.
    pub task_id: String,
    /// The step whose status the task has.
    pub step: String,
    /// The name of the status.
    pub status: String,
    /// What the status means.
    pub role: Role,
    /// When the status last changed.
    pub update_time: Option<DateTime<Utc>>,
    /// When the task was created.
    pub create_time: Option<DateTime<Utc>>,
    /// The text of the last error, if the items were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How many attempts have failed since the last success or redrive, if the items were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_attempts: Option<u32>,
    /// The owner of the lease, or its last owner, if the items were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip)]
    pub(crate) key: String,
    #[serde(skip)]
    pub(crate) code: u32,
}

impl TaskSummary {
    pub(super) fn new(row: Row, step: &str, cx: &Context) -> Self {
        let status = cx.use_case.status(row.code);
        let time = |text: &str| Timestamp::parse(text).map(Timestamp::utc);
        let (_, task_id) = cx.use_case.split_key(&row.key).unwrap_or(("", &row.key));
        Self {
            task_id: task_id.to_owned(),
            step: step.to_owned(),
            status: status.map_or_else(|| row.code.to_string(), |status| status.row.name.to_owned()),
            role: status.map_or(Role::Pending, |status| status.row.role),
            update_time: time(&row.update_time),
            create_time: row.create_time.as_deref().and_then(time),
            error: None,
            failed_attempts: None,
            owner: None,
            code: row.code,
            key: row.key,
        }
    }

    /// Returns the attribute `key` of the task.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// A page of a list.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TaskList {
    /// The tasks, in the order of the filter.
    pub tasks: Vec<TaskSummary>,
    /// Where the next page begins, or `None` if this page is the last.
    pub next: Option<crate::query::cursor::Cursor>,
}

/// A task with all that is stored of it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TaskDetail {
    /// The id of the task.
    pub task_id: String,
    /// The use case.
    pub use_case_id: String,
    /// The step whose status the task has, or `None` if no described step has the status.
    pub step: Option<String>,
    /// The name of the status; its code if no described step has the status.
    pub status: String,
    /// The code of the status.
    pub status_code: u32,
    /// What the status means, if a described step has the status.
    pub role: Option<Role>,
    /// How many attempts have failed since the last success or redrive.
    pub failed_attempts: u32,
    /// How many of them ended with a lost lease, in a row.
    pub lost_attempts: u32,
    /// How many attempts there were in all.
    pub attempt: u64,
    /// When the task was created.
    pub create_time: DateTime<Utc>,
    /// When the status last changed.
    pub update_time: DateTime<Utc>,
    /// When the lease was last acquired, renewed or released.
    pub lock_time: DateTime<Utc>,
    /// Whether a worker holds the task, even if its lease has expired.
    pub locked: bool,
    /// When the task can be taken over, if a worker holds it.
    pub lease_until: Option<DateTime<Utc>>,
    /// Whether the lease has expired: the worker is lost.
    pub lease_expired: bool,
    /// The owner of the lease, or its last owner.
    pub owner: Option<String>,
    /// What the attempt has said of its progress.
    pub progress: Option<TaskProgress>,
    /// The earliest time at which the task can be started, if it waits.
    pub run_at: Option<DateTime<Utc>>,
    /// How many times in a row the task was snoozed.
    pub snoozes: u32,
    /// Whether the attempt was asked to end.
    pub cancel_requested: bool,
    /// Who asked for that, if they said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_requested_by: Option<String>,
    /// Why they asked, if they said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<String>,
    /// When DynamoDB deletes the task, if it does.
    pub expires_at: Option<DateTime<Utc>>,
    /// The shard of the index.
    pub shard: Option<u32>,
    /// The history, oldest first.
    pub history: Vec<HistoryEntry>,
    /// How many entries of the history are no longer stored.
    pub history_omitted: u64,
    /// The attribute `data`.
    pub data: Value,
    /// The other attributes of the item.
    pub attributes: Map<String, Value>,
    /// The size of the item in bytes, as DynamoDB counts it.
    pub bytes: usize,
}

impl TaskDetail {
    /// Reads an item by the context of its step.
    pub(super) fn new(
        mut item: Item,
        step: Option<&str>,
        cx: &Context,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let bytes = size_of_item(&cx.names.stored(item.clone()));
        let head = cx.head(&mut item)?;
        let rules = cx.rules();
        let data = item.remove(DATA).map_or(Value::Null, |data| document_as_json(&data));
        let own = |name: &str| HEAD.contains(&name);
        let attributes = item.iter().filter(|(name, _)| !own(name));
        let attributes = attributes.map(|(name, value)| (cx.names.shown(name), as_json(value))).collect();
        let asked = if head.is_cancel_requested() { head.cancel_note.clone() } else { Note::default() };
        Ok(Self {
            task_id: head.task_id().to_owned(),
            use_case_id: head.use_case_id().to_owned(),
            step: step.map(str::to_owned),
            status: head.status_name().to_owned(),
            status_code: head.status_code(),
            role: head.role(),
            failed_attempts: head.failed_attempts(),
            lost_attempts: head.lost_attempts(),
            attempt: head.attempt(),
            create_time: head.create_time(),
            update_time: head.update_time(),
            lock_time: head.lock_time(),
            locked: head.is_locked(),
            lease_until: head.is_locked().then(|| rules.takeover_at(&head).utc()),
            lease_expired: head.is_locked() && rules.is_expired(&head, now),
            owner: head.owner().map(str::to_owned),
            progress: head.progress().cloned(),
            run_at: head.run_at(),
            snoozes: head.snoozes(),
            cancel_requested: head.is_cancel_requested(),
            cancel_requested_by: asked.by,
            cancel_reason: asked.reason,
            expires_at: head.expires_at(),
            shard: head.shard_id(),
            history: head.errors().to_vec(),
            history_omitted: head.errors_omitted(),
            data,
            attributes,
            bytes,
        })
    }
}
