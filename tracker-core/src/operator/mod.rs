//! Works on the tasks of a use case without their types: finds them, says why they failed, and mends many at once.

pub(crate) mod act;
pub(crate) mod action;
pub(crate) mod builder;
pub(crate) mod count;
pub(crate) mod doctor;
pub(crate) mod errors;
pub(crate) mod filter;
pub(crate) mod list;
mod normalise;
pub(crate) mod stuck;
pub(crate) mod view;
mod wait;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use chrono::{DateTime, SubsecRound, Utc};

use self::builder::OperatorBuilder;
use crate::declare::description::Description;
use crate::declare::description::intern::interned;
use crate::declare::status::Role;
use crate::dynamodb::Context;
use crate::dynamodb::query::Range;
use crate::error::{Error, ErrorKind};
use crate::item::history::Note;
use crate::item::use_case::Status;
use crate::table::description;
use crate::table::pause::{self, Pause};
use crate::time::Timestamp;

/// Works on the tasks of a use case without their types. The use case's [`Description`] says which steps and statuses it has.
///
/// The typed methods of a [`Tracker`](crate::Tracker) run the same code. The command line `tracker` is made of an operator.
///
/// # Examples
///
/// ```
/// use tracker_core::aws_sdk_dynamodb::Client;
/// use tracker_core::{Error, Operator, TaskFilter};
///
/// async fn retry_timeouts(client: &Client) -> Result<(), Error> {
///     let operator = Operator::builder(client).table("documents").use_case_id("extract").actor("alice").open().await?;
///     let timeouts = TaskFilter::new().status("ignored").error("timed out");
///     let summary = operator.redrive(timeouts).limit(500).await?;
///     println!("{} redriven, {} skipped, {} failed", summary.done, summary.skipped, summary.failed);
///     Ok(())
/// }
/// ```
pub struct Operator {
    steps: Vec<Step>,
    /// The context of the table and the use case.
    cx: Arc<Context>,
    description: Option<Description>,
    stored: Option<Description>,
    /// Why nothing may be written, if so.
    read_only: Vec<String>,
    note: Note,
}

/// A step of the use case, by its description.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) name: String,
    /// Other names of the step: of types that were renamed, or that work on the same statuses.
    aliases: Vec<String>,
    pub(crate) cx: Arc<Context>,
    /// How many shards a status is looked for in, by its code.
    read_shards: BTreeMap<u32, u32>,
}

impl Step {
    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.name).chain(self.aliases.iter().map(|name| &**name))
    }

    /// Returns the statuses of the step, in the order of the declaration.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = Status> + use<> {
        let table = self.cx.use_case.spec().status;
        table.rows.iter().map(move |row| Status { table, row })
    }

    /// Returns the index partitions of a status.
    fn ranges(&self, status: Status) -> Vec<Range> {
        let shards = self.read_shards.get(&status.code()).copied().unwrap_or(1);
        let values = self.cx.use_case.partitions(status, shards);
        values.into_iter().map(|value| Range { value, ..Range::default() }).collect()
    }
}

impl Operator {
    /// Returns a builder.
    pub fn builder(client: &Client) -> OperatorBuilder {
        OperatorBuilder::new(client)
    }

    /// Returns the description with which the operator works. `None` if there is none; then only [`get`](Self::get) works.
    #[must_use]
    pub fn description(&self) -> Option<&Description> {
        self.description.as_ref()
    }

    /// Returns the description that the table keeps, if there is one.
    #[must_use]
    pub fn stored_description(&self) -> Option<&Description> {
        self.stored.as_ref()
    }

