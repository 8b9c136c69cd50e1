//! The databases that the tests run on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tracker_core::ErrorKind;
use tracker_core::SystemClock;
use tracker_core::aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, SharedHttpClient, retry::RetryConfig,
};
use tracker_core::aws_sdk_dynamodb::{Client, Config};
use tracker_core::testing::{AwsLike, Conditions, FaultyNetwork, Spread};

use super::layout::{layout, watch, watch_table};
use super::{Gateway, Probe, Test, TestClock, World};

/// A database that tests run on.
#[derive(Debug, Clone)]
pub enum Backend {
    Embedded,
    /// DynamoDB Local, at this endpoint.
    Local(String),
    /// The embedded database, which behaves like AWS.
    AwsLike,
}

impl Backend {
    /// The embedded database, and DynamoDB Local if the environment names its endpoint.
    pub fn available() -> Vec<Self> {
        let endpoint = std::env::var("TRACKER_DYNAMODB_ENDPOINT").ok();
        let endpoint = endpoint.filter(|endpoint| !endpoint.is_empty());
        [Some(Self::Embedded), Some(Self::AwsLike), endpoint.map(Self::Local)].into_iter().flatten().collect()
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Local(_) => "dynamodb_local",
            Self::AwsLike => "aws_like",
        }
    }

    /// The address of the database, if it has one.
    pub fn endpoint(&self) -> Option<&str> {
        match self {
            Self::Embedded | Self::AwsLike => None,
            Self::Local(endpoint) => Some(endpoint),
        }
    }

    /// Whether a world of this database can have an address.
    pub fn has_address(&self) -> bool {
        !matches!(self, Self::Embedded)
    }

    /// A new world for a test, with an empty table.
    pub async fn new_world(&self, test: &Test) -> World {
        let mut world = self.new_world_without_table(test);
        // On a busy machine the database may take longer than a request may. A table that exists is verified.
        let create = async {
            while let Err(error) = world.documents().create_table().await {
                assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::NotSent), "{error:?}");
            }
        };
        tokio::time::timeout(Duration::from_mins(1), create).await.expect("a table within a minute");
        if let Some(aws) = world.aws.clone() {
            let mut conditions = conditions();
            if test.on_aws_like.reads_at_once {
                conditions.index_lag = Spread::none();
                conditions.stale_reads = 0.0;
            }
            if test.on_aws_like.whole_batches {
                conditions.unprocessed = 0.0;
            }
            aws.set_conditions(conditions).expect("conditions that can be");
            if test.needs_endpoint {
                // Other processes live by the machine's clock.
                aws.set_clock(SystemClock);
                let config = world.client.config().to_builder().http_client(aws);
                let gateway = Gateway::start(&Client::from_conf(config.build())).await;
                world.endpoint = Some(gateway.endpoint.clone());
                world.gateway = Some(Arc::new(gateway));
            }
        }
        world
    }

    fn new_world_without_table(&self, test: &Test) -> World {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let nth = WORLDS.fetch_add(1, Ordering::Relaxed);
        let config = match self {
            Self::Embedded | Self::AwsLike => {
                let client = tracker_core::embedded::in_memory().expect("a database in memory");
                client.config().clone()
            }
            Self::Local(endpoint) => local_config(endpoint),
        };
        let http = config.http_client().expect("an HTTP client");
        let clock = TestClock::new();
        let aws = matches!(self, Self::AwsLike).then(|| {
            let aws = AwsLike::over(http.clone(), Conditions::none()).expect("a database in memory");
            aws.set_clock(clock.manual());
            aws
        });
        let http = aws.clone().map_or(http, SharedHttpClient::new);
        let probe = Probe::new(http).watched_by(watch);
        let probe = if matches!(self, Self::Local(_)) { probe.with_turns() } else { probe };
        let network = FaultyNetwork::over(probe.clone());
        // A late request waits until the test advances the clock; it does not advance the clock itself.
        network.set_clock(clock.manual());
        network.keep_copies(1000);
        // Without retries of the SDK, the tracker alone decides what to do about a lost answer.
        let config =
            config.to_builder().http_client(network.clone()).retry_config(RetryConfig::disabled()).build();
        // What `AwsLike` draws depends on the name, so a test of a database of its own always has the same one.
        let table = match self {
            Self::Embedded => format!("embedded.{}", test.short_name().replace("::", ".")),
            Self::AwsLike => test.short_name().replace("::", "."),
            Self::Local(_) => format!("test-{}-{nth}", std::process::id()),
        };
        watch_table(&table);
        World {
            client: Client::from_conf(config),
            network,
            probe,
            clock,
            table,
            layout: layout(),
            endpoint: self.endpoint().map(str::to_owned),
            gateway: None,
            aws,
        }
    }
}

/// What is adverse in every test. What no single request survives without a retry is left to `chaos` and `aws_like`.
fn conditions() -> Conditions {
    let mut conditions = Conditions::usual();
    conditions.unprocessed = 0.05;
    conditions.latency = Spread::none();
    conditions.definition_lag = Spread::none();
    conditions.idle_timeout = None;
    conditions
}

/// The configuration of a client of DynamoDB Local.
pub fn local_config(endpoint: &str) -> Config {
    let http: SharedHttpClient = aws_smithy_http_client::Builder::new().build_http();
    Config::builder()
        // The version that the embedded client is pinned to.
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
            Self::AwsLike => f.write_str("the embedded database, which behaves like AWS"),
        }
    }
}
