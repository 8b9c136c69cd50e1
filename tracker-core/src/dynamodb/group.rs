//! The updates that wait to share a request, and who sends them. No I/O.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::write_error::WriteError;
use crate::item::attribute::Item;
use crate::protocol::partiql::Statement;

/// The most statements that a request can have.
pub(super) const STATEMENTS_PER_BATCH: usize = 25;

/// An update that shares a request.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) key: String,
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

/// How many requests are under way before further updates wait for the first of them.
const UNDER_WAY: usize = 2;

/// The updates that wait to share a request.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    under_way: usize,
}

/// An update that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) member: Member,
    pub(super) turn: oneshot::Sender<Turn>,
}

/// What an update has waited for.
#[derive(Debug)]
pub(super) enum Turn {
    /// Send your own update, and these together with it.
    Send { own: Member, group: Group },
    /// Another update has sent yours.
    Answered(Answer),
}

/// Updates that are sent together with that of the group's sender. If the sender is dropped before, they wait again.
///
/// The request counts as under way until the group is dropped.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) others: Vec<Waiting>,
    under_way: UnderWay,
}

/// Counts as a request that is under way while it lives. Then others may be sent.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Queue>);

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an update. Returns whether no other waits.
    pub(super) fn push(&self, waiting: Waiting) -> bool {
        let mut state = self.state();
        state.waiting.retain(|waiting| !waiting.turn.is_closed());
        state.waiting.push_back(waiting);
        state.waiting.len() == 1
    }

    /// Hands the waiting updates to senders, as far as requests may be sent now: each full group, and one that is not full if
    /// few requests are under way, or they take `too_long`.
    pub(super) fn send_groups(self: &Arc<Self>, mut too_long: bool) {
        loop {
            let (turn, send) = {
                let mut state = self.state();
                state.waiting.retain(|waiting| !waiting.turn.is_closed());
                let is_due = state.waiting.len() >= STATEMENTS_PER_BATCH || state.under_way < UNDER_WAY;
                if state.waiting.is_empty() || !(is_due || std::mem::take(&mut too_long)) {
                    return;
                }
                let mut others = state.take_group();
                let Waiting { member: own, turn } = others.remove(0);
                state.under_way += 1;
                let under_way = UnderWay(Arc::clone(self));
                (turn, Turn::Send { own, group: Group { others, under_way } })
            };
            // Not under the lock: a group whose sender was dropped puts its updates back.
            drop(turn.send(send));
        }
    }
}

impl State {
    /// Takes the oldest updates, at most one of each item.
    fn take_group(&mut self) -> Vec<Waiting> {
        let (mut keys, mut group, mut left) = (HashSet::new(), Vec::new(), VecDeque::new());
        for waiting in self.waiting.drain(..) {
            if group.len() < STATEMENTS_PER_BATCH && keys.insert(waiting.member.key.clone()) {
                group.push(waiting);
            } else {
                left.push_back(waiting);
            }
        }
        self.waiting = left;
        group
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let others = std::mem::take(&mut self.others);
        let mut state = self.under_way.0.state();
        for waiting in others.into_iter().rev() {
            state.waiting.push_front(waiting);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
        self.0.send_groups(false);
    }
}
