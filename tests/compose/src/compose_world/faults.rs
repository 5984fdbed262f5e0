//! What happens to containers, and to the network between them.

use std::sync::Arc;

use softbus::{DeviceId, async_trait};
use testkit::world::{
    Device,
    faults::{Cuts, Loses, Moves, Mutes, Narrows, Outages, Sleeps},
};
use tokio::task::spawn_blocking;

use super::ComposeWorld;
use crate::{ComposeError, ground::Ground, weather::Weather};

impl ComposeWorld {
    /// Has Docker or the kernel do something, which takes a while.
    async fn ask(&self, what: impl FnOnce(&Ground) -> Result<(), ComposeError> + Send + 'static) {
        let ground = Arc::clone(&self.ground);
        let done = spawn_blocking(move || what(&ground)).await;
        done.expect("it does not panic")
            .expect("containers do as they are told");
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
