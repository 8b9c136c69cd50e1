//! The loop of a worker: decides what is next. `run` and `run_local` differ only in who runs the bodies.

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::begin;
use super::claims::{Chosen, Claims, SearchResult};
use super::look::{PausesUnreadable, unless_paused};
use super::pace::{Pace, Slots, Step};
use super::search::{SearchEnd, SearchOutcome, Source, search, sources};
use super::task::{Claim, TaskOutcome};
use super::trouble::AccessRefused;
use super::{Options, Summary, Worker};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::DATA;
use crate::lifecycle::execution::Execution;
use crate::lifecycle::sharing::{Sharing, StartWith};
use crate::query::alive::AliveLeases;
use crate::time::{Sleep, Timestamp};
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

/// How long the releases of cancelled bodies may take after the grace period, before the worker ends. They go on in the
/// background after that.
const RELEASES: Duration = Duration::from_millis(750);

/// Runs a worker to its end. `begin` returns a future that runs a body on the task of a claim.
pub(super) async fn run<T, F>(worker: Worker<T>, begin: impl FnMut(Claim<T>) -> F) -> Result<Summary, Error>
where
    T: StatusTracker,
    F: Future<Output = (String, TaskOutcome)>,
{
    worker.options.validate()?;
    let cx = Arc::clone(worker.tracker.shared_cx());
    let began = cx.now().monotonic;
    begin::begin(&cx, &worker.options).await?;
    let mut run_loop = RunLoop::new(worker, began);
    run_loop.run(begin).await;
    match run_loop.fatal {
        Some(error) => Err(error),
        None => Ok(run_loop.summary),
    }
}

/// Whether a worker claims tasks, and whether bodies may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Claiming,
    /// Nothing more is claimed; running bodies may finish.
    Closing,
    /// Running bodies are cancelled.
    Stopping,
}

/// The key of a task, and the result of its start.
type Started<T> = (String, Result<Execution<T>, Error>);

pub(super) struct RunLoop<T: StatusTracker> {
    pub(super) tracker: Tracker<T>,
    pub(super) options: Options,
    pub(super) claims: Claims,
    sources: Arc<[Source]>,
    phase: Phase,
    /// The starts that are not answered yet. They are polled together, so that they can share a request.
    pub(super) starts: FuturesUnordered<BoxFuture<'static, Started<T>>>,
    /// The search in progress.
    pub(super) search: Option<BoxFuture<'static, SearchOutcome>>,
    /// The wait before the next search.
    pub(super) pause: Option<Sleep>,
    /// When it searches, and how long it waits.
    pub(super) pace: Pace,
    /// Refusals in a row, and unreadable tasks in a row.
    pub(super) access_refused: AccessRefused,
    pub(super) unreadable_in_a_row: u32,
    /// The leases that a search has found alive.
    alive: Arc<AliveLeases>,
    pauses_unreadable: Arc<PausesUnreadable>,
    /// When a look for any task that has not ended has found none, if the later ones have found none either.
    pub(super) empty_look: Option<Duration>,
    /// When the bodies are cancelled; known once nothing more is claimed.
    stops_at: Option<Duration>,
    /// Cancels the bodies.
    stop: CancellationToken,
    pub(super) summary: Summary,
    progress: watch::Sender<Summary>,
    pub(super) began: Duration,
    /// When an attempt last ended.
    pub(super) last_end: Option<Duration>,
    pub(super) drained: bool,
    /// The error that no retry can fix.
    pub(super) fatal: Option<Error>,
}

impl<T: StatusTracker> RunLoop<T> {
    fn new(worker: Worker<T>, began: Duration) -> Self {
        let Worker { tracker, options, progress } = worker;
        let cx = tracker.cx();
        let sources: Arc<[Source]> = sources(cx).into();
        let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
        let claims = Claims::new(sources.len(), options.concurrency, seed);
        let claims = if options.drain { claims } else { claims.take_all() };
        let expired = sources.iter().position(|source| matches!(source, Source::Expired));
        Self {
            claims,
            sources,
            phase: Phase::Claiming,
            starts: FuturesUnordered::new(),
            search: None,
            pause: None,
            pace: Pace::new(options.poll, cx.config.lock_expire, expired, began),
            access_refused: AccessRefused::default(),
            unreadable_in_a_row: 0,
            alive: Arc::default(),
            pauses_unreadable: Arc::default(),
            empty_look: None,
            stops_at: None,
            stop: CancellationToken::new(),
            summary: Summary::default(),
            progress,
            began,
            last_end: None,
            drained: false,
            fatal: None,
            tracker,
            options,
        }
    }

