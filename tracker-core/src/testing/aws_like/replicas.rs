//! Copies of tables and of their indexes that lag behind, in an embedded database of their own.
//!
//! A copy of a table has the table's name and key. A copy of an index is a table of its own, in which each entry is an item: the
//! entries of one task in two partitions of the index come and go independently of each other, as they do on AWS.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dynoxide::{Database, DynoxideError};
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_128;

use super::call::Call;
use crate::embedded::dispatch;

/// The attribute that names an entry in the copy of an index. It never leaves a copy.
pub(super) const ENTRY: &str = "\u{1}entry";
/// The attribute that keeps the primary key of an entry's item, as text. It never leaves a copy.
pub(super) const KEY_OF_ITEM: &str = "\u{1}key";

pub(super) type Attributes = Map<String, Value>;

/// The copies of all tables that were used so far.
#[derive(Clone)]
pub(super) struct Replicas {
    database: Database,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    tables: HashMap<String, Arc<Table>>,
    indexes: usize,
    /// What is not visible yet, by the time at which it becomes visible.
    changes: BTreeMap<(Duration, u64), Change>,
    sent: u64,
    /// When the last change of an entry becomes visible, because an older one must not come after a newer one.
    last: HashMap<String, (Duration, u64)>,
}

struct Change {
    of: String,
    operation: &'static str,
    body: Value,
}

/// What is known of a table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    /// The names of the primary key's attributes.
    pub(super) key: Vec<String>,
    pub(super) indexes: Vec<Index>,
    /// Is held while items are read and recorded. So they are recorded in the order in which they were read.
    pub(super) recording: tokio::sync::Mutex<()>,
    /// The hash key of each item's entry in each index.
    entries: Mutex<HashMap<String, Vec<Option<String>>>>,
}

#[derive(Debug)]
pub(super) struct Index {
    pub(super) name: String,
    pub(super) hash: String,
    pub(super) range: Option<String>,
    /// The table that is the copy.
    pub(super) copy: String,
    /// What is projected; `None` for all.
    projected: Option<BTreeSet<String>>,
}

/// Which copy a change goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copy {
    Table,
    Index,
}

impl std::fmt::Debug for Replicas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replicas").finish_non_exhaustive()
    }
}

impl Replicas {
    pub(super) fn new() -> Result<Self, DynoxideError> {
        Ok(Self { database: Database::memory()?, state: Arc::default() })
    }

    pub(super) fn table(&self, name: &str) -> Option<Arc<Table>> {
        self.state().tables.get(name).cloned()
    }

    /// Forgets a table, because its definition changes. The next request reads it again.
    pub(super) fn forget(&self, name: &str) {
        let mut state = self.state();
        let Some(table) = state.tables.remove(name) else { return };
        for copy in table.indexes.iter().map(|index| &index.copy).chain([&table.name]) {
            // It exists, because `add` has made it.
            let _ = self.send("DeleteTable", &json!({ "TableName": copy }));
            let is_of_copy = |change: &Change| change.body["TableName"] == copy.as_str();
            let dropped: Vec<_> = state
                .changes
                .values()
                .filter(|change| is_of_copy(change))
                .map(|change| change.of.clone())
                .collect();
            for of in dropped {
                state.last.remove(&of);
            }
            state.changes.retain(|_, change| !is_of_copy(change));
        }
    }

