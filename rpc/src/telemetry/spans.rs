//! The spans of calls, with the attribute names of OpenTelemetry's semantic conventions for RPC (1.44) and those of
//! `tracing-opentelemetry` (`otel.*`).

use tracing::{Level, Span, field::Empty};

use super::{
    CallStatus, SPAN_TARGET, TraceContext,
    calls::{End, Method},
    trace::Hex,
};
use crate::{call::CallOption, peer::PeerShared};

/// A span's own place and that of its parent, where the bus makes the ids.
type Ids = Option<(TraceContext, Option<TraceContext>)>;

/// Whether a subscriber wants spans of calls. One load while there is none.
#[inline]
pub(super) fn are_enabled() -> bool {
    tracing::span_enabled!(target: SPAN_TARGET, Level::DEBUG)
}

/// The caller's span: a child of the current one.
pub(super) fn client(peer: &PeerShared, method: &Method, option: CallOption, ids: Ids) -> Span {
    let span = tracing::debug_span!(
        target: SPAN_TARGET,
        "call",
        otel.kind = "client",
        otel.name = Empty,
        otel.status_code = Empty,
        rpc.system.name = "softbus",
        rpc.method = Empty,
        rpc.response.status_code = Empty,
        error.type = Empty,
        server.address = Empty,
        network.transport = peer.link().transport(),
        softbus.device = Empty,
        softbus.service.id = Empty,
        softbus.request.code = method.code,
        softbus.one_way = option.is_one_way(),
        trace_id = Empty,
        span_id = Empty,
        parent_span_id = Empty,
    );
    record_begin(&span, peer, method, ids);
    if !span.is_disabled() {
        let device = peer.remote().device.short();
        span.record("server.address", tracing::field::display(device));
    }
    span
}

/// The callee's span. What happens to be the current span of the task that reads requests has nothing to do with it.
pub(super) fn server(peer: &PeerShared, method: &Method, one_way: bool, ids: Ids) -> Span {
    let span = tracing::debug_span!(
        target: SPAN_TARGET,
        parent: None,
        "serve",
        otel.kind = "server",
        otel.name = Empty,
        otel.status_code = Empty,
        rpc.system.name = "softbus",
        rpc.method = Empty,
        rpc.method_original = Empty,
        rpc.response.status_code = Empty,
        error.type = Empty,
        network.transport = peer.link().transport(),
        softbus.device = Empty,
        softbus.service.id = Empty,
        softbus.request.code = method.code,
        softbus.one_way = one_way,
        trace_id = Empty,
        span_id = Empty,
        parent_span_id = Empty,
    );
    record_begin(&span, peer, method, ids);
    span
}

fn record_begin(span: &Span, peer: &PeerShared, method: &Method, ids: Ids) {
    if span.is_disabled() {
        return;
    }
    let name = method.full_name();
    span.record("otel.name", &name);
    span.record("rpc.method", &name);
    let device = peer.remote().device.short();
    span.record("softbus.device", tracing::field::display(device));
    if let Some(service) = method.service {
        span.record("softbus.service.id", service.get());
    }
    let Some((own, parent)) = ids else {
        return;
    };
    let hex = |name: &str, bytes: &[u8]| {
        span.record(name, tracing::field::display(Hex(bytes)));
    };
    hex("trace_id", &own.trace_id());
    hex("span_id", &own.span_id());
    if let Some(parent) = parent {
        hex("parent_span_id", &parent.span_id());
    }
}

/// What OpenTelemetry calls a method that the server does not have: the caller chose the name.
pub(super) const OTHER: &str = "_OTHER";

/// How the call ended.
pub(super) fn record_end(
    span: &Span,
    method: &Method,
    end: End,
    status: CallStatus,
    code: Option<i32>,
) {
    if span.is_disabled() {
        return;
    }
    match code {
        Some(code) => span.record("rpc.response.status_code", tracing::field::display(code)),
        None => span.record("rpc.response.status_code", status.as_str()),
    };
    if status == CallStatus::Ok {
        return;
    }
    span.record("error.type", status.as_str());
    span.record("otel.status_code", "ERROR");
    if status == CallStatus::UnknownMethod && end == End::Server {
        span.record("rpc.method", OTHER);
        span.record("otel.name", OTHER);
        span.record("rpc.method_original", method.full_name());
    }
}