    async fn run<F>(&mut self, mut begin: impl FnMut(Claim<T>) -> F)
    where
        F: Future<Output = (String, TaskOutcome)>,
    {
        let mut tasks = FuturesUnordered::<F>::new();
        let shutdown = self.options.shutdown.clone();
        let mut closing = self.margin_begins();
        if self.options.deadline.is_some_and(|deadline| deadline <= self.options.margin()) {
            self.phase = Phase::Closing;
        }
        let (mut stopping, mut end): (Sleep, Sleep) = (Box::pin(pending()), Box::pin(pending()));
        let mut told_to_stop = false;
        loop {
            if self.phase == Phase::Claiming {
                let now = self.now();
                while tasks.len() + self.starts.len() < self.options.concurrency
                    && !(self.pace.is_slow() && self.pause.is_some())
                    && let Some(chosen) = self.claims.next(now)
                {
                    self.start(chosen);
                }
                self.search_if_needed(tasks.len());
            }
            let running = tasks.len() + self.starts.len();
            self.report_progress(running);
            if running == 0 && (self.phase != Phase::Claiming || self.drained) {
                return;
            }
            tokio::select! {
                biased;
                // What is under way goes on in the background.
                () = &mut end => {
                    // The tasks that are dropped now are released, and count no failed attempt.
                    self.stop.cancel();
                    self.summary.running = 0;
                    self.summary.left = u64::try_from(running).unwrap_or(u64::MAX);
                    return;
                }
                // Also after the deadline has closed the worker, because the grace period may end earlier.
                () = shutdown.cancelled(), if !told_to_stop && self.phase != Phase::Stopping => {
                    told_to_stop = true;
                    (stopping, end) = self.close(self.options.grace, RELEASES);
                    closing = Box::pin(pending());
                }
                () = &mut closing, if self.phase == Phase::Claiming => {
                    (stopping, end) = self.close(self.options.margin() / 5 * 4, self.options.margin() / 5);
                }
                () = &mut stopping, if self.phase == Phase::Closing => {
                    self.phase = Phase::Stopping;
                    self.stop.cancel();
                }
                Some((key, outcome)) = tasks.next(), if !tasks.is_empty() => {
                    self.on_outcome(&key, outcome, tasks.len());
                }
                Some((key, started)) = self.starts.next(), if !self.starts.is_empty() => match started {
                    Ok(execution) => {
                        self.pace.on_start(false, self.now());
                        execution.attempt.lease.set_worker_stop(self.stop.clone());
                        tasks.push(begin(Claim { key, execution, stop: self.stop.clone() }));
                    }
                    Err(error) => self.on_outcome(&key, TaskOutcome::NotStarted(error), tasks.len()),
                },
                outcome = next(&mut self.search) => {
                    self.search = None;
                    self.on_search_end(outcome);
                }
                () = next(&mut self.pause) => self.pause = None,
            }
            if self.fatal.is_some() && self.phase == Phase::Claiming {
                (stopping, end) = self.close(self.options.grace, RELEASES);
                closing = Box::pin(pending());
            }
        }
    }

    /// Sleeps until the margin of the deadline begins, or for ever without a deadline.
    fn margin_begins(&self) -> Sleep {
        match self.options.deadline {
            Some(remaining) => {
                let passed = self.now().saturating_sub(self.began);
                self.sleep(remaining.saturating_sub(self.options.margin()).saturating_sub(passed))
            }
            None => Box::pin(pending()),
        }
    }

    pub(super) fn sleep(&self, wait: Duration) -> Sleep {
        self.tracker.cx().clock.sleep(wait)
    }

    pub(super) fn now(&self) -> Duration {
        self.tracker.cx().now().monotonic
    }

    /// Claims nothing more. Returns a sleep until the bodies are cancelled: after `grace`, but no later than an
    /// earlier call or the deadline allows. Also returns a sleep until the worker ends, whatever is under way then:
    /// after `releases` more.
    fn close(&mut self, grace: Duration, releases: Duration) -> (Sleep, Sleep) {
        self.phase = Phase::Closing;
        self.search = None;
        self.pause = None;
        self.claims.drop_found();
        let now = self.now();
        let at = |after: Duration| self.began.saturating_add(after);
        let deadline =
            self.options.deadline.map(|deadline| at(deadline.saturating_sub(self.options.margin() / 5)));
        let ends = [Some(now.saturating_add(grace)), deadline, self.stops_at];
        let stops_at = ends.into_iter().flatten().min().unwrap_or(now);
        self.stops_at = Some(stops_at);
        let ends_at = stops_at.saturating_add(releases);
        let ends_at = self.options.deadline.map_or(ends_at, |deadline| ends_at.min(at(deadline)));
        (self.sleep(stops_at.saturating_sub(now)), self.sleep(ends_at.saturating_sub(now)))
    }

