//! The system ability manager of a node: its own services, and those of other devices.

use std::time::Duration;

use proto::{DeviceId, ServiceId};
use rpc::{
    AddServiceError, GetServiceError, LocalAbilityManager, OnDemandOptions, Peer, RemoteObject,
    RemoveServiceError, ServiceOptions, ServiceStarter, ServiceWatch, WatchServiceError, limits,
};
use tokio::time::Instant;

#[cfg(target_os = "linux")]
use crate::local::Look;
use crate::{peers::Peers, service_watch::RemoteServiceWatch, side::Side};

/// The devices of a node on the network; an attached node leaves with what the host of the bus says.
macro_rules! through_host {
    ($me:ident, $look:expr, $service:ident, $device:ident, $wait:expr) => {
        match &$me.side {
            Side::Network(peers) => peers,
            #[cfg(target_os = "linux")]
            Side::Host(attachment) => {
                return attachment.look_up($look, $service, $device, $wait).await;
            }
        }
    };
}

/// Registers services, and finds those of this device and of others.
#[derive(Clone, Debug)]
pub struct SystemAbilityManager {
    local: LocalAbilityManager,
    side: Side,
}

impl SystemAbilityManager {
    pub(crate) fn new(side: Side) -> Self {
        Self {
            local: side.bus().samgr(),
            side,
        }
    }

    /// Registers a stub under an id, for this device only or, with [`ServiceOptions::distributed`], for others too.
    /// What stood there before is removed: its proxies die, and watchers see it go and the new one come.
    ///
    /// On an attached node the host of the bus is told, and told again whenever there is another host; what it says is in
    /// the log. [`register`](Self::register) waits for that.
    ///
    /// # Errors
    /// [`AddServiceError`].
    pub fn add(
        &self,
        service: ServiceId,
        object: &RemoteObject,
        options: ServiceOptions,
    ) -> Result<(), AddServiceError> {
        self.local.add(service, object, options)?;
        match &self.side {
            Side::Network(_) => {}
            #[cfg(target_os = "linux")]
            Side::Host(attachment) => attachment.announce(service),
        }
        Ok(())
    }

    /// As [`add`](Self::add), and on an attached node waits up to 8 s for the host of the bus, after which every process of the
    /// device finds the service. If the host refuses it, it is removed here too.
    ///
    /// # Errors
    /// [`AddServiceError`]; with [`HostUnreachable`](AddServiceError::HostUnreachable) the service is registered here, and with
    /// the host as soon as there is one.
    pub async fn register(
        &self,
        service: ServiceId,
        object: &RemoteObject,
        options: ServiceOptions,
    ) -> Result<(), AddServiceError> {
        self.local.add(service, object, options)?;
        match &self.side {
            Side::Network(_) => Ok(()),
            #[cfg(target_os = "linux")]
            Side::Host(attachment) => {
                let registered = attachment.register(service, limits::DEFAULT_WAIT).await;
                if let Err(error) = &registered
                    && !matches!(error, AddServiceError::HostUnreachable(_))
                {
                    // Removed by somebody else meanwhile, it is not there either.
                    let _ = self.local.remove(service);
                }
                registered
            }
        }
    }

    /// Removes a service of this node, wherever it is known: its proxies die with reason *service removed*.
    ///
    /// # Errors
    /// [`RemoveServiceError`].
    pub fn remove(&self, service: ServiceId) -> Result<(), RemoveServiceError> {
        self.local.remove(service)
    }

    /// Offers a service that is started when somebody gets, loads or waits for it:
    /// [`LocalAbilityManager::add_on_demand`]. [`local`](Self::local) unloads it.
    ///
    /// ```no_run
    /// # async fn open_camera() -> Result<softbus::RemoteObject, std::io::Error> { unimplemented!() }
    /// # fn offer(node: &softbus::Node) -> Result<(), softbus::rpc::AddServiceError> {
    /// use softbus::{Allow, ServiceId, ServiceOptions};
    ///
    /// const CAMERA: ServiceId = ServiceId::new(1402).unwrap();
    ///
    /// let options = ServiceOptions::distributed(Allow::trusted());
    /// node.samgr().add_on_demand(CAMERA, open_camera, options)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`AddServiceError`].
    pub fn add_on_demand(
        &self,
        service: ServiceId,
        starter: impl ServiceStarter,
        options: impl Into<OnDemandOptions>,
    ) -> Result<(), AddServiceError> {
        self.local.add_on_demand(service, starter, options)
    }

