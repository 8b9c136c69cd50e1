//! The background thread of the process, with a Tokio runtime of its own. It sends heartbeats, and completes what a
//! dropped future has begun.
//!
//! It has to be a thread of its own. A body that blocks or computes stops the timers and sockets of its runtime, and a
//! future may be dropped when its runtime is gone.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::events;

/// How often the thread takes up what need not begin at once. It ends after a tick without work.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// Something that the thread does.
pub(crate) type Work = BoxFuture<'static, ()>;

/// Makes work at the next tick, or nothing if the work is no longer needed.
type Later = Box<dyn FnOnce() -> Option<Work> + Send>;

/// The background thread, which runs while it has work.
#[derive(Default)]
pub(crate) struct Background {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    later: Vec<Later>,
}

/// The thread while it runs.
struct Running {
    /// A forked process has no such thread.
    process: u32,
    inbox: UnboundedSender<Work>,
}

thread_local! {
    static IS_HERE: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether the caller runs on the background thread.
pub(crate) fn is_here() -> bool {
    IS_HERE.get()
}

impl Background {
    /// Returns the background thread of the process.
    pub(crate) fn of_process() -> &'static Self {
        static OF_PROCESS: Background =
            Background { state: Mutex::new(State { running: None, later: Vec::new() }) };
        &OF_PROCESS
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins work at once.
    pub(crate) fn spawn(&'static self, work: Work) {
        let mut state = self.state();
        if let Some(inbox) = self.running(&mut state) {
            // The thread ends only while nobody holds the state.
            let _ = inbox.send(work);
        } else if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(work);
        }
    }

    /// Begins work at the next tick, if `make` then returns any. This does not wake the thread.
    pub(crate) fn spawn_later(&'static self, make: impl FnOnce() -> Option<Work> + Send + 'static) {
        let mut state = self.state();
        if self.running(&mut state).is_some() {
            state.later.push(Box::new(make));
        } else if let (Ok(runtime), Some(work)) = (Handle::try_current(), make()) {
            runtime.spawn(work);
        }
    }

    /// Starts the thread unless it runs. Returns none if the system cannot start it.
    fn running<'s>(&'static self, state: &'s mut State) -> Option<&'s UnboundedSender<Work>> {
        let process = std::process::id();
        let runs = |running: &Running| running.process == process && !running.inbox.is_closed();
        if !state.running.as_ref().is_some_and(runs) {
            if state.running.as_ref().is_some_and(|running| running.process != process) {
                // After a fork, these belong to the parent. They are not dropped, because that could wait for a lock.
                std::mem::forget(std::mem::take(&mut state.later));
            }
            let (inbox, outbox) = mpsc::unbounded_channel();
            let thread = thread::Builder::new().name("tracker-background".to_owned());
            let runtime = Builder::new_current_thread().enable_all().thread_name("tracker-blocking").build();
            let started = runtime.and_then(|runtime| thread.spawn(move || self.run(runtime, outbox)));
            if let Err(error) = started {
                tracing::error!(
                    target: "tracker_core::background",
                    error = &error as &dyn std::error::Error,
                    "the background thread could not be started; a body that blocks its thread may lose its lease"
                );
                return None;
            }
            state.running = Some(Running { process, inbox });
        }
        state.running.as_ref().map(|running| &running.inbox)
    }

    fn run(&self, runtime: Runtime, inbox: UnboundedReceiver<Work>) {
        IS_HERE.set(true);
        runtime.block_on(self.serve(inbox));
        // Not dropped, because that would wait for a name to be resolved.
        runtime.shutdown_background();
    }

    /// Does all work that arrives, until none is left.
    async fn serve(&self, mut inbox: UnboundedReceiver<Work>) {
        let mut works = JoinSet::new();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_idle = false;
        loop {
            tokio::select! {
                Some(work) = inbox.recv() => drop(works.spawn(work)),
                // The panic hook has reported a panic of some work, and the other work goes on.
                Some(_) = works.join_next() => {}
                _ = ticks.tick() => {
                    let later = std::mem::take(&mut self.state().later);
                    for work in later.into_iter().filter_map(|make| make()) {
                        works.spawn(work);
                    }
                    if works.is_empty() && was_idle && self.end(&inbox) {
                        return;
                    }
                    was_idle = works.is_empty();
                }
            }
        }
    }

    /// Forgets the thread, unless more work has arrived.
    fn end(&self, inbox: &UnboundedReceiver<Work>) -> bool {
        let mut state = self.state();
        let may_end = inbox.is_empty() && state.later.is_empty() && events::are_delivered();
        if may_end {
            state.running = None;
        }
        may_end
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn thread() -> &'static Background {
        Box::leak(Box::default())
    }

    fn ended(background: &Background) -> bool {
        background.state().running.is_none()
    }

    fn wait_until(what: &str, holds: impl Fn() -> bool) {
        let begin = std::time::Instant::now();
        while !holds() {
            assert!(begin.elapsed() < LONG, "waited a minute until {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn work_runs_on_one_thread_that_ends_and_starts_again() {
        let background = thread();
        for _ in 0..2 {
            let (done, was_done) = mpsc::channel();
            for _ in 0..2 {
                let done = done.clone();
                let work = async move { done.send((is_here(), thread::current().id())).unwrap() };
                background.spawn(work.boxed());
            }
            let (first, second) =
                (was_done.recv_timeout(LONG).unwrap(), was_done.recv_timeout(LONG).unwrap());
            assert!(first == second && first.0);
            assert!(!is_here());
            wait_until("the thread has ended", || ended(background));
        }
    }

    #[test]
    fn later_work_is_made_only_if_it_is_still_needed() {
        let background = thread();
        let (done, was_done) = mpsc::channel();
        background.spawn_later(|| None);
        background.spawn_later(move || Some(async move { done.send(()).unwrap() }.boxed()));
        was_done.recv_timeout(LONG).unwrap();
        wait_until("the thread has ended", || ended(background));
    }

    /// A forked process has the state of its parent, but not the parent's thread.
    #[test]
    fn forked_process_starts_a_thread_of_its_own() {
        let background = thread();
        let (inbox, mut of_parent) = tokio::sync::mpsc::unbounded_channel();
        let later_of_parent: Later = Box::new(|| unreachable!("the parent does this"));
        *background.state() = State {
            running: Some(Running { process: std::process::id() + 1, inbox }),
            later: vec![later_of_parent],
        };
        let (done, was_done) = mpsc::channel();
        background.spawn(async move { done.send(is_here()).unwrap() }.boxed());
        assert!(was_done.recv_timeout(LONG).unwrap());
        assert!(of_parent.try_recv().is_err(), "nothing is sent to a thread that does not run");
        wait_until("the thread has ended", || ended(background));
    }

    #[test]
    fn panic_of_one_work_does_not_stop_the_others() {
        let background = thread();
        let (done, was_done) = mpsc::channel();
        let (go_on, goes_on) = tokio::sync::oneshot::channel();
        background.spawn(
            async move {
                goes_on.await.unwrap();
                done.send(()).unwrap();
            }
            .boxed(),
        );
        background.spawn(async { std::panic::resume_unwind(Box::new("on purpose")) }.boxed());
        background.spawn(async { go_on.send(()).unwrap() }.boxed());
        was_done.recv_timeout(LONG).unwrap();
    }
}
