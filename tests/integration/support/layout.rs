//! The layouts that the tests run with, and a watch that no request has a name of another layout.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tracker_core::aws_sdk_dynamodb::types::AttributeValue;
use tracker_core::{Description, Layout, StatusTracker};

use super::{Item, World, text};

/// The tracker's names of its attributes: the page docs/item-format.md lists them.
const OWN: [&str; 23] = [
    "key",
    "value",
    "status",
    "retry",
    "create_time",
    "update_time",
    "lock",
    "lock_time",
    "data",
    "errors",
    "attempt",
    "last_lock",
    "lost_lock",
    "lost_attempts",
    "lease_ms",
    "started_from",
    "owner",
    "run_at",
    "snoozes",
    "cancel",
    "expires_at",
    "progress",
    "cancel_note",
];

/// The layout of a table that holds other kinds of items too. No name is the tracker's own.
fn single_table() -> Layout {
    Layout::new()
        .attribute_prefix("t_")
        .name("key", "pk")
        .name("value", "gsi1pk")
        .name("update_time", "gsi1sk")
        .sort_key("sk", "TASK")
}

/// The layout of a table in which all tasks have one hash key. All other names are the tracker's own.
fn one_collection() -> Layout {
    Layout::new().name("key", "pk").sort_key_of_task_id("sk")
}

/// Returns the layout that `TRACKER_TEST_LAYOUT` asks for: the tracker's own, `single_table` or `one_collection`.
pub fn layout() -> Layout {
    match std::env::var("TRACKER_TEST_LAYOUT").as_deref() {
        Err(_) | Ok("") => Layout::new(),
        Ok("single_table") => single_table(),
        Ok("one_collection") => one_collection(),
        Ok(other) => panic!("TRACKER_TEST_LAYOUT is {other}; use single_table or one_collection"),
    }
}

/// What the watch knows.
static WATCH: Mutex<Watched> = Mutex::new(Watched::new());

struct Watched {
    /// The tables of the tests. Some tests are about other tables too, with other layouts.
    tables: BTreeSet<String>,
    requests: u64,
    foreign: BTreeSet<String>,
}

impl Watched {
    const fn new() -> Self {
        Self { tables: BTreeSet::new(), requests: 0, foreign: BTreeSet::new() }
    }
}

fn watched() -> MutexGuard<'static, Watched> {
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets the watch look at the requests to a table.
pub fn watch_table(table: &str) {
    watched().tables.insert(table.to_owned());
}

/// Returns how many requests the watch has looked at, and the names of another layout that they had.
pub fn foreign_names() -> (u64, BTreeSet<String>) {
    let watched = watched();
    (watched.requests, watched.foreign.clone())
}

/// Looks for names that the tracker has and this layout has not.
pub fn watch(operation: &str, body: Option<&[u8]>) {
    let layout = layout();
    // No name is foreign there, so nothing needs to be read.
    if layout.is_default() {
        return;
    }
    let Some(Ok(body)) = body.map(serde_json::from_slice::<Value>) else { return };
    let (mut names, mut tables) = (Vec::new(), Vec::new());
    tables_in(&body, &mut tables);
    let mut watched = watched();
    if tables.is_empty() || !tables.iter().all(|table| watched.tables.contains(*table)) {
        return;
    }
    names_in(operation, &body, &mut names);
    let is_foreign = |name: &&String| OWN.contains(&name.as_str()) && layout.name_of(name) != *name;
    let found = names.iter().filter(is_foreign).map(|name| format!("{operation}: {name}"));
    watched.foreign.extend(found);
    watched.requests += 1;
}

/// Collects the tables of a request.
fn tables_in<'v>(value: &'v Value, tables: &mut Vec<&'v str>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| tables_in(value, tables)),
        Value::Object(members) => {
            for (member, value) in members {
                match (member.as_str(), value) {
                    ("TableName", Value::String(table)) => tables.push(table),
                    ("RequestItems", Value::Object(of_tables)) => {
                        tables.extend(of_tables.keys().map(String::as_str));
                    }
                    ("Statement", Value::String(statement)) => tables.extend(statement.split('"').nth(1)),
                    (_, value) => tables_in(value, tables),
                }
            }
        }
        _ => {}
    }
}

