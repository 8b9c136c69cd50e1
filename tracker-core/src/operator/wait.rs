//! Waits until a task has ended.

use std::time::Duration;

use super::Operator;
use super::view::TaskDetail;
use crate::declare::status::Role;
use crate::error::{Error, ErrorKind};

/// The first and the longest wait between two reads.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

impl Operator {
    /// Waits until a task has ended: until it has succeeded in the last step, or is ignored in any. Returns the task.
    ///
    /// The task is read again and again, at most every 10 s. Drop the future to stop waiting.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](ErrorKind::NotFound) if there is no such task.
    /// - [`NotDescribed`](ErrorKind::NotDescribed), because statuses are not known then.
    /// - The errors of [`get`](Self::get).
    pub async fn wait(&self, task_id: &str) -> Result<TaskDetail, Error> {
        self.described_steps()?;
        let mut wait = FIRST;
        loop {
            match self.get(task_id).await {
                Ok(None) => return Err(Error::new(ErrorKind::NotFound).with_key(task_id)),
                Ok(Some(task)) => {
                    let goes_on = self.step_from(task.status_code).is_some();
                    if matches!(task.role, Some(Role::Ignored | Role::Succeeded)) && !goes_on {
                        return Ok(task);
                    }
                }
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
            self.cx.clock.sleep(wait).await;
            wait = wait.saturating_mul(2).min(LONGEST);
        }
    }
}
