//! What is measured.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Workload {
    W1,
    W2,
    W2b,
    W3,
    W4,
    W4s,
    W4Wide,
    W4sWide,
    W5,
    W6,
    W7,
    Mixed,
    Slow,
    Loss1,
    Loss3,
}

/// The network that a workload's packets take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Loopback as it is: packets of 64 KiB.
    Loopback,
    /// Loopback with the packets of a LAN, 1,500 bytes: QUIC's datagrams have 1,452.
    Lan,
    /// The same, and so many packets of a hundred are lost.
    Lossy(u8),
}

/// What a workload does, in the terms of the driver.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Closed loop: each of `in_flight` tasks calls again when it has its answer.
    Echo { in_flight: usize, size: usize },
    /// The same, with an empty answer.
    Put { in_flight: usize, size: usize },
    /// One transfer of this many bytes.
    Transfer { bytes: usize },
    /// One-way messages from one task, as fast as they are taken.
    Notify { size: usize },
    /// The same, to a receiver that takes a millisecond for each.
    Slow { size: usize },
    /// Connections one after the other, each with one call.
    Connect { count: usize },
    /// Connections that stay and do nothing.
    Idle { count: usize },
    /// Small calls beside an endless transfer.
    Mixed { in_flight: usize, size: usize },
}

impl Workload {
    pub(crate) const ALL: [Self; 15] = [
        Self::W1,
        Self::W2,
        Self::W2b,
        Self::W3,
        Self::W4,
        Self::W4s,
        Self::W4Wide,
        Self::W4sWide,
        Self::W5,
        Self::W6,
        Self::W7,
        Self::Mixed,
        Self::Slow,
        Self::Loss1,
        Self::Loss3,
    ];

    pub(crate) fn shape(self) -> Shape {
        let echo = |in_flight, size| Shape::Echo { in_flight, size };
        match self {
            Self::W1 => echo(1, 64),
            Self::W2 | Self::Loss1 | Self::Loss3 => echo(64, 64),
            Self::W2b => echo(512, 64),
            Self::W3 => echo(64, 4096),
            Self::W4 | Self::W4Wide => Shape::Put {
                in_flight: 8,
                size: 1 << 20,
            },
            Self::W4s | Self::W4sWide => Shape::Transfer { bytes: 256 << 20 },
            Self::W5 => Shape::Notify { size: 64 },
            Self::W6 => Shape::Connect { count: 40 },
            Self::W7 => Shape::Idle { count: 1000 },
            Self::Mixed => Shape::Mixed {
                in_flight: 16,
                size: 64,
            },
            Self::Slow => Shape::Slow { size: 64 },
        }
    }

    /// Where it takes place.
    pub(crate) fn network(self) -> Network {
        match self {
            Self::W4 | Self::W4s => Network::Lan,
            Self::Loss1 => Network::Lossy(1),
            Self::Loss3 => Network::Lossy(3),
            _ => Network::Loopback,
        }
    }

    /// The figure that it is about, and whether more of it is better.
    pub(crate) const fn headline(self) -> (&'static str, bool) {
        match self {
            Self::W1 => ("p50_us", false),
            Self::W2 | Self::W2b | Self::W3 | Self::Loss1 | Self::Loss3 => ("calls_s", true),
            Self::W4 | Self::W4s | Self::W4Wide | Self::W4sWide => ("mb_s", true),
            Self::W5 => ("msgs_s", true),
            Self::W6 => ("connect_ms", false),
            Self::W7 => ("rss_kib_per_peer", false),
            Self::Mixed => ("p99_us", false),
            Self::Slow => ("held_kib", false),
        }
    }

    /// Figures that stand beside it in a table.
    pub(crate) const fn beside(self) -> &'static [&'static str] {
        match self {
            Self::W4 | Self::W4s | Self::W4Wide | Self::W4sWide => &["cpu_s_gb"],
            Self::W5 => &["cpu_100k"],
            Self::W6 => &[],
            Self::W7 => &["client_rss_kib"],
            Self::Mixed => &["calls_s", "mb_s", "bulk_share"],
            Self::Slow => &["msgs_s"],
            _ => &["p99_us", "cpu_100k"],
        }
    }

    /// Whether the receiver is slower than the sender.
    pub(crate) fn is_slow(self) -> bool {
        matches!(self.shape(), Shape::Slow { .. })
    }

    /// How many clients it takes.
    pub(crate) fn clients(self) -> usize {
        match self.shape() {
            Shape::Connect { count } | Shape::Idle { count } => count,
            _ => 1,
        }
    }

    /// How many calls are under way at most.
    pub(crate) fn in_flight(self) -> usize {
        match self.shape() {
            Shape::Echo { in_flight, .. } | Shape::Put { in_flight, .. } => in_flight,
            Shape::Mixed { in_flight, .. } => in_flight + 8,
            _ => 1,
        }
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::W1 => "64 B echo, 1 in flight",
            Self::W2 => "64 B echo, 64 in flight",
            Self::W2b => "64 B echo, 512 in flight",
            Self::W3 => "4 KiB echo, 64 in flight",
            Self::W4 => "1 MiB put, 8 in flight, packets of 1,500 bytes",
            Self::W4s => "one transfer of 256 MiB, packets of 1,500 bytes",
            Self::W4Wide => "1 MiB put, 8 in flight, the path takes 6,400 bytes",
            Self::W4sWide => "one transfer of 256 MiB, the path takes 6,400 bytes",
            Self::W5 => "one-way, 64 B",
            Self::W6 => "connect and first call",
            Self::W7 => "1,000 idle connections",
            Self::Mixed => "64 B echo, 16 in flight, beside endless 1 MiB puts",
            Self::Slow => "one-way, 64 B, 1 ms for each at the receiver",
            Self::Loss1 => "64 B echo, 64 in flight, 1 % of packets lost",
            Self::Loss3 => "64 B echo, 64 in flight, 3 % of packets lost",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::W4Wide => f.write_str("W4-6400"),
            Self::W4sWide => f.write_str("W4s-6400"),
            Self::Mixed => f.write_str("mixed"),
            Self::Slow => f.write_str("slow"),
            Self::Loss1 => f.write_str("loss1"),
            Self::Loss3 => f.write_str("loss3"),
            other => fmt::Debug::fmt(other, f),
        }
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = Self::ALL.into_iter();
        all.clone()
            .find(|workload| workload.to_string().eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                let names: Vec<_> = all.map(|workload| workload.to_string()).collect();
                format!("no such workload; there are {}", names.join(", "))
            })
    }
}
