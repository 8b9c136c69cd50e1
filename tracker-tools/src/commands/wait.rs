//! `wait`: waits until a task has ended.

use std::time::Duration;

use tracker_core::{Role, TaskDetail};

use super::get;
use crate::exit::{Exit, Failure};
use crate::session::Session;

pub(crate) async fn wait(session: &Session, id: &str, timeout: Option<Duration>) -> Result<Exit, Failure> {
    let ended = session.operator.wait(id);
    let task: TaskDetail = match timeout {
        None => ended.await?,
        Some(timeout) => {
            let Ok(ended) = tokio::time::timeout(timeout, ended).await else {
                anstream::eprintln!("tracker: the time is up, and the task has not ended");
                return Ok(Exit::TimeIsUp);
            };
            ended?
        }
    };
    if session.output.is_table() {
        get::print(session, &task)?;
    } else {
        session.output.document(&task)?;
    }
    Ok(if task.role == Some(Role::Ignored) { Exit::Ignored } else { Exit::Done })
}
