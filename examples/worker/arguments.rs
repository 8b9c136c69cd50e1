//! What can be asked for, and the clients that follow from it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use tracker_core::aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use tracker_core::aws_sdk_dynamodb::{Client, Config};
use tracker_core::embedded;

use super::{AnyError, Play};

/// Without a database that outlives it, there is nothing to do but what it makes itself.
const TASKS_IN_MEMORY: u32 = 500;

/// Works on the tasks of a table, alone or with other processes, and shows how far it is.
///
/// The first Ctrl-C, or SIGTERM, lets the bodies that run finish; the second ends it at once, and their leases expire.
#[derive(Parser)]
#[command(name = "worker", version, after_help = EXIT_STATUS)]
pub struct Arguments {
    /// Create so many tasks first [default: 500 in memory, none elsewhere]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    seed_tasks: Option<u32>,
    /// Create tasks, and do not work on them
    #[arg(long, requires = "seed_tasks")]
    pub seed_only: bool,
    /// How many tasks each worker works on at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub concurrency: u16,
    /// How many workers there are in this process, each with a client of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    workers: u16,
    /// End when nothing is left that can be started now, instead of waiting for more [in memory: always]
    #[arg(long)]
    drain: bool,
    /// End within so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    pub deadline: Option<u32>,
    /// How long a body works, in milliseconds
    #[arg(long, num_args = 2, value_names = ["MIN", "MAX"], default_values_t = [50, 200])]
    body_ms: Vec<u32>,
    /// How many bodies of a hundred fail: most are tried again, some give their task up or put it off
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u8).range(..=100))]
    failing: u8,
    /// The name of the table, which is made if it is not there [default: deliveries]
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    /// Keep the embedded database in a file, for one process at a time
    #[arg(long, value_name = "FILE", conflicts_with_all = ["endpoint_url", "aws"])]
    db: Option<PathBuf>,
    /// Use the DynamoDB at this address, such as DynamoDB Local at `http://127.0.0.1:8000`
    #[arg(long, value_name = "URL", conflicts_with = "aws", value_parser = endpoint)]
    endpoint_url: Option<String>,
    /// Use DynamoDB on AWS, with the usual environment (needs `--features aws`)
    #[arg(long)]
    aws: bool,
}

const EXIT_STATUS: &str = "Exit status: 0 all is well, 1 an error, or a task is still held, 2 wrong arguments, \
                           130 stopped by Ctrl-C or SIGTERM.";

fn endpoint(url: &str) -> Result<String, &'static str> {
    let rest = url.strip_prefix("http://").ok_or("it has to begin with http://")?;
    let host = rest.split('/').next().unwrap_or_default();
    match host.rsplit_once(':') {
        _ if host.is_empty() => Err("it names no host"),
        Some((_, port)) if port.parse::<u16>().is_err() => Err("its port is not a number"),
        _ => Ok(url.to_owned()),
    }
}

/// The arguments, or with what to exit.
pub fn parse() -> Result<Arguments, ExitCode> {
    Arguments::try_parse().and_then(Arguments::checked).map_err(|asked| {
        // Help and version are printed as they are, a mistake in one line.
        if !asked.use_stderr() {
            asked.exit();
        }
        let text = asked.to_string();
        let lines: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
        eprintln!("{} (try --help)", lines.join(" "));
        ExitCode::from(2)
    })
}

impl Arguments {
    fn checked(self) -> Result<Self, clap::Error> {
        let mistake = |text: &str| Err(Self::command().error(ErrorKind::ValueValidation, text));
        let Play { body_ms: (least, most), .. } = self.play();
        if least > most {
            return mistake("--body-ms begins above its end: the least comes first");
        }
        if self.seed_only && self.is_in_memory() {
            return mistake("--seed-only needs --db, --endpoint-url or --aws, as memory keeps nothing");
        }
        Ok(self)
    }

    fn is_in_memory(&self) -> bool {
        self.db.is_none() && self.endpoint_url.is_none() && !self.aws
    }

    pub fn tasks(&self) -> u32 {
        self.seed_tasks.unwrap_or(if self.is_in_memory() { TASKS_IN_MEMORY } else { 0 })
    }

    pub fn drains(&self) -> bool {
        self.drain || self.is_in_memory()
    }

    pub fn play(&self) -> Play {
        let body_ms = |nth: usize| u64::from(self.body_ms.get(nth).copied().unwrap_or_default());
        Play { body_ms: (body_ms(0), body_ms(1)), failing: self.failing }
    }

    /// One for what is shown, and one for each worker.
    pub async fn clients(&self) -> Result<Vec<Client>, AnyError> {
        let mut clients = vec![self.client().await?];
        for _ in 0..self.workers {
            // A database in the process is opened once.
            let is_embedded = self.endpoint_url.is_none() && !self.aws;
            clients.push(if is_embedded { clients[0].clone() } else { self.client().await? });
        }
        Ok(clients)
    }

    async fn client(&self) -> Result<Client, AnyError> {
        if let Some(url) = &self.endpoint_url {
            let config = Config::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::from_static("us-east-1"))
                .credentials_provider(Credentials::new("local", "local", None, None, "local"))
                .endpoint_url(url)
                .http_client(aws_smithy_http_client::Builder::new().build_http());
            return Ok(Client::from_conf(config.build()));
        }
        if self.aws {
            return on_aws().await;
        }
        Ok(match &self.db {
            Some(file) => embedded::in_file(file).map_err(|error| error.to_string())?,
            None => embedded::in_memory()?,
        })
    }
}

#[cfg(feature = "aws")]
async fn on_aws() -> Result<Client, AnyError> {
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
    let https = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(https.build_https());
    Ok(Client::new(&config.load().await))
}

#[cfg(not(feature = "aws"))]
async fn on_aws() -> Result<Client, AnyError> {
    Err("--aws needs the feature `aws`: cargo run --example worker --features aws -- --aws".into())
}
