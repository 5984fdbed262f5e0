//! The networks this device is on: an address on one of them is tried first, and mDNS speaks of no others.

use std::net::IpAddr;

/// A network an interface of this device is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalNetwork {
    network: IpAddr,
    prefix: u8,
}

impl LocalNetwork {
    /// The network of an address with a prefix of `prefix` bits; more than the address has count as all of it.
    pub fn new(addr: impl Into<IpAddr>, prefix: u8) -> Self {
        let addr = addr.into();
        Self {
            network: masked(addr, prefix),
            prefix,
        }
    }

    /// Whether an address is on this network.
    pub fn contains(&self, addr: impl Into<IpAddr>) -> bool {
        masked(addr.into(), self.prefix) == self.network
    }
}

fn masked(addr: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match addr.to_canonical() {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix));
            std::net::Ipv4Addr::from_bits(v4.to_bits() & mask.unwrap_or(0)).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix));
            std::net::Ipv6Addr::from_bits(v6.to_bits() & mask.unwrap_or(0)).into()
        }
    }
}

/// The networks of all interfaces that are up, for
/// [`DeviceTable::set_local_networks`](crate::DeviceTable::set_local_networks). Read it again when an address changed.
///
/// # Errors
///
/// [`ListNetworksError`] if the operating system does not say. Keep what was known: without networks, what mDNS finds
/// is link-local only.
pub fn local_networks() -> Result<Vec<LocalNetwork>, ListNetworksError> {
    let mut networks: Vec<_> = interfaces_up()?
        .iter()
        .map(|interface| match &interface.addr {
            if_addrs::IfAddr::V4(v4) => LocalNetwork::new(v4.ip, v4.prefixlen),
            if_addrs::IfAddr::V6(v6) => LocalNetwork::new(v6.ip, v6.prefixlen),
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
    let interfaces = interfaces_up()?;
    let of_others = interfaces
        .iter()
        .filter(|interface| !interface.is_loopback() && !interface.is_link_local());
    let mut addresses: Vec<_> = of_others.map(if_addrs::Interface::ip).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// An interface that is up, by its name, and one of its addresses.
pub type InterfaceAddress = (String, IpAddr);

/// Every address of every interface that is up, in order: another list than before is another network.
///
/// # Errors
///
/// As for [`local_networks`].
pub fn interface_addresses() -> Result<Vec<InterfaceAddress>, ListNetworksError> {
    let interfaces = interfaces_up()?.into_iter();
    let mut addresses: Vec<_> = interfaces
        .map(|interface| (interface.name.clone(), interface.ip()))
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// The addresses that this device has, on whatever interface, up or down.
#[derive(Clone, Debug)]
pub struct OwnAddresses {
    /// Nothing where the operating system did not say.
    listed: Option<Vec<IpAddr>>,
}

impl OwnAddresses {
    /// Those of now.
    #[must_use]
    pub fn look() -> Self {
        let interfaces = if_addrs::get_if_addrs();
        let interfaces =
            interfaces.inspect_err(|error| tracing::debug!(%error, "no list of addresses"));
        let addresses = |interfaces: Vec<if_addrs::Interface>| {
            let interfaces = interfaces.iter();
            interfaces.map(if_addrs::Interface::ip).collect()
        };
        Self {
            listed: interfaces.ok().map(addresses),
        }
    }

    /// Whether an address is one of them. What is not listed may be one all the same: each that begins with 127, for example. So a socket
    /// is tried, of which nobody hears. In doubt it is one.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        let Some(listed) = &self.listed else {
            return true;
        };
        // Of one that means nothing without the name of an interface there can be no socket without it.
        let without_scope = matches!(addr, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let is_refused = || {
            let bound = std::net::UdpSocket::bind((addr, 0));
            bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrNotAvailable)
        };
        listed.contains(&addr) || !(without_scope || is_refused())
    }
}

/// An interface that is down keeps its addresses.
fn interfaces_up() -> Result<Vec<if_addrs::Interface>, ListNetworksError> {
    let interfaces = if_addrs::get_if_addrs();
    let mut interfaces = interfaces.map_err(|error| ListNetworksError { kind: error.kind() })?;
    interfaces.retain(if_addrs::Interface::is_oper_up);
    Ok(interfaces)
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

/// Whether an address is on this very link, as mDNS is.
pub(crate) fn is_near(addr: IpAddr, networks: &[LocalNetwork]) -> bool {
    let link_local = match addr.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    link_local || networks.iter().any(|network| network.contains(addr))
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
    use std::net::{Ipv4Addr, Ipv6Addr};

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
        assert!(!everything.contains(Ipv6Addr::LOCALHOST));
        assert!(everything.contains(Ipv4Addr::LOCALHOST.to_ipv6_mapped()));
        let v6 = LocalNetwork::new("2001:db8:1::5".parse::<Ipv6Addr>().unwrap(), 64);
        assert!(v6.contains("2001:db8:1::9".parse::<Ipv6Addr>().unwrap()));
        assert!(!v6.contains("2001:db8:2::5".parse::<Ipv6Addr>().unwrap()));
        assert!(!v6.contains(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn what_others_have_is_no_address_of_this_device() {
        let own = OwnAddresses::look();
        assert!(own.contains(Ipv4Addr::LOCALHOST.into()));
        assert!(own.contains(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()));
        // For documents, and nobody's; and one that means nothing without the name of an interface.
        assert!(!own.contains(Ipv4Addr::new(192, 0, 2, 1).into()));
        assert!(!own.contains("fe80::dead:beef".parse().unwrap()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_address_that_is_not_listed_can_be_one_of_this_device() {
        assert!(OwnAddresses::look().contains(Ipv4Addr::new(127, 1, 2, 3).into()));
    }

    #[test]
    fn this_device_is_on_its_loopback_network() {
        let networks = local_networks().unwrap();
        assert!(networks.iter().any(|n| n.contains(Ipv4Addr::LOCALHOST)));
    }
}
