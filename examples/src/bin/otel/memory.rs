//! Spans kept in memory. A program for use sends them to a collector instead, for example with `opentelemetry-otlp`.

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use softbus::rpc::telemetry::SPAN_TARGET;
use tokio::sync::watch;
use tracing::Level;
use tracing_subscriber::{
    filter::Targets,
    layer::{Layer, SubscriberExt},
    util::{SubscriberInitExt, TryInitError},
};

#[derive(Debug)]
struct Memory(watch::Sender<Vec<SpanData>>);

impl SpanExporter for Memory {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.send_modify(|spans| spans.append(&mut batch));
        Ok(())
    }
}

/// Installs OpenTelemetry for this process. Returns the spans that have ended.
pub(crate) fn install() -> Result<watch::Receiver<Vec<SpanData>>, TryInitError> {
    let (sender, spans) = watch::channel(Vec::new());
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(Memory(sender))
        .build();
    let wanted = Targets::new()
        .with_target(SPAN_TARGET, Level::DEBUG)
        .with_target(env!("CARGO_BIN_NAME"), Level::INFO);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("softbus"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_filter(wanted);
    tracing_subscriber::registry().with(layer).try_init()?;
    Ok(spans)
}
