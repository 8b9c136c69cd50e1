//! Connects to DynamoDB Local.

use std::error::Error;

use tracker_core::aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use tracker_core::aws_sdk_dynamodb::{Client, Config};

pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

/// Returns a client for DynamoDB Local if `TRACKER_DYNAMODB_ENDPOINT` holds its address; `tests/dynamodb-local` sets it.
pub(crate) fn dynamodb_local() -> Option<Client> {
    let endpoint = std::env::var("TRACKER_DYNAMODB_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty())?;
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Some(Client::from_conf(config.build()))
}
