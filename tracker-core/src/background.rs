//! Work that goes on without its caller, spawned no sooner than it has to be.
//!
//! A spawn costs more than what it saves where the work is over in milliseconds: tasks that wake each other one after the
//! other make Tokio wake another thread. So a start and a finish are polled by whoever awaits them, and spawned when they are
//! dropped, or have not ended by the next look; and a heartbeat is spawned for a lease that is still held then.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::time::Clock;

/// The time from one look to the next.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

type Work = BoxFuture<'static, ()>;
type Needed = Box<dyn FnOnce() -> Option<Work> + Send>;

/// What waits for the next look.
pub(crate) struct Background {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What may be needed, each with the runtime that it is for.
    waiting: Vec<(Handle, Needed)>,
    looks: Looks,
}

/// Whether a task looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Looks {
    #[default]
    No,
    /// It was spawned, and not polled yet.
    Soon,
    Yes,
}

impl Background {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spawns what is still needed at the next look, which is a second off at most. Whether the task that looks has begun: before
    /// it was polled once, it cannot wake up by itself.
    pub(crate) fn later(
        self: &Arc<Self>,
        runtime: &Handle,
        needed: impl FnOnce() -> Option<Work> + Send + 'static,
    ) -> bool {
        let mut state = self.state();
        state.waiting.push((runtime.clone(), Box::new(needed)));
        let looks = state.looks;
        if looks == Looks::No {
            state.looks = Looks::Soon;
        }
        drop(state);
        if looks == Looks::No {
            runtime.spawn(Looking(Some(Arc::clone(self))).run());
        }
        looks == Looks::Yes
    }

    /// Spawns what is needed. Whether anything has waited: where nothing has, nobody looks any more.
    fn look(&self) -> bool {
        let mut state = self.state();
        let waiting = std::mem::take(&mut state.waiting);
        let has_waited = !waiting.is_empty();
        state.looks = if has_waited { Looks::Yes } else { Looks::No };
        drop(state);
        spawn(waiting);
        has_waited
    }
}

fn spawn(waiting: Vec<(Handle, Needed)>) {
    for (runtime, needed) in waiting {
        if let Some(work) = needed() {
            runtime.spawn(work);
        }
    }
}

/// The task that looks, for as long as anything waits.
struct Looking(Option<Arc<Background>>);

impl Looking {
    async fn run(mut self) {
        while let Some(background) = &self.0 {
            background.state().looks = Looks::Yes;
            background.clock.sleep(LOOK).await;
            if !background.look() {
                self.0 = None;
            }
        }
    }
}

impl Drop for Looking {
    /// Its runtime shuts down: what waits for another one does not wait any longer.
    fn drop(&mut self) {
        if let Some(background) = self.0.take() {
            let mut state = background.state();
            state.looks = Looks::No;
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            spawn(waiting);
        }
    }
}

/// Polls a future to its end: as this is polled, and in a task of its own once this is dropped, or left alone until the next
/// look.
///
/// Without a Tokio runtime it is only polled with this. With a made-up clock there are no looks: whoever sets that one
/// forward counts those who sleep by it.
pub(crate) async fn detached<F>(background: &Arc<Background>, future: F) -> F::Output
where
    F: Future + Send + Unpin + 'static,
    F::Output: Send + 'static,
{
    let Ok(runtime) = Handle::try_current() else {
        return future.await;
    };
    let (send, mut answer) = oneshot::channel();
    let shared = async move {
        // Whoever waited for it may be gone.
        let _ = send.send(future.await);
    };
    let shared = shared.boxed().shared();
    if let (Some(weak), false) = (shared.downgrade(), background.clock.is_simulated()) {
        background.later(&runtime, move || weak.upgrade().map(FutureExt::boxed));
    }
    Driven { shared, runtime }.await;
    match answer.try_recv() {
        Ok(output) => output,
        // It was sent before the future ended.
        Err(_) => std::future::pending().await,
    }
}

/// The caller's hold on a detached future.
struct Driven {
    shared: Shared<Work>,
    runtime: Handle,
}

