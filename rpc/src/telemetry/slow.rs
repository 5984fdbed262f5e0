//! Handlers that take long, and calls that wait long. Nothing here costs a call anything: the times are those at which
//! the session was told of the call anyway, and what never ends is found by the session's timer.

use std::time::Duration;

use proto::ServiceId;

use super::{SLOW_TARGET, fold::Line, metrics};
use crate::peer::{PeerShared, now};

/// From when on a handler or a wait is said to be slow. OpenHarmony's numbers by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowThresholds {
    /// A handler that takes so long is logged at the callee (500 ms).
    pub handler: Duration,
    /// One that takes so long, or has not ended by then, is an event of its own: logged as an error and counted (5 s).
    pub stuck: Duration,
    /// A call that has waited so long is logged at the caller (2 s).
    pub call: Duration,
}

impl SlowThresholds {
    /// 500 ms, 5 s and 2 s.
    pub const DEFAULT: Self = Self {
        handler: Duration::from_millis(500),
        stuck: Duration::from_secs(5),
        call: Duration::from_secs(2),
    };

    /// Other times for handlers: slow, and stuck.
    #[must_use]
    pub const fn handlers(mut self, slow: Duration, stuck: Duration) -> Self {
        (self.handler, self.stuck) = (slow, stuck);
        self
    }

    /// Another time for calls.
    #[must_use]
    pub const fn calls(mut self, slow: Duration) -> Self {
        self.call = slow;
        self
    }
}

impl Default for SlowThresholds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A handler of ours has ended that took long.
#[cold]
pub(crate) fn handler(
    peer: &PeerShared,
    code: u32,
    service: Option<ServiceId>,
    took: Duration,
    was_stuck: bool,
) {
    let stuck = took >= peer.slow_thresholds().stuck;
    if !was_stuck {
        metrics::slow(if stuck { "stuck_handler" } else { "handler" });
    }
    tell(peer, code, service, took, stuck, true);
}

/// A handler of ours does not end.
#[cold]
pub(crate) fn stuck(peer: &PeerShared, code: u32, service: Option<ServiceId>, running: Duration) {
    metrics::slow("stuck_handler");
    tell(peer, code, service, running, true, false);
}

fn tell(
    peer: &PeerShared,
    code: u32,
    service: Option<ServiceId>,
    took: Duration,
    stuck: bool,
    ended: bool,
) {
    let service = service.map(ServiceId::get);
    let line = if stuck {
        Line::StuckHandler
    } else {
        Line::SlowHandler
    };
    let Some(folded) = peer.telemetry().fold().admit(line, now()) else {
        return;
    };
    let device = peer.remote().device;
    let took_ms = took.as_millis() as u64;
    if stuck {
        tracing::error!(target: SLOW_TARGET, event = "stuck_handler", ?device, service, code, took_ms, ended, folded,
            "handler is stuck");
    } else {
        tracing::warn!(target: SLOW_TARGET, event = "slow_handler", ?device, service, code, took_ms, ended, folded,
            "handler is slow");
    }
}

/// A call of ours waited long.
#[cold]
pub(crate) fn call(peer: &PeerShared, code: u32, waited: Duration) {
    metrics::slow("call");
    let Some(folded) = peer.telemetry().fold().admit(Line::SlowCall, now()) else {
        return;
    };
    let device = peer.remote().device;
    let waited_ms = waited.as_millis() as u64;
    tracing::warn!(target: SLOW_TARGET, event = "slow_call", ?device, code, waited_ms, folded, "call waited long");
}
