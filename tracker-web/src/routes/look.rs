//! The pages that show.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use maud::{Markup, html};
use serde::Deserialize;
use tokio::sync::SemaphorePermit;
use tracker_core::TaskFilter;

use super::{Addresses, Answer, Place, Stop, failed, use_case, wrong};
use crate::cache::Shown;
use crate::query::Query;
use crate::state::App;
use crate::view::layout::{Frame, problem, stale};
use crate::view::text::{plain, time};
use crate::view::{errors as error_view, list, overview as overview_view, task as task_view, work};

/// How many tasks a page of the list has.
const PAGE: usize = 50;
/// How many tasks are read for the groups of errors: about 150 read units for items of 1 KB.
pub(super) const ERRORS: u64 = 300;

pub(super) async fn overview(State(app): State<Arc<App>>) -> Response {
    let mut main = html! {};
    let all = join_all(app.use_cases.iter().map(|use_case| app.overview(use_case))).await;
    for (use_case, shown) in app.use_cases.iter().zip(all) {
        let section = overview_view::use_case(&app, use_case, &shown);
        main = html! { (main) (section) };
    }
    let main = html! { (main) (work::jobs(&app)) };
    let place = Place { use_case: None, page: "overview" };
    Frame { title: "Overview".to_owned(), place, is_live: true, main }.respond(&app)
}

pub(super) async fn tasks(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    query: Result<UrlQuery<Query>, QueryRejection>,
) -> Answer {
    let use_case = use_case(&app, &id)?;
    let UrlQuery(query) = query.map_err(|error| wrong(&app, &error.body_text(), "change the address"))?;
    let filter = query.of_list(use_case.operator.now());
    let filter = filter.map_err(|why| wrong(&app, &why, "change the filter"))?;
    let _permit = search(&app, query.searches_items()).ok_or_else(|| busy_with_searches(&app))?;
    let list = use_case.operator.list(&filter, PAGE, query.cursor().as_ref()).await;
    let list = list.map_err(|error| failed(&app, &error))?;
    let to = Addresses { base: &app.settings.base };
    let main = html! {
        (list::filter_bar(&to, use_case, &query))
        (list::tasks(&app, use_case, &query, &list))
    };
    let place = Place { use_case: Some(use_case.id()), page: "tasks" };
    Ok(Frame { title: "Tasks".to_owned(), place, is_live: false, main }.respond(&app))
}

/// Returns a permit, which counts if this is a search, or `None` if too many are under way.
pub(super) fn search(app: &App, is_search: bool) -> Option<SemaphorePermit<'_>> {
    app.searches.try_acquire_many(u32::from(is_search)).ok()
}

fn busy_with_searches(app: &App) -> Stop {
    let why = "several searches are under way";
    problem(app, StatusCode::SERVICE_UNAVAILABLE, why, "try again in a moment").into()
}

/// The beginning of the addresses of a use case leads to its tasks.
pub(super) async fn start(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let to = Addresses { base: &app.settings.base };
    Redirect::to(&to.page(&id, "tasks")).into_response()
}

/// Which task is meant.
#[derive(Debug, Deserialize)]
pub(super) struct Id {
    pub(super) id: String,
}

pub(super) async fn task(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    task: Result<UrlQuery<Id>, QueryRejection>,
) -> Answer {
    let use_case = use_case(&app, &id)?;
    let UrlQuery(task) = task.map_err(|error| wrong(&app, &error.body_text(), "name an id"))?;
    let found = use_case.operator.get(&task.id).await.map_err(|error| failed(&app, &error))?;
    let Some(found) = found else {
        let what = format!("there is no task `{}`", task.id);
        return Ok(problem(&app, StatusCode::NOT_FOUND, &what, "check the id and the use case"));
    };
    let place = Place { use_case: Some(use_case.id()), page: "tasks" };
    let title = format!("Task {}", plain(&found.task_id));
    Ok(Frame { title, place, is_live: false, main: task_view::task(&app, use_case, &found) }.respond(&app))
}

pub(super) async fn errors(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let use_case = use_case(&app, &id)?;
    let _permit = search(&app, true).ok_or_else(|| busy_with_searches(&app))?;
    let errors = use_case.operator.errors(&TaskFilter::new(), Some(ERRORS)).await;
    let errors = errors.map_err(|error| failed(&app, &error))?;
    let place = Place { use_case: Some(use_case.id()), page: "errors" };
    let main = error_view::groups(&app, use_case, &errors);
    Ok(Frame { title: "Errors".to_owned(), place, is_live: false, main }.respond(&app))
}

/// Shows what was read a while ago, and when.
fn aged<T>(shown: &Shown<T>, now: DateTime<Utc>, show: impl FnOnce(&T) -> Markup) -> Markup {
    html! {
        (stale(shown.error.as_deref(), &time(shown.value.as_ref().map(|_| shown.read_at), now)))
        @if let Some(value) = &shown.value {
            (show(value))
            p.faint { "As of " (time(Some(shown.read_at), now)) "." }
        }
    }
}

pub(super) async fn busy(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let use_case = use_case(&app, &id)?;
    let shown = app.busy(use_case).await;
    let main =
        aged(&shown, use_case.operator.now(), |tasks| list::busy(&app, use_case, tasks, shown.read_at));
    let place = Place { use_case: Some(use_case.id()), page: "busy" };
    Ok(Frame { title: "Busy".to_owned(), place, is_live: true, main }.respond(&app))
}

pub(super) async fn doctor(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let use_case = use_case(&app, &id)?;
    let shown = app.doctor(use_case).await;
    let main = aged(&shown, use_case.operator.now(), |findings| error_view::findings(findings));
    let place = Place { use_case: Some(use_case.id()), page: "doctor" };
    Ok(Frame { title: "Doctor".to_owned(), place, is_live: false, main }.respond(&app))
}
