//! Updates that share requests: those that wait while others are under way go out together.
//!
//! Databases call this a group commit. An update that is alone goes as a request of its own, at once.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::context::Context;
use super::response::{WriteError, write_error};
use super::statement::{Answer, Member, STATEMENTS_PER_BATCH, execute};
use super::update::{Route, send_alone};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::protocol::expression::Expression;

/// How many requests are under way before further updates wait for the first of them.
const UNDER_WAY: usize = 2;
/// The longest time for which an update waits for requests that are under way: several times what DynamoDB needs.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

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
struct Waiting {
    member: Member,
    turn: oneshot::Sender<Turn>,
}

/// What an update has waited for.
#[derive(Debug)]
enum Turn {
    /// Send your own update, and these together with it.
    Send { own: Member, group: Group },
    /// Another update has sent yours.
    Answered(Answer),
}

/// Updates that are sent together with that of the group's sender. If the sender is dropped before, they wait again.
///
/// The request counts as under way until the group is dropped.
#[derive(Debug)]
struct Group {
    others: Vec<Waiting>,
    under_way: UnderWay,
}

/// Counts as a request that is under way while it lives. Then others may be sent.
#[derive(Debug)]
struct UnderWay(Arc<Queue>);

/// Sends an update, together with those that are due now.
///
/// If the future that sends a group is dropped, the others learn no answer, as if the response were lost.
pub(super) async fn send_shared(
    cx: &Context,
    route: Route,
    key: &str,
    update: Expression,
    returns_item: bool,
) -> Result<Option<Item>, WriteError> {
    let queue = cx.queue(route);
    let statement = queue.and_then(|_| update.statement(&cx.config.table, key, returns_item));
    let (Some(queue), Some(statement)) = (queue, statement) else {
        return send_alone(cx, route, key, update, returns_item).await;
    };
    let (turn, mut answer) = oneshot::channel();
    let is_first = queue.push(Waiting { member: Member { key: key.to_owned(), statement }, turn });
    // Whatever else is due now comes first.
    tokio::task::yield_now().await;
    queue.send_groups(false);
    let turn = match answer.try_recv() {
        Ok(turn) => Ok(turn),
        Err(_) if is_first => tokio::select! {
            biased;
            turn = &mut answer => turn,
            () = cx.clock.sleep(LONGEST_WAIT) => {
                queue.send_groups(true);
                answer.await
            }
        },
        Err(_) => answer.await,
    };
    let answer = match turn {
        Ok(Turn::Answered(answer)) => answer,
        Ok(Turn::Send { group, .. }) if group.others.is_empty() => {
            let sent = send_alone(cx, route, key, update, returns_item).await;
            drop(group);
            return sent;
        }
        Ok(Turn::Send { own, group }) => group.send(cx, route, own).await,
        Err(_) => {
            let why = "the request that this update shared was dropped";
            return Err(WriteError::Unknown(
                Error::new(ErrorKind::Unavailable).with_reason(why).with_key(key),
            ));
        }
    };
    match answer {
        Answer::Result(result) => result,
        Answer::Alone { may_be_applied } => match send_alone(cx, route, key, update, returns_item).await {
            Err(WriteError::Refused(error)) if may_be_applied => Err(write_error(error.retried(true))),
            result => result,
        },
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an update. Returns whether no other waits.
    fn push(&self, waiting: Waiting) -> bool {
        let mut state = self.state();
        state.waiting.push_back(waiting);
        state.waiting.len() == 1
    }

    /// Hands the waiting updates to senders, as far as requests may be sent now: each full group, and one that is not full if
    /// few requests are under way, or they take `too_long`.
    fn send_groups(self: &Arc<Self>, mut too_long: bool) {
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

impl Group {
    /// Sends all updates of the group in one request. Returns the answer of the sender's own.
    async fn send(mut self, cx: &Context, route: Route, own: Member) -> Answer {
        let others = std::mem::take(&mut self.others);
        let (mut members, mut turns) = (vec![own], Vec::with_capacity(others.len()));
        for Waiting { member, turn } in others {
            members.push(member);
            turns.push(turn);
        }
        // Boxed, because the SDK's future would make the future of every write large.
        let mut answers = Box::pin(execute(cx, cx.client_of(route), &members)).await.into_iter();
        drop(self);
        let own = answers.next();
        for (turn, answer) in turns.into_iter().zip(answers) {
            // Who has stopped waiting needs no answer.
            let _ = turn.send(Turn::Answered(answer));
        }
        own.unwrap_or_else(|| Answer::Alone { may_be_applied: true })
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
