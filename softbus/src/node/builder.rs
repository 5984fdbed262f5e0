#[cfg(target_os = "linux")]
use std::sync::Arc;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use certs::{DoorLimits, Identity, PolicyStore, TrustStore};
use discovery::{Discovery, Interfaces};
use proto::{
    DeviceId, ServiceId,
    message::{PeerLimits, VersionRange},
};
#[cfg(target_os = "linux")]
use rpc::RelayRules;
use rpc::{
    AddServiceError, BusConfig, LocalAbilityManager, OnDemandOptions, Quotas, RemoteObject,
    ServiceOptions, ServiceStarter, telemetry::SlowThresholds,
};

mod starting;

use super::{Node, own_thread};
#[cfg(target_os = "linux")]
use crate::local::{Access, Egress, ListeningSocket};
use crate::{error::StartNodeError, presence::Profile, transport::Transports};

trait Register: FnOnce(&LocalAbilityManager) -> Result<(), AddServiceError> + Send {}

impl<F: FnOnce(&LocalAbilityManager) -> Result<(), AddServiceError> + Send> Register for F {}

/// What is registered before anybody can ask.
#[derive(Default)]
struct Services(Vec<(ServiceId, Box<dyn Register>)>);

impl Services {
    fn register(&mut self, samgr: &LocalAbilityManager) -> Result<(), StartNodeError> {
        for (service, register) in self.0.drain(..) {
            let registered = register(samgr);
            registered.map_err(|error| StartNodeError::Service { service, error })?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(service, _)| service))
            .finish()
    }
}

/// What a node has to do with the other processes of its device.
#[cfg(target_os = "linux")]
#[derive(Debug, Default)]
enum Local {
    /// Nothing: it is a device of its own.
    #[default]
    Alone,
    /// They attach to it.
    Host(PathBuf, Access),
    /// It attaches.
    Attach(PathBuf),
    /// It attaches if there is a host, and is one otherwise.
    AttachOrHost(PathBuf),
    /// It is the host, and listens already.
    Listening(ListeningSocket),
}

/// What a node is made with. Only an identity is required, and not even that of a node that attaches.
///
/// Nothing is announced or searched on any network until [`mdns`](Self::mdns) says on which interfaces.
#[derive(Debug, Default)]
pub struct NodeBuilder {
    identity: Option<Identity>,
    directory: Option<PathBuf>,
    trust: Option<TrustStore>,
    policies: Option<PolicyStore>,
    fleet: Option<PathBuf>,
    listen: Option<SocketAddr>,
    port: u16,
    transports: Transports,
    mdns: Option<Interfaces>,
    static_peers: Vec<(DeviceId, SocketAddr)>,
    discoveries: Vec<Box<dyn Discovery>>,
    name: Option<String>,
    profile: Profile,
    versions: Option<VersionRange>,
    limits: Option<PeerLimits>,
    quotas: Quotas,
    strangers: DoorLimits,
    max_devices: Option<usize>,
    slow: SlowThresholds,
    busy_poll: Option<Duration>,
    own_thread: bool,
    services: Services,
    #[cfg(target_os = "linux")]
    local: Local,
    #[cfg(target_os = "linux")]
    egress: Egress,
}

impl NodeBuilder {
    /// Who this device is.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Identity and trust store from a directory that only this user may read. Both are made at the first start. A file
    /// `policy.toml` there is the [`policy`](Self::policy).
    #[must_use]
    pub fn identity_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Which devices are trusted. Without this it is the store of [`identity_dir`](Self::identity_dir), or an empty one.
    /// What another process changes in the file of a store takes effect within half a second.
    #[must_use]
    pub fn trust(mut self, trust: TrustStore) -> Self {
        self.trust = Some(trust);
        self
    }

    /// What this device allows others, beside what each service says itself: a [`Policy`](certs::Policy) made in code, or a
    /// [`PolicyStore`] with a file, which is followed: what is right takes effect within about a second, and what is not
    /// changes nothing. Without this it is the `policy.toml` of [`identity_dir`](Self::identity_dir), if there is one.
    ///
    /// Without a policy services decide alone.
    #[must_use]
    pub fn policy(mut self, policy: impl Into<PolicyStore>) -> Self {
        self.policies = Some(policy.into());
        self
    }

