//! Makes an emulator behave like AWS.

mod call;
mod conditions;
mod connector;
mod index_read;
mod members;
mod partitions;
mod recording;
mod refusal;
mod replicas;
mod service;
mod statement;
#[cfg(test)]
mod tests;
mod units;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{ConfigBag, RuntimeComponents, SharedHttpClient};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;

pub use self::conditions::{Conditions, Spread, Throughput};
use self::connector::AwsConnector;
use self::replicas::Replicas;
use self::service::Service;
use super::NetworkError;
use super::pools::Pool;
use crate::time::Clock;

/// An HTTP client that makes an emulator behave like DynamoDB on AWS. Clones share everything.
///
/// Emulators answer at once, never lag, never throttle and have no bad days. This client wraps the HTTP client of the embedded
/// database or of DynamoDB Local, and adds what [`Conditions`] say:
///
/// - queries and scans of an index see each write after a lag, which differs from entry to entry: an item that moves from one
///   partition of the index to another may be in both for a while, or in none;
/// - some eventually consistent reads return an older item, and a description may not know a new table;
/// - members of batches come back unprocessed, and statements of batches throttled;
/// - a partition of the table or of an index that is out of units throttles, with `ThrottlingReasons`; a hot partition of an index
///   throttles writes of the table;
/// - responses take their time, connections die if they are idle, and now and then a request is refused for its clock or its
///   credentials.
///
/// These hold under all conditions, as on AWS:
///
/// - a query of an index is refused if its filter has an attribute that the index does not have;
/// - the failed condition of a statement in a batch comes without the item. Captures from AWS disagree, so do not rely on it;
/// - while a transaction is under way, until its response has arrived, another write of one of its items fails with
///   `TransactionConflict`. Without latency, a transaction on the embedded database is over at once.
///
/// Statements of `PartiQL` other than `UPDATE` and `DELETE` with the whole key in `WHERE` are passed on, and the lagging copies do not
/// see what they write. A failed condition takes one unit. Latency does not reach into the client's read timeout.
///
/// Let every write go through one wrapper, in one process: a read that lags does not see what was written around the wrapper. With
/// [`FaultyNetwork`](super::FaultyNetwork), wrap this first, and the network around it: a response that is lost between this wrapper and
/// the database would hide a write from the lagging copies. Use the wrapper for emulators only, because it changes requests after they
/// are signed.
///
/// # Examples
///
/// A worker that finds its task although the index lags:
///
/// ```
/// # #[cfg(not(feature = "derive"))] fn main() {}
/// # #[cfg(feature = "derive")]
/// # mod example {
/// use std::time::Duration;
/// use tracker_core::testing::{AwsLike, Conditions, ManualClock, Spread};
/// use tracker_core::{Clock, StatusTracker, TrackerStatus, embedded};
///
/// # #[derive(TrackerStatus, Clone, Copy)]
/// # enum CountStatus {
/// #     #[status(pending)]     Pending = 10,
/// #     #[status(in_progress)] InProgress = 12,
/// #     #[status(failed)]      Failed = 14,
/// #     #[status(succeeded)]   Succeeded = 16,
/// #     #[status(ignored)]     Ignored = 18,
/// # }
/// # #[derive(StatusTracker)]
/// # #[tracker(use_case_id = "count", status = CountStatus, table = "documents")]
/// # struct Document { #[tracker(task_id)] id: String }
/// # #[tokio::main(flavor = "current_thread")]
/// # pub async fn test() -> Result<(), Box<dyn std::error::Error>> {
/// let mut conditions = Conditions::none();
/// conditions.index_lag = Spread::up_to(Duration::from_secs(2));
/// let (client, aws) = AwsLike::around(&embedded::in_memory()?, conditions)?;
/// let clock = ManualClock::new();
/// aws.set_clock(clock.clone());
/// let documents = Document::tracker_builder(&client).clock(clock.clone()).build()?;
/// documents.create_table().await?;
/// documents.create(Document { id: "a".into() }).await?;
///
/// assert!(documents.query_for_unfinished().all().await?.is_empty()); // not yet in the index
/// clock.advance(Duration::from_secs(2));
/// assert_eq!(documents.query_for_unfinished().all().await?.len(), 1);
/// # Ok(()) }
/// # }
/// # #[cfg(feature = "derive")]
/// # fn main() { example::test().unwrap() }
/// ```
#[derive(Debug, Clone)]
pub struct AwsLike {
    inner: SharedHttpClient,
    service: Service,
}

