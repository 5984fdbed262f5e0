//! Nodes on 127.0.0.1 that are told where the others are: real QUIC or TCP, no multicast.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Weak},
};

use softbus::{
    DeviceId, Identity, Node, NodeBuilder, TrustStore, async_trait,
    discovery::{Source, StaticPeers},
    transport::Transports,
};
use tempfile::TempDir;

use super::{
    Device, World,
    node::{NodeDevice, Trusting, Vanish},
    relayed::RelayedWorld,
};
use crate::relay::Relays;

/// Any free port.
pub const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Devices that are nodes of this process.
#[derive(Debug)]
pub struct LoopbackWorld {
    directory: TempDir,
    trusting: Trusting,
    transports: Transports,
    members: Vec<Member>,
    /// Through which they find each other, where there is something to be done to their network.
    pub(super) relays: Option<Relays>,
}

/// What outlives a restart of a device.
#[derive(Debug)]
struct Member {
    id: DeviceId,
    directory: PathBuf,
    address: SocketAddr,
    /// Where it is told that the others are.
    list: StaticPeers,
    running: Weak<NodeDevice>,
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
            relays: None,
        }
    }

    /// The same with a network between the devices to which something can be done; before there are any. What it loses is
    /// decided by this seed, and by when it is sent.
    ///
    /// # Panics
    /// When there is no thread for that.
    #[must_use]
    pub fn with_relays(mut self, seed: u64) -> RelayedWorld {
        self.relays = Some(Relays::new(seed).expect("there is room for a thread"));
        RelayedWorld { devices: self }
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
    pub fn trust_of(&self, id: &DeviceId) -> &TrustStore {
        self.trusting.of(id).expect("it was started here before")
    }

    /// A device at this address whom none of the others trusts, and who trusts them and is told where they are.
    ///
    /// # Panics
    /// When it does not start.
    pub(super) fn stranger(&self, at: Ipv4Addr) -> Arc<NodeDevice> {
        let trust = TrustStore::in_memory();
        let mut builder = Node::builder();
        for member in &self.members {
            let trusted = trust.trust(member.id, "other");
            trusted.expect("a store in memory takes a few devices");
            builder = builder.static_peer(member.id, member.address);
        }
        let builder = builder
            .identity(Identity::generate().expect("there is randomness"))
            .trust(trust)
            .listen((at, 0).into())
            .transports(self.transports);
        Arc::new(NodeDevice::start(builder, Vanish::Crash).expect("a node starts"))
    }

    /// What its devices talk by.
    pub(super) const fn transports(&self) -> Transports {
        self.transports
    }

    /// Where a device listens, whatever others are told.
    pub(super) fn address(&self, id: &DeviceId) -> SocketAddr {
        let member = self.members.iter().find(|member| member.id == *id);
        member.expect("it was started here").address
    }

    fn start(
        &mut self,
        directory: PathBuf,
        with: impl FnOnce(NodeBuilder) -> NodeBuilder,
    ) -> Arc<NodeDevice> {
        let identity = Identity::open(&directory).expect("the directory is ours");
        let id = *identity.device_id();
        if let Some(relays) = &mut self.relays {
            relays.add(id).expect("there are sockets");
        }
        let list = StaticPeers::new(Source::STATIC, self.found_by(&id)).expect("a short list");
        let builder = Node::builder()
            .identity(identity)
            .trust(self.trusting.member(id))
            .listen(LOCAL)
            .transports(self.transports)
            .discovery(Box::new(list.clone()));
        let device = NodeDevice::start(with(builder), Vanish::Crash).expect("a node starts");
        let device = Arc::new(device);
        let address = device.node().local_addr().expect("it has a network");
        if let Some(relays) = &mut self.relays {
            relays.set_address(id, address);
        }
        self.members.push(Member {
            id,
            directory,
            address,
            list,
            running: Arc::downgrade(&device),
        });
        self.tell_addresses();
        device
    }

    /// Tells everybody where the others are.
    pub(super) fn tell_addresses(&self) {
        for member in &self.members {
            // The list of a device that is gone is closed, and nobody looks at it.
            let _ = member.list.replace(self.found_by(&member.id));
        }
    }

    /// A device that is there.
    pub(super) fn running(&self, id: &DeviceId) -> Arc<NodeDevice> {
        let member = self.members.iter().find(|member| member.id == *id);
        let running = member.and_then(|member| member.running.upgrade());
        running.expect("it was started here, and is held")
    }

    /// Where a device finds the others.
    fn found_by(&self, id: &DeviceId) -> Vec<(DeviceId, SocketAddr)> {
        let others = self.members.iter().filter(|member| member.id != *id);
        match &self.relays {
            Some(relays) => relays.found_by(id),
            None => others.map(|other| (other.id, other.address)).collect(),
        }
    }
}
