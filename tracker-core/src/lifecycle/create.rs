//! Creating and deleting one task.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::declare::spec::Takeover;
use crate::declare::status::Role;
use crate::dynamodb::Context;
use crate::dynamodb::{self, SENDS, WriteError};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{
    self, CREATE_TIME, DATA, ERRORS, ITEM_BYTES, Item, KEY, LOCK, LOCK_TIME, NOT_LOCKED, RETRY, RUN_AT,
    STATUS, UPDATE_TIME, VALUE, number, string, time,
};
use crate::item::document::Document;
use crate::item::fields::TaskId;
use crate::item::head::TaskHead;
use crate::item::history::{History, HistoryDetail};
use crate::observe::{EventDraft, EventKind};
use crate::protocol::classify;
use crate::protocol::expression::Expression;
use crate::time::Timestamp;
use crate::tracker::codec;
use crate::tracker::status_tracker::StatusTracker;
use crate::tracker::task::Task;

/// Room that a new item must leave for what starts and finishes add to it, an entry of its history included.
const RESERVED_BYTES: usize = 1024;

/// Creates a task, unless there is one with its key.
pub(crate) async fn create<T: StatusTracker>(
    cx: &Context,
    data: T,
    run_at: Option<Timestamp>,
) -> Result<Task<T>, Error> {
    let found = match create_or_found(cx, data, run_at).await? {
        Ok(task) => return Ok(task),
        Err(found) => found,
    };
    let mut item = found;
    let error = Error::new(ErrorKind::AlreadyExists);
    let error = match item.get(KEY).and_then(|key| key.as_s().ok()) {
        Some(key) => error.with_key(key),
        None => error,
    };
    // What cannot be read exists all the same.
    Err(match cx.head(&mut item) {
        Ok(found) => error.with_task(found),
        Err(unreadable) => error.with_source(unreadable),
    })
}

/// Creates a task, or gives the item that is there.
pub(crate) async fn create_or_found<T: StatusTracker>(
    cx: &Context,
    data: T,
    run_at: Option<Timestamp>,
) -> Result<Result<Task<T>, Item>, Error> {
    let mut item = new_item(cx, &data)?;
    if let Some(run_at) = run_at {
        item.insert(RUN_AT.to_owned(), time(run_at));
    }
    let head = cx.head(&mut item.clone())?;
    let created = item.get(CREATE_TIME).cloned();
    let key = head.key.clone();
    match dynamodb::settle(&*cx.clock, SENDS, || dynamodb::put(cx, item.clone())).await {
        Ok(()) => {
            cx.emit(EventDraft::of(EventKind::Created, &head));
            Ok(Ok(Task::new(head, data)))
        }
        // Ours, whose answer was lost; a worker may have started it since.
        Err(WriteError::Condition(Some(found)))
            if classify::has_created(found.get(CREATE_TIME), created.as_ref()) =>
        {
            cx.emit(EventDraft::of(EventKind::Created, &head));
            Ok(Ok(Task::new(head, data)))
        }
        Err(WriteError::Condition(found)) => Ok(Err(found.unwrap_or_default())),
        Err(WriteError::Unknown(error)) => Err(WriteError::unknown_outcome(error).with_key(&key)),
        Err(WriteError::Refused(error)) => Err(error.with_key(&key)),
    }
}

/// The task id of a struct, as it stands in the key.
pub(crate) fn shown_id<T: StatusTracker>(data: &T) -> String {
    data.task_id().__encode()
}

/// The item of a new task.
pub(crate) fn new_item<T: StatusTracker>(cx: &Context, data: &T) -> Result<Item, Error> {
    let shown = shown_id(data);
    let key = cx.use_case.key(&shown)?;
    // Or nobody could ever start it.
    if let Err(error) = T::TaskId::__decode(&shown) {
        let reason = format!("\"{shown}\", which its `Display` shows, is not read back by its `FromStr`");
        return Err(Error::new(ErrorKind::InvalidTaskId { reason }).with_source(error).with_key(&key));
    }
    let item = encode(cx, &key, data, cx.create_time()).map_err(|error| error.with_key(&key))?;
    if attribute::size_of_item(&item) > ITEM_BYTES - RESERVED_BYTES {
        return Err(Error::new(ErrorKind::ItemTooLarge).with_key(&key));
    }
    Ok(item)
}

fn encode<T: StatusTracker>(cx: &Context, key: &str, data: &T, now: Timestamp) -> Result<Item, Error> {
    let wire = cx.config.wire;
    let pending = cx.use_case.status_of(Role::Pending);
    let mut document = Document::Absent(wire);
    let fields = codec::encode(data, document.form())?;
    let encode_error = |attribute: &str| Error::new(ErrorKind::Encode { attribute: attribute.to_owned() });
    let stored = match document.merged(fields.members) {
        Some(Ok(stored)) => stored,
        Some(Err(error)) => return Err(encode_error(DATA).with_source(error)),
        None => return Err(encode_error(DATA)),
    };
    let mut item = Item::from(
        [
            (KEY, string(key)),
            (VALUE, string(cx.use_case.value(pending, key))),
            (STATUS, number(pending.code())),
            (RETRY, number(0_u32)),
            (CREATE_TIME, time(now)),
            (UPDATE_TIME, time(now)),
            (LOCK, string(NOT_LOCKED)),
            (LOCK_TIME, time(Timestamp::EPOCH)),
            (DATA, stored),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    if let Some(errors) = History::parse(None, wire).encode(HistoryDetail::All) {
        item.insert(ERRORS.to_owned(), errors);
    }
    for (name, value) in fields.attributes {
        if !matches!(value, AttributeValue::Null(_)) {
            item.insert(name.to_owned(), value);
        }
    }
    Ok(item)
}

/// Deletes a task, unless a worker holds it.
pub(crate) async fn delete(
    cx: &Context,
    key: &str,
    with_live_lease: bool,
) -> Result<Option<TaskHead>, Error> {
    if !with_live_lease {
        // Whether a lease has expired is told by the clock.
        cx.known_clock(key).await?;
    }
    let rules = cx.rules();
    let now = Timestamp::from(cx.now());
    let stale = now.minus(rules.lock_expire).minus(rules.max_clock_skew);
    let condition = if with_live_lease {
        // Always so: what is there is given back all the same.
        Expression::new().and("attribute_not_exists(#key) OR attribute_exists(#key)")
    } else {
        let free = "attribute_not_exists(#key) OR attribute_not_exists(#lock) OR #lock = :free";
        let condition = match rules.takeover {
            // Where nothing is taken over, a lease that has run out may be that of a holder who renews none.
            Takeover::Never => Expression::new().and(free),
            Takeover::Expired => {
                Expression::new().and(&format!("{free} OR #lock_time < :stale")).with(":stale", time(stale))
            }
        };
        condition.with(":free", string(NOT_LOCKED))
    };
    match dynamodb::settle(&*cx.clock, SENDS, || dynamodb::delete(cx, key, condition.clone())).await {
        // What cannot be read is deleted all the same.
        Ok(deleted) => Ok(deleted.and_then(|mut item| cx.head(&mut item).ok())),
        Err(WriteError::Condition(Some(mut item))) => {
            let found = cx.head(&mut item)?;
            let kind = classify::locked(&found, &rules);
            Err(Error::new(kind).with_key(key).with_task(found))
        }
        Err(WriteError::Condition(None)) => Ok(None),
        Err(WriteError::Unknown(error)) => Err(WriteError::unknown_outcome(error).with_key(key)),
        Err(WriteError::Refused(error)) => Err(error),
    }
}
