//! The client of the database that the arguments choose.

use aws_smithy_http_client::Builder as HttpBuilder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use tracker_core::aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use tracker_core::aws_sdk_dynamodb::{Client, Config};

use crate::cli::Options;
use crate::exit::{Exit, Failure};
use crate::units::Units;

/// Returns a client that counts units.
pub(crate) async fn client(options: &Options, units: &Units) -> Result<Client, Failure> {
    let client = match &options.embedded {
        Some(file) => embedded(file)?,
        None => remote(options).await,
    };
    let config = client.config().to_builder().interceptor(units.clone()).build();
    Ok(Client::from_conf(config))
}

#[cfg(feature = "embedded")]
fn embedded(file: &std::path::Path) -> Result<Client, Failure> {
    // A mistyped name must not create a database.
    if !file.is_file() {
        let shown = file.display();
        let why = if file.exists() {
            format!("{shown} is not a file; name the file of an embedded database")
        } else {
            format!("there is no file {shown}")
        };
        return Err(Failure::new(Exit::Error, why));
    }
    tracker_core::embedded::in_file(file).map_err(|error| Failure::new(Exit::Error, error.to_string()))
}

#[cfg(not(feature = "embedded"))]
fn embedded(_file: &std::path::Path) -> Result<Client, Failure> {
    let why = "this program was built without the feature `embedded`";
    Err(Failure::new(Exit::Usage, why))
}

async fn remote(options: &Options) -> Client {
    let version = BehaviorVersion::v2026_01_12();
    let is_local = options.endpoint_url.as_deref().is_some_and(is_on_this_machine);
    let has_credentials = options.profile.is_some() || std::env::var_os("AWS_ACCESS_KEY_ID").is_some();
    if let Some(url) = options.endpoint_url.as_ref().filter(|_| is_local && !has_credentials) {
        // DynamoDB Local accepts any credentials, and a search for some would take seconds.
        let region = options.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
        let config = Config::builder()
            .behavior_version(version)
            .region(Region::new(region))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .endpoint_url(url)
            .http_client(HttpBuilder::new().build_http());
        return Client::from_conf(config.build());
    }
    let https = HttpBuilder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    let mut config = aws_config::defaults(version).http_client(https.build_https());
    if let Some(profile) = &options.profile {
        config = config.profile_name(profile);
    }
    if let Some(region) = &options.region {
        config = config.region(Region::new(region.clone()));
    }
    if let Some(url) = &options.endpoint_url {
        config = config.endpoint_url(url);
    }
    Client::new(&config.load().await)
}

fn is_on_this_machine(url: &str) -> bool {
    let host = url.split("://").nth(1).unwrap_or(url);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    matches!(host, "localhost" | "127.0.0.1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_needs_no_credentials() {
        for url in ["http://127.0.0.1:8000", "http://localhost:8000/x", "https://localhost"] {
            assert!(is_on_this_machine(url), "{url}");
        }
        for url in ["https://dynamodb.eu-west-1.amazonaws.com", "http://127.0.0.1.example.com", ""] {
            assert!(!is_on_this_machine(url), "{url}");
        }
    }
}
