//! Work that its caller polls, and that goes on without it.
//!
//! A task of its own for it would cost more than it does: tasks that wake each other one after the other make Tokio wake
//! another thread, each time. So it is spawned only when its caller drops it, or leaves it alone until the next look.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::runtime::ticker::Ticker;

/// Polls a future to its end: as this is polled; in a task of its own once this is dropped, or left alone until the lookout
/// looks.
///
/// `None` where that task's runtime shuts down. Without a Tokio runtime, it is only polled with this.
pub(crate) fn detached<T: Send + 'static>(
    ticker: Option<&Arc<Ticker>>,
    future: impl Future<Output = T> + Send + 'static,
) -> Detached<T> {
    let slot = Arc::new(Slot(Mutex::new(State::Here { work: future.boxed(), caller: None })));
    let runtime = Handle::try_current().ok();
    if let (Some(ticker), Some(runtime)) = (ticker, &runtime) {
        take_over_at_next_tick(ticker, Arc::downgrade(&slot), runtime.clone());
    }
    Detached { slot, runtime }
}

/// The caller's hold on the work.
pub(crate) struct Detached<T: Send + 'static> {
    slot: Arc<Slot<T>>,
    runtime: Option<Handle>,
}

struct Slot<T>(Mutex<State<T>>);

/// Only one polls the work: by two in turns, one could go away with the wake-up that was for the other.
enum State<T> {
    /// The caller does, and this wakes it.
    Here { work: BoxFuture<'static, T>, caller: Option<Waker> },
    /// A task of its own does, from which its output comes.
    Elsewhere(oneshot::Receiver<std::thread::Result<T>>),
    /// Nobody: it has ended, or is being polled by the caller.
    Nowhere,
}

impl<T> Slot<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Future for Detached<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.slot.state();
        match std::mem::replace(&mut *state, State::Nowhere) {
            State::Here { mut work, caller } => {
                let output = work.as_mut().poll(context);
                if output.is_pending() {
                    let waker = context.waker();
                    let caller = caller.filter(|caller| caller.will_wake(waker));
                    *state = State::Here { work, caller: caller.or_else(|| Some(waker.clone())) };
                }
                output.map(Some)
            }
            State::Elsewhere(mut output) => match output.poll_unpin(context) {
                Poll::Pending => {
                    *state = State::Elsewhere(output);
                    Poll::Pending
                }
                Poll::Ready(Ok(Ok(output))) => Poll::Ready(Some(output)),
                Poll::Ready(Ok(Err(panic))) => resume_unwind(panic),
                Poll::Ready(Err(_dropped)) => Poll::Ready(None),
            },
            State::Nowhere => Poll::Ready(None),
        }
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut *self.slot.state(), State::Nowhere);
        if let (State::Here { work, .. }, Some(runtime)) = (state, &self.runtime) {
            runtime.spawn(work.map(drop));
        }
    }
}

