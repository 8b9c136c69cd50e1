//! The databases that the tests run on.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use tracker_core::aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, SharedHttpClient, retry::RetryConfig,
};
use tracker_core::aws_sdk_dynamodb::{Client, Config};
use tracker_core::testing::FaultyNetwork;

use super::{Probe, TestClock, World};

/// A database to test on.
#[derive(Debug, Clone)]
pub enum Backend {
    Embedded,
    /// An endpoint of DynamoDB Local.
    Local(String),
}

impl Backend {
    /// The embedded database, and the endpoint that the environment names.
    pub fn available() -> Vec<Self> {
        let endpoint = std::env::var("TRACKER_DYNAMODB_ENDPOINT").ok();
        let endpoint = endpoint.filter(|endpoint| !endpoint.is_empty());
        std::iter::once(Self::Embedded).chain(endpoint.map(Self::Local)).collect()
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Local(_) => "dynamodb_local",
        }
    }

    /// A new world, with a table of its own that is there already.
    pub async fn world(&self) -> World {
        let world = self.empty_world();
        world.documents().create_table().await.expect("a table");
        world
    }

    /// A new world without a table.
    fn empty_world(&self) -> World {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let nth = WORLDS.fetch_add(1, Ordering::Relaxed);
        let config = match self {
            Self::Embedded => {
                let client = tracker_core::embedded::in_memory().expect("a database in memory");
                client.config().clone()
            }
            Self::Local(endpoint) => local(endpoint),
        };
        let http = config.http_client().expect("an HTTP client");
        let (probe, clock) = (Probe::new(http), TestClock::new());
        let network = FaultyNetwork::over(probe.clone());
        // What is late comes when the clock is past it, and does not set it forward.
        network.set_clock(clock.waiting());
        network.keep_copies(1000);
        // One try: what a lost answer leads to is then decided by the tracker, and not by the SDK.
        let config =
            config.to_builder().http_client(network.clone()).retry_config(RetryConfig::disabled()).build();
        World {
            client: Client::from_conf(config),
            network,
            probe,
            clock,
            table: format!("test-{}-{nth}", std::process::id()),
            endpoint: match self {
                Self::Embedded => None,
                Self::Local(endpoint) => Some(endpoint.clone()),
            },
        }
    }
}

/// The configuration of a client of DynamoDB Local.
pub fn local(endpoint: &str) -> Config {
    let http: SharedHttpClient = aws_smithy_http_client::Builder::new().build_http();
    Config::builder()
        // Pinned, as the embedded client's.
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .http_client(http)
        .build()
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("the embedded database"),
            Self::Local(endpoint) => write!(f, "DynamoDB Local at {endpoint}"),
        }
    }
}
