//! The same for programs: JSON, and the text of Prometheus.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::{Value, json};
use tracker_core::TaskFilter;

use super::look::{ERRORS, Id, search};
use super::{Answer, Kind, Stop, kind_of};
use crate::cache::Shown;
use crate::query::Query;
use crate::state::{App, UseCase};
use crate::view::task::redacted;
use crate::view::text::error_line;

/// How many tasks a page of the list has.
const PAGE: usize = 100;

pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// Prints counts and ages in the text format of Prometheus.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut counts = "# HELP tracker_tasks Tasks in a status; capped, see tracker_tasks_capped.\n# TYPE tracker_tasks gauge\n".to_owned();
    let mut capped = "# HELP tracker_tasks_capped Whether there are more tasks than were counted.\n# TYPE tracker_tasks_capped gauge\n".to_owned();
    let mut ages = "# HELP tracker_oldest_task_age_seconds How long the oldest task has been in a status.\n# TYPE tracker_oldest_task_age_seconds gauge\n".to_owned();
    let mut up = "# HELP tracker_page_up Whether the last read of the table succeeded.\n# TYPE tracker_page_up gauge\n"
        .to_owned();
    let all = join_all(app.use_cases.iter().map(|use_case| app.overview(use_case))).await;
    let mut read = "# HELP tracker_page_read_seconds When the table was read last, in seconds since 1970.\n# TYPE tracker_page_read_seconds gauge\n".to_owned();
    for (use_case, shown) in app.use_cases.iter().zip(all) {
        let (table, id) = (label(use_case.operator.table()), label(use_case.id()));
        let of_use_case = format!("table=\"{table}\",use_case_id=\"{id}\"");
        // Writes to a string do not fail.
        let _ = writeln!(up, "tracker_page_up{{{of_use_case}}} {}", u8::from(shown.error.is_none()));
        if shown.value.is_some() {
            let _ =
                writeln!(read, "tracker_page_read_seconds{{{of_use_case}}} {}", shown.read_at.timestamp());
        }
        // Counts that are too old would hide that nothing is known.
        let Some(overview) = shown.value.filter(|_| shown.error.is_none()) else { continue };
        for count in &overview.counts {
            let labels =
                format!("{of_use_case},step=\"{}\",status=\"{}\"", label(&count.step), label(&count.status));
            let _ = writeln!(counts, "tracker_tasks{{{labels}}} {}", count.tasks);
            let _ = writeln!(capped, "tracker_tasks_capped{{{labels}}} {}", u8::from(!count.is_exact));
            if let Some(oldest) = count.oldest {
                let age = (shown.read_at - oldest).as_seconds_f64().max(0.0);
                let _ = writeln!(ages, "tracker_oldest_task_age_seconds{{{labels}}} {age:.3}");
            }
        }
    }
    let head = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (head, format!("{up}{read}{counts}{capped}{ages}")).into_response()
}

/// Escapes the value of a label.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn answer(status: StatusCode, value: &impl Serialize) -> Response {
    let mut document = json!({ "v": 1 });
    match serde_json::to_value(value) {
        Ok(Value::Object(members)) => {
            for (name, value) in members {
                document[name] = value;
            }
        }
        Ok(value) => document["value"] = value,
        Err(error) => document["error"] = Value::String(error.to_string()),
    }
    (status, [(header::CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}

fn problem(status: StatusCode, why: &str) -> Response {
    answer(status, &json!({ "error": why }))
}

fn failed(error: &tracker_core::Error) -> Stop {
    let status = match kind_of(error) {
        Kind::Wrong => StatusCode::BAD_REQUEST,
        Kind::Away => StatusCode::BAD_GATEWAY,
    };
    problem(status, &error_line(error)).into()
}

fn wrong(why: &str) -> Stop {
    problem(StatusCode::BAD_REQUEST, why).into()
}

fn use_case<'a>(app: &'a App, id: &str) -> Result<&'a Arc<UseCase>, Stop> {
    app.use_case(id).ok_or_else(|| problem(StatusCode::NOT_FOUND, "there is no such use case here").into())
}

fn shown<T: Serialize>(name: &str, shown: &Shown<T>) -> Response {
    let status = if shown.error.is_none() { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
    let read_at = shown.value.as_ref().map(|_| shown.read_at);
    answer(status, &json!({ name: shown.value.as_deref(), "read_at": read_at, "error": shown.error }))
}

pub(super) async fn status(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    Ok(shown("status", &app.overview(use_case(&app, &id)?).await))
}

pub(super) async fn busy(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    Ok(shown("tasks", &app.busy(use_case(&app, &id)?).await))
}

pub(super) async fn doctor(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    Ok(shown("findings", &app.doctor(use_case(&app, &id)?).await))
}

pub(super) async fn errors(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let use_case = use_case(&app, &id)?;
    let _permit = search(&app, true).ok_or_else(busy_with_searches)?;
    let errors = use_case.operator.errors(&TaskFilter::new(), Some(ERRORS)).await;
    Ok(answer(StatusCode::OK, &errors.map_err(|error| failed(&error))?))
}

fn busy_with_searches() -> Stop {
    problem(StatusCode::SERVICE_UNAVAILABLE, "several searches are under way").into()
}

pub(super) async fn tasks(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    query: Result<UrlQuery<Query>, QueryRejection>,
) -> Answer {
    let use_case = use_case(&app, &id)?;
    let UrlQuery(query) = query.map_err(|error| wrong(&error.body_text()))?;
    let filter = query.of_list(use_case.operator.now()).map_err(|why| wrong(&why))?;
    let _permit = search(&app, query.searches_items()).ok_or_else(busy_with_searches)?;
    let list = use_case.operator.list(&filter, PAGE, query.cursor().as_ref()).await;
    let list = list.map_err(|error| failed(&error))?;
    let next = list.next.as_ref().map(ToString::to_string);
    Ok(answer(StatusCode::OK, &json!({ "tasks": list.tasks, "next": next })))
}

pub(super) async fn task(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    task: Result<UrlQuery<Id>, QueryRejection>,
) -> Answer {
    let use_case = use_case(&app, &id)?;
    let UrlQuery(task) = task.map_err(|error| wrong(&error.body_text()))?;
    let found = use_case.operator.get(&task.id).await.map_err(|error| failed(&error))?;
    let Some(found) = found else { return Ok(problem(StatusCode::NOT_FOUND, "there is no such task")) };
    let found = serde_json::to_value(found).unwrap_or_default();
    Ok(answer(StatusCode::OK, &redacted(&app.settings, &found)))
}
