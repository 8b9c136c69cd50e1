//! The pages that change: the confirmation, and the jobs.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tracker_core::{Action, Error, Operator, Role, Selection, TaskFilter};

use super::{Addresses, Place, failed, use_case};
use crate::jobs::Order;
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
/// The most characters of a reason.
const REASON: usize = 500;

/// The fields of a form.
#[derive(Debug, Default)]
struct Fields {
    action: String,
    ids: Vec<String>,
    all: bool,
    /// Whether all tasks are meant if there is no filter.
    everything: bool,
    query: Query,
    reason: Option<String>,
    back: Option<String>,
}

impl Fields {
    fn read(form: &[u8]) -> Result<Self, String> {
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_bytes(form).map_err(|_| "the form cannot be read".to_owned())?;
        let mut fields = Self::default();
        for (name, value) in pairs {
            match &*name {
                "action" => fields.action = value,
                "id" => fields.ids.push(value),
                "all" => (fields.all, fields.everything) = (true, value == "everything"),
                "reason" => {
                    let reason: String = value.chars().take(REASON).collect();
                    fields.reason = Some(reason).filter(|reason| !reason.trim().is_empty());
                }
                "back" => fields.back = Some(value),
                "step" => fields.query.step = value,
                "status" => fields.query.status = value,
                "prefix" => fields.query.prefix = value,
                "since" => fields.query.since = value,
                "until" => fields.query.until = value,
                "error" => fields.query.error = value,
                "group" => fields.query.group = value,
                _ => return Err(format!("the form has an unknown field `{name}`")),
            }
        }
        // A filter that was lost on the way must not mean all tasks.
        let is_meant = fields.everything != fields.query.is_filter();
        match (fields.all, fields.ids.is_empty()) {
            (true, true) if fields.action == "delete" && fields.everything => {
                Err("a delete of all tasks is for the command line".to_owned())
            }
            (true, true) if is_meant => Ok(fields),
            (false, false) if !fields.query.is_filter() => Ok(fields),
            _ => Err("no task is selected".to_owned()),
        }
    }

    /// Returns where to go back to: a page of this use case.
    fn back(&self, to: &Addresses<'_>, use_case: &UseCase) -> String {
        match &self.ids[..] {
            [only] => to.task(use_case.id(), only),
            [] => to.list(use_case.id(), &self.query),
            _ => to.page(use_case.id(), "tasks"),
        }
    }
}

fn refused(app: &App, use_case: &UseCase) -> Option<Response> {
    let reasons = use_case.operator.why_read_only();
    (!app.writes(use_case)).then(|| {
        let why = format!("nothing may be written: {}", reasons.join("; "));
        problem(app, StatusCode::FORBIDDEN, &why, "see the doctor")
    })
}

/// Keeps a question, and leads to its page: the back button then finds a page, and not a form that was sent.
pub(super) async fn ask(State(app): State<Arc<App>>, Path(id): Path<String>, form: Bytes) -> Response {
    let use_case = match use_case(&app, &id) {
        Ok(use_case) => use_case,
        Err(missing) => return *missing,
    };
    if let Some(refused) = refused(&app, use_case) {
        return refused;
    }
    let wrong = |why: &str| problem(&app, StatusCode::BAD_REQUEST, why, "go back, and select tasks");
    let fields = match Fields::read(&form) {
        Ok(fields) => fields,
        Err(why) => return wrong(&why),
    };
    let Some(action) = action_named(&fields.action) else { return wrong("no action is chosen") };
    let back = fields.back(&Addresses { base: &app.settings.base }, use_case);
    let meant = if fields.all {
        let operator = &use_case.operator;
        let filter = match fields.query.filter(operator.now()) {
            Ok(filter) => filter,
            Err(why) => return wrong(&why),
        };
        // A filter that cannot be meant is refused before the question.
        if let Err(error) = operator.act(action, filter.clone()).limit(0).await {
            return failed(&app, &error);
        }
        let (tasks, is_exact) = match matching(operator, action, &fields.query, filter).await {
            Ok(matching) => matching,
            Err(error) => return failed(&app, &error),
        };
        Meant::All { query: Box::new(fields.query), tasks, is_exact }
    } else {
        Meant::Ids(fields.ids)
    };
    let question = app.questions.keep(Question { use_case: id.clone(), action, meant, back });
    let to = Addresses { base: &app.settings.base };
    (StatusCode::SEE_OTHER, [(header::LOCATION, to.page(&id, &format!("confirm/{question}")))])
        .into_response()
}

