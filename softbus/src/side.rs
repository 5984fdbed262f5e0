//! On which side of a bus a node is: on the network itself, or attached to the process that is.

use std::sync::Arc;

use rpc::Bus;
use tokio::{sync::watch, task::JoinHandle};

#[cfg(target_os = "linux")]
use crate::local::Attachment;
use crate::{device::Known, peers::Peers, service_watch::Followers};

/// What stands between a node and the others.
#[derive(Clone, Debug)]
pub(crate) enum Side {
    /// The network: the node is a device, or hosts the bus of one.
    Network(Arc<Peers>),
    /// The process that hosts the bus of this device.
    #[cfg(target_os = "linux")]
    Host(Arc<Attachment>),
}

impl Side {
    pub(crate) fn bus(&self) -> &Arc<Bus> {
        match self {
            Self::Network(peers) => &peers.bus,
            #[cfg(target_os = "linux")]
            Self::Host(attachment) => &attachment.bus,
        }
    }

    /// The devices there are or were, by id.
    pub(crate) fn known(&self) -> Vec<Known> {
        match self {
            Self::Network(peers) => peers.known(),
            #[cfg(target_os = "linux")]
            Self::Host(attachment) => attachment.known(),
        }
    }

    /// Told when something changes there.
    pub(crate) fn devices_changed(&self) -> watch::Receiver<u64> {
        match self {
            Self::Network(peers) => peers.changed(),
            #[cfg(target_os = "linux")]
            Self::Host(attachment) => attachment.devices_changed(),
        }
    }

    /// What is followed of other processes and devices.
    pub(crate) fn followers(&self) -> &Followers {
        match self {
            Self::Network(peers) => &peers.followers,
            #[cfg(target_os = "linux")]
            Self::Host(attachment) => &attachment.followers,
        }
    }

    /// Runs something as long as the node's runtime does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        match self {
            Self::Network(peers) => peers.spawn(task),
            #[cfg(target_os = "linux")]
            Self::Host(attachment) => attachment.spawn(task),
        }
    }
}
