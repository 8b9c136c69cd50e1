//! The groups of errors, and the findings of the doctor.

use maud::{Markup, html};
use tracker_core::{Action, ErrorGroups, Finding, Severity};

use super::layout::at_least;
use super::parts::{command, hidden_filter, name_of, task_link};
use super::text::{brief, plain, time};
use crate::query::Query;
use crate::routes::Addresses;
use crate::state::{App, UseCase};

/// Shows the groups of errors.
pub(crate) fn groups(app: &App, use_case: &UseCase, errors: &ErrorGroups) -> Markup {
    let to = Addresses { base: &app.settings.base };
    let (id, now, writes) = (use_case.id(), use_case.operator.now(), app.writes(use_case));
    html! {
        @if errors.groups.is_empty() { p { "No task has failed or is ignored." } } @else {
            p { "The last errors of " (at_least(errors.tasks, errors.is_exact)) " failed and ignored tasks, the newest. " code { "#" } " stands for numbers, and " code { "{id}" } " for the id." }
            div.scroll tabindex="0" role="region" aria-label="Errors" {
                table {
                    thead { tr { th.number scope="col" { "Tasks" } th.number scope="col" { "Ignored" } th scope="col" { "Error" } th.number scope="col" { "First" } th.number scope="col" { "Last" } th scope="col" { "Example" } @if writes { th scope="col" { span.hidden { "Action" } } } } }
                    tbody {
                        @for group in &errors.groups {
                            @let query = Query { status: if group.ignored == group.tasks { "ignored".to_owned() } else { String::new() }, group: group.error.clone(), ..Query::default() };
                            tr {
                                td.number { (at_least(group.tasks, errors.is_exact)) }
                                td.number { (at_least(group.ignored, errors.is_exact)) }
                                td.error { @if group.error.is_empty() { i { "no error is stored" } } @else { a href=(to.list(id, &query)) { (brief(&group.error, 200)) } } }
                                td.number { (time(group.first, now)) }
                                td.number { (time(group.last, now)) }
                                td { (task_link(&to, id, &group.example)) }
                                @if writes { td {
                                    @if !group.error.is_empty() {
                                        form action=(to.page(id, "confirm")) method="post" {
                                            input type="hidden" name="all" value="1";
                                            (hidden_filter(&query))
                                            button type="submit" name="action" value=(name_of(Action::Redrive)) aria-label=(format!("Redrive this group: {}", brief(&group.error, 60))) { "Redrive this group" }
                                        }
                                    }
                                } }
                            }
                        }
                    }
                }
            }
        }
        details { summary { "The same on the command line" } (command(&format!("{} errors", app.settings.command))) }
    }
}

/// Shows what the doctor has found.
pub(crate) fn findings(findings: &[Finding]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Findings" {
            table {
                thead { tr { th scope="col" { "Result" } th scope="col" { "Check" } th scope="col" { "Found" } th scope="col" { "What to do" } } }
                tbody {
                    @for finding in findings {
                        @let (word, class) = match finding.severity { Severity::Ok => ("ok", "succeeded"), Severity::Warning => ("warning", "failed"), _ => ("problem", "ignored") };
                        tr {
                            td { span.status.(class) { (word) } }
                            td { (plain(&finding.check)) }
                            td.error { (plain(&finding.found)) }
                            td.error { (finding.advice.as_deref().map_or_else(String::new, plain)) }
                        }
                    }
                }
            }
        }
    }
}
