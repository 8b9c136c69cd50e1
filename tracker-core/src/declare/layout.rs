//! How the tracker's attributes are named in a table, and of what its primary key is made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::{KEY, OWN};
use super::spec::FieldSpec;

/// DynamoDB's limits for the name of an attribute that is part of a key, and for a sort key, in bytes.
const NAME_BYTES: usize = 255;
pub(crate) const SORT_KEY_BYTES: usize = 1024;

/// The sort key of the records that the tracker keeps beside the tasks. It is the same for all layouts, so that whoever knows the names of
/// the primary key finds them.
pub(crate) const SORT_KEY_OF_RECORDS: &str = "__tracker__";

/// The attributes of the records that the tracker keeps beside the tasks. No task has them.
const OF_RECORDS: [&str; 4] = ["description", "pauses", "revision", "use_case_ids"];

/// The layout of a table that has other names than the tracker's, a sort key, or both: a table that holds other kinds of items as well.
///
/// A declaration says the same with `names(..)`, `attribute_prefix` and `sort_key`. All programs of a table need the same layout.
///
/// # Examples
///
/// ```
/// use tracker_core::Layout;
///
/// let layout = Layout::new()
///     .attribute_prefix("task_")
///     .name("key", "pk")
///     .name("value", "gsi1pk")
///     .name("update_time", "gsi1sk")
///     .sort_key("sk", "TASK");
/// assert_eq!(layout.name_of("status"), "task_status");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Layout {
    /// The names that differ, by the tracker's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    names: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort_key: Option<SortKey>,
}

/// What differs from the tracker's own layout, such as `key as pk, sort key sk = "TASK"`.
impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_default() {
            return f.write_str("the tracker's own");
        }
        let prefix = self.prefix();
        let of_prefix = prefix.map(|prefix| format!("the prefix {prefix}"));
        let is_other = |(own, name): &(&String, &String)| {
            prefix.and_then(|prefix| name.strip_prefix(prefix)) != Some(own)
        };
        let others = self.names.iter().filter(is_other).map(|(own, name)| format!("{own} as {name}"));
        let names = of_prefix.into_iter().chain(others);
        let sort = self.sort_key.iter().map(|SortKey { name, constant }| match constant {
            Some(constant) => format!("sort key {name} = \"{constant}\""),
            None => format!("sort key {name} = the task id"),
        });
        f.write_str(&names.chain(sort).collect::<Vec<_>>().join(", "))
    }
}

/// The sort key of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SortKey {
    /// The name of the attribute.
    pub(crate) name: String,
    /// The value that all tasks have. If there is none, the sort key is the task id, and the hash key is the use case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) constant: Option<String>,
}

/// The layout, as the derive emits it.
#[derive(Debug, Clone, Copy)]
pub struct LayoutSpec {
    /// The beginning of all names that `names` does not have.
    pub prefix: &'static str,
    /// The names that differ, each after the tracker's own.
    pub names: &'static [(&'static str, &'static str)],
    /// The sort key: its name, and the value that all tasks have, unless it is the task id.
    pub sort_key: Option<(&'static str, Option<&'static str>)>,
}

impl LayoutSpec {
    /// The tracker's own names, and no sort key.
    pub const OWN: Self = Self { prefix: "", names: &[], sort_key: None };
}

impl Layout {
    /// Returns the layout with the tracker's own names and without a sort key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the layout of a declaration.
    pub(crate) fn declared(spec: &LayoutSpec) -> Self {
        let mut layout = Self::new();
        if !spec.prefix.is_empty() {
            layout = layout.attribute_prefix(spec.prefix);
        }
        for (own, name) in spec.names {
            layout = layout.name(own, *name);
        }
        match spec.sort_key {
            None => layout,
            Some((name, Some(constant))) => layout.sort_key(name, constant),
            Some((name, None)) => layout.sort_key_of_task_id(name),
        }
    }

    /// Puts a prefix before the names of all attributes of the tracker. Call [`name`](Self::name) afterwards for those that have
    /// another name.
    #[must_use]
    pub fn attribute_prefix(self, prefix: &str) -> Self {
        OWN.iter().fold(self, |layout, own| layout.name(own, format!("{prefix}{own}")))
    }

    /// Names an attribute. `own` is the tracker's name for it, such as `key`, `value`, `update_time` or `status`: the page
    /// `docs/item-format.md` lists them.
    #[must_use]
    pub fn name(mut self, own: &str, name: impl Into<String>) -> Self {
        let name = name.into();
        if own == name {
            self.names.remove(own);
        } else {
            self.names.insert(own.to_owned(), name);
        }
        self
    }

