//! A background thread that runs queued callbacks once a second, outside any Tokio runtime.
//!
//! It has to be a thread. If a worker thread of Tokio computes, the timers and sockets of its runtime may wait for
//! that thread. Then no task of the runtime wakes up by itself, not even a heartbeat. A callback of this thread can
//! spawn or wake a task: that wakes another worker thread, which takes over the timers and sockets as well.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

/// The time from one tick to the next.
pub(crate) const TICK: Duration = Duration::from_secs(1);

type Callback = Box<dyn FnOnce() + Send>;

/// The callbacks of the next tick, and the thread that runs them.
pub(crate) struct Ticker {
    state: Mutex<State>,
    is_manual: bool,
}

#[derive(Default)]
struct State {
    callbacks: Vec<Callback>,
    /// The id of the process in which the thread runs, while it runs. A forked process has no such thread.
    runs_in: Option<u32>,
}

impl Ticker {
    /// Returns the ticker of the process.
    pub(crate) fn of_process() -> Arc<Self> {
        static OF_PROCESS: LazyLock<Arc<Ticker>> = LazyLock::new(|| Ticker::new(false));
        Arc::clone(&OF_PROCESS)
    }

    /// Returns a ticker that ticks only when [`tick`](Self::tick) is called.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn manual() -> Arc<Self> {
        Self::new(true)
    }

    fn new(is_manual: bool) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), is_manual })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a callback for the next tick. It runs on the ticker's thread and must not block.
    ///
    /// Returns false and drops the callback if the system cannot start the thread.
    pub(crate) fn at_next_tick(self: &Arc<Self>, callback: impl FnOnce() + Send + 'static) -> bool {
        let mut state = self.state();
        let process = std::process::id();
        if !self.is_manual && state.runs_in != Some(process) {
            let ticker = Arc::clone(self);
            let thread = thread::Builder::new().name("tracker-ticker".to_owned());
            if thread.spawn(move || ticker.run()).is_err() {
                return false;
            }
            state.runs_in = Some(process);
        }
        state.callbacks.push(Box::new(callback));
        true
    }

    /// Waits for the next tick; for ever, if the system cannot start the thread.
    pub(crate) async fn next_tick(self: &Arc<Self>) {
        let (sender, receiver) = oneshot::channel();
        let notify = move || {
            // The receiver is gone if something else has woken the waiting task.
            let _ = sender.send(());
        };
        if !self.at_next_tick(notify) || receiver.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Runs the queued callbacks. Returns whether there were any.
    pub(crate) fn tick(&self) -> bool {
        let mut state = self.state();
        let callbacks = std::mem::take(&mut state.callbacks);
        let had_callbacks = !callbacks.is_empty();
        if !had_callbacks {
            state.runs_in = None;
        }
        drop(state);
        for callback in callbacks {
            // The panic hook has reported the panic, and the other callbacks must run.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(callback)) {
                // Dropping the payload could panic again.
                std::mem::forget(panic);
            }
        }
        had_callbacks
    }

    /// Ticks once a second, until a tick has nothing to run.
    fn run(&self) {
        loop {
            thread::sleep(TICK);
            if !self.tick() {
                return;
            }
        }
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").field("callbacks", &self.state().callbacks.len()).finish_non_exhaustive()
    }
}

/// A ticker that ticks when a test says so. Not public API.
#[cfg(feature = "testing")]
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct ManualTicker(pub(crate) Arc<Ticker>);

#[cfg(feature = "testing")]
impl ManualTicker {
    /// Returns a ticker without a thread.
    #[expect(clippy::new_without_default, reason = "there is one way to get it")]
    #[must_use]
    pub fn new() -> Self {
        Self(Ticker::manual())
    }

    /// Runs the queued callbacks. Returns whether there were any.
    #[must_use]
    pub fn tick(&self) -> bool {
        self.0.tick()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn tick_runs_each_callback_once_even_if_one_panics() {
        let (ticker, (done, was_done)) = (Ticker::manual(), mpsc::channel());
        for nth in [1, 2, 3] {
            let done = done.clone();
            assert!(ticker.at_next_tick(move || {
                assert_ne!(nth, 2, "on purpose");
                done.send(nth).unwrap();
            }));
        }
        assert!(ticker.tick());
        assert_eq!(was_done.try_iter().collect::<Vec<_>>(), [1, 3]);
        assert!(!ticker.tick());
        assert_eq!(was_done.try_iter().next(), None);
    }

    /// A payload of a panic that panics when it is dropped.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose, again");
        }
    }

    #[test]
    fn payload_that_panics_does_not_stop_the_tick() {
        let (ticker, (done, was_done)) = (Ticker::manual(), mpsc::channel());
        ticker.at_next_tick(|| std::panic::panic_any(Bomb));
        ticker.at_next_tick(move || done.send(()).unwrap());
        assert!(ticker.tick());
        assert!(was_done.try_recv().is_ok());
    }

    #[test]
    fn callback_can_queue_another_for_the_next_tick() {
        let (ticker, (done, was_done)) = (Ticker::manual(), mpsc::channel());
        let again = Arc::clone(&ticker);
        ticker.at_next_tick(move || {
            again.at_next_tick(move || done.send(()).unwrap());
        });
        assert!(ticker.tick());
        assert!(was_done.try_recv().is_err());
        assert!(ticker.tick());
        assert!(was_done.try_recv().is_ok());
    }

    #[test]
    fn thread_ends_after_an_idle_tick_and_starts_again() {
        let ticker = Ticker::new(false);
        for _ in 0..2 {
            let (done, was_done) = mpsc::channel();
            assert!(ticker.at_next_tick(move || done.send(thread::current().id()).unwrap()));
            assert!(ticker.state().runs_in.is_some());
            assert_ne!(was_done.recv().unwrap(), thread::current().id());
            while ticker.state().runs_in.is_some() {
                thread::yield_now();
            }
        }
    }

    #[tokio::test]
    async fn tick_wakes_a_task_that_waits_for_it() {
        let ticker = Ticker::manual();
        let waiting = tokio::spawn({
            let ticker = Arc::clone(&ticker);
            async move { ticker.next_tick().await }
        });
        while !ticker.tick() {
            tokio::task::yield_now().await;
        }
        waiting.await.unwrap();
    }
}
