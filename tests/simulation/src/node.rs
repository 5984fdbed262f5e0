//! A device: a bus, its sessions with others, and how they come about.
//!
//! Who is welcome, which of two connections that cross is kept, when somebody is dialled again, and who is online is decided by the
//! very code of nodes (`softbus::__decisions`, `softbus::presence::Machine`). What is around that, and bound to connections of
//! QUIC and TCP there (`softbus/src/peers`), is written again here, in the same order.

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
    link::LinkClosed,
    opening::{self, Incoming, Remote},
    session::passing_rules::Party,
};
use softbus::{
    __decisions::{
        Current, DIAL_TIME, Due, Hello, WITHHELD, backoff, ghost, offline_reason, welcome_due,
    },
    presence::{Machine, OfflineReason},
};
use tokio::{sync::Notify, task::AbortHandle};

use crate::{
    carrier::Numbered,
    log::{Event, Place},
    random::Random,
    simulation::Shared,
};

/// Close codes that nodes use (`certs::CloseCode`).
mod code {
    pub(super) const REPLACED: u32 = 0x109;
    pub(super) const DUPLICATE: u32 = 0x107;
}

/// A start of a device.
#[derive(Debug)]
pub(crate) struct Node {
    /// Which.
    pub(crate) place: Place,
    /// Its bus.
    pub(crate) bus: Arc<Bus>,
    shared: Arc<Shared>,
    table: Mutex<BTreeMap<u8, Entry>>,
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

/// What is known of another device.
#[derive(Debug, Default)]
struct Entry {
    machine: Machine,
    session: Option<Session>,
    /// A dial is open.
    dialling: bool,
    /// Connections of the device that are being welcomed.
    welcoming: u32,
    /// Dials that failed since something worked.
    failures: u32,
    /// The last session's name, for a device that still believes in it.
    lost: u64,
}

impl Entry {
    /// Whether a dial would bring a session that there is not, and that is not about to be.
    const fn may_dial(&self) -> bool {
        !self.dialling && self.welcoming == 0 && self.session.is_none()
    }
}

#[derive(Clone, Debug)]
struct Session {
    peer: Peer,
    link: u32,
    /// This end dialled, and so the other has said Welcome.
    dialled: bool,
}

/// Who a device is.
pub(crate) const fn party(device: u8) -> Party {
    Party {
        device: DeviceId::from_bytes([device; 32]),
        process: Party::HOST,
    }
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
            table: Mutex::default(),
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

    /// The device hears of another one.
    pub(crate) fn candidate(&self, device: u8) {
        lock(&self.table).entry(device).or_default().failures = 0;
        self.dial_if_useful(device);
    }

    /// The devices that there is a session with.
    pub(crate) fn peers(&self) -> Vec<(u8, Peer)> {
        let table = lock(&self.table);
        let sessions = table.iter();
        sessions
            .filter_map(|(device, entry)| Some((*device, entry.session.as_ref()?.peer.clone())))
            .collect()
    }

    /// Writes down who is online here, and by which connection.
    pub(crate) fn tell_who_is_online(&self) {
        for of in (0..self.shared.devices).filter(|of| *of != self.place.device) {
            let link = {
                let table = lock(&self.table);
                let entry = table.get(&of).filter(|entry| entry.machine.is_online());
                entry.and_then(|entry| Some(entry.session.as_ref()?.link))
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
        let mut asked = false;
        loop {
            let changed = self.changed.notified();
            let peer = {
                let table = lock(&self.table);
                let session = table.get(&device).and_then(|entry| entry.session.as_ref());
                session.map(|session| session.peer.clone())
            };
            if let Some(peer) = peer {
                return Ok(peer);
            }
            if !std::mem::replace(&mut asked, true) {
                self.dial_if_useful(device);
            }
            if tokio::time::timeout_at(until, changed).await.is_err() {
                return Err(GetServiceError::Unreachable("not found".to_owned()));
            }
        }
    }

    /// Begins to dial a device that has no session.
    fn dial_if_useful(&self, device: u8) {
        let Some(me) = self.me.upgrade() else { return };
        if !self.is_alive() {
            return;
        }
        {
            let mut table = lock(&self.table);
            let entry = table.entry(device).or_default();
            if !entry.may_dial() {
                return;
            }
            entry.dialling = true;
            entry.machine.dialling();
        }
        self.spawn(async move { me.dial_until_online(device).await });
    }

    async fn dial_until_online(&self, device: u8) {
        loop {
            let _ = tokio::time::timeout(DIAL_TIME, self.dial(device)).await;
            let failures = {
                let mut table = lock(&self.table);
                let entry = table.entry(device).or_default();
                // Between two rounds no dial is open, and a connection of the peer's is welcome.
                entry.dialling = false;
                if entry.session.is_some() {
                    entry.machine.dial_failed();
                    None
                } else {
                    entry.failures += 1;
                    Some(entry.failures)
                }
            };
            self.changed.notify_waiters();
            let Some(failures) = failures else { return };
            let chance = lock(&self.chance).below(256) as u8;
            tokio::time::sleep(backoff(failures, chance)).await;
            let mut table = lock(&self.table);
            let entry = table.entry(device).or_default();
            if !entry.may_dial() {
                return;
            }
            entry.dialling = true;
        }
    }

    async fn dial(&self, device: u8) {
        let lost = lock(&self.table).entry(device).or_default().lost;
        let Numbered { number, link } = self.shared.network.dial(self.place, device);
        self.record(Event::Dialled {
            at: self.place,
            to: device,
            link: number,
        });
        let remote = Remote::device(party(device));
        if let Ok(peer) = opening::connect(&self.bus, link, remote, lost).await {
            self.install(device, number, &peer, true);
        }
    }

    /// Answers a connection that another device dialled.
    pub(crate) async fn answer(&self, end: Numbered, device: u8) {
        let Numbered { number, link } = end;
        let remote = Remote::device(party(device));
        let Ok(incoming) = Incoming::accept(&self.bus, link, remote).await else {
            return;
        };
        let known = {
            let table = lock(&self.table);
            let session = table.get(&device).and_then(|entry| entry.session.as_ref());
            session.map(|session| session.peer.boot())
        };
        if ghost(known, incoming.boot()).is_some() {
            return incoming.refuse(code::REPLACED, "boot id");
        }
        let hello = Hello {
            boot: incoming.boot(),
            replaces: incoming.replaces(),
        };
        let due = Welcoming::when_due(self, device, hello, incoming.closed());
        let Some(_welcoming) = due.await else {
            return incoming.refuse(code::DUPLICATE, "another connection was kept");
        };
        if let Ok(peer) = incoming.welcome(&self.bus).await {
            self.install(device, number, &peer, false);
        }
    }

    /// A session has begun; what there was before is replaced.
    fn install(&self, device: u8, link: u32, peer: &Peer, dialled: bool) {
        let Some(me) = self.me.upgrade() else { return };
        if !self.is_alive() {
            return peer.close(DeathReason::DeviceUnreachable, 0, "");
        }
        let at = self.place;
        let with = Place {
            device,
            start: peer.boot().epoch,
        };
        self.record(Event::SessionBegan { at, with, link });
        let session = Session {
            peer: peer.clone(),
            link,
            dialled,
        };
        let before = {
            let mut table = lock(&self.table);
            let entry = table.entry(device).or_default();
            entry.failures = 0;
            let before = entry.session.replace(session);
            if before.is_some() && entry.machine.offline(OfflineReason::Restarted) {
                let reason = OfflineReason::Restarted;
                self.record(Event::Offline {
                    at,
                    of: device,
                    reason,
                });
            }
            entry.machine.online(peer.boot());
            self.record(Event::Online { at, of: with });
            before
        };
        if let Some(before) = before {
            before
                .peer
                .close(DeathReason::DeviceUnreachable, code::REPLACED, "replaced");
        }
        self.changed.notify_waiters();
        let peer = peer.clone();
        tokio::spawn(async move {
            let end = peer.ended().await;
            let reason = offline_reason(&end);
            me.record(Event::SessionEnded {
                at,
                with: device,
                link,
                end,
            });
            me.ended(device, link, &peer, reason);
        });
    }

    /// A session has ended.
    fn ended(&self, device: u8, link: u32, peer: &Peer, reason: OfflineReason) {
        let _session = {
            let mut table = lock(&self.table);
            let entry = table.entry(device).or_default();
            let current = entry.session.as_ref();
            if current.is_none_or(|session| session.link != link) {
                return;
            }
            entry.lost = peer.session_name();
            if entry.machine.offline(reason.clone()) {
                let (at, of) = (self.place, device);
                self.record(Event::Offline { at, of, reason });
            }
            entry.session.take()
        };
        self.changed.notify_waiters();
        self.dial_if_useful(device);
    }

    /// It is gone: what it did stops where it stands, and nobody hears of it.
    pub(crate) fn crash(&self) {
        self.alive.store(false, Ordering::Relaxed);
        for task in std::mem::take(&mut *lock(&self.tasks)) {
            task.abort();
        }
        let table = std::mem::take(&mut *lock(&self.table));
        for session in table.into_values().filter_map(|entry| entry.session) {
            session.peer.close(DeathReason::DeviceUnreachable, 0, "");
        }
    }
}

/// A connection is being welcomed: meanwhile no dial of our own is begun, whose session would replace this one.
struct Welcoming<'a> {
    node: &'a Node,
    device: u8,
}

impl<'a> Welcoming<'a> {
    /// Withholds Welcome as long as it is due later; `None` if another connection is kept.
    async fn when_due(
        node: &'a Node,
        device: u8,
        hello: Hello,
        gone: impl Future<Output = LinkClosed>,
    ) -> Option<Self> {
        if node.place.device < device {
            let due = async {
                loop {
                    let changed = node.changed.notified();
                    match Self::judge(node, device, hello) {
                        Ok(welcoming) => return Some(welcoming),
                        Err(Due::Never) => return None,
                        Err(_) => changed.await,
                    }
                }
            };
            tokio::select! {
                biased;
                due = tokio::time::timeout(WITHHELD, due) => if let Ok(due) = due {
                    return due;
                },
                _ = gone => return None,
            }
        }
        Some(Self::begin(node, &mut lock(&node.table), device))
    }

    fn judge(node: &'a Node, device: u8, hello: Hello) -> Result<Self, Due> {
        let mut table = lock(&node.table);
        let entry = table.get(&device);
        let dialling = entry.is_some_and(|entry| entry.dialling);
        let session = entry.and_then(|entry| entry.session.as_ref());
        let current = session.map(|session| Current {
            boot: session.peer.boot(),
            name: session.peer.session_name(),
            confirmed: session.dialled || node.shared.network.hears(session.link),
        });
        match welcome_due(current, dialling, hello) {
            Due::Now => Ok(Self::begin(node, &mut table, device)),
            later => Err(later),
        }
    }

    fn begin(node: &'a Node, table: &mut BTreeMap<u8, Entry>, device: u8) -> Self {
        table.entry(device).or_default().welcoming += 1;
        Self { node, device }
    }
}

impl Drop for Welcoming<'_> {
    fn drop(&mut self) {
        if let Some(entry) = lock(&self.node.table).get_mut(&self.device) {
            entry.welcoming -= 1;
        }
        self.node.dial_if_useful(self.device);
    }
}

#[async_trait]
impl Neighbours for Node {
    fn is_trusted(&self, _: &DeviceId) -> bool {
        true
    }

    async fn session(&self, with: Party, _: Instant) -> Result<Peer, GetServiceError> {
        self.session(number(&with.device)).await
    }
}
