//! The list of tasks.

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use tracker_core::{Action, Operator, Role, StuckTask, TaskList};

use super::parts::{hidden_filter, label_of, name_of, status, task_link};
use super::text::{brief, plain, span, time};
use crate::query::Query;
use crate::routes::Addresses;
use crate::state::{App, BUSY, UseCase};

/// Shows the filter bar.
pub(crate) fn filter_bar(to: &Addresses<'_>, use_case: &UseCase, query: &Query) -> Markup {
    let statuses = statuses(&use_case.operator);
    html! {
        form.filter action=(to.page(use_case.id(), "tasks")) method="get" {
            label { "Status"
                select name="status" {
                    option value="" { "all" }
                    @for name in &statuses { option value=(name) selected[name.eq_ignore_ascii_case(&query.status)] { (name) } }
                }
            }
            (field("Id begins with", "prefix", &query.prefix, "doc-"))
            (field("Since", "since", &query.since, "2h"))
            (field("Until", "until", &query.until, "30m"))
            (field("Error contains", "error", &query.error, "timed out"))
            label { "Order"
                select name="order" {
                    option value="" { "newest first" }
                    option value="oldest" selected[query.order == "oldest"] { "oldest first" }
                }
            }
            label.check { input type="checkbox" name="details" value="1" checked[query.reads_items()]; "errors and owners (reads the items)" }
            @if !query.step.is_empty() { input type="hidden" name="step" value=(query.step); }
            @if !query.group.is_empty() { label { "Error is" input type="search" name="group" value=(query.group); } }
            button type="submit" { "Filter" }
            a href=(to.page(use_case.id(), "tasks")) { "Clear" }
        }
        form.jump action=(to.page(use_case.id(), "task")) method="get" {
            label { "Go to id" input type="search" name="id" required autocomplete="off"; }
            button type="submit" { "Open" }
        }
    }
}

fn field(label: &str, name: &str, value: &str, example: &str) -> Markup {
    html! { label { (label) input type="search" name=(name) value=(value) placeholder=(example) autocomplete="off"; } }
}

/// Returns the names of the statuses, and of the roles that are not called like one.
fn statuses(operator: &Operator) -> Vec<String> {
    let steps = operator.description().into_iter().flat_map(|description| description.steps.values());
    let own = steps.flat_map(|step| step.statuses.iter().map(|status| status.name.clone()));
    let roles = ["pending", "in_progress", "failed", "succeeded", "ignored"].map(str::to_owned);
    let mut all: Vec<String> = Vec::new();
    for name in own.chain(roles) {
        let same = |other: &String| other.eq_ignore_ascii_case(&name.replace('_', ""));
        if !all.iter().any(same) {
            all.push(name);
        }
    }
    all
}

/// Returns what can be done to all tasks of a filter.
fn actions_of(query: &Query, list: &TaskList) -> Vec<Action> {
    let roles: Vec<Role> = match &*query.status {
        // Other pages of the list have other statuses.
        "" => vec![Role::Pending, Role::InProgress, Role::Failed, Role::Ignored],
        _ => list.tasks.iter().map(|task| task.role).collect(),
    };
    let all = [Action::Redrive, Action::RunNow, Action::Cancel, Action::Delete];
    let fits = |action: &Action| roles.iter().any(|role| action.applies_to(*role));
    // A delete of everything is for the command line.
    all.into_iter().filter(fits).filter(|action| *action != Action::Delete || query.is_filter()).collect()
}

