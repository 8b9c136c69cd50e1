//! What is seen to from outside of every runtime, by a thread of the process that looks once a second.
//!
//! It has to be a thread. A worker thread of Tokio that computes may be the one that the timers and sockets of its runtime
//! wait for: nothing of that runtime wakes up by itself then, heartbeats included. Whatever is spawned or woken from outside
//! wakes another worker thread, which takes over the timers and sockets, too.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

/// The time from one look to the next.
pub(crate) const TICK: Duration = Duration::from_secs(1);

type Later = Box<dyn FnOnce() + Send>;

/// What waits for the next look.
pub(crate) struct Ticker {
    state: Mutex<State>,
    by_hand: bool,
}

#[derive(Default)]
struct State {
    waiting: Vec<Later>,
    /// The process in which the thread runs, for as long as anything waits: in one that was forked it does not.
    watched_in: Option<u32>,
}

impl Ticker {
    /// The one of the process.
    pub(crate) fn of_process() -> Arc<Self> {
        static OF_PROCESS: LazyLock<Arc<Ticker>> = LazyLock::new(|| Ticker::new(false));
        Arc::clone(&OF_PROCESS)
    }

    /// One that looks when it is told to.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn by_hand() -> Arc<Self> {
        Self::new(true)
    }

    fn new(by_hand: bool) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), by_hand })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something at the next look, on the thread that looks, which it must not block. Whether there will be one: not where
    /// the system has no thread to give, and then it is dropped.
    pub(crate) fn at_next_tick(self: &Arc<Self>, later: impl FnOnce() + Send + 'static) -> bool {
        let mut state = self.state();
        let process = std::process::id();
        if !self.by_hand && state.watched_in != Some(process) {
            let ticker = Arc::clone(self);
            let thread = thread::Builder::new().name("tracker-ticker".to_owned());
            if thread.spawn(move || ticker.watch()).is_err() {
                return false;
            }
            state.watched_in = Some(process);
        }
        state.waiting.push(Box::new(later));
        true
    }

    /// Waits for the next look; for ever, where there will be none.
    pub(crate) async fn next_tick(self: &Arc<Self>) {
        let (looks, looked) = oneshot::channel();
        let told = move || {
            // Whoever waits may have been woken by something else.
            let _ = looks.send(());
        };
        if !self.at_next_tick(told) || looked.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Looks. Whether anything has waited.
    pub(crate) fn tick(&self) -> bool {
        let mut state = self.state();
        let waiting = std::mem::take(&mut state.waiting);
        let has_waited = !waiting.is_empty();
        if !has_waited {
            state.watched_in = None;
        }
        drop(state);
        for later in waiting {
            // The hook has told of a panic, and others wait. Dropping what it was about could panic again.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(later)) {
                std::mem::forget(panic);
            }
        }
        has_waited
    }

    fn watch(&self) {
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
        f.debug_struct("Ticker").field("waiting", &self.state().waiting.len()).finish_non_exhaustive()
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
        Self(Ticker::by_hand())
    }

    /// Runs everything that waits for the tick. Returns whether anything did.
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
    fn what_waits_is_done_once_and_a_panic_keeps_nothing_from_being_done() {
        let (ticker, (done, has_been)) = (Ticker::by_hand(), mpsc::channel());
        for nth in [1, 2, 3] {
            let done = done.clone();
            assert!(ticker.at_next_tick(move || {
                assert_ne!(nth, 2, "on purpose");
                done.send(nth).unwrap();
            }));
        }
        assert!(ticker.tick());
        assert_eq!(has_been.try_iter().collect::<Vec<_>>(), [1, 3]);
        assert!(!ticker.tick());
        assert_eq!(has_been.try_iter().next(), None);
    }

    /// A panic with this is followed by another one, when it is dropped.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose, too");
        }
    }

    #[test]
    fn a_panic_that_panics_again_keeps_nothing_from_being_done() {
        let (ticker, (done, has_been)) = (Ticker::by_hand(), mpsc::channel());
        ticker.at_next_tick(|| std::panic::panic_any(Bomb));
        ticker.at_next_tick(move || done.send(()).unwrap());
        assert!(ticker.tick());
        assert!(has_been.try_recv().is_ok());
    }

    #[test]
    fn what_is_done_may_ask_for_the_next_look() {
        let (ticker, (done, has_been)) = (Ticker::by_hand(), mpsc::channel());
        let again = Arc::clone(&ticker);
        ticker.at_next_tick(move || {
            again.at_next_tick(move || done.send(()).unwrap());
        });
        assert!(ticker.tick());
        assert!(has_been.try_recv().is_err());
        assert!(ticker.tick());
        assert!(has_been.try_recv().is_ok());
    }

    #[test]
    fn a_thread_looks_while_anything_waits_and_another_one_when_something_waits_again() {
        let ticker = Ticker::new(false);
        for _ in 0..2 {
            let (done, has_been) = mpsc::channel();
            assert!(ticker.at_next_tick(move || done.send(thread::current().id()).unwrap()));
            assert!(ticker.state().watched_in.is_some());
            assert_ne!(has_been.recv().unwrap(), thread::current().id());
            while ticker.state().watched_in.is_some() {
                thread::yield_now();
            }
        }
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_a_look() {
        let ticker = Ticker::by_hand();
        let waits = tokio::spawn({
            let ticker = Arc::clone(&ticker);
            async move { ticker.next_tick().await }
        });
        while !ticker.tick() {
            tokio::task::yield_now().await;
        }
        waits.await.unwrap();
    }
}
