//! The networks this device is on, so that an address on one of them is tried first.

use std::net::{IpAddr, Ipv4Addr};

/// An IPv4 network an interface of this device is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalNetwork {
    network: u32,
    prefix: u8,
}

impl LocalNetwork {
    /// The network of an address with a prefix of `prefix` bits; more than 32 count as 32.
    pub fn new(addr: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self {
            network: addr.to_bits() & mask(prefix),
            prefix,
        }
    }

    /// Whether an address is on this network.
    pub fn contains(&self, addr: Ipv4Addr) -> bool {
        addr.to_bits() & mask(self.prefix) == self.network
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// The IPv4 networks of all interfaces that are up, for
/// [`DeviceTable::set_local_networks`](crate::DeviceTable::set_local_networks). Read it again when an address changed.
///
/// # Errors
///
/// [`ListNetworksError`] if the operating system does not say. Do without: only the order of addresses depends on it.
pub fn local_networks() -> Result<Vec<LocalNetwork>, ListNetworksError> {
    let interfaces =
        if_addrs::get_if_addrs().map_err(|error| ListNetworksError { kind: error.kind() })?;
    let mut networks: Vec<_> = interfaces
        .iter()
        .filter_map(|interface| match &interface.addr {
            if_addrs::IfAddr::V4(v4) => Some(LocalNetwork::new(v4.ip, v4.prefixlen)),
            if_addrs::IfAddr::V6(_) => None,
        })
        .collect();
    networks.sort_unstable();
    networks.dedup();
    Ok(networks)
}

/// The addresses of this device that others on its networks may reach it at: IPv4 before IPv6, none of loopback and none
/// that means nothing without the name of an interface.
///
/// # Errors
///
/// As for [`local_networks`].
pub fn local_addresses() -> Result<Vec<IpAddr>, ListNetworksError> {
    let interfaces =
        if_addrs::get_if_addrs().map_err(|error| ListNetworksError { kind: error.kind() })?;
    let of_others = interfaces
        .iter()
        .filter(|interface| !interface.is_loopback() && !interface.is_link_local());
    let mut addresses: Vec<_> = of_others.map(if_addrs::Interface::ip).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// Whether an interface of this name has a loopback address.
pub(crate) fn is_loopback_interface(name: &str) -> bool {
    if_addrs::get_if_addrs()
        .unwrap_or_default()
        .iter()
        .any(|interface| interface.name == name && interface.is_loopback())
}

/// Whether an address can be an address of a device at all.
pub(crate) fn is_dialable(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast(),
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast(),
    }
}

/// The operating system does not say which interfaces there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no list of interfaces: {kind}")]
#[non_exhaustive]
pub struct ListNetworksError {
    /// What the operating system answered.
    pub kind: std::io::ErrorKind,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses() {
        let network = LocalNetwork::new(Ipv4Addr::new(10, 77, 0, 5), 24);
        assert!(network.contains(Ipv4Addr::new(10, 77, 0, 200)));
        assert!(!network.contains(Ipv4Addr::new(10, 77, 1, 5)));
        let everything = LocalNetwork::new(Ipv4Addr::new(1, 2, 3, 4), 0);
        assert!(everything.contains(Ipv4Addr::BROADCAST));
        let host = LocalNetwork::new(Ipv4Addr::LOCALHOST, 40);
        assert!(host.contains(Ipv4Addr::LOCALHOST));
        assert!(!host.contains(Ipv4Addr::new(127, 0, 0, 2)));
    }

    #[test]
    fn this_device_is_on_its_loopback_network() {
        let networks = local_networks().unwrap();
        assert!(networks.iter().any(|n| n.contains(Ipv4Addr::LOCALHOST)));
    }
}
