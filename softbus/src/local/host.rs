//! The process that hosts a device's bus: who is attached, and who is handed a session with whom.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use proto::{DeviceId, ServiceId};
use rpc::{
    Bus, Caller, DeathReason, GetServiceError, Link, Peer, RemoteObject, StubOptions,
    link::LinkError,
    opening::{Credentials, close_code},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{
    Arrived, LetIn, ListeningSocket, LocalError, Look, OPENING, descriptors,
    desk::{ConnectError, DeskStub, HostDesk},
    egress::Egress,
    entrance::{Entrance, Waiting},
    handed::Handed,
    prelude::{Numbers, Refusal},
    process, sockets,
};
use crate::{
    ability_manager::SystemAbilityManager,
    device::Known,
    link::unix::{PairPlace, UnixLink, packets::Pair},
    peers::Peers,
    side::Side,
};

/// Processes that may be attached at a time.
pub(super) const MAX_PROCESSES: usize = 256;
/// Those of a user that is not the host's own.
pub(super) const MAX_OF_ANOTHER_USER: usize = 64;
/// How long the door stays shut when the system has no sockets left.
const PAUSE: Duration = Duration::from_millis(50);

/// A bus that other processes of this device attach to.
pub(crate) struct LocalHost {
    bus: Arc<Bus>,
    /// What is asked about other devices.
    peers: OnceLock<Weak<Peers>>,
    numbers: Numbers,
    table: Mutex<Table>,
    runtime: tokio::runtime::Handle,
    accepting: Mutex<Option<JoinHandle<()>>>,
    me: Weak<Self>,
}

#[derive(Default)]
struct Table {
    processes: HashMap<u64, Attached>,
    handed: Handed,
    closing: bool,
}

/// A process that is attached.
#[derive(Clone)]
struct Attached {
    link: Arc<UnixLink>,
    credentials: Credentials,
    pidfd: Option<Arc<OwnedFd>>,
    /// `None` until it has been welcomed.
    peer: Option<Peer>,
}

impl LocalHost {
    /// Lets in who comes. `secret` is the same for every host of the device.
    pub(crate) fn start(
        bus: Arc<Bus>,
        socket: ListeningSocket,
        secret: &[u8; 32],
        egress: Egress,
    ) -> Arc<Self> {
        descriptors::raise_limit();
        bus.set_relay(egress.0);
        let host = Arc::new_cyclic(|me: &Weak<Self>| Self {
            bus,
            peers: OnceLock::new(),
            numbers: Numbers::new(secret),
            table: Mutex::default(),
            runtime: tokio::runtime::Handle::current(),
            accepting: Mutex::default(),
            me: me.clone(),
        });
        let options = StubOptions::default().long_poll();
        let desk = DeskStub::with_options(HostDesk(Arc::downgrade(&host)), options);
        host.bus.set_desk(desk.into());
        let accepting = host
            .runtime
            .spawn(accept_all(socket, Arc::downgrade(&host)));
        *host.accepting() = Some(accepting);
        host
    }

    /// Says who knows other devices.
    pub(crate) fn set_peers(&self, peers: &Arc<Peers>) {
        let _ = self.peers.set(Arc::downgrade(peers));
    }

    fn peers(&self) -> Option<Arc<Peers>> {
        self.peers.get()?.upgrade()
    }

    fn accepting(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.accepting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session with a process, if it is attached.
    pub(crate) fn session(&self, process: u64) -> Option<Peer> {
        self.lock().processes.get(&process)?.peer.clone()
    }

    /// Gives a process that has come its number and its session.
    async fn let_in(&self, mut arrived: Arrived) -> Result<(), LocalError> {
        let pidfd = process::open(arrived.credentials.pid).map(Arc::new);
        let device = self.bus.party().device;
        let prelude = arrived.identify(device, &self.numbers).await?;
        let room = match descriptors::are_few_left(&arrived.control) {
            true => Err(Refusal::full(self.lock().processes.len())),
            false => self.lock().room(prelude.party.process, arrived.credentials),
        };
        if let Err(refusal) = room {
            sockets::refuse(&arrived.control, refusal);
            return Err(refusal.into());
        }
        let let_in = arrived.offer(prelude).await?;
        let incoming = let_in.incoming(&self.bus).await?;
        let LetIn {
            party,
            credentials,
            link,
        } = let_in;
        let attached = Attached {
            link: Arc::clone(&link),
            credentials,
            pidfd: pidfd.clone(),
            peer: None,
        };
        // Before its first request, which may want to be handed a session.
        let before = self.enter(party.process, attached);
        let before = before.inspect_err(|_| link.close(close_code::LEAVING, "busy"))?;
        if let Some(before) = before.and_then(|before| before.peer) {
            // It has come anew, and we have not heard of its end yet.
            before.close(DeathReason::ProcessDied, close_code::LEAVING, "replaced");
        }
        let leaving = Leaving {
            host: self.me.clone(),
            process: party.process,
            link: Arc::clone(&link),
        };
        let peer = incoming.welcome(&self.bus).await?;
        if let Some(attached) = self.lock().processes.get_mut(&party.process)
            && Arc::ptr_eq(&attached.link, &link)
        {
            attached.peer = Some(peer.clone());
        }
        tracing::info!(
            process = party.process,
            pid = credentials.pid,
            "process attached"
        );
        let watched = pidfd.and_then(|pidfd| pidfd.try_clone().ok());
        self.runtime.spawn(async move {
            process::watch(watched, peer).await;
            drop(leaving);
        });
        Ok(())
    }

    fn enter(&self, process: u64, attached: Attached) -> Result<Option<Attached>, LocalError> {
        let mut table = self.lock();
        table.room(process, attached.credentials)?;
        Ok(table.processes.insert(process, attached))
    }

    /// Hands a session of `asker` and `other` to both, unless one is under way that `asker` does not know of.
    pub(super) async fn connect(
        &self,
        asker: u64,
        other: u64,
        known: u64,
    ) -> Result<(), ConnectError> {
        let (ours, theirs, number) = {
            let mut table = self.lock();
            let both = (
                table.processes.get(&asker).cloned(),
                table.processes.get(&other).cloned(),
            );
            let (Some(ours), Some(theirs)) = both else {
                return Err(ConnectError::Gone);
            };
            if asker == other {
                return Err(ConnectError::Gone);
            }
            let user = ours.credentials.uid;
            let number = table
                .handed
                .next((asker, other), user, known, Instant::now())?;
            let Some(number) = number else {
                return Ok(());
            };
            (ours, theirs, number)
        };
        let given = hand_out(number, (asker, &ours), (other, &theirs)).await;
        if given.is_err() {
            self.lock().handed.failed(asker, other, number);
        }
        given
    }

    /// What a process of this device gets when it asks for a service of another device.
    pub(super) async fn service_of(
        &self,
        caller: &Caller,
        look: Look,
        service: ServiceId,
        device: DeviceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        let samgr = self.samgr_for(caller, device, Some(service))?;
        let got = match look {
            Look::Get => samgr.get_within(service, &device, wait).await,
            Look::Check => samgr.check_of(service, &device).await,
            Look::Load => samgr.load_within(service, &device, wait).await,
            Look::WaitFor => samgr.wait_for(service, &device, wait).await,
        }?;
        let proxy = got.as_proxy().ok_or(GetServiceError::Refused)?;
        self.bus.relay_to(caller, proxy)
    }

    /// What knows other devices, for a process that may call this one.
    fn samgr_for(
        &self,
        caller: &Caller,
        device: DeviceId,
        service: Option<ServiceId>,
    ) -> Result<SystemAbilityManager, GetServiceError> {
        // Asked first: for who may not leave nobody is dialled.
        if device == self.bus.party().device || !self.bus.lets_out(caller, device, service) {
            return Err(GetServiceError::Refused);
        }
        let gone = || GetServiceError::Unreachable("shutting down".to_owned());
        let peers = self.peers().ok_or_else(gone)?;
        Ok(SystemAbilityManager::new(Side::Network(peers)))
    }

    /// Which services of another device a process of this one may call.
    pub(super) async fn services_of(
        &self,
        caller: &Caller,
        device: DeviceId,
    ) -> Result<Vec<ServiceId>, GetServiceError> {
        let samgr = self.samgr_for(caller, device, None)?;
        let mut services = samgr.list_of(&device).await?;
        services.retain(|service| self.bus.lets_out(caller, device, Some(*service)));
        Ok(services)
    }

    pub(super) fn devices_changed(&self) -> Option<watch::Receiver<u64>> {
        Some(self.peers()?.changed())
    }

    pub(super) fn devices(&self) -> Vec<Known> {
        self.peers().map(|peers| peers.known()).unwrap_or_default()
    }

    /// Lets nobody in any more, and takes leave of those who are.
    pub(crate) async fn close(&self) {
        let accepting = self.accepting().take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // The path is free when it has ended.
            let _ = accepting.await;
        }
        let leaving: Vec<_> = self
            .shut()
            .into_iter()
            .map(|peer| {
                self.runtime.spawn(async move {
                    peer.leave(close_code::LEAVING, "leaving").await;
                })
            })
            .collect();
        for task in leaving {
            let _ = task.await;
        }
    }

    /// As [`close`](Self::close), without waiting for what is under way.
    pub(crate) fn close_now(&self) {
        for peer in self.shut() {
            peer.close(DeathReason::ProcessDied, close_code::LEAVING, "leaving");
        }
    }

    fn shut(&self) -> Vec<Peer> {
        if let Some(accepting) = self.accepting().take() {
            accepting.abort();
        }
        let mut table = self.lock();
        table.closing = true;
        let attached = table.processes.values();
        attached
            .filter_map(|attached| attached.peer.clone())
            .collect()
    }
}

impl Table {
    /// Whether there is room for a process, which may be attached already.
    fn room(&self, process: u64, credentials: Credentials) -> Result<(), Refusal> {
        let full = Err(Refusal::full(MAX_PROCESSES));
        if self.closing {
            return full;
        }
        if self.processes.contains_key(&process) {
            return Ok(());
        }
        if self.processes.len() >= MAX_PROCESSES {
            return full;
        }
        let same = |attached: &&Attached| attached.credentials.uid == credentials.uid;
        let of_user = || self.processes.values().filter(same).count();
        let foreign = credentials.uid != rustix::process::getuid().as_raw();
        match foreign && of_user() >= MAX_OF_ANOTHER_USER {
            true => Err(Refusal::full(MAX_OF_ANOTHER_USER)),
            false => Ok(()),
        }
    }
}

impl std::fmt::Debug for LocalHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalHost")
            .field("processes", &self.lock().processes.len())
            .finish_non_exhaustive()
    }
}

