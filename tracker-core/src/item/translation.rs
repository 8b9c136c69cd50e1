//! Translates items between the names that the code uses and those of a table.
//!
//! The code knows the tracker's own names alone, and the hash key `key`. Requests get the names of the table, and items of responses
//! get the tracker's, so no other place knows a layout.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::declare::layout::{Layout, SORT_KEY_BYTES, SORT_KEY_OF_RECORDS, SortKey};
use crate::declare::names::{DATA, KEY, OWN};
use crate::item::attribute::{Item, string};
use crate::item::error::ItemError;

/// The beginning of the keys of items that are no tasks.
pub(crate) const RESERVED: &str = "__tracker__";
/// Before the name of an attribute of the user's that is also one of the tracker's own names, which the table does not use.
const FOREIGN: char = '\0';

/// Translates the names of a layout.
#[derive(Debug, Clone, Default)]
pub(crate) struct Translation {
    /// The names of the table, by the tracker's. Empty for the tracker's own layout.
    to_table: HashMap<&'static str, String>,
    from_table: HashMap<String, &'static str>,
    sort: Option<SortKey>,
    sep: String,
    /// How many bytes an item has at most in addition to those that the code counts.
    extra_bytes: usize,
}

impl Translation {
    pub(crate) fn new(layout: &Layout, sep: &str) -> Self {
        if layout.is_default() {
            return Self::default();
        }
        let to_table: HashMap<_, _> = OWN.map(|own| (own, layout.name_of(own).to_owned())).into();
        let from_table = OWN.map(|own| (layout.name_of(own).to_owned(), own)).into();
        let longer = to_table.iter().map(|(own, name)| name.len().saturating_sub(own.len()));
        let sort = layout.sort();
        let of_sort = sort.map_or(0, |sort| sort.name.len() + sort.constant.as_ref().map_or(0, String::len));
        Self {
            extra_bytes: longer.sum::<usize>() + of_sort,
            sort: sort.cloned(),
            sep: sep.to_owned(),
            to_table,
            from_table,
        }
    }

    /// Returns whether names and keys stay as they are.
    pub(crate) fn is_identity(&self) -> bool {
        self.to_table.is_empty()
    }

    pub(crate) fn extra_bytes(&self) -> usize {
        self.extra_bytes
    }

    /// Returns the name that an attribute has in the table.
    pub(crate) fn name<'a>(&'a self, own: &'a str) -> &'a str {
        match self.to_table.get(own) {
            Some(name) => name,
            None => own.strip_prefix(FOREIGN).unwrap_or(own),
        }
    }

