//! This process on the bus: who it is, what it offers, and its sessions.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use proto::{
    BootId, DeviceId, ServiceId,
    message::{DeathReason, PeerLimits, VersionRange},
};

#[cfg(unix)]
use crate::forked;
use crate::{
    access::{Access, AccessPolicy, Permission},
    driver::Spare,
    introduction::{self, Introductions, Neighbours},
    limits,
    peer::{Peer, PeerShared},
    quotas::{DescriptorsInUse, InUse, Quotas},
    registry::{ServiceRegistry, Standing},
    relay::RelayRules,
    remote::{LocalObject, Registration, RemoteObject, StubCell},
    samgr::{self, LocalAbilityManager, SamgrStub, Watches},
    session::{Usage, passing_rules::Party},
    telemetry::{SlowThresholds, fold::Fold},
};

/// What a bus is made with.
#[derive(Clone, Copy, Debug)]
pub struct BusConfig {
    /// Who we are.
    pub party: Party,
    /// Which start of our bus this is.
    pub boot: BootId,
    /// The versions of the protocol we speak. Others than [`VersionRange::SPOKEN`] are for tests: saying so does not make it so.
    pub versions: VersionRange,
    /// What we hold for each peer.
    pub limits: PeerLimits,
    /// What we hold for each peer besides, of which it is not told.
    pub quotas: Quotas,
    /// Call lanes we would like.
    pub lanes: u16,
    /// From when on handlers and calls are slow.
    pub slow: SlowThresholds,
    /// How long a call lane looks for what comes before it sleeps, where that pays. Nothing: it never looks.
    pub busy_poll: Duration,
}

impl BusConfig {
    /// The default limits.
    pub const fn new(party: Party, boot: BootId) -> Self {
        let (limits, lanes) = (limits::DEFAULT_PEER_LIMITS, limits::DEFAULT_LANES);
        Self {
            party,
            boot,
            versions: VersionRange::SPOKEN,
            limits,
            quotas: Quotas::DEFAULT,
            lanes,
            slow: SlowThresholds::DEFAULT,
            busy_poll: limits::BUSY_POLL,
        }
    }
}

/// One process's side of the bus. Everything that calls on it shares this.
pub struct Bus {
    config: BusConfig,
    pub(crate) registry: Mutex<ServiceRegistry>,
    pub(crate) access: Arc<Access>,
    pub(crate) watches: Watches,
    /// By a number of our own: the name of a session is the other end's choice. In their order, so that everything that is
    /// done to all of them happens alike each time.
    sessions: Mutex<BTreeMap<u64, Weak<PeerShared>>>,
    root: LocalObject,
    /// The one it was made on, if it was made on one.
    runtime: Option<tokio::runtime::Handle>,
    /// What the log is told of look-ups.
    look_ups: Fold,
    /// Bytes of bulk bodies that are arriving from all peers.
    pub(crate) bulk_memory: Arc<InUse>,
    /// Memory of those that have been read.
    pub(crate) spare: Arc<Spare>,
    /// Descriptors that came from other processes.
    pub(crate) descriptors: DescriptorsInUse,
    pub(crate) introductions: Introductions,
    pub(crate) relay: OnceLock<Arc<dyn RelayRules>>,
    desk: OnceLock<RemoteObject>,
}

impl Bus {
    /// A bus without services and sessions.
    pub fn new(config: BusConfig) -> Arc<Self> {
        #[cfg(unix)]
        forked::watch();
        Arc::new_cyclic(|bus: &Weak<Self>| {
            let stub = StubCell::root(Arc::new(SamgrStub::new(bus.clone())));
            Self {
                config,
                registry: Mutex::default(),
                access: Arc::default(),
                watches: Watches::default(),
                sessions: Mutex::default(),
                root: LocalObject::anonymous(Arc::new(stub)),
                runtime: tokio::runtime::Handle::try_current().ok(),
                look_ups: Fold::default(),
                bulk_memory: Arc::default(),
                spare: Arc::default(),
                descriptors: DescriptorsInUse::default(),
                introductions: Introductions::default(),
                relay: OnceLock::new(),
                desk: OnceLock::new(),
            }
        })
    }

    /// What it was made with.
    pub fn config(&self) -> &BusConfig {
        &self.config
    }

    /// Who we are.
    pub fn party(&self) -> Party {
        self.config.party
    }

    /// Says how other devices are reached, once and before the first session: from here on objects are introduced to
    /// third devices, and this one is introduced to theirs. Whether nobody had said it before.
    pub fn set_neighbours(&self, neighbours: Weak<dyn Neighbours>) -> bool {
        self.introductions.set_neighbours(neighbours)
    }

    /// Says what the owner of this device allows other devices, once and before the first session. Whether nobody had said
    /// it before.
    pub fn set_access_policy(&self, policy: Arc<dyn AccessPolicy>) -> bool {
        self.access.set(policy)
    }

