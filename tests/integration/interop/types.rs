//! The tasks that both languages work on. `tests/interop.d/python_side.py` must have the same codes and shards.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tracker_core::StatusTracker;

use crate::support::{ExtractStatus, SummaryStatus};

/// A type whose fields the driver can set, as a command names them.
pub trait Fields: StatusTracker<TaskId = String> + Serialize + for<'de> Deserialize<'de> {
    fn with_id(self, id: &str) -> Self;
    fn set(&mut self, fields: Self);
}

macro_rules! fields {
    ($type:ident: $($field:ident),*) => {
        impl Fields for $type {
            fn with_id(mut self, id: &str) -> Self {
                id.clone_into(&mut self.id);
                self
            }

            fn set(&mut self, fields: Self) {
                $(if fields.$field.is_some() { self.$field = fields.$field; })*
            }
        }
    };
}

/// Declares less than Python stores under that name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    pub a: Option<i64>,
}

/// The first step.
#[derive(StatusTracker, Debug, Clone, Default, Serialize, Deserialize)]
#[tracker(use_case_id = "interop", status = ExtractStatus, wire = "pynamodb", ignore_serde)]
#[serde(default)]
pub struct Job {
    #[tracker(task_id)]
    pub id: String,
    #[tracker(attribute)]
    pub customer: Option<String>,
    pub text: Option<String>,
    pub number: Option<f64>,
    pub big: Option<u128>,
    pub pages: Option<i64>,
    pub nested: Option<HashMap<String, Vec<Option<String>>>>,
    pub meta: Option<Meta>,
}
fields!(Job: customer, text, number, big, pages, nested, meta);

/// Declares no member of `data`.
#[derive(StatusTracker, Debug, Clone, Default, Serialize, Deserialize)]
#[tracker(use_case_id = "interop", status = ExtractStatus, wire = "pynamodb", ignore_serde)]
#[serde(default)]
pub struct Blind {
    #[tracker(task_id)]
    pub id: String,
    #[tracker(attribute)]
    pub note: Option<String>,
}
fields!(Blind: note);

/// The second step.
#[derive(StatusTracker, Debug, Clone, Default, Serialize, Deserialize)]
#[tracker(use_case_id = "interop", status = SummaryStatus, wire = "pynamodb", after = Job, ignore_serde)]
#[serde(default)]
pub struct Mail {
    #[tracker(task_id)]
    pub id: String,
    pub sent_to: Option<String>,
}
fields!(Mail: sent_to);

/// The first step, without `wire = "pynamodb"`. Python starts a failed task at once, so this step does too.
#[derive(StatusTracker, Debug, Clone, Default, Serialize, Deserialize)]
#[tracker(use_case_id = "interop", status = ExtractStatus, backoff = "none", ignore_serde)]
#[serde(default)]
pub struct Native {
    #[tracker(task_id)]
    pub id: String,
    pub text: Option<String>,
    pub number: Option<f64>,
    pub pages: Option<i64>,
    pub tags: Option<Vec<String>>,
}
fields!(Native: text, number, pages, tags);
