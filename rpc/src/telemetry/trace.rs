//! Which trace a call belongs to, and how a tracing system takes part in it.

use std::{fmt, sync::OnceLock};

use proto::frame::{ExtensionKind, Extensions};
use tracing::Span;

use crate::{context, dispatch};

/// A place in a trace, as W3C's Trace Context has it: what a request carries so that the spans of both ends join.
///
/// ```
/// use softbus_rpc::telemetry::TraceContext;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace: TraceContext = text.parse().unwrap();
/// assert!(trace.is_sampled());
/// assert_eq!(trace.to_string(), text);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
}

/// The text is not a `traceparent` of version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct ParseTraceContextError;

impl TraceContext {
    /// The flag of a trace that is being recorded.
    pub const SAMPLED: u8 = 1;
    /// Bytes of it in a request.
    const LEN: usize = 25;

    /// `None` when an id is all zero, which W3C forbids.
    pub fn new(trace_id: [u8; 16], span_id: [u8; 8], flags: u8) -> Option<Self> {
        let valid = trace_id != [0; 16] && span_id != [0; 8];
        valid.then_some(Self {
            trace_id,
            span_id,
            flags,
        })
    }

    /// The trace: the same for everything that one cause has led to, on every device.
    pub const fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The span in it: the parent of what is done next.
    pub const fn span_id(&self) -> [u8; 8] {
        self.span_id
    }

    /// W3C's flags; those that we do not know are passed on.
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// Whether the one who began the trace records it. When not, no span is built for it unless a
    /// [`Propagator`] decides so.
    pub const fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// A new trace, to be recorded. Its ids are not secret.
    pub(super) fn root() -> Self {
        let (high, low) = (dispatch::next_chain(), dispatch::next_chain());
        let trace_id = (u128::from(high) << 64 | u128::from(low)).max(1);
        Self {
            trace_id: trace_id.to_be_bytes(),
            span_id: span_id(),
            flags: Self::SAMPLED,
        }
    }

    /// The next span of this trace.
    pub(super) fn child(self) -> Self {
        Self {
            span_id: span_id(),
            ..self
        }
    }

    /// From the header of a request. What is not one is no trace: a peer's tracing must not make its calls fail.
    pub(crate) fn from_extensions(extensions: &Extensions) -> Option<Self> {
        if extensions.is_empty() {
            return None;
        }
        let bytes = extensions.get(ExtensionKind::Trace)?;
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let (trace_id, rest) = bytes.split_first_chunk()?;
        let (span_id, flags) = rest.split_first_chunk()?;
        Self::new(*trace_id, *span_id, flags[0])
    }

    /// As it stands in the header of a request.
    pub(crate) fn add_to(extensions: Extensions, trace: Option<Self>) -> Extensions {
        let Some(trace) = trace else {
            return extensions;
        };
        let mut bytes = [0; Self::LEN];
        bytes[..16].copy_from_slice(&trace.trace_id);
        bytes[16..24].copy_from_slice(&trace.span_id);
        bytes[24] = trace.flags;
        extensions.with(ExtensionKind::Trace, &bytes)
    }
}

fn span_id() -> [u8; 8] {
    dispatch::next_chain().max(1).to_be_bytes()
}

/// In lower-case hexadecimal.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for TraceContext {
    /// A `traceparent`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (Hex(&self.trace_id), Hex(&self.span_id));
        write!(f, "00-{trace}-{span}-{:02x}", self.flags)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({self})")
    }
}

impl std::str::FromStr for TraceContext {
    type Err = ParseTraceContextError;

    fn from_str(text: &str) -> Result<Self, ParseTraceContextError> {
        let mut parts = text.split('-');
        let mut next = || parts.next().ok_or(ParseTraceContextError);
        let (version, trace, span, flags) = (next()?, next()?, next()?, next()?);
        if version != "00" || next().is_ok() {
            return Err(ParseTraceContextError);
        }
        let (mut trace_id, mut span_id, mut flag) = ([0; 16], [0; 8], [0; 1]);
        let fields: [(&str, &mut [u8]); 3] = [
            (trace, &mut trace_id),
            (span, &mut span_id),
            (flags, &mut flag),
        ];
        for (text, out) in fields {
            read_hex(text.as_bytes(), out).ok_or(ParseTraceContextError)?;
        }
        Self::new(trace_id, span_id, flag[0]).ok_or(ParseTraceContextError)
    }
}

