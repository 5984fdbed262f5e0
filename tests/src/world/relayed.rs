//! Nodes on 127.0.0.1 with a network of our own between them.

use std::{sync::Arc, time::Duration};

use softbus::{DeviceId, async_trait};

use super::{
    Device, World,
    faults::{Cuts, Delays, Loses, Moves, Mutes, Narrows, Outages, Sleeps},
    loopback::LoopbackWorld,
};
use crate::relay::Relays;

/// A [`LoopbackWorld`] whose devices hear of each other through [`Relays`]: what can be done to devices can all be done here.
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
