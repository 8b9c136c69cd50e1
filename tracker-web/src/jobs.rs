//! Changes of many tasks, which go on while the page shows how far they are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracker_core::{Action, ActionOutcome, ActionSummary, Selection};

use crate::state::UseCase;
use crate::view::text::{error_line, task_error_line};

/// How many jobs are remembered.
const KEPT: usize = 50;
/// How many jobs may run at the same time.
const RUNNING: usize = 4;
/// How many jobs the overview shows.
const LATEST: usize = 5;
/// How many errors of a job are shown.
const ERRORS: usize = 50;

/// The jobs of a server, the oldest first.
#[derive(Default)]
pub(crate) struct Jobs {
    all: Mutex<Vec<Arc<Job>>>,
    running: TaskTracker,
}

/// A change of one or more tasks.
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) use_case: String,
    pub(crate) action: Action,
    /// The tasks, for people.
    pub(crate) tasks: String,
    /// Where to go on.
    pub(crate) back: String,
    is_long: bool,
    pub(crate) begun: DateTime<Utc>,
    pub(crate) stop: CancellationToken,
    progress: Mutex<Progress>,
}

/// How far a job is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    pub(crate) summary: ActionSummary,
    /// The tasks that were not changed, each with the reason.
    pub(crate) errors: Vec<(String, String)>,
    /// Whether the job has ended, and why it failed if it did.
    pub(crate) ended: Option<Result<(), String>>,
}

impl Job {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn progress(&self) -> Progress {
        self.lock().clone()
    }
}

/// What a job is to do.
pub(crate) struct Order {
    pub(crate) action: Action,
    pub(crate) selection: Selection,
    pub(crate) tasks: String,
    pub(crate) back: String,
    pub(crate) reason: Option<String>,
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Job>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Job>> {
        self.lock().iter().find(|job| job.id == id).cloned()
    }

    /// Returns the last jobs, the newest first.
    pub(crate) fn latest(&self) -> Vec<Arc<Job>> {
        self.lock().iter().rev().take(LATEST).cloned().collect()
    }

    /// Begins a job, which goes on if nobody looks. Returns `None` if too many are under way.
    pub(crate) fn begin(&self, use_case: &Arc<UseCase>, order: Order) -> Option<Arc<Job>> {
        let mut jobs = self.lock();
        let Order { action, selection, tasks, back, reason } = order;
        // A change of tasks that are named ends soon, and must not wait for long ones.
        let is_long = matches!(selection, Selection::Filter(_));
        let running = jobs.iter().filter(|job| job.is_long && job.lock().ended.is_none());
        if is_long && running.count() >= RUNNING {
            return None;
        }
        // After a restart, no page that is still open means another job.
        let first = u64::try_from(use_case.operator.now().timestamp()).unwrap_or(1);
        let job = Arc::new(Job {
            id: jobs.last().map_or(first, |job| first.max(job.id + 1)),
            is_long,
            use_case: use_case.id().to_owned(),
            action,
            tasks,
            back,
            begun: use_case.operator.now(),
            stop: CancellationToken::new(),
            progress: Mutex::default(),
        });
        jobs.push(Arc::clone(&job));
        let ended = jobs.iter().position(|job| job.lock().ended.is_some());
        if let Some(oldest) = ended.filter(|_| jobs.len() > KEPT) {
            jobs.remove(oldest);
        }
        let (use_case, of_job) = (Arc::clone(use_case), Arc::clone(&job));
        self.running.spawn(async move {
            let run = tokio::spawn(run(Arc::clone(&use_case), Arc::clone(&of_job), selection, reason));
            let ended = run.await.unwrap_or_else(|panic| Err(panic.to_string()));
            of_job.lock().ended = Some(ended);
            use_case.expire().await;
        });
        Some(job)
    }

    /// Stops the jobs, and waits until what they have begun is done.
    pub(crate) async fn finish(&self) {
        for job in self.lock().iter() {
            job.stop.cancel();
        }
        self.running.close();
        self.running.wait().await;
    }
}

async fn run(
    use_case: Arc<UseCase>,
    job: Arc<Job>,
    selection: Selection,
    reason: Option<String>,
) -> Result<(), String> {
    let mut acted = use_case.operator.act(job.action, selection).stop(job.stop.clone());
    if let Some(reason) = reason {
        acted = acted.reason(reason);
    }
    let of_result = Arc::clone(&job);
    let acted = acted.on_result(move |result, summary| {
        let mut progress = of_result.lock();
        progress.summary = summary;
        if let ActionOutcome::Skipped(error) | ActionOutcome::Failed(error) = &result.outcome
            && progress.errors.len() < ERRORS
        {
            progress.errors.push((result.task_id.clone(), task_error_line(error, &result.task_id)));
        }
    });
    let summary = acted.await.map_err(|error| error_line(&error))?;
    job.lock().summary = summary;
    Ok(())
}
