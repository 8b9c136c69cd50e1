//! An entry of the index: a row that was read and parsed.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::merge::Row;
use crate::declare::status::TrackerStatus;
use crate::error::{Error, ErrorKind};
use crate::item::attribute;
use crate::item::fields::TaskId;
use crate::item::translation::Translation;
use crate::item::use_case::{Status, UseCase};
use crate::time::Timestamp;
use crate::tracker::status_tracker::StatusTracker;

/// What the index holds of a task: its id, its status, and the times of its last change and of its creation.
///
/// An entry is enough to start the task or to read it. It has neither data nor errors, and it may be stale.
pub struct IndexEntry<T: StatusTracker> {
    pub(super) row: Row,
    task_id: Arc<T::TaskId>,
    status_name: String,
    update_time: Timestamp,
    create_time: Option<Timestamp>,
    shard_id: Option<u32>,
}

impl<T: StatusTracker> IndexEntry<T> {
    /// Parses a row. Other programs may have written a key without a separator, or a time in another form.
    pub(crate) fn new(
        row: Row,
        use_case: &UseCase,
        names: &Translation,
        statuses: &[Status],
    ) -> Result<Self, Error> {
        let decode = |attribute: &str, why: String| {
            Error::new(ErrorKind::Decode { attribute: attribute.to_owned() }).because(why).with_key(&row.key)
        };
        if let Some((attribute, why)) = &row.unreadable {
            return Err(decode(attribute, why.clone()));
        }
        let name = |status: &Status| format!("{}::{}", status.table.type_name, status.row.name);
        let status_name = match use_case.status_name(row.code) {
            Some(name) => name.into_owned(),
            None => statuses.iter().find(|status| status.code() == row.code).map(name).unwrap_or_default(),
        };
        let Some((_, task_id)) = use_case.split_key(&row.key) else {
            let why = format!("the key has no separator \"{}\"", use_case.sep());
            return Err(decode(names.name(attribute::KEY), why));
        };
        let Some(update_time) = Timestamp::parse(&row.update_time) else {
            let why = format!("\"{}\" is not a time such as {}", row.update_time, Timestamp::EPOCH);
            return Err(decode(names.name(attribute::UPDATE_TIME), why));
        };
        let task_id = T::TaskId::__decode(task_id).map_err(|error| {
            Error::new(ErrorKind::Decode { attribute: names.name(attribute::KEY).to_owned() })
                .because(error)
                .with_key(&row.key)
        })?;
        Ok(Self {
            task_id: Arc::new(task_id),
            status_name,
            update_time,
            create_time: row.create_time.as_deref().and_then(Timestamp::parse),
            shard_id: use_case.shard_of_value(&row.value),
            row,
        })
    }

    /// Returns the task's id.
    #[must_use]
    pub fn task_id(&self) -> &T::TaskId {
        &self.task_id
    }

    /// Returns the code of the status.
    #[must_use]
    pub fn status_code(&self) -> u32 {
        self.row.code
    }

    /// Returns the status, or `None` if it is another step's status.
    #[must_use]
    pub fn status(&self) -> Option<T::Status> {
        T::Status::from_code(self.row.code)
    }

    /// Returns the status as a variant of another enum, or `None` if that enum has no such code.
    #[must_use]
    pub fn status_in<S: TrackerStatus>(&self) -> Option<S> {
        S::from_code(self.row.code)
    }

    /// Returns the name of the status. It is `Type::Name` for another step.
    #[must_use]
    pub fn status_name(&self) -> &str {
        &self.status_name
    }

    /// Returns the attribute `key`: use case and task id.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.row.key
    }

    /// Returns the time at which the status last changed.
    #[must_use]
    pub fn update_time(&self) -> DateTime<Utc> {
        self.update_time.utc()
    }

    /// Returns the time at which the task was created, or `None` if the index does not project it or it is not a time.
    #[must_use]
    pub fn create_time(&self) -> Option<DateTime<Utc>> {
        self.create_time.map(Timestamp::utc)
    }

    /// Returns the shard of the index in which the entry was found, counted from 1.
    #[must_use]
    pub fn shard_id(&self) -> Option<u32> {
        self.shard_id
    }
}

impl<T: StatusTracker> Clone for IndexEntry<T> {
    fn clone(&self) -> Self {
        Self {
            row: self.row.clone(),
            task_id: Arc::clone(&self.task_id),
            status_name: self.status_name.clone(),
            ..*self
        }
    }
}

impl<T: StatusTracker> fmt::Debug for IndexEntry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexEntry")
            .field("key", &self.row.key)
            .field("status", &self.status_name)
            .field("update_time", &self.update_time)
            .finish_non_exhaustive()
    }
}

/// Statuses are names, and times are texts such as `2026-11-28T12:00:00Z`.
impl<T: StatusTracker> Serialize for IndexEntry<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entry = serializer.serialize_struct("IndexEntry", 6)?;
        entry.serialize_field("key", self.key())?;
        entry.serialize_field("task_id", &self.task_id().to_string())?;
        entry.serialize_field("status", self.status_name())?;
        entry.serialize_field("update_time", &self.update_time())?;
        entry.serialize_field("create_time", &self.create_time())?;
        entry.serialize_field("shard_id", &self.shard_id())?;
        entry.end()
    }
}
