//! Buses of one process, joined by memory links.
//!
//! A link can be cut and muted. It loses nothing and has no addresses, and its devices share a thread, so none of them can sleep alone.
//! Two who dial at once dial one after the other: which of two sessions stays is for nodes to decide, and these are none. Delays and
//! whole devices in virtual time are what the simulation is for.

mod link;

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
        opening::{self, Incoming, Remote, close_code},
        session::{Usage, passing_rules::Party},
    },
};
use softbus::{presence::DeviceEvents, service_watch::RemoteServiceWatch};
use tokio::sync::watch;

use super::{
    Device, World,
    faults::{Cuts, Mutes, Outages},
};
use link::{CuttableLink, Reach, Way};

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
    /// What the network does with each device.
    reach: Mutex<HashMap<DeviceId, watch::Sender<Reach>>>,
    /// Whoever is introduced to an object waits before asking for it.
    held: watch::Sender<bool>,
}

#[derive(Debug)]
struct MemoryDevice {
    bus: Arc<Bus>,
    network: Arc<Network>,
    /// Both ends know of a session.
    peers: Mutex<HashMap<DeviceId, Peer>>,
    /// Without a word, and everybody notices.
    gone: watch::Sender<bool>,
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

#[async_trait(?Send)]
impl Cuts for MemoryWorld {
    async fn cut(&mut self, device: &DeviceId) {
        self.network.change(device, |reach| reach.cut = true);
    }

    async fn heal(&mut self, device: &DeviceId) {
        self.network.change(device, |reach| reach.cut = false);
    }
}

#[async_trait(?Send)]
impl Mutes for MemoryWorld {
    async fn mute(&mut self, device: &DeviceId, muted: bool) {
        self.network.change(device, |reach| reach.muted = muted);
    }
}

#[async_trait(?Send)]
impl Outages for MemoryWorld {
    async fn power_off(&mut self, device: &Arc<dyn Device>) {
        device.vanish().await;
    }
}

impl Network {
    fn change(&self, device: &DeviceId, change: impl FnOnce(&mut Reach)) {
        let mut reach = lock(&self.reach);
        reach.entry(*device).or_default().send_modify(change);
    }

    /// How what one sends gets to the other.
    fn way(&self, from: &DeviceId, to: &DeviceId) -> Way {
        let mut reach = lock(&self.reach);
        let mut of = |id: &DeviceId| reach.entry(*id).or_default().subscribe();
        Way {
            from: of(from),
            to: of(to),
        }
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
            gone: watch::Sender::new(false),
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
        let not_found = || GetServiceError::Unreachable("not found".to_owned());
        let there = lock(&self.network.buses).get(id).and_then(Weak::upgrade);
        let (there, here) = there.zip(self.me.upgrade()).ok_or_else(not_found)?;
        let (to_here, to_there) = (
            self.network.way(id, &self.id()),
            self.network.way(&self.id(), id),
        );
        let open = to_here.is_open() && to_there.is_open();
        if *here.gone.borrow() || *there.gone.borrow() || !open {
            return Err(not_found());
        }
        let (from_there, from_here) = MemoryLink::pair();
        let end = |link, way| {
            let gone = [here.gone.subscribe(), there.gone.subscribe()];
            Arc::new(CuttableLink { link, gone, way })
        };
        let (to_there, to_here) = (end(from_there, to_here), end(from_here, to_there));
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
        self.gone.send_replace(true);
    }

    async fn vanish(&self) {
        self.gone.send_replace(true);
        for peer in self.peers() {
            peer.close(DeathReason::DeviceUnreachable, 0, "");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
