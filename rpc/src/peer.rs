//! One peer as everyone in this process shares it: the session under its lock, and what has to happen outside it.

mod call;
mod held_back;
mod passing;
mod state;
mod work;

pub(crate) use call::{Begun, Call, Making, Relayed, failure, max_parcel};
pub(crate) use passing::Passed;
pub(crate) use state::State;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::Instant,
};

use bytes::BytesMut;
use proto::{
    BootId, DeviceId,
    message::{DeathReason, feature},
};
use tokio::{sync::Notify, task::AbortHandle};

use crate::{
    access::Access,
    bus::Bus,
    call::Caller,
    death::Recipient,
    driver::Spare,
    error::LinkToDeathError,
    introduction::{Redemptions, Strikes},
    latch::Latch,
    link::{Link, LinkClosed},
    opening::Remote,
    quotas::{BulkMemory, DescriptorShare},
    relay::{Numbers, Traffic},
    remote::{Holder, Registration, RemoteObject, RemoteProxy},
    session::{
        About, Answer, Attached, ImportKey, LinkId, PeerFault, Scope, Served, ServingId, Session,
        Usage, passing_rules::Party,
    },
    telemetry::{self, PeerTelemetry, SlowThresholds},
};
use held_back::HeldBack;
use work::Work;

/// A session with one peer. Clones are the same session; it ends with [`close`](Self::close), with the link, or with
/// the bus, not with the last clone.
#[derive(Clone)]
pub struct Peer {
    pub(crate) shared: Arc<PeerShared>,
    root: RemoteProxy,
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEnd {
    /// The link ended.
    Link(LinkClosed),
    /// The peer did what no peer may do.
    Fault(PeerFault),
    /// We closed it.
    Closed(DeathReason),
}

/// What the driver, proxies and handlers of a session share.
pub(crate) struct PeerShared {
    /// Not kept: a service of the bus may hold proxies of this session, which hold it.
    bus: Weak<Bus>,
    own: Party,
    remote: Party,
    scope: Scope,
    boot: BootId,
    name: u64,
    version: u32,
    /// Ours alone, never used again in this process.
    number: u64,
    caller: Caller,
    pass_check: crate::parcel::PassCheck,
    access: Arc<Access>,
    link: Arc<dyn Link>,
    runtime: tokio::runtime::Handle,
    state: Mutex<State>,
    /// The timer is to look again: something is due earlier than it knows.
    pub(crate) timer: Notify,
    /// One-way calls of a lane may be sent again.
    credit: Vec<Notify>,
    /// Calls that wait before they are sent.
    held_back: HeldBack,
    end: Latch<SessionEnd>,
    /// We are leaving, and nothing is under way any more.
    idle: Notify,
    /// Lanes are to be finished.
    pub(crate) finish: Latch<()>,
    /// The peer has everything that was written on every lane.
    written: Notify,
    unfinished: AtomicUsize,
    /// Bytes of bulk bodies that are arriving.
    pub(crate) bulk_memory: BulkMemory,
    /// Memory of those that have been read.
    pub(crate) spare: Arc<Spare>,
    /// Room for descriptors that come.
    pub(crate) descriptors: DescriptorShare,
    telemetry: PeerTelemetry,
    slow: SlowThresholds,
    /// Whether objects of third devices may pass, and ours may be passed on.
    introduces: bool,
    /// Whether file descriptors may pass.
    carries_descriptors: bool,
    /// What passes through one of the two ends.
    traffic: Traffic,
    /// Its stubs that are relayed to other devices.
    numbers: Numbers,
    /// The peer's system ability manager.
    root: OnceLock<Weak<crate::remote::ProxyInner>>,
    me: Weak<Self>,
}

/// What a peer is, as the one who opened the session knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerInfo {
    pub(crate) remote: Remote,
    pub(crate) name: u64,
    pub(crate) version: u32,
}

