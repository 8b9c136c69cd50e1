//! What a form says: an action, and the tasks that are meant.

use super::Addresses;
use crate::query::Query;

/// The most characters of a reason.
pub(crate) const REASON: usize = 500;

/// The fields of a form.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) action: String,
    pub(crate) ids: Vec<String>,
    pub(crate) all: bool,
    /// Whether all tasks are meant if there is no filter.
    pub(crate) everything: bool,
    pub(crate) query: Query,
    pub(crate) reason: Option<String>,
}

impl Fields {
    /// Reads a form, or returns why it cannot be meant.
    pub(crate) fn read(form: &[u8]) -> Result<Self, String> {
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_bytes(form).map_err(|_| "the form cannot be read".to_owned())?;
        let mut fields = Self::default();
        for (name, value) in pairs {
            match &*name {
                "action" => fields.action = value,
                "id" => fields.ids.push(value),
                "all" => (fields.all, fields.everything) = (true, value == "everything"),
                "reason" => {
                    let reason: String = value.chars().take(REASON).collect();
                    fields.reason = Some(reason).filter(|reason| !reason.trim().is_empty());
                }
                // An address from a form is not followed.
                "back" => {}
                "step" => fields.query.step = value,
                "status" => fields.query.status = value,
                "prefix" => fields.query.prefix = value,
                "since" => fields.query.since = value,
                "until" => fields.query.until = value,
                "error" => fields.query.error = value,
                "group" => fields.query.group = value,
                _ => return Err(format!("the form has an unknown field `{name}`")),
            }
        }
        // A filter that was lost on the way must not mean all tasks.
        let is_meant = fields.everything != fields.query.is_filter();
        match (fields.all, fields.ids.is_empty()) {
            (true, true) if fields.action == "delete" && fields.everything => {
                Err("a delete of all tasks is for the command line".to_owned())
            }
            (true, true) if is_meant => Ok(fields),
            (false, false) if !fields.query.is_filter() => Ok(fields),
            _ => Err("no task is selected".to_owned()),
        }
    }

    /// Returns where to go back to: a page of this use case.
    pub(crate) fn back(&self, to: &Addresses<'_>, use_case: &str) -> String {
        match &self.ids[..] {
            [only] => to.task(use_case, only),
            [] => to.list(use_case, &self.query),
            _ => to.page(use_case, "tasks"),
        }
    }
}