impl Attached {
    /// An end of a session with this process, for another one.
    fn end(&self, number: u64, dials: bool, process: u64, sockets: [OwnedFd; 3]) -> Pair {
        let pidfd = self.pidfd.as_ref();
        Pair {
            number,
            dials,
            process,
            credentials: self.credentials,
            sockets,
            pidfd: pidfd.and_then(|pidfd| pidfd.try_clone().ok()),
        }
    }
}

/// Makes a session of two processes and hands each its end, as soon as both have taken those before.
async fn hand_out(
    number: u64,
    (asker, ours): (u64, &Attached),
    (other, theirs): (u64, &Attached),
) -> Result<(), ConnectError> {
    let places = timeout(OPENING, both_places(&theirs.link, &ours.link)).await;
    let places = places.map_err(|_| ConnectError::NoAnswer)?;
    let (their_place, our_place) = places.map_err(|_| ConnectError::Gone)?;
    let (mine, yours) = sockets::pair().map_err(|error| {
        tracing::warn!(%error, "no session for two processes");
        ConnectError::NoSockets
    })?;
    their_place.give(ours.end(number, false, asker, yours));
    our_place.give(theirs.end(number, true, other, mine));
    Ok(())
}

/// A place for a session at both ends. Nobody who waits has one of them: a process that takes nothing would keep others from
/// those who do.
async fn both_places(a: &UnixLink, b: &UnixLink) -> Result<(PairPlace, PairPlace), LinkError> {
    loop {
        let place = a.pair_place().await?;
        if let Some(other) = b.try_pair_place() {
            return Ok((place, other));
        }
        drop(place);
        b.pair_place().await?;
    }
}

