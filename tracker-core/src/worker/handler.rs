//! Bodies that a worker can run on any thread.

use crate::lifecycle::execution::Execution;
use crate::lifecycle::failure::Failure;
use crate::tracker::status_tracker::StatusTracker;

/// The body of a task, for [`Worker::run`](crate::Worker::run): an async closure whose future is `Send`.
///
/// It names that future, which the `AsyncFnOnce` beside it cannot; every such closure is one, and nothing else.
#[diagnostic::on_unimplemented(
    message = "this is no body that a worker can run",
    label = "not an async closure or function whose future is `Send` and a `Result<(), Failure>`",
    note = "write `async move |task| ..`, and not `|task| async move ..`; it returns `Result<(), Failure>`",
    note = "what it holds over an `.await` must be `Send` (an `Rc` or a `MutexGuard` is not); `run_local` takes any body"
)]
pub trait Handler<'a, T: StatusTracker>: sealed::Sealed<'a, T> {
    #[doc(hidden)]
    type __Future: Future<Output = Result<(), Failure>> + Send + 'a;

    #[doc(hidden)]
    fn __call(self, task: &'a mut Execution<T>) -> Self::__Future;
}

mod sealed {
    pub trait Sealed<'a, T> {}
}

impl<'a, T, B, R> sealed::Sealed<'a, T> for B
where
    T: StatusTracker,
    B: FnOnce(&'a mut Execution<T>) -> R,
    R: Future<Output = Result<(), Failure>> + Send + 'a,
{
}

#[diagnostic::do_not_recommend]
impl<'a, T, B, R> Handler<'a, T> for B
where
    T: StatusTracker,
    B: FnOnce(&'a mut Execution<T>) -> R,
    R: Future<Output = Result<(), Failure>> + Send + 'a,
{
    type __Future = R;

    fn __call(self, task: &'a mut Execution<T>) -> R {
        self(task)
    }
}
