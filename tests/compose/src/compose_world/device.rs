//! A device in a container, and a process of it.

use std::{sync::Arc, time::Duration};

use softbus::{
    DeviceId, GetServiceError, RemoteObject, ServiceId, ServiceOptions, async_trait,
    presence::DeviceEvents,
    rpc::{
        AddServiceError, LocalAbilityManager, RemoveServiceError,
        session::{Usage, passing_rules::Party},
    },
    service_watch::RemoteServiceWatch,
};
use testkit::world::{Device, node::NodeDevice};
use tokio::task::spawn_blocking;

use crate::{ComposeError, ground::Ground};

/// A container, and a node of this process that is attached to the bus in it.
#[derive(Debug)]
pub(super) struct ComposeDevice {
    ground: Arc<Ground>,
    place: usize,
    node: Arc<NodeDevice>,
}

impl ComposeDevice {
    pub(super) fn new(ground: &Arc<Ground>, place: usize, node: NodeDevice) -> Self {
        Self {
            ground: Arc::clone(ground),
            place,
            node: Arc::new(node),
        }
    }

    /// The process.
    pub(super) fn node(&self) -> softbus::Node {
        self.node.node()
    }

    /// Whether it trusts another device now.
    pub(super) fn trusts(&self, other: &DeviceId) -> bool {
        let devices = self.node.node().devices();
        let mut devices = devices.iter();
        devices.any(|device| device.id == *other && device.trusted)
    }

    /// The device is gone, and its processes with it.
    pub(super) async fn end(&self) {
        self.end_by(Ground::kill).await;
    }

    async fn end_by(&self, how: fn(&Ground, usize) -> Result<(), ComposeError>) {
        let (ground, place) = (Arc::clone(&self.ground), self.place);
        let node = Arc::clone(&self.node);
        let ended = spawn_blocking(move || {
            how(&ground, place).expect("Docker ends a container");
            node.crash();
        });
        ended.await.expect("the container ends");
    }
}

#[async_trait]
impl Device for ComposeDevice {
    fn id(&self) -> DeviceId {
        self.node.id()
    }

    /// As other devices see it.
    fn party(&self) -> Party {
        Party::host_of(self.node.id())
    }

    fn process(&self) -> Party {
        self.node.party()
    }

    fn add(
        &self,
        service: ServiceId,
        object: &RemoteObject,
        options: ServiceOptions,
    ) -> Result<(), AddServiceError> {
        self.node.add(service, object, options)
    }

    fn remove(&self, service: ServiceId) -> Result<(), RemoveServiceError> {
        self.node.remove(service)?;
        self.node.is_heard_without(vec![service]);
        Ok(())
    }

    fn check(&self, service: ServiceId) -> Option<RemoteObject> {
        self.node.check(service)
    }

    fn list(&self) -> Vec<ServiceId> {
        self.node.list()
    }

    fn samgr(&self) -> LocalAbilityManager {
        self.node.samgr()
    }

    fn revoke(&self, object: &RemoteObject) -> bool {
        let mut services = self.node.list();
        let revoked = self.node.revoke(object);
        let left = self.node.list();
        services.retain(|service| !left.contains(service));
        self.node.is_heard_without(services);
        revoked
    }

    async fn get(
        &self,
        service: ServiceId,
        device: &DeviceId,
    ) -> Result<RemoteObject, GetServiceError> {
        self.node.get(service, device).await
    }

    async fn check_of(
        &self,
        service: ServiceId,
        device: &DeviceId,
    ) -> Result<RemoteObject, GetServiceError> {
        self.node.check_of(service, device).await
    }

    async fn load_within(
        &self,
        service: ServiceId,
        device: &DeviceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        self.node.load_within(service, device, wait).await
    }

    async fn wait_for(
        &self,
        service: ServiceId,
        device: &DeviceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        self.node.wait_for(service, device, wait).await
    }

    fn watch_of(&self, service: ServiceId, device: &DeviceId) -> Option<RemoteServiceWatch> {
        self.node.watch_of(service, device)
    }

    async fn list_of(&self, device: &DeviceId) -> Result<Vec<ServiceId>, GetServiceError> {
        self.node.list_of(device).await
    }

    /// Of its session with the bus in the container, over which all goes that it has of other devices: it is said to be each one's.
    fn usage(&self) -> Vec<(Party, Usage)> {
        let usage = self.node.usage();
        let host = usage.into_iter().find(|(party, _)| *party == self.party());
        let usage = host.map(|(_, usage)| usage).unwrap_or_default();
        let places = 0..self.ground.len();
        let others = places.filter(|place| *place != self.place);
        let party = |place| Party::host_of(self.ground.id(place));
        others.map(|place| (party(place), usage)).collect()
    }

    fn events(&self) -> Option<DeviceEvents> {
        self.node.events()
    }

    /// The container is stopped: its node says goodbye.
    async fn leave(&self) {
        self.end_by(Ground::stop).await;
    }

    /// The container is killed.
    async fn vanish(&self) {
        self.end().await;
    }
}
