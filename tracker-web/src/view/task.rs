//! One task: its state, its timeline, its history and its data.

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde_json::Value;
use tracker_core::{Action, HistoryEntry, Role, TaskDetail};

use super::parts::{command, label_of, name_of, status};
use super::text::{brief, plain, plain_lines, seconds, time};
use crate::query::id_arguments;
use crate::routes::Addresses;
use crate::settings::Settings;
use crate::state::{App, UseCase};

/// The most members of a list or an object that are shown, and the most levels.
const MEMBERS: usize = 200;
const LEVELS: usize = 20;

/// Returns what the state of a task allows.
fn actions(task: &TaskDetail, now: DateTime<Utc>) -> Vec<Action> {
    let Some(role) = task.role else { return vec![Action::Delete] };
    let waits = task.run_at.is_some_and(|run_at| run_at > now);
    let is_held = task.locked && !task.lease_expired;
    [Action::Redrive, Action::RunNow, Action::Cancel, Action::Release, Action::Delete]
        .into_iter()
        .filter(|action| action.applies_to(role))
        .filter(|action| match action {
            Action::RunNow => waits && !task.locked,
            Action::Redrive => !task.locked,
            Action::Release => task.lease_expired,
            Action::Cancel => !task.cancel_requested,
            Action::Delete => !is_held,
            _ => false,
        })
        .collect()
}

/// Shows a task.
pub(crate) fn task(app: &App, use_case: &UseCase, task: &TaskDetail) -> Markup {
    let to = Addresses { base: &app.settings.base };
    let now = use_case.operator.now();
    let actions = actions(task, now);
    let cli = &app.settings.command;
    html! {
        p { (status(&task.status, task.role)) " since " (time(Some(task.update_time), now)) " · " (plain(task.step.as_deref().unwrap_or("no known step"))) }
        (state(task, now))
        @if app.writes(use_case) && !actions.is_empty() {
            form.actions action=(to.page(use_case.id(), "confirm")) method="post" {
                input type="hidden" name="id" value=(task.task_id);
                @for action in &actions { button.danger[*action == Action::Delete] type="submit" name="action" value=(name_of(*action)) { (label_of(*action)) } }
            }
        }
        h2 { "Timeline" }
        (timeline(task, now))
        @if !task.history.is_empty() { h2 { "History" } (history(task, now)) }
        h2 { "Data" }
        (data(&app.settings, &task.data))
        @if !task.attributes.is_empty() {
            h2 { "Other attributes" }
            (data(&app.settings, &Value::Object(task.attributes.clone())))
        }
        h2 { "Commands" }
        (command(&format!("{cli} get{}", id_arguments([&*task.task_id]))))
        @for action in actions { (command(&format!("{cli} {}{}", name_of(action), id_arguments([&*task.task_id])))) }
        details {
            summary { "Raw item" }
            @let raw = redacted(&app.settings, &serde_json::to_value(task).unwrap_or_default());
            pre tabindex="0" { code { (plain_lines(&serde_json::to_string_pretty(&raw).unwrap_or_default())) } }
        }
    }
}

fn state(task: &TaskDetail, now: DateTime<Utc>) -> Markup {
    html! {
        dl {
            dt { "Attempts" } dd { (task.attempt) " in all, " (task.failed_attempts) " failed in a row" @if task.lost_attempts > 0 { ", " (task.lost_attempts) " of them lost" } }
            @if task.locked {
                dt { "Held by" }
                dd {
                    b { (plain(task.owner.as_deref().unwrap_or("an unknown worker"))) } ", "
                    @if task.lease_expired { b { "its lease has expired" } } @else { "its lease ends " (time(task.lease_until, now)) }
                }
            } @else if let Some(owner) = &task.owner { dt { "Last owner" } dd { (plain(owner)) } }
            @if let Some(progress) = &task.progress {
                dt { "Progress" } dd { (format!("{:.0} % ", progress.fraction * 100.0)) (plain(&progress.note)) ", " (time(Some(progress.time), now)) }
            }
            @if task.cancel_requested {
                dt { "Cancel" }
                dd {
                    "the attempt was asked to end"
                    @if let Some(by) = &task.cancel_requested_by { " by " (plain(by)) }
                    @if let Some(reason) = &task.cancel_reason { ": " (plain(reason)) }
                }
            }
            @if task.snoozes > 0 { dt { "Snoozed" } dd { (task.snoozes) " times in a row" } }
            dt { "Item" } dd { (super::text::thousands(task.bytes as u64)) " bytes" @if let Some(shard) = task.shard { ", shard " (shard) } }
        }
    }
}