    /// Makes the copies of a table, with its items.
    pub(super) fn add(
        &self,
        description: &Value,
        items: Vec<Attributes>,
    ) -> Result<Arc<Table>, DynoxideError> {
        let types = &description["AttributeDefinitions"];
        let attributes = |names: &[&String]| {
            let all = types.as_array().into_iter().flatten();
            all.filter(|of| names.iter().any(|name| of["AttributeName"] == name.as_str()))
                .cloned()
                .collect::<Vec<_>>()
        };
        let name = description["TableName"].as_str().unwrap_or_default().to_owned();
        let key = key_names(&description["KeySchema"]);
        // A copy that could not be finished is made anew.
        let _ = self.send("DeleteTable", &json!({ "TableName": name }));
        self.send(
            "CreateTable",
            &json!({
                "TableName": name, "BillingMode": "PAY_PER_REQUEST", "KeySchema": description["KeySchema"],
                "AttributeDefinitions": attributes(&key.iter().collect::<Vec<_>>()),
            }),
        )?;
        let mut indexes = Vec::new();
        for index in description["GlobalSecondaryIndexes"].as_array().into_iter().flatten() {
            let nth = {
                let mut state = self.state();
                state.indexes += 1;
                state.indexes
            };
            let index = Index::new(index, &key, format!("index-{nth}"));
            let names: Vec<_> = std::iter::once(&index.hash).chain(&index.range).collect();
            let mut definitions = attributes(&names);
            definitions.push(json!({ "AttributeName": ENTRY, "AttributeType": "S" }));
            let schema = |hash: &str, range: Option<&String>| {
                let range = range.map(|range| json!({ "AttributeName": range, "KeyType": "RANGE" }));
                let hash = json!({ "AttributeName": hash, "KeyType": "HASH" });
                std::iter::once(hash).chain(range).collect::<Vec<_>>()
            };
            self.send(
                "CreateTable",
                &json!({
                    "TableName": index.copy, "BillingMode": "PAY_PER_REQUEST", "KeySchema": schema(ENTRY, None),
                    "AttributeDefinitions": definitions,
                    // Each entry has what is projected, and nothing else.
                    "GlobalSecondaryIndexes": [{
                        "IndexName": index.name, "KeySchema": schema(&index.hash, index.range.as_ref()),
                        "Projection": { "ProjectionType": "ALL" },
                    }],
                }),
            )?;
            indexes.push(index);
        }
        let table = Arc::new(Table {
            name: name.clone(),
            key,
            indexes,
            recording: tokio::sync::Mutex::default(),
            entries: Mutex::default(),
        });
        for item in items {
            let key = table.key_of(&item);
            self.record(&table, &key, Some(&item), Duration::ZERO, &mut |_, _| Duration::ZERO);
        }
        self.catch_up(Duration::ZERO)?;
        self.state().tables.insert(name, Arc::clone(&table));
        Ok(table)
    }

    /// Records that an item has changed. `lag` is asked how long each copy takes to show the change.
    pub(super) fn record(
        &self,
        table: &Table,
        key: &Attributes,
        image: Option<&Attributes>,
        now: Duration,
        lag: &mut dyn FnMut(Copy, &str) -> Duration,
    ) {
        let id = Value::from(key.clone()).to_string();
        let of_table = format!("{}\n{id}", table.name);
        let change = match image {
            Some(image) => ("PutItem", json!({ "TableName": table.name, "Item": image })),
            None => ("DeleteItem", json!({ "TableName": table.name, "Key": key })),
        };
        self.change(of_table.clone(), change, now.saturating_add(lag(Copy::Table, &of_table)));
        let mut entries = table.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match image {
            Some(_) => entries.entry(id).or_insert_with(|| vec![None; table.indexes.len()]),
            None => &mut entries.remove(&id).unwrap_or_else(|| vec![None; table.indexes.len()]),
        };
        for (index, before) in table.indexes.iter().zip(before) {
            let hash = image.and_then(|image| index.hash_of(image));
            if let Some(old) = before.take().filter(|old| hash.as_ref() != Some(old)) {
                let entry = index.entry(key, &old);
                let body = json!({ "TableName": index.copy, "Key": { ENTRY: { "S": entry } } });
                let due = now.saturating_add(lag(Copy::Index, &entry));
                self.change(entry, ("DeleteItem", body), due);
            }
            if let (Some(hash), Some(image)) = (&hash, image) {
                let entry = index.entry(key, hash);
                let mut item: Attributes = image
                    .iter()
                    .filter(|(name, _)| index.projects(name))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                item.insert(ENTRY.to_owned(), json!({ "S": entry }));
                item.insert(KEY_OF_ITEM.to_owned(), json!({ "S": Value::from(key.clone()).to_string() }));
                let due = now.saturating_add(lag(Copy::Index, &entry));
                self.change(entry, ("PutItem", json!({ "TableName": index.copy, "Item": item })), due);
            }
            *before = hash;
        }
    }

