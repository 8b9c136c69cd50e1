//! The pages that show.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use futures_util::future::join_all;
use maud::html;
use serde::Deserialize;
use tokio::sync::SemaphorePermit;
use tracker_core::TaskFilter;

use super::{Addresses, Place, failed, use_case};
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
) -> Response {
    let use_case = match use_case(&app, &id) {
        Ok(use_case) => use_case,
        Err(missing) => return *missing,
    };
    let query = match query {
        Ok(UrlQuery(query)) => query,
        Err(error) => {
            return problem(&app, StatusCode::BAD_REQUEST, &error.body_text(), "change the address");
        }
    };
    let filter = match query.of_list(use_case.operator.now()) {
        Ok(filter) => filter,
        Err(why) => return problem(&app, StatusCode::BAD_REQUEST, &why, "change the filter"),
    };
    let Some(_permit) = search(&app, query.searches_items()) else { return busy_with_searches(&app) };
    let list = match use_case.operator.list(&filter, PAGE, query.cursor().as_ref()).await {
        Ok(list) => list,
        Err(error) => return failed(&app, &error),
    };
    let to = Addresses { base: &app.settings.base };
    let main = html! {
        (list::filter_bar(&to, use_case, &query))
        (list::tasks(&app, use_case, &query, &list))
    };
    let place = Place { use_case: Some(use_case.id()), page: "tasks" };
    Frame { title: "Tasks".to_owned(), place, is_live: false, main }.respond(&app)
}

/// Returns a permit, which counts if this is a search, or `None` if too many are under way.
pub(super) fn search(app: &App, is_search: bool) -> Option<SemaphorePermit<'_>> {
    app.searches.try_acquire_many(u32::from(is_search)).ok()
}

fn busy_with_searches(app: &App) -> Response {
    problem(app, StatusCode::SERVICE_UNAVAILABLE, "several searches are under way", "try again in a moment")
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
) -> Response {
    let use_case = match use_case(&app, &id) {
        Ok(use_case) => use_case,
        Err(missing) => return *missing,
    };
    let task = match task {
        Ok(UrlQuery(task)) => task,
        Err(error) => return problem(&app, StatusCode::BAD_REQUEST, &error.body_text(), "name an id"),
    };
    let found = match use_case.operator.get(&task.id).await {
        Ok(Some(found)) => found,
        Ok(None) => {
            let what = format!("there is no task `{}`", task.id);
            return problem(&app, StatusCode::NOT_FOUND, &what, "check the id and the use case");
        }
        Err(error) => return failed(&app, &error),
    };
    let place = Place { use_case: Some(use_case.id()), page: "tasks" };
    let title = format!("Task {}", plain(&found.task_id));
    Frame { title, place, is_live: false, main: task_view::task(&app, use_case, &found) }.respond(&app)
}

pub(super) async fn errors(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let use_case = match use_case(&app, &id) {
        Ok(use_case) => use_case,
        Err(missing) => return *missing,
    };
    let Some(_permit) = search(&app, true) else { return busy_with_searches(&app) };
    let errors = match use_case.operator.errors(&TaskFilter::new(), Some(ERRORS)).await {
        Ok(errors) => errors,
        Err(error) => return failed(&app, &error),
    };
    let place = Place { use_case: Some(use_case.id()), page: "errors" };
    let main = error_view::groups(&app, use_case, &errors);
    Frame { title: "Errors".to_owned(), place, is_live: false, main }.respond(&app)
}

pub(super) async fn busy(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let use_case = match use_case(&app, &id) {
        Ok(use_case) => use_case,
        Err(missing) => return *missing,
    };
    let shown = app.busy(use_case).await;
    let now = use_case.operator.now();
    let main = html! {
        (stale(shown.error.as_deref(), &time(shown.value.as_ref().map(|_| shown.read_at), now)))
        @if let Some(tasks) = &shown.value {
            (list::busy(&app, use_case, tasks, shown.read_at))
            p.faint { "As of " (time(Some(shown.read_at), now)) "." }
        }
    };
    let place = Place { use_case: Some(use_case.id()), page: "busy" };
    Frame { title: "Busy".to_owned(), place, is_live: true, main }.respond(&app)
}

pub(super) async fn doctor(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let use_case = match use_case(&app, &id) {
        Ok(use_case) => use_case,
        Err(missing) => return *missing,
    };
    let (shown, now) = (app.doctor(use_case).await, use_case.operator.now());
    let main = html! {
        (stale(shown.error.as_deref(), &time(shown.value.as_ref().map(|_| shown.read_at), now)))
        @if let Some(findings) = &shown.value {
            (error_view::findings(findings))
            p.faint { "As of " (time(Some(shown.read_at), now)) "." }
        }
    };
    let place = Place { use_case: Some(use_case.id()), page: "doctor" };
    Frame { title: "Doctor".to_owned(), place, is_live: false, main }.respond(&app)
}
