//! What all requests share.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tracker_core::{Finding, Operator, StuckTask};

use crate::cache::{Cached, Shown};
use crate::jobs::Jobs;
use crate::overview::{Overview, overview};
use crate::questions::Questions;
use crate::settings::Settings;

/// How many requests are answered at the same time.
const REQUESTS: usize = 32;
/// How many requests read many items at the same time. They must not keep others waiting.
const SEARCHES: usize = 4;
/// How many tasks in progress are shown.
pub(crate) const BUSY: usize = 200;
/// How many items the doctor reads.
const SCAN: usize = 1000;

/// What all requests share.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) use_cases: Vec<Arc<UseCase>>,
    pub(crate) requests: Semaphore,
    pub(crate) searches: Semaphore,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) questions: Questions,
}

/// A use case on the page.
pub(crate) struct UseCase {
    pub(crate) operator: Operator,
    overview: Cached<Overview>,
    busy: Cached<Vec<StuckTask>>,
    doctor: Cached<Vec<Finding>>,
}

impl App {
    pub(crate) fn new(operators: Vec<Operator>, settings: Settings, jobs: Arc<Jobs>) -> Self {
        let use_case = |operator| {
            // What a large table costs, if nobody counts the units.
            let (overview, busy, doctor) = (Cached::new(80.0), Cached::new(100.0), Cached::new(130.0));
            Arc::new(UseCase { operator, overview, busy, doctor })
        };
        Self {
            settings,
            use_cases: operators.into_iter().map(use_case).collect(),
            requests: Semaphore::new(REQUESTS),
            searches: Semaphore::new(SEARCHES),
            jobs,
            questions: Questions::default(),
        }
    }

    pub(crate) fn use_case(&self, id: &str) -> Option<&Arc<UseCase>> {
        self.use_cases.iter().find(|use_case| use_case.id() == id)
    }

    /// Returns whether the tasks of a use case can be changed here.
    pub(crate) fn writes(&self, use_case: &UseCase) -> bool {
        self.settings.writes
            && use_case.operator.why_read_only().is_empty()
            && use_case.operator.description().is_some()
    }

    pub(crate) async fn overview(&self, use_case: &UseCase) -> Shown<Overview> {
        let operator = &use_case.operator;
        use_case.overview.get(&self.settings.budget, || operator.now(), Box::pin(overview(operator))).await
    }

    pub(crate) async fn busy(&self, use_case: &UseCase) -> Shown<Vec<StuckTask>> {
        let operator = &use_case.operator;
        let read = operator.stuck(None, std::time::Duration::ZERO, BUSY);
        use_case.busy.get(&self.settings.budget, || operator.now(), read).await
    }

    pub(crate) async fn doctor(&self, use_case: &UseCase) -> Shown<Vec<Finding>> {
        let operator = &use_case.operator;
        let read = Box::pin(operator.doctor(SCAN));
        use_case.doctor.get(&self.settings.budget.unlimited(), || operator.now(), read).await
    }
}

impl UseCase {
    pub(crate) fn id(&self) -> &str {
        self.operator.use_case_id()
    }

    /// Lets the next request read anew, because tasks were changed.
    pub(crate) async fn expire(&self) {
        self.overview.expire().await;
        self.busy.expire().await;
    }
}
