//! A node: this process on the bus.

mod builder;
mod discover;
mod file_watch;
mod fleet_file;
mod networks;
mod own_thread;
mod policy_file;
mod ports;
mod trust_file;

pub use builder::NodeBuilder;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use certs::{Policy, PolicyStore, TrustStore};
use proto::{BootId, DeviceId};
use rpc::{Bus, RemoteObject, session::passing_rules::Party};
use tokio::sync::watch;

use crate::{
    ability_manager::SystemAbilityManager,
    audit::{AuditLog, AuditRecords},
    device::{Device, DeviceEvents, DeviceWatch},
    peers::Peers,
    side::Side,
};
#[cfg(target_os = "linux")]
use crate::{error::StartNodeError, local::LocalHost};
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
    side: Side,
    /// What a node has that is on the network itself.
    network: Option<Network>,
    audit: Arc<AuditLog>,
    stop: watch::Sender<bool>,
}

#[derive(Debug)]
struct Network {
    discoveries: Arc<Discoveries>,
    address: SocketAddr,
    policies: PolicyStore,
    /// The processes that attach to this one.
    #[cfg(target_os = "linux")]
    host: Option<Arc<LocalHost>>,
    _trust: certs::Subscription,
}

impl Node {
    /// What a node is made with.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    /// A node of the device whose bus is hosted at `path`: [`NodeBuilder::attach`] with nothing else said.
    ///
    /// # Errors
    /// [`StartNodeError`].
    #[cfg(target_os = "linux")]
    pub async fn attach(path: impl AsRef<std::path::Path>) -> Result<Self, StartNodeError> {
        Self::builder().attach(path).start().await
    }

    /// Who this device is.
    pub fn device_id(&self) -> DeviceId {
        self.bus().party().device
    }

    /// Which start of this device's bus, or of an attached node, this is.
    pub fn boot_id(&self) -> BootId {
        self.bus().config().boot
    }

    /// Where the node listens for other devices; `None` for an attached one. A node that listens on all addresses says `[::]`
    /// or `0.0.0.0`.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        let network = self.inner.network.as_ref();
        network.map(|network| network.address)
    }

    /// Whether the node is attached to the process that hosts this device's bus, and has no network of its own.
    pub fn is_attached(&self) -> bool {
        self.inner.network.is_none()
    }

    /// The services of this device and of others.
    pub fn samgr(&self) -> SystemAbilityManager {
        SystemAbilityManager::new(self.inner.side.clone())
    }

    /// Which devices this one trusts; `None` for an attached node, whose host says so. Changes take effect at once: a device
    /// that is forgotten or blocked loses its connection.
    pub fn trust(&self) -> Option<&TrustStore> {
        self.peers().map(|peers| peers.trust())
    }

    /// The network; `None` for an attached node.
    pub(crate) fn peers(&self) -> Option<&Arc<Peers>> {
        match &self.inner.side {
            Side::Network(peers) => Some(peers),
            #[cfg(target_os = "linux")]
            Side::Host(_) => None,
        }
    }

    /// The policy in force, if there is one: what this device allows others, beside what each service says itself. An attached
    /// node has none; its host's holds for it.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        self.inner.network.as_ref()?.policies.current()
    }

    /// Puts another policy in force at once, until its file, if there is one, is changed. Proxies of services that their
    /// holders may no longer call at all die with reason *access revoked*; calls that run already end as they would.
    ///
    /// Whether the policy is in force: for the processes of a device its host decides, and an attached node changes nothing.
    pub fn set_policy(&self, policy: Policy) -> bool {
        let (Some(network), Some(peers)) = (&self.inner.network, self.peers()) else {
            return false;
        };
        if network.policies.set(policy) {
            policy_file::changed(&Arc::downgrade(&peers.bus), peers.audit());
        }
        true
    }

    /// What is told of who comes and what is refused, from now on: also in the log, with the target `softbus::audit`.
    pub fn audit(&self) -> AuditRecords {
        self.inner.audit.records()
    }

    /// The devices this node knows of, by id.
    pub fn devices(&self) -> Vec<Device> {
        let known = self.inner.side.known().into_iter();
        known.map(|known| known.device).collect()
    }

    /// The devices this node knows of now, and whatever changes of them from now on: for who shows a list.
    ///
    /// ```no_run
    /// # async fn show(node: softbus::Node) {
    /// let mut devices = node.watch_devices();
    /// loop {
    ///     for device in devices.devices().filter(|device| device.is_online()) {
    ///         println!("{} {}", device.id.short(), device.name.as_deref().unwrap_or("-"));
    ///     }
    ///     devices.next().await;
    /// }
    /// # }
    /// ```
    pub fn watch_devices(&self) -> DeviceWatch {
        DeviceWatch::new(self.inner.side.clone())
    }

    /// Devices coming and going, beginning with those that are online.
    pub fn device_events(&self) -> DeviceEvents {
        DeviceEvents::new(self.inner.side.clone())
    }

    fn bus(&self) -> &Arc<Bus> {
        self.inner.side.bus()
    }

    /// Declares a stub of this process dead: its registrations are removed, whoever holds a proxy of it is told, and
    /// no call reaches it any more. Whether it was alive.
    pub fn revoke(&self, object: &RemoteObject) -> bool {
        self.bus().revoke(object)
    }

    /// Hands gauges and bytes to the recorder of the crate `metrics`, with these labels: to be called again and again, once
    /// [`metrics::enable`](rpc::telemetry::metrics::enable) has been.
    pub fn publish_metrics(&self, labels: &[(&'static str, String)]) {
        rpc::telemetry::metrics::publish(self.bus(), labels);
    }

    /// What each session of this node holds, and of whom: to see that nothing grows.
    #[doc(hidden)]
    pub fn usage(&self) -> Vec<(Party, rpc::session::Usage)> {
        self.bus().usage()
    }

    /// This process, as its sessions know it.
    #[doc(hidden)]
    pub fn party(&self) -> Party {
        self.bus().party()
    }

    /// Takes leave: nothing new is begun, what is under way has up to 100 ms to end, the other devices are told, and
    /// the announcement is withdrawn. Takes up to 0.2 s, and with mDNS up to 2 s more. Afterwards a node can be started with
    /// the same identity, in this process or in another one.
    pub async fn shutdown(&self) {
        match &self.inner.side {
            Side::Network(peers) => peers.close(CLOSE_TIME).await,
            #[cfg(target_os = "linux")]
            Side::Host(attachment) => attachment.close().await,
        }
        if let Some(network) = &self.inner.network {
            #[cfg(target_os = "linux")]
            if let Some(host) = &network.host {
                host.close().await;
            }
            network.discoveries.close(WITHDRAW_TIME).await;
        }
        self.inner.end();
    }
}

impl Inner {
    /// The last step. Tasks that end a little later keep parts of the node, and so its identity, which is free from here on.
    fn end(&self) {
        self.stop.send_replace(true);
        if let Side::Network(peers) = &self.side {
            peers.identity().release();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        match &self.side {
            Side::Network(peers) => peers.close_now(),
            #[cfg(target_os = "linux")]
            Side::Host(attachment) => attachment.close_now(),
        }
        #[cfg(target_os = "linux")]
        if let Some(host) = self
            .network
            .as_ref()
            .and_then(|network| network.host.as_ref())
        {
            host.close_now();
        }
        self.end();
    }
}