impl Peer {
    pub(crate) fn new(
        bus: &Arc<Bus>,
        link: Arc<dyn Link>,
        mut session: Session,
        root: ImportKey,
        info: PeerInfo,
    ) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        session.set_slow_thresholds(bus.config().slow);
        telemetry::metrics::session_opened();
        let config = session.config();
        let (scope, boot, lanes) = (
            config.scope,
            config.peer_boot,
            usize::from(config.lanes) + 1,
        );
        let traffic = Traffic::new(&config.limits, lanes);
        let introduces = config.features & feature::INTRODUCTIONS != 0;
        let carries_descriptors = config.features & feature::DESCRIPTORS != 0;
        let object = proto::ObjectId {
            boot,
            number: crate::remote::LocalObject::ROOT,
        };
        let shared = Arc::new_cyclic(|me| PeerShared {
            own: bus.party(),
            bus: Arc::downgrade(bus),
            remote: info.remote.party,
            scope,
            boot,
            name: info.name,
            version: info.version,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            caller: Caller::remote(&info.remote, bus.config().quotas.streams),
            pass_check: PeerShared::make_pass_check(me.clone(), None),
            access: Arc::clone(&bus.access),
            link,
            runtime: tokio::runtime::Handle::current(),
            state: Mutex::new(State {
                session,
                call_wakers: Vec::new(),
                lane_wakers: vec![None; lanes],
                handlers: Vec::new(),
                proxies: HashMap::new(),
                recipients: BTreeMap::new(),
                redemptions: Redemptions::default(),
                as_origin: Strikes::default(),
                as_receiver: Strikes::default(),
                armed: None,
                early: 0,
            }),
            timer: Notify::new(),
            credit: (0..lanes).map(|_| Notify::new()).collect(),
            held_back: HeldBack::default(),
            end: Latch::new(),
            idle: Notify::new(),
            finish: Latch::new(),
            written: Notify::new(),
            unfinished: AtomicUsize::new(lanes),
            bulk_memory: BulkMemory::new(&bus.config().quotas, &bus.bulk_memory),
            spare: Arc::clone(&bus.spare),
            descriptors: bus.descriptors.share_of(
                info.remote.credentials.map(|who| who.uid),
                &bus.config().quotas,
            ),
            telemetry: PeerTelemetry::default(),
            slow: bus.config().slow,
            introduces,
            carries_descriptors,
            traffic,
            numbers: Numbers::default(),
            root: OnceLock::new(),
            me: me.clone(),
        });
        let root = shared
            .lock()
            .import(&shared, root, About::anonymous(object));
        let _ = shared.root.set(Arc::downgrade(&root.0));
        Self { root, shared }
    }

    /// Who it is.
    pub fn party(&self) -> Party {
        self.shared.remote
    }

    /// Which start of its bus it is.
    pub fn boot(&self) -> BootId {
        self.shared.boot
    }

    /// The session's name, random, known to both ends.
    pub fn session_name(&self) -> u64 {
        self.shared.name
    }

    /// The version of the protocol that both ends speak.
    pub fn version(&self) -> u32 {
        self.shared.version
    }

    /// Whether both are the same session.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// The peer's system ability manager.
    pub(crate) fn root(&self) -> RemoteObject {
        self.root.clone().into()
    }

    /// How much the session holds.
    pub fn usage(&self) -> Usage {
        self.shared.usage()
    }

    /// Why it ended; `None` while it lives.
    pub fn end(&self) -> Option<SessionEnd> {
        self.shared.end.get().cloned()
    }

    /// Waits for its end.
    pub async fn ended(&self) -> SessionEnd {
        self.shared.ended().await
    }

    /// Ends it at once: pending calls end as indeterminate, proxies die with `reason`. The peer is told `code` and
    /// `text`.
    pub fn close(&self, reason: DeathReason, code: u32, text: &str) {
        self.shared.close(SessionEnd::Closed(reason), reason);
        self.shared.link.close(code, text);
    }

    /// Ends it when what is under way has ended, at the latest after
    /// [`DRAIN_TIME`](crate::limits::DRAIN_TIME). New calls of the peer are refused from now on.
    pub async fn leave(&self, code: u32, text: &str) {
        let shared = &self.shared;
        shared.run(|state, _| state.session.go_away(code, text));
        let drained = async {
            shared.idle.notified().await;
            shared.finish.set(());
            shared.written.notified().await;
        };
        tokio::select! {
            biased;
            // The link would drop what it has not written when it is closed.
            _ = tokio::time::timeout(crate::limits::DRAIN_TIME, drained) => {}
            _ = self.ended() => {}
        }
        self.close(DeathReason::DeviceUnreachable, code, text);
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("device", &self.shared.remote.device)
            .field("transport", &self.shared.link.transport())
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}

