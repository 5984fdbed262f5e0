//! What carries the sessions between devices: QUIC, and TCP where UDP does not get through.
//!
//! Nothing has to be said for that. Who dials tries QUIC first; when that has not answered for 0.7 s, TCP is tried beside it, at
//! the same port, and what answers first is taken. The session is the same on both: TLS 1.3, the same certificates, the same checks.
//! One that began on TCP moves to QUIC when that gets through; calls, proxies and death links notice nothing of it.

use std::fmt;

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// QUIC, on UDP.
    Quic,
    /// TLS on TCP.
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quic => "quic",
            Self::Tcp => "tcp",
        })
    }
}

/// By which transports a node listens and dials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transports {
    /// QUIC, and TCP where that does not get through.
    #[default]
    All,
    /// QUIC only: no TCP port is opened.
    Quic,
    /// TCP only: for a network that is known to let no UDP through. Nobody can pair with such a node by dialling it, because pairing
    /// goes by QUIC.
    Tcp,
}

impl Transports {
    pub(crate) const fn has(self, transport: Transport) -> bool {
        match transport {
            Transport::Quic => !matches!(self, Self::Tcp),
            Transport::Tcp => !matches!(self, Self::Quic),
        }
    }
}
