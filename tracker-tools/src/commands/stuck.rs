//! `stuck`: finds tasks in progress whose worker is lost, or that take long.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tracker_core::StuckTask;

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
                lease_words(stuck, now),
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
        anstream::eprintln!("no task is stuck{}", alive(session, longer_than).await?);
        return Ok(Exit::NothingFound);
    }
    Ok(Exit::Done)
}

fn lease_words(stuck: &StuckTask, now: DateTime<Utc>) -> String {
    if stuck.lease_expired {
        return "expired".to_owned();
    }
    format!("ends {}", ago(Some(stuck.lease_until), now))
}

/// How many tasks in progress are counted at most.
const MOST: usize = 100;

/// Returns how many tasks have leases that may not be renewed any more, in words. A worker that was lost a moment ago is one of
/// them.
async fn alive(session: &Session, longer_than: Option<Duration>) -> Result<String, Failure> {
    if longer_than.is_some() {
        return Ok(String::new());
    }
    let tasks = session.operator.stuck(session.options.step.as_deref(), Duration::ZERO, MOST).await?;
    let Some(first) = tasks.iter().map(|stuck| stuck.lease_until).min() else {
        return Ok(", and none is in progress".to_owned());
    };
    let least = if tasks.len() == MOST { "at least " } else { "" };
    let ends = ago(Some(first), session.operator.now());
    Ok(format!(
        "; {least}{} in progress, and a lease of them ends {ends}, unless its worker renews it: --longer-than 1s shows them",
        tasks.len()
    ))
}
