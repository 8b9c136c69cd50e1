//! Changes tasks by hand: one, some by their ids, or all that a filter means.

use std::collections::HashSet;
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::action::{Action, ActionOutcome, ActionResult, ActionSummary, Selection};
use super::filter::TaskFilter;
use super::view::TaskSummary;
use super::{Operator, Step, role_name};
use crate::declare::spec::Takeover;
use crate::dynamodb;
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{UPDATE_TIME, status_code};
use crate::item::history::Note;
use crate::lifecycle::by_hand::{ByHand, InIndex};
use crate::lifecycle::cancel::{CancelOutcome, cancel};
use crate::lifecycle::delete::delete_by_hand;
use crate::lifecycle::redrive::redrive;
use crate::lifecycle::release::release_expired;
use crate::lifecycle::run_now::run_now;
use crate::time::Timestamp;

/// The number of tasks that are changed at the same time.
const WRITERS: usize = 32;

impl Operator {
    /// Sets failed or ignored tasks back to pending. A filter without a status means both.
    pub fn redrive(&self, tasks: impl Into<Selection>) -> Act<'_> {
        self.act(Action::Redrive, tasks)
    }

    /// Makes tasks due at once that wait for their time.
    pub fn run_now(&self, tasks: impl Into<Selection>) -> Act<'_> {
        self.act(Action::RunNow, tasks)
    }

    /// Ignores tasks that wait, and asks the attempts of tasks in progress to end.
    pub fn cancel(&self, tasks: impl Into<Selection>) -> Act<'_> {
        self.act(Action::Cancel, tasks)
    }

    /// Frees tasks whose lease has expired. The lost attempts count as failed.
    pub fn release_expired(&self, tasks: impl Into<Selection>) -> Act<'_> {
        self.act(Action::Release, tasks)
    }

    /// Deletes tasks, unless a worker holds them.
    pub fn delete(&self, tasks: impl Into<Selection>) -> Act<'_> {
        self.act(Action::Delete, tasks)
    }

    /// Changes tasks by hand. Nothing happens before the returned value is awaited.
    ///
    /// A filter means the tasks as they are now. No task is changed twice, also if it fails again during the operation, and a
    /// task that has moved on since the index showed it is skipped.
    ///
    /// # Errors
    ///
    /// Awaiting the value returns these errors. The errors of single tasks are in their [results](Act::on_result).
    ///
    /// - [`ReadOnly`](ErrorKind::ReadOnly) or [`NotDescribed`](ErrorKind::NotDescribed).
    /// - [`InvalidQuery`](ErrorKind::InvalidQuery) for a step or a status that does not exist, or if no task in a status of the
    ///   filter can be changed so.
    /// - An error of the query, which ends the operation.
    pub fn act(&self, action: Action, tasks: impl Into<Selection>) -> Act<'_> {
        Act {
            operator: self,
            action,
            tasks: tasks.into(),
            limit: None,
            per_second: None,
            dry_run: false,
            note: self.note.clone(),
            stop: CancellationToken::new(),
            on_result: Box::new(|_, _| {}),
        }
    }
}

/// Is called after each task, with its result and the counts so far.
type OnResult<'o> = Box<dyn FnMut(&ActionResult, ActionSummary) + Send + 'o>;

/// An operation on tasks. It happens when this is awaited.
#[must_use = "the tasks are changed when this is awaited"]
pub struct Act<'o> {
    operator: &'o Operator,
    action: Action,
    tasks: Selection,
    limit: Option<u64>,
    per_second: Option<f64>,
    dry_run: bool,
    note: Note,
    stop: CancellationToken,
    on_result: OnResult<'o>,
}

impl<'o> Act<'o> {
    /// Sets how many tasks are tried at most.
    pub fn limit(mut self, tasks: u64) -> Self {
        self.limit = Some(tasks);
        self
    }

    /// Sets how many tasks are tried in a second at most, so that workers and the table are not flooded.
    pub fn per_second(mut self, tasks: f64) -> Self {
        self.per_second = Some(tasks);
        self
    }

    /// Changes nothing, and counts the tasks that would be changed. Each task is read, and judged as it would be without this.
    pub fn dry_run(mut self, on: bool) -> Self {
        self.dry_run = on;
        self
    }

