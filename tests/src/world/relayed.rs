//! Nodes on 127.0.0.1 with a network of our own between them.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use softbus::{DeviceId, async_trait};

#[cfg(unix)]
use super::faults::Strangers;
use super::{
    Device, World,
    faults::{
        Cuts, Delays, Loses, Moves, Mutes, Names, Narrows, Network, Outages, Sleeps, TwoNetworks,
    },
    loopback::LoopbackWorld,
};
use crate::relay::Relays;
#[cfg(unix)]
use crate::strangers::{Flood, PAUSE};

/// A [`LoopbackWorld`] whose devices hear of each other through [`Relays`].
///
/// All of them have one interface, so none goes or comes; they are told of each other and find nobody by multicast; and they share the
/// wall clock of this process. All else that can be done to devices can be done here.
#[derive(Debug)]
pub struct RelayedWorld {
    pub(super) devices: LoopbackWorld,
}

impl RelayedWorld {
    fn relays(&mut self) -> &mut Relays {
        let relays = self.devices.relays.as_mut();
        relays.expect("they were made before this")
    }
}

#[async_trait(?Send)]
impl World for RelayedWorld {
    async fn device(&mut self) -> Arc<dyn Device> {
        self.devices.device().await
    }

    async fn restart(&mut self, device: &Arc<dyn Device>) -> Arc<dyn Device> {
        self.relays().cut(&device.id(), false);
        self.devices.restart(device).await
    }

    fn distrust(&self, device: &DeviceId, other: &DeviceId) {
        self.devices.distrust(device, other);
    }
}

#[async_trait(?Send)]
impl Cuts for RelayedWorld {
    async fn cut(&mut self, device: &DeviceId) {
        self.relays().cut(device, true);
    }

    async fn heal(&mut self, device: &DeviceId) {
        self.relays().cut(device, false);
    }
}

#[async_trait(?Send)]
impl Mutes for RelayedWorld {
    async fn mute(&mut self, device: &DeviceId, muted: bool) {
        self.relays().mute(device, muted);
    }
}

#[async_trait(?Send)]
impl Loses for RelayedWorld {
    async fn lose(&mut self, percent: u8) {
        self.relays().lose(percent);
    }
}

#[async_trait(?Send)]
impl Delays for RelayedWorld {
    async fn delay(&mut self, by: Duration) {
        self.relays().delay(by);
    }
}

#[async_trait(?Send)]
impl Narrows for RelayedWorld {
    async fn narrow(&mut self, bytes_per_second: Option<u32>) {
        self.relays().narrow(bytes_per_second);
    }
}

#[async_trait(?Send)]
impl Moves for RelayedWorld {
    async fn change_address(&mut self, device: &DeviceId) {
        let changed = self.relays().change_address(device);
        changed.expect("there are sockets");
        self.devices.tell_addresses();
    }
}

#[async_trait(?Send)]
impl Sleeps for RelayedWorld {
    async fn suspend(&mut self, device: &DeviceId) {
        self.devices.running(device).suspend();
    }

    async fn resume(&mut self, device: &DeviceId) {
        self.devices.running(device).resume();
    }
}

#[async_trait(?Send)]
impl Outages for RelayedWorld {
    /// First nobody hears of it, then its process ends.
    async fn power_off(&mut self, device: &Arc<dyn Device>) {
        self.relays().cut(&device.id(), true);
        self.devices.running(&device.id()).crash();
    }
}

/// What strangers cost is counted by where they come from.
#[cfg(unix)]
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// It knows where the devices are, and comes by no relay.
#[cfg(unix)]
#[async_trait(?Send)]
impl Strangers for RelayedWorld {
    async fn stranger(&mut self) -> Arc<dyn Device> {
        self.devices.stranger(STRANGER)
    }

    async fn flood(&mut self, device: &DeviceId) -> Flood {
        let at = self.devices.address(device);
        let IpAddr::V4(to) = at.ip() else {
            panic!("{at} is not on 127.0.0.1")
        };
        let (noise_to, by) = ((to, at.port()), self.devices.transports());
        let flood = Flood::start(STRANGER, noise_to, by, false, PAUSE);
        flood.expect("this machine has more than one address of its own")
    }
}

/// They are called alike, and nobody hears of that, because each is told only where the others are.
#[async_trait(?Send)]
impl Names for RelayedWorld {
    async fn namesake(&mut self) -> Arc<dyn Device> {
        self.devices.node_with(|builder| builder.name("kitchen"))
    }

    fn heard_by(&self, _: &DeviceId) -> Option<Vec<(DeviceId, String)>> {
        None
    }
}

/// Each finds each of the others at two addresses.
#[async_trait(?Send)]
impl TwoNetworks for RelayedWorld {
    async fn add_second_network(&mut self) {
        let added = self.relays().add_second_network();
        added.expect("there are sockets");
        self.devices.tell_addresses();
    }

    async fn cut_on(&mut self, network: Network, device: &DeviceId, cut: bool) {
        self.relays().cut_on(network, device, cut);
    }
}
