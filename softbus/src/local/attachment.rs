//! A process that has attached to the host of its device's bus: it stays attached from host to host, and keeps its services
//! registered.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use proto::{DeviceId, ServiceId};
use rpc::{
    AddServiceError, Bus, BusConfig, CallError, CallOption, DeathReason, GetServiceError,
    Neighbours, Peer, RemoteObject, async_trait, opening::close_code,
    session::passing_rules::Party,
};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinHandle},
    time::{Instant, timeout_at},
};

use super::{
    Door, LocalError, Look, OPENING,
    desk::{DeskProxy, NotGot},
    direct::Direct,
    prelude::Claim,
};
use crate::{
    ability_manager::in_all,
    device::Known,
    presence::{OfflineReason, Presence},
    service_watch::Followers,
};

/// How long after a host is gone, or was not there, it is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// How much longer than what it does for us the host has, to say what came of it.
const ANSWER_TIME: Duration = Duration::from_millis(500);
/// No version of what a host says.
const NOTHING: u64 = u64::MAX;

/// This process, attached.
pub(crate) struct Attachment {
    pub(crate) bus: Arc<Bus>,
    path: PathBuf,
    claim: Claim,
    /// `None` while there is none.
    host: watch::Sender<Option<Host>>,
    direct: Arc<Direct>,
    devices: Devices,
    /// Services of other processes and devices that are watched.
    pub(crate) followers: Followers,
    runtime: tokio::runtime::Handle,
    task: OnceLock<AbortHandle>,
}

/// The host of the bus.
#[derive(Clone)]
struct Host {
    peer: Peer,
    desk: DeskProxy,
}

impl Attachment {
    /// Attaches to the host at `path`.
    ///
    /// # Errors
    /// [`LocalError`].
    pub(crate) async fn start(
        path: &Path,
        configure: impl FnOnce(&mut BusConfig),
    ) -> Result<Arc<Self>, LocalError> {
        let door = Door::knock(path, Claim::NEW).await?;
        let mut config = super::config(door.prelude.party);
        configure(&mut config);
        let me = Arc::new(Self {
            bus: Bus::new(config),
            path: path.to_owned(),
            claim: door.prelude.claim(),
            host: watch::Sender::new(None),
            direct: Arc::default(),
            devices: Devices::default(),
            followers: Followers::default(),
            runtime: tokio::runtime::Handle::current(),
            task: OnceLock::new(),
        });
        let weak: Weak<Self> = Arc::downgrade(&me);
        me.bus.set_neighbours(weak);
        let host = me.enter(door).await?;
        let version = me.learn_devices(&host, NOTHING).await;
        let version = version.map_err(|_| LocalError::Protocol("no devices"))?;
        let task = me.runtime.spawn(stay(Arc::clone(&me), host, version));
        let _ = me.task.set(task.abort_handle());
        Ok(me)
    }

    /// The session with a host, which is ours from here on.
    async fn enter(&self, door: Door) -> Result<Host, LocalError> {
        if door.prelude.party != self.bus.party() {
            return Err(LocalError::OtherDevice);
        }
        let (peer, pairs) = door.enter(&self.bus).await?;
        self.direct.forget_numbers();
        let (bus, direct) = (Arc::clone(&self.bus), Arc::clone(&self.direct));
        self.runtime.spawn(direct.receive_all(bus, pairs));
        let desk = peer.desk(OPENING).await;
        let desk = desk.map_err(|_| LocalError::Protocol("no host"))?;
        let host = Host {
            // What it is asked for may be long in coming.
            desk: DeskProxy::new(desk).with_option(CallOption::two_way().long_poll()),
            peer,
        };
        self.host.send_replace(Some(host.clone()));
        Ok(host)
    }

    /// Asks a host which devices it knows, as soon as that is not version `known`. Returns the version.
    async fn learn_devices(&self, host: &Host, known: u64) -> Result<u64, CallError> {
        let (version, records) = host.desk.devices(known).await?;
        self.devices
            .set(records.into_iter().map(Known::from).collect());
        Ok(version)
    }

