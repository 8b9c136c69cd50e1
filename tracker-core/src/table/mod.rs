//! Creates, verifies and deletes the table with its index.

pub(crate) mod access;
pub(crate) mod description;
pub(crate) mod pause;
pub(crate) mod versioned;

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, GlobalSecondaryIndex, GlobalSecondaryIndexDescription, IndexStatus,
    KeySchemaElement, KeyType, Projection, ProjectionType, ProvisionedThroughput, ScalarAttributeType,
    TableDescription, TableStatus,
};

use self::description::Write;
use crate::dynamodb::Context;
use crate::dynamodb::table::{self, NewTable};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{CREATE_TIME, EXPIRES_AT, UPDATE_TIME, VALUE};
use crate::item::definition::shape::PROJECTED;
use crate::item::translation::Translation;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

/// The number of times that a new table is described until it can be used, for about five minutes in all.
const POLLS: u32 = 150;
/// How often the description of a new table may not know it.
const UNKNOWN_POLLS: u32 = 10;
/// The wait between two descriptions of a new table.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

impl<T: StatusTracker> Tracker<T> {
    /// Creates the table and its index, and waits until both can be used. Billing is on-demand, unless
    /// [`provisioned`](CreateTable::provisioned) is called.
    ///
    /// An existing table is verified instead. If [`retain`](crate::TrackerBuilder::retain) or
    /// [`retain_ignored`](crate::TrackerBuilder::retain_ignored) is set, time to live is enabled, on an
    /// existing table as well.
    ///
    /// # Errors
    ///
    /// - [`TableMismatch`](ErrorKind::TableMismatch), with each difference, if a table with this name exists
    ///   and does not fit. Also if the table or its index cannot be used after about five minutes.
    /// - [`Service`](ErrorKind::Service) if DynamoDB refused a request, for example because time to live is
    ///   enabled on another attribute.
    #[must_use = "the table is created when this is awaited"]
    pub fn create_table(&self) -> CreateTable<'_> {
        CreateTable { cx: self.cx(), provisioned: None }
    }

    /// Verifies that the table and its index are as the tracker needs them, and that the statuses have the codes that they had
    /// when tasks were stored: see [`description`](crate::TrackerBuilder::description).
    ///
    /// If [`retain`](crate::TrackerBuilder::retain) or
    /// [`retain_ignored`](crate::TrackerBuilder::retain_ignored) is set, this also verifies time to live,
    /// unless there are other differences. A [worker](Self::worker) does the same before it claims anything,
    /// and skips this check if it may not describe the table.
    ///
    /// # Errors
    ///
    /// - [`TableNotFound`](ErrorKind::TableNotFound) if the table does not exist.
    /// - [`TableMismatch`](ErrorKind::TableMismatch), with each difference, if the table does not fit. A
    ///   table without time to live does not fit a tracker with `retain`: call
    ///   [`create_table`](Self::create_table) once.
    /// - [`Service`](ErrorKind::Service) if the tracker may not describe the table or its time to live.
    pub async fn verify_table(&self) -> Result<(), Error> {
        verify(self.cx()).await?;
        description::check(self.cx(), Write::IfNew).await
    }

    /// Deletes the table, with the tasks of every use case in it. Does not wait until the table is gone.
    ///
    /// # Errors
    ///
    /// - [`TableNotFound`](ErrorKind::TableNotFound) if the table does not exist.
    /// - [`Service`](ErrorKind::Service) if DynamoDB refused the request.
    pub async fn delete_table(&self) -> Result<(), Error> {
        table::delete(self.cx()).await
    }
}

/// The creation of a table. It happens when this is awaited.
#[must_use = "the table is created when this is awaited"]
pub struct CreateTable<'t> {
    cx: &'t Context,
    provisioned: Option<(i64, i64)>,
}

impl CreateTable<'_> {
    /// Sets provisioned capacity instead of on-demand billing: read and write units a second for the table,
    /// and the same for its index. An existing table keeps its billing.
    pub fn provisioned(mut self, read_units: i64, write_units: i64) -> Self {
        self.provisioned = Some((read_units, write_units));
        self
    }
}

impl<'t> IntoFuture for CreateTable<'t> {
    type Output = Result<(), Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 't>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(create(self.cx, self.provisioned))
    }
}

