//! A future that keeps running after its caller drops it or stops polling it.
//!
//! The caller polls the future as long as it can, because a spawned task would cost more than the work: tasks that
//! wake each other in turn make Tokio wake another thread each time. So the future is spawned only if the caller
//! drops it, or if it is not finished at the next tick.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::runtime::ticker::Ticker;

/// Returns a future that its caller polls, and that is spawned if it is dropped or not finished at the next tick.
///
/// The output is `None` if the runtime of the spawned task shuts down. Without a Tokio runtime, nothing is spawned:
/// only the caller polls the future. Without a ticker, it is spawned only if it is dropped.
pub(crate) fn detached<T: Send + 'static>(
    ticker: Option<&Arc<Ticker>>,
    future: impl Future<Output = T> + Send + 'static,
) -> Detached<T> {
    let shared = Arc::new(Shared(Mutex::new(State::Inline { work: future.boxed(), caller: None })));
    let runtime = Handle::try_current().ok();
    if let (Some(ticker), Some(runtime)) = (ticker, &runtime) {
        spawn_at_next_tick(ticker, Arc::downgrade(&shared), runtime.clone());
    }
    Detached { shared, runtime }
}

/// The caller's handle on the work.
pub(crate) struct Detached<T: Send + 'static> {
    shared: Arc<Shared<T>>,
    runtime: Option<Handle>,
}

struct Shared<T>(Mutex<State<T>>);

/// Who polls the work. Two in turns would lose wake-ups: one could drop the wake-up that was for the other.
enum State<T> {
    /// The caller polls the work. `caller` is its waker.
    Inline { work: BoxFuture<'static, T>, caller: Option<Waker> },
    /// A spawned task polls the work, and sends its output.
    Spawned(oneshot::Receiver<std::thread::Result<T>>),
    /// The work has ended, or the caller polls it now.
    Taken,
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Future for Detached<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.shared.state();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Inline { mut work, caller } => {
                let output = work.as_mut().poll(context);
                if output.is_pending() {
                    let waker = context.waker();
                    let caller = caller.filter(|caller| caller.will_wake(waker));
                    *state = State::Inline { work, caller: caller.or_else(|| Some(waker.clone())) };
                }
                output.map(Some)
            }
            State::Spawned(mut output) => match output.poll_unpin(context) {
                Poll::Pending => {
                    *state = State::Spawned(output);
                    Poll::Pending
                }
                Poll::Ready(Ok(Ok(output))) => Poll::Ready(Some(output)),
                Poll::Ready(Ok(Err(panic))) => resume_unwind(panic),
                Poll::Ready(Err(_dropped)) => Poll::Ready(None),
            },
            State::Taken => Poll::Ready(None),
        }
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut *self.shared.state(), State::Taken);
        if let (State::Inline { work, .. }, Some(runtime)) = (state, &self.runtime) {
            runtime.spawn(work.map(drop));
        }
    }
}