fn take_over_at_next_tick<T: Send + 'static>(ticker: &Arc<Ticker>, slot: Weak<Slot<T>>, runtime: Handle) {
    let again = Arc::downgrade(ticker);
    ticker.at_next_tick(move || {
        let Some(held) = slot.upgrade() else { return };
        let mut state = match held.0.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            // It is being polled, and so not left alone now. This thread does not wait for how long that takes.
            Err(TryLockError::WouldBlock) => {
                if let Some(ticker) = again.upgrade() {
                    take_over_at_next_tick(&ticker, slot, runtime);
                }
                return;
            }
        };
        match std::mem::replace(&mut *state, State::Nowhere) {
            State::Here { work, caller } => {
                let (send, output) = oneshot::channel();
                *state = State::Elsewhere(output);
                drop(state);
                runtime.spawn(async move {
                    // Whoever waited for it may be gone.
                    let _ = send.send(AssertUnwindSafe(work).catch_unwind().await);
                });
                // To wait for the output from now on.
                caller.into_iter().for_each(Waker::wake);
            }
            other => *state = other,
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc;

    use futures_util::task::noop_waker;
    use tokio::runtime::Builder;
    use tokio::sync::Semaphore;
    use tokio::task::yield_now;

    use super::*;

    struct World {
        ticker: Arc<Ticker>,
        permits: Arc<Semaphore>,
        has_ended: Arc<AtomicBool>,
    }

    impl World {
        fn new() -> Self {
            let (permits, has_ended) = (Arc::new(Semaphore::new(0)), Arc::default());
            Self { ticker: Ticker::by_hand(), permits, has_ended }
        }

        /// Work that ends once there is a permit for it.
        fn work(&self) -> Detached<u8> {
            let (permits, has_ended) = (Arc::clone(&self.permits), Arc::clone(&self.has_ended));
            detached(Some(&self.ticker), async move {
                permits.acquire().await.unwrap().forget();
                has_ended.store(true, Ordering::SeqCst);
                7
            })
        }

        fn has_ended(&self) -> bool {
            self.has_ended.load(Ordering::SeqCst)
        }
    }

    async fn others_run() {
        for _ in 0..20 {
            yield_now().await;
        }
    }

    fn alive() -> usize {
        Handle::current().metrics().num_alive_tasks()
    }

    fn poll_once<T: Send + 'static>(detached: &mut Detached<T>, waker: &Waker) -> Poll<Option<T>> {
        detached.poll_unpin(&mut Context::from_waker(waker))
    }

    #[tokio::test]
    async fn what_ends_in_time_is_spawned_nowhere() {
        let world = World::new();
        world.permits.add_permits(1);
        let work = world.work();
        assert_eq!((work.await, alive()), (Some(7), 0));
        world.ticker.tick();
        assert_eq!(alive(), 0);
    }

    #[tokio::test]
    async fn what_is_dropped_goes_on_at_once() {
        let world = World::new();
        let mut work = world.work();
        assert!(poll_once(&mut work, &noop_waker()).is_pending());
        drop(work);
        assert_eq!(alive(), 1);
        world.permits.add_permits(1);
        others_run().await;
        assert!(world.has_ended());
        world.ticker.tick();
        assert_eq!(alive(), 0);
    }

    #[tokio::test]
    async fn what_is_left_alone_goes_on_at_the_next_look_and_wakes_its_caller() {
        let world = World::new();
        let (asleep, is_asleep) = oneshot::channel();
        let mut work = world.work();
        let caller = tokio::spawn(async move {
            assert!(poll_once(&mut work, &noop_waker()).is_pending());
            let _ = asleep.send(());
            work.await
        });
        is_asleep.await.unwrap();
        others_run().await;
        world.ticker.tick();
        others_run().await;
        assert_eq!(alive(), 2, "it has a task of its own");
        world.permits.add_permits(1);
        assert_eq!((caller.await.unwrap(), world.has_ended()), (Some(7), true));
    }

    #[tokio::test]
    async fn what_is_taken_over_ends_while_nobody_polls_it() {
        let world = World::new();
        let mut work = world.work();
        assert!(poll_once(&mut work, &noop_waker()).is_pending());
        world.permits.add_permits(1);
        others_run().await;
        assert!(!world.has_ended());
        world.ticker.tick();
        others_run().await;
        assert!(world.has_ended());
        assert_eq!(poll_once(&mut work, &noop_waker()), Poll::Ready(Some(7)));
    }

    #[tokio::test]
    async fn a_panic_is_the_callers() {
        for by_look in [false, true] {
            let ticker = Ticker::by_hand();
            let mut work = detached::<()>(Some(&ticker), async {
                yield_now().await;
                panic!("in the middle")
            });
            if by_look {
                assert!(poll_once(&mut work, &noop_waker()).is_pending());
                ticker.tick();
            }
            let panic = AssertUnwindSafe(work).catch_unwind().await.unwrap_err();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"in the middle"));
        }
    }

    /// Work that is woken while its caller polls it for the last time, with the caller's poll on one thread and, on another,
    /// the look or the wake-up that comes in between.
    #[test]
    fn a_wake_up_during_the_callers_last_poll_is_not_lost() {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let _entered = runtime.enter();
        let ticker = Ticker::by_hand();
        let (polls, (in_poll, is_in_poll), (go_on, goes_on)) =
            (Arc::new(AtomicUsize::new(0)), mpsc::channel(), mpsc::channel::<()>());
        let woken: Arc<Mutex<Option<Waker>>> = Arc::default();
        let work = {
            let (polls, woken) = (Arc::clone(&polls), Arc::clone(&woken));
            let channels = Mutex::new((in_poll, goes_on));
            std::future::poll_fn(move |context| {
                *woken.lock().unwrap() = Some(context.waker().clone());
                match polls.fetch_add(1, Ordering::SeqCst) {
                    0 => {
                        let channels = channels.lock().unwrap();
                        channels.0.send(()).unwrap();
                        channels.1.recv().unwrap();
                        Poll::Pending
                    }
                    _ => Poll::Ready(7),
                }
            })
        };
        let mut work = detached(Some(&ticker), work);
        let caller = std::thread::spawn(move || {
            assert!(poll_once(&mut work, &noop_waker()).is_pending());
            work
        });
        is_in_poll.recv().unwrap();
        assert!(ticker.tick(), "it is being polled, and waits for another look");
        woken.lock().unwrap().take().unwrap().wake();
        go_on.send(()).unwrap();
        let work = caller.join().unwrap();
        assert_eq!(polls.load(Ordering::SeqCst), 1);
        assert!(ticker.tick());
        assert_eq!((runtime.block_on(work), polls.load(Ordering::SeqCst)), (Some(7), 2));
    }

    #[test]
    fn one_whose_runtime_shuts_down_has_no_output() {
        let world = World::new();
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut work = {
            let _entered = runtime.enter();
            world.work()
        };
        assert!(poll_once(&mut work, &noop_waker()).is_pending());
        drop(runtime);
        assert!(world.ticker.tick());
        assert_eq!(poll_once(&mut work, &noop_waker()), Poll::Ready(None));
    }

    #[test]
    fn without_a_runtime_its_caller_polls_it_to_the_end() {
        let world = World::new();
        let mut work = world.work();
        assert!(poll_once(&mut work, &noop_waker()).is_pending());
        assert!(!world.ticker.tick(), "nobody could spawn it");
        world.permits.add_permits(1);
        assert_eq!(poll_once(&mut work, &noop_waker()), Poll::Ready(Some(7)));
    }
}
