//! A device: a bus, its sessions with others, and how they come about.
//!
//! Who dials whom, which of two connections that cross is kept, and what a restart replaces is decided as nodes do it
//! (`softbus/src/peers`), in a few lines: that code is bound to QUIC connections and cannot run here.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use proto::{BootId, DeviceId, message::DeathReason};
use rpc::{
    Bus, BusConfig, GetServiceError, Neighbours, Peer, limits,
    opening::{self, Incoming, Remote},
    session::passing_rules::Party,
};
use tokio::task::AbortHandle;

use crate::{
    carrier::Numbered,
    log::{Event, Place},
    simulation::Shared,
};

/// Close codes that nodes use (`certs::CloseCode`).
mod code {
    pub(super) const REPLACED: u32 = 0x109;
    pub(super) const DUPLICATE: u32 = 0x107;
}

/// How long the smaller id withholds Welcome while its own dial is open.
const WITHHELD: Duration = Duration::from_secs(2);
/// How long a device that could not be reached is left alone at first; then twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// A start of a device.
#[derive(Debug)]
pub(crate) struct Node {
    /// Which.
    pub(crate) place: Place,
    /// Its bus.
    pub(crate) bus: Arc<Bus>,
    shared: Arc<Shared>,
    sessions: Mutex<BTreeMap<u8, Session>>,
    /// The last session with each device, for one that still believes in it.
    lost: Mutex<BTreeMap<u8, u64>>,
    /// Held while a device is dialled.
    dialling: Vec<tokio::sync::Mutex<()>>,
    /// It has not crashed.
    alive: AtomicBool,
    /// What its applications do.
    tasks: Mutex<Vec<AbortHandle>>,
    me: Weak<Self>,
}

#[derive(Clone, Debug)]
struct Session {
    peer: Peer,
    link: u32,
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
    pub(crate) fn start(shared: &Arc<Shared>, place: Place, lanes: u16) -> Arc<Self> {
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
            sessions: Mutex::default(),
            lost: Mutex::default(),
            dialling: (0..=u8::MAX).map(|_| tokio::sync::Mutex::new(())).collect(),
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

    /// The session with a device, if there is one.
    pub(crate) fn known(&self, device: u8) -> Option<Peer> {
        let session = lock(&self.sessions).get(&device).cloned()?;
        session.peer.end().is_none().then_some(session.peer)
    }

    /// The devices that there is a session with.
    pub(crate) fn peers(&self) -> Vec<(u8, Peer)> {
        let sessions = lock(&self.sessions);
        let sessions = sessions.iter();
        sessions
            .map(|(device, session)| (*device, session.peer.clone()))
            .collect()
    }

    /// The session with a device: the one there is, or a new one.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn session(&self, device: u8) -> Result<Peer, GetServiceError> {
        let until = tokio::time::Instant::now() + limits::DEFAULT_WAIT;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.dial(device).await {
                Ok(peer) => return Ok(peer),
                Err(error) if tokio::time::Instant::now() + pause > until => return Err(error),
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
    }

    async fn dial(&self, device: u8) -> Result<Peer, GetServiceError> {
        let unreachable = |why: &str| GetServiceError::Unreachable(why.to_owned());
        let _dialling = self.dialling[usize::from(device)].lock().await;
        if let Some(peer) = self.known(device) {
            return Ok(peer);
        }
        let lost = lock(&self.lost).get(&device).copied().unwrap_or_default();
        let Numbered { number, link } = self.shared.network.dial(self.place, device);
        let remote = Remote::device(party(device));
        match opening::connect(&self.bus, link, remote, lost).await {
            Ok(peer) => {
                self.install(device, number, &peer);
                Ok(peer)
            }
            // The other end may have kept a connection of its own.
            Err(error) => self
                .known(device)
                .ok_or_else(|| unreachable(&error.to_string())),
        }
    }

    /// Answers a connection that another device dialled.
    pub(crate) async fn answer(&self, end: Numbered, device: u8) {
        let Numbered { number, link } = end;
        let remote = Remote::device(party(device));
        let Ok(incoming) = Incoming::accept(link, remote).await else {
            return;
        };
        let known = self.known(device).map(|peer| peer.boot());
        if known.is_some_and(|known| incoming.boot().epoch < known.epoch) {
            return incoming.refuse(code::REPLACED, "boot id");
        }
        if self.place.device < device {
            // Of two connections that cross, both ends keep the one that the smaller id dialled.
            let dialling = self.dialling[usize::from(device)].lock();
            let _ = tokio::time::timeout(WITHHELD, dialling).await;
            let keeps = |peer: Peer| {
                peer.boot() == incoming.boot() && peer.session_name() != incoming.replaces()
            };
            if self.known(device).is_some_and(keeps) {
                return incoming.refuse(code::DUPLICATE, "another connection was kept");
            }
        }
        if let Ok(peer) = incoming.welcome(&self.bus).await {
            self.install(device, number, &peer);
        }
    }

    /// A session has begun; what there was before is replaced.
    fn install(&self, device: u8, link: u32, peer: &Peer) {
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
        };
        let before = lock(&self.sessions).insert(device, session);
        if let Some(before) = before {
            before
                .peer
                .close(DeathReason::DeviceUnreachable, code::REPLACED, "replaced");
        }
        let peer = peer.clone();
        tokio::spawn(async move {
            let end = peer.ended().await;
            let with = device;
            me.record(Event::SessionEnded {
                at,
                with,
                link,
                end,
            });
            lock(&me.lost).insert(device, peer.session_name());
            let mut sessions = lock(&me.sessions);
            if sessions
                .get(&device)
                .is_some_and(|session| session.link == link)
            {
                sessions.remove(&device);
            }
        });
    }

    /// It is gone: what it did stops where it stands, and nobody hears of it.
    pub(crate) fn crash(&self) {
        self.alive.store(false, Ordering::Relaxed);
        for task in std::mem::take(&mut *lock(&self.tasks)) {
            task.abort();
        }
        let sessions = std::mem::take(&mut *lock(&self.sessions));
        for session in sessions.into_values() {
            session.peer.close(DeathReason::DeviceUnreachable, 0, "");
        }
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
