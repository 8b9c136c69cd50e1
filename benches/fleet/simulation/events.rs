//! What happens, in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Microseconds since the beginning.
pub(crate) type Time = u64;

/// The number of a task.
pub(crate) type TaskId = u32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A task is created.
    Arrives,
    /// The index shows a new task.
    Shows(TaskId),
    /// The index no longer shows a task that was started.
    Hides(TaskId),
    /// A worker begins.
    Begins(u32),
    /// A wait of a worker is over, if it still has this number.
    Wakes(u32, u32),
    /// The next group of a worker's search arrives at the table, if the search still has this number.
    Searches(u32, u32),
    /// A worker receives what its search has found.
    Finds(u32, u32),
    /// A request with updates arrives at the table.
    Requested(u32),
    /// A worker receives the response to a request.
    Responds(u32),
    /// A worker has read the items of the members that were refused.
    ReadsImages(u32),
    /// An update is sent again.
    SendsAgain(u32),
    /// A body has ended.
    BodyEnds(u32, TaskId),
    /// Updates of a worker have waited for too long, if its timer still has this number.
    TooLate(u32, u32),
    /// Workers die.
    Dies,
}

#[derive(Debug, Default)]
pub(crate) struct Events {
    heap: BinaryHeap<Reverse<(Time, u64, Event)>>,
    /// The number of events so far, which orders the events of one moment.
    nth: u64,
}

impl Events {
    pub(crate) fn add(&mut self, at: Time, event: Event) {
        self.nth += 1;
        self.heap.push(Reverse((at, self.nth, event)));
    }

    pub(crate) fn next(&mut self) -> Option<(Time, Event)> {
        self.heap.pop().map(|Reverse((at, _, event))| (at, event))
    }
}
