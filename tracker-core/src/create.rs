//! Creating and deleting one task.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::document::Document;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::expression::Expression;
use crate::fields;
use crate::history::{History, Keep};
use crate::item::{
    self, CREATE_TIME, DATA, ERRORS, ITEM_BYTES, Item, KEY, LOCK, LOCK_TIME, NOT_LOCKED, RETRY, STATUS,
    UPDATE_TIME, VALUE, number, string, time,
};
use crate::op::{self, SENDS, Unwritten};
use crate::status::Role;
use crate::task::Task;
use crate::task::TaskHead;
use crate::time::Timestamp;
use crate::tracker::{StatusTracker, TaskId};

/// Room that a new item must leave for what starts and finishes add to it, an entry of its history included.
const RESERVED_BYTES: usize = 1024;

/// Creates a task, unless there is one with its key.
pub(crate) async fn create<T: StatusTracker>(engine: &Engine, data: T) -> Result<Task<T>, Error> {
    let key = engine.format.key(&data.task_id().__encode())?;
    let now = engine.create_time();
    let item = new_item(engine, &key, &data, now).map_err(|error| error.with_key(&key))?;
    if item::size_of_item(&item) > ITEM_BYTES - RESERVED_BYTES {
        return Err(Error::new(ErrorKind::ItemTooLarge).with_key(&key));
    }
    let head = engine.head(&mut item.clone())?;
    let sent = op::settle(&*engine.clock, SENDS, || op::put(engine, item.clone()));
    match sent.await {
        Ok(()) => Ok(Task::new(head, data)),
        // Ours, whose answer was lost; a worker may have started it since.
        Err(Unwritten::Condition(Some(found))) if found.get(CREATE_TIME) == Some(&time(now)) => {
            Ok(Task::new(head, data))
        }
        Err(Unwritten::Condition(found)) => {
            let error = Error::new(ErrorKind::AlreadyExists).with_key(&key);
            // What cannot be read exists all the same.
            match found.map(|mut item| engine.head(&mut item)) {
                Some(Ok(found)) => Err(error.with_task(found)),
                Some(Err(unreadable)) => Err(error.with_source(unreadable)),
                None => Err(error),
            }
        }
        Err(Unwritten::Unknown(error)) => Err(Unwritten::unknown_outcome(error).with_key(&key)),
        Err(Unwritten::Refused(error)) => Err(error.with_key(&key)),
    }
}

fn new_item<T: StatusTracker>(engine: &Engine, key: &str, data: &T, now: Timestamp) -> Result<Item, Error> {
    let wire = engine.config.wire;
    let pending = engine.format.own(Role::Pending);
    let mut document = Document::Absent(wire);
    let fields = fields::encode(data, document.form())?;
    let encode_error = |attribute: &str| Error::new(ErrorKind::Encode { attribute: attribute.to_owned() });
    let stored = match document.merged(fields.members) {
        Some(Ok(stored)) => stored,
        Some(Err(error)) => return Err(encode_error(DATA).with_source(error)),
        None => return Err(encode_error(DATA)),
    };
    let mut item = Item::from(
        [
            (KEY, string(key)),
            (VALUE, string(engine.format.value(pending, key))),
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
    if let Some(errors) = History::parse(None, wire).encode(Keep::All) {
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
pub(crate) async fn delete(engine: &Engine, key: &str) -> Result<Option<TaskHead>, Error> {
    let rules = engine.rules();
    let now = Timestamp::from(engine.now());
    let stale = now.minus(rules.lock_expire).minus(rules.max_clock_skew);
    let mut condition = Expression::new();
    let (lock, lock_time) = (condition.name(LOCK), condition.name(LOCK_TIME));
    let key_name = condition.name(KEY);
    let free = condition.value(string(NOT_LOCKED));
    let stale = condition.value(time(stale));
    let condition = condition
        .and(&format!("attribute_not_exists({key_name}) OR {lock} = {free} OR {lock_time} < {stale}"));
    match op::settle(&*engine.clock, SENDS, || op::delete(engine, key, condition.clone())).await {
        // What cannot be read is deleted all the same.
        Ok(deleted) => Ok(deleted.and_then(|mut item| engine.head(&mut item).ok())),
        Err(Unwritten::Condition(Some(mut item))) => {
            let found = engine.head(&mut item)?;
            let until = found.takeover_time(rules.lock_expire, rules.max_clock_skew).utc();
            let kind = ErrorKind::Locked { owner: found.owner.clone(), until };
            Err(Error::new(kind).with_key(key).with_task(found))
        }
        Err(Unwritten::Condition(None)) => Ok(None),
        Err(Unwritten::Unknown(error)) => Err(Unwritten::unknown_outcome(error).with_key(key)),
        Err(Unwritten::Refused(error)) => Err(error),
    }
}
