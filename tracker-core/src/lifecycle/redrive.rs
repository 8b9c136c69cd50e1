//! Setting a task back to pending, as an operator does once the cause of its failures is mended.

use aws_sdk_dynamodb::types::ReturnValue;

use crate::declare::status::{Role, TrackerStatus};
use crate::dynamodb::Context;
use crate::dynamodb::{self, SENDS, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::head::TaskHead;
use crate::observe::{EventDraft, EventKind};
use crate::protocol::classify;
use crate::protocol::writes;
use crate::time::Timestamp;
use crate::tracker::status_tracker::StatusTracker;

/// How often the task may change under our hands.
const ROUNDS: u32 = 3;

/// Refuses a status from which nothing is redriven.
pub(crate) fn check_status<T: StatusTracker>(status: T::Status) -> Result<(), Error> {
    if matches!(status.role(), Role::Ignored | Role::Failed) {
        return Ok(());
    }
    let reason = format!("`{}` is neither ignored nor failed, and only those are redriven", status.name());
    Err(Error::new(ErrorKind::InvalidQuery { reason }))
}

/// Redrives a task, pinned to what was read of it.
pub(crate) async fn redrive(cx: &Context, key: &str) -> Result<TaskHead, Error> {
    let mut found = dynamodb::get(cx, key, true, true).await?;
    let mut last = None;
    cx.check_clock()?;
    for _ in 0..ROUNDS {
        let Some(mut item) = found.take() else {
            return Err(Error::new(ErrorKind::NotFound).with_key(key));
        };
        let seen = cx.head(&mut item)?;
        if let Some(refusal) = refusal(cx, &seen) {
            return Err(Error::new(refusal).with_key(key).with_task(seen));
        }
        last = Some(seen.clone());
        let now = Timestamp::from(cx.now());
        let (after, write) = writes::redrive(&cx.use_case, &seen, now);
        let sent = dynamodb::settle(&*cx.clock, SENDS, || {
            dynamodb::update(cx, key, write.clone(), ReturnValue::None)
        });
        match sent.await {
            Ok(_) => return Ok(told(cx, &seen, after)),
            // Ours, whose answer was lost.
            Err(WriteError::Condition(Some(mut item))) => {
                let image = item.clone();
                let now_there = cx.head(&mut item)?;
                if classify::was_set_by_operator(&now_there, &after) {
                    return Ok(told(cx, &seen, after));
                }
                found = Some(image);
            }
            Err(WriteError::Condition(None)) => {}
            Err(WriteError::Unknown(error)) => return Err(WriteError::unknown_outcome(error).with_key(key)),
            Err(WriteError::Refused(error)) => return Err(error),
        }
    }
    // Others were faster each time: nothing was written.
    let status = last.as_ref().map_or_else(String::new, |seen| seen.status_name().to_owned());
    Err(Error::new(ErrorKind::NotReady { status }).with_key(key).with_found(last))
}

fn told(cx: &Context, seen: &TaskHead, after: TaskHead) -> TaskHead {
    cx.emit(EventDraft::of(EventKind::Redriven, &after).from(Some(seen.status_name())));
    after
}

fn refusal(cx: &Context, seen: &TaskHead) -> Option<ErrorKind> {
    if seen.is_locked() || seen.is_in_progress() {
        return Some(classify::locked(seen, &cx.rules()));
    }
    match seen.role {
        Some(Role::Ignored | Role::Failed) => None,
        Some(Role::Succeeded) => Some(ErrorKind::AlreadySucceeded),
        _ => Some(ErrorKind::NotReady { status: seen.status_name.clone().into_owned() }),
    }
}
