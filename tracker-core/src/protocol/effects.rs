//! The user's own writes that are one transaction with a write of the tracker's.

use std::fmt::Write;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};

use crate::error::{Error, ErrorKind};
use crate::escaped::Escaped;
use crate::item::attribute::{ITEM_BYTES, Item, size_of, size_of_item};

/// The most effects of a transaction: DynamoDB allows 100 actions, and one is the tracker's own.
const MOST_EFFECTS: usize = 99;
/// The most bytes of all items of a transaction.
const TRANSACTION_BYTES: usize = 4 * 1024 * 1024;

/// The task whose write the effects go with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnItem<'t> {
    pub(crate) table: &'t str,
    pub(crate) key: &'t str,
    pub(crate) primary_key: &'t Item,
    pub(crate) bytes: usize,
}

/// Effects that can be one transaction with a write of the tracker's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effects {
    actions: Vec<TransactWriteItem>,
    /// The bytes that are known of the items of the effects.
    bytes: usize,
}

impl Effects {
    /// Returns effects, if they can be one transaction with a write of this task.
    pub(crate) fn of(
        own: OwnItem<'_>,
        effects: impl IntoIterator<Item = TransactWriteItem>,
    ) -> Result<Self, Error> {
        let mut all = Self::default();
        effects.into_iter().try_for_each(|effect| all.add(own, effect))?;
        Ok(all)
    }

    /// Adds an effect. If it cannot be part of the transaction, the effects stay as they were.
    pub(crate) fn add(&mut self, own: OwnItem<'_>, effect: TransactWriteItem) -> Result<(), Error> {
        let bytes = self
            .bytes_with(own, &effect)
            .map_err(|why| Error::new(ErrorKind::InvalidEffects).with_reason(why).with_key(own.key))?;
        self.bytes = bytes;
        self.actions.push(effect);
        Ok(())
    }

    /// Returns the bytes of all effects with one more, or why that cannot be part of the transaction.
    fn bytes_with(&self, own: OwnItem<'_>, effect: &TransactWriteItem) -> Result<usize, String> {
        let nth = self.actions.len();
        if nth == MOST_EFFECTS {
            return Err(format!("a transaction has at most {MOST_EFFECTS} effects"));
        }
        let action = Action::of(effect).ok_or_else(|| {
            format!(
                "effect {nth} must have one of `put`, `update`, `delete` and `condition_check`, and has none or several"
            )
        })?;
        let shown = format!("effect {nth}, {action} in `{}`,", Escaped(action.table));
        let bytes = self.bytes + action.bytes;
        let all = bytes + own.bytes;
        if action.bytes > ITEM_BYTES {
            return Err(format!(
                "{shown} has {} bytes, and DynamoDB allows {ITEM_BYTES} for an item",
                action.bytes
            ));
        }
        if all > TRANSACTION_BYTES {
            return Err(format!(
                "with {shown} the transaction would have {all} bytes, and DynamoDB allows {TRANSACTION_BYTES}"
            ));
        }
        if action.is_on_task(own) {
            return Err(format!("{shown} is on the item of the task itself"));
        }
        if let Some(other) = self.actions().position(|other| self.are_on_one_item(&other, &action)) {
            return Err(format!("{shown} is on the same item as effect {other}"));
        }
        Ok(bytes)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Returns the actions of the transaction: the tracker's own, and the effects after it.
    pub(crate) fn after(&self, own: TransactWriteItem) -> Vec<TransactWriteItem> {
        std::iter::once(own).chain(self.actions.iter().cloned()).collect()
    }

    /// Returns the table of an effect, and what a message calls the effect.
    pub(crate) fn describe(&self, nth: usize) -> (String, String) {
        match self.actions.get(nth).and_then(Action::of) {
            Some(action) => (action.table.to_owned(), action.to_string()),
            None => (String::new(), format!("effect {nth}")),
        }
    }

    /// Returns the tables of the effects, for a message.
    pub(crate) fn tables(&self) -> String {
        let mut tables: Vec<_> =
            self.actions().map(|action| format!("`{}`", Escaped(action.table))).collect();
        tables.sort_unstable();
        tables.dedup();
        tables.join(", ")
    }

    fn actions(&self) -> impl Iterator<Item = Action<'_>> {
        self.actions.iter().filter_map(Action::of)
    }

