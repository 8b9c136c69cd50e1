//! The bodies that a worker can run on any thread.

use crate::lifecycle::execution::Execution;
use crate::lifecycle::failure::Failure;
use crate::tracker::status_tracker::StatusTracker;

/// The body of a task, for [`Worker::run`](crate::Worker::run): an async closure whose future is `Send`.
///
/// It is implemented for every such closure and cannot be implemented by hand. It names the type of the future, so
/// that [`Worker::run`](crate::Worker::run) can require it to be `Send`.
#[diagnostic::on_unimplemented(
    message = "a worker cannot run this body",
    label = "not an async closure or function that returns `Result<(), Failure>` and whose future is `Send`",
    note = "write `async move |task| ..` instead of `|task| async move ..`, and return `Result<(), Failure>`",
    note = "values that the body holds across an `.await` must be `Send`, which an `Rc` or a `MutexGuard` is not; `run_local` needs no `Send`"
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
