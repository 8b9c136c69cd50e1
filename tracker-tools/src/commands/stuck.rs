//! `stuck`: finds tasks in progress whose worker is lost, or that take long.

use std::time::Duration;

use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::output::text::ago;
use crate::output::{Table, style_of};
use crate::session::Session;

pub(crate) async fn stuck(
    session: &Session,
    longer_than: Option<Duration>,
    limit: usize,
) -> Result<Exit, Failure> {
    let step = session.options.step.as_deref();
    let tasks = match longer_than {
        Some(time) => session.operator.stuck(step, time, limit).await?,
        None => session.operator.lost(step, limit).await?,
    };
    let now = session.operator.now();
    let table = || {
        let mut table =
            Table::new(&["ID", "STEP", "SINCE", "LEASE", "RENEWED", "ATTEMPT", "OWNER", "PROGRESS"]);
        for stuck in &tasks {
            let progress = stuck.progress.as_ref();
            let progress =
                progress.map(|progress| format!("{:.0} % {}", progress.fraction * 100.0, progress.note));
            let cells = [
                stuck.task.task_id.clone(),
                stuck.task.step.clone(),
                ago(stuck.task.update_time, now),
                if stuck.lease_expired { "expired" } else { "alive" }.to_owned(),
                ago(Some(stuck.lock_time), now),
                stuck.attempt.to_string(),
                stuck.owner.clone().unwrap_or_else(|| "-".to_owned()),
                progress.unwrap_or_default(),
            ];
            let role = if stuck.lease_expired {
                tracker_core::Role::Ignored
            } else {
                tracker_core::Role::InProgress
            };
            table.row(style_of(Some(role)), &cells);
        }
        table
    };
    session.output.records("tasks", &tasks, json!({}), table, |stuck| stuck.task.task_id.clone())?;
    if tasks.is_empty() {
        anstream::eprintln!("no task is stuck");
        return Ok(Exit::NothingFound);
    }
    Ok(Exit::Done)
}
