//! Traces to an OpenTelemetry collector, by OTLP over HTTP: a span for each request to the API and for each attempt of a delivery. What they hold
//! is what their names in the code say, ids and outcomes; nothing here sees more than that.

mod client;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::client::{Address, Trust};
use crate::commands::Usage;
use crate::logging::{self, Format};
use client::Collector;

/// What is being sent.
pub struct Traces(SdkTracerProvider);

/// Begins the log and the traces, for the whole process, once. `url` is the collector; what is sent is sent on `runtime`.
///
/// # Errors
/// [`Usage`]: it is not a collector's address.
pub fn start(url: &str, trust: &Trust, level: Level, format: Format, runtime: &Handle) -> anyhow::Result<Traces> {
    let address = Address::parse(url, trust)
        .map_err(|_| Usage(format!("otlp: {url} is not a collector's address, such as http://127.0.0.1:4318")))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')))
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(Collector::new(address, runtime.clone()))
        .build()?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name("postrider").with_attribute(version).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    // Our own spans of the lowest level are made to be traced; no line of the log has them.
    let is_sent =
        |span: &Metadata<'_>| span.is_span() && *span.level() == Level::TRACE && span.target().starts_with("postrider");
    let spans = tracing_opentelemetry::layer()
        .with_location(false)
        .with_target(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_tracer(provider.tracer("postrider"))
        .with_filter(FilterFn::new(is_sent).with_max_level_hint(LevelFilter::TRACE));
    let lines = logging::layer(format).with_filter(LevelFilter::from_level(level));
    tracing_subscriber::registry().with(spans).with(lines).init();
    Ok(Traces(provider))
}

impl Traces {
    /// Sends what has not been sent yet. The runtime still has to run.
    pub fn end(self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}