impl fmt::Debug for CreateTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateTable")
            .field("table", &self.cx.config.table)
            .field("provisioned", &self.provisioned)
            .finish_non_exhaustive()
    }
}

/// Creates the table unless it exists, waits until it can be used, and verifies it.
async fn create(cx: &Context, provisioned: Option<(i64, i64)>) -> Result<(), Error> {
    let new = new_table(&cx.config.index, &cx.names, provisioned).map_err(|error| {
        let reason =
            "the table cannot be described in a request; check the name of the index and the capacity";
        Error::new(ErrorKind::InvalidConfig { reason: reason.to_owned() }).with_source(error)
    })?;
    table::create(cx, new).await?;
    for nth in 1..POLLS {
        match table::describe(cx).await {
            Ok(description) if !is_changing(&description, &cx.config.index) => {
                mismatch(cx, differences(&description, &cx.config.index, &cx.names))?;
                enable_time_to_live(cx).await?;
                return description::check(cx, Write::IfNew).await;
            }
            Ok(_) => {}
            // A description is eventually consistent: for a moment, it may not know a table that was created here or elsewhere.
            Err(error) if nth < UNKNOWN_POLLS && matches!(error.kind(), ErrorKind::TableNotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        cx.clock.sleep(POLL_INTERVAL).await;
    }
    verify(cx).await?;
    description::check(cx, Write::IfNew).await
}

/// Enables time to live, unless all tasks are kept for ever.
async fn enable_time_to_live(cx: &Context) -> Result<(), Error> {
    let needed = cx.names.name(EXPIRES_AT);
    if keeps_all_tasks(cx) || table::time_to_live(cx).await?.as_deref() == Some(needed) {
        return Ok(());
    }
    match table::enable_time_to_live_by(cx, needed).await {
        // Another caller, or an earlier send of this request, may have been faster.
        Err(_) if table::time_to_live(cx).await?.as_deref() == Some(needed) => Ok(()),
        enabled => enabled,
    }
}

/// Returns whether the tracker keeps all tasks for ever.
fn keeps_all_tasks(cx: &Context) -> bool {
    cx.config.retain.is_none() && cx.config.retain_ignored.is_none()
}

/// Compares the description of the statuses with the declaration. Writes it if the table has none, so that the command line can read the
/// tasks, and lowers the shards to which an operator writes, so that this program finds its tasks.
pub(crate) async fn compare_description(cx: &Context) -> Result<(), Error> {
    description::check(cx, Write::IfNeeded).await
}

/// Verifies the table and, if the tracker needs it, its time to live.
pub(crate) async fn verify(cx: &Context) -> Result<(), Error> {
    let mut differences = differences(&table::describe(cx).await?, &cx.config.index, &cx.names);
    // The differences found so far must not be lost to an error of the next request.
    if !keeps_all_tasks(cx) && differences.is_empty() {
        let needed = cx.names.name(EXPIRES_AT);
        match table::time_to_live(cx).await?.as_deref() {
            Some(is) if is == needed => {}
            Some(other) => differences.push(format!(
                "its time to live is by {other}, but `retain` needs it by {needed}: name the attribute with \
                 `names(expires_at = \"{other}\")`, or disable it and call `create_table`"
            )),
            None => differences.push(format!(
                "its time to live is off, but `retain` needs it by {needed}: call `create_table`"
            )),
        }
    }
    mismatch(cx, differences)
}

/// Returns an error if there are differences.
fn mismatch(cx: &Context, differences: Vec<String>) -> Result<(), Error> {
    if differences.is_empty() {
        return Ok(());
    }
    let table = cx.config.table.clone().into_owned();
    Err(Error::new(ErrorKind::TableMismatch { table, differences }))
}

/// Returns the description of a new table.
fn new_table(
    index: &str,
    names: &Translation,
    provisioned: Option<(i64, i64)>,
) -> Result<NewTable, BuildError> {
    let attribute = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
    };
    let part =
        |name: &str, part: KeyType| KeySchemaElement::builder().attribute_name(name).key_type(part).build();
    let throughput = provisioned
        .map(|(read, write)| {
            ProvisionedThroughput::builder().read_capacity_units(read).write_capacity_units(write).build()
        })
        .transpose()?;
    let projection = Projection::builder()
        .projection_type(ProjectionType::Include)
        .set_non_key_attributes(Some(PROJECTED.map(|own| names.name(own).to_owned()).into()))
        .build();
    let [hash, range] = [VALUE, UPDATE_TIME].map(|own| names.name(own));
    let parts = [KeyType::Hash, KeyType::Range];
    Ok(NewTable {
        attributes: names.primary_key().chain([hash, range]).map(attribute).collect::<Result<_, _>>()?,
        key_schema: names
            .primary_key()
            .zip(parts)
            .map(|(name, of)| part(name, of))
            .collect::<Result<_, _>>()?,
        index: GlobalSecondaryIndex::builder()
            .index_name(index)
            .key_schema(part(hash, KeyType::Hash)?)
            .key_schema(part(range, KeyType::Range)?)
            .projection(projection)
            .set_provisioned_throughput(throughput.clone())
            .build()?,
        throughput,
    })
}

/// Returns the index of a name, if the table has it.
fn index_of<'d>(table: &'d TableDescription, name: &str) -> Option<&'d GlobalSecondaryIndexDescription> {
    table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(name))
}

