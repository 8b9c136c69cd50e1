//! A DynamoDB in the process, for tests, examples and first steps. It needs no server, no credentials and no
//! set-up.
//!
//! The database is [dynoxide](https://crates.io/crates/dynoxide-rs), a DynamoDB over SQLite. An ordinary
//! [`Client`] talks to it, and no request leaves the process. With another client, the same code runs on
//! DynamoDB Local and on AWS.
//!
//! Do not use the database in production. Its indexes are never stale, it never throttles, and it answers one
//! request at a time.
//!
//! # Examples
//!
//! ```
//! use tracker_core::embedded;
//!
//! # fn main() -> Result<(), embedded::EmbeddedError> {
//! let client = embedded::in_memory()?;
//! # drop(client); Ok(()) }
//! ```

use std::fmt;
use std::path::Path;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};

/// The error of a database that could not be opened. Its source is the error of the database.
#[derive(Debug, thiserror::Error)]
#[error(
    "the embedded database {at} could not be opened; if it is a file, check that it is such a database and can be \
     written"
)]
pub struct EmbeddedError {
    at: String,
    source: DynoxideError,
}

/// Returns a client of a new database in memory. The database ends with the last clone of the client.
///
/// # Errors
///
/// [`EmbeddedError`] if SQLite cannot be set up.
pub fn in_memory() -> Result<Client, EmbeddedError> {
    match Database::memory() {
        Ok(database) => Ok(client(database)),
        Err(source) => Err(EmbeddedError { at: "in memory".to_owned(), source }),
    }
}

/// Returns a client of a database in a file, which is created if it does not exist.
///
/// Open the file in one process at a time.
///
/// # Errors
///
/// [`EmbeddedError`] if the file cannot be opened or created, or is not such a database.
pub fn in_file(path: impl AsRef<Path>) -> Result<Client, EmbeddedError> {
    let at = path.as_ref().display().to_string();
    match Database::new(&path.as_ref().to_string_lossy()) {
        Ok(database) => Ok(client(database)),
        Err(source) => Err(EmbeddedError { at: format!("`{at}`"), source }),
    }
}

fn client(database: Database) -> Client {
    Client::from_conf(
        aws_sdk_dynamodb::Config::builder()
            // A later version may change retries and timeouts.
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("embedded"))
            .credentials_provider(Credentials::new("embedded", "embedded", None, None, "embedded"))
            .endpoint_url("http://embedded.invalid")
            .http_client(http_client(database))
            .build(),
    )
}

fn http_client(database: Database) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Connector { database });
    http_client_fn(move |_, _| connector.clone())
}

/// An HTTP connection that the database answers.
#[derive(Clone)]
struct Connector {
    database: Database,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let database = self.database.clone();
        HttpConnectorFuture::new(async move { answer(&database, &request) })
    }
}

fn answer(database: &Database, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    let body = request.body().bytes().unwrap_or_default();
    respond(dispatch(database, operation, body))
}

/// Returns the response that says what the database has returned.
pub(crate) fn respond(result: Result<String, DynoxideError>) -> Result<HttpResponse, ConnectorError> {
    let (status, body) = match result {
        Ok(body) => (200, body),
        Err(error) => (error.status_code(), error.to_json()),
    };
    let status = StatusCode::try_from(status).map_err(|error| ConnectorError::user(error.into()))?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    // A tracker believes only responses with the id of a request.
    response.headers_mut().insert("x-amzn-requestid", "EMBEDDED");
    Ok(response)
}

/// Calls the database's function for an operation. The request and the response are JSON.
pub(crate) fn dispatch(database: &Database, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
    macro_rules! operations {
        ($($name:literal => $call:ident,)*) => {
            match operation {
                $($name => {
                    let request = serde_json::from_slice(body)
                        .map_err(|error| DynoxideError::SerializationException(error.to_string()))?;
                    let response = database.$call(request)?;
                    serde_json::to_string(&response)
                        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
                })*
                _ => Err(DynoxideError::ValidationException(format!(
                    "the embedded database does not have the operation `{operation}`"
                ))),
            }
        };
    }
    operations! {
        "BatchExecuteStatement" => batch_execute_statement,
        "BatchGetItem" => batch_get_item,
        "BatchWriteItem" => batch_write_item,
        "CreateTable" => create_table,
        "DeleteItem" => delete_item,
        "DeleteTable" => delete_table,
        "DescribeStream" => describe_stream,
        "DescribeTable" => describe_table,
        "DescribeTimeToLive" => describe_time_to_live,
        "ExecuteStatement" => execute_statement,
        "GetItem" => get_item,
        "GetRecords" => get_records,
        "GetShardIterator" => get_shard_iterator,
        "ListStreams" => list_streams,
        "ListTables" => list_tables,
        "PutItem" => put_item,
        "Query" => query,
        "Scan" => scan,
        "TransactGetItems" => transact_get_items,
        "TransactWriteItems" => transact_write_items,
        "UpdateItem" => update_item,
        "UpdateTable" => update_table,
        "UpdateTimeToLive" => update_time_to_live,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::error::ProvideErrorMetadata;
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;

    #[tokio::test]
    async fn a_file_keeps_its_tables_and_memory_begins_empty() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tasks.db");
        let client = in_file(&file).unwrap();
        create_table(&client).await;
        drop(client);
        let tables = in_file(&file).unwrap().list_tables().send().await.unwrap();
        assert_eq!(tables.table_names(), ["tasks"]);
        assert!(in_memory().unwrap().list_tables().send().await.unwrap().table_names().is_empty());
    }

    #[test]
    fn in_file_refuses_a_path_that_is_no_database() {
        let folder = tempfile::tempdir().unwrap();
        let error = in_file(folder.path()).unwrap_err();
        assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
        let text = folder.path().join("text");
        std::fs::write(&text, "not a database, but a text that is long enough to be looked at".repeat(100))
            .unwrap();
        in_file(&text).unwrap_err();
    }

    #[tokio::test]
    async fn errors_have_the_codes_of_dynamodb() {
        let client = in_memory().unwrap();
        let error = client.describe_table().table_name("tasks").send().await.unwrap_err();
        assert_eq!(error.code(), Some("ResourceNotFoundException"));
        create_table(&client).await;
        let without_key = client.put_item().table_name("tasks").item("a", AttributeValue::Bool(true));
        let error = without_key.send().await.unwrap_err();
        assert_eq!(error.code(), Some("ValidationException"));
        let error = client.list_backups().send().await.unwrap_err();
        assert!(error.message().is_some_and(|message| message.contains("`ListBackups`")), "{error:?}");
    }

    async fn create_table(client: &Client) {
        use aws_sdk_dynamodb::types::{
            AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        };
        let key = KeySchemaElement::builder().attribute_name("key").key_type(KeyType::Hash).build();
        let attribute = AttributeDefinition::builder()
            .attribute_name("key")
            .attribute_type(ScalarAttributeType::S)
            .build();
        client
            .create_table()
            .table_name("tasks")
            .key_schema(key.unwrap())
            .attribute_definitions(attribute.unwrap())
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await
            .unwrap();
    }
}
