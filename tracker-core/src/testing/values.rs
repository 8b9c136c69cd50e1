//! Tasks and errors without a database, for unit tests of code that maps them to something else.

use crate::declare::spec::TrackerSpec;
use crate::declare::status::TrackerStatus;
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{
    CREATE_TIME, Item, KEY, LOCK, LOCK_TIME, NOT_LOCKED, STATUS, UPDATE_TIME, VALUE, number, string, time,
};
use crate::item::head::{TaskHead, read_head};
use crate::item::use_case::UseCase;
use crate::time::Timestamp;
use crate::tracker::status_tracker::{StatusTracker, declared_status};
use crate::tracker::task::Task;

/// Returns the head of a task that was never started, in this status, as if it had been read.
///
/// # Errors
///
/// - [`InvalidTaskId`](ErrorKind::InvalidTaskId) if the id cannot be part of a key.
///
/// # Examples
///
/// A mapping of errors to HTTP is tested without a database:
///
/// ```
/// # use tracker_core::{Advice, Error, ErrorKind, StatusTracker, TrackerStatus, testing};
/// # #[derive(TrackerStatus, Clone, Copy)]
/// # enum DocumentStatus {
/// #     #[status(pending)] Pending = 10, #[status(in_progress)] InProgress = 12, #[status(failed)] Failed = 14,
/// #     #[status(succeeded)] Succeeded = 16, #[status(ignored)] Ignored = 18,
/// # }
/// # #[derive(StatusTracker)]
/// # #[tracker(use_case_id = "documents", status = DocumentStatus)]
/// # struct Document { #[tracker(task_id)] id: String }
/// fn http_status(error: &Error) -> u16 {
///     match (error.kind(), error.advice()) {
///         (ErrorKind::NotFound, _) => 404,
///         (_, Advice::Done) => 200,
///         (_, Advice::RetryLater { .. }) => 503,
///         _ => 500,
///     }
/// }
///
/// # fn main() -> Result<(), Error> {
/// let found = testing::head::<Document>("doc-1", DocumentStatus::Ignored)?;
/// assert!(found.is_ignored());
/// assert_eq!(http_status(&testing::error(ErrorKind::Ignored, Some(found))), 200);
/// assert_eq!(http_status(&testing::error(ErrorKind::NotFound, None)), 404);
/// # Ok(()) }
/// ```
pub fn head<T: StatusTracker>(task_id: &str, status: T::Status) -> Result<TaskHead, Error> {
    let spec: &'static TrackerSpec = &T::__SPEC;
    let use_case = UseCase::new(spec, spec.use_case_id);
    let key = use_case.key(task_id)?;
    let value = declared_status::<T>(status).map(|status| use_case.value(status, &key));
    let mut item: Item = [
        (KEY, string(&*key)),
        (STATUS, number(status.code())),
        (CREATE_TIME, time(Timestamp::EPOCH)),
        (UPDATE_TIME, time(Timestamp::EPOCH)),
        (LOCK, string(NOT_LOCKED)),
        (LOCK_TIME, time(Timestamp::EPOCH)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    item.extend(value.map(|value| (VALUE.to_owned(), string(value))));
    Ok(read_head(&mut item, &use_case, spec.wire)?)
}

/// Returns a task with this head and this data.
pub fn task<T: StatusTracker>(head: TaskHead, data: T) -> Task<T> {
    Task::new(head, data)
}

/// Returns an error of this kind, about this task.
#[must_use]
pub fn error(kind: ErrorKind, task: Option<TaskHead>) -> Error {
    match task {
        Some(task) => {
            let key = task.key.clone();
            Error::new(kind).with_key(&key).with_task(task)
        }
        None => Error::new(kind),
    }
}
