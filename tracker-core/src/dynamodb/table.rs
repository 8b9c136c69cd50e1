//! The requests that create, describe and delete the table, and those for its time to live.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, ProvisionedThroughput,
    TableDescription, TimeToLiveSpecification, TimeToLiveStatus,
};

use super::context::Context;
use super::response::classify;
use crate::error::{Error, ErrorKind};

/// The content of a `CreateTable` request.
#[derive(Debug)]
pub(crate) struct NewTable {
    pub(crate) attributes: Vec<AttributeDefinition>,
    pub(crate) key_schema: Vec<KeySchemaElement>,
    pub(crate) index: GlobalSecondaryIndex,
    pub(crate) throughput: Option<ProvisionedThroughput>,
}

/// Creates the table. Returns `false` if a table with its name exists.
pub(crate) async fn create(cx: &Context, table: NewTable) -> Result<bool, Error> {
    let result = cx
        .bulk_client
        .create_table()
        .table_name(&*cx.config.table)
        .set_attribute_definitions(Some(table.attributes))
        .set_key_schema(Some(table.key_schema))
        .global_secondary_indexes(table.index)
        .billing_mode(match table.throughput {
            Some(_) => BillingMode::Provisioned,
            None => BillingMode::PayPerRequest,
        })
        .set_provisioned_throughput(table.throughput)
        .send()
        .await;
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ResourceInUseException") => Ok(false),
        Err(error) => Err(classify(&cx.config.table, error)),
    }
}

/// Describes the table.
pub(crate) async fn describe(cx: &Context) -> Result<TableDescription, Error> {
    let table = &*cx.config.table;
    match cx.bulk_client.describe_table().table_name(table).send().await {
        Ok(output) => {
            output.table.ok_or_else(|| Error::new(ErrorKind::TableNotFound { table: table.to_owned() }))
        }
        Err(error) => Err(classify(table, error)),
    }
}

/// Returns the attribute of the table's time to live, or `None` if time to live is not enabled.
pub(crate) async fn time_to_live(cx: &Context) -> Result<Option<String>, Error> {
    let table = &*cx.config.table;
    match cx.bulk_client.describe_time_to_live().table_name(table).send().await {
        Ok(output) => Ok(output.time_to_live_description.and_then(|described| {
            let is_on = [TimeToLiveStatus::Enabled, TimeToLiveStatus::Enabling];
            described.time_to_live_status.is_some_and(|status| is_on.contains(&status)).then_some(())?;
            described.attribute_name
        })),
        Err(error) => Err(classify(table, error)),
    }
}

/// Enables time to live by an attribute.
pub(crate) async fn enable_time_to_live_by(cx: &Context, attribute: &str) -> Result<(), Error> {
    let table = &*cx.config.table;
    let by = TimeToLiveSpecification::builder().attribute_name(attribute).enabled(true).build();
    let by = by.map_err(|error| Error::new(ErrorKind::Service { code: None }).with_source(error))?;
    match cx.bulk_client.update_time_to_live().table_name(table).time_to_live_specification(by).send().await {
        Ok(_) => Ok(()),
        Err(error) => Err(classify(table, error)),
    }
}

/// Deletes the table.
pub(crate) async fn delete(cx: &Context) -> Result<(), Error> {
    let table = &*cx.config.table;
    match cx.bulk_client.delete_table().table_name(table).send().await {
        Ok(_) => Ok(()),
        Err(error) => Err(classify(table, error)),
    }
}
