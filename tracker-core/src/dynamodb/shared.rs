//! Updates that share requests: those that wait while others are under way go out together.
//!
//! Databases call this a group commit. An update that is alone goes as a request of its own, at once.

use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use super::context::Context;
use super::group::{Answer, Group, Member, Turn, Waiting};
use super::response::is_final;
use super::route::Route;
use super::statement::{add_images, execute};
use super::update::send_alone;
use super::write_error::WriteError;
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::protocol::expression::Expression;

/// The longest time for which an update waits for requests that are under way: several times what DynamoDB needs.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

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
    // On a single thread, nothing that is due now has to wait for another thread.
    let is_single =
        || Handle::try_current().is_ok_and(|own| own.runtime_flavor() == RuntimeFlavor::CurrentThread);
    if route.gathers || is_single() {
        // Whatever else is due now comes first.
        tokio::task::yield_now().await;
    }
    queue.send_groups(false);
    let turn = match answer.try_recv() {
        Ok(turn) => Ok(turn),
        // One timer is enough: its group takes the others along.
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
            Err(WriteError::Refused(error)) if may_be_applied && !is_final(&error) => {
                Err(WriteError::Unknown(error))
            }
            result => result,
        },
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
        let mut answers = Box::pin(execute(cx, cx.client_of(route), &mut members)).await;
        drop(self);
        // A read that takes long must not keep an answer from those whose condition holds.
        let mut turns: Vec<_> = std::iter::once(None).chain(turns.into_iter().map(Some)).collect();
        answer_all(&mut turns, &mut answers);
        let failed = answers.iter().zip(&turns).enumerate();
        let failed = failed.filter(|(nth, (answer, turn))| answer.is_none() && (*nth == 0 || turn.is_some()));
        let failed: Vec<_> = failed.map(|(nth, _)| nth).collect();
        Box::pin(add_images(cx, &members, &failed, &mut answers)).await;
        answer_all(&mut turns, &mut answers);
        answers.into_iter().next().flatten().unwrap_or(Answer::Alone { may_be_applied: true })
    }
}

/// Sends the answers that are known to those who wait for them.
fn answer_all(turns: &mut [Option<oneshot::Sender<Turn>>], answers: &mut [Option<Answer>]) {
    for (turn, answer) in turns.iter_mut().zip(answers) {
        if turn.is_some()
            && answer.is_some()
            && let (Some(turn), Some(answer)) = (turn.take(), answer.take())
        {
            // Who has stopped waiting needs no answer.
            let _ = turn.send(Turn::Answered(answer));
        }
    }
}
