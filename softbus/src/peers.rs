//! The devices this node knows of, and its one session with each: who dials, which of two connections stays, and what
//! becomes of a session that ends.

mod accept;
mod admission;
mod connection;
pub mod decisions;
mod dial;
mod moving;
mod neighbours;
mod probe;
mod table;
mod welcome;

pub(crate) use connection::Connection;
pub(crate) use dial::DialError;
pub(crate) use table::Session;

#[cfg(target_os = "linux")]
use std::sync::OnceLock;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use certs::{AuditEvent, CloseCode, Door, DoorLimits, Identity, TrustStore};
use proto::{BootId, DeviceId, message::DeathReason};
use rpc::{Bus, GetServiceError, Peer, peer::SessionEnd};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use decisions::offline_reason;
use table::{Entry, Table};

#[cfg(target_os = "linux")]
use crate::local::LocalHost;
use crate::{
    audit::AuditLog,
    device::{Device, Known},
    fleet::Members,
    link::tcp::Listening,
    pairing,
    presence::{OfflineReason, Profile},
    service_watch::Followers,
    transport::{Transport, Transports},
};

/// What the peers of a node share.
pub(crate) struct Peers {
    pub(crate) bus: Arc<Bus>,
    identity: Arc<Identity>,
    trust: TrustStore,
    audit: Arc<AuditLog>,
    members: Arc<Members>,
    endpoint: quinn::Endpoint,
    profile: Profile,
    transports: Transports,
    max_devices: usize,
    /// No more connections are taken.
    stopped: watch::Sender<bool>,
    runtime: tokio::runtime::Handle,
    table: Mutex<Table>,
    /// Counts changes of the table; who waits for one waits for this.
    version: watch::Sender<u64>,
    /// Somebody wants a device that is not there: discovery should look.
    pub(crate) wanted: Notify,
    /// Services of other devices that are watched.
    pub(crate) followers: Followers,
    /// Where strangers may come to be trusted.
    pub(crate) pairing: pairing::Slot,
    /// The other processes of this device, if they attach to this one.
    #[cfg(target_os = "linux")]
    local_host: OnceLock<Weak<LocalHost>>,
    me: Weak<Self>,
}

/// What the owner of this device decides about others.
pub(crate) struct Owner {
    pub(crate) trust: TrustStore,
    pub(crate) audit: Arc<AuditLog>,
    pub(crate) members: Arc<Members>,
    /// With how many devices there may be a session.
    pub(crate) max_devices: usize,
}

/// What sessions go by.
pub(crate) struct Carriers {
    pub(crate) endpoint: quinn::Endpoint,
    pub(crate) transports: Transports,
}

impl Peers {
    pub(crate) fn new(
        bus: Arc<Bus>,
        identity: Arc<Identity>,
        owner: Owner,
        carriers: Carriers,
        profile: Profile,
    ) -> Arc<Self> {
        let Carriers {
            endpoint,
            transports,
        } = carriers;
        let Owner {
            trust,
            audit,
            members,
            max_devices,
        } = owner;
        let peers = Arc::new_cyclic(|me| Self {
            bus,
            identity,
            trust,
            audit,
            members,
            endpoint,
            profile,
            transports,
            max_devices,
            stopped: watch::Sender::new(false),
            runtime: tokio::runtime::Handle::current(),
            table: Mutex::default(),
            version: watch::Sender::new(0),
            wanted: Notify::new(),
            followers: Followers::default(),
            pairing: pairing::Slot::default(),
            #[cfg(target_os = "linux")]
            local_host: OnceLock::new(),
            me: me.clone(),
        });
        let neighbours: Weak<Self> = Arc::downgrade(&peers);
        peers.bus.set_neighbours(neighbours);
        peers
    }

    /// Starts what runs as long as the node does.
    pub(crate) fn start(self: &Arc<Self>, strangers: DoorLimits, tcp: Option<Listening>) {
        let door = Arc::new(Mutex::new(Door::new(strangers)));
        let accept = accept::accept_quic(Arc::clone(self), Arc::clone(&door));
        self.runtime.spawn(accept);
        if let Some(listening) = tcp {
            let accept = accept::accept_tcp(Arc::clone(self), door, listening);
            self.runtime.spawn(accept);
        }
        self.runtime.spawn(probe::watch_all(Arc::downgrade(self)));
    }

