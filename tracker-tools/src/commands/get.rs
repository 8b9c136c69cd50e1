//! `get`: shows all that is stored of tasks.

use serde_json::json;
use tracker_core::{HistoryEntry, TaskDetail};

use super::ids;
use crate::exit::{Exit, Failure};
use crate::output::text::{ago, escaped};
use crate::output::{Table, line, style_of};
use crate::session::Session;

pub(crate) async fn get(session: &Session, ids: Vec<String>) -> Result<Exit, Failure> {
    let ids = ids::read(ids)?;
    let (mut found, mut missing) = (Vec::new(), 0);
    let mut failed = None;
    for id in &ids {
        match session.operator.get(id).await {
            Ok(Some(task)) => found.push(task),
            Ok(None) => {
                missing += 1;
                anstream::eprintln!("tracker: {}: there is no such task", escaped(id));
            }
            Err(error) => {
                let failure = Failure::of_task(&error, id);
                if ids.len() == 1 {
                    return Err(failure);
                }
                anstream::eprintln!("tracker: {}", escaped(&failure.message));
                failed = Some(failure.exit);
            }
        }
    }
    if session.output.is_table() {
        for (nth, task) in found.iter().enumerate() {
            if nth > 0 {
                line("")?;
            }
            print(session, task)?;
        }
    } else if found.len() == 1 && ids.len() == 1 && session.output.form == crate::cli::Form::Json {
        session.output.document(&found[0])?;
    } else {
        session.output.records("tasks", &found, json!({}), Table::default, |task| task.task_id.clone())?;
    }
    Ok(match failed {
        Some(_) => Exit::SomeFailed,
        None if found.is_empty() => Exit::NothingFound,
        None if missing > 0 => Exit::SomeFailed,
        None => Exit::Done,
    })
}

/// Prints a task for people.
pub(crate) fn print(session: &Session, task: &TaskDetail) -> Result<(), Failure> {
    let now = session.operator.now();
    let style = style_of(task.role);
    let step = task.step.as_deref().unwrap_or("no known step");
    line(&format!("{style}{}{style:#}  {}", escaped(&task.task_id), escaped(step)))?;
    let mut rows: Vec<(&str, String)> = vec![
        (
            "status",
            format!("{} ({}), since {}", task.status, task.status_code, ago(Some(task.update_time), now)),
        ),
        ("created", ago(Some(task.create_time), now)),
        ("attempts", format!("{} in all, {} failed in a row", task.attempt, task.failed_attempts)),
    ];
    if task.locked {
        let owner = task.owner.as_deref().unwrap_or("an unknown worker");
        let lease = match task.lease_until {
            _ if task.lease_expired => "its lease has expired".to_owned(),
            Some(until) => format!("its lease ends {}", ago(Some(until), now)),
            None => String::new(),
        };
        rows.push(("held by", format!("{owner}, {lease}")));
    } else if let Some(owner) = &task.owner {
        rows.push(("last owner", owner.clone()));
    }
    if let Some(progress) = &task.progress {
        let note = if progress.note.is_empty() { String::new() } else { format!(", {}", progress.note) };
        let time = ago(Some(progress.time), now);
        rows.push(("progress", format!("{:.0} %{note}, {time}", progress.fraction * 100.0)));
    }
    if let Some(run_at) = task.run_at.filter(|run_at| *run_at > now) {
        rows.push(("waits", format!("can be started {}", ago(Some(run_at), now))));
    }
    if task.cancel_requested {
        let by = task.cancel_requested_by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
        let why = task.cancel_reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        rows.push(("cancel", format!("the attempt was asked to end{by}{why}")));
    }
    if let Some(expires_at) = task.expires_at {
        rows.push(("expires", ago(Some(expires_at), now)));
    }
    rows.push((
        "item",
        format!(
            "{} bytes, shard {}",
            task.bytes,
            task.shard.map_or_else(|| "?".to_owned(), |shard| shard.to_string())
        ),
    ));
    for (name, value) in rows {
        line(&format!("  {name:<11} {}", escaped(&value)))?;
    }
    if !task.history.is_empty() {
        line("  history")?;
        if task.history_omitted > 0 {
            line(&format!("    ({} entries are no longer stored)", task.history_omitted))?;
        }
        for entry in &task.history {
            line(&format!("    {}", escaped(&entry_line(entry, now))))?;
            let details = Some(&entry.traceback).filter(|details| **details != entry.error);
            for detail in details.into_iter().flat_map(|details| details.lines()).take(20) {
                line(&format!("      {}", escaped(detail)))?;
            }
        }
    }
    for (name, value) in
        task.attributes.iter().map(|(name, value)| (name.as_str(), value)).chain([("data", &task.data)])
    {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        let mut lines = text.lines();
        line(&format!("  {:<11} {}", escaped(name), escaped(lines.next().unwrap_or_default())))?;
        lines.try_for_each(|text| line(&format!("  {}", escaped(text).replace("\\t", "\t"))))?;
    }
    Ok(())
}

fn entry_line(entry: &HistoryEntry, now: chrono::DateTime<chrono::Utc>) -> String {
    let mut text = format!("{}: {}", ago(entry.time(), now), entry.error);
    let attempt = entry.attempt.map(|attempt| format!("attempt {attempt}"));
    let took = entry.seconds.map(|seconds| format!("after {seconds:.1} s"));
    let owner = entry.owner.as_ref().map(|owner| format!("on {owner}"));
    let by = entry.by.as_ref().map(|by| format!("by {by}"));
    let reason = entry.reason.clone();
    let rest: Vec<_> = [attempt, took, owner, by, reason].into_iter().flatten().collect();
    if !rest.is_empty() {
        text = format!("{text} ({})", rest.join(", "));
    }
    text
}