impl AwsLike {
    /// Wraps an HTTP client. Pass a clone of the result to a client's configuration as its `http_client`.
    ///
    /// # Errors
    ///
    /// - [`Condition`](NetworkError::Condition) if a field of the conditions has no meaning.
    /// - [`Copies`](NetworkError::Copies) if the database of the lagging copies cannot be opened.
    pub fn over(inner: impl HttpClient + 'static, conditions: Conditions) -> Result<Self, NetworkError> {
        conditions.check()?;
        let replicas = Replicas::new().map_err(|error| NetworkError::Copies(error.into()))?;
        Ok(Self { inner: SharedHttpClient::new(inner), service: Service::new(conditions, replicas) })
    }

    /// Wraps the HTTP client of an SDK client. Returns a client that uses the wrapper, and the wrapper.
    ///
    /// # Errors
    ///
    /// - [`NoHttpClient`](NetworkError::NoHttpClient) if the client's configuration has no HTTP client.
    /// - [`Condition`](NetworkError::Condition) if a field of the conditions has no meaning.
    /// - [`Copies`](NetworkError::Copies) if the database of the lagging copies cannot be opened.
    pub fn around(client: &Client, conditions: Conditions) -> Result<(Client, Self), NetworkError> {
        let inner = client.config().http_client().ok_or(NetworkError::NoHttpClient)?;
        let aws = Self::over(inner, conditions)?;
        let config = client.config().to_builder().http_client(aws.clone());
        Ok((Client::from_conf(config.build()), aws))
    }

    /// Sets the clock of all lags, limits and latencies; [`SystemClock`](crate::SystemClock) by default. Whatever lags becomes visible.
    ///
    /// Pass the clock of your tracker. With a plain [`ManualClock`](super::ManualClock), a response with
    /// [`latency`](Conditions::latency) waits until the test advances the clock: call [`drive`](super::ManualClock::drive) in a loop,
    /// or set the latency to [`Spread::none`]. With an [auto-advancing](super::ManualClock::auto_advancing) clock, latency advances
    /// the clock for everyone.
    pub fn set_clock(&self, clock: impl Clock) {
        self.service.set_clock(Arc::new(clock));
    }

    /// Sets the conditions of all further requests. What lags already keeps its lag.
    ///
    /// # Errors
    ///
    /// [`Condition`](NetworkError::Condition) if a field has no meaning. The conditions are then those of before.
    pub fn set_conditions(&self, conditions: Conditions) -> Result<(), NetworkError> {
        conditions.check()?;
        self.service.set_conditions(conditions);
        Ok(())
    }

    /// Makes every write visible in all lagging copies.
    ///
    /// # Errors
    ///
    /// [`Copies`](NetworkError::Copies) if the database of the lagging copies fails.
    pub fn catch_up(&self) -> Result<(), NetworkError> {
        let caught_up = self.service.replicas.catch_up(Duration::MAX);
        caught_up.map(drop).map_err(|error| NetworkError::Copies(error.into()))
    }

    /// Returns the conditions.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        self.service.conditions()
    }

    /// Returns how often each condition has affected a request. A name that has never happened is absent.
    ///
    /// | name | condition | what is counted |
    /// |---|---|---|
    /// | `StaleIndex` | `index_lag` | reads of an index while some write was not visible yet |
    /// | `StaleRead` | `stale_reads` | reads that the lagging replica answered while some write was not visible yet |
    /// | `UnknownTable` | `definition_lag` | `DescribeTable` requests that did not know a new table |
    /// | `Unprocessed` | `unprocessed` | members of a batch of items that came back |
    /// | `ThrottledMember` | `unprocessed` | statements of a batch that were throttled |
    /// | `Throttled` | `throttled` | requests that were throttled at random |
    /// | `OutOfUnits` | `throughput` | requests and members whose partition had no units left |
    /// | `TransactionConflict` | always | writes of an item that a transaction held |
    /// | `IdleConnection` | `idle_timeout` | requests that were sent on a dead connection |
    /// | `ClockRefused`, `CredentialsExpired` | the fields of these names | requests that were refused |
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.service.counts()
    }
}

impl HttpClient for AwsLike {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(AwsConnector {
            inner,
            service: self.service.clone(),
            pool: Pool::from(settings),
        })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_base_client_config(components, config)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}
