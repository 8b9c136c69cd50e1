//! The filter that an address on the page holds.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tracker_core::{Cursor, TaskFilter};
use tracker_text::{moment, quoted};

/// The filter of the list, as its address and its forms have it. An empty field means nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Query {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) step: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) prefix: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) since: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) until: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) error: String,
    /// The whole text of a group of errors.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) group: String,
    /// `oldest` for the oldest first.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) order: String,
    /// `1` if the items are read for their errors.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) details: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) after: String,
}

impl Query {
    pub(crate) fn of_status(step: &str, status: &str) -> Self {
        Self { step: step.to_owned(), status: status.to_owned(), ..Self::default() }
    }

    /// Returns whether the query means only some of the tasks.
    pub(crate) fn is_filter(&self) -> bool {
        [&self.step, &self.status, &self.prefix, &self.since, &self.until, &self.error, &self.group]
            .iter()
            .any(|field| !field.is_empty())
    }

    /// Returns whether the items say which tasks are meant.
    pub(crate) fn searches_items(&self) -> bool {
        !self.error.is_empty() || !self.group.is_empty()
    }

    pub(crate) fn reads_items(&self) -> bool {
        !self.details.is_empty() || self.searches_items()
    }

    /// Returns the filter, or which field is wrong.
    pub(crate) fn filter(&self, now: DateTime<Utc>) -> Result<TaskFilter, String> {
        let mut filter = TaskFilter::new();
        if !self.step.is_empty() {
            filter = filter.step(&self.step);
        }
        if !self.status.is_empty() {
            filter = filter.status(&self.status);
        }
        if !self.prefix.is_empty() {
            filter = filter.id_prefix(&self.prefix);
        }
        if !self.since.is_empty() {
            filter = filter.since(moment(&self.since, now).map_err(|error| format!("since: {error}"))?);
        }
        if !self.until.is_empty() {
            filter = filter.until(moment(&self.until, now).map_err(|error| format!("until: {error}"))?);
        }
        if !self.error.is_empty() {
            filter = filter.error(&self.error);
        }
        if !self.group.is_empty() {
            filter = filter.error_group(&self.group);
        }
        Ok(filter)
    }

    /// Returns the filter of the list, which has an order and may read the items.
    pub(crate) fn of_list(&self, now: DateTime<Utc>) -> Result<TaskFilter, String> {
        let mut filter = self.filter(now)?;
        if self.order != "oldest" {
            filter = filter.newest_first();
        }
        if self.reads_items() {
            filter = filter.with_errors();
        }
        Ok(filter)
    }

    pub(crate) fn cursor(&self) -> Option<Cursor> {
        (!self.after.is_empty()).then(|| Cursor::from_text(&self.after))
    }

    /// Returns the query in the form of an address: `?status=ignored`.
    pub(crate) fn address(&self) -> String {
        let fields = serde_urlencoded::to_string(self).unwrap_or_default();
        if fields.is_empty() { fields } else { format!("?{fields}") }
    }

    /// Returns the options of a `tracker` command that mean the same.
    pub(crate) fn options(&self) -> String {
        let fields = [
            ("--step", &self.step),
            ("--status", &self.status),
            ("--prefix", &self.prefix),
            ("--since", &self.since),
            ("--until", &self.until),
            ("--error", &self.error),
            ("--error-group", &self.group),
        ];
        let some = fields.into_iter().filter(|(_, value)| !value.is_empty());
        let options: Vec<String> = some.map(|(name, value)| option(name, value)).collect();
        if options.is_empty() { " --all".to_owned() } else { options.concat() }
    }
}

/// Returns an option of a command. A value that begins with a hyphen must not look like another option.
fn option(name: &str, value: &str) -> String {
    let between = if value.starts_with('-') { '=' } else { ' ' };
    format!(" {name}{between}{}", quoted(value))
}

/// Returns ids as the arguments of a command. An id that begins with a hyphen must not look like an option.
pub(crate) fn id_arguments<'i>(ids: impl IntoIterator<Item = &'i str>) -> String {
    let ids: Vec<_> = ids.into_iter().collect();
    let hyphen = if ids.iter().any(|id| id.starts_with('-')) { " --" } else { "" };
    ids.into_iter().fold(hyphen.to_owned(), |text, id| text + " " + &quoted(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_the_same_in_an_address_and_in_a_command() {
        let query = Query {
            status: "ignored".to_owned(),
            error: "timed out & 'so'".to_owned(),
            since: "2h".to_owned(),
            ..Query::default()
        };
        assert_eq!(query.address(), "?status=ignored&since=2h&error=timed+out+%26+%27so%27");
        assert_eq!(query.options(), " --status ignored --since 2h --error 'timed out & '\\''so'\\'''");
        assert_eq!(Query::default().options(), " --all");
        assert_eq!(Query { prefix: "--yes".to_owned(), ..Query::default() }.options(), " --prefix=--yes");
        assert_eq!(id_arguments(["a b", "--all"]), " -- 'a b' --all");
        assert_eq!(id_arguments(["doc-1"]), " doc-1");
        assert_eq!(Query::default().address(), "");
        assert!(query.is_filter() && !Query::default().is_filter());
    }
}
