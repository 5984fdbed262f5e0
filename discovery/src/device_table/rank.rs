//! Which address of a device to try first.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use crate::networks::is_dialable;
use crate::{LocalNetwork, MAX_ADDRS};

/// The best addresses, the best first, each once, without those that nothing can answer at.
pub(super) fn rank(
    addrs: impl Iterator<Item = SocketAddr>,
    working: Option<SocketAddr>,
    networks: &[LocalNetwork],
) -> Vec<SocketAddr> {
    let mut seen = HashSet::new();
    let mut addrs: Vec<_> = addrs
        .filter(|addr| addr.port() != 0 && is_dialable(addr.ip()) && seen.insert(*addr))
        .collect();
    // By address where the class is the same: the same set always has the same order.
    addrs.sort_by_key(|addr| (class(addr, working, networks), *addr));
    addrs.truncate(MAX_ADDRS);
    addrs
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Working,
    SameNetwork,
    OtherV4,
    V6,
    LinkLocalV6,
    /// Link-local without a scope: the kernel does not know which interface is meant.
    Unscoped,
}

fn class(addr: &SocketAddr, working: Option<SocketAddr>, networks: &[LocalNetwork]) -> Class {
    if working == Some(*addr) {
        return Class::Working;
    }
    match addr {
        SocketAddr::V4(v4) if networks.iter().any(|n| n.contains(*v4.ip())) => Class::SameNetwork,
        SocketAddr::V4(_) => Class::OtherV4,
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
            if v6.scope_id() == 0 {
                Class::Unscoped
            } else {
                Class::LinkLocalV6
            }
        }
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => class(
                &SocketAddr::new(IpAddr::V4(v4), v6.port()),
                working,
                networks,
            ),
            None => Class::V6,
        },
    }
}
