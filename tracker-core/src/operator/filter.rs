//! Which tasks are meant.

use chrono::{DateTime, Utc};

use super::normalise::{CUT, normalise};
use super::{Operator, Step, role_name};
use crate::declare::status::Role;
use crate::error::{Error, ErrorKind};
use crate::item::head::TaskHead;
use crate::item::history::HistoryEntry;
use crate::item::use_case::Status;
use crate::protocol::operator::{MADE_DUE, REDRIVEN};
use crate::query::merge::Plan;
use crate::time::Timestamp;

/// Says which tasks of a use case are meant. All that is set must hold; the default means all tasks.
///
/// # Examples
///
/// ```
/// use tracker_core::TaskFilter;
///
/// let timeouts = TaskFilter::new().status("ignored").error("timed out").id_prefix("2026-");
/// # let _ = timeouts;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct TaskFilter {
    pub(super) statuses: Vec<String>,
    pub(super) step: Option<String>,
    since: Option<DateTime<Utc>>,
    pub(super) until: Option<DateTime<Utc>>,
    id_prefix: Option<String>,
    error: Option<String>,
    group: Option<String>,
    reads_errors: bool,
    newest_first: bool,
}

impl TaskFilter {
    /// Returns a filter that means all tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a status: its name, its role such as `in_progress`, or its code. Capital letters do not matter.
    pub fn status(mut self, status: impl Into<String>) -> Self {
        self.statuses.push(status.into());
        self
    }

    /// Means the tasks of one step alone.
    pub fn step(mut self, step: impl Into<String>) -> Self {
        self.step = Some(step.into());
        self
    }

    /// Leaves out tasks whose status changed before this time.
    pub fn since(mut self, time: DateTime<Utc>) -> Self {
        self.since = Some(time);
        self
    }

    /// Leaves out tasks whose status changed after this time.
    pub fn until(mut self, time: DateTime<Utc>) -> Self {
        self.until = Some(time);
        self
    }

    /// Means tasks whose id begins with this text.
    pub fn id_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.id_prefix = Some(prefix.into());
        self
    }

    /// Means tasks whose last error contains this text. Capital letters do not matter. The items are read for it.
    ///
    /// The text may be an [`ErrorGroup::error`](crate::ErrorGroup::error), or a part of one: `#` then stands for any number, and
    /// `{id}` for the id of the task. An empty text means tasks without an error.
    pub fn error(mut self, text: impl Into<String>) -> Self {
        self.error = Some(text.into().to_lowercase());
        self
    }

    /// Means the tasks of one [`ErrorGroup`](crate::ErrorGroup), by its whole text. The items are read for it.
    pub fn error_group(mut self, error: impl Into<String>) -> Self {
        self.group = Some(error.into());
        self
    }

    /// Reads the items, so that each [`TaskSummary`](crate::TaskSummary) has the last error, the failed attempts and the owner.
    pub fn with_errors(mut self) -> Self {
        self.reads_errors = true;
        self
    }

    /// Reverses the order: the tasks whose status changed last come first.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Returns whether the items are needed.
    pub(super) fn reads_items(&self) -> bool {
        self.error.is_some() || self.group.is_some() || self.reads_errors
    }

    pub(super) fn has_id(&self, task_id: &str) -> bool {
        self.id_prefix.as_ref().is_none_or(|prefix| task_id.starts_with(prefix))
    }

    pub(super) fn has_error(&self, head: &TaskHead) -> bool {
        let is_of_group = |group: &String| {
            let error = last_error(head).map_or("", |entry| &*entry.error);
            normalise(error, head.task_id()) == *group
        };
        self.group.as_ref().is_none_or(is_of_group) && self.contains_error(head)
    }

    fn contains_error(&self, head: &TaskHead) -> bool {
        let Some(wanted) = self.error.as_deref() else { return true };
        let Some(entry) = last_error(head) else { return wanted.is_empty() };
        if wanted.is_empty() {
            return entry.error.is_empty();
        }
        // A table cuts a long error.
        let wanted = wanted.strip_suffix(CUT).filter(|begin| !begin.is_empty()).unwrap_or(wanted);
        let has = |text: &str| text.to_lowercase().contains(wanted);
        let is_normal = wanted.contains(['#', ' ']) || wanted.contains("{id}");
        has(&entry.error)
            || has(&entry.traceback)
            || (is_normal && has(&normalise(&entry.error, head.task_id())))
    }
}

impl Operator {
    /// Returns the statuses that a filter means, each with its step.
    pub(super) fn statuses_of(&self, filter: &TaskFilter) -> Result<Vec<(&Step, Status)>, Error> {
        let steps: Vec<&Step> = match &filter.step {
            Some(step) => vec![self.step(step)?],
            None => self.described_steps()?.iter().collect(),
        };
        let all: Vec<_> =
            steps.iter().flat_map(|step| step.statuses().map(|status| (*step, status))).collect();
        if filter.statuses.is_empty() {
            return Ok(all);
        }
        for wanted in &filter.statuses {
            if !all.iter().any(|(_, status)| is_called(*status, wanted)) {
                let names: Vec<_> = all.iter().map(|(_, status)| status.row.name).collect();
                let reason = format!("there is no status `{wanted}`; there are {}", names.join(", "));
                return Err(Error::new(ErrorKind::InvalidQuery { reason }));
            }
        }
        let is_wanted = |status| filter.statuses.iter().any(|wanted| is_called(status, wanted));
        Ok(all.into_iter().filter(|(_, status)| is_wanted(*status)).collect())
    }

    /// Returns the plan of a query for what a filter means, up to a time.
    pub(super) fn plan(&self, filter: &TaskFilter, until: Timestamp) -> Result<Plan, Error> {
        let mut ranges = Vec::new();
        for (step, status) in self.statuses_of(filter)? {
            for mut range in step.ranges(status) {
                range.from = filter.since.map(|since| Timestamp::new(since).to_string());
                range.until = Some(until.to_string());
                ranges.push((status.code(), range));
            }
        }
        Ok(Plan { ranges, newest_first: filter.newest_first, ..Plan::default() })
    }
}

/// Returns the last entry of the history that is an error, and not what somebody did by hand.
pub(super) fn last_error(head: &TaskHead) -> Option<&HistoryEntry> {
    head.errors().iter().rev().find(|entry| ![REDRIVEN, MADE_DUE].contains(&&*entry.error))
}

/// Returns whether a text means a status.
fn is_called(Status { row, .. }: Status, text: &str) -> bool {
    let same = |name: &str| name.eq_ignore_ascii_case(text);
    same(row.name)
        || same(&row.code.to_string())
        || role_name(row.role).eq_ignore_ascii_case(&text.replace(['-', ' '], "_"))
        // A task that waits is pending, in whatever status it waits.
        || (row.role == Role::MorePending && same("pending"))
}
