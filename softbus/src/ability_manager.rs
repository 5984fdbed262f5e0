//! The system ability manager of a node: its own services, and those of other devices.

use std::{sync::Arc, time::Duration};

use proto::{DeviceId, ServiceId};
use rpc::{
    AddServiceError, GetServiceError, LocalAbilityManager, RemoteObject, RemoveServiceError,
    SendRequestError, ServiceOptions, ServiceWatch, limits,
};
use tokio::time::Instant;

use crate::peers::Peers;

/// Registers services, and finds those of this device and of others.
#[derive(Clone, Debug)]
pub struct SystemAbilityManager {
    local: LocalAbilityManager,
    peers: Arc<Peers>,
}

impl SystemAbilityManager {
    pub(crate) fn new(peers: Arc<Peers>) -> Self {
        Self {
            local: peers.bus.samgr(),
            peers,
        }
    }

    /// Registers a stub under an id, for this device only or, with [`ServiceOptions::distributed`], for others too.
    /// What stood there before is removed: its proxies die, and watchers see it go and the new one come.
    ///
    /// # Errors
    /// [`AddServiceError`].
    pub fn add(
        &self,
        service: ServiceId,
        object: &RemoteObject,
        options: ServiceOptions,
    ) -> Result<(), AddServiceError> {
        self.local.add(service, object, options)
    }

    /// Removes a service of this node: its proxies die with reason *service removed*.
    ///
    /// # Errors
    /// [`RemoveServiceError`].
    pub fn remove(&self, service: ServiceId) -> Result<(), RemoveServiceError> {
        self.local.remove(service)
    }

    /// One look at the services of this device.
    pub fn check(&self, service: ServiceId) -> Option<RemoteObject> {
        self.local.check(service)
    }

    /// The ids of the services of this node, ascending.
    pub fn list(&self) -> Vec<ServiceId> {
        self.local.list()
    }

    /// Watches a service of this device: one that is there is the first event.
    pub fn watch(&self, service: ServiceId) -> ServiceWatch {
        self.local.watch(service)
    }

    /// Gets a service of a device, waiting up to 8 s for the device to be found and to answer.
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
        if *device == self.peers.bus.party().device {
            return self.check(service).ok_or(GetServiceError::Absent);
        }
        let deadline = Instant::now() + wait;
        let peer = self.peers.session(*device, deadline).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        peer.get_service(service, left.max(Duration::from_millis(1)))
            .await
    }

    /// The services of a device that this node may call.
    ///
    /// # Errors
    /// [`GetServiceError`].
    pub async fn list_of(&self, device: &DeviceId) -> Result<Vec<ServiceId>, GetServiceError> {
        if *device == self.peers.bus.party().device {
            return Ok(self.list());
        }
        let deadline = Instant::now() + limits::DEFAULT_WAIT;
        let peer = self.peers.session(*device, deadline).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        peer.callable_services(left.max(Duration::from_millis(1)))
            .await
            .map_err(|error| match error {
                SendRequestError::TimedOut { after } => GetServiceError::TimedOut { after },
                other => GetServiceError::Call(other),
            })
    }
}