    /// Says who attaches to this process, and to whom it is said which devices there are.
    #[cfg(target_os = "linux")]
    pub(crate) fn host_local(self: &Arc<Self>, host: &Arc<LocalHost>) {
        let _ = self.local_host.set(Arc::downgrade(host));
        host.set_peers(self);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) const fn endpoint(&self) -> &quinn::Endpoint {
        &self.endpoint
    }

    pub(crate) const fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }

    pub(crate) const fn profile(&self) -> Profile {
        self.profile
    }

    pub(crate) fn me(&self) -> DeviceId {
        *self.identity.device_id()
    }

    pub(crate) fn trust(&self) -> &TrustStore {
        &self.trust
    }

    pub(crate) fn audit(&self) -> &AuditLog {
        &self.audit
    }

    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn tell(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// The devices there are or were, by id.
    pub(crate) fn known(&self) -> Vec<Known> {
        let mut known: Vec<_> = {
            let table = self.lock();
            table
                .entries
                .iter()
                .map(|(id, entry)| Known {
                    device: self.describe(*id, entry),
                    times_online: entry.machine.times_online,
                    last_offline: entry.machine.last_offline().cloned(),
                })
                .collect()
        };
        known.sort_by_key(|known| known.device.id);
        known
    }

    fn describe(&self, id: DeviceId, entry: &Entry) -> Device {
        let addresses = match &entry.session {
            Some(session) => vec![session.connection.remote_address()],
            None => entry.addrs.clone(),
        };
        Device {
            id,
            name: entry.name.clone(),
            presence: entry.machine.presence().clone(),
            transport: entry
                .session
                .as_ref()
                .map(|session| session.connection.transport()),
            trusted: self.trusts(&id),
            addresses,
        }
    }

    pub(crate) fn sessions(&self) -> Vec<(DeviceId, Session)> {
        let table = self.lock();
        let sessions = table.entries.iter();
        sessions
            .filter_map(|(id, entry)| Some((*id, entry.session.clone()?)))
            .collect()
    }

    /// Discovery says where a device may be.
    pub(crate) fn candidate(&self, found: discovery::Device) {
        if found.id == self.me() {
            return;
        }
        let news = {
            let mut table = self.lock();
            let entry = table.entries.entry(found.id).or_insert_with(Entry::new);
            entry.name = found.name;
            entry.addrs = found.addrs;
            entry.forgotten = false;
            // A sign of life: what failed before is worth another try at once.
            entry.failures = 0;
            Arc::clone(&entry.news)
        };
        news.notify_waiters();
        self.tell();
        self.dial_if_useful(found.id);
    }

    /// A device has answered at an address, and is trusted now: discovery need not have heard of it.
    pub(crate) fn met(&self, device: DeviceId, address: SocketAddr) {
        {
            let mut table = self.lock();
            let entry = table.entries.entry(device).or_insert_with(Entry::new);
            entry.forgotten = false;
            if !entry.addrs.contains(&address) {
                entry.addrs.push(address);
            }
        }
        self.tell();
        self.dial_if_useful(device);
    }

    /// This device is on other networks than before: what did not answer is worth another try at once.
    pub(crate) fn network_changed(&self) {
        let devices: Vec<_> = {
            let mut table = self.lock();
            let entries = table.entries.iter_mut();
            entries
                .map(|(id, entry)| {
                    entry.failures = 0;
                    entry.networks += 1;
                    entry.news.notify_waiters();
                    *id
                })
                .collect()
        };
        for device in devices {
            self.dial_if_useful(device);
        }
    }

    /// No source knows the device any more. A connection to it is not touched.
    pub(crate) fn not_a_candidate(&self, id: DeviceId) {
        let mut table = self.lock();
        let Some(entry) = table.entries.get_mut(&id) else {
            return;
        };
        entry.forget_addrs(Instant::now());
        table.forget_if_unknown(&id);
        drop(table);
        self.tell();
    }

    /// Trust has changed: a device that lost it goes at once.
    pub(crate) fn trust_changed(&self, device: DeviceId, withdrawn: bool) {
        if !withdrawn {
            self.dial_if_useful(device);
            return;
        }
        self.audit.tell(AuditEvent::TrustWithdrawn { device });
        let session = self
            .lock()
            .entries
            .get(&device)
            .and_then(|entry| entry.session.clone());
        if let Some(session) = session {
            session.peer.close(
                DeathReason::AccessRevoked,
                CloseCode::Revoked.code(),
                "revoked",
            );
        }
    }

    /// The session with a device, once there is one.
    ///
    /// # Errors
    /// Why there is none at `deadline`, or why there will be none.
    pub(crate) async fn session(
        &self,
        device: DeviceId,
        deadline: Instant,
    ) -> Result<Peer, GetServiceError> {
        let mut changed = self.changed();
        let dials_before = self
            .lock()
            .entries
            .get(&device)
            .map_or(0, |entry| entry.dials);
        let mut asked = false;
        loop {
            changed.mark_unchanged();
            if !self.may_trust(&device) {
                return Err(GetServiceError::DeviceNotTrusted);
            }
            let error = {
                let table = self.lock();
                let entry = table.entries.get(&device);
                if let Some(session) = entry.and_then(|entry| entry.session.as_ref()) {
                    return Ok(session.peer.clone());
                }
                entry.and_then(|entry| entry.last_error.clone())
            };
            let error = error
                .filter(|(dial, _)| *dial > dials_before)
                .map(|(_, error)| error);
            match error {
                Some(DialError::NotTrustedByPeer) => {
                    return Err(GetServiceError::NotTrustedByDevice);
                }
                Some(DialError::NoCommonVersion { ours, theirs }) => {
                    return Err(GetServiceError::NoCommonVersion { ours, theirs });
                }
                _ => {}
            }
            if !std::mem::replace(&mut asked, true) {
                self.wanted.notify_one();
                self.dial_if_useful(device);
            }
            if tokio::time::timeout_at(deadline, changed.changed())
                .await
                .is_err()
            {
                let why = error.map_or_else(|| "not found".to_owned(), |error| error.to_string());
                return Err(GetServiceError::Unreachable(why));
            }
        }
    }

    /// The session with a device if there is one; otherwise it is looked for, and a change told when there is.
    pub(crate) fn session_or_dial(&self, device: DeviceId) -> Option<Peer> {
        let session = {
            let table = self.lock();
            let entry = table.entries.get(&device);
            entry.and_then(|entry| entry.session.clone())
        };
        if session.is_none() {
            self.dial_if_useful(device);
        }
        session.map(|session| session.peer)
    }

    /// Runs something as long as the node's runtime does.
    pub(crate) fn spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        self.runtime.spawn(task)
    }

    /// Begins to dial a device that may be there, is trusted and has no session.
    fn dial_if_useful(&self, device: DeviceId) {
        let Some(me) = self.me.upgrade() else { return };
        let mut table = self.lock();
        if table.closing || !self.may_trust(&device) {
            return;
        }
        let Some(entry) = table.entries.get_mut(&device) else {
            return;
        };
        if !entry.may_dial() || entry.addrs.is_empty() {
            return;
        }
        entry.dialling = true;
        entry.machine.dialling();
        drop(table);
        self.runtime.spawn(dial::dial_until_online(me, device));
    }

    /// A session has begun. What there was before with this device is replaced.
    fn install(&self, device: DeviceId, session: Session) {
        let Some(me) = self.me.upgrade() else { return };
        let (peer, connection) = (session.peer.clone(), session.connection.clone());
        let (before, again) = {
            let mut table = self.lock();
            if table.closing {
                drop(table);
                peer.close(
                    DeathReason::DeviceUnreachable,
                    CloseCode::Leaving.code(),
                    "leaving",
                );
                return;
            }
            let entry = table.entries.entry(device).or_insert_with(Entry::new);
            entry.worked = connection.dialled_address().or(entry.worked);
            entry.failures = 0;
            entry.verdict = None;
            entry.missed = None;
            let before = entry.session.replace(session);
            let again = before.is_some() || entry.lost_session != 0;
            if let Some(before) = &before {
                // The same start comes back when it has missed this device, which has not noticed anything yet.
                let reason = match before.peer.boot() == peer.boot() {
                    true => OfflineReason::TimedOut,
                    false => OfflineReason::Restarted,
                };
                entry.machine.offline(reason);
            }
            entry.machine.online(peer.boot());
            (before, again)
        };
        if again {
            rpc::telemetry::metrics::reconnected();
        }
        if let Some(before) = before {
            let code = CloseCode::Replaced.code();
            before
                .peer
                .close(DeathReason::DeviceUnreachable, code, "replaced");
        }
        self.audit.tell(AuditEvent::Admitted { device });
        tracing::info!(?device, boot = peer.boot().epoch, "device online");
        self.tell();
        // It was let in when its connection began, and may have taken its time since. Whoever withdraws its trust from here on
        // finds the session.
        self.admit_still(device, &connection, &peer);
        if self.transports.has(Transport::Quic)
            && connection.transport() == Transport::Tcp
            && connection.dialled_address().is_some()
        {
            let session = Session::dialled(peer.clone(), connection);
            let follow = moving::follow(self.me.clone(), device, session);
            self.runtime.spawn(follow);
        }
        self.runtime.spawn(async move {
            let end = peer.ended().await;
            me.ended(device, &peer, &end);
        });
    }

    /// A session has ended.
    fn ended(&self, device: DeviceId, peer: &Peer, end: &SessionEnd) {
        // The session itself is dropped outside the lock.
        let (_session, reason) = {
            let mut table = self.lock();
            let Some(entry) = table.entries.get_mut(&device) else {
                return;
            };
            let current = entry.session.as_ref();
            if !current.is_some_and(|session| session.peer.is_same(peer)) {
                return;
            }
            entry.lost_session = peer.session_name();
            let reason = entry.verdict.take().unwrap_or_else(|| offline_reason(end));
            entry.machine.offline(reason.clone());
            if reason == OfflineReason::TimedOut {
                entry.fell_silent(Instant::now());
            }
            self.members.left(device);
            (entry.session.take(), reason)
        };
        tracing::info!(?device, %reason, "device offline");
        self.tell();
        self.dial_if_useful(device);
    }

    /// The epoch of the start that is connected, if one is.
    fn connected_boot(&self, device: DeviceId) -> Option<BootId> {
        let table = self.lock();
        let entry = table.entries.get(&device)?;
        entry.session.as_ref().map(|session| session.peer.boot())
    }

    /// Takes leave of every device: what is under way ends first, for a short while.
    pub(crate) async fn close(&self, within: Duration) {
        self.lock().closing = true;
        self.stopped.send_replace(true);
        self.endpoint.set_server_config(None);
        self.bus.end_waits();
        let leaving: Vec<_> = self
            .sessions()
            .into_iter()
            .map(|(_, session)| {
                self.runtime.spawn(async move {
                    session
                        .peer
                        .leave(CloseCode::Leaving.code(), "leaving")
                        .await;
                })
            })
            .collect();
        for task in leaving {
            let _ = task.await;
        }
        let sessions = self.sessions();
        self.close_now();
        // The last packets go out; a peer that does not answer is not waited for.
        let gone = async {
            for (_, session) in &sessions {
                session.connection.gone().await;
            }
            self.endpoint.wait_idle().await;
        };
        let _ = tokio::time::timeout(within, gone).await;
    }

    /// Ends everything without waiting, and whether or not there still is a runtime that would hear of it.
    pub(crate) fn close_now(&self) {
        self.lock().closing = true;
        self.stopped.send_replace(true);
        let code = CloseCode::Leaving.code();
        self.endpoint.close(code.into(), b"leaving");
        for (_, session) in self.sessions() {
            // What it holds of others may hold it.
            let reason = DeathReason::DeviceUnreachable;
            session.peer.close(reason, code, "leaving");
        }
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers")
            .field("me", &self.me())
            .finish_non_exhaustive()
    }
}
