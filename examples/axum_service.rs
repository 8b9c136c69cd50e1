//! An HTTP service in front of tasks: creates them, lists them by pages, runs one again, and streams its progress.
//!
//! It teaches what an axum application does with a tracker, and which status of HTTP an error becomes. It runs on the embedded
//! database, with a worker in the same process:
//!
//! ```text
//! cargo run --example axum_service
//! curl -i -X POST localhost:8080/reports -d '{"id": "r-1", "pages": 3}' -H 'content-type: application/json'
//! curl -N localhost:8080/reports/r-1/progress                # of a long report: heartbeats store the progress, every two seconds here
//! curl 'localhost:8080/reports?status=succeeded'
//! curl -i -X POST localhost:8080/reports/r-1/redrive
//! ```

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{Stream, stream};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracker_core::{
    Advice, CancellationToken, Cursor, Error, ErrorKind, Execution, Failure, IndexEntry, StatusTracker,
    Tracker, TrackerStatus,
};

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReportStatus {
    #[status(pending)]
    Pending = 10,
    #[status(in_progress)]
    InProgress = 12,
    #[status(failed)]
    Failed = 14,
    #[status(succeeded)]
    Succeeded = 16,
    #[status(ignored)]
    Ignored = 18,
}

#[derive(StatusTracker, Debug, Clone, Serialize, Deserialize)]
// A heartbeat stores the progress: every two seconds, a third of the lease.
#[tracker(use_case_id = "reports", status = ReportStatus, table = "reports", lock_expire_seconds = 6)]
pub(crate) struct Report {
    #[tracker(task_id)]
    pub(crate) id: String,
    pub(crate) pages: u32,
}

/// The routes. A tracker is cheap to clone, so it is the state itself. Streams end when `stop` is cancelled: otherwise a client that
/// listens would keep the service from ending.
pub(crate) fn router(reports: Tracker<Report>, stop: CancellationToken) -> Router {
    Router::new()
        .route("/reports", post(create).get(list))
        .route("/reports/{id}", get(show))
        .route("/reports/{id}/redrive", post(redrive))
        .route("/reports/{id}/progress", get(move |reports, id| progress(reports, id, stop)))
        .route("/health", get(async || "ok"))
        .with_state(reports)
}

/// An error, as a client of the service sees it.
pub(crate) struct Refusal(Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::AlreadyExists | ErrorKind::AlreadySucceeded | ErrorKind::Ignored => {
                StatusCode::CONFLICT
            }
            ErrorKind::Locked { .. } | ErrorKind::NotReady { .. } => StatusCode::CONFLICT,
            ErrorKind::InvalidTaskId { .. } | ErrorKind::ItemTooLarge | ErrorKind::InvalidCursor { .. } => {
                StatusCode::BAD_REQUEST
            }
            // What a retry may mend: the client, or its proxy, tries again.
            _ if matches!(error.advice(), Advice::RetryLater { .. }) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            eprintln!("error: {error:?}");
        }
        // The text names the key. It has no data of the task.
        (status, Json(json!({ "error": error.to_string() }))).into_response()
    }
}

async fn create(
    State(reports): State<Tracker<Report>>,
    Json(report): Json<Report>,
) -> Result<Response, Refusal> {
    let task = reports.create(report).await?;
    // An id may have any characters.
    let location = format!("/reports/{}", utf8_percent_encode(task.task_id(), NON_ALPHANUMERIC));
    Ok((StatusCode::CREATED, [("location", location)], Json(task)).into_response())
}

async fn show(State(reports): State<Tracker<Report>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    Ok(match reports.get(&id).await? {
        Some(task) => Json(task).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

/// A page of reports, and the cursor of the next one.
#[derive(Deserialize)]
struct Page {
    status: Option<String>,
    after: Option<String>,
}

async fn list(State(reports): State<Tracker<Report>>, Query(page): Query<Page>) -> Result<Response, Refusal> {
    let status = page.status.as_deref().unwrap_or("pending");
    let known = ReportStatus::ALL.iter().find(|known| known.name().eq_ignore_ascii_case(status));
    let Some(status) = known else {
        let names: Vec<_> = ReportStatus::ALL.iter().map(|known| known.name()).collect();
        let error = format!("there is no status `{status}`; use one of {}", names.join(", "));
        return Ok((StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response());
    };
    let mut query = reports.query_by_status(*status).limit(100);
    if let Some(after) = &page.after {
        query = query.after(&Cursor::from_text(after));
    }
    let found = query.page().await?;
    let ids: Vec<_> = found.entries.iter().map(IndexEntry::task_id).collect();
    Ok(Json(json!({ "ids": ids, "next": found.next.map(|next| next.to_string()) })).into_response())
}

async fn redrive(
    State(reports): State<Tracker<Report>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    reports.redrive(&id).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Sends the state of a report each time that it changes, until the report has ended.
#[allow(clippy::unused_async, reason = "axum takes functions that are async")]
async fn progress(
    State(reports): State<Tracker<Report>>,
    Path(id): Path<String>,
    stop: CancellationToken,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let begin = (reports, id, stop, None::<String>, false);
    let states = stream::unfold(begin, async |(reports, id, stop, last, ended)| {
        if ended {
            return None;
        }
        loop {
            let state = match reports.head(&id).await {
                Ok(Some(head)) => {
                    let progress = head.progress().map(|progress| progress.fraction);
                    let ended = head.is_succeeded() || head.is_ignored();
                    (json!({ "status": head.status_name(), "progress": progress }).to_string(), ended)
                }
                Ok(None) => (json!({ "error": "there is no such report" }).to_string(), true),
                Err(error) => (json!({ "error": error.to_string() }).to_string(), true),
            };
            let (text, ended) = state;
            if last.as_ref() != Some(&text) {
                let event = Ok(Event::default().data(&text));
                return Some((event, (reports, id, stop, Some(text), ended)));
            }
            // A read costs half a unit: once a second is enough for a person.
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = stop.cancelled() => return None,
            }
        }
    });
    Sse::new(states).keep_alive(KeepAlive::default())
}

/// The body of the worker.
pub(crate) async fn make(task: &mut Execution<Report>) -> Result<(), Failure> {
    let pages = task.data().pages;
    if pages == 0 {
        return Err(Failure::fatal("a report has at least one page"));
    }
    for page in 0..pages {
        task.progress(f64::from(page) / f64::from(pages), format!("page {} of {pages}", page + 1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

// The test includes this file and has a `main` of its own.
#[allow(dead_code)]
#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for Ctrl-C, or for the SIGTERM that an orchestrator sends.
#[allow(dead_code)]
async fn told_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Serves until Ctrl-C, SIGTERM or the end of the worker: then no request is accepted any more, and running reports get 20 s to finish.
#[allow(dead_code)]
async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let client = tracker_core::embedded::in_memory()?;
    let reports = Report::tracker(&client);
    reports.create_table().await?;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(reports.worker().shutdown(stop.clone()).run(make));
    let ended = async {
        let ended = worker.await;
        // A worker ends by itself only if it cannot go on, such as without its table: then nobody should create reports.
        stop.cancel();
        ended
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("listening on http://{}, until Ctrl-C", listener.local_addr()?);
    let stopped = stop.clone();
    let service = axum::serve(listener, router(reports, stop.clone())).with_graceful_shutdown(async move {
        tokio::select! {
            () = told_to_stop() => stopped.cancel(),
            () = stopped.cancelled() => {}
        }
    });
    let (served, ended) = tokio::join!(async { service.await }, ended);
    println!("{}", ended??);
    Ok(served?)
}