    /// Starts a task that was chosen.
    fn start(&mut self, chosen: Chosen) {
        let Chosen { key, expected } = chosen;
        let with = if self.options.batching {
            StartWith { sharing: Sharing::Patiently { slots: self.options.concurrency }, expected }
        } else {
            StartWith { sharing: Sharing::Nothing, expected: None }
        };
        let tracker = self.tracker.clone();
        self.starts.push(Box::pin(async move {
            // The code that reads the data is the user's. The task of an attempt that is dropped here is released.
            let started = AssertUnwindSafe(tracker.start_key(key.clone(), with)).catch_unwind().await;
            let started = started.unwrap_or_else(|_| {
                let why = "the code that reads the data panicked";
                let error = Error::new(ErrorKind::Decode { attribute: DATA.to_owned() }).because(why);
                Err(error.in_table(&tracker.cx().names).with_key(&key))
            });
            (key, started)
        }));
    }

    /// Starts a search if another task could run and no start is unanswered. During our starts, rivals that search as
    /// well would claim the same tasks, because nobody sees them taken yet.
    fn search_if_needed(&mut self, running: usize) {
        let has_room = running < self.options.concurrency && self.starts.is_empty();
        if has_room && self.search.is_none() && self.pause.is_none() && !self.drained {
            let slots = Slots { running, concurrency: self.options.concurrency, drains: self.options.drain };
            let now = self.now();
            let plan = match self.pace.step(&mut self.claims, slots, now) {
                Step::Search(plan) => plan,
                Step::Wait(wait) => return self.pause_for(wait),
            };
            let cx = Arc::clone(self.tracker.shared_cx());
            let (sources, alive) = (Arc::clone(&self.sources), Arc::clone(&self.alive));
            let found = search::<T>(Arc::clone(&cx), sources, plan, alive);
            let (unreadable, was_paused) =
                (Arc::clone(&self.pauses_unreadable), self.summary.paused_until.is_some());
            self.search = Some(Box::pin(unless_paused(cx, unreadable, was_paused, found)));
        }
    }

    fn on_search_end(&mut self, outcome: SearchOutcome) {
        let end = match outcome {
            Ok(end) => end,
            Err(error) => return self.on_service_error(error, |refused| &mut refused.searches),
        };
        self.access_refused.searches = 0;
        let now = self.now();
        self.pace.on_search_end(now);
        let (found, unreadable) = match end {
            SearchEnd::Claimable(found, unreadable) => (found, unreadable),
            SearchEnd::AnyUnfinished(any) => return self.on_last_look(any, now),
            SearchEnd::Paused(pause) => return self.on_pause(&pause, now),
        };
        self.on_no_pause();
        let wall = Timestamp::from(self.tracker.cx().now());
        self.pace.on_read(&found.sources, wall, now);
        for error in unreadable {
            self.on_unreadable(&error, now);
        }
        match self.claims.take_found(found, wall, now) {
            // The next search reads what was left out.
            SearchResult::Nothing if self.options.drain && self.pace.has_left_out() => {}
            SearchResult::Nothing if self.options.drain && self.summary.running == 0 => {
                if self.options.until_all_ended {
                    self.look_for_unfinished();
                } else {
                    self.end_drain(now);
                }
            }
            result => {
                if let Some(wait) = self.pace.after(result) {
                    self.pause_for(wait);
                }
            }
        }
    }

    /// Waits before the next search, longer each time.
    pub(super) fn pause_idle(&mut self) {
        let wait = self.pace.idle();
        self.pause_for(wait);
    }

    pub(super) fn pause_for(&mut self, wait: Duration) {
        let wait = self.claims.jitter(wait);
        self.pause = Some(self.sleep(wait));
    }

    /// Reports the summary to the readers of `progress` if it has changed.
    fn report_progress(&mut self, running: usize) {
        self.summary.running = running;
        self.summary.elapsed = self.now().saturating_sub(self.began);
        let summary = self.summary;
        self.progress.send_if_modified(|last| {
            let is_new = Summary { elapsed: last.elapsed, ..summary } != *last;
            *last = summary;
            is_new
        });
    }
}

/// Completes with the future, if there is one; otherwise never.
async fn next<F: Future + ?Sized>(future: &mut Option<Pin<Box<F>>>) -> F::Output {
    match future {
        Some(future) => future.as_mut().await,
        None => pending().await,
    }
}
