//! `status` and `watch`: the counts of a use case.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tracker_core::{Pause, StatusCount, StatusRate, TaskFilter};

use crate::exit::{Exit, Failure};
use crate::interrupt::on_interrupt;
use crate::output::text::{ago, span, thousands};
use crate::output::{Table, line, record, style_of};
use crate::session::Session;

/// What `status` shows.
#[derive(Debug, Serialize)]
struct Status {
    table: String,
    use_case_id: String,
    counts: Vec<StatusCount>,
    rates: Vec<StatusRate>,
    pauses: Vec<Pause>,
}

pub(crate) async fn status(session: &Session, cap: Option<u64>, rate: Duration) -> Result<Exit, Failure> {
    let status = read(session, cap, rate).await?;
    if session.output.is_table() {
        print(session, &status, rate)?;
    } else {
        session.output.document(&status)?;
    }
    Ok(Exit::Done)
}

async fn read(session: &Session, cap: Option<u64>, rate: Duration) -> Result<Status, Failure> {
    let operator = &session.operator;
    let filter = session.filter(&[], &crate::cli::Filter::default());
    let counts = operator.counts(&filter, cap).await?;
    let in_step =
        |step: &str| session.options.step.as_deref().is_none_or(|only| only.eq_ignore_ascii_case(step));
    let mut rates = operator.rate(rate, Some(10_000)).await?;
    rates.retain(|rate| in_step(&rate.step));
    Ok(Status {
        table: operator.table().to_owned(),
        use_case_id: operator.use_case_id().to_owned(),
        counts,
        rates,
        pauses: operator.pauses().await?,
    })
}

fn print(session: &Session, status: &Status, time: Duration) -> Result<(), Failure> {
    let now = session.operator.now();
    let mut table = Table::new(&["STEP", "STATUS", "ROLE", "TASKS", "OLDEST"]);
    for count in &status.counts {
        let tasks = thousands(count.tasks);
        let tasks = if count.is_exact { tasks } else { format!(">= {tasks}") };
        let style = style_of(Some(count.role).filter(|_| count.tasks > 0));
        let cells =
            [count.step.clone(), count.status.clone(), count.role.to_string(), tasks, ago(count.oldest, now)];
        table.row(style, &cells);
    }
    table.print()?;
    let time = span(chrono::TimeDelta::from_std(time).unwrap_or_default());
    for rate in &status.rates {
        let least = if rate.is_exact { "" } else { ">= " };
        let StatusRate { step, status, tasks, per_minute, .. } = rate;
        line(&format!(
            "{step} {status}: {least}{} in the last {time}, {least}{per_minute:.1} a minute",
            thousands(*tasks)
        ))?;
    }
    for pause in &status.pauses {
        line(&pause_line(pause, now))?;
    }
    Ok(())
}

/// Returns a pause in words.
pub(crate) fn pause_line(pause: &Pause, now: chrono::DateTime<chrono::Utc>) -> String {
    let mut text = format!("{} is paused for {}", pause.step, span(pause.until - now));
    if let Some(by) = &pause.by {
        text = format!("{text}, by {by}");
    }
    if let Some(reason) = &pause.reason {
        text = format!("{text}: {reason}");
    }
    crate::output::text::escaped(&text)
}

/// Shows the counts again and again.
pub(crate) async fn watch(session: &Session, every: Duration, times: Option<u64>) -> Result<Exit, Failure> {
    let stop = on_interrupt();
    let clears = session.output.is_table() && io::stdout().is_terminal();
    let mut left = times.unwrap_or(u64::MAX);
    while left > 0 {
        let status = read(session, Some(10_000), Duration::from_mins(5)).await?;
        if session.output.is_table() {
            if clears {
                line("\u{1b}[H\u{1b}[2J")?;
            }
            line(&format!(
                "{}  {}",
                session.operator.use_case_id(),
                session.operator.now().format("%H:%M:%S")
            ))?;
            print(session, &status, Duration::from_mins(5))?;
        } else {
            let mut value = serde_json::to_value(&status).map_err(io::Error::other)?;
            value["time"] = Value::String(session.operator.now().to_rfc3339());
            record(&value)?;
        }
        left -= 1;
        if left == 0 {
            break;
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(every) => {}
        }
    }
    Ok(Exit::Done)
}

/// Returns a filter for a status, in words as an argument has it.
pub(crate) fn of_status(session: &Session, status: &str) -> TaskFilter {
    session.filter(&[status.to_owned()], &crate::cli::Filter::default())
}
