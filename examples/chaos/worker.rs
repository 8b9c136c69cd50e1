//! The workers, and what their bodies do.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracker_core::{Error, Event, EventKind, Execution, Failure, Tracker};

use super::clock::Alive;
use super::fleet::Chaos;
use super::job::{Behaviour, HANG, Job, SHORTEST_LEASE};
use super::journal::Verdict;

/// How long a worker waits when it has found no task, at first and at most.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_millis(800);
/// How many of the tasks that it has found a worker starts at most.
const PICKS: usize = 16;
/// How many tasks a [`tracker_core::Worker`] runs at once: as many as it takes for the end of a body that hangs to wait for others.
const SLOTS: usize = 56;
/// The exit status of a worker process whose task has killed it.
pub const VANISHED: i32 = 86;

/// Starts the workers of this process. They work while the gate is open, without end.
pub fn start(chaos: &Arc<Chaos>) -> JoinSet<Result<(), Error>> {
    (0..chaos.plan.workers).map(|nth| work(Arc::clone(chaos), nth)).collect()
}

/// Runs one worker at a time, and replaces it when it vanishes.
async fn work(chaos: Arc<Chaos>, nth: u32) -> Result<(), Error> {
    for life in 0.. {
        Worker::new(&chaos, &format!("worker-{nth}.{life}"), nth, life)?.live().await?;
    }
    Ok(())
}

/// What a body panics with.
const ON_PURPOSE: &str = "this body panics on purpose";

/// Notes what a worker is told of the end of an attempt.
fn tell(chaos: &Chaos, event: &Event<'_>) {
    let verdict = match event.kind {
        EventKind::Succeeded => Verdict::Succeeded,
        EventKind::Failed | EventKind::Ignored => Verdict::Failed,
        EventKind::Released => Verdict::Released,
        EventKind::LeaseLost => Verdict::Lost,
        EventKind::OutcomeUnknown => Verdict::Unknown,
        _ => return,
    };
    if let (Ok(task), Some(attempt)) = (event.task_id.parse(), event.attempt) {
        chaos.journal.told(task, attempt, verdict);
    }
}

#[derive(Clone)]
pub struct Worker {
    chaos: Arc<Chaos>,
    tracker: Tracker<Job>,
    owner: String,
    alive: Alive,
    /// Whether it works as [`Tracker::worker`] does, which runs many tasks at once and shares requests.
    serves: bool,
}

