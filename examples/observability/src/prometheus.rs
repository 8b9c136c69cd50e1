//! Prometheus reads the metrics from this process.

use std::net::SocketAddr;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

use crate::{AnyError, Finish};

/// The buckets of a histogram, in seconds. Without buckets, there are only quantiles of each process, which nobody can add up.
const BUCKETS: [f64; 12] = [0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0];

/// Serves the metrics at an address.
pub fn install(listen: SocketAddr) -> Result<Finish, AnyError> {
    PrometheusBuilder::new()
        .with_http_listener(listen)
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?
        .install()
        .map_err(|error| format!("{listen}: {error}"))?;
    eprintln!("the metrics: http://{listen}/metrics");
    Ok(Box::new(|| Ok(())))
}
