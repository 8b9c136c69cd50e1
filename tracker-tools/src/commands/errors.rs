//! `errors`: groups failed and ignored tasks by their last error.

use serde_json::json;
use tracker_core::TaskFilter;

use crate::exit::{Exit, Failure};
use crate::output::text::{ago, brief, thousands};
use crate::output::{Table, style_of};
use crate::session::Session;

pub(crate) async fn errors(
    session: &Session,
    filter: &TaskFilter,
    cap: Option<u64>,
) -> Result<Exit, Failure> {
    let errors = session.operator.errors(filter, cap).await?;
    let now = session.operator.now();
    let table = || {
        let mut table = Table::new(&["TASKS", "IGNORED", "FIRST", "LAST", "EXAMPLE", "ERROR"]);
        for group in &errors.groups {
            let error = if group.error.is_empty() { "(no error is stored)" } else { &group.error };
            let cells = [
                thousands(group.tasks),
                thousands(group.ignored),
                ago(group.first, now),
                ago(group.last, now),
                group.example.clone(),
                brief(error, 120),
            ];
            let role =
                if group.ignored > 0 { tracker_core::Role::Ignored } else { tracker_core::Role::Failed };
            table.row(style_of(Some(role)), &cells);
        }
        table
    };
    let rest = json!({ "tasks": errors.tasks, "is_exact": errors.is_exact });
    session.output.records("groups", &errors.groups, rest, table, |group| group.example.clone())?;
    if !errors.is_exact {
        anstream::eprintln!("only the newest {} tasks were read; --exact reads all", thousands(errors.tasks));
    }
    if errors.groups.is_empty() {
        anstream::eprintln!("no task matches");
        return Ok(Exit::NothingFound);
    }
    Ok(Exit::Done)
}
