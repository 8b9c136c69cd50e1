//! The `Tracker` methods that find tasks in the index and read them.

use crate::declare::spec::Takeover;
use crate::declare::status::Role;
use crate::error::Error;
use crate::query::Query;
use crate::query::entry::IndexEntry;
use crate::query::refresh::refresh;
use crate::query::statuses::Statuses;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

impl<T: StatusTracker> Tracker<T> {
    /// Finds the tasks in one status or in several. The tasks that have waited longest come first.
    ///
    /// The statuses may belong to another step's enum: a second step can list the tasks that the first has finished.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, StatusTracker, Tracker};
    /// # async fn list<T: StatusTracker>(documents: &Tracker<T>, failed: T::Status, ignored: T::Status) -> Result<(), Error> {
    /// for entry in documents.query_by_status([failed, ignored]).newest_first().limit(20).all().await? {
    ///     println!("{} is {} since {}", entry.task_id(), entry.status_name(), entry.update_time());
    /// }
    /// # Ok(()) }
    /// ```
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a status is a word, and callers write an array in place"
    )]
    pub fn query_by_status(&self, statuses: impl Statuses) -> Query<T> {
        Query::new(self.shared_cx(), &statuses.__rows())
    }

    /// Finds the tasks that can be started now: pending, more pending or failed tasks that are due, and tasks in
    /// progress whose lease has expired. The statuses are merged by time, so that no task starves.
    ///
    /// - Tasks in progress are left out if [`takeover`](crate::TrackerBuilder::takeover) is off.
    /// - Tasks that are not due yet are left out if the index projects `run_at`, as the index of
    ///   [`create_table`](Self::create_table) does. With another index they are found, and a start refuses them as
    ///   [`NotDue`](crate::ErrorKind::NotDue). They consume read capacity in both cases.
    /// - The query also reads the items of tasks in progress that were started longer than a lease ago, because the
    ///   index does not show whether a lease was renewed. It needs the permission for `BatchGetItem`, unless
    ///   `takeover` is off.
    pub fn query_for_unfinished(&self) -> Query<T> {
        let cx = self.shared_cx();
        let ready = cx.use_case.ready().filter_map(|code| cx.use_case.status(code));
        let takes_over = cx.config.takeover == Takeover::Expired;
        let expired = takes_over.then(|| cx.use_case.status_of(Role::InProgress));
        let statuses: Vec<_> = ready.chain(expired).collect();
        Query::new(cx, &statuses).expired_only()
    }

    /// Finds the tasks in progress whose lease has expired: their workers are lost. They are found even if
    /// [`takeover`](crate::TrackerBuilder::takeover) is off.
    ///
    /// The query also reads the items of tasks that were started longer than a lease ago, because the index does not
    /// show whether a lease was renewed. It needs the permission for `BatchGetItem`.
    pub fn query_for_expired(&self) -> Query<T> {
        let cx = self.shared_cx();
        Query::new(cx, &[cx.use_case.status_of(Role::InProgress)]).expired_only()
    }

    /// Reads the tasks of entries that a query returned, 100 in a request, in the order of the entries. Leaves out
    /// tasks that were deleted or have moved to another status; [`Query::refresh`] can keep the tasks that have
    /// moved. It needs the permission for `BatchGetItem`.
    ///
    /// # Errors
    ///
    /// - [`Decode`](crate::ErrorKind::Decode) for the first task that cannot be read. To go on after that task, use the
    ///   stream of [`Query::refresh`].
    /// - The error of a request that DynamoDB refused or did not answer, such as
    ///   [`Unavailable`](crate::ErrorKind::Unavailable).
    pub async fn refresh(&self, entries: &[IndexEntry<T>]) -> Result<Vec<Task<T>>, Error> {
        refresh(self.cx(), entries, false).await
    }
}
