//! The overview: what is going on in each use case.

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use tracker_core::{Role, StatusCount};
use tracker_text::quoted;

use super::layout::{at_least, stale};
use super::parts::{class, command, task_link};
use super::text::{ago, plain, seconds, thousands, time};
use crate::cache::Shown;
use crate::overview::{Attention, Ended, MINUTES, OLDEST, Overview};
use crate::query::Query;
use crate::routes::Addresses;
use crate::state::{App, UseCase};

/// The age from which a pending task is red: nobody starts it.
const OLD_PENDING: chrono::TimeDelta = chrono::TimeDelta::minutes(15);

/// Shows one use case.
pub(crate) fn use_case(app: &App, use_case: &UseCase, shown: &Shown<Overview>) -> Markup {
    let to = Addresses { base: &app.settings.base };
    let (id, now) = (use_case.id(), use_case.operator.now());
    // Ages are those of the time of the read.
    let read_at = shown.read_at;
    html! {
        section aria-labelledby=(format!("use-case-{id}")) {
            @if app.use_cases.len() > 1 { h2 id=(format!("use-case-{id}")) { (plain(id)) } } @else { h2.hidden id=(format!("use-case-{id}")) { (plain(id)) } }
            (stale(shown.error.as_deref(), &time(shown.value.as_ref().map(|_| shown.read_at), now)))
            @match &shown.value {
                None => p { "Nothing is known yet. The page looks again by itself." },
                Some(overview) => {
                    (attention(app, id, overview, read_at))
                    @for (step, counts) in steps(&overview.counts) {
                        (cells(&to, id, step, &counts, overview.ended.get(step), read_at))
                    }
                    p.faint { "As of " (time(Some(shown.read_at), now)) ". A count ends at " (thousands(1000)) "; " code { "tracker status --exact" } " counts all." }
                },
            }
        }
    }
}

/// Returns the counts of each step, in the order of the description.
fn steps(counts: &[StatusCount]) -> Vec<(&str, Vec<&StatusCount>)> {
    let mut steps: Vec<(&str, Vec<&StatusCount>)> = Vec::new();
    for count in counts {
        match steps.iter_mut().find(|(step, _)| *step == count.step) {
            Some((_, counts)) => counts.push(count),
            None => steps.push((&count.step, vec![count])),
        }
    }
    steps
}

fn cells(
    to: &Addresses<'_>,
    use_case: &str,
    step: &str,
    counts: &[&StatusCount],
    ended: Option<&Ended>,
    now: DateTime<Utc>,
) -> Markup {
    html! {
        div.step {
            h3 { (plain(step)) }
            ul.cells aria-label=(format!("Statuses of {step}")) {
                @for count in counts {
                    @let alarm = is_alarming(count, now);
                    li.cell.(class(Some(count.role))).alarm[alarm].empty[count.tasks == 0] {
                        a href=(to.list(use_case, &Query::of_status(step, &count.status))) {
                            span.name { (count.status) }
                            span.number { (at_least(count.tasks, count.is_exact)) }
                            span.age {
                                @if let Some(oldest) = count.oldest { "oldest " (time(Some(oldest), now)) } @else { "none" }
                                @if alarm { span.hidden { ", needs attention" } }
                            }
                        }
                    }
                }
            }
            @if let Some(ended) = ended { (rate(step, ended)) }
        }
    }
}

fn is_alarming(count: &StatusCount, now: DateTime<Utc>) -> bool {
    match count.role {
        Role::Ignored => count.tasks > 0,
        Role::Pending | Role::MorePending => count.oldest.is_some_and(|oldest| now - oldest > OLD_PENDING),
        _ => false,
    }
}

/// Shows how many tasks ended in each minute of the last hour, and how long they took.
fn rate(step: &str, ended: &Ended) -> Markup {
    let known = || ended.per_minute.iter().flatten();
    let (most, all) = (known().max().copied().unwrap_or(0), known().sum::<u32>());
    let minutes = known().count();
    let label =
        format!("{step}: {all} tasks ended within the last {minutes} minutes, at most {most} in a minute");
    html! {
        p.rate {
            svg.spark viewBox="0 0 180 32" role="img" aria-label=(label) preserveAspectRatio="none" {
                title { (label) }
                line x1="0" y1="31.5" x2="180" y2="31.5" {}
                @for (nth, minute) in ended.per_minute.iter().enumerate() {
                    @if let Some(tasks) = minute.filter(|tasks| *tasks > 0) {
                        @let height = bar(tasks, most);
                        rect x=(nth * 3) y=(31 - height) width="2" height=(height) {}
                    }
                }
                @let unknown = (MINUTES - minutes) * 3;
                @if unknown > 0 { rect.unread x="0" y="0" width=(unknown) height="31" {} }
            }
            span { @if ended.is_partial { "≥ " } (thousands(u64::from(all))) " ended in " (minutes) " min" }
            @if let (Some(p50), Some(p95)) = (ended.p50, ended.p95) {
                span title="from the creation of a task to its success" { "turnaround p50 " b { (seconds(p50)) } ", p95 " b { (seconds(p95)) } }
            }
        }
    }
}

/// Returns the height of a bar, so that even one task is seen.
fn bar(tasks: u32, most: u32) -> u32 {
    (tasks * 30 / most.max(1)).max(2)
}

fn attention(app: &App, use_case: &str, overview: &Overview, now: DateTime<Utc>) -> Markup {
    let to = Addresses { base: &app.settings.base };
    let attention = &overview.attention;
    let running = overview.counts.iter().filter(|count| count.role == Role::InProgress);
    let has_more = running.map(|count| count.tasks).sum::<u64>() > OLDEST as u64;
    if attention.is_empty() {
        return html! { p.banner.good { "Nothing needs attention." @if has_more { " Of the tasks in progress, the " (OLDEST) " oldest were looked at." } } };
    }
    let Attention { expired, ignored_today, ignored_is_exact, pauses, drift, clock } = attention;
    html! {
        section.attention aria-label="Needs attention" {
            h3 { "Needs attention" }
            ul {
                @for task in expired.iter().take(5) {
                    li { "The lease of " (task_link(&to, use_case, &task.task.task_id)) " has expired; its worker " b { (plain(task.owner.as_deref().unwrap_or("unknown"))) } " is lost." }
                }
                @if expired.len() > 5 { li { "At least " (expired.len() - 5) " other leases have expired. " a href=(to.page(use_case, "busy")) { "See all" } } }
                @if *ignored_today > 0 {
                    li {
                        @let ignored = Query { status: "ignored".to_owned(), since: "1d".to_owned(), ..Query::default() };
                        a href=(to.list(use_case, &ignored)) { (at_least(*ignored_today, *ignored_is_exact)) " ignored within the last day" }
                        ". " a href=(to.page(use_case, "errors")) { "See why" }
                    }
                }
                @for pause in pauses {
                    li {
                        b { (plain(&pause.step)) } " is paused, until " (ago(pause.until, now))
                        @if let Some(by) = &pause.by { ", by " (plain(by)) }
                        @if let Some(reason) = &pause.reason { ": " (plain(reason)) }
                        "." (command(&format!("{} resume {}", app.settings.command, quoted(&pause.step))))
                    }
                }
                @for difference in drift { li { "Description: " (plain(difference)) } }
                @if let Some(clock) = clock { li { "Clock: " (plain(clock)) } }
            }
        }
    }
}
