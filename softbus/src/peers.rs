//! The devices this node knows of, and its one session with each: who dials, which of two connections stays, and what
//! becomes of a session that ends.

mod accept;
mod admission;
mod connection;
mod contact;
pub mod decisions;
mod dial;
mod moving;
mod neighbours;
mod probe;
mod session;
mod silence;
mod stranded;
mod table;
mod welcome;

pub(crate) use connection::Connection;
pub(crate) use dial::DialError;
pub(crate) use session::Session;

#[cfg(target_os = "linux")]
use std::sync::OnceLock;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use certs::{AuditEvent, CloseCode, Door, DoorLimits, Identity, TrustStore};
use proto::{DeviceId, message::DeathReason};
use rpc::{Bus, GetServiceError, Peer, peer::SessionEnd};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use contact::Began;
use session::{Contact, Table};

#[cfg(target_os = "linux")]
use crate::local::LocalHost;
use crate::{
    audit::AuditLog,
    device::{Device, Known},
    fleet::Members,
    link::tcp::Listening,
    pairing,
    presence::Profile,
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
        let table = Table::new(*identity.device_id(), max_devices);
        let peers = Arc::new_cyclic(|me| Self {
            bus,
            identity,
            trust,
            audit,
            members,
            endpoint,
            profile,
            transports,
            stopped: watch::Sender::new(false),
            runtime: tokio::runtime::Handle::current(),
            table: Mutex::new(table),
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
        let table = self.lock();
        let known = table.iter().map(|(id, contact)| Known {
            device: self.describe(*id, contact),
            times_online: contact.machine().times_online,
            last_offline: contact.machine().last_offline().cloned(),
        });
        known.collect()
    }

    fn describe(&self, id: DeviceId, contact: &Contact) -> Device {
        let connection = contact.session().map(|session| &session.connection);
        let addresses = match connection {
            Some(connection) => vec![connection.remote_address()],
            None => contact.addrs().to_vec(),
        };
        Device {
            id,
            name: contact.notes.name.clone(),
            presence: contact.machine().presence().clone(),
            transport: connection.map(Connection::transport),
            trusted: self.trusts(&id),
            addresses,
        }
    }

    pub(crate) fn sessions(&self) -> Vec<(DeviceId, Session)> {
        let table = self.lock();
        let sessions = table.iter();
        sessions
            .filter_map(|(id, contact)| Some((*id, contact.session()?.clone())))
            .collect()
    }

    /// Discovery says where a device may be.
    pub(crate) fn candidate(&self, found: discovery::Device) {
        if found.id == self.me() {
            return;
        }
        let news = {
            let mut table = self.lock();
            let contact = table.contact(found.id);
            contact.notes.name = found.name;
            contact.found(found.addrs);
            Arc::clone(&contact.notes.news)
        };
        news.notify_waiters();
        self.tell();
        self.dial_if_useful(found.id);
    }

    /// A device has answered at an address, and is trusted now: discovery need not have heard of it.
    pub(crate) fn met(&self, device: DeviceId, address: SocketAddr) {
        self.lock().contact(device).met(address);
        self.tell();
        self.dial_if_useful(device);
    }

    /// No source knows the device any more. A connection to it is not touched.
    pub(crate) fn not_a_candidate(&self, id: DeviceId) {
        let known = self.lock().not_a_candidate(&id, Instant::now().into());
        if known {
            self.tell();
        }
    }

    /// Trust has changed: a device that lost it goes at once.
    pub(crate) fn trust_changed(&self, device: DeviceId, withdrawn: bool) {
        self.tell();
        if !withdrawn {
            self.dial_if_useful(device);
            return;
        }
        self.audit.tell(AuditEvent::TrustWithdrawn { device });
        let session = self.lock().session(&device).cloned();
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
            .get(&device)
            .map_or(0, |contact| contact.notes.dials);
        let mut asked = false;
        loop {
            changed.mark_unchanged();
            if !self.may_trust(&device) {
                return Err(GetServiceError::DeviceNotTrusted);
            }
            let error = {
                let table = self.lock();
                if let Some(session) = table.session(&device) {
                    return Ok(session.peer.clone());
                }
                let contact = table.get(&device);
                contact.and_then(|contact| contact.notes.last_error.clone())
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
        let session = self.lock().session(&device).cloned();
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
        let trusted = self.may_trust(&device);
        let begins = self.lock().begin_dial(&device, trusted);
        if begins {
            self.runtime.spawn(dial::dial_until_online(me, device));
        }
    }

    /// A session has begun. What there was before with this device is replaced.
    fn install(&self, device: DeviceId, session: Session) {
        let Some(me) = self.me.upgrade() else { return };
        let (peer, connection) = (session.peer.clone(), session.connection.clone());
        let began = self.lock().begin(device, session);
        let Ok(Began { before, again }) = began else {
            peer.close(
                DeathReason::DeviceUnreachable,
                CloseCode::Leaving.code(),
                "leaving",
            );
            return;
        };
        if again {
            rpc::telemetry::metrics::reconnected();
        }
        if let Some((before, _)) = before {
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
        let is = |session: &Session| session.peer.is_same(peer);
        let ended = {
            let mut table = self.lock();
            let contact = table.get_mut(&device);
            let ended = contact.and_then(|contact| contact.ended(is, end, Instant::now().into()));
            if ended.is_some() {
                self.members.left(device);
            }
            ended
        };
        // The session itself is dropped outside the lock.
        let Some((_session, reason)) = ended else {
            return;
        };
        tracing::info!(?device, %reason, "device offline");
        self.tell();
        self.dial_if_useful(device);
    }

    /// Takes leave of every device: what is under way ends first, for a short while.
    pub(crate) async fn close(&self, within: Duration) {
        self.lock().close();
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
        self.lock().close();
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
