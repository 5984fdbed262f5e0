//! Seeing what the bus does: spans of calls joined across devices, metrics, and what the log says of refusals and of
//! slow handlers.
//!
//! * **Spans.** Each call has a span at the caller and one at the callee ([`SPAN_TARGET`], level `DEBUG`), with
//!   OpenTelemetry's attribute names. They are built when a `tracing` subscriber wants them. What joins them is the
//!   [`TraceContext`] that travels with the request; [`set_propagator`] ties it to a tracing system.
//! * **Metrics.** [`metrics::enable`] turns them on; the names are in [`metrics::METRICS`].
//! * **Refusals** and **slow handlers** are logged at both ends, folded when there are many
//!   ([`REFUSAL_TARGET`], [`SLOW_TARGET`]).
//!
//! When nobody listens a call costs three loads for all of this. A trace context that arrives is passed on to the calls
//! that the handler makes, whether anybody listens here or not.
//!
//! Device ids appear in their short form everywhere, arguments and results nowhere.

pub(crate) mod calls;
pub(crate) mod fold;
pub mod metrics;
pub(crate) mod refusals;
pub(crate) mod slow;
mod spans;
mod status;
mod trace;

pub use refusals::{not_reached, turned_away};
pub use slow::SlowThresholds;
pub use trace::{Propagator, PropagatorAlreadySet, TraceContext, current_trace, set_propagator};

pub(crate) use status::CallStatus;

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use fold::Fold;

/// The target of the spans of calls.
pub const SPAN_TARGET: &str = "softbus::call";
/// The target of what is logged about refused and failed calls.
pub const REFUSAL_TARGET: &str = "softbus::refusal";
/// The target of what is logged about slow handlers and long waits.
pub const SLOW_TARGET: &str = "softbus::slow";

/// What a session keeps for telemetry.
#[derive(Debug, Default)]
pub(crate) struct PeerTelemetry {
    /// Bytes that came, since they were last published.
    received: AtomicU64,
    /// Bytes that left.
    sent: AtomicU64,
    fold: OnceLock<Box<Fold>>,
}

impl PeerTelemetry {
    /// Bytes have come from the link.
    pub(crate) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The link has taken bytes.
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What came and left since this was last asked.
    fn take_traffic(&self) -> (u64, u64) {
        (
            self.received.swap(0, Ordering::Relaxed),
            self.sent.swap(0, Ordering::Relaxed),
        )
    }

    fn fold(&self) -> &Fold {
        self.fold.get_or_init(Box::default)
    }
}
