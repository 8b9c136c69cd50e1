//! The item of a new task.

use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

use crate::declare::spec::Wire;
use crate::declare::status::Role;
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{
    self, ATTEMPT, CREATE_TIME, DATA, ERRORS, ITEM_BYTES_WITH_DATA, Item, KEY, LOCK, LOCK_TIME, LOST_LOCK,
    NOT_LOCKED, RETRY, STATUS, UPDATE_TIME, VALUE, number, string, time,
};
use crate::item::document::Document;
use crate::item::error::ItemError;
use crate::item::fields::TaskId;
use crate::item::history::{History, HistoryDetail};
use crate::item::translation::{Translation, foreign};
use crate::item::use_case::UseCase;
use crate::time::Timestamp;
use crate::tracker::codec;
use crate::tracker::status_tracker::StatusTracker;

/// A new task, before it is an item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewItem<'t> {
    pub(crate) use_case: &'t UseCase,
    pub(crate) names: &'t Translation,
    pub(crate) wire: Wire,
    pub(crate) create_time: Timestamp,
    /// Whether to check that the item can be read again.
    pub(crate) checks_round_trip: bool,
}

impl NewItem<'_> {
    /// Returns the item of a task in status pending, if the task can be stored.
    pub(crate) fn of<T: StatusTracker>(&self, data: &T) -> Result<Item, Error> {
        let shown = data.task_id().__encode();
        let key = self.use_case.key(&shown)?;
        self.names.check_key(&key)?;
        let item = self.checked(&shown, &key, data);
        item.map_err(|error| error.in_table(self.names).with_key(&key))
    }

    /// Returns the item, if its id is read back and its size leaves room.
    fn checked<T: StatusTracker>(&self, shown: &str, key: &str, data: &T) -> Result<Item, Error> {
        // A task whose id is not read back could never be started.
        if let Err(error) = T::TaskId::__decode(shown) {
            let reason = format!(
                "its `FromStr` does not read back \"{shown}\", which its `Display` writes; make the two agree"
            );
            return Err(ItemError::InvalidTaskId { reason, source: Some(error) }.into());
        }
        let item = self.encode(key, data)?;
        if self.checks_round_trip {
            codec::check_round_trip::<T>(shown, &item, self.wire)?;
        }
        let size = attribute::size_of_item(&item) + self.names.extra_bytes();
        let limit = ITEM_BYTES_WITH_DATA;
        if size > limit {
            let why = format!(
                "the item would have {size} bytes, {} more than the {limit} that it may have",
                size - limit
            );
            return Err(Error::new(ErrorKind::ItemTooLarge).because(why));
        }
        Ok(item)
    }

    fn encode<T: StatusTracker>(&self, key: &str, data: &T) -> Result<Item, Error> {
        let Self { use_case, wire, create_time: now, .. } = *self;
        let pending = use_case.status_of(Role::Pending);
        let mut document = Document::Absent(wire);
        let fields = codec::encode(data, document.form())?;
        let stored = match document.merged(fields.members) {
            Some(Ok(stored)) => stored,
            Some(Err(error)) => return Err(ItemError::encode(DATA, error).into()),
            None => return Err(ItemError::Encode { attribute: DATA.to_owned(), source: None }.into()),
        };
        let mut item = Item::from(
            [
                (KEY, string(key)),
                (VALUE, string(use_case.value(pending, key))),
                (STATUS, number(pending.code())),
                (RETRY, number(0_u32)),
                // A statement can add to a number only if the number exists.
                (ATTEMPT, number(0_u32)),
                (CREATE_TIME, time(now)),
                (UPDATE_TIME, time(now)),
                (LOCK, string(NOT_LOCKED)),
                (LOCK_TIME, time(Timestamp::EPOCH)),
                // A token, by which a create recognises its item.
                (LOST_LOCK, string(Uuid::new_v4().simple().to_string())),
                (DATA, stored),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        if let Some(errors) = History::parse(None, wire).encode(HistoryDetail::All) {
            item.insert(ERRORS.to_owned(), errors);
        }
        for (name, value) in fields.attributes {
            if !matches!(value, AttributeValue::Null(_)) {
                item.insert(foreign(name).into_owned(), value);
            }
        }
        Ok(item)
    }
}
