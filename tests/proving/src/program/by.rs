//! By what the devices talk.

use std::fmt;

use clap::ValueEnum;
use softbus::transport::Transports;

/// By what the devices talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// QUIC, and TCP in reserve, as a node does that was told nothing
    All,
    /// QUIC only: no port of TCP is open
    Quic,
    /// TCP only
    Tcp,
}

impl By {
    /// One, or those that the document has tables of, one after the other.
    pub(crate) fn those(one: Option<Self>) -> Vec<Self> {
        one.map_or_else(|| vec![Self::All, Self::Tcp], |one| vec![one])
    }

    pub(crate) const fn transports(self) -> Transports {
        match self {
            Self::All => Transports::All,
            Self::Quic => Transports::Quic,
            Self::Tcp => Transports::Tcp,
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Quic => "quic",
            Self::Tcp => "tcp",
        })
    }
}
