//! The database that is measured, and clients of it.

use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::embedded;

use super::local::{AnyError, dynamodb_local};
use super::probe::Probe;

pub(crate) struct Database {
    pub(crate) name: &'static str,
    /// Nothing is between it and the database.
    pub(crate) client: Client,
}

impl Database {
    /// DynamoDB Local where the environment has its address, or else a new embedded one.
    pub(crate) fn open() -> Result<Self, AnyError> {
        Ok(match dynamodb_local() {
            Some(client) => Self { name: "DynamoDB Local", client },
            None => Self { name: "embedded database", client: embedded::in_memory()? },
        })
    }

    /// A client of the same database whose requests can be counted.
    pub(crate) fn counting(&self) -> Result<(Client, Probe), AnyError> {
        let config = self.client.config();
        let probe = Probe::new(config.http_client().ok_or("the client has no HTTP client")?);
        Ok((Client::from_conf(config.to_builder().http_client(probe.clone()).build()), probe))
    }
}