impl Future for Driven {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.shared.poll_unpin(context)
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        // None is left of one that has ended; more than this one, where a look has spawned it.
        if self.shared.strong_count() == Some(1) {
            self.runtime.spawn(self.shared.clone());
        }
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("waiting", &self.state().waiting.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::panic::AssertUnwindSafe;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::Semaphore;
    use tokio::task::yield_now;

    use super::*;
    use crate::time::{Now, Sleep, SystemClock};

    /// A clock by which nobody wakes up until there is a permit for it.
    #[derive(Debug, Clone)]
    struct Permits(Arc<Semaphore>);

    impl Clock for Permits {
        fn now(&self) -> Now {
            SystemClock.now()
        }

        fn sleep(&self, _: Duration) -> Sleep {
            let permits = Arc::clone(&self.0);
            Box::pin(async move { permits.acquire_owned().await.unwrap().forget() })
        }
    }

    struct World {
        looks: Arc<Semaphore>,
        background: Arc<Background>,
    }

    impl World {
        fn new() -> Self {
            let looks = Arc::new(Semaphore::new(0));
            let background = Arc::new(Background::new(Arc::new(Permits(Arc::clone(&looks)))));
            Self { looks, background }
        }

        async fn look(&self) {
            self.looks.add_permits(1);
            others_run().await;
        }

        fn is_looking(&self) -> bool {
            self.background.state().looks != Looks::No
        }
    }

    async fn others_run() {
        for _ in 0..20 {
            yield_now().await;
        }
    }

    /// A future that ends once there is a permit for it, and whether it has.
    fn work(permits: &Arc<Semaphore>) -> (Pin<Box<impl Future<Output = u8> + use<>>>, Arc<AtomicBool>) {
        let (permits, ended) = (Arc::clone(permits), Arc::new(AtomicBool::new(false)));
        let end = Arc::clone(&ended);
        let work = Box::pin(async move {
            permits.acquire().await.unwrap().forget();
            end.store(true, Ordering::SeqCst);
            7
        });
        (work, ended)
    }

    async fn polled_once(future: &mut (impl Future + Unpin)) {
        poll_fn(|context| {
            assert!(future.poll_unpin(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn what_ends_in_time_is_spawned_nowhere() {
        let (world, permits) = (World::new(), Arc::new(Semaphore::new(1)));
        let tasks = || Handle::current().metrics().num_alive_tasks();
        assert_eq!(detached(&world.background, work(&permits).0).await, 7);
        assert_eq!((tasks(), world.is_looking()), (1, true), "the one that looks");
        world.look().await;
        assert_eq!((tasks(), world.is_looking()), (1, true));
        world.look().await;
        assert_eq!((tasks(), world.is_looking()), (0, false), "nothing has waited");
        permits.add_permits(1);
        assert_eq!(detached(&world.background, work(&permits).0).await, 7);
        assert!(world.is_looking());
    }

    #[tokio::test]
    async fn what_is_dropped_goes_on_at_once_and_what_was_never_polled_does_not_begin() {
        let (world, permits) = (World::new(), Arc::new(Semaphore::new(2)));
        let (unpolled, never) = work(&permits);
        drop(detached(&world.background, unpolled));
        permits.forget_permits(2);
        let (polled, ended) = work(&permits);
        let mut polled = Box::pin(detached(&world.background, polled));
        polled_once(&mut polled).await;
        drop(polled);
        permits.add_permits(2);
        others_run().await;
        assert!(ended.load(Ordering::SeqCst) && !never.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn what_is_left_alone_goes_on_at_the_next_look_and_its_caller_gets_the_answer() {
        let (world, permits) = (World::new(), Arc::new(Semaphore::new(0)));
        let (work, ended) = work(&permits);
        let mut left_alone = Box::pin(detached(&world.background, work));
        polled_once(&mut left_alone).await;
        permits.add_permits(1);
        others_run().await;
        assert!(!ended.load(Ordering::SeqCst));
        world.look().await;
        assert!(ended.load(Ordering::SeqCst));
        assert_eq!(left_alone.await, 7);
    }

    #[tokio::test]
    async fn a_panic_is_the_callers() {
        let world = World::new();
        let work = Box::pin(async { panic!("in the middle") });
        let panicked =
            AssertUnwindSafe(detached::<Pin<Box<dyn Future<Output = ()> + Send>>>(&world.background, work));
        let panic = panicked.catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"in the middle"));
    }

    #[test]
    fn a_runtime_that_shuts_down_leaves_nothing_of_another_one_waiting() {
        let (world, permits) = (World::new(), Arc::new(Semaphore::new(0)));
        let runtime = || Builder::new_current_thread().build().unwrap();
        let (first, second) = (runtime(), runtime());
        let poll = |runtime: &Runtime, work| {
            let background = Arc::clone(&world.background);
            let mut detached = Box::pin(async move { detached(&background, work).await });
            runtime.block_on(polled_once(&mut detached));
            detached
        };
        let (of_first, lost) = work(&permits);
        let (of_second, ended) = work(&permits);
        let _left_alone = poll(&first, of_first);
        let _left_alone_too = poll(&second, of_second);
        assert!(world.is_looking());
        drop(first);
        assert!(!world.is_looking());
        permits.add_permits(2);
        second.block_on(others_run());
        assert!(ended.load(Ordering::SeqCst) && !lost.load(Ordering::SeqCst));
    }
}
