//! Buses of one process, joined by memory links.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use proto::BootId;
use softbus::{
    DeathReason, DeviceId, GetServiceError, RemoteObject, ServiceId, ServiceOptions, async_trait,
    rpc::{
        AddServiceError, Bus, BusConfig, LocalAbilityManager, MemoryLink, Neighbours, Peer,
        RemoveServiceError, limits,
        link::{BulkReceive, BulkSend, Lane, Link, LinkClosed, LinkError},
        opening::{self, Incoming, Remote, close_code},
        session::{Usage, passing_rules::Party},
    },
};
use softbus::{presence::DeviceEvents, service_watch::RemoteServiceWatch};
use tokio::sync::watch;

use super::{Device, World};

/// Devices that are buses.
#[derive(Debug, Default)]
pub struct MemoryWorld {
    network: Arc<Network>,
    devices: u8,
    starts: u64,
}

/// Who is there, and who has a session with whom.
#[derive(Debug, Default)]
struct Network {
    buses: Mutex<HashMap<DeviceId, Weak<MemoryDevice>>>,
    /// Held while a session is opened, so that two who want one get the same.
    opening: tokio::sync::Mutex<()>,
    /// Who trusts whom no longer.
    distrust: Mutex<HashSet<(DeviceId, DeviceId)>>,
    /// Whoever is introduced to an object waits before asking for it.
    held: watch::Sender<bool>,
}

#[derive(Debug)]
struct MemoryDevice {
    bus: Arc<Bus>,
    network: Arc<Network>,
    /// Both ends know of a session.
    peers: Mutex<HashMap<DeviceId, Peer>>,
    /// Nothing passes any more.
    cut: watch::Sender<bool>,
    /// A world's devices live as long as the tests hold one of them.
    me: Weak<Self>,
}

#[async_trait(?Send)]
impl World for MemoryWorld {
    async fn device(&mut self) -> Arc<dyn Device> {
        self.devices += 1;
        self.start(DeviceId::from_bytes([self.devices; 32]))
    }

    async fn restart(&mut self, device: &Arc<dyn Device>) -> Arc<dyn Device> {
        self.start(device.id())
    }

    fn distrust(&self, device: &DeviceId, other: &DeviceId) {
        lock(&self.network.distrust).insert((*device, *other));
        let device = lock(&self.network.buses)
            .get(device)
            .and_then(Weak::upgrade);
        let peer = device.and_then(|device| lock(&device.peers).remove(other));
        if let Some(peer) = peer {
            let (reason, code) = (DeathReason::AccessRevoked, close_code::REVOKED);
            peer.close(reason, code, "revoked");
        }
    }

    fn time_is_virtual(&self) -> bool {
        true
    }
}

impl MemoryWorld {
    /// The bus of a device that is there, to put something else at the other end of a link.
    pub fn bus_of(&self, id: &DeviceId) -> Option<Arc<Bus>> {
        let device = lock(&self.network.buses).get(id).and_then(Weak::upgrade)?;
        Some(Arc::clone(&device.bus))
    }

    /// A device that knows nothing of introductions, as those of an older version.
    pub fn older_device(&mut self) -> Arc<dyn Device> {
        self.devices += 1;
        self.make(DeviceId::from_bytes([self.devices; 32]))
    }

    /// From here on whoever is introduced to an object waits before asking for it, until told otherwise.
    pub fn hold_redemptions(&self, hold: bool) {
        self.network.held.send_replace(hold);
    }

    fn start(&mut self, id: DeviceId) -> Arc<MemoryDevice> {
        let device = self.make(id);
        let neighbours: Weak<MemoryDevice> = Arc::downgrade(&device);
        device.bus.set_neighbours(neighbours);
        device
    }

    fn make(&mut self, id: DeviceId) -> Arc<MemoryDevice> {
        self.starts += 1;
        let boot = BootId {
            epoch: self.starts,
            random: self.starts,
        };
        let party = Party {
            device: id,
            process: 0,
        };
        let device = Arc::new_cyclic(|me| MemoryDevice {
            bus: Bus::new(BusConfig::new(party, boot)),
            network: Arc::clone(&self.network),
            peers: Mutex::default(),
            cut: watch::Sender::new(false),
            me: me.clone(),
        });
        lock(&self.network.buses).insert(id, Arc::downgrade(&device));
        device
    }
}

impl MemoryDevice {
    /// The session with a device: the one there is, or a new one.
    async fn peer(&self, id: &DeviceId) -> Result<Peer, GetServiceError> {
        let _opening = self.network.opening.lock().await;
        if let Some(peer) = lock(&self.peers).get(id)
            && peer.end().is_none()
        {
            return Ok(peer.clone());
        }
        let distrusts = |one, other| lock(&self.network.distrust).contains(&(one, other));
        if distrusts(self.id(), *id) {
            return Err(GetServiceError::DeviceNotTrusted);
        }
        if distrusts(*id, self.id()) {
            return Err(GetServiceError::NotTrustedByDevice);
        }
        let gone = || GetServiceError::Unreachable("not found".to_owned());
        let there = lock(&self.network.buses).get(id).and_then(Weak::upgrade);
        let (there, here) = there.zip(self.me.upgrade()).ok_or_else(gone)?;
        if *here.cut.borrow() || *there.cut.borrow() {
            return Err(gone());
        }
        let (to_there, to_here) = MemoryLink::pair();
        let ends = || [here.cut.subscribe(), there.cut.subscribe()];
        let to_there = Arc::new(CuttableLink {
            link: to_there,
            cut: ends(),
        });
        let to_here = Arc::new(CuttableLink {
            link: to_here,
            cut: ends(),
        });
        let remote = |device: &Self| Remote::device(device.bus.party());
        let accept = async {
            let incoming = Incoming::accept(&there.bus, to_here, remote(&here)).await?;
            incoming.welcome(&there.bus).await
        };
        let (ours, theirs) = tokio::join!(
            opening::connect(&here.bus, to_there, remote(&there), 0),
            accept
        );
        let failed = |error: opening::OpenSessionError| {
            GetServiceError::Unreachable(format!("no session: {error}"))
        };
        let (ours, theirs) = (ours.map_err(failed)?, theirs.map_err(failed)?);
        lock(&there.peers).insert(here.id(), theirs);
        lock(&here.peers).insert(there.id(), ours.clone());
        Ok(ours)
    }