    /// Returns the name that the code uses for an attribute of the table.
    fn own<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match self.from_table.get(name) {
            Some(own) => Cow::Borrowed(own),
            None => foreign(name),
        }
    }

    /// Returns the names of the primary key.
    pub(crate) fn primary_key(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name(KEY)).chain(self.sort.as_ref().map(|sort| sort.name.as_str()))
    }

    /// Returns the sort key that each task has, if it is the same for all.
    pub(crate) fn constant(&self) -> Option<(&str, &str)> {
        let SortKey { name, constant } = self.sort.as_ref()?;
        Some((name, constant.as_deref()?))
    }

    /// Returns whether the hash key is the use case, and the sort key the task id.
    pub(crate) fn is_one_collection(&self) -> bool {
        self.sort.as_ref().is_some_and(|sort| sort.constant.is_none())
    }

    /// Refuses a key whose task id cannot be a sort key.
    pub(crate) fn check_key(&self, key: &str) -> Result<(), ItemError> {
        let id = self.parts(key).1.filter(|_| self.is_one_collection()).map_or("", |(_, id)| id);
        if id.len() <= SORT_KEY_BYTES {
            return Ok(());
        }
        let reason = format!(
            "it has {} bytes, and the layout makes it the sort key, for which DynamoDB allows {SORT_KEY_BYTES}; use a shorter id",
            id.len()
        );
        Err(ItemError::InvalidTaskId { reason, source: None })
    }

    /// Returns the primary key of an item.
    pub(crate) fn key(&self, key: &str) -> Item {
        self.key_parts(key).map(|(name, value)| (name.to_owned(), string(value))).collect()
    }

    /// Returns the names and the values of the primary key: the hash key, and the sort key if the table has one.
    pub(crate) fn key_parts<'a>(&'a self, key: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let (hash, sort) = self.parts(key);
        std::iter::once((self.name(KEY), hash)).chain(sort)
    }

    /// Returns the hash key, and the name and value of the sort key.
    fn parts<'a>(&'a self, key: &'a str) -> (&'a str, Option<(&'a str, &'a str)>) {
        let Some(SortKey { name, constant }) = &self.sort else { return (key, None) };
        match constant {
            _ if key.starts_with(RESERVED) => (key, Some((name, SORT_KEY_OF_RECORDS))),
            Some(constant) => (key, Some((name, constant))),
            None => {
                let (hash, sort) = key.split_once(&self.sep).unwrap_or((key, SORT_KEY_OF_RECORDS));
                (hash, Some((name, sort)))
            }
        }
    }

    /// Returns a projection of attributes, and its names. The primary key is in it if the code needs all of it to know the item.
    pub(crate) fn projection(&self, attributes: &[&str]) -> (String, HashMap<String, String>) {
        let own = attributes.iter().map(|own| (format!("#{own}"), self.name(own).to_owned()));
        let sort = self.sort.iter().map(|sort| ("#sort_key".to_owned(), sort.name.clone()));
        let names: Vec<_> = own.chain(sort).collect();
        let aliases: Vec<_> = names.iter().map(|(alias, _)| alias.as_str()).collect();
        (aliases.join(", "), names.into_iter().collect())
    }

    /// Returns an item as the table stores it.
    pub(crate) fn stored(&self, item: Item) -> Item {
        if self.is_identity() {
            return item;
        }
        let key = match item.get(KEY) {
            Some(AttributeValue::S(key)) => Some(self.key(key)),
            _ => None,
        };
        let mut stored: Item =
            item.into_iter().map(|(own, value)| (self.name(&own).to_owned(), value)).collect();
        stored.extend(key.unwrap_or_default());
        stored
    }

    /// Returns an item of the table as the code reads it. An item that is none of the tracker's has no `key` then.
    pub(crate) fn read(&self, mut item: Item) -> Item {
        if self.is_identity() {
            return item;
        }
        let sort = self.sort.as_ref().map(|sort| (sort, item.remove(&sort.name)));
        let mut read: Item =
            item.into_iter().map(|(name, value)| (self.own(&name).into_owned(), value)).collect();
        let Some((SortKey { constant, .. }, value)) = sort else { return read };
        let (Some(AttributeValue::S(hash)), Some(AttributeValue::S(sort))) = (read.remove(KEY), value) else {
            return read;
        };
        let key = match constant {
            _ if hash.starts_with(RESERVED) => (sort == SORT_KEY_OF_RECORDS).then_some(hash),
            Some(constant) => (*constant == sort).then_some(hash),
            None => Some(format!("{hash}{}{sort}", self.sep)),
        };
        read.extend(key.map(|key| (KEY.to_owned(), string(key))));
        read
    }

    /// Returns the `key` of an item of the table, if it is one of the tracker's.
    pub(crate) fn key_of(&self, item: Item) -> Option<String> {
        match self.read(item).remove(KEY)? {
            AttributeValue::S(key) => Some(key),
            _ => None,
        }
    }

    /// Returns the path of an attribute as a message shows it: `data.pages` with the table's name for `data`.
    pub(crate) fn shown(&self, path: &str) -> String {
        match path.split_once('.') {
            Some((DATA, rest)) => format!("{}.{rest}", self.name(DATA)),
            _ => self.name(path).to_owned(),
        }
    }
}