    /// The host as soon as there is one.
    async fn host(&self, deadline: Instant) -> Result<Host, GetServiceError> {
        let mut host = self.host.subscribe();
        let there = timeout_at(deadline, host.wait_for(Option::is_some)).await;
        let there = there
            .ok()
            .and_then(Result::ok)
            .and_then(|host| host.clone());
        there.ok_or_else(|| GetServiceError::Unreachable("no host of the bus".to_owned()))
    }

    fn is_ours(&self, device: &DeviceId) -> bool {
        *device == self.bus.party().device
    }

    /// A service of this device or another one, asked of the host unless this process has it.
    pub(crate) async fn look_up(
        &self,
        look: Look,
        service: ServiceId,
        device: &DeviceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        let deadline = Instant::now() + wait;
        let samgr = self.bus.samgr();
        let ours = self.is_ours(device);
        if ours && samgr.has(service) {
            return match look {
                Look::Check => samgr.check(service).ok_or(GetServiceError::Absent),
                _ => samgr.get(service, wait).await,
            };
        }
        let host = self.host(deadline).await?;
        // Something, because no wait at all would be the default.
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        let got = if ours {
            match look {
                Look::Get => host.peer.get_service(service, left).await,
                Look::Check => host.peer.check_service(service, left).await,
                Look::Load => host.peer.load_service(service, left).await,
                Look::WaitFor => host.peer.wait_for_service(service, left).await,
            }
        } else {
            let desk = host.desk.wait(left + ANSWER_TIME);
            let got = desk.service_of(look, service.get(), *device.as_bytes(), left);
            got.await.map_err(not_got)
        };
        got.map_err(|error| in_all(error, left, wait))
    }

    /// The services of a device.
    pub(crate) async fn list_of(
        &self,
        device: &DeviceId,
        wait: Duration,
    ) -> Result<Vec<ServiceId>, GetServiceError> {
        let host = self.host(Instant::now() + wait).await?;
        if self.is_ours(device) {
            return host.peer.callable_services(wait).await;
        }
        let desk = host.desk.wait(wait + ANSWER_TIME);
        let services = desk
            .services_of(*device.as_bytes())
            .await
            .map_err(not_got)?;
        Ok(services.into_iter().filter_map(ServiceId::new).collect())
    }

    /// Tells the host of a service that was registered here, without waiting for what it says.
    pub(crate) fn announce(self: &Arc<Self>, service: ServiceId) {
        let Some(host) = self.host.borrow().clone() else {
            // Who attaches to the next host registers everything.
            return;
        };
        let me = Arc::downgrade(self);
        self.runtime.spawn(async move {
            let Some(bus) = me.upgrade().map(|me| Arc::clone(&me.bus)) else {
                return;
            };
            if let Err(error) = bus.samgr().register_with(&host.peer, service).await {
                tracing::warn!(%service, %error, "service not registered with the host");
            }
        });
    }

    /// As [`announce`](Self::announce), and waits for what the host says.
    pub(crate) async fn register(
        &self,
        service: ServiceId,
        wait: Duration,
    ) -> Result<(), AddServiceError> {
        let host = self.host(Instant::now() + wait).await;
        let host = host.map_err(|error| AddServiceError::HostUnreachable(error.to_string()))?;
        self.bus.samgr().register_with(&host.peer, service).await
    }

    /// What the host said last of other devices.
    pub(crate) fn known(&self) -> Vec<Known> {
        self.devices.get()
    }

    /// Told when it says something else.
    pub(crate) fn devices_changed(&self) -> watch::Receiver<u64> {
        self.devices.changed.subscribe()
    }

