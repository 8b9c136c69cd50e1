//! Parts that several pages have.

use maud::{Markup, html};
use tracker_core::{Action, Role};

use super::text::plain;
use crate::query::Query;
use crate::routes::Addresses;

/// Returns the class of a role, by which a style colours it.
pub(crate) fn class(role: Option<Role>) -> &'static str {
    match role {
        Some(Role::Pending | Role::MorePending) => "pending",
        Some(Role::InProgress) => "progress",
        Some(Role::Failed) => "failed",
        Some(Role::Succeeded) => "succeeded",
        Some(Role::Ignored) => "ignored",
        _ => "unknown",
    }
}

/// Returns the name of a status, coloured by its role.
pub(crate) fn status(name: &str, role: Option<Role>) -> Markup {
    html! { span.status.(class(role)) { (name) } }
}

/// Returns a link to a task.
pub(crate) fn task_link(to: &Addresses<'_>, use_case: &str, id: &str) -> Markup {
    html! { a.id href=(to.task(use_case, id)) { (plain(id)) } }
}

/// Returns the name of an action in addresses and forms.
pub(crate) fn name_of(action: Action) -> &'static str {
    match action {
        Action::Redrive => "redrive",
        Action::RunNow => "run-now",
        Action::Cancel => "cancel",
        Action::Release => "release",
        Action::Delete => "delete",
        _ => "unknown",
    }
}

/// Returns the label of the button of an action.
pub(crate) fn label_of(action: Action) -> &'static str {
    match action {
        Action::Redrive => "Redrive",
        Action::RunNow => "Run now",
        Action::Cancel => "Cancel",
        Action::Release => "Release",
        Action::Delete => "Delete",
        _ => "Change",
    }
}

/// Returns the action with a name.
pub(crate) fn action_named(name: &str) -> Option<Action> {
    let all = [Action::Redrive, Action::RunNow, Action::Cancel, Action::Release, Action::Delete];
    all.into_iter().find(|action| name_of(*action) == name)
}

/// Returns hidden fields with a filter.
pub(crate) fn hidden_filter(query: &Query) -> Markup {
    let fields = [
        ("step", &query.step),
        ("status", &query.status),
        ("prefix", &query.prefix),
        ("since", &query.since),
        ("until", &query.until),
        ("error", &query.error),
        ("group", &query.group),
    ];
    html! {
        @for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            input type="hidden" name=(name) value=(value);
        }
    }
}

/// Returns a command to copy.
pub(crate) fn command(text: &str) -> Markup {
    html! { pre.command tabindex="0" aria-label="Command" { code { (plain(text)) } } }
}