/// Shows a page of the list.
pub(crate) fn tasks(app: &App, use_case: &UseCase, query: &Query, list: &TaskList) -> Markup {
    let to = Addresses { base: &app.settings.base };
    let (id, now, writes) = (use_case.id(), use_case.operator.now(), app.writes(use_case));
    let details = query.reads_items();
    let actions = actions_of(query, list);
    let table = html! {
        div.scroll tabindex="0" role="region" aria-label="Tasks" {
            table {
                thead { tr {
                    @if writes { th scope="col" { span.hidden { "Selected" } } }
                    th scope="col" { "Id" } th scope="col" { "Status" } th.number scope="col" { "Since" } th.number scope="col" { "Created" }
                    @if details { th.number scope="col" { "Failed" } th scope="col" { "Owner" } th scope="col" { "Last error" } }
                } }
                tbody {
                    @for task in &list.tasks {
                        tr {
                            @if writes { td { input type="checkbox" name="id" value=(task.task_id) aria-label=(format!("Select {}", plain(&task.task_id))); } }
                            td { (task_link(&to, id, &task.task_id)) }
                            td { (status(&task.status, Some(task.role))) }
                            td.number { (time(task.update_time, now)) }
                            td.number { (time(task.create_time, now)) }
                            @if details {
                                td.number { (task.failed_attempts.map_or_else(String::new, |failed| failed.to_string())) }
                                td { (task.owner.as_deref().map_or_else(String::new, plain)) }
                                td.error { (task.error.as_deref().map_or_else(String::new, |error| brief(error, 160))) }
                            }
                        }
                    }
                }
            }
        }
    };
    let next = list.next.as_ref().map(|next| Query { after: next.to_string(), ..query.clone() });
    html! {
        @if list.tasks.is_empty() {
            p { "No task matches" @if list.next.is_some() { " so far" } "." }
        } @else if writes && !actions.is_empty() {
            form action=(to.page(id, "confirm")) method="post" {
                // Enter on a box presses the first button, which must do nothing.
                button.hidden type="submit" name="action" value="none" tabindex="-1" aria-hidden="true" {}
                (table)
                p.actions {
                    @for action in &actions { button.danger[*action == Action::Delete] type="submit" name="action" value=(name_of(*action)) { (label_of(*action)) " selected" } }
                }
            }
            form.actions action=(to.page(id, "confirm")) method="post" {
                input type="hidden" name="all" value=(if query.is_filter() { "1" } else { "everything" });
                (hidden_filter(query))
                @for action in actions { button.quiet.danger[action == Action::Delete] type="submit" name="action" value=(name_of(action)) { (label_of(action)) " all that match" } }
            }
        } @else {
            (table)
        }
        nav.pages aria-label="Pages of the list" {
            @if !query.after.is_empty() { a href=(to.list(id, &Query { after: String::new(), ..query.clone() })) { "First page" } }
            @if let Some(next) = next { a href=(to.list(id, &next)) rel="next" { "Next page" } }
        }
        p.faint { "The index may show a task a moment late." }
        details { summary { "The same on the command line" } (super::parts::command(&format!("{} ls{}", app.settings.command, if query.is_filter() { query.options() } else { String::new() }))) }
    }
}

/// Shows the tasks in progress, by owner.
pub(crate) fn busy(app: &App, use_case: &UseCase, tasks: &[StuckTask], now: DateTime<Utc>) -> Markup {
    let to = Addresses { base: &app.settings.base };
    let mut owners: Vec<(&str, Vec<&StuckTask>)> = Vec::new();
    for task in tasks {
        let owner = task.owner.as_deref().unwrap_or("unknown");
        match owners.iter_mut().find(|(other, _)| *other == owner) {
            Some((_, tasks)) => tasks.push(task),
            None => owners.push((owner, vec![task])),
        }
    }
    html! {
        @if tasks.is_empty() { p { "No task is in progress." } }
        @if tasks.len() >= BUSY { p { "The " (BUSY) " that have been in progress for longest." } }
        @for (owner, tasks) in owners {
            section {
                h2 { (plain(owner)) " " span.faint { (tasks.len()) } }
                div.scroll tabindex="0" role="region" aria-label=(format!("Tasks of {}", plain(owner))) {
                    table {
                        thead { tr { th scope="col" { "Id" } th scope="col" { "Step" } th.number scope="col" { "Since" } th.number scope="col" { "Attempt" } th.number scope="col" { "Lease" } th scope="col" { "Progress" } } }
                        tbody {
                            @for busy in tasks {
                                tr.alarm[busy.lease_expired] {
                                    td { (task_link(&to, use_case.id(), &busy.task.task_id)) }
                                    td { (plain(&busy.task.step)) }
                                    td.number { (time(busy.task.update_time, now)) }
                                    td.number { (busy.attempt) }
                                    td.number { @if busy.lease_expired { b { "expired" } } @else { (span(busy.lease_until - now)) " left" } }
                                    td { @if let Some(progress) = &busy.progress { (format!("{:.0} % ", progress.fraction * 100.0)) (plain(&progress.note)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
