//! Metrics and spans go to a collector of OpenTelemetry.

use metrics_exporter_opentelemetry::Recorder;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::{AnyError, Finish};

/// Sends metrics every minute, and spans in batches. Both are flushed at the end.
pub fn install(endpoint: &str) -> Result<Finish, AnyError> {
    let resource = Resource::builder().with_service_name("invoices").build();
    let endpoint = endpoint.trim_end_matches('/');

    let exporter =
        MetricExporter::builder().with_http().with_endpoint(format!("{endpoint}/v1/metrics")).build()?;
    let of_meters = resource.clone();
    let (meters, _) = Recorder::builder("tracker")
        .with_meter_provider(|builder| builder.with_periodic_exporter(exporter).with_resource(of_meters))
        .install()?;

    let exporter =
        SpanExporter::builder().with_http().with_endpoint(format!("{endpoint}/v1/traces")).build()?;
    let tracers = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    // The events of a task become events of its span. What the exporter itself logs must not come back to it.
    let ours = Targets::new().with_target("tracker_core", LevelFilter::INFO);
    let spans = tracing_opentelemetry::layer().with_tracer(tracers.tracer("tracker"));
    tracing_subscriber::registry().with(spans.with_filter(ours)).init();

    Ok(Box::new(move || {
        tracers.shutdown()?;
        Ok(meters.shutdown()?)
    }))
}