    /// The services of this node alone, and on one that hosts a bus those of the processes that attached to it: what can be done with them that cannot be with those of others.
    pub fn local(&self) -> &LocalAbilityManager {
        &self.local
    }

    /// One look at the services of this device; nothing is started. An attached node sees its own; those of other processes
    /// are seen with [`check_of`](Self::check_of).
    pub fn check(&self, service: ServiceId) -> Option<RemoteObject> {
        self.local.check(service)
    }

    /// One look at the services of a device, waiting up to 8 s for the device to be found and to answer. A service that
    /// could be started is [`Absent`](GetServiceError::Absent).
    ///
    /// # Errors
    /// [`GetServiceError`].
    pub async fn check_of(
        &self,
        service: ServiceId,
        device: &DeviceId,
    ) -> Result<RemoteObject, GetServiceError> {
        let wait = limits::DEFAULT_WAIT;
        let peers = through_host!(self, Look::Check, service, device, wait);
        if self.is_ours(device) {
            return self.check(service).ok_or(GetServiceError::Absent);
        }
        let (peer, left) = reach(peers, device, wait).await?;
        peer.check_service(service, left).await
    }

    /// The ids of the services of this node, and of those attached to it, ascending, those that are started on demand among them.
    pub fn list(&self) -> Vec<ServiceId> {
        self.local.list()
    }

    /// Watches a service of this node or of one attached to it: one that is there is the first event. An attached node watches
    /// those of other processes with [`watch_of`](Self::watch_of).
    ///
    /// # Errors
    /// [`WatchServiceError`]: there are 256 watches already.
    pub fn watch(&self, service: ServiceId) -> Result<ServiceWatch, WatchServiceError> {
        self.local.watch(service)
    }

    /// Follows a service of another device, as long as the watch is kept: it is added when the device is there and has it
    /// for this one, and removed when it dies or the device goes. Watches of one service share what they cost: a request
    /// that the device answers when the service comes, and a death link.
    ///
    /// # Errors
    /// [`WatchServiceError`]: there are 256 watches already, those of this device's services among them.
    pub fn watch_of(
        &self,
        service: ServiceId,
        device: &DeviceId,
    ) -> Result<RemoteServiceWatch, WatchServiceError> {
        let place = self.local.watch_place()?;
        let followers = self.side.followers();
        Ok(followers.watch(&self.side, service, *device, place))
    }

    /// Gets a service of a device, waiting up to 8 s for the device to be found, to start the service if it is started on
    /// demand, and to answer. An absent service is an error at once.
    ///
    /// # Errors
    /// [`GetServiceError`].
    pub async fn get(
        &self,
        service: ServiceId,
        device: &DeviceId,
    ) -> Result<RemoteObject, GetServiceError> {
        self.get_within(service, device, limits::DEFAULT_WAIT).await
    }

    /// As [`get`](Self::get), for who wants the service rather than the object that is it now: the object, and any typed proxy made from
    /// it, calls whichever proxy of the service there is. After a restart of the device, or a network that was gone, the next call has
    /// the service again by itself; what that means for calls under way says [`RemoteServiceWatch::object`], which is what this is.
    ///
    /// A proxy that [`get`](Self::get) returns dies for good: take that where what a service holds for its caller goes with it.
    ///
    /// ```no_run
    /// # use softbus::{DeviceId, Node, ServiceId, remote_interface};
    /// #[remote_interface(descriptor = "org.example.Lamp")]
    /// trait Lamp {
    ///     /// May be done twice, so it is repeated when nobody knows whether it was done.
    ///     #[idempotent]
    ///     async fn set(&self, on: bool);
    ///     async fn toggle(&self);
    /// }
    ///
    /// # async fn example(node: Node, kitchen: DeviceId) -> Result<(), Box<dyn std::error::Error>> {
    /// const LAMP: ServiceId = ServiceId::new(1410).unwrap();
    ///
    /// let lamp = LampProxy::new(node.samgr().get_rebinding(LAMP, &kitchen).await?);
    /// lamp.set(true).await?;
    /// // The device is started again meanwhile.
    /// lamp.set(false).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`GetServiceError`]: those of [`get`](Self::get), and [`TooManyLoads`](GetServiceError::TooManyLoads) if this process watches
    /// and rebinds to 256 services already.
    pub async fn get_rebinding(
        &self,
        service: ServiceId,
        device: &DeviceId,
    ) -> Result<RemoteObject, GetServiceError> {
        let watch = self
            .watch_of(service, device)
            .map_err(|error| match error {
                WatchServiceError::LimitReached { limit, value } => {
                    GetServiceError::TooManyLoads { limit, value }
                }
                _ => GetServiceError::Busy,
            })?;
        // Who follows it waits for it, and is not told why it does not come.
        self.get(service, device).await?;
        Ok(watch.object())
    }

