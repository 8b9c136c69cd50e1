//! The loop of a worker: one place that decides what is next, whoever runs the bodies.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::claims::{Claims, SearchResult};
use super::search::{Looked, Source, look, places};
use super::slot::{Claim, Starting, TaskOutcome};
use super::{Options, Summary, Worker};
use crate::dynamodb::Context;
use crate::error::{Error, ErrorKind};
use crate::table;
use crate::time::Sleep;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

/// How long a worker waits that has left a few tasks to its rivals, or whose clock is behind: about as long as a start.
pub(super) const MOMENT: Duration = Duration::from_millis(20);
/// For how long after the end of an attempt the index may not show what it has left, or what its body has created.
const SETTLED: Duration = Duration::from_secs(1);

/// Drives a worker to its end. `begin` starts a slot for a key.
pub(super) async fn drive<T, F>(worker: Worker<T>, begin: impl FnMut(Claim) -> F) -> Result<Summary, Error>
where
    T: StatusTracker,
    F: Future<Output = (String, TaskOutcome)>,
{
    worker.options.validate()?;
    verify(worker.tracker.cx()).await?;
    let mut drive = Drive::new(worker);
    drive.until_it_ends(begin).await;
    match drive.fatal {
        Some(error) => Err(error),
        None => Ok(drive.summary),
    }
}

/// A table that is not there, or not as it has to be, is one error now and not many later. Who may not describe it finds
/// out by the first query.
async fn verify(cx: &Context) -> Result<(), Error> {
    match table::verify(cx).await {
        Err(error) if matches!(error.kind(), ErrorKind::Service { code: Some(code) } if code == "AccessDeniedException") => {
            Ok(())
        }
        verified => verified,
    }
}

/// What a worker does about the tasks that it might claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Claiming,
    /// Nothing more is claimed; what runs may finish.
    Closing,
    /// What still runs is cancelled.
    Stopping,
}

pub(super) struct Drive<T: StatusTracker> {
    pub(super) tracker: Tracker<T>,
    pub(super) options: Options,
    pub(super) claims: Claims,
    places: Arc<[Source]>,
    phase: Phase,
    starting: Arc<Starting>,
    /// A tour that is under way.
    pub(super) looking: Option<BoxFuture<'static, Looked>>,
    /// Until when it does not look.
    pub(super) waiting: Option<Sleep>,
    /// How long it waits next when there is nothing.
    idle: Duration,
    /// How long it waits next when DynamoDB is in the way; none while it is not.
    pub(super) slow: Option<Duration>,
    /// When it last was.
    pub(super) troubled: Duration,
    /// When the bodies are cancelled, once nothing more is claimed.
    stops_at: Option<Duration>,
    /// Ends the bodies.
    stop: CancellationToken,
    pub(super) summary: Summary,
    progress: watch::Sender<Summary>,
    began: Duration,
    /// When the tour under way began, and when an attempt last ended.
    toured: Duration,
    pub(super) ended: Option<Duration>,
    drained: bool,
    /// What no retry will mend.
    pub(super) fatal: Option<Error>,
}

impl<T: StatusTracker> Drive<T> {
    fn new(worker: Worker<T>) -> Self {
        let Worker { tracker, options, progress } = worker;
        let cx = tracker.cx();
        let places: Arc<[Source]> = places(cx).into();
        let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
        let began = cx.now().monotonic;
        Self {
            claims: Claims::new(places.len(), options.concurrency, seed),
            places,
            phase: Phase::Claiming,
            starting: Arc::default(),
            looking: None,
            waiting: None,
            idle: options.poll.0,
            slow: None,
            troubled: began,
            stops_at: None,
            stop: CancellationToken::new(),
            summary: Summary::default(),
            progress,
            began,
            toured: began,
            ended: None,
            drained: false,
            fatal: None,
            tracker,
            options,
        }
    }