/// Collects the names of attributes of a request.
fn names_in(operation: &str, value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| names_in(operation, value, names)),
        Value::Object(members) => {
            for (member, value) in members {
                match (member.as_str(), value) {
                    // An operator tries the tracker's own layout first, to find the description that says the other.
                    ("Key", key) if operation == "GetItem" && key.to_string().contains("\"__tracker__") => {}
                    ("Item" | "Key" | "ExclusiveStartKey", Value::Object(item)) => {
                        names.extend(item.keys().cloned());
                    }
                    ("Keys", Value::Array(keys)) => {
                        names.extend(keys.iter().filter_map(Value::as_object).flat_map(Map::keys).cloned());
                    }
                    ("ExpressionAttributeNames", Value::Object(aliases)) => {
                        names.extend(aliases.values().filter_map(Value::as_str).map(str::to_owned));
                    }
                    ("AttributeName", Value::String(name)) => names.push(name.clone()),
                    ("Statement", Value::String(statement)) => {
                        // Names are quoted; a name in a sum is not.
                        let words = statement.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                        names.extend(words.map(str::to_owned).filter(|word| *word == word.to_lowercase()));
                    }
                    (_, value) => names_in(operation, value, names),
                }
            }
        }
        _ => {}
    }
}

impl World {
    /// The longest task id of the use case `extract`, in bytes.
    pub fn longest_id(&self) -> usize {
        if self.layout == one_collection() { 1024 } else { 2048 - "extract____".len() }
    }

    /// The primary key of an item, as the table has it.
    pub fn key(&self, key: &str) -> Item {
        let is_record = key.starts_with("__tracker__");
        let (hash, sort) = match key.split_once("____") {
            _ if self.layout.is_default() => (key, None),
            _ if is_record => (key, Some("__tracker__")),
            Some((use_case, id)) if self.layout == one_collection() => (use_case, Some(id)),
            // What is no task has no separator.
            None if self.layout == one_collection() => (key, Some("-")),
            _ => (key, Some("TASK")),
        };
        let sort = sort.map(|sort| ("sk".to_owned(), text(sort)));
        std::iter::once((self.layout.name_of("key").to_owned(), text(hash))).chain(sort).collect()
    }

    /// An item with the tracker's names, as the table has it.
    pub fn to_table(&self, item: Item) -> Item {
        let key = item.get("key").and_then(|key| key.as_s().ok()).map(|key| self.key(key));
        let named = item.into_iter().map(|(name, value)| (self.layout.name_of(&name).to_owned(), value));
        named.chain(key.unwrap_or_default()).collect()
    }

    /// An item of the table, with the tracker's names.
    pub fn own_names(&self, mut item: Item) -> Item {
        if let Some(AttributeValue::S(sort)) = item.remove("sk").filter(|_| !self.layout.is_default())
            && self.layout == one_collection()
            && let Some(AttributeValue::S(hash)) = item.get_mut("pk")
            && !["__tracker__", "-"].contains(&sort.as_str())
        {
            *hash = format!("{hash}____{sort}");
        }
        let own = |name: &str| OWN.into_iter().find(|own| self.layout.name_of(own) == name);
        item.into_iter().map(|(name, value)| (own(&name).map_or(name, str::to_owned), value)).collect()
    }

    /// The description of a declaration, with the layout of this world.
    pub fn describe<T: StatusTracker>(&self) -> Description {
        let mut description = T::describe();
        description.layout = self.layout.clone();
        description
    }

    /// The name that an attribute has in the table. Of a path, such as `data.pages`, the first part is an attribute.
    pub fn name(&self, path: &str) -> String {
        match path.split_once('.') {
            Some((own, rest)) => format!("{}.{rest}", self.layout.name_of(own)),
            None => self.layout.name_of(path).to_owned(),
        }
    }
}

/// An item that other programs have beside tasks, under the key of a task.
pub fn neighbour(key: &str) -> Item {
    let value = |value: &str| AttributeValue::S(value.to_owned());
    [("pk", value(key)), ("sk", value("META")), ("status", value("PAID")), ("lock", value("a padlock"))]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}