    /// Sets why this is done, instead of the operator's [reason](crate::OperatorBuilder::reason).
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.note.reason = Some(reason.into());
        self
    }

    /// Sets what stops the operation. What has begun is finished.
    pub fn stop(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// Sets a function that is called after each task, with its result and the counts so far.
    pub fn on_result(mut self, on_result: impl FnMut(&ActionResult, ActionSummary) + Send + 'o) -> Self {
        self.on_result = Box::new(on_result);
        self
    }

    async fn run(mut self) -> Result<ActionSummary, Error> {
        self.operator.check_writable_unless(self.dry_run)?;
        if self.per_second.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            let reason = "`per_second` must be a number above 0".to_owned();
            return Err(Error::new(ErrorKind::InvalidQuery { reason }));
        }
        let Self { operator, action, limit, dry_run, .. } = self;
        let (stop, note) = (self.stop.clone(), self.note.clone());
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let pace =
            self.per_second.map(|rate| Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX));
        let targets = self.targets()?.take(limit);
        let stopped = stop.clone();
        let paced = targets.then(move |target| {
            let wait = pace.map(|pace| operator.cx.clock.sleep(pace));
            async move {
                if let Some(wait) = wait {
                    wait.await;
                }
                target
            }
        });
        let paced = paced.take_until(async move { stopped.cancelled_owned().await }).boxed();
        let results = paced.map(move |target| {
            let note = note.clone();
            async move { Ok::<_, Error>(operator.one(action, target?, note, dry_run).await) }.boxed()
        });
        let mut results = results.buffer_unordered(WRITERS).boxed();
        let mut summary = ActionSummary::default();
        while let Some(result) = results.try_next().await? {
            match result.outcome {
                ActionOutcome::Done | ActionOutcome::WouldBeDone => summary.done += 1,
                ActionOutcome::Requested | ActionOutcome::WouldBeRequested => summary.requested += 1,
                ActionOutcome::Skipped(_) => summary.skipped += 1,
                ActionOutcome::Failed(_) => summary.failed += 1,
            }
            (self.on_result)(&result, summary);
        }
        summary.stopped = stop.is_cancelled();
        Ok(summary)
    }

    /// Returns the tasks to change.
    fn targets(&self) -> Result<BoxStream<'o, Result<Target, Error>>, Error> {
        let Self { operator, action, .. } = self;
        match &self.tasks {
            Selection::Ids(ids) => {
                let mut begun = HashSet::new();
                let once = ids.iter().filter(|id| begun.insert(*id));
                let targets: Vec<_> = once.map(|id| Ok(Target { task_id: id.clone(), row: None })).collect();
                Ok(stream::iter(targets).boxed())
            }
            Selection::Filter(filter) => {
                let latest = operator.latest();
                let until = filter.until.map_or(latest, |until| Timestamp::new(until).min(latest));
                let filter = operator.for_action(filter, *action)?;
                // A task that fails again during the operation has a second row.
                let mut begun = HashSet::new();
                let targets = operator.found(&filter, until)?.try_filter_map(move |found| {
                    let task = found.task.filter(|task| begun.insert(task.key.clone()));
                    std::future::ready(task.map(target_of).transpose())
                });
                Ok(targets.boxed())
            }
        }
    }
}

/// Returns the task of a row, pinned to what the row shows.
fn target_of(task: TaskSummary) -> Result<Target, Error> {
    let Some(time) = task.update_time else {
        let kind = ErrorKind::Decode { attribute: UPDATE_TIME.to_owned() };
        return Err(Error::new(kind).because("the index has no such time").with_key(&task.key));
    };
    let shown = InIndex { status: task.code, update_time: Timestamp::new(time) };
    Ok(Target { row: Some((task.key, shown)), task_id: task.task_id })
}

/// A task to change: by its id, or by a row of the index.
struct Target {
    task_id: String,
    row: Option<(String, InIndex)>,
}

impl Operator {
    fn check_writable_unless(&self, dry_run: bool) -> Result<(), Error> {
        if dry_run { self.described_steps().map(drop) } else { self.check_writable() }
    }

