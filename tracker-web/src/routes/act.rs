//! The pages that change: the confirmation, and the jobs.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use tracker_core::{Action, Error, Operator, Role, Selection, TaskFilter};

use super::form::Fields;
use super::{Addresses, Answer, Place, Stop, failed, use_case, wrong};
use crate::jobs::{Job, Order};
use crate::query::Query;
use crate::questions::Question;
use crate::state::{App, UseCase};
use crate::view::layout::{Frame, problem};
use crate::view::parts::{action_named, label_of};
use crate::view::work::{self, Meant};

/// How many tasks are counted for the confirmation, if their statuses and times say which they are.
const COUNTED: u64 = 10_000;
/// How many tasks are searched for the confirmation, if their ids or items say which they are.
const SEARCHED: usize = 500;

/// What a form asks to change.
struct Wish<'a> {
    use_case: &'a Arc<UseCase>,
    action: Action,
    fields: Fields,
    /// The filter, if the form means all tasks of one.
    filter: Option<TaskFilter>,
    /// Where to go back to.
    back: String,
}

impl<'a> Wish<'a> {
    fn read(app: &'a App, id: &str, form: &[u8]) -> Result<Self, Stop> {
        let use_case = use_case(app, id)?;
        let operator = &use_case.operator;
        if !app.writes(use_case) {
            let why = format!("nothing may be written: {}", operator.why_read_only().join("; "));
            return Err(problem(app, StatusCode::FORBIDDEN, &why, "see the doctor").into());
        }
        let wrong = |why: &str| wrong(app, why, "go back, and select tasks");
        let fields = Fields::read(form).map_err(|why| wrong(&why))?;
        let action = action_named(&fields.action).ok_or_else(|| wrong("no action is chosen"))?;
        let filter = fields.all.then(|| fields.query.filter(operator.now())).transpose();
        let filter = filter.map_err(|why| wrong(&why))?;
        let back = fields.back(&Addresses { base: &app.settings.base }, use_case.id());
        Ok(Self { use_case, action, fields, filter, back })
    }
}

/// Keeps a question, and leads to its page: the back button then finds a page, and not a form that was sent.
pub(super) async fn ask(State(app): State<Arc<App>>, Path(id): Path<String>, form: Bytes) -> Answer {
    let Wish { use_case, action, fields, filter, back } = Wish::read(&app, &id, &form)?;
    let operator = &use_case.operator;
    let meant = if let Some(filter) = filter {
        // A filter that cannot be meant is refused before the question.
        let refused = operator.act(action, filter.clone()).limit(0).await;
        refused.map_err(|error| failed(&app, &error))?;
        let matching = matching(operator, action, &fields.query, filter).await;
        let (tasks, is_exact) = matching.map_err(|error| failed(&app, &error))?;
        Meant::All { query: Box::new(fields.query), tasks, is_exact }
    } else {
        Meant::Ids(fields.ids)
    };
    let question = app.questions.keep(Question { use_case: id.clone(), action, meant, back });
    let to = Addresses { base: &app.settings.base };
    Ok(see(&to.page(&id, &format!("confirm/{question}"))))
}

/// Leads to another page after a form.
fn see(location: &str) -> Response {
    Redirect::to(location).into_response()
}

pub(super) async fn confirm(
    State(app): State<Arc<App>>,
    Path((id, question)): Path<(String, u64)>,
) -> Answer {
    let use_case = use_case(&app, &id)?;
    let question = app.questions.get(question).filter(|question| question.use_case == id);
    let Some(question) = question else {
        let why = "this question is no longer known";
        return Ok(problem(&app, StatusCode::NOT_FOUND, why, "select the tasks again"));
    };
    let Question { action, meant, back, .. } = &*question;
    let main = work::confirm(&app, use_case, *action, meant, back);
    let place = Place { use_case: Some(use_case.id()), page: "tasks" };
    Ok(Frame { title: format!("{}?", label_of(*action)), place, is_live: false, main }.respond(&app))
}

/// Returns how many tasks a change is about, and whether there are no more.
async fn matching(
    operator: &Operator,
    action: Action,
    query: &Query,
    mut filter: TaskFilter,
) -> Result<(u64, bool), Error> {
    if query.status.is_empty() {
        let roles = [Role::Pending, Role::InProgress, Role::Failed, Role::Succeeded, Role::Ignored];
        let fit = roles.into_iter().filter(|role| action.applies_to(*role));
        filter = fit.fold(filter, |filter, role| filter.status(role.to_string()));
    }
    if query.prefix.is_empty() && !query.searches_items() {
        let counts = operator.counts(&filter, Some(COUNTED)).await?;
        let tasks = counts.iter().map(|count| count.tasks).sum();
        return Ok((tasks, counts.iter().all(|count| count.is_exact)));
    }
    let list = operator.list(&filter, SEARCHED, None).await?;
    Ok((list.tasks.len() as u64, list.next.is_none()))
}

pub(super) async fn act(State(app): State<Arc<App>>, Path(id): Path<String>, form: Bytes) -> Answer {
    let Wish { use_case, action, fields, filter, back } = Wish::read(&app, &id, &form)?;
    let (selection, meant): (Selection, Meant) = match filter {
        Some(filter) => {
            (filter.into(), Meant::All { query: Box::new(fields.query), tasks: 0, is_exact: false })
        }
        None => (fields.ids.clone().into(), Meant::Ids(fields.ids)),
    };
    let order = Order { action, selection, tasks: meant.words(), back, reason: fields.reason };
    let Some(job) = app.jobs.begin(use_case, order) else {
        let why = "several changes are under way";
        return Ok(problem(&app, StatusCode::SERVICE_UNAVAILABLE, why, "wait until one has ended"));
    };
    let to = Addresses { base: &app.settings.base };
    Ok(see(&to.job(use_case.id(), job.id, "")))
}

/// Returns a job of a use case, or the page that it is no longer known.
fn known_job(app: &App, use_case: &str, number: u64) -> Result<Arc<Job>, Stop> {
    let job = app.jobs.get(number).filter(|job| job.use_case == use_case);
    let why = "this change is no longer known";
    job.ok_or_else(|| problem(app, StatusCode::NOT_FOUND, why, "see the tasks themselves").into())
}

pub(super) async fn job(State(app): State<Arc<App>>, Path((id, number)): Path<(String, u64)>) -> Answer {
    let use_case = use_case(&app, &id)?;
    let job = known_job(&app, &id, number)?;
    let place = Place { use_case: Some(use_case.id()), page: "tasks" };
    let is_live = job.progress().ended.is_none();
    let main = work::job(&app, use_case, &job);
    Ok(Frame { title: label_of(job.action).to_owned(), place, is_live, main }.respond(&app))
}

pub(super) async fn stop(State(app): State<Arc<App>>, Path((id, number)): Path<(String, u64)>) -> Answer {
    known_job(&app, &id, number)?.stop.cancel();
    let to = Addresses { base: &app.settings.base };
    Ok(see(&to.job(&id, number, "")))
}
