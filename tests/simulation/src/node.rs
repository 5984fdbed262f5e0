//! A device: a bus, its sessions with others, and how they come about.
//!
//! What it decides of that is the very code of nodes: `softbus::__decisions`, with its table of devices, and
//! `softbus::presence::Machine`. Here is what in a node is bound to connections of QUIC and TCP (`softbus/src/peers`): what asks the
//! table, and does what it says.

mod answer;
mod dial;
mod trust;
mod watch;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use proto::{BootId, DeviceId, message::DeathReason};
use rpc::{
    Bus, BusConfig, GetServiceError, Neighbours, Peer, limits,
    peer::SessionEnd,
    session::{Usage, passing_rules::Party},
};
use softbus::__decisions::{Began, Current, Table, Talk, Traffic, Watch, confirmed};
use tokio::{sync::Notify, task::AbortHandle};

use crate::{
    carrier::Carrier,
    log::{Event, Place},
    random::Random,
    simulation::Shared,
};

/// With how many devices there may be a session.
const LIMIT: usize = 1024;

/// A start of a device.
#[derive(Debug)]
pub(crate) struct Node {
    /// Which.
    pub(crate) place: Place,
    /// Its bus.
    pub(crate) bus: Arc<Bus>,
    shared: Arc<Shared>,
    table: Mutex<Table<Session, Notes>>,
    /// What was last seen of each session's connection.
    seen: Mutex<BTreeMap<u8, (u32, Watch)>>,
    /// Something in the table has changed.
    changed: Notify,
    /// For the jitter of pauses.
    chance: Mutex<Random>,
    /// It has not crashed.
    alive: AtomicBool,
    /// What its applications do.
    tasks: Mutex<Vec<AbortHandle>>,
    me: Weak<Self>,
}

/// What is kept of another device beside what decides about its connections.
#[derive(Debug, Default)]
struct Notes {
    /// Told when something new is known of it.
    news: Arc<Notify>,
    /// How often it was dialled, and the last time it said that it does not trust this one.
    dials: u64,
    refused: u64,
}

/// A session, as the table has it.
#[derive(Clone, Debug)]
struct Session {
    peer: Peer,
    link: u32,
    /// Where the device was dialled.
    address: Option<u32>,
    /// What had come when we said Welcome, where the other end may never have heard it.
    welcomed: Option<u64>,
    at: Place,
    network: Arc<dyn Carrier>,
}

impl Talk for Session {
    type Address = u32;

    fn current(&self) -> Current {
        let received = || self.network.received(self.link, self.at.device);
        Current {
            boot: self.peer.boot(),
            name: self.peer.session_name(),
            confirmed: confirmed(self.welcomed, received),
        }
    }

    fn address(&self) -> Option<u32> {
        self.address
    }
}

/// Who a device is.
pub(crate) const fn party(device: u8) -> Party {
    Party {
        device: id(device),
        process: Party::HOST,
    }
}

const fn id(device: u8) -> DeviceId {
    DeviceId::from_bytes([device; 32])
}

