//! Devices in containers as a [`World`]: the scenarios of all worlds run on them.
//!
//! A device is a container with `softbus run`; what a scenario does on it is done by a node of this process that is attached to its bus.
//! So a call goes through a socket into the container, over the network of the containers, and through a socket out of the other one.
//! To other devices all processes of a device are that device.

#![expect(clippy::expect_used, reason = "a scenario fails its test")]

mod device;
mod faults;
mod rest;

use std::{
    path::Path,
    sync::{Arc, Weak},
};

use softbus::{DeviceId, Node, async_trait};
use testkit::{
    wait::{wait_for, wait_until_async},
    world::{
        Device, World,
        node::{NodeDevice, Vanish},
    },
};
use tokio::task::spawn_blocking;

use crate::{
    ComposeError,
    ground::{Ground, SOON},
};
use device::ComposeDevice;

/// The devices of one scenario, on a ground that many scenarios share.
#[derive(Debug)]
pub struct ComposeWorld {
    ground: Arc<Ground>,
    /// By place.
    devices: Vec<Weak<ComposeDevice>>,
}

impl ComposeWorld {
    /// On a ground with a history, once that is over: all devices run, also those that a scenario does not ask for, and have the
    /// sessions with each other that they will keep.
    ///
    /// # Errors
    /// A container cannot be started, or the devices do not find each other.
    pub fn rested(ground: &Arc<Ground>) -> Result<Self, ComposeError> {
        rest::rest(ground)?;
        Ok(Self::new(ground))
    }

    /// On a ground where nothing runs yet: there are no devices but those that a scenario asks for.
    ///
    /// # Errors
    /// A container cannot be stopped.
    pub fn fresh(ground: &Arc<Ground>) -> Result<Self, ComposeError> {
        for place in 0..ground.len() {
            ground.kill(place)?;
        }
        Ok(Self::new(ground))
    }

    fn new(ground: &Arc<Ground>) -> Self {
        Self {
            ground: Arc::clone(ground),
            devices: Vec::new(),
        }
    }

    /// A process of the device of a place, which is started if it does not run.
    async fn attach(&self, place: usize) -> Arc<ComposeDevice> {
        let ground = Arc::clone(&self.ground);
        let attached = spawn_blocking(move || {
            ground.start(place).expect("a container starts");
            process(ground.socket(place)).expect("a process attaches to the bus in the container")
        });
        let node = attached.await.expect("the container and its bus are there");
        // What another scenario had there goes with its process, of which the host hears when it can.
        let gone = async || {
            node.list_of(&node.id())
                .await
                .is_ok_and(|all| all.is_empty())
        };
        let gone = wait_until_async(SOON, gone).await;
        assert!(gone, "services of an earlier scenario are left");
        Arc::new(ComposeDevice::new(&self.ground, place, node))
    }

    /// As [`World::restart`], of the device of a place.
    async fn start_again(&mut self, place: usize) -> Arc<ComposeDevice> {
        if let Some(before) = self.devices[place].upgrade() {
            before.end().await;
        }
        let heard = self.ground.change(|weather| {
            weather.unheard.remove(&place);
            weather.deaf.remove(&place);
        });
        heard.expect("the network of a container can be changed");
        let device = self.attach(place).await;
        self.devices[place] = Arc::downgrade(&device);
        device
    }
}

#[async_trait(?Send)]
impl World for ComposeWorld {
    async fn device(&mut self) -> Arc<dyn Device> {
        let device = self.attach(self.devices.len()).await;
        self.devices.push(Arc::downgrade(&device));
        device
    }

    async fn restart(&mut self, device: &Arc<dyn Device>) -> Arc<dyn Device> {
        self.start_again(self.ground.place_of(&device.id())).await
    }

    fn distrust(&self, device: &DeviceId, other: &DeviceId) {
        let (place, other_place) = (self.ground.place_of(device), self.ground.place_of(other));
        let changed = self.ground.distrust(place, other_place);
        changed.expect("a trust store can be changed");
        let device = self.devices[place].upgrade();
        let device = device.expect("a device that a scenario holds");
        let known = || (!device.trusts(other)).then_some(());
        wait_for(SOON, known).expect("the device reads whom it trusts");
    }

    /// Of a process with its host, of the two hosts, and of the other one with its process.
    fn sessions_of_a_call(&self) -> usize {
        3
    }
}

/// A process of the device whose bus is at this socket, as soon as it is; `None` if it is not within [`SOON`].
fn process(socket: &Path) -> Option<NodeDevice> {
    wait_for(SOON, || {
        let builder = Node::builder().attach(socket);
        NodeDevice::start(builder, Vanish::Crash).ok()
    })
}
