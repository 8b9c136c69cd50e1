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
use super::{Kind, kind_of};
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
    let mut ages = "# HELP tracker_oldest_seconds How long the oldest task has been in a status.\n# TYPE tracker_oldest_seconds gauge\n".to_owned();
    let mut up = "# HELP tracker_up Whether the last read of the table succeeded.\n# TYPE tracker_up gauge\n"
        .to_owned();
    let all = join_all(app.use_cases.iter().map(|use_case| app.overview(use_case))).await;
    let mut read = "# HELP tracker_read_seconds When the table was read last, in seconds since 1970.\n# TYPE tracker_read_seconds gauge\n".to_owned();
    for (use_case, shown) in app.use_cases.iter().zip(all) {
        let (table, id) = (label(use_case.operator.table()), label(use_case.id()));
        let of_use_case = format!("table=\"{table}\",use_case=\"{id}\"");
        // Writes to a string do not fail.
        let _ = writeln!(up, "tracker_up{{{of_use_case}}} {}", u8::from(shown.error.is_none()));
        if shown.value.is_some() {
            let _ = writeln!(read, "tracker_read_seconds{{{of_use_case}}} {}", shown.read_at.timestamp());
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
                let _ = writeln!(ages, "tracker_oldest_seconds{{{labels}}} {age:.3}");
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

fn failed(error: &tracker_core::Error) -> Response {
    let status = match kind_of(error) {
        Kind::Wrong => StatusCode::BAD_REQUEST,
        Kind::Away => StatusCode::BAD_GATEWAY,
    };
    problem(status, &error_line(error))
}

fn use_case<'a>(app: &'a App, id: &str) -> Result<&'a Arc<UseCase>, Box<Response>> {
    app.use_case(id).ok_or_else(|| Box::new(problem(StatusCode::NOT_FOUND, "there is no such use case here")))
}

fn shown<T: Serialize>(name: &str, shown: &Shown<T>) -> Response {
    let status = if shown.error.is_none() { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
    let read_at = shown.value.as_ref().map(|_| shown.read_at);
    answer(status, &json!({ name: shown.value.as_deref(), "read_at": read_at, "error": shown.error }))
}

pub(super) async fn status(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    match use_case(&app, &id) {
        Ok(use_case) => shown("status", &app.overview(use_case).await),
        Err(missing) => *missing,
    }
}

pub(super) async fn busy(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    match use_case(&app, &id) {
        Ok(use_case) => shown("tasks", &app.busy(use_case).await),
        Err(missing) => *missing,
    }
}

pub(super) async fn doctor(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    match use_case(&app, &id) {
        Ok(use_case) => shown("findings", &app.doctor(use_case).await),
        Err(missing) => *missing,
    }
}

pub(super) async fn errors(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let use_case = match use_case(&app, &id) {
        Ok(use_case) => use_case,
        Err(missing) => return *missing,
    };
    let Some(_permit) = search(&app, true) else { return busy_with_searches() };
    match use_case.operator.errors(&TaskFilter::new(), Some(ERRORS)).await {
        Ok(errors) => answer(StatusCode::OK, &errors),
        Err(error) => failed(&error),
    }
}

fn busy_with_searches() -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, "several searches are under way")
}

pub(super) async fn tasks(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    query: Result<UrlQuery<Query>, QueryRejection>,
) -> Response {
    let use_case = match use_case(&app, &id) {
        Ok(use_case) => use_case,
        Err(missing) => return *missing,
    };
    let query = match query {
        Ok(UrlQuery(query)) => query,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.body_text()),
    };
    let filter = match query.of_list(use_case.operator.now()) {
        Ok(filter) => filter,
        Err(why) => return problem(StatusCode::BAD_REQUEST, &why),
    };
    let Some(_permit) = search(&app, query.searches_items()) else { return busy_with_searches() };
    match use_case.operator.list(&filter, PAGE, query.cursor().as_ref()).await {
        Ok(list) => {
            let next = list.next.as_ref().map(ToString::to_string);
            answer(StatusCode::OK, &json!({ "tasks": list.tasks, "next": next }))
        }
        Err(error) => failed(&error),
    }
}

pub(super) async fn task(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    task: Result<UrlQuery<Id>, QueryRejection>,
) -> Response {
    let use_case = match use_case(&app, &id) {
        Ok(use_case) => use_case,
        Err(missing) => return *missing,
    };
    let task = match task {
        Ok(UrlQuery(task)) => task,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.body_text()),
    };
    match use_case.operator.get(&task.id).await {
        Ok(Some(task)) => {
            answer(StatusCode::OK, &redacted(&app.settings, &serde_json::to_value(task).unwrap_or_default()))
        }
        Ok(None) => problem(StatusCode::NOT_FOUND, "there is no such task"),
        Err(error) => failed(&error),
    }
}