    /// Returns the hash keys that an item has in an index, as far as they are known.
    pub(super) fn hash_in_index(table: &Table, key: &Attributes, nth: usize) -> Option<String> {
        let entries = table.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(&Value::from(key.clone()).to_string())?.get(nth)?.clone()
    }

    fn change(&self, of: String, (operation, body): (&'static str, Value), due: Duration) {
        let mut state = self.state();
        state.sent += 1;
        let nth = state.sent;
        let due = state.last.get(&of).map_or(due, |(last, _)| due.max(*last));
        state.last.insert(of.clone(), (due, nth));
        state.changes.insert((due, nth), Change { of, operation, body });
    }

    /// Makes visible what is due. Returns how many changes are still invisible.
    pub(super) fn catch_up(&self, now: Duration) -> Result<usize, DynoxideError> {
        let mut state = self.state();
        while let Some(first) = state.changes.first_entry().filter(|first| first.key().0 <= now) {
            let (at, change) = first.remove_entry();
            self.send(change.operation, &change.body)?;
            if state.last.get(&change.of) == Some(&at) {
                state.last.remove(&change.of);
            }
        }
        Ok(state.changes.len())
    }

    /// Answers a read of tables, as their copies are.
    pub(super) fn read(&self, call: &Call) -> Result<String, DynoxideError> {
        dispatch(&self.database, &call.operation, call.body.to_string().as_bytes())
    }

    pub(super) fn send(&self, operation: &str, body: &Value) -> Result<String, DynoxideError> {
        dispatch(&self.database, operation, body.to_string().as_bytes())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Returns the primary key of an item.
    pub(super) fn key_of(&self, item: &Attributes) -> Attributes {
        self.key.iter().filter_map(|name| Some((name.clone(), item.get(name)?.clone()))).collect()
    }

    pub(super) fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name == name)
    }
}

impl Index {
    fn new(description: &Value, key: &[String], copy: String) -> Self {
        let mut names = key_names(&description["KeySchema"]).into_iter();
        let (hash, range) = (names.next().unwrap_or_default(), names.next());
        let projection = &description["Projection"];
        let projected = (projection["ProjectionType"] != "ALL").then(|| {
            let others = projection["NonKeyAttributes"].as_array().into_iter().flatten();
            let others = others.filter_map(Value::as_str).map(str::to_owned);
            others.chain(key.iter().cloned()).chain([hash.clone()]).chain(range.clone()).collect()
        });
        Self {
            name: description["IndexName"].as_str().unwrap_or_default().to_owned(),
            hash,
            range,
            copy,
            projected,
        }
    }

    pub(super) fn projects(&self, name: &String) -> bool {
        self.projected.as_ref().is_none_or(|projected| projected.contains(name))
    }

    /// Returns the hash key of an item's entry, as text; `None` if the item has none here.
    pub(super) fn hash_of(&self, image: &Attributes) -> Option<String> {
        let has_range = self.range.as_ref().is_none_or(|range| image.contains_key(range));
        image.get(&self.hash).filter(|_| has_range).map(Value::to_string)
    }

    /// Returns the name of an entry: it says which item it is of, and in which partition it is.
    pub(super) fn entry(&self, key: &Attributes, hash: &str) -> String {
        let text = format!("{}\n{}\n{hash}", self.copy, Value::from(key.clone()));
        format!("{:032x}", xxh3_128(text.as_bytes()))
    }
}

/// Returns the names of a key's attributes, the hash key first.
fn key_names(schema: &Value) -> Vec<String> {
    let mut names: Vec<_> = schema.as_array().into_iter().flatten().collect();
    names.sort_by_key(|name| name["KeyType"] != "HASH");
    names.into_iter().filter_map(|name| name["AttributeName"].as_str()).map(str::to_owned).collect()
}
