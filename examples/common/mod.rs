//! What the examples share: the DynamoDB client, Ctrl-C, and messages for errors and wrong arguments.

// Each example uses only a part of this module, and no example exports anything.
#![allow(dead_code, unreachable_pub)]

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::ProgressBar;
use tokio::net::TcpListener;
use tokio::signal::ctrl_c;
use tracker_core::aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use tracker_core::aws_sdk_dynamodb::{Client, Config};
use tracker_core::{CancellationToken, Operator, embedded};

pub type AnyError = Box<dyn Error + Send + Sync>;

/// Serves a page about the tasks of an operator until `stop` is cancelled.
pub async fn serve(
    operator: Operator,
    address: SocketAddr,
    stop: &CancellationToken,
) -> Result<(), AnyError> {
    let listener = TcpListener::bind(address).await.map_err(|error| format!("{address}: {error}"))?;
    let address = listener.local_addr()?;
    let hosts = [address.to_string(), format!("localhost:{}", address.port())];
    println!("the tasks in a browser, until Ctrl-C: http://{address}/");
    let page = tracker_web::Page::new([operator]).hosts(hosts).into_router();
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        served = async { axum::serve(listener, page).await } => Ok(served?),
    }
}

// The arguments that choose a database. No doc comment here: clap would print it as the description of the example.
#[derive(Args)]
pub struct Database {
    /// Keep the embedded database in a file, for one process at a time [default: in memory]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["endpoint_url", "aws"])]
    db: Option<PathBuf>,
    /// Use the DynamoDB at this address, for example DynamoDB Local at `http://127.0.0.1:8000`
    #[arg(long, value_name = "URL", conflicts_with = "aws", value_parser = endpoint)]
    endpoint_url: Option<String>,
    /// Use DynamoDB on AWS, with the credentials and the region of your environment (needs `--features aws`)
    #[arg(long)]
    aws: bool,
}

impl Database {
    /// Returns a client for the chosen database.
    pub async fn client(&self) -> Result<Client, AnyError> {
        if let Some(url) = &self.endpoint_url {
            return Ok(local_client(url));
        }
        if self.aws {
            return aws_client().await;
        }
        Ok(match &self.db {
            Some(file) => embedded::in_file(file).map_err(|error| error.to_string())?,
            None => embedded::in_memory()?,
        })
    }

    /// Returns the address of the database, or none on AWS. That of the embedded database is never looked up.
    pub fn endpoint(&self) -> Option<&str> {
        match &self.endpoint_url {
            Some(url) => Some(url),
            None => (!self.aws).then_some("http://embedded.invalid"),
        }
    }

    /// Returns true if the database runs in this process, in memory or in a file.
    pub fn is_embedded(&self) -> bool {
        self.endpoint_url.is_none() && !self.aws
    }

    /// Prints how to look at the tasks of a table with the command line, unless they are lost with this process.
    pub fn print_how_to_look(&self, table: &str) {
        let place = match (&self.endpoint_url, &self.db) {
            (Some(url), _) => format!(" --endpoint-url {url}"),
            (None, Some(file)) => format!(" --embedded '{}'", file.display()),
            (None, None) if self.aws => String::new(),
            (None, None) => return,
        };
        println!("look at the tasks: cargo run -p tracker-tools --{place} --table {table} status");
    }

    /// Returns true if the tasks are lost when the process exits.
    pub fn is_in_memory(&self) -> bool {
        self.is_embedded() && self.db.is_none()
    }
}

fn endpoint(url: &str) -> Result<String, &'static str> {
    let rest = url.strip_prefix("http://").ok_or("the address must begin with http://")?;
    let host = rest.split('/').next().unwrap_or_default();
    match host.rsplit_once(':') {
        _ if host.is_empty() => Err("the host is missing"),
        Some((_, port)) if port.parse::<u16>().is_err() => Err("the port must be a number up to 65535"),
        _ => Ok(url.to_owned()),
    }
}

/// Returns a client for a DynamoDB that does not check credentials, such as DynamoDB Local.
pub fn local_client(url: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(url)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Client::from_conf(config.build())
}

#[cfg(feature = "aws")]
async fn aws_client() -> Result<Client, AnyError> {
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
    let https = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(https.build_https());
    Ok(Client::new(&config.load().await))
}

#[cfg(not(feature = "aws"))]
async fn aws_client() -> Result<Client, AnyError> {
    Err("`--aws` needs the feature `aws`; add `--features aws` to the `cargo run` command".into())
}

/// Cancels the token on the first Ctrl-C or SIGTERM, and exits the process on the second.
///
/// A worker that was given the token with `shutdown` then stops as the message says.
pub fn cancel_on_signal(token: CancellationToken, bar: ProgressBar) {
    tokio::spawn(async move {
        if stop_signal().await.is_err() {
            return;
        }
        bar.suspend(|| {
            eprintln!(
                "stopping: running tasks get 20 s to finish, then they are released (Ctrl-C again: exit now)"
            );
        });
        token.cancel();
        let _ = stop_signal().await;
        std::process::exit(130);
    });
}

/// Waits for Ctrl-C, or for the SIGTERM that an orchestrator sends before it kills a process.
#[cfg(unix)]
pub async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        received = ctrl_c() => received,
        _ = terminate.recv() => Ok(()),
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub async fn stop_signal() -> std::io::Result<()> {
    ctrl_c().await
}

/// Returns the exit status of a program. An error is printed.
pub fn exit_code(result: Result<ExitCode, AnyError>) -> ExitCode {
    result.unwrap_or_else(|error| {
        print_error(error.as_ref());
        ExitCode::FAILURE
    })
}

/// Prints an error and its sources on one line.
pub fn print_error(error: &(dyn Error + 'static)) {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    let chain: Vec<_> = chain.map(ToString::to_string).collect();
    eprintln!("error: {}", chain.join(": "));
}

/// Prints help and version as they are and wrong arguments on one line, and returns the exit status.
pub fn print_usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    let text = error.to_string();
    let lines: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    eprintln!("{} (try --help)", lines.join(" "));
    ExitCode::from(2)
}
