//! `redrive`, `run-now`, `cancel`, `release` and `delete`: change tasks by hand.

use std::io::{self, IsTerminal as _};

use chrono::SecondsFormat;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tracker_core::{
    Action, ActionOutcome, ActionResult, ActionSummary, Error, ErrorKind, Selection, TaskFilter,
};

use super::confirm::confirm as ask;
use super::ids;
use crate::cli::{Bulk, Filter, Form};
use crate::exit::{Exit, Failure, task_error_line};
use crate::interrupt::on_interrupt;
use crate::output::text::{escaped, thousands};
use crate::output::{id_line, line, record};
use crate::session::Session;

pub(crate) async fn act(session: &Session, action: Action, bulk: Bulk) -> Result<Exit, Failure> {
    let (tasks, single) = selection(session, &bulk)?;
    let by_id = matches!(tasks, Selection::Ids(_));
    let reasons = session.operator.why_read_only().join("; ");
    if bulk.dry_run && !reasons.is_empty() {
        anstream::eprintln!("tracker: the change itself would be refused: {}", escaped(&reasons));
    } else if !reasons.is_empty() {
        return Err(Failure::new(Exit::Refused, format!("nothing may be written: {reasons}")));
    }
    if !bulk.dry_run {
        // A filter that cannot be meant is refused before the question.
        session.operator.act(action, tasks.clone()).limit(0).await?;
        confirm(session, action, &tasks, &bulk).await?;
    }
    let stop = on_interrupt();
    let shows = io::stderr().is_terminal() && !single;
    let bar = if shows { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let (mut broken, mut refusal, mut missing) = (None, None, 0);
    let mut acted = session.operator.act(action, tasks).dry_run(bulk.dry_run).stop(stop.clone());
    if let Some(limit) = bulk.limit {
        acted = acted.limit(limit);
    }
    if let Some(rate) = bulk.per_second {
        acted = acted.per_second(rate);
    }
    let on_result = |result: &ActionResult, summary: ActionSummary| {
        if let Err(failure) = print(session, &bar, result) {
            // Nobody reads the results any more, so no more is done.
            broken = Some(failure);
            stop.cancel();
        }
        if let ActionOutcome::Skipped(error) | ActionOutcome::Failed(error) = &result.outcome {
            refusal = Some(Failure::of_task(error, &result.task_id));
            missing += u64::from(by_id && *error.kind() == ErrorKind::NotFound);
        }
        bar.set_message(words(summary, bulk.dry_run));
        bar.tick();
    };
    let summary = acted.on_result(on_result).await;
    bar.finish_and_clear();
    let summary = summary?;
    if let Some(failure) = broken {
        anstream::eprintln!("{}", words(summary, bulk.dry_run));
        return Err(Failure { exit: Exit::Interrupted, ..failure });
    }
    if let Some(failure) = refusal.filter(|_| single) {
        return Err(failure);
    }
    anstream::eprintln!("{}", words(summary, bulk.dry_run));
    Ok(exit_of(summary, missing))
}

/// Returns the code of an operation. Ids that do not exist are `missing`, and part of what was skipped.
fn exit_of(summary: ActionSummary, missing: u64) -> Exit {
    let ActionSummary { done, requested, skipped, failed, stopped, .. } = summary;
    if stopped {
        return Exit::Interrupted;
    }
    match (done + requested, skipped, failed) {
        (0, skipped, 0) if skipped == missing => Exit::NothingFound,
        (0, 0, _) => Exit::Error,
        (_, _, failed) if failed + missing > 0 => Exit::SomeFailed,
        (0, _, _) => Exit::Refused,
        _ => Exit::Done,
    }
}

/// Returns the tasks that the arguments mean, and whether that is one id.
fn selection(session: &Session, bulk: &Bulk) -> Result<(Selection, bool), Failure> {
    let filter = &bulk.filter;
    let filters = *filter != Filter::default();
    if !bulk.ids.is_empty() {
        if filters || bulk.all {
            return Err(Failure::usage("name ids, or a filter, and not both"));
        }
        if session.options.step.is_some() {
            return Err(Failure::usage("--step works with a filter: an id names one task"));
        }
        let single = bulk.ids.len() == 1 && bulk.ids != ["-"];
        let ids = ids::read(bulk.ids.clone())?;
        return Ok((ids.into(), single));
    }
    if !filters && !bulk.all {
        return Err(Failure::usage("name ids, a filter such as --status ignored, or --all"));
    }
    Ok((session.filter(&[], filter).into(), false))
}

/// Says what will be done to many tasks, and asks.
async fn confirm(session: &Session, action: Action, tasks: &Selection, bulk: &Bulk) -> Result<(), Failure> {
    let Selection::Filter(filter) = tasks else { return Ok(()) };
    let what = verb(action);
    let count = count(session, filter, action).await?;
    let limit = bulk.limit.map_or_else(String::new, |limit| format!(", at most {}", thousands(limit)));
    let (table, use_case) = (session.operator.table(), session.operator.use_case_id());
    let meant = meant(session, bulk);
    let what = format!("of {count} of `{use_case}` in the table `{table}`, {what} {meant}{limit}");
    ask(session, &what, "add --yes, or try --dry-run")
}

/// Returns how many tasks the statuses of a filter have, in words.
async fn count(session: &Session, filter: &TaskFilter, action: Action) -> Result<String, Failure> {
    let counts = session.operator.counts(filter, Some(10_000)).await?;
    let fit = counts.iter().filter(|count| action.applies_to(count.role));
    let (tasks, is_exact) =
        fit.fold((0, true), |(tasks, is_exact), count| (tasks + count.tasks, is_exact && count.is_exact));
    let least = if is_exact { "" } else { "at least " };
    Ok(format!("{least}{} tasks", thousands(tasks)))
}

/// Returns the filters of the arguments in words.
fn meant(session: &Session, bulk: &Bulk) -> String {
    let Filter { status, since, until, prefix, error, error_group } = &bulk.filter;
    let mut parts = Vec::new();
    parts.extend(session.options.step.as_ref().map(|step| format!("step {step}")));
    if !status.is_empty() {
        parts.push(format!("status {}", status.join(" or ")));
    }
    parts.extend(
        since.map(|since| format!("a status since {}", since.to_rfc3339_opts(SecondsFormat::Secs, true))),
    );
    parts.extend(
        until.map(|until| format!("a status until {}", until.to_rfc3339_opts(SecondsFormat::Secs, true))),
    );
    parts.extend(prefix.as_ref().map(|prefix| format!("ids that begin with \"{prefix}\"")));
    parts.extend(error.as_ref().map(|error| format!("errors that contain \"{error}\"")));
    parts.extend(error_group.as_ref().map(|group| format!("the error \"{group}\"")));
    if parts.is_empty() { "all".to_owned() } else { format!("those with {}", parts.join(", ")) }
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Redrive => "redrive",
        Action::RunNow => "make due",
        Action::Cancel => "cancel",
        Action::Release => "release",
        Action::Delete => "delete",
        _ => "change",
    }
}