    /// Returns whether two actions are on the same item, as far as that is known here: a put does not say which of its
    /// attributes are the key. DynamoDB refuses what is not found here.
    fn are_on_one_item(&self, one: &Action<'_>, other: &Action<'_>) -> bool {
        if one.table != other.table {
            return false;
        }
        match (one.on, other.on) {
            (On::Key(one), On::Key(other)) => one == other,
            (On::Key(key), On::Item(item)) | (On::Item(item), On::Key(key)) => {
                key.iter().all(|(name, value)| item.get(name) == Some(value))
            }
            (On::Item(first), On::Item(second)) => {
                let key = self.actions().find_map(|action| match action.on {
                    On::Key(key) if action.table == one.table => Some(key),
                    _ => None,
                });
                match key {
                    Some(key) => key.keys().all(|name| first.get(name) == second.get(name)),
                    None => first == second,
                }
            }
        }
    }
}

/// What an action is on.
#[derive(Debug, Clone, Copy)]
enum On<'e> {
    /// The item with this key.
    Key(&'e Item),
    /// This item, which a put writes.
    Item(&'e Item),
}

/// One action of a transaction.
#[derive(Debug)]
struct Action<'e> {
    name: &'static str,
    /// The name of the table, without the rest of an ARN.
    table: &'e str,
    on: On<'e>,
    /// The bytes that are known of its item.
    bytes: usize,
}

impl<'e> Action<'e> {
    /// Returns the action of an effect, if the effect has exactly one.
    fn of(effect: &'e TransactWriteItem) -> Option<Self> {
        let action = |name, table: &'e str, on, values: Option<&Item>| {
            let values = values.map_or(0, |values| values.values().map(size_of).sum());
            let (On::Key(item) | On::Item(item)) = on;
            let table = table_name(table);
            // The values of a put are those of its condition alone.
            let values = if matches!(on, On::Item(_)) { 0 } else { values };
            Self { name, table, on, bytes: size_of_item(item) + values }
        };
        let mut actions = [
            effect.put().map(|put| action("put", put.table_name(), On::Item(put.item()), None)),
            effect.update().map(|update| {
                let values = update.expression_attribute_values();
                action("update", update.table_name(), On::Key(update.key()), values)
            }),
            effect.delete().map(|delete| action("delete", delete.table_name(), On::Key(delete.key()), None)),
            effect
                .condition_check()
                .map(|check| action("condition check", check.table_name(), On::Key(check.key()), None)),
        ]
        .into_iter()
        .flatten();
        actions.next().filter(|_| actions.next().is_none())
    }

    fn is_on_task(&self, own: OwnItem<'_>) -> bool {
        let (On::Key(item) | On::Item(item)) = self.on;
        self.table == table_name(own.table)
            && own.primary_key.iter().all(|(name, value)| item.get(name) == Some(value))
    }
}

/// Returns the name of a table that is given by its name or by its ARN.
fn table_name(table: &str) -> &str {
    table.rsplit_once(":table/").map_or(table, |(_, name)| name)
}

/// For example: the update of the item with id = "alice".
impl std::fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the {} of ", self.name)?;
        let On::Key(key) = self.on else { return f.write_str("an item") };
        let mut parts: Vec<_> =
            key.iter().map(|(name, value)| format!("{name} = {}", shown(value))).collect();
        parts.sort_unstable();
        write!(f, "the item with {}", Escaped(&parts.join(", ")))
    }
}

