//! Checks what an operator and workers need: the table, its permissions, its description, and the tasks themselves.

use std::borrow::Cow;

use futures_util::{StreamExt, TryStreamExt};
use serde::Serialize;

use super::Operator;
use crate::declare::description::compare::for_operator;
use crate::dynamodb::batch::batch_get;
use crate::dynamodb::query::{Range, query};
use crate::dynamodb::scan::{Segment, scan_items};
use crate::dynamodb::{self, Route, WriteError, is_access_denied};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{KEY, VALUE, string};
use crate::protocol::expression::Expression;
use crate::table;

/// The key of an item that does not exist. Permissions are tried on it.
const NOBODY: &str = "__tracker__doctor";
/// The size of a history from which a task is reported, because an item has 400 KB in all.
const LARGE_HISTORY: usize = 200 * 1024;
/// The most examples of a finding.
const EXAMPLES: usize = 5;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// All is well.
    Ok,
    /// Something may go wrong, or tasks need help.
    Warning,
    /// Something does not work.
    Problem,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What was checked, such as `table` or `permission GetItem`.
    pub check: String,
    /// How serious it is.
    pub severity: Severity,
    /// What was found.
    pub found: String,
    /// What to do, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    fn ok(check: &str, found: impl Into<String>) -> Self {
        Self { check: check.to_owned(), severity: Severity::Ok, found: found.into(), advice: None }
    }

    fn warning(check: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        let advice = Some(advice.into());
        Self { check: check.to_owned(), severity: Severity::Warning, found: found.into(), advice }
    }

    fn problem(check: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { severity: Severity::Problem, ..Self::warning(check, found, advice) }
    }
}

impl Operator {
    /// Checks the table, its index, time to live, the clock, each permission, the description, and the tasks: statuses that no
    /// step knows, tasks in shards that nobody reads, unreadable items, expired leases and large histories. Writes nothing.
    ///
    /// The tasks are read by a scan of at most `scan` items, because the index does not show them all.
    ///
    /// # Errors
    ///
    /// The error of a request that DynamoDB did not answer. What DynamoDB refuses is a finding.
    pub async fn doctor(&self, scan: usize) -> Result<Vec<Finding>, Error> {
        let mut findings = vec![self.check_table().await];
        findings.extend(self.check_permissions().await?);
        findings.push(self.clock());
        findings.extend(self.check_description());
        findings.extend(self.check_pauses().await);
        if findings.iter().all(|finding| finding.severity != Severity::Problem) {
            findings.extend(unless_denied("leases", self.check_leases().await)?);
            findings.extend(unless_denied("tasks", self.check_items(scan).await)?);
        }
        Ok(findings)
    }

    async fn check_table(&self) -> Finding {
        let cx =
            self.steps.iter().find(|step| step.cx.config.retain.or(step.cx.config.retain_ignored).is_some());
        match table::verify(cx.map_or(&self.cx, |step| &step.cx)).await {
            Ok(()) => Finding::ok("table", format!("`{}` and its index fit", self.table())),
            Err(error) => match error.kind() {
                ErrorKind::TableMismatch { differences, .. } => Finding::problem(
                    "table",
                    differences.join("; "),
                    "correct the table, or call `create_table` with a new name",
                ),
                ErrorKind::TableNotFound { .. } => {
                    Finding::problem("table", error.to_string(), "create it with `create_table`")
                }
                _ => Finding::warning("table", error.to_string(), "allow dynamodb:DescribeTable to check it"),
            },
        }
    }

