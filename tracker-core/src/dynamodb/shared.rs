//! Updates that share requests: those that wait while others are under way go out together.
//!
//! Databases call this a group commit. An update that is alone in its moment goes as a request of its own. A group is sent by a task
//! of its own, on the runtime of its members. So no member that ends, or is no longer polled, takes the answers of the others along.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use super::context::Context;
use super::due::LONGEST_WAIT;
use super::group::{Answer, Member, Queue, Turn, UnderWay, Waiting};
use super::response::is_final;
use super::route::{Route, WaitsFor};
use super::statement::{add_images, execute};
use super::update::send_alone;
use super::write_error::WriteError;
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::protocol::expression::Expression;

/// Sends an update, together with those that are due now.
pub(super) async fn send_shared(
    cx: &Context,
    route: Route,
    key: &str,
    update: Cow<'_, Expression>,
    returns_item: bool,
) -> Result<Option<Item>, WriteError> {
    let dispatcher = Dispatcher::new(cx, route);
    let statement = dispatcher.as_ref().and_then(|_| cx.statement(&update, key, returns_item));
    let (Some(dispatcher), Some(statement)) = (dispatcher, statement) else {
        return Box::pin(send_alone(cx, route, key, update, returns_item)).await;
    };
    let (turn, answer) = oneshot::channel();
    let is_patient = route.waits_for == WaitsFor::DueSoon;
    dispatcher.queue.push(Waiting { member: Member { key: key.into(), statement }, is_patient, turn });
    // On a single thread, nothing that is due now has to wait for another thread.
    let is_single = dispatcher.runtime.runtime_flavor() == RuntimeFlavor::CurrentThread;
    if route.waits_for == WaitsFor::DueNow || is_single {
        // Whatever else is due now comes first. A clock that a test advances must not advance meanwhile.
        let under_way = cx.service_clock.begin_request();
        if is_single {
            tokio::task::yield_now().await;
        } else {
            to_back_of_queue().await;
        }
        drop(under_way);
    }
    dispatcher.send_due(false);
    let answer = match answer.await {
        Ok(Turn::Answered(answer)) => answer,
        Ok(Turn::Send(under_way)) => {
            let sent = Box::pin(send_alone(cx, route, key, update, returns_item)).await;
            drop(under_way);
            return sent;
        }
        Err(_) => {
            let why = "the runtime of the request that this update shared has ended";
            return Err(WriteError::Unknown(
                Error::new(ErrorKind::Unavailable).with_reason(why).with_key(key),
            ));
        }
    };
    match answer {
        Answer::Result(result) => result,
        Answer::Alone { may_be_applied } => {
            match Box::pin(send_alone(cx, route, key, update, returns_item)).await {
                Err(WriteError::Refused(error)) if may_be_applied && !is_final(&error) => {
                    Err(WriteError::Unknown(error))
                }
                result => result,
            }
        }
    }
}

/// Lets the tasks run that are ready now. Unlike `yield_now`, another thread can take this task over while one of them computes.
async fn to_back_of_queue() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Sends the groups of a queue.
#[derive(Clone)]
struct Dispatcher {
    cx: Arc<Context>,
    queue: Arc<Queue>,
    route: Route,
    runtime: Handle,
}

/// Counts as a request that is under way while it lives. Then others may be sent.
struct Request(Dispatcher);

impl UnderWay for Request {}

impl Dispatcher {
    fn new(cx: &Context, route: Route) -> Option<Self> {
        let runtime = Handle::try_current().ok()?;
        Some(Self { queue: cx.queue(route, runtime.id())?, cx: cx.shared()?, route, runtime })
    }

    /// Sends what is due. Whatever waits afterwards is sent when a request ends, or by the timer.
    fn send_due(&self, too_long: bool) {
        for mut group in self.queue.take_due(too_long) {
            let request = Request(self.clone());
            match group.pop() {
                Some(Waiting { turn, .. }) if group.is_empty() => {
                    drop(turn.send(Turn::Send(Box::new(request))));
                }
                last => {
                    group.extend(last);
                    self.runtime.spawn(request.send(group));
                }
            }
        }
        self.queue.keep_time(|| self.runtime.spawn(self.clone().send_late()).abort_handle());
    }

    async fn send_late(self) {
        self.cx.clock.sleep(LONGEST_WAIT).await;
        self.queue.end_timer();
        self.send_due(true);
    }
}

impl Request {
    /// Sends all updates of a group in one request, and answers them.
    async fn send(self, group: Vec<Waiting>) {
        let Dispatcher { cx, route, .. } = self.0.clone();
        let (mut members, mut turns) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
        for Waiting { member, turn, .. } in group {
            members.push(member);
            turns.push(Some(turn));
        }
        let mut answers = execute(&cx, cx.client_of(route), &mut members).await;
        drop(self);
        // A read that takes long must not keep an answer from those whose condition holds.
        answer_all(&mut turns, &mut answers);
        let unanswered =
            |turn: &Option<oneshot::Sender<_>>| turn.as_ref().is_some_and(|turn| !turn.is_closed());
        let failed: Vec<_> = (0..turns.len()).filter(|nth| unanswered(&turns[*nth])).collect();
        add_images(&cx, &members, &failed, &mut answers).await;
        answer_all(&mut turns, &mut answers);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.0.queue.end_one();
        self.0.send_due(false);
    }
}

/// Sends the answers that are known to those who wait for them.
fn answer_all(turns: &mut [Option<oneshot::Sender<Turn>>], answers: &mut [Option<Answer>]) {
    for (turn, answer) in turns.iter_mut().zip(answers) {
        if answer.is_some()
            && let (Some(turn), Some(answer)) = (turn.take(), answer.take())
        {
            // Who has stopped waiting needs no answer.
            let _ = turn.send(Turn::Answered(answer));
        }
    }
}
