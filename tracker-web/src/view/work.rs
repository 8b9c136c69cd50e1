//! Changes: the confirmation, and how far a job is.

use maud::{Markup, html};
use tracker_core::{Action, ActionSummary};

use super::layout::at_least;
use super::parts::{command, hidden_filter, label_of, name_of};
use super::text::{ago, plain, thousands};
use crate::jobs::Job;
use crate::query::{Query, id_arguments};
use crate::routes::Addresses;
use crate::state::{App, UseCase};

/// The tasks that a change is about.
pub(crate) enum Meant {
    Ids(Vec<String>),
    /// All tasks of a filter: the filter, and how many match.
    All {
        query: Box<Query>,
        tasks: u64,
        is_exact: bool,
    },
}

impl Meant {
    /// Returns the tasks, for people.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Ids(ids) if ids.len() == 1 => format!("task {}", plain(&ids[0])),
            Self::Ids(ids) => format!("{} tasks", thousands(ids.len() as u64)),
            Self::All { query, .. } if query.is_filter() => {
                super::text::brief(&format!("all tasks that match{}", query.options()), 400)
            }
            Self::All { .. } => "all tasks to which this can be done".to_owned(),
        }
    }

    /// Returns how many tasks are meant, and whether there are no more.
    fn tasks(&self) -> (u64, bool) {
        match self {
            Self::Ids(ids) => (ids.len() as u64, true),
            Self::All { tasks, is_exact, .. } => (*tasks, *is_exact),
        }
    }

    fn command(&self, cli: &str, action: Action) -> String {
        let what = match self {
            Self::Ids(ids) => id_arguments(ids.iter().map(String::as_str)),
            Self::All { query, .. } => query.options(),
        };
        format!("{cli} {}{what}", name_of(action))
    }
}

/// Asks before a change.
pub(crate) fn confirm(app: &App, use_case: &UseCase, action: Action, meant: &Meant, back: &str) -> Markup {
    let to = Addresses { base: &app.settings.base };
    let (tasks, is_exact) = meant.tasks();
    html! {
        p { b { (label_of(action)) } " " (meant.words()) "." }
        @if let Meant::All { tasks, is_exact, .. } = meant {
            p { b { (at_least(*tasks, *is_exact)) } " tasks match now. Those that match when you confirm are changed." }
        }
        p { (effect(action)) }
        p.faint { "About " (at_least(tasks * 2, is_exact)) " read units and " (at_least(tasks * 2, is_exact)) " write units, for items of up to 1 KB." @if let Meant::All { query, .. } = meant { @if query.searches_items() { " To find them, the items in these statuses are read, too: half a unit each." } } }
        form action=(to.page(use_case.id(), "act")) method="post" {
            input type="hidden" name="action" value=(name_of(action));
            @match meant {
                Meant::Ids(ids) => { @for id in ids { input type="hidden" name="id" value=(id); } }
                Meant::All { query, .. } => { input type="hidden" name="all" value=(if query.is_filter() { "1" } else { "everything" }); (hidden_filter(query)) }
            }
            @if action != Action::Delete { label { "Reason, for the history of the tasks" input name="reason" maxlength="500" autocomplete="off"; } }
            p.actions {
                button.danger[action == Action::Delete] type="submit" autofocus[action != Action::Delete] { (label_of(action)) @if action != Action::RunNow { " now" } }
                a href=(back) { "Back" }
            }
        }
        h2 { "The same on the command line" }
        (command(&meant.command(&app.settings.command, action)))
    }
}

/// Returns an error without the task that it begins with, because a link names it.
fn without_id<'e>(error: &'e str, id: &str) -> &'e str {
    error.strip_prefix(&format!("task `{}`: ", plain(id))).unwrap_or(error)
}

/// Shows the changes that are under way, and the last ones.
pub(crate) fn jobs(app: &App) -> Markup {
    let to = Addresses { base: &app.settings.base };
    let jobs = app.jobs.latest();
    html! {
        @if !jobs.is_empty() {
            section aria-label="Changes" {
                h2 { "Changes" }
                ul { @for job in jobs {
                    @let progress = job.progress();
                    li { a href=(to.job(&job.use_case, job.id, "")) { (label_of(job.action)) " " (job.tasks) } ": " (thousands(progress.summary.done)) " done" @if progress.ended.is_none() { ", under way" } }
                } }
            }
        }
    }
}

fn effect(action: Action) -> &'static str {
    match action {
        Action::Redrive => {
            "Failed and ignored tasks are pending again, with no failed attempt. Their history stays."
        }
        Action::RunNow => "Tasks that wait for their time can be started at once.",
        Action::Cancel => {
            "Tasks that wait are ignored. Attempts in progress are asked to end, which they see with their next heartbeat."
        }
        Action::Release => {
            "Tasks whose lease has expired are failed, or ignored if that was the last attempt."
        }
        Action::Delete => "Tasks are deleted for good, unless a worker holds them.",
        _ => "",
    }
}

/// Shows how far a job is.
pub(crate) fn job(app: &App, use_case: &UseCase, job: &Job) -> Markup {
    let to = Addresses { base: &app.settings.base };
    let progress = job.progress();
    let ActionSummary { done, requested, skipped, failed, stopped, .. } = progress.summary;
    let now = use_case.operator.now();
    html! {
        p { b { (label_of(job.action)) } " " (job.tasks) ", begun " (ago(job.begun, now)) "." }
        @match &progress.ended {
            None => p.banner role="status" { "Under way." },
            Some(Err(error)) => p.banner.bad role="alert" { "Ended by an error: " (plain(error)) },
            Some(Ok(())) if stopped => p.banner role="status" { "Stopped; what was begun is done." },
            Some(Ok(())) if failed > 0 => p.banner.bad role="status" { "Ended; some changes failed." },
            Some(Ok(())) => p.banner.good role="status" { "Done." },
        }
        dl {
            dt { "Done" } dd { (thousands(done)) }
            @if requested > 0 { dt { "Asked to end" } dd { (thousands(requested)) } }
            dt { "Skipped" } dd { (thousands(skipped)) }
            dt { "Failed" } dd { (thousands(failed)) }
        }
        @if progress.ended.is_none() {
            form action=(to.job(use_case.id(), job.id, "/stop")) method="post" { button type="submit" { "Stop" } }
        }
        @if !progress.errors.is_empty() {
            h2 { "Not changed" }
            ul { @for (id, error) in &progress.errors { li { (super::parts::task_link(&to, use_case.id(), id)) ": " (plain(without_id(error, id))) } } }
        }
        @if skipped + failed > progress.errors.len() as u64 { p.faint { "Only the first " (progress.errors.len()) " are shown." } }
        p { a href=(job.back) { "Back to the tasks" } }
    }
}