impl PeerShared {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn own(&self) -> Party {
        self.own
    }

    pub(crate) fn remote(&self) -> Party {
        self.remote
    }

    /// The peer's device, if that is not ours.
    pub(crate) fn remote_device(&self) -> Option<DeviceId> {
        (self.scope == Scope::OtherDevice).then_some(self.remote.device)
    }

    pub(crate) fn telemetry(&self) -> &PeerTelemetry {
        &self.telemetry
    }

    pub(crate) fn slow_thresholds(&self) -> SlowThresholds {
        self.slow
    }

    pub(crate) fn usage(&self) -> Usage {
        self.lock().session.usage()
    }

    pub(crate) fn bus(&self) -> Option<Arc<Bus>> {
        self.bus.upgrade()
    }

    /// Whether both ends know introductions.
    pub(crate) fn introduces(&self) -> bool {
        self.introduces
    }

    /// The peer's system ability manager, as long as somebody keeps the session.
    pub(crate) fn root(&self) -> Option<RemoteObject> {
        let root = self.root.get()?.upgrade()?;
        Some(RemoteProxy(root).into())
    }

    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// Whether a device may call a method of a service: the service and the policy have to admit it.
    pub(crate) fn may_call(
        &self,
        device: DeviceId,
        registration: &Registration,
        code: u32,
    ) -> bool {
        self.access.look(device, registration.service, |ruled| {
            registration.admits(device, ruled)
                && ruled.is_none_or(|permission| permission.admits(code))
        })
    }

    /// Who makes a call: the peer, or a device for which it is passed on.
    pub(crate) fn caller_of(&self, behalf: Option<DeviceId>) -> Caller {
        match behalf {
            None => self.caller.clone(),
            Some(device) => self.traffic.callers.of(device),
        }
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(crate) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// The peer, as one that holds a stub.
    fn holder(&self) -> Holder {
        Holder {
            device: self.remote.device,
            pid: self.caller.pid(),
            session: self.name,
            references: 1,
        }
    }

    pub(crate) fn link(&self) -> &Arc<dyn Link> {
        &self.link
    }

    pub(crate) fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the session, and then, outside the lock, what that left to be done.
    pub(crate) fn run<R>(&self, command: impl FnOnce(&mut State, Instant) -> R) -> R {
        let now = now();
        self.change(|state| command(state, now))
    }

    /// As [`run`](Self::run), where the time is known or does not matter.
    pub(crate) fn change<R>(&self, command: impl FnOnce(&mut State) -> R) -> R {
        let mut work = Work::default();
        let result = {
            let mut state = self.lock();
            state.add_tags();
            let result = command(&mut state);
            state.drain(self, &mut work);
            self.tell_if_idle(&state);
            result
        };
        work.perform(self);
        result
    }

    /// Gives the session the answers of many requests at once. Returns those that may have been slow.
    pub(crate) fn finish_all<'a>(
        &self,
        answers: impl IntoIterator<Item = (ServingId, Answer<'a>)>,
    ) -> Vec<(ServingId, Served)> {
        let mut slow = Vec::new();
        self.change(|state| {
            for (serving, answer) in answers {
                let served = state.session.finish(serving, &answer);
                slow.extend(served.map(|served| (serving, served)));
            }
        });
        slow
    }

    fn tell_if_idle(&self, state: &State) {
        if state.session.is_leaving() && state.session.is_idle() {
            self.idle.notify_one();
        }
    }

    /// The peer has everything that was written on one lane.
    pub(crate) fn lane_finished(&self) {
        if self.unfinished.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.written.notify_one();
        }
    }