    /// Refuses a filter for statuses in which no task can be changed so. Without a status, the filter means those in which
    /// tasks can.
    fn for_action(&self, filter: &TaskFilter, action: Action) -> Result<TaskFilter, Error> {
        let statuses = self.statuses_of(filter)?;
        let (fit, unfit): (Vec<_>, Vec<_>) =
            statuses.into_iter().partition(|(_, status)| action.applies_to(status.row.role));
        let mut filter = filter.clone();
        if let Some((_, status)) = unfit.first().filter(|_| !filter.statuses.is_empty()) {
            let reason = format!(
                "no task can be changed so that is `{}`, {}; name other statuses",
                status.row.name,
                role_name(status.row.role)
            );
            return Err(Error::new(ErrorKind::InvalidQuery { reason }));
        }
        let never = fit.iter().find(|(step, _)| step.cx.config.takeover == Takeover::Never);
        if let Some((step, _)) = never.filter(|_| action == Action::Release) {
            let reason = format!(
                "the step `{}` has `takeover = \"never\"`, so an expired lease does not tell that a worker is gone: make sure \
                 for each task, and name its id",
                step.name
            );
            return Err(Error::new(ErrorKind::InvalidQuery { reason }));
        }
        filter.statuses = fit.iter().map(|(_, status)| status.code().to_string()).collect();
        Ok(filter)
    }

    /// Returns the step of a task: the one whose status it has, or the next one, if the task waits for that.
    fn step_for(&self, action: Action, code: u32) -> Option<&Step> {
        let own = self.step_of(code);
        let is_left_alone =
            own.is_none_or(|step| !step.cx.use_case.role(code).is_some_and(|role| action.applies_to(role)));
        own.filter(|_| !is_left_alone)
            .or_else(|| self.step_from(code).filter(|_| action != Action::Redrive))
            .or(own)
    }

    /// Changes one task.
    async fn one(&self, action: Action, target: Target, note: Note, dry_run: bool) -> ActionResult {
        let Target { task_id, row } = target;
        let expected = row.as_ref().map(|(_, shown)| *shown);
        let by = ByHand { note, expected, dry_run };
        let outcome = match self.change(action, &task_id, row.map(|(key, _)| key), &by).await {
            Ok(outcome) => outcome,
            Err(error) if error.is_refusal() => ActionOutcome::Skipped(error),
            Err(error) => ActionOutcome::Failed(error),
        };
        ActionResult { task_id, outcome }
    }

    async fn change(
        &self,
        action: Action,
        task_id: &str,
        key: Option<String>,
        by: &ByHand,
    ) -> Result<ActionOutcome, Error> {
        let (key, step) = if let (Some(key), Some(expected)) = (key, by.expected) {
            (key, self.step_of(expected.status))
        } else if let [only] = &self.steps[..] {
            // The operation reads the task itself.
            (self.cx.key(task_id)?, Some(only))
        } else {
            let key = self.cx.key(task_id)?;
            let found = dynamodb::get(&self.cx, &key, true, true).await?;
            let item = found.ok_or_else(|| Error::new(ErrorKind::NotFound).with_key(&key))?;
            (key, status_code(&item).and_then(|code| self.step_for(action, code)))
        };
        let cx = step.map_or(&self.cx, |step: &Step| &step.cx);
        match action {
            Action::Redrive => redrive(cx, &key, by).await.map(drop)?,
            Action::RunNow => run_now(cx, &key, by).await.map(drop)?,
            Action::Release => release_expired(cx, &key, by).await.map(drop)?,
            Action::Delete => delete_by_hand(cx, &key, by).await.map(drop)?,
            Action::Cancel => {
                let outcome = cancel(cx, &key, by).await?;
                if let CancelOutcome::Requested(_) = outcome {
                    let would = ActionOutcome::WouldBeRequested;
                    return Ok(if by.dry_run { would } else { ActionOutcome::Requested });
                }
            }
        }
        Ok(if by.dry_run { ActionOutcome::WouldBeDone } else { ActionOutcome::Done })
    }
}

impl<'o> IntoFuture for Act<'o> {
    type Output = Result<ActionSummary, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'o>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Act<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Act")
            .field("action", &self.action)
            .field("tasks", &self.tasks)
            .finish_non_exhaustive()
    }
}