/// Spawns the work at the next tick, if it is not finished then.
fn spawn_at_next_tick<T: Send + 'static>(ticker: &Arc<Ticker>, shared: Weak<Shared<T>>, runtime: Handle) {
    let again = Arc::downgrade(ticker);
    ticker.at_next_tick(move || {
        let Some(held) = shared.upgrade() else { return };
        let mut state = match held.0.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            // The caller polls the work now, so it is not left alone. This thread must not wait for the poll.
            Err(TryLockError::WouldBlock) => {
                if let Some(ticker) = again.upgrade() {
                    spawn_at_next_tick(&ticker, shared, runtime);
                }
                return;
            }
        };
        match std::mem::replace(&mut *state, State::Taken) {
            State::Inline { work, caller } => {
                let (send, output) = oneshot::channel();
                *state = State::Spawned(output);
                drop(state);
                runtime.spawn(async move {
                    // The caller may have dropped the receiver.
                    let _ = send.send(AssertUnwindSafe(work).catch_unwind().await);
                });
                // The caller has to wait for the output from now on.
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
            Self { ticker: Ticker::manual(), permits, has_ended }
        }

        /// Returns work that ends once it gets a permit.
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

    async fn let_other_tasks_run() {
        for _ in 0..20 {
            yield_now().await;
        }
    }

    fn alive_tasks() -> usize {
        Handle::current().metrics().num_alive_tasks()
    }

    fn poll_once<T: Send + 'static>(detached: &mut Detached<T>, waker: &Waker) -> Poll<Option<T>> {
        detached.poll_unpin(&mut Context::from_waker(waker))
    }

    #[tokio::test]
    async fn work_that_ends_before_the_tick_is_never_spawned() {
        let world = World::new();
        world.permits.add_permits(1);
        let work = world.work();
        assert_eq!((work.await, alive_tasks()), (Some(7), 0));
        world.ticker.tick();
        assert_eq!(alive_tasks(), 0);
    }

    #[tokio::test]
    async fn dropped_work_is_spawned_at_once() {
        let world = World::new();
        let mut work = world.work();
        assert!(poll_once(&mut work, &noop_waker()).is_pending());
        drop(work);
        assert_eq!(alive_tasks(), 1);
        world.permits.add_permits(1);
        let_other_tasks_run().await;
        assert!(world.has_ended());
        world.ticker.tick();
        assert_eq!(alive_tasks(), 0);
    }

    #[tokio::test]
    async fn unpolled_work_is_spawned_at_the_tick_and_wakes_its_caller() {
        let world = World::new();
        let (asleep, is_asleep) = oneshot::channel();
        let mut work = world.work();
        let caller = tokio::spawn(async move {
            assert!(poll_once(&mut work, &noop_waker()).is_pending());
            let _ = asleep.send(());
            work.await
        });
        is_asleep.await.unwrap();
        let_other_tasks_run().await;
        world.ticker.tick();
        let_other_tasks_run().await;
        assert_eq!(alive_tasks(), 2, "the caller, and the spawned work");
        world.permits.add_permits(1);
        assert_eq!((caller.await.unwrap(), world.has_ended()), (Some(7), true));
    }

    #[tokio::test]
    async fn spawned_work_ends_while_nobody_polls_it() {
        let world = World::new();
        let mut work = world.work();
        assert!(poll_once(&mut work, &noop_waker()).is_pending());
        world.permits.add_permits(1);
        let_other_tasks_run().await;
        assert!(!world.has_ended());
        world.ticker.tick();
        let_other_tasks_run().await;
        assert!(world.has_ended());
        assert_eq!(poll_once(&mut work, &noop_waker()), Poll::Ready(Some(7)));
    }

    #[tokio::test]
    async fn panic_of_the_work_reaches_the_caller() {
        for spawned in [false, true] {
            let ticker = Ticker::manual();
            let mut work = detached::<()>(Some(&ticker), async {
                yield_now().await;
                panic!("in the middle")
            });
            if spawned {
                assert!(poll_once(&mut work, &noop_waker()).is_pending());
                ticker.tick();
            }
            let panic = AssertUnwindSafe(work).catch_unwind().await.unwrap_err();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"in the middle"));
        }
    }

    /// The caller polls the work for the last time. During that poll, another thread ticks and wakes the work.
    #[test]
    fn wake_up_during_the_last_poll_of_the_caller_is_not_lost() {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let _entered = runtime.enter();
        let ticker = Ticker::manual();
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
        assert!(ticker.tick(), "the caller polls the work, so it waits for another tick");
        woken.lock().unwrap().take().unwrap().wake();
        go_on.send(()).unwrap();
        let work = caller.join().unwrap();
        assert_eq!(polls.load(Ordering::SeqCst), 1);
        assert!(ticker.tick());
        assert_eq!((runtime.block_on(work), polls.load(Ordering::SeqCst)), (Some(7), 2));
    }

    #[test]
    fn work_has_no_output_if_its_runtime_shuts_down() {
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
    fn without_a_runtime_the_caller_polls_the_work_to_its_end() {
        let world = World::new();
        let mut work = world.work();
        assert!(poll_once(&mut work, &noop_waker()).is_pending());
        assert!(!world.ticker.tick(), "nothing was queued");
        world.permits.add_permits(1);
        assert_eq!(poll_once(&mut work, &noop_waker()), Poll::Ready(Some(7)));
    }
}
