//! Creates, verifies and deletes the table with its index.

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

use crate::dynamodb::Context;
use crate::dynamodb::table::{self, NewTable};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{CREATE_TIME, EXPIRES_AT, KEY, RUN_AT, UPDATE_TIME, VALUE};
use crate::tracker::Tracker;
use crate::tracker::status_tracker::StatusTracker;

/// How often, and how long apart, a new table is looked at until it can be used: about five minutes.
const LOOKS: u32 = 150;
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

impl<T: StatusTracker> Tracker<T> {
    /// Creates the table and its index, and waits until both can be used. Billing is on-demand, unless
    /// [`provisioned`](CreateTable::provisioned) says otherwise.
    ///
    /// An existing table is verified instead. If [`retain`](crate::TrackerBuilder::retain) or
    /// [`retain_ignored`](crate::TrackerBuilder::retain_ignored) is set, time to live is enabled, on an existing table as
    /// well.
    ///
    /// # Errors
    ///
    /// [`TableMismatch`](ErrorKind::TableMismatch) if a table with this name exists and does not fit.
    #[must_use = "the table is created when this is awaited"]
    pub fn create_table(&self) -> CreateTable<'_> {
        CreateTable { cx: self.cx(), provisioned: None }
    }

    /// Compares the table with what the tracker needs.
    ///
    /// # Errors
    ///
    /// [`TableNotFound`](ErrorKind::TableNotFound), or [`TableMismatch`](ErrorKind::TableMismatch) with every difference.
    pub async fn verify_table(&self) -> Result<(), Error> {
        verify(self.cx()).await
    }

    /// Deletes the table, with the tasks of every use case in it.
    ///
    /// # Errors
    ///
    /// [`TableNotFound`](ErrorKind::TableNotFound).
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
    /// Sets provisioned capacity instead of on-demand: these units for the table, and the same for its index.
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

async fn create(cx: &Context, provisioned: Option<(i64, i64)>) -> Result<(), Error> {
    let new = new_table(&cx.config.index, provisioned).map_err(|error| {
        Error::new(ErrorKind::InvalidConfig { reason: "the table cannot be described".to_owned() })
            .with_source(error)
    })?;
    table::create(cx, new).await?;
    for _ in 1..LOOKS {
        let description = table::describe(cx).await?;
        if is_coming(&description, &cx.config.index) {
            cx.clock.sleep(BETWEEN_LOOKS).await;
        } else {
            matches(cx, &description)?;
            return switch_time_to_live_on(cx).await;
        }
    }
    verify(cx).await
}

/// Where ended tasks are not kept for ever, DynamoDB is to delete them.
async fn switch_time_to_live_on(cx: &Context) -> Result<(), Error> {
    if keeps_all(cx) || table::time_to_live(cx).await?.as_deref() == Some(EXPIRES_AT) {
        return Ok(());
    }
    match table::switch_time_to_live_on(cx, EXPIRES_AT).await {
        // Another, or an earlier send of this one, may have been faster.
        Err(_) if table::time_to_live(cx).await?.as_deref() == Some(EXPIRES_AT) => Ok(()),
        switched => switched,
    }
}

fn keeps_all(cx: &Context) -> bool {
    cx.config.retain.is_none() && cx.config.retain_ignored.is_none()
}

/// Compares the table with what is needed.
pub(crate) async fn verify(cx: &Context) -> Result<(), Error> {
    let mut differences = differences(&table::describe(cx).await?, &cx.config.index);
    // What is known already is not lost to an error.
    if !keeps_all(cx) && differences.is_empty() {
        let by = table::time_to_live(cx).await?;
        if by.as_deref() != Some(EXPIRES_AT) {
            let is = by.map_or_else(|| "off".to_owned(), |other| format!("by {other}"));
            differences.push(format!(
                "its time to live is {is}, and by {EXPIRES_AT} is needed for `retain`; `create_table` switches it on"
            ));
        }
    }
    mismatch(cx, differences)
}

