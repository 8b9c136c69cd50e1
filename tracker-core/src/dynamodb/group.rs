//! The updates that wait to share a request, and which of them are due. No I/O.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::due::{Due, Waits};
use super::write_error::WriteError;
use crate::item::attribute::Item;
use crate::protocol::partiql::Statement;

/// An update that shares a request.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) key: Arc<str>,
    pub(super) statement: Statement,
}

/// What a shared request says of one of its members.
#[derive(Debug)]
pub(super) enum Answer {
    Result(Result<Option<Item>, WriteError>),
    /// DynamoDB refused the statement, not the write: the update is sent again on its own. `may_be_applied` says that an earlier
    /// try of the request may have arrived.
    Alone {
        may_be_applied: bool,
    },
}

/// The updates that wait to share a request.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    due: Due<Waiting>,
    /// The task that sends what waits for too long.
    timer: Option<AbortHandle>,
}

/// A guard that counts as a request that is under way while it lives.
pub(super) trait UnderWay: Send + Sync {}

/// An update that waits.
pub(super) struct Waiting {
    pub(super) member: Member,
    /// Whether it may wait for others although no request is under way.
    pub(super) is_patient: bool,
    pub(super) turn: oneshot::Sender<Turn>,
}

/// What an update has waited for.
pub(super) enum Turn {
    /// No other is due: send your own update as a request of its own, which is under way while the guard lives.
    Send(Box<dyn UnderWay>),
    /// A shared request has sent your update.
    Answered(Answer),
}

/// The queues of a tracker, one for each runtime: no update is left to a runtime that has ended, or that nobody drives. The
/// threads of a forked process, too, have runtimes of their own.
#[derive(Default)]
pub(super) struct Queues(Mutex<HashMap<runtime::Id, Arc<Queue>>>);

impl Queues {
    pub(super) fn of(&self, runtime: runtime::Id) -> Arc<Queue> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !queues.contains_key(&runtime) {
            // Whoever waits or sends holds the queue.
            queues.retain(|_, queue| Arc::strong_count(queue) > 1);
        }
        Arc::clone(queues.entry(runtime).or_default())
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, waiting: Waiting) {
        self.state().due.push(waiting);
    }

    /// Takes the updates that are due: see [`Due::take`].
    pub(super) fn take_due(&self, too_long: bool) -> Vec<Vec<Waiting>> {
        self.state().due.take(too_long)
    }

    /// A request is no longer under way.
    pub(super) fn end_one(&self) {
        self.state().due.end_one();
    }

    /// Begins a timer if updates wait and none runs, and ends the one that runs if nothing waits.
    pub(super) fn keep_time(&self, begin: impl FnOnce() -> AbortHandle) {
        let mut state = self.state();
        if state.due.is_empty() {
            if let Some(timer) = state.timer.take() {
                timer.abort();
            }
        } else if state.timer.as_ref().is_none_or(AbortHandle::is_finished) {
            state.timer = Some(begin());
        }
    }

    /// The timer whose task calls this has ended.
    pub(super) fn end_timer(&self) {
        let mut state = self.state();
        let own = tokio::task::try_id();
        if state.timer.as_ref().is_some_and(|timer| Some(timer.id()) == own) {
            state.timer = None;
        }
    }
}

impl Waits for Waiting {
    type Key = Arc<str>;

    fn key(&self) -> Arc<str> {
        Arc::clone(&self.member.key)
    }

    fn bytes(&self) -> usize {
        self.member.statement.bytes()
    }

    fn is_patient(&self) -> bool {
        self.is_patient
    }