/// Returns the name by which the code knows an attribute of the user's.
pub(crate) fn foreign(name: &str) -> Cow<'_, str> {
    if OWN.contains(&name) || name.starts_with(FOREIGN) {
        Cow::Owned(format!("{FOREIGN}{name}"))
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::spec::FieldSpec;
    use crate::item::attribute::number;

    fn layout() -> Layout {
        Layout::new().attribute_prefix("t_").name("key", "pk").name("value", "status")
    }

    fn item(members: &[(&str, AttributeValue)]) -> Item {
        members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn items_are_the_same_after_a_round_trip() {
        let layouts = [
            Layout::new(),
            layout(),
            layout().sort_key("sk", "TASK"),
            layout().sort_key_of_task_id("sk"),
            layout().name("status", "data").sort_key("data_of", "x"),
        ];
        let own = item(&[
            ("key", string("extract____a____b")),
            ("status", number(10_u32)),
            ("value", string("extract____010____001")),
            ("\0lock", string("the user's")),
            ("\0\0x", string("the user's")),
            ("customer", string("c")),
        ]);
        for layout in layouts {
            let names = Translation::new(&layout, "____");
            let stored = names.stored(own.clone());
            if !layout.is_default() {
                assert!(!stored.contains_key("\0lock"), "{stored:?}");
            }
            assert_eq!(names.read(stored.clone()), own, "{stored:?}");
            for (name, value) in names.key("extract____a____b") {
                assert_eq!(stored[&name], value);
            }
        }
    }

    #[test]
    fn item_has_the_names_of_the_table() {
        let names = Translation::new(&layout().sort_key_of_task_id("sk"), "____");
        let stored = names.stored(item(&[("key", string("a____1")), ("value", string("v"))]));
        assert_eq!(stored, item(&[("pk", string("a")), ("sk", string("1")), ("status", string("v"))]));
        assert_eq!(
            names.key("__tracker__pauses"),
            item(&[("pk", string("__tracker__pauses")), ("sk", string("__tracker__"))])
        );
        assert_eq!(
            (names.shown("data.pages"), names.shown("\0lock")),
            ("t_data.pages".to_owned(), "lock".to_owned())
        );
    }

    #[test]
    fn items_of_others_have_no_key() {
        let constant = Translation::new(&layout().sort_key("sk", "TASK"), "____");
        for other in [
            item(&[("pk", string("extract____a")), ("sk", string("META"))]),
            item(&[("pk", string("extract____a"))]),
            item(&[("sk", string("TASK"))]),
        ] {
            assert!(!constant.read(other.clone()).contains_key("key"), "{other:?}");
        }
    }

    #[test]
    fn layouts_that_cannot_be_used_are_refused() {
        let field = FieldSpec { name: "paid", stored: "t_lock", attribute: true };
        let fault = |layout: Layout| layout.fault(&[], false);
        assert_eq!(fault(layout().sort_key("sk", "TASK")), None);
        for (layout, why) in [
            (Layout::new().name("lock", "owner"), "two attributes are named `owner`"),
            (Layout::new().name("lock", ""), "1 to 255 bytes"),
            (Layout::new().name("lok", "x"), "has no attribute `lok`"),
            (Layout::new().name("lock", "revision"), "records of the tracker"),
            (layout().sort_key("pk", "TASK"), "two attributes are named `pk`"),
            (layout().sort_key("sk", ""), "1 to 1024"),
        ] {
            assert!(
                fault(layout.clone()).is_some_and(|fault| fault.contains(why)),
                "{why}: {:?}",
                fault(layout)
            );
        }
        assert!(layout().fault(&[field], false).is_some_and(|fault| fault.contains("a field")));
        assert!(layout().fault(&[], true).is_some_and(|fault| fault.contains("pynamodb")));
    }
}