fn matches(cx: &Context, description: &TableDescription) -> Result<(), Error> {
    mismatch(cx, differences(description, &cx.config.index))
}

fn mismatch(cx: &Context, differences: Vec<String>) -> Result<(), Error> {
    if differences.is_empty() {
        return Ok(());
    }
    let table = cx.config.table.clone().into_owned();
    Err(Error::new(ErrorKind::TableMismatch { table, differences }))
}

fn new_table(index: &str, provisioned: Option<(i64, i64)>) -> Result<NewTable, BuildError> {
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
        .non_key_attributes(CREATE_TIME)
        .non_key_attributes(RUN_AT)
        .build();
    Ok(NewTable {
        attributes: vec![attribute(KEY)?, attribute(VALUE)?, attribute(UPDATE_TIME)?],
        key_schema: vec![part(KEY, KeyType::Hash)?],
        index: GlobalSecondaryIndex::builder()
            .index_name(index)
            .key_schema(part(VALUE, KeyType::Hash)?)
            .key_schema(part(UPDATE_TIME, KeyType::Range)?)
            .projection(projection)
            .set_provisioned_throughput(throughput.clone())
            .build()?,
        throughput,
    })
}

fn index_of<'d>(table: &'d TableDescription, name: &str) -> Option<&'d GlobalSecondaryIndexDescription> {
    table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(name))
}

/// Whether the table or its index is still being made.
fn is_coming(table: &TableDescription, index: &str) -> bool {
    let index = index_of(table, index).and_then(GlobalSecondaryIndexDescription::index_status);
    matches!(table.table_status(), Some(TableStatus::Creating | TableStatus::Updating))
        || matches!(index, Some(IndexStatus::Creating | IndexStatus::Updating))
}

/// Every difference of a table from what is needed, each with what that is.
fn differences(table: &TableDescription, index_name: &str) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differs = |holds: bool, difference: String| {
        if !holds {
            differences.push(difference);
        }
    };
    let status = table.table_status().map_or("unknown", TableStatus::as_str);
    differs(matches!(status, "ACTIVE" | "UPDATING"), format!("its status is {status}, and ACTIVE is needed"));
    let key = shown_key(table.key_schema());
    differs(key == "key (HASH)", format!("its key is {key}, and key (HASH) is needed"));
    for name in [KEY, VALUE, UPDATE_TIME] {
        let defined = table.attribute_definitions().iter().find(|part| part.attribute_name() == name);
        let of_type = defined.map(|part| part.attribute_type().as_str());
        differs(
            of_type == Some("S"),
            match of_type {
                Some(other) => format!("attribute {name} is of type {other}, and S is needed"),
                None => format!("attribute {name} of type S is in no key"),
            },
        );
    }
    let Some(index) = index_of(table, index_name) else {
        let others: Vec<_> =
            table.global_secondary_indexes().iter().filter_map(|index| index.index_name()).collect();
        let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        differs(false, format!("it has no global secondary index {index_name}; those it has: {others}"));
        return differences;
    };
    let status = index.index_status().map_or("unknown", IndexStatus::as_str);
    differs(
        matches!(status, "ACTIVE" | "UPDATING"),
        format!("the status of index {index_name} is {status}, and ACTIVE is needed"),
    );
    let key = shown_key(index.key_schema());
    let needed = "value (HASH), update_time (RANGE)";
    differs(key == needed, format!("the key of index {index_name} is {key}, and {needed} is needed"));
    let projects = index.projection().is_some_and(|projection| {
        projection.projection_type() == Some(&ProjectionType::All)
            || projection.non_key_attributes().iter().any(|name| name == CREATE_TIME)
    });
    differs(projects, format!("index {index_name} does not project {CREATE_TIME}"));
    differences
}

fn shown_key(parts: &[KeySchemaElement]) -> String {
    let parts = parts.iter().map(|part| format!("{} ({})", part.attribute_name(), part.key_type().as_str()));
    parts.collect::<Vec<_>>().join(", ")
}
