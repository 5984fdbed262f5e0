//! A node: this process on the bus.

mod builder;
mod discover;
mod file_watch;
mod own_thread;
mod policy_file;
mod trust_file;

pub use builder::NodeBuilder;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use certs::{Policy, PolicyStore, TrustStore};
use proto::{BootId, DeviceId};
use rpc::RemoteObject;
use tokio::sync::watch;

use crate::{
    ability_manager::SystemAbilityManager,
    audit::AuditRecords,
    device::{Device, DeviceEvents},
    peers::Peers,
};
use discover::Discoveries;

/// How long a shutdown lets its last packets take.
const CLOSE_TIME: Duration = Duration::from_millis(100);
/// How long it waits for discovery to withdraw what it announced.
const WITHDRAW_TIME: Duration = Duration::from_secs(1);

/// This process on the bus: it has an identity, finds devices, offers services and calls those of others.
///
/// Clones are the same node. It lives on the runtime it was started on; every session, timer and asynchronous handler
/// is a task there. [`shutdown`](Self::shutdown) takes leave of the other devices; dropping the last clone ends the
/// node too, at once.
#[derive(Clone, Debug)]
pub struct Node {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    peers: Arc<Peers>,
    discoveries: Arc<Discoveries>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    policies: PolicyStore,
    _trust: certs::Subscription,
}

impl Node {
    /// What a node is made with.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    /// Who this device is.
    pub fn device_id(&self) -> DeviceId {
        self.inner.peers.bus.party().device
    }

    /// Which start of this device's bus this is.
    pub fn boot_id(&self) -> BootId {
        self.inner.peers.bus.config().boot
    }

    /// Where the node listens for other devices. A node that listens on all addresses says `[::]` or `0.0.0.0`.
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.address
    }

    /// The services of this device and of others.
    pub fn samgr(&self) -> SystemAbilityManager {
        SystemAbilityManager::new(Arc::clone(&self.inner.peers))
    }

    /// Which devices this one trusts. Changes take effect at once: a device that is forgotten or blocked loses its
    /// connection.
    pub fn trust(&self) -> &TrustStore {
        self.inner.peers.trust()
    }

    pub(crate) fn peers(&self) -> &Arc<Peers> {
        &self.inner.peers
    }

    /// The policy in force, if there is one: what this device allows others, beside what each service says itself.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        self.inner.policies.current()
    }

    /// Puts another policy in force at once, until its file, if there is one, is changed. Proxies of services that their
    /// holders may no longer call at all die with reason *access revoked*; calls that run already end as they would.
    pub fn set_policy(&self, policy: Policy) {
        let Inner {
            policies, peers, ..
        } = &*self.inner;
        if policies.set(policy) {
            policy_file::changed(&Arc::downgrade(&peers.bus), peers.audit());
        }
    }

    /// What is told of who comes and what is refused, from now on: also in the log, with the target `softbus::audit`.
    pub fn audit(&self) -> AuditRecords {
        self.inner.peers.audit().records()
    }

    /// The devices this node knows of, by id.
    pub fn devices(&self) -> Vec<Device> {
        self.inner.peers.devices()
    }

    /// Devices coming and going, beginning with those that are online.
    pub fn device_events(&self) -> DeviceEvents {
        DeviceEvents::new(Arc::clone(&self.inner.peers))
    }

    /// Declares a stub of this process dead: its registrations are removed, whoever holds a proxy of it is told, and
    /// no call reaches it any more. Whether it was alive.
    pub fn revoke(&self, object: &RemoteObject) -> bool {
        self.inner.peers.bus.revoke(object)
    }

    /// Hands gauges and bytes to the recorder of the crate `metrics`, with these labels: to be called again and again, once
    /// [`metrics::enable`](rpc::telemetry::metrics::enable) has been.
    pub fn publish_metrics(&self, labels: &[(&'static str, String)]) {
        rpc::telemetry::metrics::publish(&self.inner.peers.bus, labels);
    }

    /// What each session of this node holds: to see that nothing grows.
    #[doc(hidden)]
    pub fn usage(&self) -> Vec<(DeviceId, rpc::session::Usage)> {
        let usage = self.inner.peers.bus.usage().into_iter();
        usage.map(|(party, usage)| (party.device, usage)).collect()
    }

    /// Takes leave: nothing new is begun, what is under way has up to 100 ms to end, the other devices are told, and
    /// the announcement is withdrawn. Takes up to 0.2 s, and with mDNS up to 2 s more.
    pub async fn shutdown(&self) {
        self.inner.peers.close(CLOSE_TIME).await;
        self.inner.discoveries.close(WITHDRAW_TIME).await;
        self.inner.stop.send_replace(true);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.peers.close_now();
        self.stop.send_replace(true);
    }
}
