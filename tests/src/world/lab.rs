//! Nodes in network namespaces that find each other by mDNS.

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
};

use softbus::{
    DeviceId, Identity, Interfaces, Node, NodeBuilder, async_trait, transport::Transports,
};
use tempfile::TempDir;

use super::{
    Device, World,
    node::{NodeDevice, Trusting, Vanish},
};
use crate::netns::Lab;

/// Devices of a lab.
#[derive(Debug)]
pub struct LabWorld {
    lab: Arc<Lab>,
    directory: TempDir,
    trusting: Trusting,
    transports: Transports,
    /// By place, from 1.
    members: Vec<Weak<NodeDevice>>,
    ids: Vec<DeviceId>,
}

impl LabWorld {
    /// A world in a lab; `None` after a loud skip where there can be no lab.
    ///
    /// # Panics
    /// When there is no place for temporary files.
    #[track_caller]
    pub fn or_skip(devices: usize) -> Option<Self> {
        let lab = Lab::or_skip(devices)?;
        Some(Self {
            lab: Arc::new(lab),
            directory: tempfile::tempdir().expect("there is a place for temporary files"),
            trusting: Trusting::default(),
            transports: Transports::default(),
            members: Vec::new(),
            ids: Vec::new(),
        })
    }

    /// A world whose devices talk by these only.
    #[must_use]
    pub fn over(mut self, transports: Transports) -> Self {
        self.transports = transports;
        self
    }

    /// The lab, to do something to its network.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// As [`World::device`], when more than a device is wanted of it.
    pub fn node(&mut self) -> Arc<NodeDevice> {
        self.node_with(|builder| builder)
    }

    /// As [`node`](Self::node), made with something else than usual.
    pub fn node_with(&mut self, with: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Arc<NodeDevice> {
        let place = self.members.len() + 1;
        let device = self.start(place, with);
        self.members.push(Arc::downgrade(&device));
        self.ids.push(device.id());
        device
    }

    /// Starts the device of a place.
    fn start(
        &mut self,
        place: usize,
        with: impl FnOnce(NodeBuilder) -> NodeBuilder,
    ) -> Arc<NodeDevice> {
        let identity = Identity::open(self.home(place)).expect("the directory is ours");
        let builder = Node::builder()
            .trust(self.trusting.member(*identity.device_id()))
            .identity(identity)
            .transports(self.transports)
            .mdns(Interfaces::All);
        let builder = with(builder);
        let lab = Arc::clone(&self.lab);
        let cut = move || lab.cut(place).expect("the lab can cut a device off");
        let vanish = Vanish::Cut(Box::new(cut));
        let device = self
            .lab
            .within(place, || NodeDevice::start(builder, vanish));
        Arc::new(device.expect("a node starts"))
    }

    fn home(&self, place: usize) -> PathBuf {
        self.directory.path().join(place.to_string())
    }
}

#[async_trait(?Send)]
impl World for LabWorld {
    async fn device(&mut self) -> Arc<dyn Device> {
        self.node()
    }

    async fn restart(&mut self, device: &Arc<dyn Device>) -> Arc<dyn Device> {
        let index = self.ids.iter().position(|id| *id == device.id());
        let index = index.expect("it was started here before");
        // One that was cut off is still running, and has the identity.
        if let Some(running) = self.members[index].upgrade() {
            running.crash();
        }
        let place = index + 1;
        self.lab.heal(place).expect("the lab can heal a device");
        let device = self.start(place, |builder| builder);
        self.members[index] = Arc::downgrade(&device);
        device
    }

    fn distrust(&self, device: &DeviceId, other: &DeviceId) {
        self.trusting.forget(device, other);
    }
}