    pub(crate) async fn ended(&self) -> SessionEnd {
        self.end.wait().await.clone()
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.end.get().is_some()
    }

    /// Whether it has ended, or its lanes are to be finished.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_over() || self.finish.get().is_some()
    }

    /// Ends the session; the first reason counts.
    pub(crate) fn close(&self, end: SessionEnd, reason: DeathReason) {
        if self.end.set(end.clone()) {
            tracing::debug!(device = ?self.remote.device, ?end, "session ended");
            self.run(|state, _| state.session.close(reason));
            if let Some(bus) = self.bus.upgrade() {
                bus.forget_peer(self.number);
            }
            telemetry::metrics::session_ended(self, reason);
        }
    }

    /// The peer did what no peer may do.
    pub(crate) fn fault(&self, fault: PeerFault) {
        tracing::warn!(device = ?self.remote.device, %fault, "peer broke the protocol");
        self.close(SessionEnd::Fault(fault), DeathReason::DeviceUnreachable);
        self.link
            .close(crate::opening::close_code::PROTOCOL, "protocol");
    }

    pub(crate) fn import_death(&self, key: ImportKey) -> Option<DeathReason> {
        self.lock().session.import_death(key)
    }

    /// The last reference to a proxy is gone.
    pub(crate) fn drop_proxy(&self, key: ImportKey) {
        self.run(|state, _| {
            state.session.drop_hold(key);
            if !state.session.has_import(key) {
                state.proxies.remove(&key);
            }
        });
    }

    pub(crate) fn link_to_death(
        &self,
        key: ImportKey,
        recipient: Recipient,
    ) -> Result<LinkId, LinkToDeathError> {
        self.run(|state, _| {
            let link = state.session.link_to_death(key)?;
            state.recipients.insert(link, recipient);
            Ok(link)
        })
    }

    pub(crate) fn unlink_to_death(&self, key: ImportKey, link: LinkId) -> bool {
        // Taken out under the lock, dropped outside it: it is somebody's code.
        let recipient = self.run(|state, _| {
            state.session.unlink_to_death(key, link);
            state.recipients.remove(&link)
        });
        recipient.is_some()
    }

    /// The recipient of a link, if it has not been taken back.
    fn take_recipient(&self, link: LinkId) -> Option<Recipient> {
        self.lock().recipients.remove(&link)
    }

    /// Remembers how to stop a handler, unless it is to stop already.
    pub(crate) fn set_handler(&self, serving: ServingId, handle: AbortHandle) {
        let mut state = self.lock();
        if state.session.is_stopped(serving) {
            drop(state);
            handle.abort();
            return;
        }
        let slot = serving.slot();
        if state.handlers.len() <= slot {
            state.handlers.resize_with(slot + 1, || None);
        }
        state.handlers[slot] = Some(handle);
    }

    /// Whether a lane has anything to write.
    pub(crate) fn has_transmit(&self, lane: u16) -> bool {
        self.lock().session.has_transmit(lane)
    }

    /// What a lane has to write, swapped with `buffer`, and what goes with it; when there is nothing, `waker` is woken once
    /// there is.
    pub(crate) fn poll_transmit(
        &self,
        lane: u16,
        buffer: &mut BytesMut,
        waker: &Waker,
    ) -> Attached {
        let mut state = self.lock();
        state.session.poll_transmit(lane, buffer);
        let attached = state.session.take_attached(lane);
        self.telemetry.sent(buffer.len());
        self.tell_if_idle(&state);
        if buffer.is_empty() {
            let place = &mut state.lane_wakers[usize::from(lane)];
            match place {
                Some(known) if known.will_wake(waker) => {}
                _ => *place = Some(waker.clone()),
            }
        }
        attached
    }

    /// When the session next wants to be told the time; remembers that the timer waits for it.
    pub(crate) fn arm(&self) -> Option<Instant> {
        let mut state = self.lock();
        state.armed = state.session.poll_timeout();
        state.armed
    }
}

/// The clock of the runtime, which tests can stop. The only place in this crate that reads one.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
