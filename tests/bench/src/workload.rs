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
    W5,
    W6,
    W7,
    Mixed,
    Loss1,
    Loss3,
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
    /// Connections one after the other, each with one call.
    Connect { count: usize },
    /// Connections that stay and do nothing.
    Idle { count: usize },
    /// Small calls beside an endless transfer.
    Mixed { in_flight: usize, size: usize },
}

impl Workload {
    pub(crate) const ALL: [Self; 12] = [
        Self::W1,
        Self::W2,
        Self::W2b,
        Self::W3,
        Self::W4,
        Self::W4s,
        Self::W5,
        Self::W6,
        Self::W7,
        Self::Mixed,
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
            Self::W4 => Shape::Put {
                in_flight: 8,
                size: 1 << 20,
            },
            Self::W4s => Shape::Transfer { bytes: 256 << 20 },
            Self::W5 => Shape::Notify { size: 64 },
            Self::W6 => Shape::Connect { count: 40 },
            Self::W7 => Shape::Idle { count: 1000 },
            Self::Mixed => Shape::Mixed {
                in_flight: 16,
                size: 64,
            },
        }
    }

    /// How many packets of a hundred are lost.
    pub(crate) fn loss(self) -> u8 {
        match self {
            Self::Loss1 => 1,
            Self::Loss3 => 3,
            _ => 0,
        }
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
            Self::W4 => "1 MiB put, 8 in flight",
            Self::W4s => "one transfer of 256 MiB",
            Self::W5 => "one-way, 64 B",
            Self::W6 => "connect and first call",
            Self::W7 => "1,000 idle connections",
            Self::Mixed => "64 B echo, 16 in flight, beside endless 1 MiB puts",
            Self::Loss1 => "64 B echo, 64 in flight, 1 % of packets lost",
            Self::Loss3 => "64 B echo, 64 in flight, 3 % of packets lost",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mixed => f.write_str("mixed"),
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