    /// Runs something as long as the node's runtime does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.runtime.spawn(task)
    }

    /// Takes leave of the host and of all processes: what is under way ends first, for a short while.
    pub(crate) async fn close(&self) {
        self.stop();
        self.bus.end_waits();
        let host = self.host.send_replace(None);
        let sessions = self.direct.sessions().into_iter();
        let leaving: Vec<_> = sessions
            .chain(host.map(|host| host.peer))
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

    /// As [`close`](Self::close), without waiting.
    pub(crate) fn close_now(&self) {
        self.stop();
        if let Some(host) = self.host.send_replace(None) {
            let reason = DeathReason::HostGone;
            host.peer.close(reason, close_code::LEAVING, "leaving");
        }
        self.direct.close();
    }

    fn stop(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl std::fmt::Debug for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attachment")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Stays attached, from host to host. What the host says of devices is learnt meanwhile.
async fn stay(me: Arc<Attachment>, mut host: Host, mut version: u64) {
    loop {
        let learning = async {
            while let Ok(next) = me.learn_devices(&host, version).await {
                version = next;
            }
            // The host has not understood, or is about to be gone.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = host.peer.ended() => {}
            () = learning => {}
        }
        me.host.send_replace(None);
        me.devices.lose();
        tracing::warn!(path = %me.path.display(), "host of the bus is gone");
        host = come_back(&me).await;
        version = NOTHING;
        tracing::info!(path = %me.path.display(), "attached to the next host of the bus");
    }
}

/// Attaches to the next host as soon as there is one, and registers there what is registered here.
async fn come_back(me: &Arc<Attachment>) -> Host {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        pause = LAST_PAUSE.min(pause * 2);
        let entered = async {
            let door = Door::knock(&me.path, me.claim).await?;
            me.enter(door).await
        };
        match entered.await {
            Ok(host) => {
                for service in me.bus.samgr().own() {
                    me.announce(service);
                }
                return host;
            }
            // Its socket is a ruin, or there is none.
            Err(LocalError::Absent(_)) => {}
            Err(error) => tracing::info!(%error, "not attached"),
        }
    }
}

fn not_got(error: CallError<NotGot>) -> GetServiceError {
    match error {
        CallError::App(error) => error.into(),
        CallError::Send(error) => rpc::look_up_failure(error),
    }
}

#[async_trait]
impl Neighbours for Attachment {
    /// Other devices are the host's affair.
    fn is_trusted(&self, _: &DeviceId) -> bool {
        false
    }

    async fn session(
        &self,
        with: Party,
        deadline: std::time::Instant,
    ) -> Result<Peer, GetServiceError> {
        let deadline = deadline.into();
        if !self.is_ours(&with.device) {
            let why = "only the host of the bus talks to other devices".to_owned();
            return Err(GetServiceError::Unreachable(why));
        }
        if with.process == Party::HOST {
            return Ok(self.host(deadline).await?.peer);
        }
        let ask = async |last| {
            let host = self.host(deadline).await?;
            let asked = host.desk.connect(with.process, last).await;
            asked.map_err(|error| GetServiceError::Unreachable(error.to_string()))
        };
        self.direct.session(with.process, deadline, ask).await
    }
}

/// What a host said last of other devices.
#[derive(Default)]
struct Devices {
    known: Mutex<(u64, Vec<Known>)>,
    changed: watch::Sender<u64>,
}

impl Devices {
    fn lock(&self) -> MutexGuard<'_, (u64, Vec<Known>)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self) -> Vec<Known> {
        self.lock().1.clone()
    }

    fn set(&self, mut devices: Vec<Known>) {
        {
            let mut known = self.lock();
            for device in &mut devices {
                // Each host counts anew how often a device came.
                device.times_online += known.0 << 32;
            }
            known.1 = devices;
        }
        self.tell();
    }

    /// The host is gone, and with it every device.
    fn lose(&self) {
        {
            let mut known = self.lock();
            known.0 += 1;
            for known in &mut known.1 {
                if known.device.is_online() {
                    known.last_offline = Some(OfflineReason::HostGone);
                }
                known.device.presence = Presence::Offline(OfflineReason::HostGone);
            }
        }
        self.tell();
    }

    fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }
}