/// Prints the result of one task.
fn print(session: &Session, bar: &ProgressBar, result: &ActionResult) -> Result<(), Failure> {
    let (outcome, error): (&str, Option<&Error>) = match &result.outcome {
        ActionOutcome::Done => ("done", None),
        ActionOutcome::Requested => ("requested", None),
        ActionOutcome::WouldBeDone => ("would_be_done", None),
        ActionOutcome::WouldBeRequested => ("would_be_requested", None),
        ActionOutcome::Skipped(error) => ("skipped", Some(error)),
        ActionOutcome::Failed(error) => ("failed", Some(error)),
        _ => ("unknown", None),
    };
    bar.suspend(|| match session.output.form {
        Form::Table => {
            let id = escaped(&result.task_id);
            let what = error.map_or(id, |error| escaped(&task_error_line(error, &result.task_id)));
            line(&format!("{outcome:<18}{what}"))
        }
        Form::Ids => match error {
            None => id_line(&result.task_id),
            Some(_) => Ok(()),
        },
        Form::Json | Form::Jsonl => {
            let mut value = json!({ "task_id": result.task_id, "outcome": outcome });
            if let Some(error) = error {
                value["error"] = Value::String(task_error_line(error, &result.task_id));
            }
            record(&value)
        }
    })
}

fn words(summary: ActionSummary, dry_run: bool) -> String {
    let ActionSummary { done, requested, skipped, failed, stopped, .. } = summary;
    let done_word = if dry_run { "would be done" } else { "done" };
    let stopped = if stopped { "; stopped before the end" } else { "" };
    let requested = match requested {
        0 => String::new(),
        some if dry_run => format!("{} would be asked to end, ", thousands(some)),
        some => format!("{} asked to end, ", thousands(some)),
    };
    let seen =
        if requested.is_empty() || dry_run { "" } else { "; attempts see that with their next heartbeat" };
    format!(
        "{} {done_word}, {requested}{} skipped, {} failed{seen}{stopped}",
        thousands(done),
        thousands(skipped),
        thousands(failed)
    )
}
