//! What the project wants to reach, and whether it does.

use std::fmt;

use crate::{
    summary::{Spread, Summary},
    workload::Workload::{
        self, Loss1, Loss3, Mixed, Slow, W1, W2, W2b, W3, W4, W4Wide, W4s, W4sWide, W5, W6, W7,
    },
};

/// One figure of ours, measured by a peer's.
pub(crate) struct Target {
    workload: Workload,
    ours: &'static str,
    metric: &'static str,
    /// The best of these in each round.
    peers: &'static [&'static str],
    bound: Bound,
}

/// What is compared with what.
#[derive(Clone, Copy)]
enum Bound {
    /// Ours by the peer's.
    AtMost(f64),
    AtLeast(f64),
    /// Ours less the peer's.
    AtMostAbove(f64),
    /// Ours alone.
    Below(f64),
    Above(f64),
}
use Bound::{Above, AtLeast, AtMost, AtMostAbove, Below};

const fn target(
    workload: Workload,
    metric: &'static str,
    peers: &'static [&'static str],
    bound: Bound,
) -> Target {
    Target {
        workload,
        ours: "ours-typed",
        metric,
        peers,
        bound,
    }
}

const fn of(ours: &'static str, target: Target) -> Target {
    Target { ours, ..target }
}

const MUX: &[&str] = &["quinn-mux"];
const QUINN: &[&str] = &["quinn-mux", "quinn-stream"];
const TLS: &[&str] = &["tls-mux"];
const TONIC: &[&str] = &["tonic"];
const TARPC: &[&str] = &["tarpc"];
const TONIC_MT: &[&str] = &["tonic-mt"];
const TARPC_MT: &[&str] = &["tarpc-mt"];

/// The table.
pub(crate) const TARGETS: &[Target] = &[
    target(W1, "p50_us", MUX, AtMost(1.15)),
    target(W1, "p50_us", TONIC, AtMost(0.6)),
    target(W1, "p50_us", TARPC, AtMost(1.2)),
    target(W2, "calls_s", MUX, AtLeast(0.6)),
    target(W2, "calls_s", TONIC, AtLeast(10.0)),
    target(W2, "calls_s", TARPC, AtLeast(2.0)),
    target(W2b, "calls_s", MUX, AtLeast(0.5)),
    target(W2b, "calls_s", TONIC, AtLeast(12.0)),
    target(W2b, "calls_s", TARPC, AtLeast(2.0)),
    target(W3, "calls_s", MUX, AtLeast(0.9)),
    target(W3, "calls_s", TONIC, AtLeast(2.5)),
    target(W3, "calls_s", TARPC, AtLeast(0.95)),
    target(W4, "mb_s", QUINN, AtLeast(0.95)),
    target(W4, "cpu_s_gb", QUINN, AtMost(1.1)),
    target(W4s, "mb_s", QUINN, AtLeast(0.95)),
    target(W4s, "cpu_s_gb", QUINN, AtMost(1.1)),
    target(W4Wide, "mb_s", TONIC, AtLeast(1.5)),
    target(W4sWide, "mb_s", TONIC, AtLeast(1.5)),
    target(W5, "msgs_s", TONIC, AtLeast(1.1)),
    target(W5, "msgs_s", MUX, AtLeast(0.5)),
    target(Slow, "held_kib", &[], Below(16.0 * 1024.0)),
    target(W6, "connect_ms", MUX, AtMost(1.3)),
    target(W7, "rss_kib_per_peer", MUX, AtMostAbove(40.0)),
    target(W2, "cpu_100k", MUX, AtMost(1.3)),
    target(Mixed, "p99_us", &[], Below(2500.0)),
    target(Mixed, "bulk_share", &[], Above(0.75)),
    target(Loss1, "calls_s", TLS, AtLeast(5.0)),
    target(Loss1, "calls_s", TONIC, AtLeast(20.0)),
    target(Loss1, "p99_us", TLS, AtMost(0.2)),
    target(Loss1, "p99_us", TONIC, AtMost(0.2)),
    target(Loss3, "calls_s", &["quinn-stream"], AtLeast(1.0)),
    of(
        "ours-typed-default",
        target(W2, "calls_s", &["ours-typed"], AtLeast(0.667)),
    ),
    of(
        "ours-typed-mt",
        target(W2, "calls_s", TARPC_MT, AtLeast(2.0)),
    ),
    of(
        "ours-typed-mt",
        target(W2, "calls_s", TONIC_MT, AtLeast(8.0)),
    ),
    of("ours-typed-mt", target(W1, "p50_us", TARPC_MT, AtMost(1.0))),
    of("ours-typed-mt", target(W1, "p50_us", TONIC_MT, AtMost(1.0))),
    of("ours-local", target(W1, "p50_us", &["uds"], AtMost(1.25))),
    of("ours-local", target(W1, "p50_us", &["zbus"], AtMost(0.45))),
    of(
        "ours-local",
        target(W2, "calls_s", &["uds-mux"], AtLeast(0.5)),
    ),
    of("ours-local", target(W2, "calls_s", &["zbus"], AtLeast(5.0))),
];

impl Target {
    /// What was measured; `None` if it was not.
    pub(crate) fn look(&self, summary: &Summary) -> Option<Spread> {
        let quotient = match self.bound {
            AtMost(_) | AtLeast(_) => true,
            AtMostAbove(_) => false,
            Below(_) | Above(_) => return summary.spread(self.workload, self.ours, self.metric),
        };
        summary.ratio(self.workload, self.ours, self.peers, self.metric, quotient)
    }

    pub(crate) fn met(&self, found: Spread) -> bool {
        match self.bound {
            AtMost(bound) | AtMostAbove(bound) | Below(bound) => found.median <= bound,
            AtLeast(bound) | Above(bound) => found.median >= bound,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            workload,
            ours,
            metric,
            ..
        } = self;
        let peers = self.peers.join(" or ");
        write!(f, "{workload} {metric} of {ours} ")?;
        match self.bound {
            AtMost(bound) => write!(f, "<= {bound} x {peers}"),
            AtLeast(bound) => write!(f, ">= {bound} x {peers}"),
            AtMostAbove(bound) => write!(f, "<= {bound} above {peers}"),
            Below(bound) => write!(f, "<= {bound}"),
            Above(bound) => write!(f, ">= {bound}"),
        }
    }
}