    fn is_abandoned(&self) -> bool {
        self.turn.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::due::BYTES_PER_BATCH;
    use super::*;
    use crate::item::attribute::string;

    /// Adds an update of an item with so many bytes. It waits as long as what is returned lives.
    fn push(queue: &Queue, key: &str, bytes: usize) -> oneshot::Receiver<Turn> {
        push_as(queue, key, bytes, false)
    }

    fn push_as(queue: &Queue, key: &str, bytes: usize, is_patient: bool) -> oneshot::Receiver<Turn> {
        let parameters = vec![string("x".repeat(bytes))];
        let statement = Statement { text: String::new(), parameters, returns_item: false };
        let (turn, answer) = oneshot::channel();
        queue.push(Waiting { member: Member { key: key.into(), statement }, is_patient, turn });
        answer
    }

    fn due(queue: &Queue, too_long: bool) -> Vec<Vec<String>> {
        let keys = |group: Vec<Waiting>| group.iter().map(|waiting| waiting.member.key.to_string()).collect();
        queue.take_due(too_long).into_iter().map(keys).collect()
    }

    #[test]
    fn groups_beyond_one_request_wait_until_they_are_full_or_late() {
        let queue = Queue::default();
        let mut waiting = vec![push(&queue, "a", 1)];
        assert_eq!(due(&queue, false), [["a"]]);
        waiting.extend(["c", "d"].map(|key| push(&queue, key, 1)));
        assert!(due(&queue, false).is_empty());
        queue.end_one();
        assert_eq!(due(&queue, false), [["c", "d"]]);
        waiting.push(push(&queue, "e", 1));
        assert!(due(&queue, false).is_empty());
        assert_eq!(due(&queue, true), [["e"]]);
        waiting.extend((0..30).map(|nth| push(&queue, &nth.to_string(), 1)));
        assert_eq!(due(&queue, false).iter().map(Vec::len).collect::<Vec<_>>(), [25]);
        assert_eq!(due(&queue, true).concat(), ["25", "26", "27", "28", "29"]);
    }

    #[test]
    fn patient_updates_wait_for_another_or_until_they_are_late() {
        let queue = Queue::default();
        let mut waiting: Vec<_> = ["a", "b"].map(|key| push_as(&queue, key, 1, true)).into();
        assert!(due(&queue, false).is_empty());
        waiting.push(push(&queue, "c", 1));
        assert_eq!(due(&queue, false), [["a", "b", "c"]]);
        waiting.push(push_as(&queue, "d", 1, true));
        queue.end_one();
        assert!(due(&queue, false).is_empty(), "also after a request");
        assert_eq!(due(&queue, true), [["d"]]);
        waiting.extend((0..25).map(|nth| push_as(&queue, &nth.to_string(), 1, true)));
        assert_eq!(due(&queue, false).iter().map(Vec::len).collect::<Vec<_>>(), [25]);
    }

    #[test]
    fn group_has_each_item_once_and_few_bytes() {
        let queue = Queue::default();
        let sizes = [("a", 10), ("a", 10), ("b", BYTES_PER_BATCH - 10), ("c", 1), ("d", 2 * BYTES_PER_BATCH)];
        let waiting = sizes.map(|(key, bytes)| push(&queue, key, bytes));
        assert_eq!(due(&queue, true), [vec!["a", "b"], vec!["a", "c"], vec!["d"]]);
        drop(waiting);
        let sizes = [("a", 10), ("b", BYTES_PER_BATCH), ("b", 1)];
        let waiting = sizes.map(|(key, bytes)| push(&queue, key, bytes));
        assert_eq!(due(&queue, true), [["a"], ["b"], ["b"]], "the second does not overtake the first");
        drop(waiting);
    }

    #[test]
    fn each_runtime_has_a_queue_that_ends_with_it() {
        let queues = Queues::default();
        let runtime = || runtime::Builder::new_current_thread().build().unwrap();
        let (one, other) = (runtime(), runtime());
        let (first, second) = (queues.of(one.handle().id()), queues.of(other.handle().id()));
        let _waits = push(&first, "a", 1);
        assert!(due(&second, true).is_empty());
        assert_eq!(due(&queues.of(one.handle().id()), true), [["a"]]);
        drop((first, second));
        queues.of(runtime().handle().id());
        assert_eq!(queues.0.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn timer_runs_only_while_updates_wait() {
        let queue = Arc::new(Queue::default());
        let timers = std::cell::Cell::new(0);
        let keep_time = || {
            queue.keep_time(|| {
                timers.set(timers.get() + 1);
                tokio::spawn(std::future::pending::<()>()).abort_handle()
            });
        };
        let _first = push(&queue, "a", 1);
        assert_eq!(due(&queue, false), [["a"]]);
        keep_time();
        assert_eq!(timers.get(), 0, "nothing waits");
        let _second = push(&queue, "b", 1);
        assert!(due(&queue, false).is_empty());
        keep_time();
        keep_time();
        assert_eq!(timers.get(), 1);
        // The end of another timer.
        let other = Arc::clone(&queue);
        tokio::spawn(async move { other.end_timer() }).await.unwrap();
        keep_time();
        assert_eq!(timers.get(), 1);
        assert_eq!(due(&queue, true), [["b"]]);
        keep_time();
        assert!(queue.state().timer.is_none());
    }

    #[test]
    fn update_that_nobody_waits_for_is_not_sent() {
        let queue = Queue::default();
        let (left, waits) = (push(&queue, "a", 1), push(&queue, "b", 1));
        drop(left);
        assert_eq!(due(&queue, false), [["b"]]);
        drop(waits);
    }
}
