//! By what the devices talk.

use std::fmt;

use clap::ValueEnum;
use softbus::transport::Transports;

/// By what the devices talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// QUIC, and TCP in reserve, as a node does that was told nothing
    Quic,
    /// TCP only
    Tcp,
}

impl By {
    /// One, or both after each other.
    pub(crate) fn those(one: Option<Self>) -> Vec<Self> {
        one.map_or_else(|| vec![Self::Quic, Self::Tcp], |one| vec![one])
    }

    pub(crate) const fn transports(self) -> Transports {
        match self {
            Self::Quic => Transports::All,
            Self::Tcp => Transports::Tcp,
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quic => "quic",
            Self::Tcp => "tcp",
        })
    }
}