/// A process is attached as long as this is.
struct Leaving {
    host: Weak<LocalHost>,
    process: u64,
    link: Arc<UnixLink>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let Some(host) = self.host.upgrade() else {
            return;
        };
        let gone = {
            let mut table = host.lock();
            let attached = table.processes.get(&self.process);
            // It may have come anew.
            if !attached.is_some_and(|attached| Arc::ptr_eq(&attached.link, &self.link)) {
                return;
            }
            let process = self.process;
            table.handed.forget(process, Instant::now());
            table.processes.remove(&process)
        };
        tracing::info!(process = self.process, "process detached");
        drop(gone);
    }
}

/// Lets processes in as long as the host is there.
async fn accept_all(socket: ListeningSocket, host: Weak<LocalHost>) {
    let entrance = Entrance::new();
    loop {
        let Some(place) = entrance.room().await else {
            return;
        };
        let arrived = socket.accept().await;
        let Some(host) = host.upgrade() else { return };
        match arrived {
            Ok(arrived) => match entrance.enter(place, arrived.credentials.uid) {
                Ok(waiting) => {
                    let runtime = host.runtime.clone();
                    runtime.spawn(let_in(host, arrived, waiting));
                }
                Err(refusal) => {
                    let uid = arrived.credentials.uid;
                    tracing::debug!(uid, "too many processes of a user attach at once");
                    sockets::refuse(&arrived.control, refusal);
                }
            },
            Err(error) => {
                tracing::warn!(%error, "no process can attach");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn let_in(host: Arc<LocalHost>, arrived: Arrived, _waiting: Waiting) {
    if let Err(error) = host.let_in(arrived).await {
        tracing::info!(%error, "process not attached");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_has_room_for_so_many_processes_and_for_fewer_of_another_user() {
        let (ours, _theirs) = sockets::pair().unwrap();
        let link = UnixLink::new(sockets::use_pair(ours).unwrap()).unwrap();
        let link = Arc::new(link);
        let of = |uid| Credentials { pid: 1, uid };
        let own = rustix::process::getuid().as_raw();
        let mut table = Table::default();
        let enter = |table: &mut Table, uid| {
            let process = table.processes.len() as u64 + 1;
            table.room(process, of(uid))?;
            let attached = Attached {
                link: Arc::clone(&link),
                credentials: of(uid),
                pidfd: None,
                peer: None,
            };
            table.processes.insert(process, attached);
            Ok(())
        };
        for other in [own + 1, own + 2] {
            for _ in 0..MAX_OF_ANOTHER_USER {
                assert_eq!(enter(&mut table, other), Ok(()));
            }
            let full = Refusal::full(MAX_OF_ANOTHER_USER);
            assert_eq!(enter(&mut table, other), Err(full));
        }
        for _ in 2 * MAX_OF_ANOTHER_USER..MAX_PROCESSES {
            assert_eq!(enter(&mut table, own), Ok(()));
        }
        let full = Err(Refusal::full(MAX_PROCESSES));
        assert_eq!(enter(&mut table, own), full);
        // Who is attached may come anew, unless the host leaves.
        assert_eq!(table.room(1, of(own + 1)), Ok(()));
        table.closing = true;
        assert_eq!(table.room(1, of(own + 1)), full);
    }
}