    /// Returns the name of the table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.cx.config.table
    }

    /// Returns the use case.
    #[must_use]
    pub fn use_case_id(&self) -> &str {
        self.cx.use_case.id()
    }

    /// Returns why nothing may be written; empty if writes are allowed.
    #[must_use]
    pub fn why_read_only(&self) -> &[String] {
        &self.read_only
    }

    /// Returns the time by the operator's clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.cx.now().wall
    }

    /// Compares this machine's clock with that of DynamoDB, as the responses so far have shown it.
    ///
    /// # Errors
    ///
    /// [`ClockOff`](ErrorKind::ClockOff) if they differ by more than half of `max_clock_skew`.
    pub fn check_clock(&self) -> Result<(), Error> {
        self.cx.check_clock()
    }

    /// Stores the description with which the operator works, and counts only its shards from then on: call this once every
    /// program of the table has been deployed with it.
    ///
    /// # Errors
    ///
    /// - [`ReadOnly`](ErrorKind::ReadOnly) or [`NotDescribed`](ErrorKind::NotDescribed).
    /// - [`TableMismatch`](ErrorKind::TableMismatch) if stored tasks have other codes.
    /// - The error of a request that DynamoDB refused or did not answer.
    pub async fn publish(&self, description: &Description) -> Result<(), Error> {
        self.check_writable()?;
        let invalid = |reason: String| Error::new(ErrorKind::InvalidConfig { reason });
        interned(description).map_err(invalid)?;
        if description.use_case_id != self.use_case_id() {
            let (other, own) = (&description.use_case_id, self.use_case_id());
            return Err(invalid(format!("the description is of `{other}`, and the operator of `{own}`")));
        }
        description::publish(&self.cx, description).await
    }

    /// Pauses a step until a time: workers claim none of its tasks. What runs goes on, and so does a start by hand. A pause
    /// survives restarts. Python workers do not know it.
    ///
    /// # Errors
    ///
    /// - [`InvalidQuery`](ErrorKind::InvalidQuery) if the use case has no such step.
    /// - [`ReadOnly`](ErrorKind::ReadOnly) or [`NotDescribed`](ErrorKind::NotDescribed).
    /// - The error of a request that DynamoDB refused or did not answer.
    pub async fn pause(&self, step: &str, until: DateTime<Utc>) -> Result<Pause, Error> {
        self.check_writable()?;
        let step = self.name_of_step(step)?;
        let pause = Pause {
            step,
            until: until.trunc_subsecs(0),
            since: self.now().trunc_subsecs(0),
            by: self.note.by.clone(),
            reason: self.note.reason.clone(),
        };
        pause::set(&self.cx, &pause.step, Some(&pause)).await?;
        Ok(pause)
    }

    /// Ends the pause of a step. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// The same as those of [`pause`](Self::pause).
    pub async fn resume(&self, step: &str) -> Result<bool, Error> {
        self.check_writable()?;
        pause::set(&self.cx, &self.name_of_step(step)?, None).await
    }

    /// Returns the pauses that have not ended.
    ///
    /// # Errors
    ///
    /// The error of a request that DynamoDB refused or did not answer.
    pub async fn pauses(&self) -> Result<Vec<Pause>, Error> {
        let now = self.now();
        let mut pauses = pause::read(&self.cx, true).await?;
        pauses.retain(|pause| pause.until > now);
        Ok(pauses)
    }

    /// Returns the steps, or an error if the use case is not described.
    fn described_steps(&self) -> Result<&[Step], Error> {
        if self.steps.is_empty() {
            return Err(Error::new(ErrorKind::NotDescribed {
                reason: format!(
                    "the table `{}` keeps no description of the use case `{}`; call `verify_table` in a program that \
                     declares it, or give the description yourself",
                    self.table(),
                    self.use_case_id()
                ),
            }));
        }
        Ok(&self.steps)
    }

    /// Returns the step with this name, whatever the case of its letters.
    fn step(&self, name: &str) -> Result<&Step, Error> {
        let steps = self.described_steps()?;
        steps.iter().find(|step| step.names().any(|own| own.eq_ignore_ascii_case(name))).ok_or_else(|| {
            let names: Vec<_> = steps.iter().flat_map(Step::names).collect();
            let reason = format!("the use case has no step `{name}`; it has {}", names.join(", "));
            Error::new(ErrorKind::InvalidQuery { reason })
        })
    }

    /// Returns the name of a step as it is declared.
    fn name_of_step(&self, name: &str) -> Result<String, Error> {
        let step = self.step(name)?;
        let declared = step.names().find(|own| own.eq_ignore_ascii_case(name));
        Ok(declared.unwrap_or(&step.name).to_owned())
    }

    /// Returns a step that starts tasks in another step's status.
    fn step_from(&self, code: u32) -> Option<&Step> {
        let is_own = |step: &Step| step.cx.use_case.spec().status.row(code).is_some();
        self.steps.iter().find(|step| !is_own(step) && step.cx.use_case.ready().any(|ready| ready == code))
    }

    /// Returns the step whose own status has this code.
    fn step_of(&self, code: u32) -> Option<&Step> {
        self.steps.iter().find(|step| step.cx.use_case.spec().status.row(code).is_some())
    }

    /// Refuses to write, if nothing may be written.
    fn check_writable(&self) -> Result<(), Error> {
        self.described_steps()?;
        if self.read_only.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::ReadOnly { reasons: self.read_only.clone() }))
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp::from(self.cx.now())
    }
}

/// Returns the name of a role, as filters and JSON have it: `in_progress`.
pub(crate) fn role_name(role: Role) -> String {
    role.to_string().replace(' ', "_")
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator")
            .field("table", &self.table())
            .field("use_case_id", &self.use_case_id())
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}