    fn peers(&self) -> Vec<Peer> {
        lock(&self.peers).values().cloned().collect()
    }
}

#[async_trait]
impl Neighbours for MemoryDevice {
    fn is_trusted(&self, device: &DeviceId) -> bool {
        !lock(&self.network.distrust).contains(&(self.id(), *device))
    }

    async fn session(&self, with: Party, _: Instant) -> Result<Peer, GetServiceError> {
        // The network outlives its devices.
        let _ = self.network.held.subscribe().wait_for(|held| !held).await;
        self.peer(&with.device).await
    }
}

#[async_trait]
impl Device for MemoryDevice {
    fn id(&self) -> DeviceId {
        self.party().device
    }

    fn party(&self) -> Party {
        self.bus.party()
    }

    fn add(
        &self,
        service: ServiceId,
        object: &RemoteObject,
        options: ServiceOptions,
    ) -> Result<(), AddServiceError> {
        self.bus.samgr().add(service, object, options)
    }

    fn remove(&self, service: ServiceId) -> Result<(), RemoveServiceError> {
        self.bus.samgr().remove(service)
    }

    fn check(&self, service: ServiceId) -> Option<RemoteObject> {
        self.bus.samgr().check(service)
    }

    fn list(&self) -> Vec<ServiceId> {
        self.bus.samgr().list()
    }

    fn samgr(&self) -> LocalAbilityManager {
        self.bus.samgr()
    }

    fn revoke(&self, object: &RemoteObject) -> bool {
        self.bus.revoke(object)
    }

    async fn get(
        &self,
        service: ServiceId,
        device: &DeviceId,
    ) -> Result<RemoteObject, GetServiceError> {
        if *device == self.id() {
            return self.samgr().get(service, limits::DEFAULT_WAIT).await;
        }
        let peer = self.peer(device).await?;
        peer.get_service(service, limits::DEFAULT_WAIT).await
    }

    async fn check_of(
        &self,
        service: ServiceId,
        device: &DeviceId,
    ) -> Result<RemoteObject, GetServiceError> {
        let peer = self.peer(device).await?;
        peer.check_service(service, limits::DEFAULT_WAIT).await
    }

    async fn load_within(
        &self,
        service: ServiceId,
        device: &DeviceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        let peer = self.peer(device).await?;
        peer.load_service(service, wait).await
    }

    async fn wait_for(
        &self,
        service: ServiceId,
        device: &DeviceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        let peer = self.peer(device).await?;
        peer.wait_for_service(service, wait).await
    }

    fn watch_of(&self, _: ServiceId, _: &DeviceId) -> Option<RemoteServiceWatch> {
        None
    }

    async fn list_of(&self, device: &DeviceId) -> Result<Vec<ServiceId>, GetServiceError> {
        let peer = self.peer(device).await?;
        peer.callable_services(limits::DEFAULT_WAIT).await
    }

    fn usage(&self) -> Vec<(Party, Usage)> {
        self.bus.usage()
    }

    fn events(&self) -> Option<DeviceEvents> {
        None
    }

    async fn leave(&self) {
        for peer in self.peers() {
            peer.leave(close_code::LEAVING, "leaving").await;
        }
        self.cut.send_replace(true);
    }

    async fn vanish(&self) {
        self.cut.send_replace(true);
        for peer in self.peers() {
            peer.close(DeathReason::DeviceUnreachable, 0, "");
        }
    }
}

/// A link that can be cut without a word to either side.
struct CuttableLink {
    link: MemoryLink,
    cut: [watch::Receiver<bool>; 2],
}

#[async_trait]
impl Link for CuttableLink {
    async fn control(&self) -> Result<Lane, LinkError> {
        self.link.control().await
    }

    async fn lanes(&self, count: u16) -> Result<Vec<Lane>, LinkError> {
        self.link.lanes(count).await
    }

    async fn open_bulk(&self, id: u64) -> Result<Box<dyn BulkSend>, LinkError> {
        self.link.open_bulk(id).await
    }

    async fn accept_bulk(&self) -> Result<(u64, Box<dyn BulkReceive>), LinkError> {
        self.link.accept_bulk().await
    }

    fn close(&self, code: u32, text: &str) {
        self.link.close(code, text);
    }

    async fn closed(&self) -> LinkClosed {
        let [mut here, mut there] = self.cut.clone();
        tokio::select! {
            biased;
            _ = here.wait_for(|cut| *cut) => LinkClosed::TimedOut,
            _ = there.wait_for(|cut| *cut) => LinkClosed::TimedOut,
            closed = self.link.closed() => closed,
        }
    }

    fn transport(&self) -> &'static str {
        "memory"
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
