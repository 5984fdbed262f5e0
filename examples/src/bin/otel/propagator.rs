//! What ties the soft-bus to OpenTelemetry: all that a program needs of its own.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use softbus::rpc::telemetry::{Propagator, TraceContext};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Carries the place of OpenTelemetry's spans in the requests of the soft-bus.
#[derive(Debug)]
pub(crate) struct OpenTelemetry;

impl Propagator for OpenTelemetry {
    fn inject(&self, span: &Span) -> Option<TraceContext> {
        let context = span.context();
        let span = context.span();
        let place = span.span_context();
        TraceContext::new(
            place.trace_id().to_bytes(),
            place.span_id().to_bytes(),
            place.trace_flags().to_u8(),
        )
    }

    fn extract(&self, span: &Span, parent: TraceContext) {
        let place = SpanContext::new(
            TraceId::from_bytes(parent.trace_id()),
            SpanId::from_bytes(parent.span_id()),
            TraceFlags::new(parent.flags()),
            true,
            TraceState::default(),
        );
        // Fails where the span is not recorded: then there is nothing to join.
        let _ = span.set_parent(Context::new().with_remote_span_context(place));
    }
}
