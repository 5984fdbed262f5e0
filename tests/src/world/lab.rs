//! Nodes in network namespaces that find each other by mDNS.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use softbus::{
    DeviceId, Identity, Interfaces, Node, NodeBuilder, TrustStore, async_trait,
    transport::Transports,
};
use tempfile::TempDir;

use super::{
    Device, World,
    faults::{
        Cuts, Delays, Flaps, Loses, Moves, Multicasts, Mutes, Names, Narrows, Network, Outages,
        Sleeps, Strangers, TwoNetworks,
    },
    node::{NodeDevice, Trusting, Vanish},
};
use crate::{
    netns::Lab,
    strangers::{Flood, PAUSE},
};

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
    ports: Vec<u16>,
    /// No multicast gets through.
    silent: bool,
    /// Places without power.
    off: BTreeSet<usize>,
    moves: u8,
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
            ports: Vec::new(),
            silent: false,
            off: BTreeSet::new(),
            moves: 0,
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
        self.ports.push(port(&device));
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

    /// The place of a device, from 1.
    fn place(&self, id: &DeviceId) -> usize {
        let index = self.ids.iter().position(|known| known == id);
        index.expect("it was started here before") + 1
    }

    fn running(&self, id: &DeviceId) -> Option<Arc<NodeDevice>> {
        self.members[self.place(id) - 1].upgrade()
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
        let place = self.place(&device.id());
        // One that was cut off is still running, and has the identity.
        if let Some(running) = self.running(&device.id()) {
            running.crash();
        }
        let back = match self.off.remove(&place) {
            true => self.lab.power_on(place),
            false => self.lab.heal(place),
        };
        back.expect("the lab can connect a device");
        // Zero is any that is free.
        let wanted = if self.silent {
            self.ports[place - 1]
        } else {
            0
        };
        let device = self.start(place, |builder| builder.port(wanted));
        self.members[place - 1] = Arc::downgrade(&device);
        self.ports[place - 1] = port(&device);
        device
    }

    fn distrust(&self, device: &DeviceId, other: &DeviceId) {
        self.trusting.forget(device, other);
    }
}

/// Where a device listens.
fn port(device: &NodeDevice) -> u16 {
    let address = device.node().local_addr();
    address.expect("it has a network").port()
}

const WORKS: &str = "the lab does what it is told";

#[async_trait(?Send)]
impl Cuts for LabWorld {
    async fn cut(&mut self, device: &DeviceId) {
        self.lab.cut(self.place(device)).expect(WORKS);
    }

    async fn heal(&mut self, device: &DeviceId) {
        self.lab.heal(self.place(device)).expect(WORKS);
    }
}

#[async_trait(?Send)]
impl Mutes for LabWorld {
    async fn mute(&mut self, device: &DeviceId, muted: bool) {
        self.lab.mute(self.place(device), muted).expect(WORKS);
    }
}

#[async_trait(?Send)]
impl Loses for LabWorld {
    async fn lose(&mut self, percent: u8) {
        self.lab.drop_percent(percent).expect(WORKS);
    }
}

#[async_trait(?Send)]
impl Narrows for LabWorld {
    async fn narrow(&mut self, bytes_per_second: Option<u32>) {
        let mut places = 1..=self.lab.len();
        let narrowed = places.try_for_each(|place| self.lab.bandwidth(place, bytes_per_second));
        narrowed.expect(WORKS);
    }
}

#[async_trait(?Send)]
impl Delays for LabWorld {
    async fn delay(&mut self, by: Duration) {
        // What one sends another goes over the links of both.
        let mut places = 1..=self.lab.len();
        let delayed = places.try_for_each(|place| self.lab.delay(place, by / 2));
        delayed.expect(WORKS);
    }
}

#[async_trait(?Send)]
impl Moves for LabWorld {
    async fn change_address(&mut self, device: &DeviceId) {
        self.moves += 1;
        let address = Ipv4Addr::new(10, 77, 0, 100 + self.moves);
        let changed = self.lab.change_address(self.place(device), address);
        changed.expect(WORKS);
    }
}

#[async_trait(?Send)]
impl Sleeps for LabWorld {
    async fn suspend(&mut self, device: &DeviceId) {
        let device = self.running(device);
        device.expect("the device is there").suspend();
    }

    async fn resume(&mut self, device: &DeviceId) {
        let device = self.running(device);
        device.expect("the device is there").resume();
    }
}

#[async_trait(?Send)]
impl Outages for LabWorld {
    async fn power_off(&mut self, device: &Arc<dyn Device>) {
        let place = self.place(&device.id());
        self.lab.power_off(place).expect(WORKS);
        self.off.insert(place);
        if let Some(running) = self.running(&device.id()) {
            running.crash();
        }
    }
}

/// At the last place of the lab, which has to be free.
#[async_trait(?Send)]
impl Strangers for LabWorld {
    async fn stranger(&mut self) -> Arc<dyn Device> {
        let place = self.lab.len();
        let trust = TrustStore::in_memory();
        for id in &self.ids {
            trust
                .trust(*id, "other")
                .expect("a store in memory takes a few devices");
        }
        let builder = Node::builder()
            .identity(Identity::generate().expect("there is randomness"))
            .trust(trust)
            .transports(self.transports)
            .mdns(Interfaces::All);
        let start = || NodeDevice::start(builder, Vanish::Crash);
        Arc::new(self.lab.within(place, start).expect("a node starts"))
    }

    async fn flood(&mut self, device: &DeviceId) -> Flood {
        let (from, to) = (self.lab.len(), self.place(device));
        let noise_to = (self.lab.address(to), self.ports[to - 1]);
        let (address, by) = (self.lab.address(from), self.transports);
        let start = || Flood::start(address, noise_to, by, true, PAUSE);
        self.lab.within(from, start).expect("there are sockets")
    }
}

#[async_trait(?Send)]
impl Names for LabWorld {
    async fn namesake(&mut self) -> Arc<dyn Device> {
        self.node_with(|builder| builder.name("kitchen"))
    }

    fn heard_by(&self, device: &DeviceId) -> Option<Vec<(DeviceId, String)>> {
        let devices = self.running(device)?.node().devices().into_iter();
        Some(devices.filter_map(|it| Some((it.id, it.name?))).collect())
    }
}

#[async_trait(?Send)]
impl Flaps for LabWorld {
    async fn interface(&mut self, device: &DeviceId, up: bool) {
        let place = self.place(device);
        let changed = match up {
            true => self.lab.link_up(place),
            false => self.lab.link_down(place),
        };
        changed.expect(WORKS);
    }
}

#[async_trait(?Send)]
impl TwoNetworks for LabWorld {
    async fn add_second_network(&mut self) {
        self.lab.add_second_network().expect(WORKS);
    }

    async fn cut_on(&mut self, network: Network, device: &DeviceId, cut: bool) {
        let place = self.place(device);
        let changed = match cut {
            true => self.lab.cut_on(network, place),
            false => self.lab.heal_on(network, place),
        };
        changed.expect(WORKS);
    }
}

#[async_trait(?Send)]
impl Multicasts for LabWorld {
    async fn multicast(&mut self, gets_through: bool) {
        self.silent = !gets_through;
        self.lab.block_multicast(self.silent).expect(WORKS);
    }
}