    async fn until_it_ends<F>(&mut self, mut begin: impl FnMut(Claim) -> F)
    where
        F: Future<Output = (String, TaskOutcome)>,
    {
        let mut slots = FuturesUnordered::new();
        let shutdown = self.options.shutdown.clone();
        let starting = Arc::clone(&self.starting);
        let mut closing = self.claims_end();
        if self.options.deadline.is_some_and(|deadline| deadline <= self.options.margin()) {
            self.phase = Phase::Closing;
        }
        let mut stopping: Sleep = Box::pin(pending());
        let mut told_to_stop = false;
        loop {
            if self.phase == Phase::Claiming {
                let now = self.now();
                while slots.len() < self.options.concurrency
                    && (self.slow.is_none() || self.waiting.is_none())
                    && let Some(key) = self.claims.next(now)
                {
                    let unanswered = self.starting.one();
                    slots.push(begin(Claim { key, stop: self.stop.clone(), unanswered }));
                }
                self.look_if_needed(slots.len());
            }
            self.emit(slots.len());
            if slots.is_empty() && (self.phase != Phase::Claiming || self.drained) {
                return;
            }
            tokio::select! {
                biased;
                // Also where a deadline has closed it already, and would leave the bodies longer.
                () = shutdown.cancelled(), if !told_to_stop && self.phase != Phase::Stopping => {
                    told_to_stop = true;
                    stopping = self.close(self.options.grace);
                }
                () = &mut closing, if self.phase == Phase::Claiming => {
                    stopping = self.close(self.options.margin() / 5 * 4);
                }
                () = &mut stopping, if self.phase == Phase::Closing => {
                    self.phase = Phase::Stopping;
                    self.stop.cancel();
                }
                Some((key, slot)) = slots.next(), if !slots.is_empty() => {
                    self.summary.running = slots.len();
                    self.ended(&key, slot);
                    if slots.is_empty() && self.options.drain && self.slow.is_none() {
                        self.waiting = None;
                    }
                    if self.fatal.is_some() && self.phase == Phase::Claiming {
                        stopping = self.close(self.options.grace);
                    }
                }
                looked = under_way(&mut self.looking) => {
                    self.looking = None;
                    self.looked(looked);
                    if self.fatal.is_some() {
                        stopping = self.close(self.options.grace);
                    }
                }
                () = under_way(&mut self.waiting) => self.waiting = None,
                () = starting.answered() => {}
            }
        }
    }

    /// When nothing more is claimed, for the deadline.
    fn claims_end(&self) -> Sleep {
        match self.options.deadline {
            Some(remaining) => self.sleep(remaining.saturating_sub(self.options.margin())),
            None => Box::pin(pending()),
        }
    }

    fn sleep(&self, wait: Duration) -> Sleep {
        self.tracker.cx().clock.sleep(wait)
    }

    pub(super) fn now(&self) -> Duration {
        self.tracker.cx().now().monotonic
    }

    /// Claims nothing more. The bodies have so long, and no longer than was said before or the deadline leaves.
    fn close(&mut self, grace: Duration) -> Sleep {
        self.phase = Phase::Closing;
        self.looking = None;
        self.waiting = None;
        self.claims.drop_found();
        let now = self.now();
        let deadline = self
            .options
            .deadline
            .map(|deadline| self.began.saturating_add(deadline.saturating_sub(self.options.margin() / 5)));
        let ends = [Some(now.saturating_add(grace)), deadline, self.stops_at];
        let stops_at = ends.into_iter().flatten().min().unwrap_or(now);
        self.stops_at = Some(stops_at);
        self.sleep(stops_at.saturating_sub(now))
    }

    /// Looks for tasks where there is a free slot for them. Not while its own starts are under way: others look, too, and
    /// what nobody sees taken yet is what they claim.
    fn look_if_needed(&mut self, running: usize) {
        let has_room = running < self.options.concurrency && self.starting.is_none();
        if has_room && self.looking.is_none() && self.waiting.is_none() && !self.drained {
            self.toured = self.now();
            let cx = Arc::clone(self.tracker.shared_cx());
            let tour = self.claims.tour(self.toured);
            self.looking = Some(Box::pin(look::<T>(cx, Arc::clone(&self.places), tour)));
        }
    }

    fn looked(&mut self, looked: Looked) {
        let (found, unreadable) = match looked {
            Ok(looked) => looked,
            Err(error) => return self.on_service_error(error),
        };
        let now = self.now();
        for error in unreadable {
            self.unreadable(&error, now);
        }
        match self.claims.take_in(found, now) {
            SearchResult::Some => self.idle = self.options.poll.0,
            SearchResult::Left => self.wait(MOMENT),
            SearchResult::Later => self.wait(self.options.poll.0),
            SearchResult::Nothing if self.options.drain && self.summary.running == 0 => self.is_drained(now),
            SearchResult::Nothing => {
                self.wait(self.idle);
                self.idle = self.idle.saturating_mul(2).min(self.options.poll.1);
            }
        }
    }

    /// Nothing was found, and nothing runs: that is the end, unless the index may not show all of it yet.
    fn is_drained(&mut self, now: Duration) {
        let settled = self.ended.map(|ended| ended.saturating_add(SETTLED));
        match settled.filter(|settled| self.toured < *settled) {
            None => self.drained = true,
            Some(settled) => self.waiting = Some(self.sleep(settled.saturating_sub(now))),
        }
    }

    pub(super) fn wait(&mut self, wait: Duration) {
        let wait = self.claims.jitter(wait);
        self.waiting = Some(self.sleep(wait));
    }

    /// Tells how far it is, where that has changed.
    fn emit(&mut self, running: usize) {
        self.summary.running = running;
        self.summary.elapsed = self.now().saturating_sub(self.began);
        let summary = self.summary;
        self.progress.send_if_modified(|told| {
            let is_new = Summary { elapsed: told.elapsed, ..summary } != *told;
            *told = summary;
            is_new
        });
    }
}

/// What is under way, if anything is.
async fn under_way<F: Future + ?Sized>(future: &mut Option<Pin<Box<F>>>) -> F::Output {
    match future {
        Some(future) => future.as_mut().await,
        None => pending().await,
    }
}