/// Returns a value of a key, for a message.
fn shown(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) => format!("\"{text}\""),
        AttributeValue::N(number) => number.clone(),
        AttributeValue::B(bytes) => bytes.as_ref().iter().fold("0x".to_owned(), |mut hex, byte| {
            // Writing to a text does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::{Delete, Put};

    use super::*;
    use crate::item::attribute::string;

    /// Adds effects to a task of which the key is known.
    fn of(effects: impl IntoIterator<Item = TransactWriteItem>) -> Result<Effects, Error> {
        let primary_key = [("key".to_owned(), string("pay____1"))].into();
        Effects::of(own(&primary_key), effects)
    }

    fn own(primary_key: &Item) -> OwnItem<'_> {
        OwnItem { table: "tasks", key: "pay____1", primary_key, bytes: 1000 }
    }

    fn put(table: &str, attributes: &[(&str, &str)]) -> TransactWriteItem {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), string(*value)));
        let put = Put::builder().table_name(table).set_item(Some(attributes.collect()));
        TransactWriteItem::builder().put(put.build().unwrap()).build()
    }

    fn delete(table: &str, key: &[(&str, &str)]) -> TransactWriteItem {
        let key = key.iter().map(|(name, value)| ((*name).to_owned(), string(*value)));
        let delete = Delete::builder().table_name(table).set_key(Some(key.collect()));
        TransactWriteItem::builder().delete(delete.build().unwrap()).build()
    }

    /// Returns the reason of the first effect that is refused, if one is.
    fn refusal(effects: impl IntoIterator<Item = TransactWriteItem>) -> Option<String> {
        of(effects).err().map(|error| error.to_string())
    }

    #[test]
    fn one_item_has_one_effect_as_far_as_keys_are_known() {
        let twice = "on the same item as effect 0";
        let is_refused =
            |effects: [TransactWriteItem; 2]| refusal(effects).is_some_and(|why| why.contains(twice));
        let (alice, bob) = ([("id", "alice")], [("id", "bob")]);
        assert!(is_refused([delete("a", &alice), delete("a", &alice)]));
        assert!(is_refused([delete("a", &alice), put("a", &[("id", "alice"), ("n", "1")])]));
        assert!(is_refused([put("a", &[("id", "alice"), ("n", "1")]), delete("a", &alice)]));
        assert!(is_refused([put("a", &alice), put("a", &alice)]));
        let arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/a";
        assert!(is_refused([delete(arn, &alice), delete("a", &alice)]), "an ARN names a table as well");
        assert!(!is_refused([delete("a", &alice), delete("a", &bob)]));
        assert!(!is_refused([delete("a", &alice), delete("b", &alice)]));
        // A key of two attributes is another item if one of them differs.
        assert!(!is_refused([
            delete("a", &[("id", "1"), ("at", "1")]),
            put("a", &[("id", "1"), ("at", "2")])
        ]));
        // Two puts are known to be of one item once another effect names the key.
        let (one, two) = (put("a", &[("id", "alice"), ("n", "1")]), put("a", &[("id", "alice"), ("n", "2")]));
        assert!(!is_refused([one.clone(), two.clone()]));
        assert!(refusal([delete("a", &bob), one, two]).is_some_and(|why| {
            why.contains("effect 2, the put of an item in `a`, is on the same item as effect 1")
        }));
    }

    #[test]
    fn item_of_the_task_has_no_effect() {
        let own = "on the item of the task itself";
        let is_refused = |effect| refusal([effect]).is_some_and(|why| why.contains(own));
        assert!(is_refused(delete("tasks", &[("key", "pay____1")])));
        assert!(is_refused(put("tasks", &[("key", "pay____1"), ("n", "1")])));
        assert!(is_refused(delete("arn:aws:dynamodb:eu-west-1:1:table/tasks", &[("key", "pay____1")])));
        assert!(!is_refused(delete("tasks", &[("key", "pay____2")])));
        assert!(!is_refused(delete("others", &[("key", "pay____1")])));
    }

    #[test]
    fn refused_effect_leaves_the_others_as_they_were() {
        let primary_key = [("key".to_owned(), string("pay____1"))].into();
        let own = own(&primary_key);
        let mut effects = Effects::of(own, [delete("a", &[("id", "1")])]).unwrap();
        let large = put("a", &[("id", "2"), ("text", &"x".repeat(ITEM_BYTES))]);
        effects.add(own, large).unwrap_err();
        effects.add(own, TransactWriteItem::builder().build()).unwrap_err();
        effects.add(own, delete("a", &[("id", "2")])).unwrap();
        let own = put("tasks", &[("key", "pay____1")]);
        let actions = effects.after(own.clone());
        assert_eq!(actions, [own, delete("a", &[("id", "1")]), delete("a", &[("id", "2")])]);
        assert_eq!(
            effects.describe(1),
            ("a".to_owned(), "the delete of the item with id = \"2\"".to_owned())
        );
    }
}
