//! The measured database, and its clients.

use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::embedded;

use super::common::local::{AnyError, dynamodb_local};
use super::probe::Probe;

pub(crate) struct Database {
    pub(crate) name: &'static str,
    /// The client for the timed operations, which counts nothing.
    pub(crate) client: Client,
}

impl Database {
    /// Opens DynamoDB Local if the environment has its address, otherwise a new embedded database.
    pub(crate) fn open() -> Result<Self, AnyError> {
        Ok(match dynamodb_local() {
            Some(client) => Self { name: "DynamoDB Local", client },
            None => Self { name: "embedded database", client: embedded::in_memory()? },
        })
    }

    /// Returns a client for the same database, and the probe that counts its requests.
    pub(crate) fn counting(&self) -> Result<(Client, Probe), AnyError> {
        let config = self.client.config();
        let probe = Probe::new(config.http_client().ok_or("the client has no HTTP client")?);
        Ok((Client::from_conf(config.to_builder().http_client(probe.clone()).build()), probe))
    }
}
