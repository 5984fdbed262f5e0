//! What a backend says: candidates and what became of them.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use proto::DeviceId;

use crate::ProtocolVersions;

/// Which backend a candidate comes from. Two backends that run at once need different sources, two lists of
/// [`StaticPeers`](crate::StaticPeers) included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(&'static str);

impl Source {
    /// Multicast DNS on the local network.
    pub const MDNS: Self = Self("mdns");
    /// A list from the configuration.
    pub const STATIC: Self = Self("static");
    /// Told by peers that are connected.
    pub const PEERS: Self = Self("peers");

    /// A source of another kind. The name is for logs and must be unique among the backends that run at once.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name, for logs.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.0)
    }
}

/// A device that one source believes to be reachable. A hint: dial it, and let TLS say who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// Who would answer.
    pub id: DeviceId,
    /// Who says so.
    pub source: Source,
    /// Where, at most [`MAX_ADDRS`](crate::MAX_ADDRS). A link-local IPv6 address carries its scope.
    pub addrs: Vec<SocketAddr>,
    /// The epoch of the boot id the device claims; raised at every start. `None` if the source does not know.
    pub epoch: Option<u64>,
    /// Protocol versions the device claims to speak. `None` if the source does not know.
    pub versions: Option<ProtocolVersions>,
    /// A name for people, if the device's user allowed one. Escaped and cut already; proves nothing.
    pub name: Option<String>,
    /// How long this holds unless it is said again. `None` is for lists that a user of this device wrote: such a
    /// device never expires and is never pushed out by a flood of strangers.
    pub valid_for: Option<Duration>,
}

impl Candidate {
    /// A candidate that never expires and of which nothing is known but its addresses.
    pub fn new(id: DeviceId, source: Source, addrs: Vec<SocketAddr>) -> Self {
        Self {
            id,
            source,
            addrs,
            epoch: None,
            versions: None,
            name: None,
            valid_for: None,
        }
    }
}

/// How a backend is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It works.
    Up,
    /// It works, but the reason should be looked at.
    Degraded(String),
    /// It finds and announces nothing at present, for this reason; it goes on trying.
    Down(String),
}

/// Everything a backend knows at one moment. What it does not contain, the source no longer claims.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Whose view this is.
    pub source: Source,
    /// The last status, `None` before the first.
    pub status: Option<Status>,
    /// All candidates, in no order.
    pub candidates: Vec<Candidate>,
}

/// Something a backend has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A candidate is new or changed, or was heard of again. Replaces what the same source said of the device.
    Upsert(Candidate),
    /// The source says that the device left. Anybody can forge this: a reason to probe a connection, never to end it.
    Withdrawn {
        /// Who left.
        id: DeviceId,
        /// Who says so.
        source: Source,
    },
    /// The source has not heard of the device for too long.
    Expired {
        /// Who was not heard of.
        id: DeviceId,
        /// Who says so.
        source: Source,
    },
    /// The backend works, works badly or does not work.
    Status {
        /// Which backend.
        source: Source,
        /// How it is.
        status: Status,
    },
    /// This subscription was read too slowly and lost events; the snapshot replaces all that came before.
    Lagged(Snapshot),
}