    /// The file of the [`Fleet`](certs::Fleet): whoever its CAs vouch for is trusted without an entry in the trust store, unless it is
    /// blocked there. It is followed, and members are looked at again every minute: who is one no longer loses its session.
    /// Without this it is the `fleet.toml` of [`identity_dir`](Self::identity_dir), if there is one at the start.
    #[must_use]
    pub fn fleet(mut self, file: impl Into<PathBuf>) -> Self {
        self.fleet = Some(file.into());
        self
    }

    /// Listens on this address only, for example `127.0.0.1:0`. Port 0 is any free port. Without this, all addresses.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// Listens on all addresses at this port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// By which transports it listens and dials. Without this QUIC, and TCP at the same port for those whom no UDP reaches; when
    /// another program has that port, QUIC alone.
    #[must_use]
    pub fn transports(mut self, transports: Transports) -> Self {
        self.transports = transports;
        self
    }

    /// Finds devices by mDNS on these interfaces, and is found there.
    #[must_use]
    pub fn mdns(mut self, interfaces: Interfaces) -> Self {
        self.mdns = Some(interfaces);
        self
    }

    /// A device that may be at this address; call again for more.
    #[must_use]
    pub fn static_peer(mut self, device: DeviceId, address: SocketAddr) -> Self {
        self.static_peers.push((device, address));
        self
    }

    /// Another way to find devices; call again for more.
    #[must_use]
    pub fn discovery(mut self, discovery: Box<dyn Discovery>) -> Self {
        self.discoveries.push(discovery);
        self
    }

    /// A name for people, announced to everybody on the network. Without this, none.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// How quickly a silent device is noticed.
    #[must_use]
    pub fn presence(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// What this node holds for each device.
    #[must_use]
    pub fn limits(mut self, limits: PeerLimits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// What each device, and all of them together, may make this node hold besides: memory for large bodies that arrive, death
    /// links, streams. They are not told of it. Without this [`Quotas::DEFAULT`].
    #[must_use]
    pub fn quotas(mut self, quotas: Quotas) -> Self {
        self.quotas = quotas;
        self
    }

    /// What strangers are given: how many handshakes at one time and in a second. Without this [`DoorLimits::DEFAULT`].
    #[must_use]
    pub fn strangers(mut self, limits: DoorLimits) -> Self {
        self.strangers = limits;
        self
    }

    /// With how many devices there may be a session at one time; one more that dials is told
    /// [`Limit`](certs::CloseCode::Limit). Without this 1,024.
    #[must_use]
    pub fn max_devices(mut self, devices: usize) -> Self {
        self.max_devices = Some(devices);
        self
    }

    /// From when on the log tells of slow handlers and long waits. Without this OpenHarmony's times: 500 ms, 5 s and 2 s.
    #[must_use]
    pub fn slow_thresholds(mut self, slow: SlowThresholds) -> Self {
        self.slow = slow;
        self
    }

    /// How long a thread looks for what a peer will send before it sleeps, where what it waits for came within that time again and again: to sleep and to be woken
    /// takes longer than all else of a small call. It looks only between calls that follow one another closely, on a runtime of one thread, and takes processor time
    /// for it that the thread would have slept. [`Duration::ZERO`] is never. Without this [`limits::BUSY_POLL`](rpc::limits::BUSY_POLL), and never with
    /// [`Profile::LowPower`].
    #[must_use]
    pub fn busy_poll(mut self, longest: Duration) -> Self {
        self.busy_poll = Some(longest);
        self
    }

    /// What a bus is told of all this.
    fn configure(&self) -> impl FnOnce(&mut BusConfig) + use<> {
        let (limits, quotas, slow) = (self.limits, self.quotas, self.slow);
        let busy_poll = self.busy_poll.or(match self.profile {
            Profile::LowPower => Some(Duration::ZERO),
            _ => None,
        });
        move |bus| {
            bus.limits = limits.unwrap_or(bus.limits);
            bus.quotas = quotas;
            bus.slow = slow;
            bus.busy_poll = busy_poll.unwrap_or(bus.busy_poll);
        }
    }

    /// A service that is there from the start: no device that finds this node early is told that it is absent. Call again
    /// for more.
    #[must_use]
    pub fn service(
        self,
        service: ServiceId,
        object: &RemoteObject,
        options: ServiceOptions,
    ) -> Self {
        let object = object.clone();
        self.register(service, move |samgr| samgr.add(service, &object, options))
    }

    /// As [`service`](Self::service), for one that is started on demand:
    /// [`SystemAbilityManager::add_on_demand`](crate::SystemAbilityManager::add_on_demand).
    #[must_use]
    pub fn service_on_demand(
        self,
        service: ServiceId,
        starter: impl ServiceStarter,
        options: impl Into<OnDemandOptions>,
    ) -> Self {
        let options = options.into();
        self.register(service, move |samgr| {
            samgr.add_on_demand(service, starter, options)
        })
    }

    /// Hosts the bus of this device at `path`, usually [`local::default_path`](crate::local::default_path): other processes
    /// attach there, and have the network, the identity and the services of this one. Its directory is made, for its owner
    /// alone, if it is not there. The soft limit of this process's file descriptors (`RLIMIT_NOFILE`) is raised to the hard one:
    /// each process that attaches costs five.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn host_local(mut self, path: impl AsRef<Path>) -> Self {
        self.local = Local::Host(path.as_ref().to_owned(), Access::Owner);
        self
    }

    /// As [`host_local`](Self::host_local), for the socket's group too: that of its directory, with the set-group-id bit.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn host_local_for_group(mut self, path: impl AsRef<Path>) -> Self {
        self.local = Local::Host(path.as_ref().to_owned(), Access::Group);
        self
    }

