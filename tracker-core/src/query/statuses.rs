//! The statuses that a query takes: one or several, of this step's enum or of another step's.

use crate::declare::status::TrackerStatus;
use crate::item::use_case::Status;

/// One status or several, for [`query_by_status`](crate::Tracker::query_by_status): a status, or an array, a slice or a
/// `Vec` of statuses.
///
/// The statuses may belong to another step's enum, because a step starts tasks that the previous step has finished.
pub trait Statuses {
    #[doc(hidden)]
    fn __rows(&self) -> Vec<Status>;
}

impl<S: TrackerStatus> Statuses for S {
    fn __rows(&self) -> Vec<Status> {
        rows(&[*self])
    }
}

impl<S: TrackerStatus, const N: usize> Statuses for [S; N] {
    fn __rows(&self) -> Vec<Status> {
        rows(self)
    }
}

impl<S: TrackerStatus> Statuses for &[S] {
    fn __rows(&self) -> Vec<Status> {
        rows(self)
    }
}

impl<S: TrackerStatus> Statuses for Vec<S> {
    fn __rows(&self) -> Vec<Status> {
        rows(self)
    }
}

/// Returns each of the statuses once, in the order of the enum.
fn rows<S: TrackerStatus>(statuses: &[S]) -> Vec<Status> {
    let table = S::__TABLE;
    let given = |code| statuses.iter().any(|status| status.code() == code);
    table.rows.iter().filter(|row| given(row.code)).map(|row| Status { table, row }).collect()
}
