//! `wait`: waits until a task has ended.

use std::time::Duration;

use tracker_core::{Role, TaskDetail};

use super::get;
use crate::cli::Form;
use crate::exit::{Exit, Failure};
use crate::output::id_line;
use crate::session::Session;

pub(crate) async fn wait(session: &Session, id: &str, timeout: Option<Duration>) -> Result<Exit, Failure> {
    let ended = session.operator.wait(id);
    let ended = match timeout {
        None => ended.await,
        Some(timeout) => {
            let Ok(ended) = tokio::time::timeout(timeout, ended).await else {
                anstream::eprintln!("tracker: the time is up, and the task has not ended");
                return Ok(Exit::TimeIsUp);
            };
            ended
        }
    };
    let task: TaskDetail = ended.map_err(|error| Failure::of_task(&error, id))?;
    match session.output.form {
        Form::Table => get::print(session, &task)?,
        Form::Ids => id_line(&task.task_id)?,
        Form::Json | Form::Jsonl => session.output.document(&task)?,
    }
    Ok(if task.role == Some(Role::Ignored) { Exit::Ignored } else { Exit::Done })
}