    /// As [`host_local`](Self::host_local), on a socket that listens already; its mode says who may attach.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn host_local_on(mut self, listener: std::os::unix::net::UnixListener) -> Self {
        self.local = Local::Host(PathBuf::new(), Access::Socket(listener));
        self
    }

    /// Attaches to the process that hosts the bus at `path`, and is a process of its device: what is said here of identity,
    /// trust, addresses, discovery and presence is not used. When that host is gone, the node attaches to the next one by itself.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn attach(mut self, path: impl AsRef<Path>) -> Self {
        self.local = Local::Attach(path.as_ref().to_owned());
        self
    }

    /// [Attaches](Self::attach) if there is a host at `path`, and [is the host](Self::host_local) otherwise.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn attach_or_host(mut self, path: impl AsRef<Path>) -> Self {
        self.local = Local::AttachOrHost(path.as_ref().to_owned());
        self
    }

    /// Which processes that attach may call which objects of other devices, in place of the rule that those of this node's own
    /// user may call all, and no others any. Asked at every call, with the calling process, the device and the service; without
    /// a service it is about an object that was handed to a process. Whom the other device lets in is its own affair: to it all
    /// processes are this device.
    ///
    /// ```no_run
    /// # fn example(builder: softbus::NodeBuilder) -> softbus::NodeBuilder {
    /// use softbus::{Caller, DeviceId, ServiceId};
    ///
    /// const PRINTER: ServiceId = ServiceId::new(1402).unwrap();
    ///
    /// builder.egress(|process: &Caller, _: DeviceId, service: Option<ServiceId>| {
    ///     process.uid() == Some(1000) && service == Some(PRINTER)
    /// })
    /// # }
    /// ```
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn egress(mut self, rules: impl RelayRules) -> Self {
        self.egress = Egress(Arc::new(rules));
        self
    }

    /// Says that this node speaks these versions of the protocol, the first of which is at least 1. For tests of how devices of
    /// different versions get on: it speaks the one that it speaks.
    ///
    /// # Panics
    /// When the range is empty.
    #[doc(hidden)]
    #[must_use]
    pub fn protocol_versions(mut self, lowest: u32, highest: u32) -> Self {
        assert!(
            1 <= lowest && lowest <= highest,
            "no version from {lowest} to {highest}"
        );
        self.versions = Some(VersionRange::new(lowest, highest));
        self
    }

    fn register(mut self, service: ServiceId, register: impl Register + 'static) -> Self {
        self.services.0.push((service, Box::new(register)));
        self
    }

    /// Gives the node and its handlers a thread of their own with a runtime for nothing else: the fastest, and the one
    /// way for a program without a runtime.
    #[must_use]
    pub fn own_thread(mut self) -> Self {
        self.own_thread = true;
        self
    }

    /// Starts the node on the current runtime.
    ///
    /// # Errors
    /// [`StartNodeError`].
    pub async fn start(mut self) -> Result<Node, StartNodeError> {
        if std::mem::take(&mut self.own_thread) {
            return own_thread::start(self).await;
        }
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(StartNodeError::NoRuntime);
        }
        #[cfg(target_os = "linux")]
        if let Some(attached) = self.try_attach().await? {
            return Ok(attached);
        }
        self.start_on_network().await
    }
}
