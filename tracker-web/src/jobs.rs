//! Changes of many tasks, which go on while the page shows how far they are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tracker_core::{Action, ActionOutcome, ActionSummary, Selection};

use crate::state::UseCase;
use crate::view::text::task_error_line;

/// How many jobs are remembered.
const KEPT: usize = 50;
/// How many jobs may run at the same time.
const RUNNING: usize = 4;
/// How many errors of a job are shown.
const ERRORS: usize = 50;

/// The jobs of a server, the oldest first.
#[derive(Default)]
pub(crate) struct Jobs(Mutex<Vec<Arc<Job>>>);

/// A change of one or more tasks.
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) use_case: String,
    pub(crate) action: Action,
    /// The tasks, for people.
    pub(crate) tasks: String,
    /// Where to go on.
    pub(crate) back: String,
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Job>> {
        self.lock().iter().find(|job| job.id == id).cloned()
    }

    /// Begins a job, which goes on if nobody looks. Returns `None` if too many are under way.
    pub(crate) fn begin(&self, use_case: &Arc<UseCase>, order: Order) -> Option<Arc<Job>> {
        let mut jobs = self.lock();
        if jobs.iter().filter(|job| job.lock().ended.is_none()).count() >= RUNNING {
            return None;
        }
        let Order { action, selection, tasks, back, reason } = order;
        let job = Arc::new(Job {
            id: jobs.last().map_or(1, |job| job.id + 1),
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
        tokio::spawn(run(Arc::clone(use_case), Arc::clone(&job), selection, reason));
        Some(job)
    }
}

async fn run(use_case: Arc<UseCase>, job: Arc<Job>, selection: Selection, reason: Option<String>) {
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
    let ended = acted.await;
    use_case.expire().await;
    let mut progress = job.lock();
    match ended {
        Ok(summary) => (progress.summary, progress.ended) = (summary, Some(Ok(()))),
        Err(error) => progress.ended = Some(Err(crate::view::text::error_line(&error))),
    }
}