pub(super) async fn confirm(
    State(app): State<Arc<App>>,
    Path((id, question)): Path<(String, u64)>,
) -> Response {
    let use_case = match use_case(&app, &id) {
        Ok(use_case) => use_case,
        Err(missing) => return *missing,
    };
    let question = app.questions.get(question).filter(|question| question.use_case == id);
    let Some(question) = question else {
        let why = "this question is no longer known";
        return problem(&app, StatusCode::NOT_FOUND, why, "select the tasks again");
    };
    let Question { action, meant, back, .. } = &*question;
    let main = work::confirm(&app, use_case, *action, meant, back);
    let place = Place { use_case: Some(use_case.id()), page: "tasks" };
    Frame { title: format!("{}?", label_of(*action)), place, is_live: false, main }.respond(&app)
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

pub(super) async fn act(State(app): State<Arc<App>>, Path(id): Path<String>, form: Bytes) -> Response {
    let use_case = match use_case(&app, &id) {
        Ok(use_case) => use_case,
        Err(missing) => return *missing,
    };
    if let Some(refused) = refused(&app, use_case) {
        return refused;
    }
    let wrong = |why: &str| problem(&app, StatusCode::BAD_REQUEST, why, "go back, and select tasks");
    let fields = match Fields::read(&form) {
        Ok(fields) => fields,
        Err(why) => return wrong(&why),
    };
    let Some(action) = action_named(&fields.action) else { return wrong("there is no such action") };
    let to = Addresses { base: &app.settings.base };
    let back = fields.back(&to, use_case);
    let (selection, meant): (Selection, Meant) = if fields.all {
        let filter = match fields.query.filter(use_case.operator.now()) {
            Ok(filter) => filter,
            Err(why) => return wrong(&why),
        };
        (filter.into(), Meant::All { query: Box::new(fields.query), tasks: 0, is_exact: false })
    } else {
        (fields.ids.clone().into(), Meant::Ids(fields.ids))
    };
    let order = Order { action, selection, tasks: meant.words(), back, reason: fields.reason };
    let Some(job) = app.jobs.begin(use_case, order) else {
        let why = "several changes are under way";
        return problem(&app, StatusCode::SERVICE_UNAVAILABLE, why, "wait until one has ended");
    };
    let location = to.job(use_case.id(), job.id, "");
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

pub(super) async fn job(State(app): State<Arc<App>>, Path((id, job)): Path<(String, u64)>) -> Response {
    let use_case = match use_case(&app, &id) {
        Ok(use_case) => use_case,
        Err(missing) => return *missing,
    };
    let Some(job) = app.jobs.get(job).filter(|job| job.use_case == use_case.id()) else {
        return problem(
            &app,
            StatusCode::NOT_FOUND,
            "this change is no longer known",
            "see the tasks themselves",
        );
    };
    let place = Place { use_case: Some(use_case.id()), page: "tasks" };
    let is_live = job.progress().ended.is_none();
    let main = work::job(&app, use_case, &job);
    Frame { title: label_of(job.action).to_owned(), place, is_live, main }.respond(&app)
}

pub(super) async fn stop(State(app): State<Arc<App>>, Path((id, number)): Path<(String, u64)>) -> Response {
    let job = app.jobs.get(number).filter(|job| job.use_case == id);
    let Some(job) = job else {
        return problem(
            &app,
            StatusCode::NOT_FOUND,
            "this change is no longer known",
            "see the tasks themselves",
        );
    };
    job.stop.cancel();
    let to = Addresses { base: &app.settings.base };
    (StatusCode::SEE_OTHER, [(header::LOCATION, to.job(&id, number, ""))]).into_response()
}
