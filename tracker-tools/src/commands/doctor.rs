//! `doctor`: checks the table, the permissions, the description and the tasks.

use anstyle::{AnsiColor, Style};
use serde_json::json;
use tracker_core::{Finding, Severity};

use crate::exit::{Exit, Failure};
use crate::output::Table;
use crate::session::Session;

pub(crate) async fn doctor(session: &Session, scan: usize) -> Result<Exit, Failure> {
    let findings = session.operator.doctor(scan).await?;
    let table = || {
        let mut table = Table::new(&["", "CHECK", "FOUND", "WHAT TO DO"]);
        for Finding { check, severity, found, advice, .. } in &findings {
            let (word, style) = match severity {
                Severity::Ok => ("ok", Style::new()),
                Severity::Warning => ("warning", AnsiColor::Yellow.on_default()),
                _ => ("problem", AnsiColor::Red.on_default()),
            };
            let advice = advice.clone().unwrap_or_default();
            table.row(style, &[word.to_owned(), check.clone(), found.clone(), advice]);
        }
        table
    };
    session.output.records("findings", &findings, json!({}), table, |finding| finding.check.clone())?;
    let has_problem = findings.iter().any(|finding| finding.severity == Severity::Problem);
    Ok(if has_problem { Exit::Error } else { Exit::Done })
}
