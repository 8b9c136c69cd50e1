//! Setting a task back to pending, as an operator does once the cause of its failures is mended.

use aws_sdk_dynamodb::types::ReturnValue;

use crate::declare::status::{Role, TrackerStatus};
use crate::dynamodb::context::Engine;
use crate::dynamodb::{self, SENDS, Unwritten};
use crate::error::{Error, ErrorKind};
use crate::item::head::TaskHead;
use crate::observe::{EventKind, Told};
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
pub(crate) async fn redrive(engine: &Engine, key: &str) -> Result<TaskHead, Error> {
    let mut found = dynamodb::get(engine, key, true, true).await?;
    let mut last = None;
    engine.check_clock()?;
    for _ in 0..ROUNDS {
        let Some(mut item) = found.take() else {
            return Err(Error::new(ErrorKind::NotInitialized).with_key(key));
        };
        let seen = engine.head(&mut item)?;
        if let Some(refusal) = refusal(engine, &seen) {
            return Err(Error::new(refusal).with_key(key).with_task(seen));
        }
        last = Some(seen.clone());
        let now = Timestamp::from(engine.now());
        let (after, write) = writes::redrive(&engine.format, &seen, now);
        let sent = dynamodb::settle(&*engine.clock, SENDS, || {
            dynamodb::update(engine, key, write.clone(), ReturnValue::None)
        });
        match sent.await {
            Ok(_) => return Ok(told(engine, &seen, after)),
            // Ours, whose answer was lost.
            Err(Unwritten::Condition(Some(mut item))) => {
                let image = item.clone();
                let now_there = engine.head(&mut item)?;
                if classify::was_set_by_hand(&now_there, &after) {
                    return Ok(told(engine, &seen, after));
                }
                found = Some(image);
            }
            Err(Unwritten::Condition(None)) => {}
            Err(Unwritten::Unknown(error)) => return Err(Unwritten::unknown_outcome(error).with_key(key)),
            Err(Unwritten::Refused(error)) => return Err(error),
        }
    }
    // Others were faster each time: nothing was written.
    let status = last.as_ref().map_or_else(String::new, |seen| seen.status_name().to_owned());
    Err(Error::new(ErrorKind::NotReady { status }).with_key(key).with_found(last))
}

fn told(engine: &Engine, seen: &TaskHead, after: TaskHead) -> TaskHead {
    engine.tell(Told::of(EventKind::Redriven, &after).from(Some(seen.status_name())));
    after
}

fn refusal(engine: &Engine, seen: &TaskHead) -> Option<ErrorKind> {
    if seen.is_locked() || seen.is_in_progress() {
        return Some(classify::locked(seen, &engine.rules()));
    }
    match seen.role {
        Some(Role::Ignored | Role::Failed) => None,
        Some(Role::Succeeded) => Some(ErrorKind::AlreadySucceeded),
        _ => Some(ErrorKind::NotReady { status: seen.status_name.clone().into_owned() }),
    }
}
