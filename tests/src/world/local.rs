//! Processes of one device: nodes that are attached to one that hosts its bus, and talk over sockets of their own.
//!
//! All of them have the same device id; what tells them apart is [`Device::party`]. A service id stands for one service of
//! them all.

use std::{path::PathBuf, sync::Arc};

use softbus::{DeviceId, Node, async_trait};
use tempfile::TempDir;

use super::{
    Device, World,
    loopback::LOCAL,
    node::{NodeDevice, Vanish},
};

/// Processes of a device, each a node of this process on a thread of its own.
#[derive(Debug)]
pub struct LocalWorld {
    /// Lives as long as the world, and is none of its devices unless it is asked for.
    host: Arc<NodeDevice>,
    path: PathBuf,
    /// Which of the devices, by place, is the host itself.
    hosting: Option<usize>,
    devices: usize,
    _directory: TempDir,
}

impl Default for LocalWorld {
    fn default() -> Self {
        Self::new()
    }
}

impl LocalWorld {
    /// A device whose host has nothing but the bus: all that scenarios get are processes that attach.
    ///
    /// # Panics
    /// When there is no place for temporary files, or no host.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is a place for temporary files");
        let path = directory.path().join("bus").join("bus.sock");
        let builder = Node::builder()
            .identity_dir(directory.path().join("identity"))
            .listen(LOCAL)
            .host_local(&path);
        let host = NodeDevice::start(builder, Vanish::Crash).expect("a host starts");
        Self {
            host: Arc::new(host),
            path,
            hosting: None,
            devices: 0,
            _directory: directory,
        }
    }

    /// A device whose host is the second one that a scenario gets: that with the services.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn with_services_of_the_host() -> Self {
        Self {
            hosting: Some(1),
            ..Self::new()
        }
    }

    fn attach(&self) -> Arc<NodeDevice> {
        let builder = Node::builder().attach(&self.path);
        Arc::new(NodeDevice::start(builder, Vanish::Crash).expect("a process attaches"))
    }
}

#[async_trait(?Send)]
impl World for LocalWorld {
    async fn device(&mut self) -> Arc<dyn Device> {
        self.devices += 1;
        if self.hosting == Some(self.devices - 1) {
            return Arc::clone(&self.host) as _;
        }
        self.attach()
    }

    /// Another process: nothing of the one before is left.
    async fn restart(&mut self, _: &Arc<dyn Device>) -> Arc<dyn Device> {
        self.attach()
    }

    fn distrust(&self, _: &DeviceId, _: &DeviceId) {
        panic!("a device trusts itself");
    }

    fn is_one_device(&self) -> bool {
        true
    }
}
