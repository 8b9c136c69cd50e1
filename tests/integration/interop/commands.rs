//! The commands that the driver executes on the tasks of one type.

use std::collections::HashMap;

use serde_json::{Value, json};
use tracker_core::{Error, Execution, Failure, Task, TaskHead, Tracker, TrackerStatus};

use super::Command;
use super::types::Fields;

pub struct Commands<T: Fields> {
    pub tracker: Tracker<T>,
    /// The executions that are started and not finished, by task id.
    held: HashMap<String, Execution<T>>,
}

impl<T: Fields> Commands<T> {
    pub fn new(tracker: Tracker<T>) -> Self {
        Self { tracker, held: HashMap::new() }
    }

    pub async fn answer(&mut self, command: Command) -> Result<Value, Error> {
        let id = command.id.as_str();
        let fields = command.data.as_deref().map(|data| serde_json::from_str::<T>(data.get()));
        let fields = fields.map(|fields| fields.expect("fields of this type"));
        Ok(match command.operation.as_str() {
            "create_table" => self.tracker.create_table().await.map(|()| Value::Null)?,
            "verify_table" => self.tracker.verify_table().await.map(|()| Value::Null)?,
            "create" => {
                let data = fields.unwrap_or_else(|| serde_json::from_str("{}").expect("defaults"));
                task(&self.tracker.create(data.with_id(id)).await?)
            }
            "get" => self.tracker.get(id).consistent().await?.as_ref().map_or(Value::Null, task),
            "head" => self.tracker.head(id).consistent().await?.as_ref().map_or(Value::Null, head),
            "start" => {
                let execution = self.tracker.start(id).await?;
                let answer = json!({ "head": head(execution.head()), "data": text(execution.data()) });
                self.held.insert(id.to_owned(), execution);
                answer
            }
            "save" => {
                let execution = self.held.get_mut(id).expect("a started task");
                if let Some(fields) = fields {
                    execution.data_mut().set(fields);
                }
                execution.save().await.map(|()| Value::Null)?
            }
            "succeed" => {
                let mut execution = self.held.remove(id).expect("a started task");
                if let Some(fields) = fields {
                    execution.data_mut().set(fields);
                }
                task(&execution.succeed().await?)
            }
            "fail" => {
                let execution = self.held.remove(id).expect("a started task");
                let failure = if command.fatal { Failure::fatal } else { Failure::retry };
                task(&execution.fail(failure(command.error)).await?.into_task())
            }
            "release" => task(&self.held.remove(id).expect("a started task").release().await?.into_task()),
            // Like a process that dies: nothing more is written.
            "forget" => {
                std::mem::forget(self.held.remove(id).expect("a started task"));
                Value::Null
            }
            "redrive" => head(&self.tracker.redrive(id).await?),
            "query" => {
                let statuses: Vec<_> =
                    command.codes.iter().map(|&code| T::Status::from_code(code).expect("a code")).collect();
                let rows = self.tracker.query_by_status(statuses).all().await?;
                rows.iter().map(|row| row.task_id().clone()).collect()
            }
            "unfinished" => {
                let rows = self.tracker.query_for_unfinished().all().await?;
                rows.iter().map(|row| row.task_id().clone()).collect()
            }
            "count" => {
                let counts = self.tracker.count_by_status().await?;
                counts.iter().map(|(status, count)| (status.code().to_string(), Value::from(count))).collect()
            }
            "count_use_case" => self.tracker.count_tasks_by_use_case_id().await?.into(),
            other => panic!("unknown command {other}"),
        })
    }
}

fn task<T: Fields>(task: &Task<T>) -> Value {
    json!({ "head": head(task.head()), "data": text(task.data()) })
}

/// The data as JSON text, in which a number may have any size.
fn text<T: Fields>(data: &T) -> String {
    serde_json::to_string(data).expect("JSON")
}

pub fn head(head: &TaskHead) -> Value {
    let errors = head.errors().iter().map(|entry| {
        json!({ "nth_retry": entry.nth_retry, "time": entry.time().is_some(), "error": entry.error,
            "traceback": entry.traceback })
    });
    json!({
        "id": head.task_id(),
        "status": head.status_code(),
        "retry": head.failed_attempts(),
        "attempt": head.attempt(),
        "locked": head.is_locked(),
        "owner": head.owner(),
        "shard": head.shard_id(),
        "errors": errors.collect::<Vec<_>>(),
        "omitted": head.errors_omitted(),
    })
}