    /// Sets a sort key that has the same value for all tasks. The hash key stays that of the tracker: the use case and the task id.
    ///
    /// Other items may share the hash key of a task, and have other sort keys.
    #[must_use]
    pub fn sort_key(mut self, name: impl Into<String>, constant: impl Into<String>) -> Self {
        self.sort_key = Some(SortKey { name: name.into(), constant: Some(constant.into()) });
        self
    }

    /// Sets the task id as sort key, and the use case as hash key. So one query of the table reads all tasks of the use case, in the
    /// order of their ids.
    ///
    /// All tasks share one hash key: DynamoDB takes 1,000 write units a second for it, and may or may not split it, so a use case
    /// writes at most about 300 tasks a second. Task ids have at most 1,024 bytes.
    #[must_use]
    pub fn sort_key_of_task_id(mut self, name: impl Into<String>) -> Self {
        self.sort_key = Some(SortKey { name: name.into(), constant: None });
        self
    }

    /// Returns the name that one of the tracker's attributes has in the table.
    #[must_use]
    pub fn name_of<'a>(&'a self, own: &'a str) -> &'a str {
        self.names.get(own).map_or(own, String::as_str)
    }

    /// Returns the layout of a table of which only the primary key is known: enough to read the description of a use case.
    pub(crate) fn of_primary_key(hash: &str, sort: Option<&str>) -> Self {
        let layout = Self::new().name(KEY, hash);
        sort.map_or(layout.clone(), |sort| layout.sort_key_of_task_id(sort))
    }

    /// Returns the prefix that most names have, if there is one.
    fn prefix(&self) -> Option<&str> {
        let prefixes: Vec<_> =
            self.names.iter().filter_map(|(own, name)| name.strip_suffix(own.as_str())).collect();
        let most =
            prefixes.iter().max_by_key(|prefix| prefixes.iter().filter(|other| other == prefix).count())?;
        (prefixes.iter().filter(|other| other == &most).count() > OWN.len() / 2).then_some(most)
    }

    /// Returns the names of the primary key: the hash key, and the sort key if the table has one.
    pub(crate) fn primary_key(&self) -> Vec<&str> {
        let sort = self.sort_key.as_ref().map(|sort| sort.name.as_str());
        std::iter::once(self.name_of(KEY)).chain(sort).collect()
    }

    pub(crate) fn sort(&self) -> Option<&SortKey> {
        self.sort_key.as_ref()
    }

    /// Returns whether this is the layout with the tracker's own names and without a sort key.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.names.is_empty() && self.sort_key.is_none()
    }

    /// Returns why the layout cannot be used, if so.
    pub(crate) fn fault(&self, fields: &[FieldSpec], is_python: bool) -> Option<String> {
        if is_python && !self.is_default() {
            return Some(
                "`wire = \"pynamodb\"` needs the names of Python's library: remove the layout".to_owned(),
            );
        }
        if let Some(unknown) = self.names.keys().find(|own| !OWN.contains(&own.as_str())) {
            let all = OWN.join("`, `");
            return Some(format!("the tracker has no attribute `{unknown}` to name: use one of `{all}`"));
        }
        let mut seen = BTreeSet::new();
        let sort = self.sort_key.as_ref().map(|sort| sort.name.as_str());
        for name in OWN.iter().map(|own| self.name_of(own)).chain(sort) {
            if name.is_empty() || name.len() > NAME_BYTES {
                return Some(format!("an attribute cannot be named `{name}`: use 1 to {NAME_BYTES} bytes"));
            }
            if OF_RECORDS.contains(&name) {
                return Some(format!(
                    "an attribute cannot be named `{name}`, as records of the tracker have it: use another name"
                ));
            }
            if !seen.insert(name) {
                return Some(format!("two attributes are named `{name}`: use another name for one of them"));
            }
            if fields.iter().any(|field| field.attribute && field.stored == name) {
                return Some(format!(
                    "a field is stored as the attribute `{name}`, which is one of the tracker's: use another name"
                ));
            }
        }
        let constant = self.sort_key.as_ref().and_then(|sort| sort.constant.as_ref())?;
        if constant == SORT_KEY_OF_RECORDS {
            return Some(format!(
                "records of the tracker have the sort key `{constant}`: use another constant"
            ));
        }
        let is_valid = (1..=SORT_KEY_BYTES).contains(&constant.len());
        (!is_valid).then(|| {
            format!("the constant of the sort key has {} bytes: use 1 to {SORT_KEY_BYTES}", constant.len())
        })
    }
}
