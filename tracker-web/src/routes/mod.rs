//! The addresses of the page, and what answers them.

mod act;
mod api;
mod assets;
pub(crate) mod form;
mod look;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::guard::guard;
use crate::query::Query;
use crate::state::{App, UseCase};
use crate::view::layout::problem;

/// The most bytes of a form: a hundred selected tasks with ids of 2 KB.
const FORM: usize = 512 * 1024;

/// Where a page is: its use case, and its name in the navigation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place<'p> {
    pub(crate) use_case: Option<&'p str>,
    pub(crate) page: &'p str,
}

/// Makes the addresses of the page.
pub(crate) struct Addresses<'a> {
    pub(crate) base: &'a str,
}

impl Addresses<'_> {
    pub(crate) fn home(&self) -> String {
        // An axum router that is nested under a path answers the path without a slash.
        if self.base.is_empty() { "/".to_owned() } else { self.base.to_owned() }
    }

    pub(crate) fn asset(&self, name: &str) -> String {
        format!("{}/assets/{name}", self.base)
    }

    pub(crate) fn page(&self, use_case: &str, page: &str) -> String {
        format!("{}/u/{}/{page}", self.base, utf8_percent_encode(use_case, NON_ALPHANUMERIC))
    }

    pub(crate) fn list(&self, use_case: &str, query: &Query) -> String {
        format!("{}{}", self.page(use_case, "tasks"), query.address())
    }

    /// An id may have any characters, so it is no part of the path.
    pub(crate) fn task(&self, use_case: &str, id: &str) -> String {
        let query = serde_urlencoded::to_string([("id", id)]).unwrap_or_default();
        format!("{}?{query}", self.page(use_case, "task"))
    }

    pub(crate) fn job(&self, use_case: &str, job: u64, suffix: &str) -> String {
        self.page(use_case, &format!("jobs/{job}{suffix}"))
    }
}

/// Returns the routes. Those that change anything exist only if changes are allowed.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new()
        .route("/", get(look::overview))
        .route("/u/{use_case}", get(look::start))
        .route("/u/{use_case}/tasks", get(look::tasks))
        .route("/u/{use_case}/task", get(look::task))
        .route("/u/{use_case}/errors", get(look::errors))
        .route("/u/{use_case}/busy", get(look::busy))
        .route("/u/{use_case}/doctor", get(look::doctor))
        .route("/healthz", get(api::health))
        .route("/metrics", get(api::metrics))
        .route("/api/v1/{use_case}/status", get(api::status))
        .route("/api/v1/{use_case}/tasks", get(api::tasks))
        .route("/api/v1/{use_case}/task", get(api::task))
        .route("/api/v1/{use_case}/errors", get(api::errors))
        .route("/api/v1/{use_case}/busy", get(api::busy))
        .route("/api/v1/{use_case}/doctor", get(api::doctor))
        .route("/assets/{name}", get(assets::asset));
    if app.settings.writes {
        router = router
            .route("/u/{use_case}/confirm", post(act::ask))
            .route("/u/{use_case}/confirm/{question}", get(act::confirm))
            .route("/u/{use_case}/act", post(act::act))
            .route("/u/{use_case}/jobs/{job}", get(act::job))
            .route("/u/{use_case}/jobs/{job}/stop", post(act::stop));
    }
    router
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(FORM))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

async fn unknown(State(app): State<Arc<App>>) -> Response {
    problem(&app, StatusCode::NOT_FOUND, "there is no such page", "see the overview")
}

/// A response that ends a request early: what was asked cannot be.
struct Stop(Box<Response>);

impl From<Response> for Stop {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for Stop {
    fn into_response(self) -> Response {
        *self.0
    }
}

type Answer = Result<Response, Stop>;

/// Returns a use case of the page, or the page that there is none.
fn use_case<'a>(app: &'a App, id: &str) -> Result<&'a Arc<UseCase>, Stop> {
    let missing = || {
        problem(app, StatusCode::NOT_FOUND, &format!("there is no use case `{id}` here"), "see the overview")
    };
    app.use_case(id).ok_or_else(|| missing().into())
}

/// Returns the page about an address or a form that cannot be meant.
fn wrong(app: &App, why: &str, advice: &str) -> Stop {
    problem(app, StatusCode::BAD_REQUEST, why, advice).into()
}

/// Returns the response to an error: what was asked cannot be, or `DynamoDB` does not answer.
fn failed(app: &App, error: &tracker_core::Error) -> Stop {
    let (status, advice) = match kind_of(error) {
        Kind::Wrong => (StatusCode::BAD_REQUEST, "change the filter or the id"),
        Kind::Away => (StatusCode::BAD_GATEWAY, "try again; the overview shows what was known last"),
    };
    problem(app, status, &crate::view::text::error_line(error), advice).into()
}

enum Kind {
    Wrong,
    Away,
}

fn kind_of(error: &tracker_core::Error) -> Kind {
    use tracker_core::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidQuery { .. }
        | ErrorKind::InvalidCursor { .. }
        | ErrorKind::InvalidTaskId { .. }
        | ErrorKind::NotDescribed { .. }
        | ErrorKind::Decode { .. } => Kind::Wrong,
        _ => Kind::Away,
    }
}
