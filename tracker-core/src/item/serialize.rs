//! The head of a task for other programs, such as a web page: statuses as names, times as texts.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::head::TaskHead;

/// Statuses are names, and times are texts such as `2026-11-28T12:00:00Z`.
impl Serialize for TaskHead {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut head = serializer.serialize_struct("TaskHead", 19)?;
        head.serialize_field("key", self.key())?;
        head.serialize_field("use_case_id", self.use_case_id())?;
        head.serialize_field("task_id", self.task_id())?;
        head.serialize_field("status", self.status_name())?;
        head.serialize_field("is_locked", &self.is_locked())?;
        head.serialize_field("is_cancel_requested", &self.is_cancel_requested())?;
        head.serialize_field("failed_attempts", &self.failed_attempts())?;
        head.serialize_field("lost_attempts", &self.lost_attempts())?;
        head.serialize_field("attempt", &self.attempt())?;
        head.serialize_field("snoozes", &self.snoozes())?;
        head.serialize_field("shard_id", &self.shard_id())?;
        head.serialize_field("owner", &self.owner())?;
        head.serialize_field("create_time", &self.create_time())?;
        head.serialize_field("update_time", &self.update_time())?;
        head.serialize_field("run_at", &self.run_at())?;
        head.serialize_field("expires_at", &self.expires_at())?;
        head.serialize_field("progress", &self.progress())?;
        head.serialize_field("errors", self.errors())?;
        head.serialize_field("errors_omitted", &self.errors_omitted())?;
        head.end()
    }
}