    /// Tries each permission on an item that does not exist, under a condition that does not hold.
    async fn check_permissions(&self) -> Result<Vec<Finding>, Error> {
        let cx = &self.cx;
        let never = || Expression::new().and("attribute_exists(#key)");
        let write = |sent: Result<(), WriteError>| match sent {
            Ok(()) | Err(WriteError::Condition(_)) => Ok(()),
            Err(WriteError::Unknown(error) | WriteError::Refused(error)) => Err(error),
        };
        let range = Range { value: NOBODY.to_owned(), ..Range::default() };
        let update = never().set("#value = :value").with(":value", string(NOBODY));
        let item = [(KEY.to_owned(), string(NOBODY))].into();
        let pinned = never().and("#value = :value").with(":value", string(NOBODY));
        let tried = [
            ("GetItem", dynamodb::get(cx, NOBODY, false, true).await.map(drop)),
            ("Query", query(cx, &range, false, 1, None).await.map(drop)),
            (
                "BatchGetItem",
                batch_get(cx, &cx.bulk_client, vec![NOBODY.to_owned()], &[], false).await.map(drop),
            ),
            (
                "UpdateItem",
                write(
                    dynamodb::update(cx, Route::ALONE, NOBODY, Cow::Borrowed(&update), false).await.map(drop),
                ),
            ),
            ("PutItem", write(dynamodb::put(cx, NOBODY, item, Some(&pinned)).await)),
            ("DeleteItem", write(dynamodb::delete(cx, NOBODY, never()).await.map(drop))),
            ("PartiQLUpdate", write(dynamodb::try_statement(cx, NOBODY, &update).await)),
        ];
        let mut findings = Vec::new();
        for (permission, tried) in tried {
            let check = format!("permission {permission}");
            findings.push(match tried {
                Ok(()) => Finding::ok(&check, "allowed"),
                Err(error) if is_access_denied(&error) => {
                    let advice = match permission {
                        "PartiQLUpdate" => {
                            "allow dynamodb:PartiQLUpdate, or build workers with `batching(false)`".to_owned()
                        }
                        _ => format!("allow dynamodb:{permission} on the table and its index"),
                    };
                    let is_needed = matches!(permission, "GetItem" | "Query");
                    let denied = Finding::warning(&check, "denied", advice);
                    if is_needed { Finding { severity: Severity::Problem, ..denied } } else { denied }
                }
                Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::NotSent) => {
                    return Err(error);
                }
                Err(error) => Finding::problem(&check, error.to_string(), "see the error"),
            });
        }
        Ok(findings)
    }

    fn clock(&self) -> Finding {
        match self.check_clock() {
            Ok(()) => Finding::ok("clock", "fits DynamoDB's"),
            Err(error) => Finding::problem("clock", error.to_string(), "set this machine's clock"),
        }
    }

    fn check_description(&self) -> Vec<Finding> {
        let check = "description";
        let (Some(used), Some(stored)) = (&self.description, &self.stored) else {
            let advice =
                "call `verify_table` in a program that declares the use case, or publish a description";
            return vec![Finding::warning(check, "the table keeps none", advice)];
        };
        let differences = for_operator(Some(stored), used).1;
        if !differences.is_empty() {
            let advice = "use the description of the table, or deploy the declaration everywhere";
            return vec![Finding::problem(check, differences.join("; "), advice)];
        }
        let mut findings = Vec::new();
        for (name, step) in &stored.steps {
            for status in step.statuses.iter().filter(|status| status.shards < status.most_shards) {
                findings.push(Finding::warning(
                    check,
                    format!(
                        "programs have declared {} to {} shards for `{}` of `{name}`; tasks are written by hand to {}",
                        status.shards, status.most_shards, status.name, status.shards
                    ),
                    "publish the description when every program has been deployed",
                ));
            }
        }
        if findings.is_empty() {
            findings
                .push(Finding::ok(check, format!("{} steps, hash {}", stored.steps.len(), stored.hash())));
        }
        findings
    }

    async fn check_pauses(&self) -> Vec<Finding> {
        match self.pauses().await {
            Ok(pauses) => pauses
                .iter()
                .map(|pause| {
                    let found = format!("`{}` is paused until {}", pause.step, pause.until.to_rfc3339());
                    Finding::warning("pause", found, "resume it when the reason is gone")
                })
                .collect(),
            Err(error) => {
                vec![Finding::warning("pause", error.to_string(), "delete the item if nothing needs it")]
            }
        }
    }

    /// Looks for tasks whose lease has expired.
    async fn check_leases(&self) -> Result<Vec<Finding>, Error> {
        let mut findings = Vec::new();
        for step in &self.steps {
            let lost = self.lost(Some(&step.name), 1000).await?;
            if let Some(first) = lost.first() {
                let more = if lost.len() == 1000 { "at least " } else { "" };
                findings.push(Finding::warning(
                    "leases",
                    format!(
                        "{more}{} tasks of `{}` have lost their worker, such as {}",
                        lost.len(),
                        step.name,
                        first.task.task_id
                    ),
                    "run a worker, which takes them over, or release them",
                ));
            }
        }
        if findings.is_empty() && !self.steps.is_empty() {
            findings.push(Finding::ok("leases", "none has expired"));
        }
        Ok(findings)
    }

    /// Scans items of the use case for what the index does not show.
    async fn check_items(&self, most: usize) -> Result<Vec<Finding>, Error> {
        if self.steps.is_empty() || most == 0 {
            return Ok(Vec::new());
        }
        let prefix = self.cx.use_case.prefix();
        let mut scanned = std::pin::pin!(scan_items(&self.cx, Segment { nth: 0, of: 1 }, &prefix).take(most));
        let (mut unknown, mut unseen) = (Examples::default(), Examples::default());
        let (mut unreadable, mut large, mut read) = (Examples::default(), Examples::default(), 0_usize);
        while let Some(mut item) = scanned.try_next().await? {
            read += 1;
            let key = item.get(KEY).and_then(|key| key.as_s().ok().cloned()).unwrap_or_default();
            let value = item.get(VALUE).and_then(|value| value.as_s().ok().cloned());
            let Ok(head) = self.cx.head(&mut item) else {
                unreadable.add(&key);
                continue;
            };
            if head.errors_bytes > LARGE_HISTORY {
                large.add(&key);
            }
            let Some(step) = self.step_of(head.status_code()) else {
                unknown.add(&key);
                continue;
            };
            let statuses = step.statuses().filter(|status| status.code() == head.status_code());
            let mut seen = statuses.flat_map(|status| step.ranges(status));
            if !seen.any(|range| Some(range.value) == value) {
                unseen.add(&key);
            }
        }
        let scanned =
            if read == most { format!("the first {read} items") } else { format!("all {read} items") };
        let mut findings = Vec::new();
        for (examples, found, advice) in [
            (unknown, "have a status that no step knows", "describe the step that has the status"),
            (unseen, "are in a shard that nobody reads", "set `read_shards`, or redrive them by their ids"),
            (unreadable, "cannot be read", "see the error of `get`, and mend the attribute that it names"),
            (
                large,
                "have a history of more than 200 KB",
                "find out why they fail so often; the item ends at 400 KB",
            ),
        ] {
            if examples.count > 0 {
                let Examples { count, keys } = examples;
                let found = format!("{count} of {scanned} {found}, such as {}", keys.join(", "));
                findings.push(Finding::warning("tasks", found, advice));
            }
        }
        if findings.is_empty() {
            findings.push(Finding::ok(
                "tasks",
                format!("{scanned} are readable, and in statuses and shards that are read"),
            ));
        }
        Ok(findings)
    }
}

/// Makes a finding of a missing permission.
fn unless_denied(check: &str, found: Result<Vec<Finding>, Error>) -> Result<Vec<Finding>, Error> {
    match found {
        Err(error) if is_access_denied(&error) => {
            let advice = "allow dynamodb:BatchGetItem and dynamodb:Scan to check this";
            Ok(vec![Finding::warning(check, error.to_string(), advice)])
        }
        found => found,
    }
}

/// Counts tasks, and keeps the keys of some.
#[derive(Debug, Default)]
struct Examples {
    count: usize,
    keys: Vec<String>,
}

impl Examples {
    fn add(&mut self, key: &str) {
        self.count += 1;
        if self.keys.len() < EXAMPLES {
            self.keys.push(key.to_owned());
        }
    }
}