    /// The policy has changed: proxies of what their holders may no longer call at all die with reason *access revoked*, and
    /// who waits for a service looks again.
    pub fn access_changed(&self) {
        let services = self.registry().list();
        for peer in self.peers() {
            let device = peer.remote().device;
            if device == self.party().device {
                continue;
            }
            let nothing = Some(Permission::Nothing);
            let lost = |service: &ServiceId| self.access.permission(device, *service) == nothing;
            let lost: Vec<_> = services.iter().copied().filter(lost).collect();
            peer.run(|state, _| {
                state.session.kill(DeathReason::AccessRevoked, |object| {
                    let service = object.registration();
                    service.is_some_and(|service| lost.binary_search(&service).is_ok())
                });
            });
        }
        for service in services {
            let change = self.registry().change(service);
            self.watches.changed(change);
        }
    }

    /// Whether a device may call some method of a service.
    pub(crate) fn admits(&self, registration: &Registration, device: DeviceId) -> bool {
        let ruled = self.access.permission(device, registration.service);
        registration.admits(device, ruled.as_ref())
    }

    /// Says what the processes that attach to this one may ask beside its services ([`Peer::desk`]), once. Whether nobody
    /// had said it before.
    pub fn set_desk(&self, desk: RemoteObject) -> bool {
        self.desk.set(desk).is_ok()
    }

    pub(crate) fn desk(&self) -> Option<&RemoteObject> {
        self.desk.get()
    }

    /// What became of the introductions of this process's objects.
    pub fn introductions(&self) -> introduction::Counts {
        self.introductions.counts()
    }

    /// The services of this process.
    pub fn samgr(self: &Arc<Self>) -> LocalAbilityManager {
        LocalAbilityManager::new(Arc::clone(self))
    }

    /// Declares a stub of this process dead: its registrations are removed, whoever holds a proxy of it is told, and
    /// no call reaches it any more. Whether it was alive.
    pub fn revoke(&self, object: &RemoteObject) -> bool {
        let local = object.local();
        local.is_some_and(|local| self.end(local, DeathReason::Revoked))
    }

    /// A stub is dead, whoever says so. Whether it was alive.
    pub(crate) fn end(&self, local: &LocalObject, reason: DeathReason) -> bool {
        if !local.stub.die(reason) {
            return false;
        }
        let number = local.stub.number();
        let (removed, changes) = {
            let mut registry = self.registry();
            let removed = registry.remove_stub(number);
            let services = removed.iter().map(|standing| standing.registration.service);
            let changes: Vec<_> = services.map(|service| registry.change(service)).collect();
            (removed, changes)
        };
        for change in changes {
            self.watches.changed(change);
        }
        drop(removed);
        self.kill(reason, |object| object.stub.number() == number);
        local.stub.gate.drain(None, reason);
        true
    }

    /// Ends what waits here for services on behalf of other devices, because this one is taking leave. What comes and goes
    /// is told as before.
    pub fn end_waits(&self) {
        self.watches.close();
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.sessions().len()
    }

    /// What each session holds, and of whom.
    pub fn usage(&self) -> Vec<(Party, Usage)> {
        let usage = |peer: Arc<PeerShared>| (peer.remote(), peer.usage());
        self.peers().into_iter().map(usage).collect()
    }

    pub(crate) fn peers(&self) -> Vec<Arc<PeerShared>> {
        self.sessions().values().filter_map(Weak::upgrade).collect()
    }

    /// How many requests run or wait, for each service.
    pub(crate) fn queue_depths(&self) -> Vec<(ServiceId, u64)> {
        self.registry().queue_depths()
    }

    pub(crate) fn registry(&self) -> MutexGuard<'_, ServiceRegistry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where what belongs to no session runs: the runtime the bus was made on, or else the one of who asks.
    pub(crate) fn runtime(&self) -> Option<tokio::runtime::Handle> {
        let current = || tokio::runtime::Handle::try_current().ok();
        self.runtime.clone().or_else(current)
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<u64, Weak<PeerShared>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every peer that holds what `matches` picks that it is dead.
    pub(crate) fn kill(&self, reason: DeathReason, matches: impl Fn(&LocalObject) -> bool) {
        for peer in self.peers() {
            peer.run(|state, _| state.session.kill(reason, &matches));
        }
    }

    /// The registration is gone: proxies of it die. One of another process is for that process to end.
    pub(crate) fn kill_registration(&self, removed: &Standing) {
        removed.registration.remove();
        let Some(stub) = removed.stub() else {
            return samgr::tell_of_end(removed);
        };
        let (service, number) = (removed.registration.service, removed.registration.number);
        self.kill(DeathReason::ServiceRemoved, |object| {
            object.registration() == Some(service) && object.registration_number() == number
        });
        stub.gate.drain(Some(number), DeathReason::ServiceRemoved);
    }

    pub(crate) fn look_ups(&self) -> &Fold {
        &self.look_ups
    }

    pub(crate) fn root(&self) -> LocalObject {
        self.root.clone()
    }

    pub(crate) fn add_peer(&self, peer: &Peer) {
        self.sessions()
            .insert(peer.shared.number(), Arc::downgrade(&peer.shared));
    }

    pub(crate) fn forget_peer(&self, number: u64) {
        self.sessions().remove(&number);
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus")
            .field("party", &self.config.party)
            .finish_non_exhaustive()
    }
}