impl Worker {
    pub fn new(chaos: &Arc<Chaos>, owner: &str, nth: u32, life: u32) -> Result<Self, Error> {
        // The guarantees require that clocks differ by less than `MAX_CLOCK_SKEW`.
        let ahead = Duration::from_millis(chaos.plan.draw(("clock", nth, life), 480));
        let alive = Alive::new(ahead);
        let lease = SHORTEST_LEASE * (4 + nth % 3) / 4;
        let heartbeat = nth.wrapping_add(life).is_multiple_of(2);
        let serves = chaos.plan.serves && chaos.plan.draw(("serves", nth, life), 3) == 0;
        let mut builder = chaos.tracker(owner, alive.clone(), lease).heartbeat(heartbeat);
        if serves {
            let chaos = Arc::clone(chaos);
            builder = builder.observer(move |event: &Event<'_>| tell(&chaos, event));
        }
        let (chaos, tracker, owner) = (Arc::clone(chaos), builder.build()?, owner.to_owned());
        Ok(Self { chaos, tracker, owner, alive, serves })
    }

    /// Works until the worker vanishes.
    ///
    /// # Errors
    ///
    /// Fails if `Tracker::worker` gives up, which it must not.
    pub async fn live(&self) -> Result<(), Error> {
        if self.serves {
            return self.serve().await;
        }
        self.attempt_all().await;
        Ok(())
    }

    /// Works with [`Tracker::worker`].
    async fn serve(&self) -> Result<(), Error> {
        loop {
            // Before the gate: if the gate closes in between, this token is cancelled.
            let pause = self.chaos.pause_token();
            let working = self.chaos.enter(&self.owner).await;
            let worker = self.clone();
            let body = async move |task: &mut Execution<Job>| worker.body(task).await;
            let serving = self.tracker.worker().concurrency(SLOTS).poll(SHORTEST_WAIT, LONGEST_WAIT);
            let mut serving = tokio::spawn(serving.shutdown(pause.clone()).run(body));
            tokio::select! {
                biased;
                () = self.alive.vanished.notified() => {
                    // Its other bodies go on, without heartbeats.
                    pause.cancel();
                    self.chaos.keep_vanished(self.alive.clone(), serving.abort_handle());
                    return Ok(());
                }
                ended = &mut serving => match ended {
                    Ok(ended) => drop(ended?),
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
            }
            drop(working);
        }
    }

    /// Starts one task after the other by hand.
    async fn attempt_all(&self) {
        let plan = self.chaos.plan;
        let mut wait = SHORTEST_WAIT;
        for round in 0_u64.. {
            let working = self.chaos.enter(&self.owner).await;
            // Faults can make the query fail: repeat it.
            let Ok(found) = self.tracker.query_for_unfinished().limit(64).all().await else {
                continue;
            };
            if found.is_empty() {
                drop(working);
                tokio::time::sleep(wait).await;
                wait = LONGEST_WAIT.min(wait * 2);
                continue;
            }
            wait = SHORTEST_WAIT;
            for pick in 0..PICKS.min(found.len()) {
                let nth = plan.draw((&self.owner, round, pick), found.len() as u64);
                let Some(task) = usize::try_from(nth).ok().map(|nth| *found[nth].task_id()) else {
                    continue;
                };
                let how = plan.draw((&self.owner, round, pick, "how"), 2);
                let mut attempt = tokio::spawn(self.clone().attempt(task, how));
                tokio::select! {
                    biased;
                    () = self.alive.vanished.notified() => {
                        self.chaos.keep_vanished(self.alive.clone(), attempt.abort_handle());
                        return;
                    }
                    ended = &mut attempt => {
                        // The tracker records a panic of a body. Any other panic ends the run.
                        if let Err(error) = ended
                            && let Ok(panic) = error.try_into_panic()
                            && panic.downcast_ref::<&str>() != Some(&ON_PURPOSE)
                        {
                            std::panic::resume_unwind(panic);
                        }
                    }
                }
            }
        }
    }

    /// Makes one attempt: with `run` if `how` is 0, otherwise with `start`.
    async fn attempt(self, task: u32, how: u64) {
        let journal = &self.chaos.journal;
        journal.starting(task, &self.owner);
        if how == 0 {
            let mut attempt = None;
            let body = async |execution: &mut Execution<Job>| {
                attempt = Some(execution.attempt());
                self.body(execution).await
            };
            let ended = self.tracker.run(&task, body).await;
            return match (attempt, &ended) {
                (Some(attempt), _) => journal.told(task, attempt, Verdict::of(&ended, Verdict::Succeeded)),
                (None, Err(error)) => journal.unstarted(task, &self.owner, error),
                (None, Ok(())) => {}
            };
        }
        let mut execution = match self.tracker.start(&task).await {
            Ok(execution) => execution,
            Err(error) => return journal.unstarted(task, &self.owner, &error),
        };
        let attempt = execution.attempt();
        let behaviour = self.chaos.plan.behaviour(task, attempt);
        let body = self.body(&mut execution).await;
        let verdict = match (body, behaviour) {
            (_, Behaviour::Release) => Verdict::of(&execution.release().await, Verdict::Released),
            // Dropping the execution records the attempt as failed, best effort.
            (_, Behaviour::Cancel) => return drop(execution),
            (Ok(()), _) => Verdict::of(&execution.succeed().await, Verdict::Succeeded),
            (Err(failure), _) => Verdict::of(&execution.fail(failure).await, Verdict::Failed),
        };
        journal.told(task, attempt, verdict);
    }

    async fn body(&self, task: &mut Execution<Job>) -> Result<(), Failure> {
        let plan = self.chaos.plan;
        let attempt = task.attempt();
        let behaviour = plan.behaviour(*task.task_id(), attempt);
        let inside = self.chaos.journal.begin(task, &self.owner, behaviour);
        let slices = 1 + plan.draw(("slices", task.task_id(), attempt), 3);
        for slice in 0..slices {
            tokio::time::sleep(Duration::from_millis(
                plan.draw(("slice", task.task_id(), attempt, slice), 8),
            ))
            .await;
            inside.still_here(task);
        }
        match behaviour {
            Behaviour::Work | Behaviour::Release | Behaviour::Cancel => {}
            Behaviour::Save => {
                task.data_mut().saved_by = Some(attempt);
                task.save().await?;
                inside.saved();
                inside.still_here(task);
            }
            Behaviour::Fail => return Err("this body fails on purpose".into()),
            // `resume_unwind` skips the panic hook, which would print every panic.
            Behaviour::Panic => std::panic::resume_unwind(Box::new(ON_PURPOSE)),
            Behaviour::Hang => {
                inside.stay_until(task, tokio::time::sleep(HANG)).await;
            }
            Behaviour::Block => {
                std::thread::sleep(SHORTEST_LEASE / 2);
                inside.stay_until(task, task.spawn_blocking(|_| std::thread::sleep(HANG))).await;
            }
            Behaviour::Refuse => {
                task.on_success(self.chaos.count(u32::MAX, Some("attribute_exists(successes)"))?)?;
            }
            Behaviour::Vanish if self.chaos.is_process => {
                self.chaos.journal.faults(self.chaos.network.injected());
                std::process::exit(VANISHED);
            }
            Behaviour::Vanish => {
                drop(inside);
                self.alive.vanish();
                std::future::pending::<()>().await;
            }
        }
        task.data_mut().done_by = Some(attempt);
        if plan.effects {
            task.on_success(self.chaos.count(*task.task_id(), None)?)?;
        }
        Ok(())
    }
}