/// Which of the simulated devices that is.
pub(crate) const fn number(device: &DeviceId) -> u8 {
    device.as_bytes()[0]
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// Starts a device.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        place: Place,
        lanes: u16,
        chance: Random,
    ) -> Arc<Self> {
        let boot = BootId {
            epoch: place.start,
            random: place.start << 8 | u64::from(place.device),
        };
        let mut config = BusConfig::new(party(place.device), boot);
        config.lanes = lanes;
        config.limits = shared.limits;
        let node = Arc::new_cyclic(|me| Self {
            place,
            bus: Bus::new(config),
            shared: Arc::clone(shared),
            table: Mutex::new(Table::new(id(place.device), LIMIT)),
            seen: Mutex::default(),
            changed: Notify::new(),
            chance: Mutex::new(chance),
            alive: AtomicBool::new(true),
            tasks: Mutex::default(),
            me: me.clone(),
        });
        let neighbours: Weak<Self> = Arc::downgrade(&node);
        node.bus.set_neighbours(neighbours);
        shared.network.start(place);
        node.record(Event::Started(place));
        node
    }

    /// Writes down what happens here; what happens in a device that is gone is nobody's concern.
    pub(crate) fn record(&self, event: Event) {
        if self.is_alive() {
            self.shared.journal.record(event);
        }
    }

    /// Whether it has not crashed.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    /// What all devices share.
    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Runs something as long as the device does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let task = tokio::spawn(task).abort_handle();
        lock(&self.tasks).push(task.clone());
        task
    }

    fn table(&self) -> MutexGuard<'_, Table<Session, Notes>> {
        lock(&self.table)
    }

    /// The device hears where another one is.
    pub(crate) fn candidate(&self, device: u8) {
        let address = self.shared.network.address(device);
        let news = {
            let mut table = self.table();
            let contact = table.contact(id(device));
            contact.found(vec![address]);
            Arc::clone(&contact.notes.news)
        };
        news.notify_waiters();
        self.changed.notify_waiters();
        self.dial_if_useful(device);
    }

    /// The device is on another network than before.
    pub(crate) fn network_changed(&self) {
        let devices: Vec<_> = {
            let mut table = self.table();
            // What it has dialled goes on from its new address.
            let contacts = table.network_changed(|session| session.address.is_none());
            contacts
                .map(|(device, contact)| {
                    contact.notes.news.notify_waiters();
                    number(&device)
                })
                .collect()
        };
        for device in devices {
            self.dial_if_useful(device);
        }
    }

    /// The devices that there is a session with.
    pub(crate) fn peers(&self) -> Vec<(u8, Peer)> {
        let table = self.table();
        let sessions = table.iter();
        sessions
            .filter_map(|(device, contact)| Some((number(device), contact.session()?.peer.clone())))
            .collect()
    }

    /// What the session on a connection holds, if it lives.
    pub(crate) fn usage(&self, link: u32) -> Option<Usage> {
        let table = self.table();
        let mut sessions = table.iter().filter_map(|(_, contact)| contact.session());
        let session = sessions.find(|session| session.link == link)?;
        let peer = session.peer.clone();
        drop(sessions);
        drop(table);
        peer.end().is_none().then(|| peer.usage())
    }

    /// Writes down who is online here, and by which connection.
    pub(crate) fn tell_who_is_online(&self) {
        for of in (0..self.shared.devices).filter(|of| *of != self.place.device) {
            let link = {
                let table = self.table();
                let contact = table.get(&id(of));
                let online = contact.filter(|contact| contact.machine().is_online());
                online.and_then(|contact| Some(contact.session()?.link))
            };
            let at = self.place;
            self.record(Event::Sees { at, of, link });
        }
    }

    /// The session with a device: the one there is, or a new one.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn session(&self, device: u8) -> Result<Peer, GetServiceError> {
        let until = tokio::time::Instant::now() + limits::DEFAULT_WAIT;
        let known = || {
            let table = self.table();
            let contact = table.get(&id(device));
            contact.map_or((0, 0), |contact| {
                (contact.notes.dials, contact.notes.refused)
            })
        };
        let (before, _) = known();
        let mut asked = false;
        loop {
            let changed = self.changed.notified();
            if !self.trusts(device) {
                return Err(GetServiceError::DeviceNotTrusted);
            }
            let peer = {
                let table = self.table();
                let session = table.session(&id(device));
                session.map(|session| session.peer.clone())
            };
            if let Some(peer) = peer {
                return Ok(peer);
            }
            if known().1 > before {
                return Err(GetServiceError::NotTrustedByDevice);
            }
            if !std::mem::replace(&mut asked, true) {
                self.dial_if_useful(device);
            }
            if tokio::time::timeout_at(until, changed).await.is_err() {
                return Err(GetServiceError::Unreachable("not found".to_owned()));
            }
        }
    }

    /// A session has begun; what there was before is replaced.
    fn install(&self, device: u8, session: Session) {
        let Some(me) = self.me.upgrade() else { return };
        let (at, link, peer) = (self.place, session.link, session.peer.clone());
        let with = Place {
            device,
            start: peer.boot().epoch,
        };
        let traffic = Traffic {
            received: session.network.received(link, at.device),
            sent: 0,
        };
        let watch = Watch::new(traffic, now());
        // A device that is gone takes no session either.
        let began = match self.is_alive() {
            true => self.table().begin(id(device), session),
            false => Err(session),
        };
        let Ok(Began { before, .. }) = began else {
            return peer.close(DeathReason::DeviceUnreachable, code::LEAVING, "leaving");
        };
        self.record(Event::SessionBegan { at, with, link });
        lock(&self.seen).insert(device, (link, watch));
        if let Some((before, reason)) = before {
            self.record(Event::Offline {
                at,
                of: device,
                reason,
            });
            self.record(Event::Online { at, of: with });
            before
                .peer
                .close(DeathReason::DeviceUnreachable, code::REPLACED, "replaced");
        } else {
            self.record(Event::Online { at, of: with });
        }
        self.changed.notify_waiters();
        self.admit_still(device, &peer);
        tokio::spawn(async move {
            let end = peer.ended().await;
            me.record(Event::SessionEnded {
                at,
                with: device,
                link,
                end: end.clone(),
            });
            me.ended(device, &peer, &end);
        });
    }

    /// A session has ended.
    fn ended(&self, device: u8, peer: &Peer, end: &SessionEnd) {
        let ended = {
            let mut table = self.table();
            let contact = table.get_mut(&id(device));
            let is = |session: &Session| session.peer.is_same(peer);
            contact.and_then(|contact| contact.ended(is, end, now()))
        };
        let Some((_session, reason)) = ended else {
            return;
        };
        let (at, of) = (self.place, device);
        self.record(Event::Offline { at, of, reason });
        self.changed.notify_waiters();
        self.dial_if_useful(device);
    }

    /// It is gone: what it did stops where it stands, and nobody hears of it.
    pub(crate) fn crash(&self) {
        self.alive.store(false, Ordering::Relaxed);
        for task in std::mem::take(&mut *lock(&self.tasks)) {
            task.abort();
        }
        let none = Table::new(id(self.place.device), LIMIT);
        let table = std::mem::replace(&mut *self.table(), none);
        for (_, contact) in table.iter() {
            if let Some(session) = contact.session() {
                session.peer.close(DeathReason::DeviceUnreachable, 0, "");
            }
        }
    }
}

/// The time of the machines.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Close codes that nodes use.
mod code {
    use certs::CloseCode;

    pub(super) const LEAVING: u32 = CloseCode::Leaving.code();
    pub(super) const NOT_TRUSTED: u32 = CloseCode::NotTrusted.code();
    pub(super) const REVOKED: u32 = CloseCode::Revoked.code();
    pub(super) const REPLACED: u32 = CloseCode::Replaced.code();
    pub(super) const DUPLICATE: u32 = CloseCode::Duplicate.code();
    pub(super) const TIMEOUT: u32 = CloseCode::Timeout.code();
}

#[async_trait]
impl Neighbours for Node {
    fn is_trusted(&self, device: &DeviceId) -> bool {
        self.trusts(number(device))
    }

    async fn session(&self, with: Party, _: Instant) -> Result<Peer, GetServiceError> {
        self.session(number(&with.device)).await
    }
}
