//! `ls`: lists tasks.

use futures_util::TryStreamExt as _;
use serde_json::json;
use tracker_core::{Cursor, TaskFilter, TaskSummary};

use crate::cli::Form;
use crate::exit::{Exit, Failure};
use crate::output::text::{ago, brief};
use crate::output::{Table, id_line, record, style_of};
use crate::session::Session;

pub(crate) async fn list(
    session: &Session,
    filter: &TaskFilter,
    limit: Option<usize>,
    after: Option<&str>,
) -> Result<Exit, Failure> {
    let Some(limit) = limit else { return all(session, filter).await };
    let after = after.map(Cursor::from_text);
    let list = session.operator.list(filter, limit, after.as_ref()).await?;
    let next = list.next.as_ref().map(ToString::to_string);
    session.output.records(
        "tasks",
        &list.tasks,
        json!({ "next": next }),
        || table(session, &list.tasks),
        |task| task.task_id.clone(),
    )?;
    if let Some(next) = next.filter(|_| session.output.form != Form::Json) {
        anstream::eprintln!("there are more: --all, or --after {next}");
    }
    if list.tasks.is_empty() && list.next.is_none() {
        anstream::eprintln!("no task matches");
        return Ok(Exit::NothingFound);
    }
    Ok(Exit::Done)
}

/// Prints all tasks as they are read.
async fn all(session: &Session, filter: &TaskFilter) -> Result<Exit, Failure> {
    let mut tasks = std::pin::pin!(session.operator.stream(filter)?);
    let mut found = Vec::new();
    let mut any = false;
    while let Some(task) = tasks.try_next().await? {
        any = true;
        match session.output.form {
            Form::Ids => id_line(&task.task_id)?,
            Form::Jsonl => record(&task)?,
            // The columns of a table, and a document, need all tasks.
            Form::Table | Form::Json => found.push(task),
        }
    }
    match session.output.form {
        Form::Table if any => table(session, &found).print()?,
        Form::Json => {
            session
                .output
                .records("tasks", &found, json!({ "next": null }), Table::default, |_| String::new())?;
        }
        _ => {}
    }
    if !any {
        anstream::eprintln!("no task matches");
        return Ok(Exit::NothingFound);
    }
    Ok(Exit::Done)
}

fn table(session: &Session, tasks: &[TaskSummary]) -> Table {
    let now = session.operator.now();
    let has_errors = tasks.iter().any(|task| task.error.is_some());
    let head = ["ID", "STEP", "STATUS", "SINCE", "CREATED", "ERROR"];
    let mut table = Table::new(if has_errors { &head } else { &head[..5] });
    for task in tasks {
        let mut cells = vec![
            task.task_id.clone(),
            task.step.clone(),
            task.status.clone(),
            ago(task.update_time, now),
            ago(task.create_time, now),
        ];
        if has_errors {
            cells.push(task.error.as_deref().map_or_else(String::new, |error| brief(error, 100)));
        }
        table.row(style_of(Some(task.role)), &cells);
    }
    table
}