/// Returns whether the table or its index is still being created or updated.
fn is_changing(table: &TableDescription, index: &str) -> bool {
    let index = index_of(table, index).and_then(GlobalSecondaryIndexDescription::index_status);
    matches!(table.table_status(), Some(TableStatus::Creating | TableStatus::Updating))
        || matches!(index, Some(IndexStatus::Creating | IndexStatus::Updating))
}

/// Returns every difference between a table and what the tracker needs, in words.
fn differences(table: &TableDescription, index_name: &str, names: &Translation) -> Vec<String> {
    let [value, update_time, create_time] = [VALUE, UPDATE_TIME, CREATE_TIME].map(|own| names.name(own));
    let mut differences = Vec::new();
    let mut differs = |holds: bool, difference: String| {
        if !holds {
            differences.push(difference);
        }
    };
    let status = table.table_status().map_or("unknown", TableStatus::as_str);
    differs(matches!(status, "ACTIVE" | "UPDATING"), format!("its status is {status}, but must be ACTIVE"));
    let key = key_text(table.key_schema());
    let parts = names.primary_key().zip(["HASH", "RANGE"]);
    let needed = parts.map(|(name, part)| format!("{name} ({part})")).collect::<Vec<_>>().join(", ");
    differs(key == needed, format!("its key is {key}, but must be {needed}"));
    for name in names.primary_key().chain([value, update_time]) {
        let defined = table.attribute_definitions().iter().find(|part| part.attribute_name() == name);
        let of_type = defined.map(|part| part.attribute_type().as_str());
        differs(
            of_type == Some("S"),
            match of_type {
                Some(other) => format!("attribute {name} has type {other}, but must have type S"),
                None => format!("attribute {name} is in no key, but must be, with type S"),
            },
        );
    }
    let Some(index) = index_of(table, index_name) else {
        let others: Vec<_> =
            table.global_secondary_indexes().iter().filter_map(|index| index.index_name()).collect();
        let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        differs(false, format!("it has no global secondary index {index_name}; it has: {others}"));
        return differences;
    };
    let status = index.index_status().map_or("unknown", IndexStatus::as_str);
    differs(
        matches!(status, "ACTIVE" | "UPDATING"),
        format!("the status of index {index_name} is {status}, but must be ACTIVE"),
    );
    let key = key_text(index.key_schema());
    let needed = format!("{value} (HASH), {update_time} (RANGE)");
    differs(key == needed, format!("the key of index {index_name} is {key}, but must be {needed}"));
    let projects = index.projection().is_some_and(|projection| {
        projection.projection_type() == Some(&ProjectionType::All)
            || projection.non_key_attributes().iter().any(|name| name == create_time)
    });
    differs(projects, format!("index {index_name} does not project {create_time}, but must"));
    differences
}

/// Returns the attributes of a key, each with its part: `key (HASH)`.
fn key_text(parts: &[KeySchemaElement]) -> String {
    let parts = parts.iter().map(|part| format!("{} ({})", part.attribute_name(), part.key_type().as_str()));
    parts.collect::<Vec<_>>().join(", ")
}
