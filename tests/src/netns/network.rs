//! What a network of the lab consists of, and how its parts are called.

use std::net::Ipv4Addr;

pub use crate::network::Network;

impl Network {
    pub(super) const fn switch(self) -> &'static str {
        match self {
            Self::First => "br0",
            Self::Second => "br1",
        }
    }

    /// Of a device.
    pub(super) const fn interface(self) -> &'static str {
        match self {
            Self::First => "eth0",
            Self::Second => "eth1",
        }
    }

    /// Of the switch.
    pub(super) fn port(self, device: usize) -> String {
        match self {
            Self::First => format!("p{device}"),
            Self::Second => format!("q{device}"),
        }
    }

    pub(super) fn address(self, device: usize) -> Ipv4Addr {
        let last = u8::try_from(device).expect("a lab has at most 250 devices");
        Ipv4Addr::new(10, self.number(), 0, last)
    }

    /// Its address of IPv6 on the link is made of this.
    pub(super) fn hardware_address(self, device: usize) -> String {
        format!("02:00:0a:{:02x}:00:{device:02x}", self.number())
    }

    const fn number(self) -> u8 {
        match self {
            Self::First => 77,
            Self::Second => 78,
        }
    }
}
