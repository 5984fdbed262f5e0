//! What happens to devices and to the network between them, on whatever carries it: what scenarios of faults are written against.
//!
//! One trait for each kind of fault. A scenario names those that it needs, `world: &mut (impl Cuts + Loses)`, so a world that cannot
//! do one of them cannot run it: that does not compile. The list of a trait's scenarios is run by every world that has the trait;
//! where a world has none of it, its own documentation says why.
//!
//! A device is told nothing of what is done to it. When a function returns, it is so.

use std::{sync::Arc, time::Duration};

use softbus::{DeviceId, async_trait};

use super::{Device, World};
pub use crate::network::Network;
#[cfg(unix)]
use crate::strangers::Flood;

/// The network takes devices away and gives them back.
#[async_trait(?Send)]
pub trait Cuts: World {
    /// Nothing gets to a device or from it any more, and nobody is told: packets vanish. Twice is once.
    async fn cut(&mut self, device: &DeviceId);

    /// Ends that. What is not cut stays as it is.
    async fn heal(&mut self, device: &DeviceId);
}

/// Some are not heard.
#[async_trait(?Send)]
pub trait Mutes: World {
    /// Nothing that a device sends arrives any more, and it still hears the others; `false` ends that.
    async fn mute(&mut self, device: &DeviceId, muted: bool);
}

/// Packets get lost.
#[async_trait(?Send)]
pub trait Loses: World {
    /// Loses so much of all that is sent, by everybody in every direction; 0 ends that.
    async fn lose(&mut self, percent: u8);
}

/// What is sent takes its time.
#[async_trait(?Send)]
pub trait Delays: World {
    /// Everything takes so much longer, in each direction; zero ends that.
    async fn delay(&mut self, by: Duration);
}

/// The network is slow.
#[async_trait(?Send)]
pub trait Narrows: World {
    /// So many bytes in a second get to each device at most, from each of the others or from all of them; `None` ends that. What waits is bounded: beyond that
    /// packets are lost, or who sends has to wait.
    async fn narrow(&mut self, bytes_per_second: Option<u32>);
}

/// Devices go from one network to the next.
#[async_trait(?Send)]
pub trait Moves: World {
    /// A device has another address than before, from one moment to the next.
    async fn change_address(&mut self, device: &DeviceId);
}

/// Devices sleep.
#[async_trait(?Send)]
pub trait Sleeps: World {
    /// Nothing runs on a device any more: it hears nothing, says nothing and does not know that time passes. Its host is there, and
    /// takes what is sent to it.
    async fn suspend(&mut self, device: &DeviceId);

    /// Lets it go on as if nothing had been.
    async fn resume(&mut self, device: &DeviceId);
}

/// Devices lose power.
#[async_trait(?Send)]
pub trait Outages: World {
    /// A device and its host are gone, and nobody is left who could say so. [`World::restart`] gives it power again.
    async fn power_off(&mut self, device: &Arc<dyn Device>);
}

/// There is somebody whom nobody trusts.
#[cfg(unix)]
#[async_trait(?Send)]
pub trait Strangers: World {
    /// A device whom no other one trusts, and who trusts them all.
    async fn stranger(&mut self) -> Arc<dyn Device>;

    /// From where that one is, noise is sent to a device until this is dropped, and where devices find each other by multicast it hears of many
    /// that there are not. After [`stranger`](Self::stranger).
    async fn flood(&mut self, device: &DeviceId) -> Flood;
}

/// Devices are called something.
#[async_trait(?Send)]
pub trait Names: World {
    /// As [`World::device`]; all of these are called alike.
    async fn namesake(&mut self) -> Arc<dyn Device>;

    /// What a device hears that others are called; `None` where nobody says so.
    fn heard_by(&self, device: &DeviceId) -> Option<Vec<(DeviceId, String)>>;
}

/// Interfaces go and come.
#[async_trait(?Send)]
pub trait Flaps: World {
    /// The interface of a device is gone, or down, which the device sees; `true` ends that.
    async fn interface(&mut self, device: &DeviceId, up: bool);
}

/// Devices are on two networks.
#[async_trait(?Send)]
pub trait TwoNetworks: World {
    /// All devices are on a second network as well.
    async fn add_second_network(&mut self);

    /// On one of both nothing gets to a device or from it any more, or does again, and nobody is told.
    async fn cut_on(&mut self, network: Network, device: &DeviceId, cut: bool);
}

/// Devices find each other by multicast.
#[async_trait(?Send)]
pub trait Multicasts: World {
    /// No multicast gets through any more, so that nobody is found of whom one does not know where he is; `true` ends that. Meanwhile a
    /// device that starts again is where it was before.
    async fn multicast(&mut self, gets_through: bool);
}

/// Wall clocks are set.
#[async_trait(?Send)]
pub trait Clocks: World {
    /// The wall clock of the second device of this world is so many seconds ahead of everybody else's from now on, also when it starts
    /// again.
    async fn set_ahead(&mut self, seconds: i64);
}