    /// As [`get`](Self::get), waiting as long as told.
    ///
    /// # Errors
    /// [`GetServiceError`].
    pub async fn get_within(
        &self,
        service: ServiceId,
        device: &DeviceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        let peers = through_host!(self, Look::Get, service, device, wait);
        if self.is_ours(device) {
            return self.local.get(service, wait).await;
        }
        let (peer, left) = reach(peers, device, wait).await?;
        let got = peer.get_service(service, left).await;
        got.map_err(|error| in_all(error, left, wait))
    }

    /// Starts a service of a device that is started on demand, and gets it, within 4 s; one that is there is got at once.
    /// Of another device's services the distributed ones only.
    ///
    /// # Errors
    /// [`GetServiceError`]: those of [`get`](Self::get). What ends the wait does not end the start.
    pub async fn load(
        &self,
        service: ServiceId,
        device: &DeviceId,
    ) -> Result<RemoteObject, GetServiceError> {
        self.load_within(service, device, limits::LOAD_TIME).await
    }

    /// As [`load`](Self::load), waiting as long as told. The device gives a start its own time, 4 s unless its service
    /// says otherwise.
    ///
    /// # Errors
    /// [`GetServiceError`].
    pub async fn load_within(
        &self,
        service: ServiceId,
        device: &DeviceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        let peers = through_host!(self, Look::Load, service, device, wait);
        if self.is_ours(device) {
            return self.local.get(service, wait).await;
        }
        let (peer, left) = reach(peers, device, wait).await?;
        let loaded = peer.load_service(service, left).await;
        loaded.map_err(|error| in_all(error, left, wait))
    }

    /// Gets a service of a device as soon as both are there. Nothing is asked again and again: a service of this node is
    /// watched, another device answers when it has the service, and it is asked anew only if it was away meanwhile.
    ///
    /// # Errors
    /// [`GetServiceError`]: [`Unreachable`](GetServiceError::Unreachable) if the device was not there in time,
    /// [`TimedOut`](GetServiceError::TimedOut) if the service was not, or not for this device.
    pub async fn wait_for(
        &self,
        service: ServiceId,
        device: &DeviceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        let peers = through_host!(self, Look::WaitFor, service, device, wait);
        if self.is_ours(device) {
            return self.local.wait_for(service, wait).await;
        }
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (peer, left) = reach(peers, device, left).await?;
            let waited = peer.wait_for_service(service, left).await;
            match waited {
                Err(GetServiceError::Unreachable(_)) if Instant::now() < deadline => {
                    // Its end is known when it can be looked for anew.
                    let _ = tokio::time::timeout_at(deadline, peer.ended()).await;
                }
                other => return other.map_err(|error| in_all(error, left, wait)),
            }
        }
    }

    /// The services of a device that this node may call, those that are started on demand among them.
    ///
    /// # Errors
    /// [`GetServiceError`].
    pub async fn list_of(&self, device: &DeviceId) -> Result<Vec<ServiceId>, GetServiceError> {
        let peers = match &self.side {
            Side::Network(peers) => peers,
            #[cfg(target_os = "linux")]
            Side::Host(attachment) => {
                return attachment.list_of(device, limits::DEFAULT_WAIT).await;
            }
        };
        if self.is_ours(device) {
            return Ok(self.list());
        }
        let (peer, left) = reach(peers, device, limits::DEFAULT_WAIT).await?;
        peer.callable_services(left).await
    }

    fn is_ours(&self, device: &DeviceId) -> bool {
        *device == self.side.bus().party().device
    }
}

/// The session with a device, and what is left of the wait: something, because no wait at all would be the default.
async fn reach(
    peers: &Peers,
    device: &DeviceId,
    wait: Duration,
) -> Result<(Peer, Duration), GetServiceError> {
    let deadline = Instant::now() + wait;
    let reached = peers.session(*device, deadline).await;
    let peer = reached.inspect_err(|error| {
        rpc::telemetry::not_reached(&peers.bus, *device, error);
    })?;
    let left = deadline.saturating_duration_since(Instant::now());
    Ok((peer, left.max(Duration::from_millis(1))))
}

/// An error that says how long was waited in all, and not only for the answer.
pub(crate) fn in_all(error: GetServiceError, left: Duration, wait: Duration) -> GetServiceError {
    match error {
        GetServiceError::TimedOut { after } if after == left => {
            GetServiceError::TimedOut { after: wait }
        }
        other => other,
    }
}
