//! A trace as a tree, and whether it is one.

use std::{collections::BTreeMap, fmt::Write};

use opentelemetry::trace::{SpanId, SpanKind, TraceId};
use opentelemetry_sdk::trace::SpanData;

/// From the root down, one below the other: the table's call of the kitchen, and that one's of the cellar.
pub(crate) const KINDS: [SpanKind; 5] = [
    SpanKind::Internal,
    SpanKind::Client,
    SpanKind::Server,
    SpanKind::Client,
    SpanKind::Server,
];

/// The spans of a trace.
pub(crate) fn of(trace: TraceId, spans: &[SpanData]) -> Vec<SpanData> {
    let of_it = spans
        .iter()
        .filter(|span| span.span_context.trace_id() == trace);
    of_it.cloned().collect()
}

fn below(parent: SpanId, spans: &[SpanData]) -> Vec<&SpanData> {
    let children = spans.iter().filter(|span| span.parent_span_id == parent);
    children.collect()
}

/// Every span with its kind, its duration, its place and its attributes, each below its parent.
pub(crate) fn show(trace: TraceId, spans: &[SpanData]) -> String {
    let mut text = format!("trace {trace}\n");
    show_below(SpanId::INVALID, 0, spans, &mut text);
    text
}

fn show_below(parent: SpanId, depth: usize, spans: &[SpanData], text: &mut String) {
    for span in below(parent, spans) {
        let indent = "   ".repeat(depth);
        let took = span.end_time.duration_since(span.start_time);
        let (kind, own) = (&span.span_kind, span.span_context.span_id());
        let from = match (parent == SpanId::INVALID, span.parent_span_is_remote) {
            (true, _) => "root".to_owned(),
            (_, false) => format!("parent {parent}"),
            (_, true) => format!("parent {parent} of another device"),
        };
        let name = format!("{indent}{}", span.name);
        let kind = format!("{kind:?}").to_lowercase();
        let took = took.unwrap_or_default().as_secs_f64() * 1e3;
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<40} {kind:<8} {took:>7.2} ms   {own}, {from}");
        let attributes: BTreeMap<_, _> = span
            .attributes
            .iter()
            .map(|attribute| (attribute.key.as_str(), attribute.value.as_str()))
            .collect();
        for (key, value) in attributes {
            let _ = writeln!(text, "{indent}   | {key} = {value}");
        }
        show_below(own, depth + 1, spans, text);
    }
}

/// Whether these spans are the one trace that they should be.
pub(crate) fn check(spans: &[SpanData]) -> Result<(), String> {
    let mut parent = SpanId::INVALID;
    for (depth, kind) in KINDS.iter().enumerate() {
        let children = below(parent, spans);
        let [span] = children[..] else {
            let count = children.len();
            return Err(format!(
                "not joined: {count} spans at depth {depth}, expected one of kind {kind:?}"
            ));
        };
        let crossed = *kind == SpanKind::Server;
        if span.span_kind != *kind || span.parent_span_is_remote != crossed {
            let came = &span.span_kind;
            return Err(format!(
                "not joined: {came:?} at depth {depth}, expected {kind:?}"
            ));
        }
        parent = span.span_context.span_id();
    }
    match spans.len() - KINDS.len() {
        0 => Ok(()),
        more => Err(format!("not joined: {more} spans more than expected")),
    }
}