fn timeline(task: &TaskDetail, now: DateTime<Utc>) -> Markup {
    html! {
        ol.timeline {
            li { b { "created" } " " (time(Some(task.create_time), now)) }
            @if task.history_omitted > 0 { li.faint { (task.history_omitted) " earlier entries are no longer stored" } }
            @for entry in &task.history {
                li.failed {
                    b { (attempt_of(entry)) } " " (time(entry.time(), now)) " " span.error { (brief(&entry.error, 120)) }
                    @if let Some(owner) = &entry.owner { span.faint { ", on " (plain(owner)) } }
                    @if let Some(took) = entry.seconds { span.faint { ", after " (seconds(took)) } }
                    @if let Some(by) = &entry.by { span.faint { ", by " (plain(by)) } }
                }
            }
            @if let Some(run_at) = task.run_at { li { b { "due" } " " (time(Some(run_at), now)) } }
            @match task.role {
                Some(Role::InProgress) => { li.progress { b { "attempt " (task.attempt) } " in progress, since " (time(Some(task.update_time), now)) } }
                Some(Role::Succeeded) => { li.succeeded { b { "succeeded" } " " (time(Some(task.update_time), now)) } }
                Some(Role::Ignored) => { li.ignored { b { "ignored" } " " (time(Some(task.update_time), now)) } }
                _ => {}
            }
            @if let Some(expires) = task.expires_at { li { b { "expires" } " " (time(Some(expires), now)) ": DynamoDB deletes the task" } }
        }
    }
}

fn attempt_of(entry: &HistoryEntry) -> String {
    match entry.attempt {
        Some(attempt) => format!("attempt {attempt}"),
        None if entry.by.is_some() => "by hand".to_owned(),
        None => "error".to_owned(),
    }
}

fn history(task: &TaskDetail, now: DateTime<Utc>) -> Markup {
    html! {
        @for entry in task.history.iter().rev() {
            details.entry {
                summary { (attempt_of(entry)) ", " (time(entry.time(), now)) ": " span.error { (brief(&entry.error, 160)) } }
                p.faint {
                    @if let Some(owner) = &entry.owner { "on " (plain(owner)) " " }
                    @if let Some(took) = entry.seconds { "after " (seconds(took)) " " }
                    @if let Some(by) = &entry.by { "by " (plain(by)) " " }
                    @if let Some(reason) = &entry.reason { "because: " (plain(reason)) }
                }
                pre tabindex="0" { code { (plain_lines(&entry.error)) } }
                @if !entry.traceback.is_empty() && entry.traceback != entry.error { pre tabindex="0" { code { (plain_lines(&entry.traceback)) } } }
            }
        }
    }
}

/// Shows data as a tree.
fn data(settings: &Settings, value: &Value) -> Markup {
    html! {
        @if settings.hides_data { p.faint { "Data is hidden on this page." } }
        @else if value.is_null() { p.faint { "The task has no data." } }
        @else { div.tree { (tree(&redacted(settings, value), 0)) } }
    }
}

fn tree(value: &Value, level: usize) -> Markup {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (plain(name), value)).collect(),
        Value::Array(values) => {
            values.iter().enumerate().map(|(nth, value)| (nth.to_string(), value)).collect()
        }
        Value::String(text) => return html! { span.text { (plain_lines(text)) } },
        other => return html! { span.scalar { (other.to_string()) } },
    };
    if members.is_empty() {
        return html! { span.scalar { @if value.is_array() { "[]" } @else { "{}" } } };
    }
    if level >= LEVELS {
        return html! { span.faint { "…" } };
    }
    html! {
        details open[level < 2] {
            summary { (members.len()) @if value.is_array() { " values" } @else { " members" } }
            dl {
                @for (name, value) in members.iter().take(MEMBERS) { dt { (name) } dd { (tree(value, level + 1)) } }
                @if members.len() > MEMBERS { dt { "…" } dd { (members.len() - MEMBERS) " more, in the raw item" } }
            }
        }
    }
}

/// Returns a value without what must not be shown.
pub(crate) fn redacted(settings: &Settings, value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let shown = |name: &String, value: &Value| {
                let is_hidden = settings.redacted.iter().any(|field| field == name)
                    || (settings.hides_data && ["data", "attributes"].contains(&&**name));
                if is_hidden { Value::String("(hidden)".to_owned()) } else { redacted(settings, value) }
            };
            Value::Object(members.iter().map(|(name, value)| (name.clone(), shown(name, value))).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(|value| redacted(settings, value)).collect()),
        other => other.clone(),
    }
}