fn read_hex(text: &[u8], out: &mut [u8]) -> Option<()> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != out.len() * 2 {
        return None;
    }
    for (pair, out) in text.chunks_exact(2).zip(out) {
        *out = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(())
}

/// Ties the bus to a tracing system that has ids of its own for spans, such as OpenTelemetry.
///
/// Without one the bus makes ids itself and records them as `trace_id`, `span_id` and `parent_span_id` of its spans.
/// Both methods run on the path of a call: they must not wait.
pub trait Propagator: Send + Sync + 'static {
    /// The place of a span of this process, for the request that is about to leave; `None` sends none. The span is that
    /// of the call, or the current one when that of the call is not wanted.
    fn inject(&self, span: &Span) -> Option<TraceContext>;

    /// Makes what a request carried the parent of the span in which it is served. The span has not been entered.
    fn extract(&self, span: &Span, parent: TraceContext);
}

/// There is one propagator in a process, and it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("propagator already set")]
pub struct PropagatorAlreadySet;

static PROPAGATOR: OnceLock<Box<dyn Propagator>> = OnceLock::new();

/// Sets the process's propagator: once, before the first call, like a global subscriber.
///
/// # Errors
/// There is one already.
pub fn set_propagator(propagator: impl Propagator) -> Result<(), PropagatorAlreadySet> {
    PROPAGATOR
        .set(Box::new(propagator))
        .map_err(|_| PropagatorAlreadySet)
}

pub(super) fn propagator() -> Option<&'static dyn Propagator> {
    PROPAGATOR.get().map(Box::as_ref)
}

/// The trace that the handler running here belongs to; `None` outside of handlers, and when its caller sent none and
/// nobody listens here.
pub fn current_trace() -> Option<TraceContext> {
    context::current()?.trace
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_context_survives_the_header_and_the_text() {
        let trace: TraceContext = TEXT.parse().unwrap();
        let extensions = TraceContext::add_to(Extensions::default(), Some(trace));
        assert_eq!(TraceContext::from_extensions(&extensions), Some(trace));
        assert_eq!(trace.to_string(), TEXT);
        assert!(TraceContext::add_to(Extensions::default(), None).is_empty());
    }

    #[test]
    fn what_is_no_trace_context_is_none() {
        let with = |bytes: &[u8]| Extensions::default().with(ExtensionKind::Trace, bytes);
        for bytes in [&[][..], &[1; 24], &[1; 26], &[0; 25], &[255; 1024]] {
            assert_eq!(
                TraceContext::from_extensions(&with(bytes)),
                None,
                "{bytes:?}"
            );
        }
        let mut no_span = [1; 25];
        no_span[16..24].fill(0);
        assert_eq!(TraceContext::from_extensions(&with(&no_span)), None);
        let upper = TEXT.to_uppercase();
        let wrong = [
            "",
            "00-00-00-00",
            &upper,
            &TEXT[1..],
            "00-€-€-€",
            &TEXT.replace("-01", "-1"),
        ];
        for text in wrong {
            assert_eq!(
                text.parse::<TraceContext>(),
                Err(ParseTraceContextError),
                "{text}"
            );
        }
    }

    #[test]
    fn a_child_stays_in_its_trace() {
        let root = TraceContext::root();
        let child = root.child();
        assert_eq!(child.trace_id(), root.trace_id());
        assert_ne!(child.span_id(), root.span_id());
        assert_ne!(TraceContext::root().trace_id(), root.trace_id());
        let quiet = TraceContext {
            flags: 0xfe,
            ..root
        };
        assert_eq!(quiet.child().flags(), 0xfe);
        assert!(!quiet.child().is_sampled());
    }
}
