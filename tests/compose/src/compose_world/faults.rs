//! What happens to containers, and to the network between them.

use std::{sync::Arc, time::Duration};

use softbus::{DeviceId, async_trait};
use testkit::{
    strangers::Flood,
    world::{
        Device,
        faults::{
            Clocks, Cuts, Delays, Flaps, Loses, Moves, Multicasts, Mutes, Names, Narrows, Network,
            Outages, Sleeps, Strangers, TwoNetworks,
        },
    },
};
use tokio::task::spawn_blocking;

use super::{ComposeWorld, process};
use crate::{ComposeError, ground::Ground, weather::Weather};

impl ComposeWorld {
    /// Has Docker or the kernel do something, which takes a while.
    async fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Ground) -> Result<T, ComposeError> + Send + 'static,
    ) -> T {
        let ground = Arc::clone(&self.ground);
        let done = spawn_blocking(move || what(&ground)).await;
        done.expect("it does not panic")
            .expect("containers do as they are told")
    }

    async fn weather(&self, change: impl FnOnce(&mut Weather) + Send + 'static) {
        self.ask(move |ground| ground.change(change)).await;
    }

    fn place(&self, device: &DeviceId) -> usize {
        self.ground.place_of(device)
    }
}

#[async_trait(?Send)]
impl Cuts for ComposeWorld {
    async fn cut(&mut self, device: &DeviceId) {
        let place = self.place(device);
        self.weather(move |weather| {
            weather.deaf.insert(place);
            weather.unheard.insert(place);
        })
        .await;
    }

    async fn heal(&mut self, device: &DeviceId) {
        let place = self.place(device);
        self.weather(move |weather| {
            weather.deaf.remove(&place);
            weather.unheard.remove(&place);
        })
        .await;
    }
}

#[async_trait(?Send)]
impl Mutes for ComposeWorld {
    async fn mute(&mut self, device: &DeviceId, muted: bool) {
        let place = self.place(device);
        self.weather(move |weather| {
            match muted {
                true => weather.unheard.insert(place),
                false => weather.unheard.remove(&place),
            };
        })
        .await;
    }
}

#[async_trait(?Send)]
impl Loses for ComposeWorld {
    async fn lose(&mut self, percent: u8) {
        self.weather(move |weather| weather.loss = percent).await;
    }
}

#[async_trait(?Send)]
impl Narrows for ComposeWorld {
    async fn narrow(&mut self, bytes_per_second: Option<u32>) {
        self.weather(move |weather| weather.bytes_per_second = bytes_per_second)
            .await;
    }
}

#[async_trait(?Send)]
impl Moves for ComposeWorld {
    async fn change_address(&mut self, device: &DeviceId) {
        let place = self.place(device);
        self.ask(move |ground| ground.move_elsewhere(place)).await;
    }
}

/// By `docker pause`. The process that is attached to its bus goes on, and is alone meanwhile.
#[async_trait(?Send)]
impl Sleeps for ComposeWorld {
    async fn suspend(&mut self, device: &DeviceId) {
        let place = self.place(device);
        self.ask(move |ground| ground.pause(place)).await;
    }

    async fn resume(&mut self, device: &DeviceId) {
        let place = self.place(device);
        self.ask(move |ground| ground.unpause(place)).await;
    }
}

#[async_trait(?Send)]
impl Outages for ComposeWorld {
    async fn power_off(&mut self, device: &Arc<dyn Device>) {
        // Nothing that its host says of the end of its connections gets out.
        self.cut(&device.id()).await;
        device.vanish().await;
    }
}

/// By relays of our own between the containers and their network, on any kernel.
#[async_trait(?Send)]
impl Delays for ComposeWorld {
    async fn delay(&mut self, by: Duration) {
        self.ask(move |ground| ground.delay(by)).await;
    }
}

/// A fourth container.
#[async_trait(?Send)]
impl Strangers for ComposeWorld {
    async fn stranger(&mut self) -> Arc<dyn Device> {
        let attached = self
            .ask(|ground| Ok(process(ground.start_stranger()?)))
            .await;
        Arc::new(attached.expect("a process attaches to the bus of the stranger"))
    }

    async fn flood(&mut self, device: &DeviceId) -> Flood {
        assert_eq!(self.place(device), 1, "where the others are is not known");
        self.ask(Ground::flood).await
    }
}

/// All devices here are called alike.
#[async_trait(?Send)]
impl Names for ComposeWorld {
    async fn namesake(&mut self) -> Arc<dyn Device> {
        testkit::world::World::device(self).await
    }

    fn heard_by(&self, device: &DeviceId) -> Option<Vec<(DeviceId, String)>> {
        let device = self.devices[self.place(device)].upgrade()?;
        let devices = device.node().devices().into_iter();
        Some(devices.filter_map(|it| Some((it.id, it.name?))).collect())
    }
}

/// By `docker network disconnect` and `connect`: the interface is gone, and another one comes.
#[async_trait(?Send)]
impl Flaps for ComposeWorld {
    async fn interface(&mut self, device: &DeviceId, up: bool) {
        let place = self.place(device);
        self.ask(move |ground| ground.plug(place, up)).await;
    }
}

#[async_trait(?Send)]
impl TwoNetworks for ComposeWorld {
    async fn add_second_network(&mut self) {
        self.ask(Ground::add_second_network).await;
    }

    async fn cut_on(&mut self, network: Network, device: &DeviceId, cut: bool) {
        let place = self.place(device);
        self.ask(move |ground| ground.cut_on(network, place, cut))
            .await;
    }
}

#[async_trait(?Send)]
impl Multicasts for ComposeWorld {
    async fn multicast(&mut self, gets_through: bool) {
        self.weather(move |weather| weather.without_multicast = !gets_through)
            .await;
    }
}

#[async_trait(?Send)]
impl Clocks for ComposeWorld {
    async fn set_ahead(&mut self, seconds: i64) {
        self.ask(move |ground| ground.set_clock(seconds)).await;
    }
}
