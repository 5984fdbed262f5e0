//! Nodes on 127.0.0.1 that are told where the others are: real QUIC or TCP, no multicast.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use softbus::{
    DeviceId, Identity, Node, NodeBuilder, async_trait,
    discovery::{Source, StaticPeers},
    transport::Transports,
};
use tempfile::TempDir;

use super::{
    Device, World,
    node::{NodeDevice, Trusting, Vanish},
};

/// Any free port.
pub const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Devices that are nodes of this process.
#[derive(Debug)]
pub struct LoopbackWorld {
    directory: TempDir,
    trusting: Trusting,
    transports: Transports,
    members: Vec<Member>,
}

/// What outlives a restart of a device.
#[derive(Debug)]
struct Member {
    id: DeviceId,
    directory: PathBuf,
    address: SocketAddr,
    /// Where it is told that the others are.
    list: StaticPeers,
}

#[async_trait(?Send)]
impl World for LoopbackWorld {
    async fn device(&mut self) -> Arc<dyn Device> {
        self.node()
    }

    async fn restart(&mut self, device: &Arc<dyn Device>) -> Arc<dyn Device> {
        self.restart_node(&device.id())
    }

    fn distrust(&self, device: &DeviceId, other: &DeviceId) {
        self.trusting.forget(device, other);
    }
}

impl Default for LoopbackWorld {
    fn default() -> Self {
        Self::new()
    }
}

impl LoopbackWorld {
    /// A world without devices.
    ///
    /// # Panics
    /// When there is no place for temporary files.
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("there is a place for temporary files"),
            trusting: Trusting::default(),
            transports: Transports::default(),
            members: Vec::new(),
        }
    }

    /// A world whose devices talk by these only.
    #[must_use]
    pub fn over(mut self, transports: Transports) -> Self {
        self.transports = transports;
        self
    }

    /// As [`World::device`], when more than a device is wanted of it.
    pub fn node(&mut self) -> Arc<NodeDevice> {
        self.node_with(|builder| builder)
    }

    /// As [`node`](Self::node), made with something else than usual.
    pub fn node_with(&mut self, with: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Arc<NodeDevice> {
        let directory = self.directory.path().join(self.members.len().to_string());
        self.start(directory, with)
    }

    /// Starts a device that is gone again, at once.
    ///
    /// # Panics
    /// When there is no such device.
    pub fn restart_node(&mut self, id: &DeviceId) -> Arc<NodeDevice> {
        let index = self.members.iter().position(|member| member.id == *id);
        let member = self
            .members
            .swap_remove(index.expect("it was started here before"));
        self.start(member.directory, |builder| builder)
    }

    /// The trust store of a device.
    pub fn trust_of(&self, id: &DeviceId) -> &softbus::TrustStore {
        self.trusting.of(id).expect("it was started here before")
    }

    fn start(
        &mut self,
        directory: PathBuf,
        with: impl FnOnce(NodeBuilder) -> NodeBuilder,
    ) -> Arc<NodeDevice> {
        let identity = Identity::open(&directory).expect("the directory is ours");
        let id = *identity.device_id();
        let list = StaticPeers::new(Source::STATIC, self.addresses()).expect("a short list");
        let builder = Node::builder()
            .identity(identity)
            .trust(self.trusting.member(id))
            .listen(LOCAL)
            .transports(self.transports)
            .discovery(Box::new(list.clone()));
        let device = NodeDevice::start(with(builder), Vanish::Crash).expect("a node starts");
        self.members.push(Member {
            id,
            directory,
            address: device.node().local_addr().expect("it has a network"),
            list,
        });
        for member in &self.members {
            let others = self.addresses().filter(|(other, _)| *other != member.id);
            // The list of a device that is gone is closed, and nobody looks at it.
            let _ = member.list.replace(others);
        }
        Arc::new(device)
    }

    fn addresses(&self) -> impl Iterator<Item = (DeviceId, SocketAddr)> {
        self.members
            .iter()
            .map(|member| (member.id, member.address))
    }
}
